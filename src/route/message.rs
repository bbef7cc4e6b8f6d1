//! A request message as it was understood, and the one form in which it is written down again.
//!
//! MLflow swallows protobuf's parse errors and acts on the half that was read before them (`server/handlers.py`
//! `_get_request_message`), so whatever protobuf would stumble over is refused here.

mod change;
mod fits;

use std::fmt::{self, Write as _};

use super::json::{self, DEEPEST, JsonError, Raw, Shape};
use super::schema::{Field, Kind, Schema};
use super::target::Query;
use crate::secret::Hidden;
use fits::{expectation, number_fits, text_fits};

/// What was read of a request's parameters, in the caller's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    fields: Vec<(&'static str, Value)>,
    /// How many parameters were left out because MLflow knows none of that name.
    pub dropped: usize,
}

/// What a request without parameters says.
pub(super) static NOTHING: Message = Message { fields: Vec::new(), dropped: 0 };

/// What one field holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number, `true` or `false`, or free JSON: written as it will be sent.
    Written(String),
    /// A message inside the message.
    Message(Message),
    /// A map of strings.
    Map(Vec<(String, String)>),
    /// A list.
    List(Vec<Value>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::List(list) => list.fmt(f),
            Self::Text(_) | Self::Written(_) | Self::Map(_) => Hidden.fmt(f),
        }
    }
}

/// Why parameters are not what MLflow's message for the route holds.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MessageError {
    /// The JSON itself.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A value of the wrong kind.
    #[error("the value of `{0}` must be {1}")]
    Kind(String, &'static str),
    /// A field in both spellings, or a scalar that a query has twice.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// Two fields of which only one may be there.
    #[error("`{0}` and another of its alternatives are both there")]
    OneOf(String),
    /// Two fields that name the same thing name different ones.
    #[error("`{0}` and `{1}` name different things")]
    Disagree(&'static str, &'static str),
    /// A filter that is longer than [`LONGEST_FILTER`].
    #[error("`{0}` is longer than {LONGEST_FILTER} bytes")]
    LongFilter(&'static str),
}

/// The fields of MLflow's searches that hold a filter.
pub const FILTERS: [&str; 5] = ["filter", "filter_string", "filter_string1", "filter_string2", "base_filter"];

/// Bytes of a filter. `sqlparse`, by which MLflow reads it, takes seconds for more.
pub const LONGEST_FILTER: usize = 64 * 1024;

impl Message {
    /// Reads a JSON body; none is an empty message.
    pub fn of_json(schema: &Schema, body: &[u8]) -> Result<Self, MessageError> {
        let message = match Raw::of_body(body)? {
            Some(raw) => read(schema, raw, DEEPEST, "")?,
            None => Self::default(),
        };
        message.settle()?;
        Ok(message)
    }

    /// Reads a query, in which MLflow knows the names of the `.proto` file alone.
    pub fn of_query(schema: &Schema, query: &Query) -> Result<Self, MessageError> {
        let mut message = Self::default();
        for (name, text) in query.pairs() {
            let Some(field) = schema.field(name) else {
                message.dropped += 1;
                continue;
            };
            let value = query_value(field, text)?;
            match message.fields.iter_mut().find(|(known, _)| *known == field.name) {
                None if field.repeated => message.fields.push((field.name, Value::List(vec![value]))),
                None => message.fields.push((field.name, value)),
                Some((_, Value::List(list))) if field.repeated => list.push(value),
                Some(_) => return Err(MessageError::Twice(field.name.to_owned())),
            }
        }
        message.settle()?;
        Ok(message)
    }

    /// A field's string, unless it is absent, empty or something else.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) if !text.is_empty() => Some(text),
            Value::Text(_) | Value::Written(_) | Value::Message(_) | Value::Map(_) | Value::List(_) => None,
        }
    }

    /// The strings of a list field.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(|item| match item {
            Value::Text(text) => Some(text.as_str()),
            Value::Written(_) | Value::Message(_) | Value::Map(_) | Value::List(_) => None,
        })
    }

    /// The messages of a list field.
    pub fn messages(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.list(name).iter().filter_map(|item| match item {
            Value::Message(message) => Some(message),
            Value::Text(_) | Value::Written(_) | Value::Map(_) | Value::List(_) => None,
        })
    }

    /// The message in a field.
    #[must_use]
    pub fn message(&self, name: &str) -> Option<&Self> {
        match self.value(name)? {
            Value::Message(message) => Some(message),
            Value::Text(_) | Value::Written(_) | Value::Map(_) | Value::List(_) => None,
        }
    }

    /// Whether a field is `true`.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Written(written)) if written == "true")
    }

    /// Whether the field is there at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The message as JSON, in the spelling of the `.proto` file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// The message as a query, percent-encoded by the rules of forms.
    #[must_use]
    pub fn to_query(&self) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.fields {
            match value {
                Value::List(list) => list.iter().filter_map(Value::scalar).for_each(|text| {
                    out.append_pair(name, text);
                }),
                Value::Text(_) | Value::Written(_) | Value::Map(_) | Value::Message(_) => {
                    if let Some(text) = value.scalar() {
                        out.append_pair(name, text);
                    }
                }
            }
        }
        out.finish()
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn list(&self, name: &str) -> &[Value] {
        match self.value(name) {
            Some(Value::List(list)) => list,
            Some(Value::Text(_) | Value::Written(_) | Value::Map(_) | Value::Message(_)) | None => &[],
        }
    }

    /// Clients send `run_id` and `run_uuid` together; MLflow takes one of them, which one depends on the route.
    fn settle(&self) -> Result<(), MessageError> {
        match (self.value("run_id"), self.value("run_uuid")) {
            (Some(one), Some(other)) if one != other => {
                return Err(MessageError::Disagree("run_id", "run_uuid"));
            }
            _ => {}
        }
        let long = |name: &&str| self.text(name).is_some_and(|filter| filter.len() > LONGEST_FILTER);
        FILTERS.into_iter().find(long).map_or(Ok(()), |name| Err(MessageError::LongFilter(name)))
    }

    fn write(&self, out: &mut String) {
        let Ok(()) =
            json::write_object(out, self.fields.iter().map(|(name, value)| (name, value)), write_value);
    }
}

impl Value {
    fn scalar(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Written(text) => Some(text),
            Self::Message(_) | Self::Map(_) | Self::List(_) => None,
        }
    }
}

fn write_value(out: &mut String, value: &Value) -> Result<(), std::convert::Infallible> {
    match value {
        Value::Text(text) => json::write_text(out, text),
        Value::Written(written) => out.push_str(written),
        Value::Message(message) => message.write(out),
        Value::Map(pairs) => {
            json::write_object(out, pairs.iter().map(|(key, text)| (key, text)), |out, text| {
                json::write_text(out, text);
                Ok::<(), std::convert::Infallible>(())
            })?;
        }
        Value::List(list) => json::write_list(out, list, write_value)?,
    }
    Ok(())
}

fn read(schema: &Schema, raw: Raw<'_>, depth: usize, at: &str) -> Result<Message, MessageError> {
    let deeper = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
    let mut message = Message::default();
    for (name, raw) in raw.members()? {
        let Some(field) = schema.field_by_any_name(&name) else {
            message.dropped += 1;
            continue;
        };
        let mut place = at.to_owned();
        let _ = write!(place, "{}{}", if at.is_empty() { "" } else { "." }, field.name);
        if message.has(field.name) {
            return Err(MessageError::Twice(place));
        }
        if raw.shape() == Shape::Null && field.kind != Kind::Any {
            continue;
        }
        let taken = |group| {
            message.fields.iter().any(|(name, _)| schema.field(name).and_then(|f| f.one_of) == Some(group))
        };
        if field.one_of.is_some_and(taken) {
            return Err(MessageError::OneOf(place));
        }
        let value = if field.repeated {
            list(field, raw, deeper, &place)?
        } else {
            single(field.kind, raw, deeper, &place)?
        };
        message.dropped += if let Value::Message(inner) = &value { inner.dropped } else { 0 };
        message.fields.push((field.name, value));
    }
    Ok(message)
}

fn list(field: &Field, raw: Raw<'_>, depth: usize, place: &str) -> Result<Value, MessageError> {
    if raw.shape() != Shape::List {
        return Err(MessageError::Kind(place.to_owned(), "a list"));
    }
    let items = raw.items()?.into_iter().map(|item| single(field.kind, item, depth, place));
    Ok(Value::List(items.collect::<Result<_, _>>()?))
}

fn single(kind: Kind, raw: Raw<'_>, depth: usize, place: &str) -> Result<Value, MessageError> {
    let wrong = |expected| Err(MessageError::Kind(place.to_owned(), expected));
    let shape = raw.shape();
    match kind {
        Kind::Any => {
            let mut out = String::new();
            raw.rewrite(&mut out, depth)?;
            Ok(Value::Written(out))
        }
        Kind::Message(name) => match (shape, Schema::named(name)) {
            (Shape::Object, Some(schema)) => Ok(Value::Message(read(schema, raw, depth, place)?)),
            _ => wrong("an object"),
        },
        Kind::Map => map(raw, place),
        Kind::Bool if shape == Shape::Bool => Ok(Value::Written(raw.written().to_owned())),
        Kind::Bool => wrong("true or false"),
        Kind::Text if shape == Shape::Text => Ok(Value::Text(raw.text()?)),
        Kind::Integer(..) | Kind::Double | Kind::Float | Kind::Enum(_) if shape == Shape::Number => {
            let written = json::in_range(raw.written())?;
            let sound = number_fits(kind, written);
            if sound { Ok(Value::Written(written.to_owned())) } else { wrong(expectation(kind)) }
        }
        Kind::Text
        | Kind::Integer(..)
        | Kind::Double
        | Kind::Float
        | Kind::Enum(_)
        | Kind::Bytes
        | Kind::Timestamp
        | Kind::Duration
        | Kind::FieldMask => {
            if shape != Shape::Text {
                return wrong(expectation(kind));
            }
            let text = raw.text()?;
            if text_fits(kind, &text) { Ok(Value::Text(text)) } else { wrong(expectation(kind)) }
        }
    }
}

fn map(raw: Raw<'_>, place: &str) -> Result<Value, MessageError> {
    if raw.shape() != Shape::Object {
        return Err(MessageError::Kind(place.to_owned(), "an object"));
    }
    let pairs = raw.members()?.into_iter().map(|(key, value)| match value.shape() {
        Shape::Text => Ok((key.into_owned(), value.text()?)),
        Shape::Null | Shape::Bool | Shape::Number | Shape::List | Shape::Object => {
            Err(MessageError::Kind(place.to_owned(), "an object of strings"))
        }
    });
    Ok(Value::Map(pairs.collect::<Result<_, _>>()?))
}

fn query_value(field: &Field, text: &str) -> Result<Value, MessageError> {
    let fits = match field.kind {
        Kind::Text => true,
        Kind::Bool => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
        Kind::Integer(..)
        | Kind::Double
        | Kind::Float
        | Kind::Bytes
        | Kind::Timestamp
        | Kind::Duration
        | Kind::FieldMask
        | Kind::Map
        | Kind::Any
        | Kind::Enum(_)
        | Kind::Message(_) => text_fits(field.kind, text),
    };
    if fits {
        Ok(Value::Text(text.to_owned()))
    } else {
        Err(MessageError::Kind(field.name.to_owned(), expectation(field.kind)))
    }
}

#[cfg(test)]
mod tests;

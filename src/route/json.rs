//! JSON as both readers read it: one spelling per meaning, or none.
//!
//! MLflow's reader takes the last of two equal keys, UTF-16, lone surrogates and JSON inside a JSON string
//! (`server/handlers.py` `_get_normalized_request_json`). Here each of these is an error. Numbers are kept as they were
//! written, so that a metric's digits arrive as they were sent.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep arrays and objects may lie in each other.
pub const DEEPEST: usize = 32;

/// How many values one body may hold. A value of three bytes takes a hundred once it is understood.
pub const MOST_VALUES: usize = 100_000;

/// Why bytes are not JSON that everybody reads the same way.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JsonError {
    /// Not UTF-8, or it starts with a byte order mark.
    #[error("the body must be JSON in UTF-8 without a byte order mark")]
    Encoding,
    /// Not JSON.
    #[error("the body is not valid JSON: {0}")]
    Syntax(String),
    /// JSON, but not an object.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// A key is there twice.
    #[error("the key `{0}` is there twice")]
    Duplicate(String),
    /// Nested deeper than [`DEEPEST`].
    #[error("the body is nested deeper than {DEEPEST} levels")]
    TooDeep,
    /// More values than [`MOST_VALUES`].
    #[error("the body holds more than {MOST_VALUES} values")]
    TooMany,
    /// A number that no IEEE double can hold.
    #[error("the number `{0}` is out of range")]
    Range(String),
}

/// Part of a document, as it was written.
#[derive(Clone, Copy)]
pub struct Raw<'a>(&'a RawValue);

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    List,
    /// An object.
    Object,
}

impl<'a> Raw<'a> {
    /// Reads a whole body. An empty one is an empty object, as MLflow has it.
    pub fn of_body(body: &'a [u8]) -> Result<Option<Self>, JsonError> {
        let text = std::str::from_utf8(body).map_err(|_| JsonError::Encoding)?;
        if text.starts_with('\u{feff}') {
            return Err(JsonError::Encoding);
        }
        if text.is_empty() {
            return Ok(None);
        }
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax(&error))?;
        if values(text) > MOST_VALUES {
            return Err(JsonError::TooMany);
        }
        match Self(raw).shape() {
            Shape::Object => Ok(Some(Self(raw))),
            Shape::Null | Shape::Bool | Shape::Number | Shape::Text | Shape::List => {
                Err(JsonError::NotAnObject)
            }
        }
    }

    /// Reads JSON of any kind, such as a string of an answer holds.
    pub fn of_text(text: &'a str) -> Result<Self, JsonError> {
        serde_json::from_str(text).map(Self).map_err(|error| syntax(&error))
    }

    /// What it is.
    pub fn shape(self) -> Shape {
        match self.0.get().as_bytes().first() {
            Some(b'n') => Shape::Null,
            Some(b't' | b'f') => Shape::Bool,
            Some(b'"') => Shape::Text,
            Some(b'[') => Shape::List,
            Some(b'{') => Shape::Object,
            _ => Shape::Number,
        }
    }

    /// The text as it was written.
    pub fn written(self) -> &'a str {
        self.0.get()
    }

    /// A string's characters; lone surrogates are an error.
    pub fn text(self) -> Result<String, JsonError> {
        serde_json::from_str(self.0.get()).map_err(|error| syntax(&error))
    }

    /// An object's members in their order, no key twice, however it is spelt.
    pub fn members(self) -> Result<Vec<(Cow<'a, str>, Raw<'a>)>, JsonError> {
        let Members(members) = serde_json::from_str(self.0.get()).map_err(|error| syntax(&error))?;
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(pair) => Err(JsonError::Duplicate(shortened(pair.first().unwrap_or(&"")))),
            None => Ok(members.into_iter().map(|(name, raw)| (name, Raw(raw))).collect()),
        }
    }

    /// An array's items.
    pub fn items(self) -> Result<Vec<Raw<'a>>, JsonError> {
        let items: Vec<&RawValue> = serde_json::from_str(self.0.get()).map_err(|error| syntax(&error))?;
        Ok(items.into_iter().map(Raw).collect())
    }

    /// Writes the value anew: strings escaped our way, numbers as they were, nothing twice. `depth` levels are left.
    pub fn rewrite(self, out: &mut String, depth: usize) -> Result<(), JsonError> {
        let deeper = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
        match self.shape() {
            Shape::Null | Shape::Bool => out.push_str(self.written()),
            Shape::Number => out.push_str(in_range(self.written())?),
            Shape::Text => write_text(out, &self.text()?),
            Shape::List => write_list(out, self.items()?, |out, item| item.rewrite(out, deeper))?,
            Shape::Object => write_object(out, self.members()?, |out, value| value.rewrite(out, deeper))?,
        }
        Ok(())
    }
}

/// How many values valid JSON holds, at most: each but the first follows one of these.
fn values(json: &str) -> usize {
    let (mut count, mut bytes) = (1, json.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b',' | b'[' | b'{' => count += 1,
            b'"' => {
                while let Some(within) = bytes.next() {
                    match within {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    count
}

/// Writes `[a,b]`.
pub fn write_list<T, E>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T) -> Result<(), E>,
) -> Result<(), E> {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item)?;
    }
    out.push(']');
    Ok(())
}

/// Writes `{"a":…,"b":…}`.
pub fn write_object<N: AsRef<str>, T, E>(
    out: &mut String,
    members: impl IntoIterator<Item = (N, T)>,
    mut write: impl FnMut(&mut String, T) -> Result<(), E>,
) -> Result<(), E> {
    out.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(out, name.as_ref());
        out.push(':');
        write(out, value)?;
    }
    out.push('}');
    Ok(())
}

/// Writes a JSON string.
pub fn write_text(out: &mut String, text: &str) {
    // A string is always JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A number that a double can hold; Python would read a larger one as infinity.
pub fn in_range(number: &str) -> Result<&str, JsonError> {
    let finite = number.parse::<f64>().is_ok_and(f64::is_finite);
    if finite && number.len() <= 400 { Ok(number) } else { Err(JsonError::Range(shortened(number))) }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn syntax(error: &serde_json::Error) -> JsonError {
    if error.to_string().starts_with("recursion limit") {
        return JsonError::TooDeep;
    }
    JsonError::Syntax(error.to_string())
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(serde::de::Error::custom("expected an object"))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_counted_and_bounded() {
        for (json, count) in [
            ("7", 1),
            ("[]", 2),
            ("[1,2]", 3),
            (r#"{"a":1,"b":[{},{"c":"d"}]}"#, 7),
            (r#"{"a,[{":"\\,\",,[["}"#, 2),
        ] {
            assert_eq!(values(json), count, "{json}");
        }
        let bomb = |count: usize| format!(r#"{{"a":[{}]}}"#, vec!["{}"; count].join(","));
        assert_eq!(Raw::of_body(bomb(100_000).as_bytes()).err(), Some(JsonError::TooMany));
        assert!(Raw::of_body(bomb(49_000).as_bytes()).is_ok());
        let text = format!(r#"{{"a":"{}"}}"#, ",".repeat(200_000));
        assert!(Raw::of_body(text.as_bytes()).is_ok(), "what is in a string is no value");
    }

    fn rewritten(body: &[u8]) -> Result<String, JsonError> {
        let mut out = String::new();
        if let Some(raw) = Raw::of_body(body)? {
            raw.rewrite(&mut out, DEEPEST)?;
        }
        Ok(out)
    }

    #[track_caller]
    fn check(body: &[u8], expected: Result<&str, &str>) {
        let found = rewritten(body).map_err(|error| error.to_string());
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{:?} became {found:?}", String::from_utf8_lossy(body)),
        }
    }

    #[test]
    fn one_spelling_leaves_however_it_came() {
        check(b"", Ok(""));
        check(
            br#"  {"n\u0061me" : "v\u00e9" , "x":[1, 2.50,-0.0,1e2]} "#,
            Ok(r#"{"name":"vé","x":[1,2.50,-0.0,1e2]}"#),
        );
        check(br#"{"a":12345678901234567890123}"#, Ok(r#"{"a":12345678901234567890123}"#));
        check(br#"{"a":{"b":null,"c":[]}}"#, Ok(r#"{"a":{"b":null,"c":[]}}"#));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        check(br#"{"name":"a","name":"b"}"#, Err("twice"));
        check(br#"{"name":"a","n\u0061me":"b"}"#, Err("twice"));
        check(br#"{"x":{"y":[{"a":1,"a":1}]}}"#, Err("twice"));
        check(br#""{\"name\":\"victim\"}""#, Err("must be a JSON object"));
        check(b"[]", Err("must be a JSON object"));
        check(b"null", Err("must be a JSON object"));
        check(b"\xef\xbb\xbf{}", Err("byte order mark"));
        check(b"{\x00\"\x00n\x00", Err("not valid JSON"));
        check(b"\xff\xfe{\x00}\x00", Err("UTF-8"));
        check(br#"{"a":"\ud800"}"#, Err("not valid JSON"));
        check(b"{\"a\":\"\xed\xa0\x80\"}", Err("UTF-8"));
        check(br#"{"\udc00":1}"#, Err("not valid JSON"));
        check(br#"{"a":NaN}"#, Err("not valid JSON"));
        check(br#"{"a":-Infinity}"#, Err("not valid JSON"));
        check(br#"{"a":1e999}"#, Err("out of range"));
        check(br#"{"a":1,}"#, Err("not valid JSON"));
        check(br#"{"a":1} {}"#, Err("not valid JSON"));
        check(br#"{'a':1}"#, Err("not valid JSON"));
        check(b"{\"a\":\"\x01\"}", Err("not valid JSON"));
        check(b"a=1&b=2", Err("not valid JSON"));
        check(format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40)).as_bytes(), Err("deeper"));
        check(format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000)).as_bytes(), Err("deeper"));
        check(format!("{{\"a\":{}}}", "9".repeat(4301)).as_bytes(), Err("out of range"));
    }

    proptest! {
        #[test]
        fn what_leaves_is_json_with_the_same_meaning(value in any_json(4)) {
            let object = serde_json::json!({ "value": value });
            let once = rewritten(object.to_string().as_bytes()).expect("sound JSON");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&once).expect("JSON"), object);
            prop_assert_eq!(rewritten(once.as_bytes()).expect("sound JSON"), once);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = rewritten(&bytes);
        }
    }

    fn any_json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(depth, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
}

//! The request messages of MLflow, as its protobuf descriptors give them.
//!
//! `table/messages.txt` is printed from the installed package and compared with it by a test; `table/forms.txt` holds, in
//! the same notation, what MLflow's handlers read without protobuf.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a field may hold. The reading rules are those of protobuf's JSON mapping, narrowed to one spelling per meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// An integer between the two bounds.
    Integer(i128, i128),
    /// A finite number, or one of protobuf's three words.
    Double,
    /// The same in 32 bits: protobuf ends the parsing at a larger one.
    Float,
    /// Base64.
    Bytes,
    /// RFC 3339.
    Timestamp,
    /// Seconds with an `s`.
    Duration,
    /// Comma-separated camel-case paths.
    FieldMask,
    /// String to string.
    Map,
    /// Any JSON.
    Any,
    /// One of an enumeration's names or numbers.
    Enum(&'static Enumeration),
    /// Another message.
    Message(&'static str),
}

/// The names and numbers of a protobuf enumeration.
#[derive(Debug, PartialEq, Eq)]
pub struct Enumeration(Vec<(&'static str, i32)>);

impl Enumeration {
    /// Whether a value of that name exists.
    pub fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    /// Whether a value of that number exists.
    pub fn has_number(&self, number: i128) -> bool {
        self.0.iter().any(|(_, known)| i128::from(*known) == number)
    }
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// The name in the `.proto` file, the only spelling that is forwarded.
    pub name: &'static str,
    /// The other spelling that protobuf reads.
    camel: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether it is a list.
    pub repeated: bool,
    /// Of the fields of one group at most one may be there.
    pub one_of: Option<&'static str>,
}

/// A request message.
#[derive(Debug)]
pub struct Schema {
    /// The message's name.
    pub name: &'static str,
    fields: Vec<Field>,
}

impl Schema {
    /// The message of that name, if the table has it.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCHEMAS.get(name)
    }

    /// The field that a JSON key names, in either spelling.
    pub fn field_by_any_name(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name || field.camel == name)
    }

    /// The field of that name in the `.proto` file.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

static SCHEMAS: LazyLock<HashMap<&'static str, Schema>> = LazyLock::new(|| {
    [MESSAGES, FORMS].into_iter().flat_map(parse).map(|schema| (schema.name, schema)).collect()
});

const MESSAGES: &str = include_str!("table/messages.txt");
const FORMS: &str = include_str!("table/forms.txt");

static ENUMERATIONS: LazyLock<HashMap<&'static str, Enumeration>> = LazyLock::new(|| {
    let lines = MESSAGES.lines().filter_map(|line| line.strip_prefix("enum "));
    lines.filter_map(|line| line.split_once(' ')).map(|(name, values)| (name, enumeration(values))).collect()
});

fn enumeration(values: &'static str) -> Enumeration {
    let pairs = values.split(' ').filter_map(|pair| pair.split_once('='));
    Enumeration(pairs.filter_map(|(name, number)| Some((name, number.parse().ok()?))).collect())
}

fn parse(text: &'static str) -> Vec<Schema> {
    let mut schemas: Vec<Schema> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("message ") {
            schemas.push(Schema { name, fields: Vec::new() });
        } else if let (Some(rest), Some(schema)) = (line.strip_prefix("  "), schemas.last_mut()) {
            schema.fields.extend(field(rest));
        }
    }
    schemas
}

fn field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let (name, kind) = (words.next()?, words.next()?);
    let one_of = words.next().and_then(|word| word.strip_prefix("one-of:"));
    let (kind, repeated) = match kind.strip_suffix('*') {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    Some(Field { name, camel: camel(name), kind: kind_of(kind)?, repeated, one_of })
}

fn kind_of(word: &'static str) -> Option<Kind> {
    Some(match word {
        "string" => Kind::Text,
        "bool" => Kind::Bool,
        "int32" => Kind::Integer(i128::from(i32::MIN), i128::from(i32::MAX)),
        "int64" => Kind::Integer(i128::from(i64::MIN), i128::from(i64::MAX)),
        "uint32" => Kind::Integer(0, i128::from(u32::MAX)),
        "uint64" => Kind::Integer(0, i128::from(u64::MAX)),
        "double" => Kind::Double,
        "float" => Kind::Float,
        "bytes" => Kind::Bytes,
        "timestamp" => Kind::Timestamp,
        "duration" => Kind::Duration,
        "fieldmask" => Kind::FieldMask,
        "map" => Kind::Map,
        "any" => Kind::Any,
        other => match other.strip_prefix("enum:") {
            Some(name) => Kind::Enum(ENUMERATIONS.get(name)?),
            None => Kind::Message(other),
        },
    })
}

/// protobuf's lowerCamelCase (`json_format`): an underscore goes and what follows is capital.
fn camel(name: &str) -> String {
    let mut capital = false;
    let mut text = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '_' => capital = true,
            letter if capital => {
                text.extend(letter.to_uppercase());
                capital = false;
            }
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_both_files_is_understood() {
        for text in [MESSAGES, FORMS] {
            let written = text.lines().filter(|line| line.starts_with("  ")).count();
            let understood: usize = parse(text).iter().map(|schema| schema.fields.len()).sum();
            assert_eq!(understood, written);
        }
        for schema in SCHEMAS.values() {
            for field in &schema.fields {
                if let Kind::Message(name) = field.kind {
                    assert!(Schema::named(name).is_some(), "{}.{} is a {name}", schema.name, field.name);
                }
            }
        }
    }

    #[test]
    fn fields_answer_to_both_spellings() {
        let schema = Schema::named("TransitionModelVersionStage").expect("a known message");
        for name in ["archive_existing_versions", "archiveExistingVersions"] {
            assert_eq!(schema.field_by_any_name(name).map(|field| field.kind), Some(Kind::Bool), "{name}");
        }
        assert!(schema.field_by_any_name("ArchiveExistingVersions").is_none());
        assert!(schema.field("archiveExistingVersions").is_none());
    }
}

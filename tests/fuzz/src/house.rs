//! House rules: what versions say of themselves, and how they are searched by it.

use std::collections::BTreeMap;

use serde_json::Value;

use sekisho::registry::{BadQuestion, Question};
use sekisho::route::message::Message;
use sekisho::route::schema::Schema;
use sekisho::rules::metadata::Metadata;

/// A schema before a line of `--`, the shipped one where there is none, and tags after it: what is lacking is told the same
/// twice, in the schema's order, each tag once and not at length, and a tag that nobody asks for changes nothing.
pub fn metadata(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(Metadata::parse(bytes).is_err(), "a schema that is not UTF-8");
        return;
    };
    let shipped = include_str!("../../../policies/metadata.schema.json");
    let (schema, lines) = text.split_once("\n--\n").unwrap_or((shipped, text));
    let metadata = match Metadata::parse(schema.as_bytes()) {
        Ok(metadata) => metadata,
        Err(mistake) => return assert!(!mistake.is_empty(), "refused without a reason"),
    };
    assert!(serde_json::from_str::<Value>(schema).is_ok(), "a schema that is not JSON");
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    let mut tags: BTreeMap<String, String> =
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let lacks = metadata.lacks(&tags);
    let order: Vec<&str> = metadata.keys().collect();
    let places: Vec<usize> =
        lacks.iter().filter_map(|lack| order.iter().position(|key| *key == lack.key)).collect();
    assert!(places.windows(2).all(|pair| pair.first() < pair.last()), "{lacks:?}");
    for lack in &lacks {
        assert!(!lack.what.is_empty(), "{lack:?}");
        assert!(lack.what.chars().count() < 4_000 + schema.len(), "{}", lack.what);
    }
    assert_eq!(metadata.lacks(&tags), lacks);
    tags.insert("evidence.nobody_asks_for_this".to_owned(), "x".to_owned());
    if !metadata.concerns("evidence.nobody_asks_for_this") {
        assert_eq!(metadata.lacks(&tags), lacks);
    }
}

/// A condition a line, and an order after a line of `--`: a refusal points at a place that is there.
pub fn question(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (conditions, order) = text.split_once("\n--\n").unwrap_or((text, ""));
    let conditions: Vec<&str> = conditions.lines().collect();
    let asked = serde_json::json!({ "where": conditions, "order_by": order }).to_string();
    let schema = Schema::named("own.Search").expect("a known message");
    let Ok(message) = Message::of_json(schema, asked.as_bytes()) else { return };
    if let Err(BadQuestion::Unreadable { parameter, text, at, what }) = Question::of(&message) {
        assert!((1..=text.chars().count() + 1).contains(&at), "{at} of {text:?}");
        assert!(!what.is_empty() && ["where", "order_by"].contains(&parameter), "{what} {parameter}");
    }
}

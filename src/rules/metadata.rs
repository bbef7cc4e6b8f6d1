//! What a version must say of itself in its tags: a JSON Schema over them (`metadata.schema.json`).
//!
//! Tags are strings. One whose type in the schema is object, array, number, integer or boolean holds JSON, and is read as
//! MLflow's clients and everybody else would read it, or not at all.

mod faults;

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{EmailOptions, PatternOptions, Validator};
use serde_json::{Map, Value};

use crate::route::json::{DEEPEST, JsonError, Raw};

use faults::{Faults, shortened};

/// The JSON Schema over a version's tags (`metadata.schema.json`).
#[derive(Debug)]
pub struct Metadata {
    keys: Vec<Key>,
    /// Whether the schema has a word on tags that it does not name.
    on_others: bool,
    validator: Validator,
}

/// A tag that the schema names.
#[derive(Debug)]
struct Key {
    name: String,
    /// Whether it holds JSON.
    json: bool,
    /// What should be there, in words.
    expected: String,
}

/// One thing that is missing or wrong. Display is half a sentence: `business_owner: is not an email address`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct Lack {
    /// The tag.
    pub key: String,
    /// What is wrong with it, and what was expected.
    pub what: String,
}

/// MLflow takes 100,000 characters in a tag; more bytes than these are not looked at.
const LONGEST: usize = 400_000;
/// What one pattern of a schema may take, compiled.
const PATTERN: usize = 1024 * 1024;

impl Metadata {
    /// Reads a schema. It refers to nothing outside itself, and its patterns take time in proportion to what they read.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(schema: &[u8]) -> Result<Self, String> {
        let (text, order) =
            read(schema).map_err(|error| error.to_string().replace("the body", "the file"))?;
        let schema: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if let Some(kind) = schema.get("type").filter(|kind| !one_of(kind, |kind| kind == "object")) {
            return Err(format!("/type: a version's tags are an object, but the schema asks for {kind}"));
        }
        let validator = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_email_options(EmailOptions::default().without_display_text().without_domain_literal())
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN).dfa_size_limit(PATTERN))
            .build(&schema)
            .map_err(|error| format!("{}: {error}", error.instance_path()))?;
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let mut known = BTreeSet::new();
        let names = order.into_iter().chain(required.filter_map(Value::as_str).map(str::to_owned));
        let keys =
            names.filter(|name| known.insert(name.clone())).map(|name| Key::of(&schema, name)).collect();
        let words = schema.as_object().into_iter().flatten();
        let on_others =
            words.into_iter().any(|(word, held)| !ON_NAMED.contains(&word.as_str()) && *held != true);
        Ok(Self { keys, on_others, validator })
    }

    /// Whether the schema speaks of that tag.
    #[must_use]
    pub fn concerns(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key) || self.on_others && !is_not_the_callers(key)
    }

    /// The tags that the schema names, in its order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.name.as_str())
    }

    /// All that is missing or wrong in a version's tags, in the order of the schema's keys.
    #[must_use]
    pub fn lacks(&self, tags: &BTreeMap<String, String>) -> Vec<Lack> {
        let mut faults = Faults::default();
        let mut held = Map::new();
        for (name, text) in tags.iter().filter(|(name, _)| self.concerns(name)) {
            let json = self.keys.iter().any(|key| key.name == *name && key.json);
            match value(text, json) {
                Ok(value) => drop(held.insert(name.clone(), value)),
                Err(fault) => faults.unreadable(name, fault),
            }
        }
        let held = Value::Object(held);
        for error in self.validator.iter_errors(&held) {
            faults.note(&error);
        }
        let mut found: Vec<Lack> = Vec::new();
        for key in &self.keys {
            if let Some(what) = faults.take(&key.name) {
                found
                    .push(Lack { key: key.name.clone(), what: format!("{what}; expected {}", key.expected) });
            }
        }
        found.extend(faults.rest().map(|(key, what)| Lack { key, what }));
        found
    }
}

/// Words of a schema that reach no tag but those it names; any other may.
const ON_NAMED: [&str; 13] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "type",
    "required",
    "properties",
    "minProperties",
];

/// Tags that sekisho, MLflow and whoever reports evidence write: nothing that a caller must say, or must not.
fn is_not_the_callers(key: &str) -> bool {
    ["sekisho.", "mlflow.", "evidence."].iter().any(|prefix| key.starts_with(prefix))
        || ["model_hash", "stage_transition_history"].contains(&key)
}

/// A schema as everybody reads it, and the names of its properties in their order.
fn read(schema: &[u8]) -> Result<(String, Vec<String>), JsonError> {
    let raw = Raw::of_body(schema)?.ok_or(JsonError::NotAnObject)?;
    let mut text = String::new();
    raw.rewrite(&mut text, DEEPEST)?;
    let properties = raw.members()?.into_iter().find(|(name, _)| name == "properties");
    let members = match properties {
        Some((_, properties)) if text_is_object(properties) => properties.members()?,
        Some(_) | None => Vec::new(),
    };
    Ok((text, members.into_iter().map(|(name, _)| name.into_owned()).collect()))
}

fn text_is_object(raw: Raw<'_>) -> bool {
    raw.written().starts_with('{')
}

/// Whether a schema's `type`, a word or a list of words, has one of these.
fn one_of(kind: &Value, wanted: impl Fn(&str) -> bool) -> bool {
    let listed = kind.as_array().into_iter().flatten();
    kind.as_str().into_iter().chain(listed.filter_map(Value::as_str)).any(wanted)
}

impl Key {
    fn of(schema: &Value, name: String) -> Self {
        let stated = schema.get("properties").and_then(|properties| properties.get(&name));
        let meant = stated.map(|stated| behind(schema, stated));
        let word =
            |word: &str| stated.and_then(|of| of.get(word)).or_else(|| meant.and_then(|of| of.get(word)));
        let kind = word("type");
        let json = kind.is_some_and(|kind| {
            !one_of(kind, |kind| kind == "string") && one_of(kind, |kind| JSON.contains(&kind))
        });
        let expected = match (word("description").and_then(Value::as_str), kind, word("format")) {
            (Some(said), ..) => said.to_owned(),
            (None, Some(kind), _) if json => format!("JSON of the type {kind}"),
            (None, _, Some(format)) => format!("a string of the format {format}"),
            (None, _, None) => "a string".to_owned(),
        };
        Self { name, json, expected }
    }
}

const JSON: [&str; 5] = ["object", "array", "number", "integer", "boolean"];

/// What a reference within the schema leads to.
fn behind<'s>(schema: &'s Value, mut stated: &'s Value) -> &'s Value {
    for _ in 0..8 {
        let pointer = stated.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
        match pointer.and_then(|pointer| schema.pointer(pointer)) {
            Some(next) => stated = next,
            None => break,
        }
    }
    stated
}

/// What a tag holds.
fn value(text: &str, json: bool) -> Result<Value, String> {
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    if !json {
        return Ok(Value::from(text));
    }
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    let mut plain = String::new();
    let read = Raw::of_text(text).and_then(|raw| raw.rewrite(&mut plain, DEEPEST));
    let read = read.map_err(|error| error.to_string().replace("the body", "it"));
    let parsed = read.and_then(|()| serde_json::from_str(&plain).map_err(|error| error.to_string()));
    parsed.map_err(|error| {
        let hint = if is_pythons(text) { ", but Python's own spelling: send json.dumps(value)" } else { "" };
        format!("{} is not JSON{hint} ({error})", shortened(&Value::from(text)))
    })
}

/// Whether it looks like what Python prints of a dict, a list or a constant.
fn is_pythons(text: &str) -> bool {
    let text = text.trim();
    let constant = ["True", "False", "None", "nan", "inf"];
    let container = text.starts_with(['{', '[']);
    let words = || text.split(|letter: char| !letter.is_ascii_alphabetic());
    constant.contains(&text)
        || text.starts_with('(')
        || container && (text.contains('\'') || words().any(|word| constant.contains(&word)))
}

#[cfg(test)]
mod tests;

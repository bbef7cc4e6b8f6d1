//! Parameters as they are told: by the name of each, whole, by hash or under the shroud.

use serde_json::{Map, Value};

use super::shroud::{Shroud, digest};
use crate::route::{Operation, Parameters};

/// All of them together: what is more is told by the SHA-256 of the whole.
const LARGEST: usize = 16 * 1024;

/// Fields that say what a request is about, and are told as they are: those that end like one of these.
const NAMES: [&str; 4] = ["name", "id", "ids", "type"];
/// And these, whole (`protos/service.proto`, `protos/model_registry.proto`, sekisho's own).
const PLAIN: [&str; 29] = [
    "action",
    "alias",
    "at",
    "before",
    "comment",
    "created_by",
    "digest",
    "entity",
    "events",
    "key",
    "metric_key",
    "new_owner",
    "order_by",
    "path",
    "reason",
    "result",
    "run_uuid",
    "stage",
    "stages",
    "state",
    "status",
    "tag_key",
    "test",
    "to_stage",
    "user",
    "username",
    "users",
    "version",
    "view_type",
];
/// Maps of settings, in which any name may stand for a secret (`CreateGatewaySecret`).
const SETTINGS: [&str; 2] = ["auth_config", "secret_value"];
/// Addresses: they may hold a key in themselves.
const ADDRESSES: [&str; 6] =
    ["artifact_location", "default_artifact_root", "link", "run_link", "source", "source_prompt_uri"];
/// Texts that whoever may read a model's metadata reads: told as they are there, under the shroud elsewhere.
const METADATA: [&str; 2] = ["description", "value"];
/// What a tag's key has in it when its value is nobody else's business.
const CONFIDENTIAL: [&str; 7] = ["secret", "password", "passwd", "token", "credential", "api_key", "apikey"];

/// All parameters of a request.
pub(super) fn params(shroud: &Shroud, operation: &Operation) -> Map<String, Value> {
    let of_a_model = operation.demands.at_once.iter().any(|demand| demand.object.model().is_some());
    let teller = Teller { shroud, of_a_model };
    let mut told = Map::new();
    for (name, text) in operation.found.params() {
        told.insert(name.to_owned(), teller.value(name, text.into()));
    }
    match &operation.parameters {
        Parameters::None | Parameters::Upload => {}
        Parameters::Message(message) => teller.message(&message.to_json(), &mut told),
        Parameters::SmallFile(message, file) => {
            teller.message(&message.to_json(), &mut told);
            told.insert("file".to_owned(), digest(file));
        }
        Parameters::Free(query, body) => {
            // Nobody knows what these hold, and which of them is secret.
            let names: Vec<Value> = query.pairs().map(|(name, _)| shroud.text(name)).collect();
            told.insert("query".to_owned(), names.into());
            if let Some(body) = body {
                told.insert("body".to_owned(), digest(body.as_bytes()));
            }
        }
        Parameters::Spans(spans) => {
            told.insert("spans".to_owned(), digest(spans));
        }
        Parameters::Graphql(asked) => {
            told.insert("field".to_owned(), asked.root.clone().into());
            told.insert("document".to_owned(), digest(asked.body.as_bytes()));
        }
    }
    let written = serde_json::to_vec(&told).unwrap_or_default();
    if written.len() <= LARGEST {
        return told;
    }
    Map::from_iter([("params".to_owned(), digest(&written))])
}

struct Teller<'s> {
    shroud: &'s Shroud,
    of_a_model: bool,
}

impl Teller<'_> {
    fn message(&self, json: &str, told: &mut Map<String, Value>) {
        if json.len() > 4 * LARGEST {
            told.insert("message".to_owned(), digest(json.as_bytes()));
            return;
        }
        let Ok(Value::Object(fields)) = serde_json::from_str(json) else { return };
        told.extend(self.fields(fields));
    }

    fn fields(&self, fields: Map<String, Value>) -> Map<String, Value> {
        let confidential = is_confidential(fields.get("key").and_then(Value::as_str).unwrap_or_default());
        let told = fields.into_iter().map(|(name, value)| {
            let told = if confidential && name == "value" {
                self.shroud.over(&value.to_string()).into()
            } else {
                self.value(&name, value)
            };
            (name, told)
        });
        told.collect()
    }

    /// A value by its name. What has no name that is known is not told.
    fn value(&self, name: &str, value: Value) -> Value {
        match value {
            Value::String(text) if ADDRESSES.contains(&name) => self.shroud.address(&text),
            Value::String(text) if is_plain(name) || self.of_a_model && METADATA.contains(&name) => {
                self.shroud.text(&text)
            }
            Value::String(text) => self.shroud.over(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.value(name, item)).collect(),
            Value::Object(_) if SETTINGS.contains(&name) => self.shroud.over(&value.to_string()).into(),
            Value::Object(fields) => self.fields(fields).into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

/// A tag of a model or version.
pub(super) fn tag(shroud: &Shroud, key: &str, value: &str) -> Value {
    if is_confidential(key) { shroud.over(value).into() } else { shroud.text(value) }
}

fn is_confidential(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    CONFIDENTIAL.iter().any(|word| key.contains(word))
}

fn is_plain(name: &str) -> bool {
    PLAIN.contains(&name)
        || NAMES.iter().any(|end| {
            name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('_'))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_has_a_known_name_is_told_as_it_is() {
        let shroud = Shroud::default();
        let told = |of_a_model: bool, name: &str, value: Value| {
            Teller { shroud: &shroud, of_a_model }.value(name, value).to_string()
        };
        let tag = |key: &str| json!([{ "key": key, "value": "hunter2" }]);
        for (of_a_model, name, value) in [
            (true, "secret", json!("hunter2")),
            (true, "password", json!("hunter2")),
            (true, "secret_value", json!({ "api_key": "hunter2" })),
            (true, "auth_config", json!({ "name": "hunter2" })),
            (true, "url", json!("https://hooks.example/hunter2")),
            (true, "filter", json!("params.k = 'hunter2'")),
            (true, "page_token", json!("hunter2")),
            (true, "source", json!("https://bucket.example/a?sig=hunter2")),
            (true, "tags", tag("db_Password")),
            (false, "tags", tag("colour")),
            (false, "value", json!("hunter2")),
            (false, "description", json!("hunter2")),
            (true, "anything", json!({ "deep": ["hunter2"] })),
        ] {
            let told = told(of_a_model, name, value.clone());
            assert!(!told.contains("hunter2") && told.contains("keyed:"), "{name} {value}: {told}");
        }
        for (name, value) in [
            ("tags", tag("colour")),
            ("description", json!("the first that works")),
            ("name", json!("fraud")),
            ("run_id", json!("d0a1b2c3d4e5f60718293a4b5c6d7e8f")),
            ("stages", json!(["Staging", "Production"])),
            ("source", json!("runs:/d0a1b2c3d4e5f60718293a4b5c6d7e8f/model")),
            ("archive_existing_versions", json!(true)),
        ] {
            assert_eq!(told(true, name, value.clone()), value.to_string(), "{name}");
        }
        assert_eq!(told(true, "value", json!("a".repeat(1_025))).matches("1025").count(), 1);
        assert_eq!(told(false, "secret", json!("a")), told(false, "secret", json!("a")));
    }
}

//! What a write changes, told as it was before and as it is after.

use serde_json::{Map, Value, json};

use super::params;
use super::shroud::Shroud;

/// What of a model or version is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Facet {
    /// The tag with this key.
    Tag(String),
    /// The version that this alias names.
    Alias(String),
    /// The description.
    Description,
    /// A model's name.
    Name,
    /// A version's stage, where MLflow alone keeps it.
    Stage,
}

/// A change: the values before and after it; nothing where there is none.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// What is changed.
    pub facet: Facet,
    /// How it was when the write was let in.
    pub before: Option<String>,
    /// How it is if the write is done.
    pub after: Option<String>,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").field("facet", &self.facet).finish_non_exhaustive()
    }
}

impl Change {
    /// Both, as the record has them: by the names of DESIGN section 10.
    pub(super) fn told(&self, shroud: &Shroud) -> (Map<String, Value>, Map<String, Value>) {
        let told = |value: Option<&str>| {
            let shown = match (&self.facet, value) {
                (_, None) => Value::Null,
                (Facet::Tag(key), Some(value)) => params::tag(shroud, key, value),
                (Facet::Alias(_) | Facet::Description | Facet::Name | Facet::Stage, Some(value)) => {
                    shroud.text(value)
                }
            };
            let (name, shown) = match &self.facet {
                Facet::Tag(key) => ("tags", json!({ key: shown })),
                Facet::Alias(alias) => ("aliases", json!({ alias: shown })),
                Facet::Description => ("description", shown),
                Facet::Name => ("name", shown),
                Facet::Stage => ("stage", shown),
            };
            Map::from_iter([(name.to_owned(), shown)])
        };
        (told(self.before.as_deref()), told(self.after.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_tells_both_sides_and_no_secret() {
        let change = |facet: Facet, before: Option<&str>, after: Option<&str>| {
            let change = Change { facet, before: before.map(str::to_owned), after: after.map(str::to_owned) };
            assert!(!format!("{change:?}").contains("hunter2"));
            let (before, after) = change.told(&Shroud::default());
            (Value::from(before).to_string(), Value::from(after).to_string())
        };
        for (facet, before, after, expected) in [
            (Facet::Tag("k".into()), None, Some("v"), (r#"{"tags":{"k":null}}"#, r#"{"tags":{"k":"v"}}"#)),
            (Facet::Tag("k".into()), Some(""), None, (r#"{"tags":{"k":""}}"#, r#"{"tags":{"k":null}}"#)),
            (
                Facet::Alias("champion".into()),
                Some("1"),
                Some("2"),
                (r#"{"aliases":{"champion":"1"}}"#, r#"{"aliases":{"champion":"2"}}"#),
            ),
            (Facet::Description, Some("a"), Some("b"), (r#"{"description":"a"}"#, r#"{"description":"b"}"#)),
            (Facet::Name, Some("a"), Some("b"), (r#"{"name":"a"}"#, r#"{"name":"b"}"#)),
            (Facet::Stage, Some("None"), Some("Staging"), (r#"{"stage":"None"}"#, r#"{"stage":"Staging"}"#)),
        ] {
            let (was, is) = change(facet, before, after);
            assert_eq!((was.as_str(), is.as_str()), expected);
        }
        let (was, is) = change(Facet::Tag("db_password".into()), Some("hunter2"), Some("hunter2"));
        assert!(was == is && was.contains("keyed:") && !was.contains("hunter2"), "{was}");
    }
}

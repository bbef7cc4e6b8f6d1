//! In which order rows are asked for, as MLflow reads it and settles ties.

use std::cmp::Ordering;

use super::Kind;
use super::rows::Row;

/// What is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Version,
    Created,
    Updated,
}

/// One after the other, and whether each rises; the last ones are those by which MLflow settles ties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order(Vec<(Field, bool)>);

impl Order {
    /// The order that MLflow gives to these words, if they are ones that clients send. Defaults and ties are as in
    /// `store/model_registry/sqlalchemy_store.py` `_parse_search_registered_models_order_by`, `search_model_versions` and
    /// `_parse_search_model_versions_order_by`.
    pub(super) fn read(kind: Kind, words: &[&str]) -> Option<Self> {
        let mut fields = Vec::new();
        for word in words {
            let (field, rises) = field(kind, word)?;
            if fields.iter().any(|(other, _)| *other == field) {
                return None;
            }
            fields.push((field, rises));
        }
        if fields.is_empty() && kind == Kind::Versions {
            fields.push((Field::Updated, false));
        }
        let ties: &[(Field, bool)] = match kind {
            Kind::Models => &[(Field::Name, true)],
            Kind::Versions => &[(Field::Name, true), (Field::Version, false)],
        };
        for (field, rises) in ties {
            if !fields.iter().any(|(other, _)| other == field) {
                fields.push((*field, *rises));
            }
        }
        if kind == Kind::Models {
            // A name is one model's alone: what comes after it says nothing.
            let end = fields.iter().position(|(field, _)| *field == Field::Name)?;
            fields.truncate(end + 1);
        }
        Some(Self(fields))
    }

    pub(super) fn of_names(kind: Kind) -> Self {
        let ties = [(Field::Name, true), (Field::Version, false)];
        Self(ties.into_iter().take(if kind == Kind::Models { 1 } else { 2 }).collect())
    }

    /// Whether rows are sorted by a time.
    pub(super) fn has_times(&self) -> bool {
        self.0.iter().any(|(field, _)| matches!(field, Field::Created | Field::Updated))
    }

    pub(super) fn compare(&self, one: &Row, other: &Row) -> Ordering {
        for (field, rises) in &self.0 {
            let ordering = match field {
                Field::Name => one.label.cmp(&other.label),
                Field::Version => one.version.cmp(&other.version),
                Field::Created => one.created.cmp(&other.created),
                Field::Updated => one.updated.cmp(&other.updated),
            };
            if ordering != Ordering::Equal {
                return if *rises { ordering } else { ordering.reverse() };
            }
        }
        Ordering::Equal
    }
}

/// `utils/search_utils.py`: `VALID_ORDER_BY_KEYS_REGISTERED_MODELS`, `VALID_ORDER_BY_ATTRIBUTE_KEYS`. Both names of a
/// model's time mean the last one.
fn field(kind: Kind, word: &str) -> Option<(Field, bool)> {
    let (key, way) = word.split_once(' ').unwrap_or((word, "asc"));
    let rises = match way.trim_start_matches(' ').to_ascii_lowercase().as_str() {
        "asc" => true,
        "desc" => false,
        _ => return None,
    };
    let field = match (kind, key) {
        (_, "name") => Field::Name,
        (Kind::Models, "timestamp") | (_, "last_updated_timestamp") => Field::Updated,
        (Kind::Versions, "creation_timestamp") => Field::Created,
        (Kind::Versions, "version_number") => Field::Version,
        (Kind::Models | Kind::Versions, _) => return None,
    };
    Some((field, rises))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, words: &[&str], expected: Option<&[(Field, bool)]>) {
        let read = Order::read(kind, words);
        assert_eq!(read, expected.map(|fields| Order(fields.to_vec())), "{kind:?} {words:?}");
    }

    #[test]
    fn orders_are_read_and_settled_as_mlflow_does() {
        use Field::{Created, Name, Updated, Version};
        use Kind::{Models, Versions};
        check(Models, &[], Some(&[(Name, true)]));
        check(Models, &["name DESC", "timestamp"], Some(&[(Name, false)]));
        check(Models, &["timestamp desc"], Some(&[(Updated, false), (Name, true)]));
        check(Models, &["last_updated_timestamp", "name  DESC"], Some(&[(Updated, true), (Name, false)]));
        check(Versions, &[], Some(&[(Updated, false), (Name, true), (Version, false)]));
        check(Versions, &["name"], Some(&[(Name, true), (Version, false)]));
        check(
            Versions,
            &["version_number ASC", "creation_timestamp DESC"],
            Some(&[(Version, true), (Created, false), (Name, true)]),
        );
        for (kind, words) in [
            (Models, &["creation_timestamp"][..]),
            (Models, &["timestamp", "last_updated_timestamp"]),
            (Models, &["name", "name DESC"]),
            (Models, &["name up"]),
            (Models, &[" name"]),
            (Models, &["name ASC "]),
            (Models, &["`name`"]),
            (Versions, &["timestamp"]),
            (Versions, &["version"]),
            (Versions, &[""]),
        ] {
            check(kind, words, None);
        }
    }
}

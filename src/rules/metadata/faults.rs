//! What a validator finds, gathered by tag and said in words.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

/// What is wrong, by tag.
#[derive(Default)]
pub(super) struct Faults {
    found: BTreeMap<String, Vec<String>>,
    unreadable: BTreeSet<String>,
}

/// So many faults of one tag are told.
const TOLD: usize = 3;
/// So many faults in tags that the schema does not name are told.
const OTHERS: usize = 20;
/// So much is shown of a value.
const SHOWN: usize = 120;
/// Where the fault is in no single tag.
const ALL: &str = "tags";

impl Faults {
    /// A tag that could not be read is not called missing as well.
    pub(super) fn unreadable(&mut self, key: &str, fault: String) {
        self.unreadable.insert(key.to_owned());
        self.add(key, fault);
    }

    pub(super) fn note(&mut self, error: &ValidationError<'_>) {
        let path = error.instance_path().as_str().strip_prefix('/');
        let (key, below) = path.map_or((None, ""), |path| match path.split_once('/') {
            Some((key, below)) => (Some(unescaped(key)), below),
            None => (Some(unescaped(path)), ""),
        });
        let Some(key) = key else { return self.note_whole(error) };
        let what = said(error);
        self.add(&key, if below.is_empty() { what } else { format!("`{}`: {what}", dotted(below)) });
    }

    /// A fault of the tags taken together.
    fn note_whole(&mut self, error: &ValidationError<'_>) {
        if let ValidationErrorKind::Required { property } = error.kind()
            && let Some(key) = property.as_str()
        {
            if !self.unreadable.contains(key) {
                self.add(key, "is missing".to_owned());
            }
            return;
        }
        if let ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } = error.kind()
        {
            return unexpected
                .iter()
                .for_each(|key| self.add(key, "is no tag that the schema allows".to_owned()));
        }
        if let ValidationErrorKind::PropertyNames { error } = error.kind() {
            let key = error.instance().as_str().unwrap_or(ALL).to_owned();
            return self.add(&key, "is no name that the schema allows".to_owned());
        }
        self.add(ALL, error.masked_with("what they say together").to_string());
    }

    fn add(&mut self, key: &str, what: String) {
        self.found.entry(key.to_owned()).or_default().push(what);
    }

    /// All that is wrong with one tag.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.found.remove(key).map(joined)
    }

    /// What is wrong with tags that nobody asked for.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, String)> {
        self.found.into_iter().take(OTHERS).map(|(key, faults)| (cut(&key), joined(faults)))
    }
}

fn joined(mut faults: Vec<String>) -> String {
    faults.dedup();
    let more = faults.len().saturating_sub(TOLD);
    faults.truncate(TOLD);
    let told = faults.join(", ");
    if more == 0 { told } else { format!("{told}, and {more} more") }
}

fn said(error: &ValidationError<'_>) -> String {
    let kind = error.kind();
    if let ValidationErrorKind::Required { property } = kind {
        return format!("`{}` is missing", cut(property.as_str().unwrap_or_default()));
    }
    if let ValidationErrorKind::AdditionalProperties { unexpected } = kind {
        return format!("does not allow `{}`", cut(&unexpected.join("`, `")));
    }
    if matches!(kind, ValidationErrorKind::MinLength { limit: 1 }) {
        return "is empty".to_owned();
    }
    let value = shortened(error.instance());
    match kind.keyword() {
        "format" => {
            let format = error.masked_with(&value).to_string();
            format
                .strip_suffix(" is not a \"email\"")
                .map(|value| format!("{value} is not an email address"))
                .unwrap_or(format)
        }
        _ => error.masked_with(value).to_string(),
    }
}

/// A value as JSON, not too long.
pub(super) fn shortened(value: &Value) -> String {
    // A long text is cut before it is written.
    match value.as_str() {
        Some(text) => Value::from(cut(text)).to_string(),
        None => cut(&value.to_string()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A place in a tag's JSON: `a.0.b` for `a/0/b`.
fn dotted(pointer: &str) -> String {
    cut(&pointer.split('/').map(unescaped).collect::<Vec<_>>().join("."))
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

//! What is asked, in one form for every spelling of it that MLflow answers alike.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use quick_cache::Equivalent;

use crate::route::message::Message;
use crate::route::{Found, Operation};

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// `registered-models/get`
    Model,
    /// `model-versions/get`
    Version,
    /// `GET registered-models/alias`
    Alias,
    /// `registered-models/get-latest-versions`
    Latest,
    /// `model-versions/get-download-uri`
    Address,
    /// A page of `registered-models/search`.
    Models,
    /// A page of `model-versions/search`.
    Versions,
}

/// A question about the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    pub(super) sort: Sort,
    /// The registered model; empty for a list.
    model: &'a str,
    /// Whatever else was said.
    rest: Cow<'a, str>,
}

/// The same, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    sort: Sort,
    model: Box<str>,
    rest: Box<str>,
}

impl<'a> Question<'a> {
    /// What an operation asks, if answers to it are kept: both prefixes, and both methods where MLflow has two, ask alike.
    #[must_use]
    pub fn of(operation: &'a Operation) -> Option<Self> {
        let message = operation.message().filter(|_| !operation.is_write())?;
        let rest = |field| message.text(field).map(Cow::Borrowed);
        let sort = sort(operation.found.row.path)?;
        let rest = match sort {
            Sort::Model => Cow::Borrowed(""),
            Sort::Version | Sort::Address => rest("version")?,
            Sort::Alias => rest("alias")?,
            Sort::Latest => stages(message),
            // A page is asked for by its own words.
            Sort::Models | Sort::Versions => return None,
        };
        Some(Self { sort, model: message.text("name")?, rest })
    }

    /// Whether answers to what a row asks by its query are kept, if it asks soundly.
    #[must_use]
    pub fn is_of(found: &Found) -> bool {
        found.row.reads_query() && sort(found.row.path).is_some()
    }

    /// What MLflow shows of one version.
    #[must_use]
    pub const fn of_version(model: &'a str, version: &'a str) -> Self {
        Self { sort: Sort::Version, model, rest: Cow::Borrowed(version) }
    }

    /// A page of a list, by the canonical query that asks for it.
    #[must_use]
    pub const fn of_page(sort: Sort, query: &'a str) -> Self {
        Self { sort, model: "", rest: Cow::Borrowed(query) }
    }

    /// What is asked about.
    #[must_use]
    pub const fn sort(&self) -> Sort {
        self.sort
    }

    /// Whatever else was said: a version's number, an alias, a query.
    #[must_use]
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// The registered model that it is about; nothing for a list.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        (!matches!(self.sort, Sort::Models | Sort::Versions)).then_some(self.model)
    }
}

fn sort(path: &str) -> Option<Sort> {
    Some(match path {
        "registered-models/get" => Sort::Model,
        "model-versions/get" => Sort::Version,
        "registered-models/alias" => Sort::Alias,
        "registered-models/get-latest-versions" => Sort::Latest,
        "model-versions/get-download-uri" => Sort::Address,
        _ => return None,
    })
}

/// As a JSON list: no two lists are written alike.
fn stages(message: &Message) -> Cow<'_, str> {
    let stages: Vec<&str> = message.texts("stages").collect();
    if stages.is_empty() { Cow::Borrowed("") } else { Cow::Owned(serde_json::json!(stages).to_string()) }
}

impl Key {
    pub(super) fn of(question: &Question<'_>) -> Self {
        Self { sort: question.sort, model: question.model.into(), rest: question.rest.as_ref().into() }
    }

    pub(super) fn len(&self) -> usize {
        self.model.len() + self.rest.len()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.sort, &*self.model, &*self.rest).hash(state);
    }
}

impl Hash for Question<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.sort, self.model, &*self.rest).hash(state);
    }
}

impl Equivalent<Key> for Question<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.sort == key.sort && *self.model == *key.model && *self.rest == *key.rest
    }
}

//! The answer to a search.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::rows::{Key, Version};

/// One page of a search's answer.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The rows.
    pub model_versions: Vec<Found>,
    /// Where to go on, if there is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A version in an answer.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The model.
    pub name: Arc<str>,
    /// The number, as MLflow writes it.
    pub version: String,
    /// The house's stage.
    pub stage: &'static str,
    /// The tags, but for very long ones.
    pub tags: BTreeMap<Arc<str>, Box<str>>,
    /// The run that it names.
    pub run_id: Option<Box<str>>,
    /// Where its files came from.
    pub source: Box<str>,
    /// When it was made, in milliseconds since 1970.
    pub creation_timestamp: i64,
}

impl Found {
    pub(super) fn of((name, number): &Key, version: &Version) -> Self {
        Self {
            name: Arc::clone(name),
            version: number.to_string(),
            stage: version.stage,
            tags: version.tags.iter().map(|(key, value)| (Arc::clone(key), value.clone())).collect(),
            run_id: version.run.clone(),
            source: version.source.clone(),
            creation_timestamp: version.created,
        }
    }
}

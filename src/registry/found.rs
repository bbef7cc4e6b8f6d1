//! The answer to a search.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::stages::Stages;

use super::rows::{Key, STAGE, Version};

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
    pub(super) fn of(key: &Key, version: &Version, stages: &Stages) -> Self {
        let (name, number) = key;
        let stage = version.stage(key, stages).as_str();
        let tag = |(key, value): &(Arc<str>, Box<str>)| {
            let value = if &**key == STAGE { stage.into() } else { value.clone() };
            (Arc::clone(key), value)
        };
        Self {
            name: Arc::clone(name),
            version: number.to_string(),
            stage,
            tags: version.tags.iter().map(tag).collect(),
            run_id: version.run.clone(),
            source: version.source.clone(),
            creation_timestamp: version.created,
        }
    }
}

//! What MLflow says of one model or version, and the tags that sekisho writes on it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cache::news::Scope;
use crate::upstream::{Upstream, UpstreamError};

use super::{FactError, Facts, Tag, answered, query};

/// A version as MLflow has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// When it was made, in milliseconds.
    pub created: i64,
    /// MLflow's own stage.
    pub stage: String,
    /// Where its files came from.
    pub source: String,
    /// The run that it names.
    pub run: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A version as MLflow writes it.
#[derive(Deserialize)]
pub struct VersionRow {
    /// The registered model's name.
    pub name: String,
    /// Its number.
    pub version: String,
    /// When it was made, in milliseconds.
    #[serde(default)]
    pub creation_timestamp: i64,
    /// When it was changed, in milliseconds.
    #[serde(default)]
    pub last_updated_timestamp: i64,
    /// MLflow's own stage.
    #[serde(default)]
    pub current_stage: String,
    /// Where its files came from.
    #[serde(default)]
    pub source: String,
    run_id: Option<String>,
    /// Its tags, in no order.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

impl VersionRow {
    /// The run that it names: MLflow writes an empty one where there is none.
    pub fn run(&mut self) -> Option<String> {
        self.run_id.take().filter(|run| !run.is_empty())
    }
}

impl From<VersionRow> for Version {
    fn from(mut row: VersionRow) -> Self {
        Self {
            created: row.creation_timestamp,
            run: row.run(),
            stage: row.current_stage,
            source: row.source,
            tags: row.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    creation_timestamp: i64,
    #[serde(default)]
    tags: Vec<Tag>,
}

impl Facts {
    /// A version, or nothing.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn version(
        &self,
        mlflow: &Upstream,
        model: &str,
        version: &str,
    ) -> Result<Option<Version>, FactError> {
        Ok(self.version_row(mlflow, model, version).await?.map(Version::from))
    }

    /// A version with all that MLflow shows of it, or nothing.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn version_row(
        &self,
        mlflow: &Upstream,
        model: &str,
        version: &str,
    ) -> Result<Option<VersionRow>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            model_version: VersionRow,
        }
        let pairs = [("name", model), ("version", version)];
        let path = query("/api/2.0/mlflow/model-versions/get", &pairs);
        let answer: Option<Answer> = self.if_there(mlflow, &path).await?;
        Ok(answer.map(|answer| answer.model_version))
    }

    /// When a registered model was made, in milliseconds: with its name, which one it is. Nothing if there is none.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn model_created(&self, mlflow: &Upstream, model: &str) -> Result<Option<i64>, FactError> {
        Ok(self.model(mlflow, model).await?.map(|found| found.creation_timestamp))
    }

    /// A registered model's tags, or nothing.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn model_tags(
        &self,
        mlflow: &Upstream,
        model: &str,
    ) -> Result<Option<BTreeMap<String, String>>, FactError> {
        let tags = |found: Model| found.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        Ok(self.model(mlflow, model).await?.map(tags))
    }

    async fn model(&self, mlflow: &Upstream, model: &str) -> Result<Option<Model>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            registered_model: Model,
        }
        let path = query("/api/2.0/mlflow/registered-models/get", &[("name", model)]);
        let answer: Option<Answer> = self.if_there(mlflow, &path).await?;
        Ok(answer.map(|answer| answer.registered_model))
    }

    /// Whether a registered model is a prompt (`prompt/constants.py`), or nothing if there is none of that name.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn is_prompt(&self, mlflow: &Upstream, model: &str) -> Result<Option<bool>, FactError> {
        let is = |tag: &Tag| tag.key == "mlflow.prompt.is_prompt" && tag.value == "true";
        Ok(self.model(mlflow, model).await?.map(|found| found.tags.iter().any(is)))
    }

    /// Has MLflow show a version in one of its own stages. Doing so once more changes nothing.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn set_stage(
        &self,
        mlflow: &Upstream,
        (model, version): (&str, &str),
        stage: &str,
        archives: bool,
    ) -> Result<(), FactError> {
        let body = serde_json::json!({
            "name": model, "version": version, "stage": stage, "archive_existing_versions": archives
        });
        let path = "/api/2.0/mlflow/model-versions/transition-stage";
        let scope = if archives { Scope::All } else { scope_of(version) };
        self.change(mlflow, (model, scope), path, body.to_string()).await
    }

    /// Writes a tag of sekisho's own on a version. Writing the same once more changes nothing.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn tag_version(
        &self,
        mlflow: &Upstream,
        (model, version): (&str, &str),
        (key, value): (&str, &str),
    ) -> Result<(), FactError> {
        let body = serde_json::json!({ "name": model, "version": version, "key": key, "value": value });
        let path = "/api/2.0/mlflow/model-versions/set-tag";
        self.change(mlflow, (model, scope_of(version)), path, body.to_string()).await
    }

    /// Has MLflow change something of a model. Doing so once more changes nothing.
    async fn change(
        &self,
        mlflow: &Upstream,
        (model, scope): (&str, Scope),
        path: &str,
        body: String,
    ) -> Result<(), FactError> {
        let change = self.generations.change([model]);
        change.is_of(scope);
        let done = answered(mlflow, self.post(path, body)).await;
        match &done {
            Err(FactError::Upstream(UpstreamError::NotSent(_))) => change.was_not_sent(),
            Err(FactError::Upstream(_)) => change.is_unsettled(),
            Err(FactError::Status(status)) if status.is_server_error() => change.is_unsettled(),
            Ok(_) | Err(_) => {}
        }
        change.end().await;
        done.map(drop)
    }
}

fn scope_of(version: &str) -> Scope {
    version.parse().map_or(Scope::All, Scope::Version)
}

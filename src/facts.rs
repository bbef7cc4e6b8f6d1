//! What MLflow knows and a request does not say: a run's experiment, a version's stage, whose files these are.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use quick_cache::sync::Cache;
use serde::Deserialize;

use crate::govern::sources::Registered;
use crate::upstream::{self, Order, OrderBody, Upstream, UpstreamError};

/// Asks MLflow, and remembers what never changes.
#[derive(Debug)]
pub struct Facts {
    static_prefix: String,
    /// A run, logged model or trace stays in its experiment for good.
    experiments: Cache<String, String>,
}

/// Something that lies in an experiment, by its id.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// A run.
    Run(&'a str),
    /// A logged model.
    LoggedModel(&'a str),
    /// A trace.
    Trace(&'a str),
}

/// Why a fact is not known.
#[derive(Debug, thiserror::Error)]
pub enum FactError {
    /// MLflow could not be asked.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// MLflow answered with this status where it should have known.
    #[error("mlflow answered {0} to a question of ours")]
    Status(StatusCode),
    /// MLflow's answer is not what its route answers with.
    #[error("mlflow's answer to a question of ours could not be read")]
    Unreadable(#[source] serde_json::Error),
    /// More versions than are looked at for one decision.
    #[error("more than {MOST_VERSIONS} versions share these files")]
    TooMany,
}

/// A run, as far as its files go.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// Its experiment.
    pub experiment: String,
    /// Where its files are.
    pub root: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// A logged model, as far as its files go.
#[derive(Debug, PartialEq, Eq)]
pub struct LoggedModel {
    /// Its experiment.
    pub experiment: String,
    /// Where its files are.
    pub root: String,
    /// The run that logged it, if one did.
    pub run: Option<String>,
    /// The registered models that its tag `mlflow.modelVersions` names.
    pub models: Vec<String>,
}

const ANSWER: usize = 16 * 1024 * 1024;
const REMEMBERED: usize = 100_000;
const MOST_VERSIONS: usize = 10_000;

impl Facts {
    /// Knows nothing yet. `static_prefix` is MLflow's own.
    #[must_use]
    pub fn new(static_prefix: Option<&str>) -> Self {
        Self {
            static_prefix: static_prefix.unwrap_or_default().to_owned(),
            experiments: Cache::new(REMEMBERED),
        }
    }

    /// A run, or nothing if MLflow has none of that id.
    ///
    /// # Errors
    /// MLflow could not be asked, or not understood.
    pub async fn run(&self, mlflow: &Upstream, id: &str) -> Result<Option<Run>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            run: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            info: Info,
        }
        #[derive(Deserialize)]
        struct Info {
            experiment_id: String,
            #[serde(default)]
            artifact_uri: String,
        }
        let path = query("/api/2.0/mlflow/runs/get", &[("run_id", id), ("run_uuid", id)]);
        let answer: Option<Answer> = self.of_id(mlflow, id, &path).await?;
        Ok(answer.map(|answer| Run {
            experiment: answer.run.info.experiment_id,
            root: answer.run.info.artifact_uri,
        }))
    }

    /// A logged model, or nothing.
    ///
    /// # Errors
    /// As [`Facts::run`].
    pub async fn logged_model(&self, mlflow: &Upstream, id: &str) -> Result<Option<LoggedModel>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            model: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            info: Info,
        }
        #[derive(Deserialize)]
        struct Info {
            experiment_id: String,
            #[serde(default)]
            artifact_uri: String,
            source_run_id: Option<String>,
            #[serde(default)]
            tags: Vec<Tag>,
        }
        let mut path = String::from("/api/2.0/mlflow/logged-models/");
        crate::route::target::write_segment(&mut path, id);
        let answer: Option<Answer> = self.of_id(mlflow, id, &path).await?;
        Ok(answer.map(|answer| {
            let info = answer.model.info;
            let named =
                info.tags.iter().find(|tag| tag.key == "mlflow.modelVersions").map(|tag| tag.value.as_str());
            let run = info.source_run_id.filter(|run| !run.is_empty());
            LoggedModel { experiment: info.experiment_id, root: info.artifact_uri, run, models: names(named) }
        }))
    }

    /// The experiment of a run, a logged model or a trace, or nothing if MLflow has none of that id.
    ///
    /// # Errors
    /// As [`Facts::run`].
    pub async fn experiment(
        &self,
        mlflow: &Upstream,
        whose: &Whose<'_>,
    ) -> Result<Option<String>, FactError> {
        let key = format!("{whose:?}");
        if let Some(known) = self.experiments.get(&key) {
            return Ok(Some(known));
        }
        let found = match whose {
            Whose::Run(id) => self.run(mlflow, id).await?.map(|run| run.experiment),
            Whose::LoggedModel(id) => self.logged_model(mlflow, id).await?.map(|model| model.experiment),
            Whose::Trace(id) => self.experiment_of_trace(mlflow, id).await?,
        };
        if let Some(experiment) = &found {
            self.experiments.insert(key, experiment.clone());
        }
        Ok(found)
    }

    async fn experiment_of_trace(&self, mlflow: &Upstream, id: &str) -> Result<Option<String>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            trace: Trace,
        }
        #[derive(Deserialize)]
        struct Trace {
            trace_info: Info,
        }
        #[derive(Deserialize)]
        struct Info {
            trace_location: Location,
        }
        #[derive(Deserialize)]
        struct Location {
            mlflow_experiment: Option<Experiment>,
        }
        #[derive(Deserialize)]
        struct Experiment {
            experiment_id: String,
        }
        let mut path = String::from("/api/3.0/mlflow/traces/");
        crate::route::target::write_segment(&mut path, id);
        let answer: Option<Answer> = self.of_id(mlflow, id, &path).await?;
        let location = answer.and_then(|answer| answer.trace.trace_info.trace_location.mlflow_experiment);
        Ok(location.map(|experiment| experiment.experiment_id))
    }

    /// Whether a registered model is a prompt (`prompt/constants.py`), or nothing if there is none of that name.
    ///
    /// # Errors
    /// As [`Facts::run`].
    pub async fn is_prompt(&self, mlflow: &Upstream, model: &str) -> Result<Option<bool>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            registered_model: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            #[serde(default)]
            tags: Vec<Tag>,
        }
        let answer: Option<Answer> = self
            .if_there(mlflow, &query("/api/2.0/mlflow/registered-models/get", &[("name", model)]))
            .await?;
        let is = |tag: &Tag| tag.key == "mlflow.prompt.is_prompt" && tag.value.eq_ignore_ascii_case("true");
        Ok(answer.map(|answer| answer.registered_model.tags.iter().any(is)))
    }

    /// MLflow's own stage of a version, or nothing.
    ///
    /// # Errors
    /// As [`Facts::run`].
    pub async fn stage(
        &self,
        mlflow: &Upstream,
        model: &str,
        version: &str,
    ) -> Result<Option<String>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            model_version: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            current_stage: String,
        }
        let path = query("/api/2.0/mlflow/model-versions/get", &[("name", model), ("version", version)]);
        let answer: Option<Answer> = self.if_there(mlflow, &path).await?;
        Ok(answer.map(|answer| answer.model_version.current_stage))
    }

    /// Every version that MLflow's search finds by `filter`, prompts and models whose versions a prompt tag hides included.
    ///
    /// # Errors
    /// As [`Facts::run`]; too many.
    pub async fn versions(&self, mlflow: &Upstream, filter: &str) -> Result<Vec<Registered>, FactError> {
        let prompts = format!("{filter} AND tags.`mlflow.prompt.is_prompt` = 'true'");
        let mut found = self.pages(mlflow, filter).await?;
        found.extend(self.pages(mlflow, &prompts).await?);
        Ok(found)
    }

    async fn pages(&self, mlflow: &Upstream, filter: &str) -> Result<Vec<Registered>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            model_versions: Vec<Version>,
            next_page_token: Option<String>,
        }
        #[derive(Deserialize)]
        struct Version {
            name: String,
            #[serde(default)]
            source: String,
        }
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let mut pairs = vec![("filter", filter), ("max_results", "1000")];
            if !token.is_empty() {
                pairs.push(("page_token", &token));
            }
            let path = query("/api/2.0/mlflow/model-versions/search", &pairs);
            let answer: Answer = self.ask(mlflow, &path).await?;
            let versions = answer.model_versions.into_iter();
            found.extend(
                versions.map(|version| Registered { model: version.name, source: Some(version.source) }),
            );
            if found.len() > MOST_VERSIONS {
                return Err(FactError::TooMany);
            }
            match answer.next_page_token.filter(|next| !next.is_empty()) {
                Some(next) => token = next,
                None => return Ok(found),
            }
        }
    }

    /// What is there under an id that a caller wrote, or nothing: MLflow answers 404 to an id that it does not have, and 400 or
    /// 405 to one that it cannot have.
    async fn of_id<A: serde::de::DeserializeOwned>(
        &self,
        mlflow: &Upstream,
        id: &str,
        path: &str,
    ) -> Result<Option<A>, FactError> {
        if matches!(id, "" | "." | "..") || id.contains('/') {
            return Ok(None);
        }
        match self.ask(mlflow, path).await {
            Err(FactError::Status(
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED,
            )) => Ok(None),
            other => other.map(Some),
        }
    }

    /// What is there, or nothing for 404.
    async fn if_there<A: serde::de::DeserializeOwned>(
        &self,
        mlflow: &Upstream,
        path: &str,
    ) -> Result<Option<A>, FactError> {
        match self.ask(mlflow, path).await {
            Err(FactError::Status(StatusCode::NOT_FOUND)) => Ok(None),
            other => other.map(Some),
        }
    }

    async fn ask<A: serde::de::DeserializeOwned>(
        &self,
        mlflow: &Upstream,
        path: &str,
    ) -> Result<A, FactError> {
        let body = self.fetch(mlflow, path).await?;
        serde_json::from_slice(&body).map_err(FactError::Unreadable)
    }

    /// MLflow's answer to a GET of `path`, a canonical path and query without the static prefix; 404 is nothing.
    ///
    /// # Errors
    /// MLflow could not be asked, or answered with an error.
    pub async fn look(&self, mlflow: &Upstream, path: &str) -> Result<Option<Bytes>, FactError> {
        match self.fetch(mlflow, path).await {
            Err(FactError::Status(StatusCode::NOT_FOUND)) => Ok(None),
            other => other.map(Some),
        }
    }

    async fn fetch(&self, mlflow: &Upstream, path: &str) -> Result<Bytes, FactError> {
        let order = Order {
            method: Method::GET,
            path_and_query: format!("{}{path}", self.static_prefix),
            headers: HeaderMap::new(),
            body: OrderBody::Empty,
            repeatable: true,
        };
        let response = mlflow.send(order).await?;
        let status = response.status();
        let body: Bytes = upstream::collect(response.into_body(), ANSWER).await?;
        match status {
            StatusCode::OK => Ok(body),
            other => Err(FactError::Status(other)),
        }
    }
}

/// A path with its query, encoded.
#[must_use]
pub fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{path}?{query}")
}

/// The names in MLflow's tag `mlflow.modelVersions`: a JSON list of `{"name", "version"}`.
fn names(tag: Option<&str>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Entry {
        name: String,
    }
    let entries: Vec<Entry> = tag.and_then(|tag| serde_json::from_str(tag).ok()).unwrap_or_default();
    entries.into_iter().map(|entry| entry.name).collect()
}

//! What MLflow knows and a request does not say: a run's experiment, a version's stage, whose files these are.

pub mod pages;
mod versions;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use quick_cache::sync::Cache;
use serde::Deserialize;

use crate::cache::generations::Generations;
use crate::upstream::{self, Order, OrderBody, SaidAt, Upstream, UpstreamError};

pub use versions::{Version, VersionRow};

/// Asks MLflow, and remembers what never changes.
#[derive(Debug)]
pub struct Facts {
    static_prefix: String,
    /// What sekisho writes by itself is a write too.
    generations: Arc<Generations>,
    /// A run or logged model stays where it is for good.
    held: Cache<String, Arc<Held>>,
    /// And so does a trace.
    traces: Cache<String, String>,
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

/// Something that has files, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A run.
    Run(String),
    /// A logged model.
    LoggedModel(String),
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
    /// What MLflow says of versions does not settle.
    #[error("mlflow's answers about versions do not agree with each other")]
    Unsettled,
    /// More than is looked at for one decision.
    #[error("more runs and logged models are concerned than are looked at")]
    TooMany,
}

/// A run or logged model, as far as its files go.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    /// Its experiment.
    pub experiment: String,
    /// Where its files are.
    pub root: String,
    /// The run that logged a logged model, if one did.
    pub run: Option<String>,
    /// A logged model's own name.
    pub name: Option<String>,
}

/// A tag as MLflow writes it.
#[derive(Deserialize)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value, empty where MLflow leaves it out.
    #[serde(default)]
    pub value: String,
}

const ANSWER: usize = 16 * 1024 * 1024;
/// By this MLflow's own log tells our questions from what is forwarded.
const OURS: HeaderValue = HeaderValue::from_static(concat!("sekisho/", env!("CARGO_PKG_VERSION")));
const REMEMBERED: usize = 100_000;

impl Facts {
    /// Knows nothing yet. `static_prefix` is MLflow's own.
    #[must_use]
    pub fn new(static_prefix: Option<&str>, generations: Arc<Generations>) -> Self {
        Self {
            static_prefix: static_prefix.unwrap_or_default().to_owned(),
            generations,
            held: Cache::new(REMEMBERED),
            traces: Cache::new(REMEMBERED),
        }
    }

    /// A run or logged model, deleted ones too, or nothing if MLflow has none of that id.
    ///
    /// # Errors
    /// MLflow could not be asked, or not understood.
    pub async fn held(&self, mlflow: &Upstream, holder: &Holder) -> Result<Option<Arc<Held>>, FactError> {
        let (key, id) = match holder {
            Holder::Run(id) => (format!("run {id}"), id),
            Holder::LoggedModel(id) => (format!("model {id}"), id),
        };
        if let Some(known) = self.held.get(&key) {
            return Ok(Some(known));
        }
        let found = match holder {
            Holder::Run(_) => self.run(mlflow, id).await?,
            Holder::LoggedModel(_) => self.logged_model(mlflow, id).await?,
        };
        let found = found.map(Arc::new);
        if let Some(held) = &found {
            self.held.insert(key, Arc::clone(held));
        }
        Ok(found)
    }

    async fn run(&self, mlflow: &Upstream, id: &str) -> Result<Option<Held>, FactError> {
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
        Ok(answer.map(|answer| {
            let Info { experiment_id, artifact_uri } = answer.run.info;
            Held { experiment: experiment_id, root: artifact_uri, run: None, name: None }
        }))
    }

    async fn logged_model(&self, mlflow: &Upstream, id: &str) -> Result<Option<Held>, FactError> {
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
            name: Option<String>,
        }
        let mut path = String::from("/api/2.0/mlflow/logged-models/");
        crate::route::target::write_segment(&mut path, id);
        path.push_str("?allow_deleted=true");
        let answer: Option<Answer> = self.of_id(mlflow, id, &path).await?;
        Ok(answer.map(|answer| {
            let Info { experiment_id, artifact_uri, source_run_id, name } = answer.model.info;
            let run = source_run_id.filter(|run| !run.is_empty());
            Held { experiment: experiment_id, root: artifact_uri, run, name }
        }))
    }

    /// The experiment of a run, a logged model or a trace, or nothing if MLflow has none of that id.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn experiment(
        &self,
        mlflow: &Upstream,
        whose: &Whose<'_>,
    ) -> Result<Option<String>, FactError> {
        let holder = match whose {
            Whose::Run(id) => Holder::Run((*id).to_owned()),
            Whose::LoggedModel(id) => Holder::LoggedModel((*id).to_owned()),
            Whose::Trace(id) => return self.experiment_of_trace(mlflow, id).await,
        };
        Ok(self.held(mlflow, &holder).await?.map(|held| held.experiment.clone()))
    }

    async fn experiment_of_trace(&self, mlflow: &Upstream, id: &str) -> Result<Option<String>, FactError> {
        if let Some(known) = self.traces.get(id) {
            return Ok(Some(known));
        }
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
        let found = location.map(|experiment| experiment.experiment_id);
        if let Some(experiment) = &found {
            self.traces.insert(id.to_owned(), experiment.clone());
        }
        Ok(found)
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

    /// What is there, or nothing for 404. `path` is canonical and without the static prefix.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn if_there<A: serde::de::DeserializeOwned>(
        &self,
        mlflow: &Upstream,
        path: &str,
    ) -> Result<Option<A>, FactError> {
        match self.ask(mlflow, path).await {
            Err(FactError::Status(StatusCode::NOT_FOUND)) => Ok(None),
            other => other.map(Some),
        }
    }

    /// MLflow's answer to a GET of `path`, which must be there.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn ask<A: serde::de::DeserializeOwned>(
        &self,
        mlflow: &Upstream,
        path: &str,
    ) -> Result<A, FactError> {
        Ok(self.ask_and_when(mlflow, path).await?.0)
    }

    /// The same, and what time it was for MLflow, where it says.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn ask_and_when<A: serde::de::DeserializeOwned>(
        &self,
        mlflow: &Upstream,
        path: &str,
    ) -> Result<(A, Option<SaidAt>), FactError> {
        let (body, at) = self.fetch(mlflow, path).await?;
        Ok((serde_json::from_slice(&body).map_err(FactError::Unreadable)?, at))
    }

    /// MLflow's answer to one of its searches that are read from a body.
    ///
    /// # Errors
    /// As [`Facts::held`].
    pub async fn search<A: serde::de::DeserializeOwned>(
        &self,
        mlflow: &Upstream,
        path: &str,
        body: String,
    ) -> Result<A, FactError> {
        let (body, _) = answered(mlflow, self.post(path, body)).await?;
        serde_json::from_slice(&body).map_err(FactError::Unreadable)
    }

    fn post(&self, path: &str, body: String) -> Order {
        let json = HeaderValue::from_static("application/json");
        Order {
            method: Method::POST,
            path_and_query: format!("{}{path}", self.static_prefix),
            headers: HeaderMap::from_iter([(header::USER_AGENT, OURS), (header::CONTENT_TYPE, json)]),
            body: OrderBody::Bytes(body.into()),
            repeatable: true,
        }
    }

    /// MLflow's answer to a GET of `path`, a canonical path and query without the static prefix; 404 is nothing.
    ///
    /// # Errors
    /// MLflow could not be asked, or answered with an error.
    pub async fn look(&self, mlflow: &Upstream, path: &str) -> Result<Option<Bytes>, FactError> {
        match self.fetch(mlflow, path).await {
            Err(FactError::Status(StatusCode::NOT_FOUND)) => Ok(None),
            other => other.map(|(body, _)| Some(body)),
        }
    }

    /// The same, where a 404 is nothing only in MLflow's own words (`RESOURCE_DOES_NOT_EXIST`): a server that answers in its
    /// place knows nothing.
    ///
    /// # Errors
    /// MLflow could not be asked, or answered with an error.
    pub async fn look_surely(&self, mlflow: &Upstream, path: &str) -> Result<Option<Bytes>, FactError> {
        let response = mlflow.send(self.question(path)).await?;
        let status = response.status();
        let body = upstream::collect(response.into_body(), ANSWER).await?;
        let said = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let is_absent = said.get("error_code").is_some_and(|code| code == "RESOURCE_DOES_NOT_EXIST");
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND if is_absent => Ok(None),
            other => Err(FactError::Status(other)),
        }
    }

    async fn fetch(&self, mlflow: &Upstream, path: &str) -> Result<(Bytes, Option<SaidAt>), FactError> {
        answered(mlflow, self.question(path)).await
    }

    /// A GET of ours, of a canonical path and query without the static prefix.
    #[must_use]
    pub fn question(&self, path: &str) -> Order {
        Order {
            method: Method::GET,
            path_and_query: format!("{}{path}", self.static_prefix),
            headers: HeaderMap::from_iter([(header::USER_AGENT, OURS)]),
            body: OrderBody::Empty,
            repeatable: true,
        }
    }
}

async fn answered(mlflow: &Upstream, order: Order) -> Result<(Bytes, Option<SaidAt>), FactError> {
    let response = mlflow.send(order).await?;
    let status = response.status();
    let at = response.extensions().get().copied();
    let body = upstream::collect(response.into_body(), ANSWER).await?;
    match status {
        StatusCode::OK => Ok((body, at)),
        other => Err(FactError::Status(other)),
    }
}

/// A path with its query, encoded.
#[must_use]
pub fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{path}?{query}")
}

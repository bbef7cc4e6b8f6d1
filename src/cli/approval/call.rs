//! A running sekisho, asked as the MLflow client of the same person would ask.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::super::plain::plain;
use super::super::{Failure, Output};
use crate::config;
use crate::outbound::Client;

/// Longer than the server takes to read a version's files for a transition.
const DEADLINE: Duration = Duration::from_secs(150);
/// The longest answer.
const LONGEST: usize = 16 * 1024 * 1024;
/// The longest text of an answer that is no JSON and is shown all the same.
const SHOWN: usize = 200;

/// Where sekisho is, and how its answer is printed.
#[derive(Debug, clap::Args)]
pub(in super::super) struct Server {
    /// Where sekisho listens; else `MLFLOW_TRACKING_URI`. The token is always that of `MLFLOW_TRACKING_TOKEN`, or of
    /// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    #[arg(long)]
    url: Option<String>,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value = "text")]
    pub(super) output: Output,
}

/// A sekisho that can be asked, and who asks.
pub(super) struct Reached {
    base: Url,
    token: HeaderValue,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Finds out where to ask. Nothing is sent yet.
    pub(super) fn reach(&self) -> Result<Reached, Failure> {
        let tracking = config::tracking();
        let Some(address) = self.url.clone().or(tracking.uri) else {
            return Err(Failure::stop(
                "nobody says where sekisho is: set MLFLOW_TRACKING_URI, or give --url",
            ));
        };
        let Some(token) = tracking.token else {
            return Err(Failure::stop("there is no token: set MLFLOW_TRACKING_TOKEN"));
        };
        // It may be a secret that was put in the wrong place, so it is not shown.
        let mut token = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| anyhow!("MLFLOW_TRACKING_TOKEN is no token"))?;
        token.set_sensitive(true);
        let runtime = tokio::runtime::Runtime::new().context("cannot start")?;
        let client = Client::new().context("cannot ask anybody")?;
        Ok(Reached { base: base(&address)?, token, client, runtime })
    }
}

fn base(address: &str) -> Result<Url, Failure> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url.filter(Url::has_host) else {
        return Err(Failure::stop("the address of sekisho must begin with http:// or https://"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::stop(
            "the address of sekisho must not hold a password: set MLFLOW_TRACKING_TOKEN",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Failure::stop("the address of sekisho must not hold a query or a fragment"));
    }
    Ok(url)
}

impl Reached {
    /// Reads something.
    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.ask(&Method::GET, &self.at(path, query), None)
    }

    /// Has something done.
    pub(super) fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.ask(&Method::POST, &self.at(path, &[]), Some(body))
    }

    fn at(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["sekisho", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn ask(&self, method: &Method, url: &Url, body: Option<&Value>) -> Result<Value, Failure> {
        let uri: Uri = url.as_str().parse().map_err(|_| anyhow!("the address of sekisho is no URL"))?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::AUTHORIZATION, &self.token)
            .header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).context("cannot make a request")?;
        let exchanged = self.runtime.block_on(self.client.exchange(request, LONGEST, DEADLINE));
        let place = self.base.host_str().unwrap_or_default();
        let (status, body) = exchanged.with_context(|| format!("sekisho at {place} cannot be asked"))?;
        let said: Option<Value> = serde_json::from_slice(&body).ok();
        match said {
            Some(said) if status == StatusCode::OK => Ok(said),
            said => Err(refused(status, said.as_ref(), &body)),
        }
    }
}

/// What is refused ends with 1; what was asked in a wrong way, or of nobody who could answer, with 2.
fn refused(status: StatusCode, said: Option<&Value>, body: &[u8]) -> Failure {
    let sentence = said.and_then(|said| said.get("message")).and_then(Value::as_str);
    let sentence = match sentence {
        Some(sentence) => sentence.to_owned(),
        None => {
            let text: String = String::from_utf8_lossy(body).chars().take(SHOWN).collect();
            format!("the answer is {status}, and is none of sekisho's: {text}")
        }
    };
    let code = match status {
        StatusCode::BAD_REQUEST => 2,
        _ if sentence_is_ours(said) && status.is_client_error() => 1,
        _ => 2,
    };
    Failure { code, sentences: vec![plain(&sentence)] }
}

fn sentence_is_ours(said: Option<&Value>) -> bool {
    said.is_some_and(|said| said.get("error_code").is_some())
}

/// An answer as a thing of its type.
pub(super) fn understood<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    let read = serde_json::from_value(value).context("the answer is none that sekisho gives")?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_a_client_would_take_it() {
        for good in ["http://127.0.0.1:8080", "https://mlflow.example.com/", "https://example.com/mlflow"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in
            ["databricks", "sqlite:///x.db", "http://", "http://u:p@h/", "http://h/?x=1", "http://h/#x"]
        {
            let failure = base(bad).unwrap_err();
            assert_eq!(failure.code, 2, "{bad}");
            assert!(!failure.sentences.concat().contains("u:p"), "{bad}");
        }
    }

    #[test]
    fn a_refusal_ends_with_1_and_anything_else_with_2() {
        let ours = serde_json::json!({ "error_code": "X", "message": "no\u{1b}[2J" });
        for (status, said, code) in [
            (StatusCode::FORBIDDEN, Some(&ours), 1),
            (StatusCode::UNAUTHORIZED, Some(&ours), 1),
            (StatusCode::CONFLICT, Some(&ours), 1),
            (StatusCode::FAILED_DEPENDENCY, Some(&ours), 1),
            (StatusCode::BAD_REQUEST, Some(&ours), 2),
            (StatusCode::SERVICE_UNAVAILABLE, Some(&ours), 2),
            (StatusCode::FORBIDDEN, None, 2),
            (StatusCode::OK, None, 2),
        ] {
            let failure = refused(status, said, b"<html>\x1b[2J");
            assert_eq!(failure.code, code, "{status} {said:?}");
            assert!(!failure.sentences.concat().contains('\u{1b}'));
        }
    }
}

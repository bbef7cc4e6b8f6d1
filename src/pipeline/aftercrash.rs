//! Writes that an earlier process had begun and did not live to tell the end of: MLflow is asked what became of them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::aftermath;
use crate::audit::Outcome;
use crate::record::line::{Entry, Kind, Line};
use crate::route::{self, Operation};

use super::Gate;

/// How often MLflow is looked for.
const LOOK: Duration = Duration::from_secs(1);

impl Gate {
    /// Gives every intent an outcome, once MLflow answers. What is not done by the drain is left to the next start.
    pub async fn close_intents(&self, left: Vec<Line>) {
        let work = async {
            for line in left {
                while !self.mlflow.probe().await {
                    sleep(LOOK).await;
                }
                let outcome = self.became_of(&line).await;
                let (id, seq) = (line.entry.id.clone(), line.seq);
                info!(id, seq, ?outcome, "a write that was begun before the start is accounted for");
                match self.journal.record().place().await {
                    Ok(place) => place.tell(closing(line, outcome, self.clock.now())),
                    Err(error) => warn!(%error, id, "its outcome could not be written"),
                }
            }
        };
        tokio::select! {
            () = self.drain.started() => {}
            () = work => {}
        }
    }

    /// What MLflow shows of a write. What it does not show may have been done and undone, or be on its way still.
    async fn became_of(&self, line: &Line) -> Outcome {
        let Some((operation, begun)) = again(&line.entry) else { return Outcome::Unknown };
        match aftermath::find_out(&self.facts, &self.mlflow, &operation, begun).await {
            Some(_) => Outcome::Applied,
            None => Outcome::Unknown,
        }
    }
}

/// The write as it was understood, if its line has all of it.
fn again(intent: &Entry) -> Option<(Operation, Timestamp)> {
    let method = Method::from_bytes(intent.method.as_deref()?.as_bytes()).ok()?;
    let uri: Uri = intent.route.as_deref()?.parse().ok()?;
    let found = route::find(&method, &uri, false, None).ok()?;
    let body = serde_json::to_vec(&Value::Object(intent.params.clone())).ok()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let operation = route::read(found, &uri, &headers, Bytes::from(body)).ok()?;
    Some((operation, intent.time.parse().ok()?))
}

/// The line that says so.
fn closing(line: Line, outcome: Outcome, now: Timestamp) -> Entry {
    let Line { seq, entry: intent, .. } = line;
    let mut entry = Entry::new(intent.id, now, Kind::Outcome);
    entry.principal = intent.principal;
    entry.roles = intent.roles;
    entry.route = intent.route;
    entry.operation = intent.operation;
    entry.object = intent.object;
    entry.decision = intent.decision;
    entry.policy = intent.policy;
    entry.reason = Some("sekisho ended before it could tell; MLflow was asked afterwards".to_owned());
    entry.outcome = Some(outcome);
    entry.intent = Some(seq);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_whole_is_understood_again() {
        let mut intent = Entry::new("1", Timestamp::UNIX_EPOCH, Kind::Intent);
        intent.method = Some("POST".to_owned());
        intent.route = Some("/api/2.0/mlflow/model-versions/set-tag".to_owned());
        intent.params =
            serde_json::from_str(r#"{"name":"iris","version":"1","key":"k","value":"v"}"#).unwrap();
        let (operation, begun) = again(&intent).unwrap();
        assert_eq!(operation.message().and_then(|message| message.text("value")), Some("v"));
        assert_eq!(begun, Timestamp::UNIX_EPOCH);
        // A value that is told by its hash is another value.
        intent.params.insert("value".to_owned(), serde_json::json!({ "bytes": 2000, "sha256": "0" }));
        assert!(again(&intent).is_none());
        intent.route = Some("/api/2.0/mlflow/model-versions/{name}".to_owned());
        assert!(again(&intent).is_none());
    }
}

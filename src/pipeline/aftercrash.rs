//! Writes that an earlier process had begun and did not live to tell the end of: MLflow is asked what became of them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::aftermath;
use crate::audit::{Facet, Outcome};
use crate::cache::generations::Change;
use crate::record::line::{Entry, Kind, Line};
use crate::route::{self, Operation};

use super::Gate;

/// How often MLflow is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// A write that MLflow does not show so long after the start is not on its way any more: what an earlier process had sent it
/// had sent before, and MLflow is not waited for longer than two minutes here either.
pub const SETTLES: Duration = Duration::from_secs(150);

impl Gate {
    /// What an earlier process left may still be done: until that is known, nothing is remembered of what it is about.
    #[must_use]
    pub fn left_open(&self, left: Vec<Line>) -> Vec<(Line, Change)> {
        self.batches.are_left(left.iter().any(|line| registers(&line.entry)));
        let held = left.into_iter().map(|line| {
            let change = self.cache.change_that_was_left(models(&line.entry));
            (line, change)
        });
        held.collect()
    }

    /// Gives every intent an outcome, once MLflow answers. What is not done by the drain is left to the next start.
    pub async fn close_intents(&self, left: Vec<(Line, Change)>) {
        let (start, ended) = (self.clock.instant(), self.clock.now());
        let work = async {
            let mut unseen = Vec::new();
            for (line, change) in left {
                self.until_mlflow_answers().await;
                if self.is_done(&line, ended).await {
                    self.account_for(line, Outcome::Applied).await;
                    change.end().await;
                } else {
                    unseen.push((line, change));
                }
            }
            sleep(self.settles.saturating_sub(self.clock.instant().saturating_duration_since(start))).await;
            for (line, change) in unseen {
                let outcome = loop {
                    self.until_mlflow_answers().await;
                    let outcome = self.became_of(&line, ended).await;
                    // An MLflow that was gone meanwhile shows nothing.
                    if outcome != Outcome::Unknown || self.mlflow.probe().await {
                        break outcome;
                    }
                };
                self.account_for(line, outcome).await;
                change.end().await;
            }
            self.batches.are_left(false);
        };
        tokio::select! {
            () = self.drain.started() => {}
            () = work => {}
        }
    }

    async fn until_mlflow_answers(&self) {
        while !self.mlflow.probe().await {
            sleep(LOOK).await;
        }
    }

    async fn account_for(&self, line: Line, outcome: Outcome) {
        let (id, seq) = (line.entry.id.clone(), line.seq);
        let after = if outcome == Outcome::Applied { self.after(&line.entry).await } else { Map::new() };
        info!(id, seq, ?outcome, "a write that was begun before the start is accounted for");
        match self.journal.record().place().await {
            Ok(place) => place.tell(Entry { after, ..closing(line, outcome, self.clock.now()) }),
            Err(error) => warn!(%error, id, "its outcome could not be written"),
        }
    }

    /// What a write made of what it changed, as its line would have told it.
    async fn after(&self, intent: &Entry) -> Map<String, Value> {
        let Some((operation, _)) = again(intent) else { return Map::new() };
        let change = self.change(&operation).await.filter(|_| !intent.before.is_empty());
        change.map(|change| self.journal.told(&change).1).unwrap_or_default()
    }

    /// Whether MLflow shows a write that was begun by a process which had `ended` by then.
    async fn is_done(&self, line: &Line, ended: Timestamp) -> bool {
        let Some((operation, begun)) = again(&line.entry) else { return false };
        aftermath::find_out(&self.facts, &self.mlflow, &operation, begun, Some(ended)).await.is_some()
    }

    /// What MLflow shows of a write that had its time. What it shows neither done nor as it was before is not known.
    async fn became_of(&self, line: &Line, ended: Timestamp) -> Outcome {
        if self.is_done(line, ended).await {
            return Outcome::Applied;
        }
        let Some((operation, begun)) = again(&line.entry) else { return Outcome::Unknown };
        let undone = aftermath::is_undone(&self.facts, &self.mlflow, &operation, begun).await
            || self.is_as_before(&line.entry, &operation).await;
        if undone { Outcome::NotApplied } else { Outcome::Unknown }
    }

    /// Whether what a write should have changed is what it was when it was let in.
    async fn is_as_before(&self, intent: &Entry, operation: &Operation) -> bool {
        if intent.before.is_empty() {
            return false;
        }
        let now = self.change(operation).await.filter(|change| change.facet != Facet::Name);
        // What changes nothing looks the same, done or not.
        let tells = now.filter(|now| now.before != now.after);
        tells.is_some_and(|now| self.journal.told(&now).0 == intent.before)
    }
}

/// The write as it was understood, if its line has all of it.
fn again(intent: &Entry) -> Option<(Operation, Timestamp)> {
    let method = Method::from_bytes(intent.method.as_deref()?.as_bytes()).ok()?;
    let uri: Uri = intent.route.as_deref()?.parse().ok()?;
    let found = route::find(&method, &uri, false, None).ok()?;
    // What stands for a secret is another value.
    let hidden = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("keyed:"));
    if intent.params.values().any(hidden) {
        return None;
    }
    let body = serde_json::to_vec(&Value::Object(intent.params.clone())).ok()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let operation = route::read(found, &uri, &headers, Bytes::from(body)).ok()?;
    Some((operation, intent.time.parse().ok()?))
}

/// The registered models that a write may have changed, as its line tells them: also where not all of it is told.
fn models(intent: &Entry) -> impl Iterator<Item = &str> {
    let named = ["name", "new_name"].into_iter().filter_map(|key| intent.params.get(key)?.as_str());
    let demanded =
        intent.demands.iter().filter_map(|demand| demand.split_once(' ').map(|(_, object)| object));
    let objects = intent.object.as_deref().into_iter().chain(demanded);
    // No model's name holds a slash (`utils/validation.py`).
    let of = objects.filter_map(|object| object.strip_prefix("model:")?.split('/').next());
    named.chain(of)
}

/// Whether a write registers a version.
fn registers(intent: &Entry) -> bool {
    intent.route.as_deref().is_some_and(|route| route.ends_with("model-versions/create"))
}

/// The line that says so.
fn closing(line: Line, outcome: Outcome, now: Timestamp) -> Entry {
    let Line { seq, entry: intent, .. } = line;
    let mut entry = Entry::new(intent.id, now, Kind::Outcome);
    entry.principal = intent.principal;
    entry.roles = intent.roles;
    entry.access = intent.access;
    entry.route = intent.route;
    entry.operation = intent.operation;
    entry.object = intent.object;
    entry.demands = intent.demands;
    entry.decision = intent.decision;
    entry.policy = intent.policy;
    entry.before = intent.before;
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
        intent.params.insert("value".to_owned(), serde_json::json!("keyed:0123"));
        assert!(again(&intent).is_none());
        intent.params.insert("value".to_owned(), serde_json::json!("v"));
        intent.route = Some("/api/2.0/mlflow/model-versions/{name}".to_owned());
        assert!(again(&intent).is_none());
    }
}

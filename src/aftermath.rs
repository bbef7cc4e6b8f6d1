//! A write was sent and its answer was lost: MLflow is asked what became of it.
//!
//! Only what is plainly there counts. A write that is not there may still be on its way, so nothing is called undone before
//! that is out of the question.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use crate::facts::{FactError, Facts, query};
use crate::route::Operation;
use crate::route::message::Message;
use crate::upstream::Upstream;

/// What an applied write would have been answered with.
pub type Answer = Bytes;

const LOOKS: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(500);
/// An MLflow that hangs must not be waited for once more for each look: the caller has waited already.
const ONE_LOOK: Duration = Duration::from_secs(1);

/// MLflow's clock may be behind by so many milliseconds.
const CLOCKS: i64 = 60_000;

/// Looks a few times, for two to six seconds, whether the registry shows the write that was begun at `begun`; gives the answer that
/// MLflow would have given, or nothing if it cannot be told. What was made after `ended` was made by somebody else.
pub async fn find_out(
    facts: &Facts,
    mlflow: &Upstream,
    operation: &Operation,
    begun: Timestamp,
    ended: Option<Timestamp>,
) -> Option<Answer> {
    let time = Time { begun, ended };
    let message = operation.message()?;
    let path = operation.found.row.path;
    let verb = operation.found.row.verb;
    let look = Look::of(verb.as_str(), path, message)?;
    for attempt in 0..LOOKS {
        if attempt > 0 {
            sleep(BETWEEN).await;
        }
        let seen = timeout(ONE_LOOK, look.once(facts, mlflow, message, time)).await;
        if let Ok(Ok(Some(answer))) = seen {
            return Some(answer);
        }
    }
    None
}

/// Whether the registry shows that a write was not done which was begun at `begun`, so long ago that it is not on its way
/// any more: what should be made is not there, or what should be gone is. Of what changes something, who knows how it was
/// before can tell.
pub async fn is_undone(facts: &Facts, mlflow: &Upstream, operation: &Operation, begun: Timestamp) -> bool {
    let row = operation.found.row;
    let Some(message) = operation.message() else { return false };
    let Some(look) = Look::of(row.verb.as_str(), row.path, message) else { return false };
    let seen = timeout(ONE_LOOK, facts.look_surely(mlflow, &look.path)).await;
    matches!(seen, Ok(Ok(body)) if look.sees.lacks(body.as_ref(), message.text("source"), begun))
}

/// When a write was on its way.
#[derive(Clone, Copy)]
struct Time {
    begun: Timestamp,
    ended: Option<Timestamp>,
}

impl Time {
    /// Whether something was made meanwhile, in milliseconds of MLflow's clock.
    fn has(self, at: i64) -> bool {
        at >= self.begun.as_millisecond() && self.ended.is_none_or(|ended| at <= ended.as_millisecond())
    }
}

/// Where to look, and what must be seen there.
struct Look {
    path: String,
    sees: Sees,
}

#[derive(Clone, Copy)]
enum Sees {
    /// Nothing any more.
    Gone,
    /// The object in this member, made since the write was begun.
    Made(&'static str),
    /// The newest of the list, made since the write was begun from the same source.
    MadeFromSource,
    /// The object in this member with this text field as in the request.
    Same(&'static str, &'static str, &'static str),
    /// The tag of the request in the object in this member, or its absence.
    Tag(&'static str, bool),
    /// The version that the alias should have.
    Alias,
}

const V2: &str = "/api/2.0/mlflow";

impl Look {
    fn of(verb: &str, path: &str, message: &Message) -> Option<Self> {
        let text = |field| message.text(field).unwrap_or_default();
        let model = || query(&format!("{V2}/registered-models/get"), &[("name", text("name"))]);
        let version = || {
            query(
                &format!("{V2}/model-versions/get"),
                &[("name", text("name")), ("version", text("version"))],
            )
        };
        let alias = || {
            query(
                &format!("{V2}/registered-models/alias"),
                &[("name", text("name")), ("alias", text("alias"))],
            )
        };
        let (path, sees) = match (verb, path) {
            ("POST", "registered-models/create") => (model(), Sees::Made("registered_model")),
            ("PATCH", "registered-models/update") => {
                (model(), Sees::Same("registered_model", "description", "description"))
            }
            ("POST", "registered-models/rename") => {
                let renamed = query(&format!("{V2}/registered-models/get"), &[("name", text("new_name"))]);
                (renamed, Sees::Same("registered_model", "name", "new_name"))
            }
            ("DELETE", "registered-models/delete") => (model(), Sees::Gone),
            ("POST", "registered-models/set-tag") => (model(), Sees::Tag("registered_model", true)),
            ("DELETE", "registered-models/delete-tag") => (model(), Sees::Tag("registered_model", false)),
            ("POST", "registered-models/alias") => (alias(), Sees::Alias),
            ("POST", "model-versions/create") => {
                let name = message.text("name").filter(|name| !name.contains(['\'', '"', '\\', '`']))?;
                let filter = format!("name = '{name}'");
                let newest =
                    [("filter", filter.as_str()), ("max_results", "1"), ("order_by", "version_number DESC")];
                (query(&format!("{V2}/model-versions/search"), &newest), Sees::MadeFromSource)
            }
            ("PATCH", "model-versions/update") => {
                (version(), Sees::Same("model_version", "description", "description"))
            }
            // What was archived on the way would not be seen.
            ("POST", "model-versions/transition-stage") if !message.is_true("archive_existing_versions") => {
                (version(), Sees::Same("model_version", "current_stage", "stage"))
            }
            ("DELETE", "model-versions/delete") => (version(), Sees::Gone),
            ("POST", "model-versions/set-tag") => (version(), Sees::Tag("model_version", true)),
            ("DELETE", "model-versions/delete-tag") => (version(), Sees::Tag("model_version", false)),
            _ => return None,
        };
        Some(Self { path, sees })
    }

    async fn once(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        message: &Message,
        time: Time,
    ) -> Result<Option<Answer>, FactError> {
        let Some(body) = facts.look_surely(mlflow, &self.path).await? else {
            return Ok(matches!(self.sees, Sees::Gone).then(|| Bytes::from_static(b"{}")));
        };
        Ok(self.sees.in_answer(&body, message, time))
    }
}

impl Sees {
    fn in_answer(self, body: &Bytes, message: &Message, time: Time) -> Option<Answer> {
        let seen: Value = serde_json::from_slice(body).ok()?;
        let since = |object: &Value| object.get("creation_timestamp")?.as_i64().filter(|at| time.has(*at));
        let done = Bytes::from_static(b"{}");
        match self {
            Self::Gone => None,
            Self::Made(member) => since(seen.get(member)?).map(|_| body.clone()),
            Self::MadeFromSource => {
                let newest = seen.get("model_versions")?.get(0)?;
                since(newest)?;
                let same = newest.get("source")?.as_str() == message.text("source");
                same.then(|| first_version(body)).flatten()
            }
            Self::Same(member, field, asked) => {
                let now = seen.get(member)?.get(field).and_then(Value::as_str).unwrap_or_default();
                let asked_for = message.text(asked).unwrap_or_default();
                // MLflow writes stages in its own way.
                let same = now == asked_for || asked == "stage" && now.eq_ignore_ascii_case(asked_for);
                same.then(|| body.clone())
            }
            Self::Tag(member, set) => {
                let tags =
                    seen.get(member)?.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
                let key = message.text("key")?;
                let tag = tags.iter().find(|tag| tag.get("key").and_then(Value::as_str) == Some(key));
                let value = tag.map(|tag| tag.get("value").and_then(Value::as_str).unwrap_or_default());
                let expected = set.then(|| message.text("value").unwrap_or_default());
                (value == expected).then_some(done)
            }
            Self::Alias => {
                let version = seen.get("model_version")?.get("version")?.as_str();
                (version == message.text("version")).then_some(done)
            }
        }
    }

    /// Whether what is seen can only be as it is if the write was not done, or was undone since.
    fn lacks(self, body: Option<&Bytes>, source: Option<&str>, begun: Timestamp) -> bool {
        let seen: Option<Value> = body.and_then(|body| serde_json::from_slice(body).ok());
        let is_older = |object: Option<&Value>| {
            let made = object.and_then(|object| object.get("creation_timestamp")).and_then(Value::as_i64);
            made.and_then(|made| made.checked_add(CLOCKS)).is_some_and(|made| made < begun.as_millisecond())
        };
        let is_ours = |version: Option<&Value>| {
            version.and_then(|version| version.get("source")).and_then(Value::as_str) == source
        };
        match (self, body.is_some(), seen) {
            (Self::Made(_) | Self::Same(_, "name", _), false, None) => true,
            (Self::Gone, true, Some(seen)) => {
                is_older(seen.get("registered_model").or_else(|| seen.get("model_version")))
            }
            (Self::MadeFromSource, true, Some(Value::Object(page))) => match page.get("model_versions") {
                None => true,
                Some(versions) => is_older(versions.get(0)) && !is_ours(versions.get(0)),
            },
            (
                Self::Made(_)
                | Self::Same(..)
                | Self::Gone
                | Self::MadeFromSource
                | Self::Tag(..)
                | Self::Alias,
                ..,
            ) => false,
        }
    }
}

/// The newest version in MLflow's own bytes, in the form that creating it is answered with.
fn first_version(body: &Bytes) -> Option<Answer> {
    #[derive(serde::Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        model_versions: Vec<&'a RawValue>,
    }
    let page: Page<'_> = serde_json::from_slice(body).ok()?;
    page.model_versions.first().map(|version| format!("{{\"model_version\":{}}}", version.get()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::schema::Schema;

    #[track_caller]
    fn check(verb: &str, path: &str, schema: &str, asked: &str, seen: &str, expected: Option<&str>) {
        let schema = Schema::named(schema).expect("a known message");
        let message = Message::of_json(schema, asked.as_bytes()).expect("a sound body");
        let look = Look::of(verb, path, &message).expect("a write that can be looked for");
        let at = |at| Timestamp::from_millisecond(at).expect("a time");
        let time = Time { begun: at(1_000), ended: Some(at(2_000)) };
        let found = look.sees.in_answer(&Bytes::copy_from_slice(seen.as_bytes()), &message, time);
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{verb} {path} {seen}");
    }

    #[test]
    fn only_what_is_plainly_there_was_done() {
        let create = |seen, expected| {
            check(
                "POST",
                "registered-models/create",
                "CreateRegisteredModel",
                r#"{"name":"m"}"#,
                seen,
                expected,
            );
        };
        let made = r#"{"registered_model":{"name":"m","creation_timestamp":1000}}"#;
        create(made, Some(made));
        create(r#"{"registered_model":{"name":"m","creation_timestamp":999}}"#, None);
        create(r#"{"registered_model":{"name":"m","creation_timestamp":2001}}"#, None);
        create("<html>", None);
        let version = |seen, expected| {
            let asked = r#"{"name":"m","source":"runs:/r/x"}"#;
            check("POST", "model-versions/create", "CreateModelVersion", asked, seen, expected);
        };
        version(
            r#"{"model_versions":[{"version":"3","source":"runs:/r/x","creation_timestamp":1001}]}"#,
            Some(r#"{"model_version":{"version":"3","source":"runs:/r/x","creation_timestamp":1001}}"#),
        );
        version(
            r#"{"model_versions":[{"version":"3","source":"runs:/r/y","creation_timestamp":1001}]}"#,
            None,
        );
        version("{}", None);
        let stage = |seen, expected| {
            let asked = r#"{"name":"m","version":"1","stage":"production"}"#;
            check(
                "POST",
                "model-versions/transition-stage",
                "TransitionModelVersionStage",
                asked,
                seen,
                expected,
            );
        };
        let there = r#"{"model_version":{"current_stage":"Production"}}"#;
        stage(there, Some(there));
        stage(r#"{"model_version":{"current_stage":"Staging"}}"#, None);
        let tag = |verb, path, schema, seen, expected| {
            check(verb, path, schema, r#"{"name":"m","version":"1","key":"k","value":"v"}"#, seen, expected);
        };
        let tagged = r#"{"model_version":{"tags":[{"key":"k","value":"v"}]}}"#;
        tag("POST", "model-versions/set-tag", "SetModelVersionTag", tagged, Some("{}"));
        tag("DELETE", "model-versions/delete-tag", "DeleteModelVersionTag", tagged, None);
        tag(
            "DELETE",
            "model-versions/delete-tag",
            "DeleteModelVersionTag",
            r#"{"model_version":{}}"#,
            Some("{}"),
        );
    }
}

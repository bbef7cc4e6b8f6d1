//! What a write changes of a model or a version, as MLflow shows it before: tags, aliases, descriptions, names and stages.

use serde::Deserialize;
use serde_json::Value;

use crate::audit::{Change, Facet};
use crate::facts::query;
use crate::govern::Mode;
use crate::route::Operation;
use crate::route::message::Message;
use crate::route::table::Verb;
use crate::stage::Stage;

use super::Gate;

/// What MLflow shows of a model or a version.
#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    /// Of a model; a version has names alone, which are not looked at.
    #[serde(default)]
    aliases: Vec<Value>,
    #[serde(default)]
    current_stage: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

impl Shown {
    fn value(self, facet: &Facet) -> Option<String> {
        match facet {
            Facet::Tag(key) => self.tags.into_iter().find(|tag| tag.key == *key).map(|tag| tag.value),
            Facet::Alias(alias) => {
                let named = |row: &Value| row.get("alias").and_then(Value::as_str) == Some(alias);
                let row = self.aliases.into_iter().find(named)?;
                Some(row.get("version")?.as_str()?.to_owned())
            }
            Facet::Description => self.description,
            Facet::Stage => self.current_stage,
            Facet::Name => None,
        }
    }
}

impl Gate {
    /// What a write is about to change, and how it was when it was let in. Nothing, where it changes nothing that the record
    /// tells in this way, and where MLflow does not say.
    pub(super) async fn change(&self, operation: &Operation) -> Option<Change> {
        let message = operation.message()?;
        let row = operation.found.row;
        let (facet, after) = match row.path {
            // Elsewhere it is told of with the transition.
            "model-versions/transition-stage" | "databricks/model-versions/transition-stage" => {
                (self.rules == Mode::Off).then_some((Facet::Stage, Some(mlflows_stage(message)?)))?
            }
            path => changed(path, row.verb, message)?,
        };
        let model = message.text("name")?;
        if facet == Facet::Name {
            return Some(Change { facet, before: Some(model.to_owned()), after });
        }
        let shown = match message.text("version").filter(|_| !matches!(facet, Facet::Alias(_))) {
            Some(version) => {
                #[derive(Deserialize)]
                struct Answer {
                    model_version: Shown,
                }
                let pairs = [("name", model), ("version", version)];
                let path = query("/api/2.0/mlflow/model-versions/get", &pairs);
                let answer: Option<Answer> = self.facts.if_there(&self.mlflow, &path).await.ok()?;
                answer?.model_version
            }
            None => {
                #[derive(Deserialize)]
                struct Answer {
                    registered_model: Shown,
                }
                let path = query("/api/2.0/mlflow/registered-models/get", &[("name", model)]);
                let answer: Option<Answer> = self.facts.if_there(&self.mlflow, &path).await.ok()?;
                answer?.registered_model
            }
        };
        let before = shown.value(&facet);
        Some(Change { facet, before, after })
    }
}

/// The stage that is asked for, as MLflow writes it (`entities/model_registry/model_version_stages.py`).
fn mlflows_stage(message: &Message) -> Option<String> {
    let asked = message.text("stage")?;
    let stages = ["None", "Staging", "Production", "Archived"];
    let known = stages.into_iter().find(|stage| stage.eq_ignore_ascii_case(asked));
    // Databricks' address takes the house's names, too.
    known.or_else(|| Stage::named(asked).map(Stage::mlflows)).map(str::to_owned)
}

/// What it is, and what it will be.
fn changed(path: &str, verb: Verb, message: &Message) -> Option<(Facet, Option<String>)> {
    let text = |name: &str| message.text(name).map(str::to_owned);
    let value = |name: &str| (verb != Verb::Delete).then(|| text(name).unwrap_or_default());
    match path {
        "registered-models/set-tag"
        | "registered-models/delete-tag"
        | "model-versions/set-tag"
        | "model-versions/delete-tag" => Some((Facet::Tag(text("key")?), value("value"))),
        "registered-models/alias" => Some((Facet::Alias(text("alias")?), value("version"))),
        "registered-models/update" | "model-versions/update" => {
            Some((Facet::Description, Some(text("description")?)))
        }
        "registered-models/rename" => Some((Facet::Name, Some(text("new_name")?))),
        _ => None,
    }
}

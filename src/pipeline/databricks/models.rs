//! Models and versions in Databricks' form: MLflow's own, and what the caller may do to them.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::authz::Permit;
use crate::facts::query;
use crate::filter::Unreadable;
use crate::govern::Mode;
use crate::operation::{Object, Permission};
use crate::reject::Rejection;
use crate::route::Misread;
use crate::route::json::JsonError;
use crate::route::message::Message;
use crate::stage::Stage;

use super::super::ours::written;
use super::super::promote::AUTHOR_TAG;
use super::super::rules::Warned;
use super::super::{Gate, Passed};
use super::{named, needed};

impl Gate {
    /// One model.
    pub(super) async fn model_for_databricks(
        &self,
        passed: &Passed,
        message: &Message,
    ) -> Result<Bytes, Rejection> {
        let name = needed(message, "name")?;
        let path = query("/api/2.0/mlflow/registered-models/get", &[("name", name)]);
        let body = self.facts.look(&self.mlflow, &path).await?;
        let body = body.ok_or_else(|| Rejection::NoSuch("registered model"))?;
        let body = self.shown_write(&passed.operation, body, &passed.slot).await;
        let mut model = member(&body, "registered_model")?;
        model.insert("permission_level".to_owned(), level(&passed.permit, name).into());
        Ok(written(&json!({ "registered_model_databricks": model })))
    }

    /// Makes a transition.
    pub(super) async fn transition_for_databricks(
        &self,
        passed: &Passed,
        message: &Message,
        warned: &mut Warned,
    ) -> Result<Bytes, Rejection> {
        let (model, _) = named(message)?;
        let body = if self.rules == Mode::Off {
            self.transition_without_rules(message).await?
        } else {
            self.make_transition(passed, warned).await?
        };
        let body = self.shown_write(&passed.operation, body, &passed.slot).await;
        let mut version = member(&body, "model_version")?;
        let open = self.open_requests(&passed.permit, &self.named_version(message).await?).await?;
        let tags = version.get("tags").and_then(Value::as_array).into_iter().flatten();
        let author = tags.filter(|tag| tag.get("key").is_some_and(|key| key == AUTHOR_TAG));
        if let Some(author) = author.filter_map(|tag| tag.get("value")).next().cloned() {
            version.insert("user_id".to_owned(), author);
        }
        version.insert("permission_level".to_owned(), level(&passed.permit, model).into());
        version.insert("open_requests".to_owned(), open.into());
        Ok(written(&json!({ "model_version_databricks": version })))
    }

    /// Where there are no house rules there are MLflow's four stages, and no more is done than MLflow does.
    async fn transition_without_rules(&self, message: &Message) -> Result<Bytes, Rejection> {
        let (model, version) = named(message)?;
        let to = needed(message, "stage")?;
        let to = Stage::named(to).ok_or_else(|| Misread::Stage(to.to_owned()))?;
        let number = version.to_string();
        let missing = || Rejection::NoVersion(model.to_owned(), version);
        let archives = message.is_true("archive_existing_versions");
        if archives && !matches!(to.mlflows(), "Staging" | "Production") {
            return Err(Misread::Archives.into());
        }
        self.facts.version(&self.mlflow, model, &number).await?.ok_or_else(missing)?;
        self.facts.set_stage(&self.mlflow, (model, &number), to.mlflows(), archives).await?;
        self.registry.touched(model, version);
        let path = query("/api/2.0/mlflow/model-versions/get", &[("name", model), ("version", &number)]);
        self.facts.look(&self.mlflow, &path).await?.ok_or_else(missing)
    }
}

/// The object in a member of MLflow's answer.
fn member(body: &Bytes, name: &str) -> Result<Map<String, Value>, Rejection> {
    let unreadable = || Rejection::from(Unreadable::from(JsonError::NotAnObject));
    let mut answer: Map<String, Value> = serde_json::from_slice(body).map_err(|_| unreadable())?;
    match answer.remove(name) {
        Some(Value::Object(object)) => Ok(object),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => {
            Err(unreadable())
        }
    }
}

/// The level of Databricks' that comes nearest to what the caller may do.
fn level(permit: &Permit, model: &str) -> &'static str {
    let named = || Object::Model(model.into());
    let approves = |stage: Stage| {
        permit.covers(Permission::StageApprove, &Object::Stage(model.into(), stage.as_str().into()))
    };
    if permit.covers(Permission::Admin, &Object::Server) {
        "CAN_MANAGE"
    } else if approves(Stage::Production) {
        "CAN_MANAGE_PRODUCTION_VERSIONS"
    } else if approves(Stage::Staging) {
        "CAN_MANAGE_STAGING_VERSIONS"
    } else if permit.covers(Permission::MetadataWrite, &named()) {
        "CAN_EDIT"
    } else {
        "CAN_READ"
    }
}

//! MLflow's own call for a transition, answered by a transition of the house.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::audit::{Outcome, Trail};
use crate::authz::Permit;
use crate::facts::query;
use crate::govern::{Broken, Mode};
use crate::listen::{Outbound, boxed, full};
use crate::reject::Rejection;
use crate::route::Misread;
use crate::route::message::Message;
use crate::stage::Stage;

use super::promote::{Cause, Wish};
use super::rules::Warned;
use super::{Gate, Passed, answer};

/// So many versions are archived at most beside the one that comes.
const ARCHIVED: usize = 100;

impl Gate {
    /// Makes the transition that `transition-stage` asks for, and answers with the version as it is then.
    pub(super) async fn transition(
        self: Arc<Self>,
        mut passed: Passed,
        mut trail: Trail,
    ) -> Response<Outbound> {
        let mut warned = Warned::new();
        let done = self.make_transition(&passed, &mut warned).await;
        trail.note_warned(warned);
        match done {
            Ok(body) => {
                passed.slot.hold_anyway(body.len());
                trail.note_outcome(Outcome::Applied);
                let body = self.shown_write(&passed.operation, body, &passed.slot).await;
                let mut response = Response::new(boxed(passed.slot.until_end_of(full(body))));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                answer::finish(response.headers_mut(), trail.id());
                trail.close(StatusCode::OK);
                response
            }
            Err(rejection) => answer::end(&rejection, trail),
        }
    }

    /// The version after the transition, as MLflow shows it.
    pub(super) async fn make_transition(
        &self,
        passed: &Passed,
        warned: &mut Warned,
    ) -> Result<Bytes, Rejection> {
        let message = passed.operation.says();
        let model = message.text("name").unwrap_or_default();
        let number = message.text("version").unwrap_or_default();
        let version = number.parse().map_err(|_| Misread::Version)?;
        let stage = message.text("stage").unwrap_or_default();
        let to = Stage::named(stage).ok_or_else(|| Misread::Stage(stage.to_owned()))?;
        let permit = &passed.permit;
        let others = self.to_archive(permit, message, (model, version, to)).await?;
        self.promote(permit, &Wish { model, version, to, cause: Cause::Caller }, warned).await?;
        self.archive(permit, model, others, warned).await?;
        let path = query("/api/2.0/mlflow/model-versions/get", &[("name", model), ("version", number)]);
        let shown = self.facts.look(&self.mlflow, &path).await?;
        shown.ok_or_else(|| Rejection::NoVersion(model.to_owned(), version))
    }

    /// Which other versions are to be archived, where a request asks for that.
    pub(super) async fn to_archive(
        &self,
        permit: &Permit,
        message: &Message,
        (model, coming, to): (&str, u64, Stage),
    ) -> Result<Vec<u64>, Rejection> {
        if !message.is_true("archive_existing_versions") {
            return Ok(Vec::new());
        }
        if !matches!(to.mlflows(), "Staging" | "Production") {
            // MLflow answers this with 500, which clients repeat (`store/model_registry/sqlalchemy_store.py`).
            return Err(Misread::Archives.into());
        }
        self.in_the_way(permit, model, coming, to).await
    }

    /// Archives versions that another took the place of.
    pub(super) async fn archive(
        &self,
        permit: &Permit,
        model: &str,
        others: Vec<u64>,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        for other in others {
            let wish = Wish { model, version: other, to: Stage::Archived, cause: Cause::Caller };
            let archived = self.promote(permit, &wish, warned).await;
            archived.map_err(|error| Rejection::NotArchived { version: other, error: Box::new(error) })?;
        }
        Ok(())
    }

    /// Which other versions stand where one is to come. Each is to be archived by a transition of its own; what no rule
    /// archives is in the way.
    async fn in_the_way(
        &self,
        permit: &Permit,
        model: &str,
        coming: u64,
        to: Stage,
    ) -> Result<Vec<u64>, Rejection> {
        let mut others =
            self.registry.standing_in(&self.facts, &self.mlflow, &self.stages, model, to).await?;
        others.retain(|version| *version != coming);
        if others.len() > ARCHIVED {
            return Err(Misread::TooManyObjects(ARCHIVED).into());
        }
        let rule = permit.rules().stages.rule(to, Stage::Archived);
        let closed = rule.is_none_or(|rule| rule.required_approvals > 0 || !rule.required_tests.is_empty());
        if closed && self.rules == Mode::Enforce && !others.is_empty() {
            let listed: Vec<String> = others.iter().map(u64::to_string).collect();
            let what = format!(
                "these versions stand in {to} and are not archived by themselves: {}; archive them first",
                listed.join(", ")
            );
            return Err(Broken::Stage(what).into());
        }
        Ok(others)
    }
}

//! What a version lacks for each step that it can take, for whoever looks at it: nothing is done or kept by looking.

use serde::Serialize;

use crate::authz::Permit;
use crate::facts::Version;
use crate::govern::Mode;
use crate::reject::Rejection;
use crate::rules::At;
use crate::stage::Stage;
use crate::store::{Origin, Stand, VersionId};

use super::super::Gate;
use super::super::rules::{STAGE_TAG, exempt, lacking};
use super::candidate::Candidate;
use super::weigh::{command, is_free};
use super::{Cause, Wish};

/// A stage that a version can go to, and what is missing for it. Whether the caller may make the transition is another
/// question.
#[derive(Debug, Serialize)]
pub(in super::super) struct Step {
    stage: &'static str,
    ready: bool,
    lacks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

impl Gate {
    /// Each step that the rules have for a version as it is now, by the digest that is kept. There are none without house
    /// rules, nor for prompts that these leave alone.
    ///
    /// # Errors
    /// The state store is away.
    pub(in super::super) async fn next_steps(
        &self,
        permit: &Permit,
        id: &VersionId,
        found: &Version,
    ) -> Result<Vec<Step>, Rejection> {
        let candidate = self.beheld(id, found).await?;
        if self.rules == Mode::Off || candidate.is_free_of_stages(permit) {
            return Ok(Vec::new());
        }
        let from = candidate.stand.stage;
        let digest = self.store.digest(id).await?.map(|kept| kept.digest).unwrap_or_default();
        let mut steps = Vec::new();
        for to in permit.rules().stages.reachable(from) {
            steps.push(self.step(permit, &candidate, to, &digest).await?);
        }
        Ok(steps)
    }

    async fn step(
        &self,
        permit: &Permit,
        candidate: &Candidate,
        to: Stage,
        digest: &str,
    ) -> Result<Step, Rejection> {
        let (from, rules) = (candidate.stand.stage, permit.rules());
        let mut step =
            Step { stage: to.as_str(), ready: false, lacks: Vec::new(), request: None, command: None };
        let asked = rules.at != At::Warn && !is_free(from, to) && !exempt(rules, &candidate.found);
        step.lacks.extend(asked.then(|| lacking(rules, &candidate.found.tags)).flatten());
        let Some(rule) = rules.stages.rule(from, to) else { return Ok(step) };
        let wish =
            Wish { model: &candidate.id.model, version: candidate.id.version, to, cause: Cause::Caller };
        let requests = self.requests_for(candidate, &wish).await?;
        let (nearest, _) = self.nearest(permit, candidate, rule, requests, digest).await?;
        if let Some((verdict, request)) = nearest {
            step.lacks.extend(verdict.lacks.iter().map(ToString::to_string));
            if !verdict.lacks.is_empty() {
                step.command = command(candidate, rule, request.as_ref());
            }
            step.request = request.as_ref().map(|request| request.number);
        }
        step.ready = step.lacks.is_empty();
        Ok(step)
    }

    /// A version as it stands. One that the store does not know is not taken in for being looked at.
    async fn beheld(&self, id: &VersionId, found: &Version) -> Result<Candidate, Rejection> {
        let stand = self.store.stands(id).await?.unwrap_or_else(|| Stand {
            id: id.clone(),
            stage: Stage::believed(found.tags.get(STAGE_TAG).map(String::as_str), &found.stage),
            since: self.clock.now(),
            origin: Origin::Imported,
            closing: false,
            gone: false,
            change: 0,
        });
        Ok(Candidate { id: id.clone(), found: found.clone(), stand })
    }
}

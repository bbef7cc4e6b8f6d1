//! The deed: what is about to be done is kept, written to MLflow, and then it is so.
//!
//! The stage changes with [`Store::end`](crate::store::Store::end) and at no other moment; what MLflow shows is a mirror.
//! A transition that was begun is written again until it is done, whatever broke in between: it was decided.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tracing::{info, warn};

use crate::facts::FactError;
use crate::record::line::Entry;
use crate::reject::Rejection;
use crate::store::{Began, NewTransition, Progress, Stand, StoreError, Transition};
use crate::upstream::UpstreamError;

use super::super::Gate;
use super::super::rules::STAGE_TAG;
use super::candidate::Candidate;

/// The tag that tells how a version came where it stands.
const HISTORY: &str = "stage_transition_history";
/// So many transitions are told of in the tag.
const TOLD: usize = 50;
/// MLflow takes 100,000 characters of a tag (`utils/validation.py`), and everybody who looks at the version reads it.
const LONGEST: usize = 32 * 1024;
/// So much of a reason is told of in the tag.
const REASON: usize = 200;
/// How often it is looked for transitions that were left.
const EVERY: Duration = Duration::from_secs(2);

/// Why a transition is not written to MLflow.
enum Unwritten {
    /// MLflow heard nothing, or refused the first thing that it heard.
    Nothing(FactError),
    /// It may have heard a part.
    Part(FactError),
    /// It may have heard a part, and the rest is somebody else's by now: this sekisho may be taken for gone.
    Lost(StoreError),
}

impl From<Unwritten> for Rejection {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Nothing(error) => error.into(),
            Unwritten::Part(error) => Self::HalfWritten(error),
            Unwritten::Lost(error) => error.into(),
        }
    }
}

/// One line of the tag.
#[derive(Serialize)]
struct Line<'t> {
    from: &'static str,
    to: &'static str,
    at: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    by: &'t str,
    #[serde(skip_serializing_if = "str::is_empty")]
    asked_by: &'t str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    approved_by: Vec<&'t str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tests: Vec<&'t str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    digest: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    break_glass: Option<String>,
}

impl<'t> Line<'t> {
    fn of(what: &'t NewTransition) -> Self {
        Self {
            from: what.from.as_str(),
            to: what.to.as_str(),
            at: what.begun.to_string(),
            by: &what.by,
            asked_by: &what.asked_by,
            approved_by: what.approvals.iter().map(|(_, user)| user.as_str()).collect(),
            tests: what.evidence.iter().map(|(_, test)| test.as_str()).collect(),
            digest: &what.digest,
            break_glass: what.break_glass.as_ref().map(|reason| reason.chars().take(REASON).collect()),
        }
    }
}

impl Gate {
    /// A version of which no transition is under way: one that was left is ended first.
    pub(super) async fn settled(&self, model: &str, version: u64) -> Result<Candidate, Rejection> {
        let candidate = self.candidate(model, version).await?;
        let mut left = self.store.unfinished().await?;
        left.retain(|transition| transition.what.id == candidate.id);
        match left.first() {
            None => Ok(candidate),
            Some(transition) if self.store.take_over(transition.number).await? => {
                self.finish(transition).await.map_err(|_| Rejection::Overtaken)?;
                self.candidate(model, version).await
            }
            Some(_) => Err(Rejection::Overtaken),
        }
    }

    /// Does it. The version is in the caller's hands alone, within this process.
    pub(super) async fn carry_out(
        &self,
        candidate: &Candidate,
        what: NewTransition,
    ) -> Result<(), Rejection> {
        let me = self.store.name();
        let number = match self.store.begin(&what, candidate.stand.change).await? {
            Began::Begun(number) => number,
            Began::Elsewhere(_) | Began::Underway | Began::Changed | Began::Closed | Began::Unknown => {
                return Err(Rejection::Overtaken);
            }
        };
        match self.write_down(&what, &me).await {
            Ok(()) => {}
            Err(Unwritten::Nothing(error)) => {
                self.store.end(number, Progress::Undone, self.clock.now()).await?;
                return Err(if let FactError::Status(StatusCode::NOT_FOUND) = error {
                    Rejection::NoVersion(candidate.id.model.clone(), candidate.id.version)
                } else {
                    error.into()
                });
            }
            Err(unwritten @ (Unwritten::Part(_) | Unwritten::Lost(_))) => return Err(unwritten.into()),
        }
        let stand = self.store.end(number, Progress::Done, self.clock.now()).await.map_err(|error| {
            warn!(
                number,
                error = error.detail(),
                "a transition is written and could not be kept; it will be"
            );
            Rejection::Store(error)
        })?;
        self.now_stands(&what, stand)
    }

    fn now_stands(&self, what: &NewTransition, stand: Option<Stand>) -> Result<(), Rejection> {
        let stand = stand.ok_or(Rejection::Overtaken)?;
        self.stages.learn(&stand);
        self.registry.touched(&what.id.model, what.id.version);
        self.tell(what);
        let (model, version) = (what.id.model.as_str(), what.id.version);
        let (from, to, by) = (what.from.as_str(), what.to.as_str(), what.by.as_str());
        match &what.break_glass {
            Some(reason) => {
                warn!(model, version, from, to, by, reason, "a version changed its stage against the rules")
            }
            None => info!(model, version, from, to, by, "a version changed its stage"),
        }
        Ok(())
    }

    /// Writes into MLflow where a version will stand and how it came there. Doing so once more changes nothing.
    async fn write_down(&self, what: &NewTransition, me: &str) -> Result<(), Unwritten> {
        let number = what.id.version.to_string();
        let version = (what.id.model.as_str(), number.as_str());
        self.is_still(me)?;
        let tagged = self.facts.tag_version(&self.mlflow, version, (STAGE_TAG, what.to.as_str())).await;
        tagged.map_err(|error| {
            if is_unheard(&error) { Unwritten::Nothing(error) } else { Unwritten::Part(error) }
        })?;
        self.is_still(me)?;
        let moved = self.facts.set_stage(&self.mlflow, version, what.to.mlflows(), false).await;
        moved.map_err(Unwritten::Part)?;
        // What cannot be read of the past is left out of the mirror, and stays in the store.
        let past = self.store.history(&what.id).await.unwrap_or_default();
        let told = told(std::iter::once(what).chain(past.iter().map(|made| &made.what)));
        self.is_still(me)?;
        let told = self.facts.tag_version(&self.mlflow, version, (HISTORY, &told)).await;
        told.map_err(Unwritten::Part)
    }

    /// The others believe that this sekisho is there. Else one of them may have ended what it began, and the version stands
    /// somewhere else by now.
    fn is_still(&self, me: &str) -> Result<(), Unwritten> {
        if self.stages_are_read() && *self.store.name() == *me {
            Ok(())
        } else {
            Err(Unwritten::Lost(StoreError::Unheard(self.store.kind())))
        }
    }

    /// Has MLflow show again where a version stands, if it does not.
    pub(super) async fn mirror_again(&self, candidate: &Candidate) -> Result<(), Rejection> {
        let (stage, found) = (candidate.stand.stage, &candidate.found);
        let number = candidate.id.version.to_string();
        let version = (candidate.id.model.as_str(), number.as_str());
        if found.tags.get(STAGE_TAG).map(String::as_str) != Some(stage.as_str()) {
            self.facts.tag_version(&self.mlflow, version, (STAGE_TAG, stage.as_str())).await?;
        }
        if found.stage != stage.mlflows() {
            self.facts.set_stage(&self.mlflow, version, stage.mlflows(), false).await?;
        }
        Ok(())
    }

    /// Ends transitions that were begun and left, until the drain.
    pub async fn mend(&self) {
        let work = async {
            loop {
                if let Err(error) = self.mend_once().await {
                    warn!(error = error.detail(), "transitions that were left cannot be looked for");
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = self.drain.started() => {}
            () = work => {}
        }
    }

    async fn mend_once(&self) -> Result<(), StoreError> {
        if !self.stages_are_read() {
            return Ok(());
        }
        for transition in self.store.unfinished().await? {
            let id = &transition.what.id;
            // Whoever began it here is at it, or has gone by the time that the door opens.
            let _alone = self.alone_with(&id.model, &id.version.to_string()).await;
            let still = self.store.unfinished().await?;
            if !still.contains(&transition) || !self.store.take_over(transition.number).await? {
                continue;
            }
            let (model, version) = (id.model.as_str(), id.version);
            match self.finish(&transition).await {
                Ok(()) => info!(model, version, "a transition that was left is ended"),
                Err(error) => warn!(
                    model,
                    version,
                    error = error.detail(),
                    "a transition that was left cannot be ended yet"
                ),
            }
        }
        Ok(())
    }

    /// Ends a transition that was taken over, behind its version's door: nobody else is at it.
    async fn finish(&self, transition: &Transition) -> Result<(), Rejection> {
        let Transition { number, what, .. } = transition;
        let me = self.store.name();
        let found = self.facts.version(&self.mlflow, &what.id.model, &what.id.version.to_string()).await?;
        let end = match found {
            Some(found) if found.created == what.id.created => {
                self.write_down(what, &me).await?;
                Progress::Done
            }
            Some(_) | None => Progress::Undone,
        };
        if let Some(stand) = self.store.end(*number, end, self.clock.now()).await? {
            self.stages.learn(&stand);
            self.registry.touched(&what.id.model, what.id.version);
            if end == Progress::Done {
                self.tell(what);
            }
        }
        Ok(())
    }

    /// A transition has a line of its own, whoever has it made: a caller, an approver, the last piece of evidence or a
    /// repair.
    fn tell(&self, what: &NewTransition) {
        let sentence = match &what.break_glass {
            Some(reason) => format!("a version changed its stage against the rules: {reason}"),
            None => "a version changed its stage".to_owned(),
        };
        let mut line = Entry::system(self.clock.now(), "transition", sentence);
        line.principal = (!what.by.is_empty()).then(|| what.by.clone());
        line.object = Some(format!("model:{}/version/{}", what.id.model, what.id.version));
        line.approvals = what.approvals.iter().map(|(number, _)| *number).collect();
        line.evidence = what.evidence.iter().map(|(number, _)| *number).collect();
        line.before.insert("stage".to_owned(), what.from.as_str().into());
        line.after.insert("stage".to_owned(), what.to.as_str().into());
        let said = [
            ("request", json!(what.request)),
            ("asked_by", json!(what.asked_by)),
            ("digest", json!(what.digest)),
        ];
        line.params.extend(said.map(|(key, value)| (key.to_owned(), value)));
        self.journal.record().tell(line);
    }
}

/// The tag, the newest transition first: as many as there is room for.
fn told<'t>(made: impl Iterator<Item = &'t NewTransition>) -> String {
    let mut told = String::new();
    for line in made.take(TOLD).filter_map(|what| serde_json::to_string(&Line::of(what)).ok()) {
        if told.len() + line.len() > LONGEST {
            break;
        }
        told.push(if told.is_empty() { '[' } else { ',' });
        told.push_str(&line);
    }
    if told.is_empty() { "[]".to_owned() } else { told + "]" }
}

/// Whether MLflow did nothing: it heard nothing, or has refused.
fn is_unheard(error: &FactError) -> bool {
    match error {
        FactError::Upstream(UpstreamError::NotSent(_) | UpstreamError::Unwritable(_)) => true,
        FactError::Status(status) => status.is_client_error(),
        FactError::Upstream(_) | FactError::Unreadable(_) | FactError::Unsettled | FactError::TooMany => {
            false
        }
    }
}

//! A version goes from one stage to another: who may, what must be said and shown for it, and the deed (DESIGN section 8).
//!
//! Everything is decided again at the moment of the deed, alone with the version: where it stands, who asked and who
//! approved, what its files are. What was decided when somebody asked or approved proves nothing by then.

mod alias;
mod bytes;
mod candidate;
mod next;
mod saga;
mod weigh;

use crate::authz::Permit;
use crate::govern::Mode;
use crate::operation::{Demand, Object, Permission};
use crate::reject::Rejection;
use crate::stage::Stage;
use crate::store::NewTransition;

use super::Gate;
use super::rules::Warned;

pub(super) use candidate::{AUTHOR_TAG, Candidate, person};
pub(super) use weigh::{Weighed, is_free};

/// A transition that somebody wants.
pub(super) struct Wish<'w> {
    /// The model's name.
    pub model: &'w str,
    /// The version's number.
    pub version: u64,
    /// Where it is to go.
    pub to: Stage,
    /// By whose doing.
    pub cause: Cause,
}

/// Who has a transition made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The caller, who may make transitions.
    Caller,
    /// The caller, against the rules of stages, as an administrator, by this request and for this reason.
    BreakGlass(i64, String),
    /// The caller, by approving this request. Its asker is who may make transitions.
    Approval(i64),
    /// The last requirement of this request, where its rule is automatic.
    Requirement(i64),
}

impl Gate {
    /// Makes a transition, or says all that it lacks.
    pub(super) async fn promote(
        &self,
        permit: &Permit,
        wish: &Wish<'_>,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        let _alone = self.alone_with(wish.model, &wish.version.to_string()).await;
        let mut candidate = self.settled(wish.model, wish.version).await?;
        let from = candidate.stand.stage;
        if from == wish.to {
            return self.mirror_again(&candidate).await;
        }
        if matches!(wish.cause, Cause::Caller | Cause::BreakGlass(..)) {
            let stage = |stage: Stage| Object::Stage(wish.model.into(), stage.as_str().into());
            permit.also(&[from, wish.to].map(|at| Demand::new(Permission::StageTransition, stage(at))))?;
        }
        let held_to_rules = self.rules != Mode::Off && !candidate.is_free_of_stages(permit);
        // What is told is what was weighed last.
        let mut told = Warned::new();
        let mut weighed = self.weigh_first(permit, &candidate, wish, &mut told).await?;
        let mut frozen = None;
        if held_to_rules && from == Stage::Development {
            let closed = if is_free(from, wish.to) {
                self.close_now(candidate).await?
            } else {
                self.read_closed(candidate, warned).await?
            };
            // From this moment on nobody opens the files again without being noticed, and what the version says of itself
            // is not taken back anywhere.
            candidate = closed.candidate;
            frozen = Some(closed.frozen);
            if !is_free(from, wish.to) {
                told.clear();
                weighed = self.weigh(permit, &candidate, wish, closed.digest, &mut told).await?;
            }
        } else if held_to_rules && !is_free(from, wish.to) {
            // What the files are now, and not what they were when somebody looked. Reading them takes a while: a test that
            // fails meanwhile counts.
            let digest = self.true_digest(&candidate, warned).await?;
            told.clear();
            weighed = self.weigh(permit, &candidate, wish, digest, &mut told).await?;
        }
        warned.append(&mut told);
        self.carry_out(&candidate, self.intent(permit, &candidate, wish, weighed)).await?;
        if let Some(frozen) = frozen {
            frozen.keep();
        }
        Ok(())
    }

    fn intent(
        &self,
        permit: &Permit,
        candidate: &Candidate,
        wish: &Wish<'_>,
        weighed: Weighed,
    ) -> NewTransition {
        let caller = permit.principal().user.as_str();
        let (by, break_glass) = match &wish.cause {
            Cause::Caller | Cause::Approval(_) => (caller, None),
            Cause::BreakGlass(_, reason) => (caller, Some(reason.clone())),
            Cause::Requirement(_) => ("", None),
        };
        NewTransition {
            id: candidate.id.clone(),
            from: candidate.stand.stage,
            to: wish.to,
            by: by.to_owned(),
            request: weighed.request,
            asked_by: weighed.asked_by,
            approvals: weighed.approvals,
            evidence: weighed.evidence,
            digest: weighed.digest,
            break_glass,
            begun: self.clock.now(),
        }
    }
}

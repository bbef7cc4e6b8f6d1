//! What a transition rests on, and what it lacks.

use std::sync::Arc;

use crate::authz::Permit;
use crate::govern::{Broken, Mode};
use crate::operation::{Object, Permission};
use crate::principal::Principal;
use crate::reject::Rejection;
use crate::rules::transitions::{Approved, Case, Said, Transition, Verdict};
use crate::stage::Stage;
use crate::store::{Request, RequestState};

use super::super::Gate;
use super::super::rules::Warned;
use super::candidate::{Candidate, person, principal};
use super::{Cause, Wish};

/// What a transition rests on.
#[derive(Debug, Default)]
pub(in super::super) struct Weighed {
    /// The request that it is for.
    pub request: Option<i64>,
    /// Who asked, where that is somebody else than who does it.
    pub asked_by: String,
    /// Approvals, by number, and whose they are.
    pub approvals: Vec<(i64, String)>,
    /// Evidence, by number, and of which test.
    pub evidence: Vec<(i64, String)>,
    /// The digest by which these were weighed; empty where there was none.
    pub digest: String,
}

/// Taking out of service and rolling back: metadata, digests and rules never hold these up (DESIGN section 7).
pub(in super::super) fn is_free(from: Stage, to: Stage) -> bool {
    let back = matches!(from, Stage::Production | Stage::Canary) && to == Stage::Staging;
    back || matches!(to, Stage::Archived | Stage::Deprecated)
}

impl Gate {
    /// Weighs for the digest that is kept, before any files are closed. Where none is kept that is no reason to refuse yet:
    /// an upload voids it for as long as the files take to be read, be they the same as before.
    pub(super) async fn weigh_first(
        &self,
        permit: &Permit,
        candidate: &Candidate,
        wish: &Wish<'_>,
        warned: &mut Warned,
    ) -> Result<Weighed, Rejection> {
        let unread = self.store.digest(&candidate.id).await?.is_none();
        let weighed = self.weigh(permit, candidate, wish, None, warned).await;
        if !unread || !matches!(weighed, Err(Rejection::Broken(Broken::Stage(_)))) {
            return weighed;
        }
        match self.digest_now(candidate).await {
            Ok(Some(digest)) => self.weigh(permit, candidate, wish, Some(digest), warned).await,
            Ok(None) | Err(Rejection::Broken(_)) => weighed,
            Err(other) => Err(other),
        }
    }

    /// Weighs approvals and evidence for these bytes, or for those of which the digest is kept.
    pub(super) async fn weigh(
        &self,
        permit: &Permit,
        candidate: &Candidate,
        wish: &Wish<'_>,
        digest: Option<String>,
        warned: &mut Warned,
    ) -> Result<Weighed, Rejection> {
        let digest = match digest {
            Some(digest) => digest,
            None => self.store.digest(&candidate.id).await?.map(|kept| kept.digest).unwrap_or_default(),
        };
        let (from, to) = (candidate.stand.stage, wish.to);
        let request = match wish.cause {
            Cause::BreakGlass(number, _) => Some(number),
            Cause::Caller | Cause::Approval(_) | Cause::Requirement(_) => None,
        };
        let unruled = Weighed { digest: digest.clone(), request, ..Weighed::default() };
        let rules = permit.rules();
        if self.rules == Mode::Off || matches!(wish.cause, Cause::BreakGlass(..)) {
            return Ok(unruled);
        }
        if candidate.is_free_of_stages(permit) {
            if !is_free(from, to) {
                self.says_all(rules, &candidate.found, warned)?;
            }
            return Ok(unruled);
        }
        let Some(rule) = rules.stages.rule(from, to) else {
            self.broken(Broken::no_way(from, to, &rules.stages.reachable(from)), warned)?;
            return Ok(unruled);
        };
        if !is_free(from, to) {
            self.says_all(rules, &candidate.found, warned)?;
        }
        let requests = self.requests_for(candidate, wish).await?;
        let (nearest, unfit) = self.nearest(permit, candidate, rule, requests, &digest).await?;
        let Some((verdict, request)) = nearest else {
            return unfit.map_or(Ok(unruled), |unfit| Err(unfit.into()));
        };
        if !verdict.lacks.is_empty() {
            let sentence = lacking(candidate, rule, &verdict, request.as_ref());
            self.broken(Broken::Stage(sentence), warned)?;
        }
        self.resting_on(verdict, request, digest).await
    }

    /// Of these requests the one that lacks least, and why the last of those that do not count does not.
    pub(super) async fn nearest(
        &self,
        permit: &Permit,
        candidate: &Candidate,
        rule: &Transition,
        requests: Vec<Option<Request>>,
        digest: &str,
    ) -> Result<(Option<(Verdict, Option<Request>)>, Option<Broken>), Rejection> {
        let mut nearest: Option<(Verdict, Option<Request>)> = None;
        let mut unfit = None;
        for request in requests {
            // One whose asker may not do it any more does not stand in the way of the others.
            if let Some(error) = request.as_ref().and_then(|request| asker_still_may(permit, request).err()) {
                unfit = Some(error);
                continue;
            }
            let verdict = self.judge(permit, candidate, rule, request.as_ref(), digest).await?;
            let met = verdict.lacks.is_empty();
            if nearest.as_ref().is_none_or(|(best, _)| verdict.lacks.len() < best.lacks.len()) {
                nearest = Some((verdict, request));
            }
            if met {
                break;
            }
        }
        Ok((nearest, unfit))
    }

    /// What an open request lacks by the digest that is kept, for whoever is to decide on it. The files are not read for
    /// this: that is done when the transition is made.
    pub(in super::super) async fn lacks_yet(
        &self,
        permit: &Permit,
        request: &Request,
    ) -> Result<Option<String>, Rejection> {
        let asked = &request.asked;
        if request.state != RequestState::Open || asked.break_glass.is_some() {
            return Ok(None);
        }
        let gone = || Some("the version is not the one that it was when this was asked for".to_owned());
        let candidate = match self.candidate(&asked.id.model, asked.id.version).await {
            Err(Rejection::NoVersion(..)) => return Ok(gone()),
            found => found?,
        };
        let there = candidate.id == asked.id && candidate.stand.stage == asked.from;
        if !there || candidate.found.source != asked.source {
            return Ok(gone());
        }
        let cause = Cause::Approval(request.number);
        let wish = Wish { model: &asked.id.model, version: asked.id.version, to: asked.to, cause };
        match self.weigh(permit, &candidate, &wish, None, &mut Warned::new()).await {
            Ok(_) => Ok(None),
            Err(Rejection::Broken(broken)) => Ok(Some(broken.to_string())),
            // It was closed since it was read.
            Err(Rejection::NoRequest(_)) => Ok(gone()),
            Err(other) => Err(other),
        }
    }

    /// The requests that a wish may rest on. What the caller wants may also rest on nobody's approval.
    pub(super) async fn requests_for(
        &self,
        candidate: &Candidate,
        wish: &Wish<'_>,
    ) -> Result<Vec<Option<Request>>, Rejection> {
        let fits = |request: &Request| {
            request.state == RequestState::Open
                && request.asked.to == wish.to
                && request.asked.from == candidate.stand.stage
                && request.asked.break_glass.is_none()
        };
        match wish.cause {
            Cause::Approval(number) | Cause::Requirement(number) => {
                let request = self.store.request(number).await?;
                let request = request.filter(|request| request.asked.id == candidate.id && fits(request));
                Ok(vec![Some(request.ok_or(Rejection::NoRequest(number))?)])
            }
            Cause::Caller | Cause::BreakGlass(..) => {
                let open = self.store.open_requests(&candidate.id).await?.into_iter().filter(fits);
                Ok(open.map(Some).chain([None]).collect())
            }
        }
    }

    pub(in super::super) async fn judge(
        &self,
        permit: &Permit,
        candidate: &Candidate,
        rule: &Transition,
        request: Option<&Request>,
        digest: &str,
    ) -> Result<Verdict, Rejection> {
        let model = candidate.id.model.as_str();
        let stage = |stage: Stage| Object::Stage(model.into(), stage.as_str().into());
        let caller = person(permit.principal());
        let asker = request.map_or(&caller, |request| &request.asked.asker);
        let given = request.map(|request| request.approvals.as_slice()).unwrap_or_default();
        // Whoever approves is decided again: rows and roles may have changed since.
        let rights: Vec<(bool, Vec<String>)> = given
            .iter()
            .map(|approval| {
                let Some(who) = principal(&approval.given.approver) else { return (false, Vec::new()) };
                let may = permit.allows(&who, Permission::StageApprove, &stage(rule.to));
                let roles = rule.approver_roles.iter().filter(|role| permit.gives_role(&who, role));
                (may, roles.cloned().collect())
            })
            .collect();
        let approvals: Vec<Approved<'_>> = given
            .iter()
            .zip(&rights)
            .map(|(approval, (still_may, roles))| Approved {
                number: approval.number,
                user: &approval.given.approver.user,
                roles,
                still_may: *still_may,
                at: approval.given.at,
                digest: &approval.given.digest,
                source: &approval.given.source,
            })
            .collect();
        let reported = self.store.last_said(&candidate.id, digest, &rule.required_tests).await?;
        let evidence: Vec<Said<'_>> = reported
            .iter()
            .map(|kept| Said {
                number: kept.number,
                test: &kept.said.test,
                passed: kept.said.passed,
                digest: &kept.said.digest,
                at: kept.said.at,
            })
            .collect();
        Ok(rule.judge(&Case {
            asker: &asker.user,
            author: candidate.author(),
            approvals: &approvals,
            evidence: &evidence,
            digest,
            source: &candidate.found.source,
            was_there: self.store.came_to(&candidate.id, rule.to, digest).await?,
            lasts: permit.rules().stages.approvals_last(),
            now: self.clock.now(),
        }))
    }

    async fn resting_on(
        &self,
        verdict: Verdict,
        request: Option<Request>,
        digest: String,
    ) -> Result<Weighed, Rejection> {
        let tests = self.store.said(&verdict.evidence).await?;
        let approvals = request.iter().flat_map(|request| &request.approvals);
        let approvals = approvals.filter(|approval| verdict.approvals.contains(&approval.number));
        Ok(Weighed {
            approvals: approvals
                .map(|approval| (approval.number, approval.given.approver.user.clone()))
                .collect(),
            evidence: tests.into_iter().map(|kept| (kept.number, kept.said.test)).collect(),
            asked_by: request.as_ref().map(|request| request.asked.asker.user.clone()).unwrap_or_default(),
            request: request.map(|request| request.number),
            digest,
        })
    }
}

/// Who asked is decided again: rows and roles may have changed since.
fn asker_still_may(permit: &Permit, request: &Request) -> Result<(), Broken> {
    let asked = &request.asked;
    let stage = |stage: Stage| Object::Stage(asked.id.model.as_str().into(), stage.as_str().into());
    let may = |who: Arc<Principal>| {
        [asked.from, asked.to]
            .into_iter()
            .all(|at| permit.allows(&who, Permission::StageTransition, &stage(at)))
    };
    if principal(&asked.asker).is_some_and(may) {
        Ok(())
    } else {
        Err(Broken::AskerMayNot(asked.asker.user.clone()))
    }
}

/// All that is missing, in the order in which it can be had, and the command that asks for it.
fn lacking(candidate: &Candidate, rule: &Transition, verdict: &Verdict, request: Option<&Request>) -> String {
    let (model, version, to) = (&candidate.id.model, candidate.id.version, rule.to);
    let lacks: Vec<String> = verdict.lacks.iter().map(ToString::to_string).collect();
    let ask = match (command(candidate, rule, request), request) {
        (None, _) => String::new(),
        (Some(command), Some(_)) => format!("; approve with: {command}"),
        (Some(command), None) => format!("; ask for it with: {command}"),
    };
    format!("{model}/{version} may not go from {} to {to} yet: {}{ask}", rule.from, lacks.join("; "))
}

/// The command that has the approvals of a transition: one that approves what was asked for, or that asks.
pub(super) fn command(candidate: &Candidate, rule: &Transition, request: Option<&Request>) -> Option<String> {
    let (model, version) = (&candidate.id.model, candidate.id.version);
    match request {
        _ if rule.required_approvals == 0 => None,
        Some(request) => Some(format!("sekisho approval approve {}", request.number)),
        None => Some(format!("sekisho approval request '{model}' {version} {}", rule.to)),
    }
}

//! Requests for transitions, and what is said to them: who asks, who approves, who rejects.

mod standing;

use serde_json::{Value, json};

use crate::authz::Permit;
use crate::govern::{Broken, Mode};
use crate::operation::{Demand, Object, Permission};
use crate::reject::Rejection;
use crate::route::Misread;
use crate::rules::transitions::folded;
use crate::stage::Stage;
use crate::store::{
    Approval, Approving, Asking, Closing, MOST_OPEN, NewApproval, NewRequest, Request, RequestState,
};

use super::Gate;
use super::promote::{Candidate, Cause, Wish, person};
use super::rules::Warned;
use standing::closed;

/// The number of an approval that is only thought of: it comes after all others.
const NOT_YET: i64 = i64::MAX;

/// What somebody asks for.
pub(super) struct Ask<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The version's number.
    pub version: u64,
    /// Where it is to go.
    pub to: Stage,
    /// What they say.
    pub comment: &'a str,
    /// Whether the rules of stages are to be broken.
    pub break_glass: bool,
}

/// What came of an approval.
pub(super) struct Approved {
    /// The request, as it is now.
    pub request: Request,
    /// Why the transition is not made yet, if it is not.
    pub lacks: Option<String>,
}

impl Gate {
    /// Opens a request. The same person gets the one that they have already.
    pub(super) async fn ask_for(
        &self,
        permit: &Permit,
        ask: &Ask<'_>,
        warned: &mut Warned,
    ) -> Result<Request, Rejection> {
        self.has_stages()?;
        let candidate = self.candidate(ask.model, ask.version).await?;
        let (from, to) = (candidate.stand.stage, ask.to);
        let stage = |stage: Stage| Object::Stage(ask.model.into(), stage.as_str().into());
        permit.also(&[from, to].map(|at| Demand::new(Permission::StageTransition, stage(at))))?;
        if from == to {
            return Err(Broken::Stage(format!("the version stands in {to} already")).into());
        }
        if !ask.break_glass {
            is_worth_asking(permit, from, to)?;
        }
        let digest = match self.known_digest(&candidate).await? {
            Some(digest) => digest,
            None if ask.break_glass => String::new(),
            None => return Err(Broken::Bytes("it has no files that could be read".to_owned()).into()),
        };
        let who = permit.principal();
        let new = NewRequest {
            id: candidate.id,
            from,
            to,
            folded: folded(who.user.as_str()),
            asker: person(who),
            comment: ask.comment.to_owned(),
            source: candidate.found.source,
            digest,
            break_glass: ask.break_glass.then(|| ask.comment.to_owned()),
            asked: self.clock.now(),
        };
        if !ask.break_glass {
            return self.kept(&new).await;
        }
        permit.also(&[Demand::new(Permission::Admin, Object::Server)])?;
        if ask.comment.trim().is_empty() {
            return Err(Misread::Missing("comment").into());
        }
        if to == Stage::Development {
            let what = "files that are frozen are not opened again by breaking rules".to_owned();
            return Err(Broken::Stage(what).into());
        }
        let request = self.kept(&new).await?;
        let number = request.number;
        let cause = Cause::BreakGlass(number, ask.comment.to_owned());
        let wish = Wish { model: ask.model, version: ask.version, to, cause };
        if let Err(rejection) = self.promote(permit, &wish, warned).await {
            // What was begun is ended by itself, and its request with it.
            if !matches!(rejection, Rejection::HalfWritten(_)) {
                let comment = "the transition was not made".to_owned();
                let closing = Closing { by: String::new(), comment, at: self.clock.now() };
                self.store.close_request(number, RequestState::Void, &closing).await?;
            }
            return Err(rejection);
        }
        self.reread(number).await
    }

    /// Where there are no house rules there are no stages but MLflow's.
    fn has_stages(&self) -> Result<(), Broken> {
        if self.rules == Mode::Off {
            return Err(Broken::Stage("stages are MLflow's alone here (`rules.mode = \"off\"`)".to_owned()));
        }
        Ok(())
    }

    async fn kept(&self, new: &NewRequest) -> Result<Request, Rejection> {
        match self.store.ask(new).await? {
            Asking::Kept(request) | Asking::Already(request) => Ok(request),
            Asking::Elsewhere(_) | Asking::Unknown => Err(Rejection::Overtaken),
            Asking::TooMany => {
                let what =
                    format!("{MOST_OPEN} requests of this version are open: some must be decided first");
                Err(Broken::Stage(what).into())
            }
        }
    }

    /// A request that the caller may see: whose model is hidden from them is not there.
    pub(super) async fn visible_request(&self, permit: &Permit, number: i64) -> Result<Request, Rejection> {
        let request = self.store.request(number).await?;
        let seen = |request: &Request| {
            let model = Object::Model(request.asked.id.model.as_str().into());
            permit.rests_on(Permission::MetadataRead, model)
        };
        request.filter(seen).ok_or(Rejection::NoRequest(number))
    }

    /// Keeps an approval, and makes the transition if it was the last thing that was missing. Whoever approves twice has
    /// approved once; where that does not count any more and would if it were given now, it is given anew.
    pub(super) async fn approve(
        &self,
        permit: &Permit,
        request: Request,
        comment: &str,
        warned: &mut Warned,
    ) -> Result<Approved, Rejection> {
        let (number, to) = (request.number, request.asked.to);
        self.has_stages()?;
        self.may_decide(permit, &request)?;
        let candidate = self.still_the_same(&request).await?;
        let who = permit.principal();
        let fold = folded(who.user.as_str());
        if fold == request.asked.folded {
            return Err(Broken::OwnRequest.into());
        }
        let approval = NewApproval {
            approver: person(who),
            folded: fold,
            comment: comment.to_owned(),
            source: candidate.found.source.clone(),
            digest: request.asked.digest.clone(),
            at: self.clock.now(),
        };
        let renews = self.renews(permit, &candidate, &request, &approval).await?;
        match self.store.approve(number, &approval, renews).await? {
            Approving::Kept(_) | Approving::Twice => {}
            Approving::Closed => return Err(closed(&request)),
        }
        if request.asked.break_glass.is_some() {
            return self.owed(permit, &request).await;
        }
        let model = candidate.id.model.as_str();
        let wish = Wish { model, version: candidate.id.version, to, cause: Cause::Approval(number) };
        let lacks = match self.promote(permit, &wish, warned).await {
            Ok(_) => None,
            Err(Rejection::Broken(broken @ (Broken::Stage(_) | Broken::Metadata(_)))) => {
                Some(broken.to_string())
            }
            // The files are others, which was seen when they were read.
            Err(Rejection::NoRequest(_)) => return Err(closed(&self.reread(number).await?)),
            Err(other) => return Err(other),
        };
        Ok(Approved { request: self.reread(number).await?, lacks })
    }

    /// The last approval of the same person, if it does not count any more and the new one would.
    async fn renews(
        &self,
        permit: &Permit,
        candidate: &Candidate,
        request: &Request,
        given: &NewApproval,
    ) -> Result<Option<i64>, Rejection> {
        let asked = &request.asked;
        let last = request.approvals.iter().rfind(|approval| approval.given.folded == given.folded);
        let rule = permit.rules().stages.rule(asked.from, asked.to);
        // What was done against the rules is approved once and for all.
        let (Some(last), Some(rule), None) = (last, rule, &asked.break_glass) else { return Ok(None) };
        let mut anew = request.clone();
        anew.approvals.push(Approval { number: NOT_YET, given: given.clone() });
        let verdict = self.judge(permit, candidate, rule, Some(&anew), &asked.digest).await?;
        Ok(verdict.approvals.contains(&NOT_YET).then_some(last.number))
    }

    /// Approvals of what was done against the rules: how many are still owed.
    async fn owed(&self, permit: &Permit, request: &Request) -> Result<Approved, Rejection> {
        let number = request.number;
        let (from, to) = (request.asked.from, request.asked.to);
        let needed = permit.rules().stages.rule(from, to).map_or(1, |rule| rule.required_approvals.max(1));
        let request = self.reread(number).await?;
        let missing = needed.saturating_sub(request.approvals.len());
        let lacks = (missing > 0).then(|| format!("approvals that are still owed: {missing}"));
        Ok(Approved { request, lacks })
    }

    /// Closes a request: somebody who may approve rejects it, who asked takes it back.
    pub(super) async fn close(
        &self,
        permit: &Permit,
        request: Request,
        state: RequestState,
        comment: &str,
    ) -> Result<Request, Rejection> {
        let who = permit.principal();
        let own = folded(who.user.as_str()) == request.asked.folded;
        match state {
            RequestState::Withdrawn if own || permit.rests_on(Permission::Admin, Object::Server) => {}
            RequestState::Withdrawn => return Err(Broken::NotTheirRequest.into()),
            RequestState::Rejected | RequestState::Open | RequestState::Done | RequestState::Void => {
                self.may_decide(permit, &request)?;
            }
        }
        let by = who.user.as_str().to_owned();
        let closing = Closing { by, comment: comment.to_owned(), at: self.clock.now() };
        if !self.store.close_request(request.number, state, &closing).await? {
            return Err(closed(&request));
        }
        self.reread(request.number).await
    }

    fn may_decide(&self, permit: &Permit, request: &Request) -> Result<(), Rejection> {
        let stage = Object::Stage(request.asked.id.model.as_str().into(), request.asked.to.as_str().into());
        Ok(permit.also(&[Demand::new(Permission::StageApprove, stage)])?)
    }
}

/// Whether approvals would help.
fn is_worth_asking(permit: &Permit, from: Stage, to: Stage) -> Result<(), Broken> {
    let rules = &permit.rules().stages;
    match rules.rule(from, to) {
        None => Err(Broken::no_way(from, to, &rules.reachable(from))),
        Some(rule) if rule.required_approvals == 0 => {
            let what = format!("a transition from {from} to {to} takes no approval: make it");
            Err(Broken::Stage(what))
        }
        Some(_) => Ok(()),
    }
}

/// A request as it is shown.
pub(super) fn shown(request: &Request, lacks: Option<&str>) -> Value {
    let asked = &request.asked;
    let approvals: Vec<Value> = request
        .approvals
        .iter()
        .map(|approval| {
            let given = &approval.given;
            json!({ "number": approval.number, "user": given.approver.user, "at": given.at.to_string(), "comment": given.comment })
        })
        .collect();
    let mut said = json!({
        "number": request.number,
        "name": asked.id.model,
        "version": asked.id.version.to_string(),
        "from": asked.from.as_str(),
        "to": asked.to.as_str(),
        "state": request.state.as_str(),
        "asked_by": asked.asker.user,
        "asked_at": asked.asked.to_string(),
        "comment": asked.comment,
        "digest": asked.digest,
        "approvals": approvals,
    });
    let mut put = |key: &str, value: Value| {
        if let Some(object) = said.as_object_mut() {
            object.insert(key.to_owned(), value);
        }
    };
    if let Some(reason) = &asked.break_glass {
        put("break_glass", reason.clone().into());
    }
    if let Some(closing) = &request.closed {
        put("closed", json!({ "by": closing.by, "comment": closing.comment, "at": closing.at.to_string() }));
    }
    if let Some(lacks) = lacks {
        put("lacks", lacks.into());
    }
    said
}

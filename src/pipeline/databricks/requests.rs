//! Requests for transitions in Databricks' form. There they have no number: a version, a stage and a creator name one.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::authz::Permit;
use crate::govern::Broken;
use crate::operation::{Demand, Object, Permission};
use crate::reject::Rejection;
use crate::route::Misread;
use crate::route::message::Message;
use crate::rules::transitions::folded;
use crate::stage::Stage;
use crate::store::{Request, RequestState, VersionId};

use super::super::Gate;
use super::super::ours::written;
use super::super::promotions::stage;
use super::super::requests::{Approved, Ask};
use super::super::rules::Warned;
use super::{millis, named, needed};

const REQUEST: Rejection = Rejection::NoSuch("open request for this version and stage");

impl Gate {
    pub(super) async fn create_request(
        &self,
        permit: &Permit,
        message: &Message,
        warned: &mut Warned,
    ) -> Result<Bytes, Rejection> {
        let (model, version, to) = target(message)?;
        let ask = Ask { model, version, to, comment: comment(message), break_glass: false };
        let request = self.ask_for(permit, &ask, warned).await?;
        Ok(written(&json!({ "request": asked(&request, permit) })))
    }

    pub(super) async fn list_requests(&self, permit: &Permit, message: &Message) -> Result<Bytes, Rejection> {
        let id = self.named_version(message).await?;
        Ok(written(&json!({ "requests": self.open_requests(permit, &id).await? })))
    }

    /// The open requests of a version, the earliest first.
    pub(super) async fn open_requests(
        &self,
        permit: &Permit,
        id: &VersionId,
    ) -> Result<Vec<Value>, Rejection> {
        let mut open = self.as_they_are(self.store.open_requests(id).await?).await?;
        open.retain(|request| request.state == RequestState::Open);
        Ok(open.iter().rev().map(|request| asked(request, permit)).collect())
    }

    /// Approves what others ask for: all of it until the transition is made, for a request is not named here.
    pub(super) async fn approve_requests(
        &self,
        permit: &Permit,
        message: &Message,
        warned: &mut Warned,
    ) -> Result<Bytes, Rejection> {
        let (model, version, to) = target(message)?;
        self.may_approve(permit, model, to)?;
        let requests = self.requests_for_stage(message, to).await?;
        if message.is_true("archive_existing_versions") {
            let at = |stage: Stage| Object::Stage(model.into(), stage.as_str().into());
            let demand = |stage| Demand::new(Permission::StageTransition, at(stage));
            permit.also(&[to, Stage::Archived].map(demand))?;
        }
        let others = self.to_archive(permit, message, (model, version, to)).await?;
        let approved = self.approve_each(permit, requests, comment(message), warned).await?;
        if approved.lacks.is_none() {
            self.archive(permit, model, others, warned).await?;
        }
        let caller = folded(permit.principal().user.as_str());
        let approvals = &approved.request.approvals;
        let own = approvals.iter().rev().find(|approval| folded(&approval.given.approver.user) == caller);
        let deed = Deed {
            kind: "APPROVED_REQUEST",
            by: permit.principal().user.as_str(),
            comment: own.map_or("", |own| &own.given.comment),
            system: approved.lacks.as_deref().unwrap_or_default(),
            at: own.map_or(approved.request.asked.asked, |own| own.given.at),
        };
        Ok(written(&json!({ "activity": deed.shown(&approved.request) })))
    }

    async fn approve_each(
        &self,
        permit: &Permit,
        requests: Vec<Request>,
        comment: &str,
        warned: &mut Warned,
    ) -> Result<Approved, Rejection> {
        let caller = folded(permit.principal().user.as_str());
        let mut found = Err(Broken::OwnRequest.into());
        for request in requests.into_iter().filter(|request| request.asked.folded != caller) {
            match self.approve(permit, request, comment, warned).await {
                Ok(approved) => {
                    let made = approved.lacks.is_none();
                    found = Ok(approved);
                    if made {
                        break;
                    }
                }
                // It is void, say; another may not be.
                Err(Rejection::Broken(broken)) => found = found.or(Err(broken.into())),
                Err(other) => return Err(other),
            }
        }
        found
    }

    /// Rejects all that is asked for.
    pub(super) async fn reject_requests(
        &self,
        permit: &Permit,
        message: &Message,
    ) -> Result<Bytes, Rejection> {
        let (model, _, to) = target(message)?;
        self.may_approve(permit, model, to)?;
        let mut closed = Err(REQUEST);
        for request in self.requests_for_stage(message, to).await? {
            closed = self.close(permit, request, RequestState::Rejected, comment(message)).await;
        }
        Ok(closing("REJECTED_REQUEST", &closed?))
    }

    /// Takes a request back.
    pub(super) async fn delete_request(
        &self,
        permit: &Permit,
        message: &Message,
    ) -> Result<Bytes, Rejection> {
        let to = stage(needed(message, "stage")?)?;
        let creator = folded(needed(message, "creator")?);
        let requests = self.requests_for_stage(message, to).await?;
        let request = requests.into_iter().find(|request| request.asked.folded == creator).ok_or(REQUEST)?;
        let request = self.close(permit, request, RequestState::Withdrawn, comment(message)).await?;
        Ok(closing("CANCELLED_REQUEST", &request))
    }

    fn may_approve(&self, permit: &Permit, model: &str, to: Stage) -> Result<(), Rejection> {
        let stage = Object::Stage(model.into(), to.as_str().into());
        Ok(permit.also(&[Demand::new(Permission::StageApprove, stage)])?)
    }

    /// The open requests of the version that is named for a stage, the earliest first; there is one at least.
    async fn requests_for_stage(&self, message: &Message, to: Stage) -> Result<Vec<Request>, Rejection> {
        let id = self.named_version(message).await?;
        let mut requests = self.store.open_requests(&id).await?;
        requests.retain(|request| request.asked.to == to);
        requests.reverse();
        if requests.is_empty() { Err(REQUEST) } else { Ok(requests) }
    }
}

/// What a call is about: a version, and where it is to go.
fn target(message: &Message) -> Result<(&str, u64, Stage), Misread> {
    let (model, version) = named(message)?;
    Ok((model, version, stage(needed(message, "stage")?)?))
}

/// What somebody did to a request.
struct Deed<'d> {
    kind: &'static str,
    by: &'d str,
    comment: &'d str,
    system: &'d str,
    at: Timestamp,
}

impl Deed<'_> {
    fn shown(&self, request: &Request) -> Value {
        json!({
            "id": request.number.to_string(),
            "activity_type": self.kind,
            "user_id": self.by,
            "comment": self.comment,
            "system_comment": self.system,
            "from_stage": request.asked.from.as_str(),
            "to_stage": request.asked.to.as_str(),
            "creation_timestamp": millis(self.at),
            "last_updated_timestamp": millis(self.at),
        })
    }
}

/// A request, and what the caller may do to it.
fn asked(request: &Request, permit: &Permit) -> Value {
    let new = &request.asked;
    let own = folded(permit.principal().user.as_str()) == new.folded;
    let stage = Object::Stage(new.id.model.as_str().into(), new.to.as_str().into());
    let decides = permit.covers(Permission::StageApprove, &stage);
    let cancels = own || permit.covers(Permission::Admin, &Object::Server);
    let actions: Vec<&str> = [
        (decides && !own, "APPROVE_TRANSITION_REQUEST"),
        (decides, "REJECT_TRANSITION_REQUEST"),
        (cancels, "CANCEL_TRANSITION_REQUEST"),
    ]
    .into_iter()
    .filter_map(|(may, action)| may.then_some(action))
    .collect();
    let deed = Deed {
        kind: "REQUESTED_TRANSITION",
        by: &new.asker.user,
        comment: &new.comment,
        system: "",
        at: new.asked,
    };
    let mut said = deed.shown(request);
    if let Some(said) = said.as_object_mut() {
        said.insert("available_actions".to_owned(), json!(actions));
    }
    said
}

fn closing(kind: &'static str, request: &Request) -> Bytes {
    let closed = request.closed.as_ref();
    let deed = Deed {
        kind,
        by: closed.map_or("", |closed| &closed.by),
        comment: closed.map_or("", |closed| &closed.comment),
        system: "",
        at: closed.map_or(request.asked.asked, |closed| closed.at),
    };
    written(&json!({ "activity": deed.shown(request) }))
}

fn comment(message: &Message) -> &str {
    message.text("comment").unwrap_or_default()
}

//! sekisho's own addresses of stages: requests and approvals, evidence, history.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::operation::{Demand, Object, Permission};
use crate::reject::Rejection;
use crate::route::Misread;
use crate::route::demand::EVIDENCE;
use crate::stage::Stage;
use crate::store::{Comment, Evidence, NEWEST, Request, RequestState, Transition, VersionId};

use super::ours::{named, written};
use super::requests::{Approved, Ask, shown};
use super::rules::Warned;
use super::{Gate, Passed};

/// So many requests are listed at once.
const LISTED: usize = 100;
/// So many are looked at for it, whether the caller may see them or not.
const LOOKED_AT: usize = 1_000;
/// A version's requests are read so many at a time, and told of in so many bytes.
const PAGE: usize = 20;
const ROOM: usize = 1024 * 1024;

impl Gate {
    /// Opens a request for a transition.
    pub(super) async fn ask_for_approval(
        &self,
        passed: &Passed,
        warned: &mut Warned,
    ) -> Result<Bytes, Rejection> {
        let message = passed.operation.says();
        let text = |field: &'static str| message.text(field).ok_or(Misread::Missing(field));
        let ask = Ask {
            model: text("name")?,
            version: text("version")?.parse().map_err(|_| Misread::Version)?,
            to: stage(text("stage")?)?,
            comment: message.text("comment").unwrap_or_default(),
            break_glass: message.is_true("break_glass"),
        };
        let request = self.ask_for(&passed.permit, &ask, warned).await?;
        Ok(written(&json!({ "request": shown(&request, None) })))
    }

    /// Requests, the earliest first, as far as the caller may see their models.
    pub(super) async fn approvals(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let message = passed.operation.says();
        let state = match message.text("state") {
            Some(state) => RequestState::named(state).ok_or(Misread::State)?,
            None => RequestState::Open,
        };
        let mut after = match message.text("after") {
            Some(after) => after.parse().map_err(|_| Misread::Number("after"))?,
            None => 0_i64,
        };
        let model = message.text("name");
        let seen = |request: &Request| {
            let name = request.asked.id.model.as_str();
            model.is_none_or(|model| model == name)
                && passed.permit.covers(Permission::MetadataRead, &Object::Model(name.into()))
        };
        let (mut found, mut looked_at) = (Vec::new(), 0);
        let more = loop {
            let page = self.store.requests_in(state, after, LISTED).await?;
            let whole = page.len() == LISTED;
            looked_at += page.len();
            for request in page {
                after = request.number;
                if seen(&request) {
                    found.push(request);
                }
            }
            if !whole {
                break false;
            }
            if found.len() >= LISTED || looked_at >= LOOKED_AT {
                break true;
            }
        };
        let mut found = self.as_they_are(found).await?;
        found.retain(|request| request.state == state);
        let listed: Vec<Value> = found.iter().map(|request| shown(request, None)).collect();
        let mut said = json!({ "requests": listed });
        if let (true, Some(said)) = (more, said.as_object_mut()) {
            said.insert("next_after".to_owned(), json!(after.to_string()));
        }
        Ok(written(&said))
    }

    /// One request, and what it lacks.
    pub(super) async fn approval(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let request = self.visible_request(&passed.permit, number(passed)?).await?;
        let request = self.as_it_is(request).await?;
        let lacks = self.lacks_yet(&passed.permit, &request).await?;
        Ok(written(&json!({ "request": shown(&request, lacks.as_deref()) })))
    }

    /// Approves one.
    pub(super) async fn approve_request(
        &self,
        passed: &Passed,
        warned: &mut Warned,
    ) -> Result<Bytes, Rejection> {
        let request = self.visible_request(&passed.permit, number(passed)?).await?;
        let Approved { request, lacks } =
            self.approve(&passed.permit, request, comment(passed), warned).await?;
        Ok(written(&json!({ "request": shown(&request, lacks.as_deref()) })))
    }

    /// Rejects one, or takes it back.
    pub(super) async fn close_request(
        &self,
        passed: &Passed,
        state: RequestState,
    ) -> Result<Bytes, Rejection> {
        let request = self.visible_request(&passed.permit, number(passed)?).await?;
        let request = self.close(&passed.permit, request, state, comment(passed)).await?;
        Ok(written(&json!({ "request": shown(&request, None) })))
    }

    /// Keeps what a test said, and shows it as a tag.
    pub(super) async fn report_evidence(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let (model, version) = named(&passed.operation)?;
        let message = passed.operation.says();
        let test = message.text("test").ok_or(Misread::Missing("test"))?;
        if !message.has("passed") {
            return Err(Misread::Missing("passed").into());
        }
        let ok = message.is_true("passed");
        let key = format!("{EVIDENCE}{test}");
        let tag = Object::Tag(model.into(), key.as_str().into());
        passed.permit.also(&[Demand::new(Permission::EvidenceWrite, tag)])?;
        let candidate = self.candidate(model, version).await?;
        let said_of = (message.text("link"), message.text("digest"));
        let kept = self.report(&passed.permit, &candidate, test, ok, said_of).await?;
        let named = (model, &*version.to_string());
        let word = if ok { "passed" } else { "failed" };
        self.facts.tag_version(&self.mlflow, named, (&key, word)).await?;
        self.registry.touched(model, version);
        if ok {
            self.move_on(&passed.permit, &candidate).await?;
        }
        Ok(written(&json!({ "evidence": { "number": kept, "test": test, "passed": ok } })))
    }

    /// How a version came where it stands, what tests said of it and who asked for what.
    pub(super) async fn history(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let (model, version) = named(&passed.operation)?;
        let found = self.facts.version(&self.mlflow, model, &version.to_string()).await?;
        let missing = || Rejection::NoVersion(model.to_owned(), version);
        let found = found.ok_or_else(missing)?;
        let id = self.version_id(model, version, found.created).await?.ok_or_else(missing)?;
        let mut truncated = Vec::new();
        let transitions = newest("transitions", &self.store.history(&id).await?, transition, &mut truncated);
        let evidence = newest("evidence", &self.store.evidence(&id).await?, said, &mut truncated);
        let requests = self.newest_requests(&id, &mut truncated).await?;
        let comments = self.store.comments(&id).await?;
        Ok(written(&json!({
            "name": model,
            "version": version.to_string(),
            "stage": self.where_stands(model, &version.to_string(), &found).as_str(),
            "transitions": transitions,
            "evidence": evidence,
            "requests": requests,
            "comments": comments.iter().map(commented).collect::<Vec<_>>(),
            "truncated": truncated,
        })))
    }

    /// The newest requests of a version, as they are. What people say in them is long where they want it to be.
    async fn newest_requests(
        &self,
        id: &VersionId,
        truncated: &mut Vec<&'static str>,
    ) -> Result<Vec<Value>, Rejection> {
        let (mut told, mut size, mut below) = (Vec::new(), 0, i64::MAX);
        loop {
            let page = self.store.requests(id, below, PAGE).await?;
            if page.is_empty() {
                return Ok(told);
            }
            for request in self.as_they_are(page).await? {
                below = request.number;
                let request = shown(&request, None);
                size += request.to_string().len();
                if told.len() >= NEWEST || size > ROOM {
                    truncated.push("requests");
                    return Ok(told);
                }
                told.push(request);
            }
        }
    }

    /// Which versions stood in a stage at a time.
    pub(super) async fn stood_in(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let model = passed.operation.found.param("name").unwrap_or_default();
        let stage = stage(passed.operation.found.param("stage").unwrap_or_default())?;
        let at = match passed.operation.message().and_then(|message| message.text("at")) {
            Some(at) => at.parse::<Timestamp>().map_err(|_| Misread::Time("at"))?,
            None => self.clock.now(),
        };
        let mut came = self.store.in_stage_at(model, stage, at).await?;
        // What had this name may have one by now that the caller does not see.
        came.retain(|made| {
            passed.permit.covers(Permission::MetadataRead, &Object::Model(made.what.id.model.as_str().into()))
        });
        Ok(written(&json!({
            "name": model,
            "stage": stage.as_str(),
            "at": at.to_string(),
            "versions": came.iter().map(transition).collect::<Vec<_>>(),
        })))
    }
}

/// The newest rows of a kind, and whether there are others.
fn newest<T>(
    kind: &'static str,
    rows: &[T],
    shown: fn(&T) -> Value,
    truncated: &mut Vec<&'static str>,
) -> Vec<Value> {
    truncated.extend((rows.len() > NEWEST).then_some(kind));
    rows.iter().take(NEWEST).map(shown).collect()
}

pub(super) fn stage(text: &str) -> Result<Stage, Misread> {
    Stage::named(text).ok_or_else(|| Misread::NoStage(text.to_owned()))
}

fn number(passed: &Passed) -> Result<i64, Misread> {
    let text = passed.operation.found.param("number").unwrap_or_default();
    text.parse().map_err(|_| Misread::Number("number"))
}

fn comment(passed: &Passed) -> &str {
    passed.operation.message().and_then(|message| message.text("comment")).unwrap_or_default()
}

/// A transition as it is shown.
fn transition(made: &Transition) -> Value {
    let what = &made.what;
    let people: Vec<Value> =
        what.approvals.iter().map(|(number, user)| json!({ "number": number, "user": user })).collect();
    let tests: Vec<Value> =
        what.evidence.iter().map(|(number, test)| json!({ "number": number, "test": test })).collect();
    json!({
        "number": made.number,
        "version": what.id.version.to_string(),
        "from": what.from.as_str(),
        "to": what.to.as_str(),
        "at": made.ended.unwrap_or(what.begun).to_string(),
        "by": what.by,
        "asked_by": what.asked_by,
        "request": what.request,
        "approvals": people,
        "evidence": tests,
        "digest": what.digest,
        "break_glass": what.break_glass,
    })
}

fn commented(kept: &Comment) -> Value {
    json!({
        "id": kept.id,
        "user": kept.user,
        "comment": kept.text,
        "at": kept.created.to_string(),
        "changed": kept.changed.to_string(),
    })
}

/// What a test said, as it is shown.
pub(super) fn said(kept: &Evidence) -> Value {
    let said = &kept.said;
    json!({
        "number": kept.number,
        "test": said.test,
        "passed": said.passed,
        "link": said.link,
        "reporter": said.reporter,
        "digest": said.digest,
        "at": said.at.to_string(),
    })
}

//! What sekisho answers by itself.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use crate::audit::{Outcome, Trail};
use crate::authz::Permit;
use crate::digest::{Outcome as Ended, State, Wish};
use crate::facts::Version;
use crate::filter::stages::{self, TAG};
use crate::govern::Mode;
use crate::listen::{Outbound, boxed, empty, full};
use crate::operation::{Demand, Object, Permission};
use crate::registry::{Question, SearchError};
use crate::reject::Rejection;
use crate::route::table::Ours;
use crate::route::{Misread, Operation};
use crate::rules::names::skeleton;
use crate::stage::Stage;
use crate::store::{KeptDigest, RequestState, VersionId};

use super::promotions::said;
use super::rules::Warned;
use super::{Gate, Passed, answer};

/// So many names are checked at once.
const CHECKED: usize = 1_000;
/// So many names are told of at once: each is asked for.
const NAMES: usize = 100;

impl Gate {
    /// Answers what MLflow is not asked.
    pub(super) async fn ours(
        self: &Arc<Self>,
        which: Ours,
        mut passed: Passed,
        mut trail: Trail,
    ) -> Response<Outbound> {
        let write = passed.operation.is_write();
        let mut warned = Warned::new();
        let answered = match which {
            Ours::WhoAmI => Ok(answer::who_am_i(passed.permit.principal())),
            Ours::CheckNames => check_names(&passed).await,
            Ours::Names => self.names_against_the_rule(&passed).await,
            Ours::Search => self.search(&passed).await,
            Ours::Version => self.version(&passed).await,
            Ours::TakeDigest => self.take_digest_again(&passed).await,
            Ours::AskForApproval => self.ask_for_approval(&passed, &mut warned).await,
            Ours::Approvals => self.approvals(&passed).await,
            Ours::Approval => self.approval(&passed).await,
            Ours::Approve => self.approve_request(&passed, &mut warned).await,
            Ours::Reject => self.close_request(&passed, RequestState::Rejected).await,
            Ours::Withdraw => self.close_request(&passed, RequestState::Withdrawn).await,
            Ours::Report => self.report_evidence(&passed).await,
            Ours::History => self.history(&passed).await,
            Ours::Review => self.review(&passed).await,
            Ours::BatchCreate => self.batch_create(&mut passed).await,
            Ours::BatchGet => self.batch_get(&mut passed, &mut trail).await,
            Ours::PurgeCache => {
                self.cache.purge().await;
                Ok(Bytes::from_static(b"{}"))
            }
            Ours::StoodIn => self.stood_in(&passed).await,
            Ours::Databricks(call) => self.databricks(call, &passed, &mut warned).await,
        };
        trail.note_warned(warned);
        match answered {
            Ok(body) => {
                passed.slot.hold_anyway(body.len());
                if write {
                    trail.note_outcome(Outcome::Applied);
                }
                let mut response = Response::new(boxed(passed.slot.until_end_of(full(body))));
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                answer::finish(response.headers_mut(), trail.id());
                trail.close(StatusCode::OK);
                if passed.operation.found.head { response.map(|_| empty()) } else { response }
            }
            Err(rejection) => answer::end(&rejection, trail),
        }
    }

    async fn search(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let question = Question::of(passed.operation.says())?;
        let permit = &passed.permit;
        let seen = |model: &str| permit.covers(Permission::MetadataRead, &Object::Model(model.into()));
        let user = permit.principal().user.as_str();
        let page =
            self.registry.search(&self.facts, &self.mlflow, &question, user, (&seen, &self.stages)).await;
        let page = page.map_err(|error| match error {
            SearchError::Question(wrong) => Rejection::Question(wrong),
            SearchError::Fact(_) | SearchError::Key(_) => Rejection::Search(error),
        })?;
        Ok(written(&page))
    }

    /// The models whose names are against the naming rule, as far as the caller sees them: they were there before it.
    async fn names_against_the_rule(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let (permit, rules) = (&passed.permit, passed.permit.rules());
        let after = passed.operation.message().and_then(|message| message.text("after")).unwrap_or_default();
        let names = self.registry.names(&self.facts, &self.mlflow, skeleton).await?;
        let seen = |name: &str| permit.covers(Permission::MetadataRead, &Object::Model(name.into()));
        let (mut found, mut asked, mut next) = (Vec::new(), 0, None);
        for name in names.iter().filter(|name| &***name > after && seen(name)) {
            let Err(wrong) = rules.names.read(name) else { continue };
            match self.facts.is_prompt(&self.mlflow, name).await? {
                Some(prompt) if !prompt || rules.prompts.names => {
                    found.push(json!({ "name": name, "what": wrong.to_string() }));
                }
                Some(_) | None => {}
            }
            asked += 1;
            if asked == NAMES {
                next = Some(name);
                break;
            }
        }
        let mut said = json!({ "names": found });
        if let (Some(next), Some(said)) = (next, said.as_object_mut()) {
            said.insert("next_after".to_owned(), json!(next));
        }
        Ok(written(&said))
    }

    /// One version: what it says of itself and what it lacks, what its files are, and what it takes to go on.
    async fn version(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let (model, number) = named(&passed.operation)?;
        let version = number.to_string();
        let found = self.facts.version(&self.mlflow, model, &version).await?;
        let mut found = found.ok_or_else(|| Rejection::NoVersion(model.to_owned(), number))?;
        let permit = &passed.permit;
        let rules = permit.rules();
        let lacks = rules.metadata.lacks(&found.tags);
        let id = self.version_id(model, number, found.created).await?;
        let kept = match &id {
            Some(id) => self.store.digest(id).await,
            None => Ok(None),
        };
        let digest = match kept {
            Ok(kept) => {
                self.look_after(model, number, &found, kept.as_ref());
                self.digest_in_words(model, number, found.created, kept)
            }
            Err(error) => json!({ "state": "unknown", "reason": error.to_string() }),
        };
        let next = match &id {
            Some(id) => self.next_in_words(permit, id, &found).await,
            None => json!({}),
        };
        let stage = self.stage_in_words(model, number, &mut found).await;
        let owner = |key: &str| found.tags.get(key);
        let lacks: Vec<Value> =
            lacks.iter().map(|lack| json!({ "key": lack.key, "what": lack.what })).collect();
        let mut said = json!({
            "name": model,
            "version": version,
            "creation_timestamp": found.created,
            "stage": stage,
            "source": found.source,
            "run_id": found.run,
            "business_owner": owner("business_owner"),
            "technical_owner": owner("technical_owner"),
            "tags": found.tags,
            "lacks": lacks,
            "digest": digest,
        });
        if let (Some(said), Value::Object(next)) = (said.as_object_mut(), next) {
            said.extend(next);
        }
        Ok(written(&said))
    }

    /// What tests said last, and what each next step lacks. The rest of a version can be shown without the state store.
    async fn next_in_words(&self, permit: &Permit, id: &VersionId, found: &Version) -> Value {
        let known = async {
            let next = self.next_steps(permit, id, found).await?;
            let mut evidence = self.store.evidence(id).await?;
            evidence
                .sort_by(|one, other| (&one.said.test, other.number).cmp(&(&other.said.test, one.number)));
            evidence.dedup_by(|later, first| later.said.test == first.said.test);
            Ok::<_, Rejection>((next, evidence))
        };
        match known.await {
            Ok((next, evidence)) => {
                json!({ "evidence": evidence.iter().map(said).collect::<Vec<_>>(), "next": next })
            }
            Err(error) => json!({ "evidence": null, "next": null, "next_unknown": error.to_string() }),
        }
    }

    /// The true stage, which its tag then says, too. Without house rules it is MLflow's.
    pub(super) async fn stage_in_words(&self, model: &str, number: u64, found: &mut Version) -> &'static str {
        let tag = found.tags.get(TAG).cloned();
        let (model, mlflows) = (model.to_owned(), found.stage.clone());
        if self.rules == Mode::Off {
            return crate::stage::Stage::believed(None, &mlflows).as_str();
        }
        let sight = stages::Version { model, number, created: found.created, tag, mlflows };
        let stage = self.stage_of(&sight).await.as_str();
        found.tags.entry(TAG.to_owned()).and_modify(|value| stage.clone_into(value));
        stage
    }

    /// Has done what is missing where a version was registered, or its tags were written, past this process, or where it
    /// could not be done before.
    fn look_after(&self, model: &str, number: u64, found: &Version, kept: Option<&KeptDigest>) {
        if self.rules == Mode::Off {
            return;
        }
        match kept {
            Some(kept) if super::attest::is_shown(found, kept) => {}
            Some(_) => self.digests.want(model, number, Wish::Show),
            None if self.digests.is_due(model, number, found.created) => {
                self.digests.want(model, number, Wish::Take);
            }
            None => {}
        }
    }

    fn digest_in_words(&self, model: &str, version: u64, created: i64, kept: Option<KeptDigest>) -> Value {
        let state = self.digests.state(model, version, created);
        let (word, reason) = match (&state, &kept) {
            (Some(State::Waiting(why)), _) => ("waiting", why.clone()),
            (Some(State::Underway(_)), _) => ("underway", None),
            (Some(State::Ended(Ended::Failed(why))), _) => ("failed", Some(why.clone())),
            (Some(State::Ended(Ended::Mismatch(now))), _) => {
                ("mismatch", Some(format!("the files are now {now}")))
            }
            (None, Some(_)) => ("taken", None),
            (None, None) => ("unknown", None),
        };
        let mut said = json!({ "state": word });
        let mut put = |key: &str, value: Value| {
            if let Some(object) = said.as_object_mut() {
                object.insert(key.to_owned(), value);
            }
        };
        if let Some(reason) = reason {
            put("reason", reason.into());
        }
        if let Some(State::Underway(progress)) = &state {
            let counts = progress.counts();
            put(
                "progress",
                json!({ "files": counts.files, "files_done": counts.files_done, "bytes": counts.bytes, "bytes_done": counts.bytes_done }),
            );
        }
        if let Some(kept) = kept {
            let file = |file: &crate::store::KeptFile| json!({ "path": file.path, "size": file.size, "sha256": file.sha256 });
            put("sha256", kept.digest.into());
            put("taken", kept.taken.to_string().into());
            put("files", kept.files.iter().map(file).collect());
            put("dependencies", kept.dependencies.into());
        }
        said
    }

    /// Has a digest taken again; with `replace` it takes the place of one that it differs from.
    async fn take_digest_again(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let (model, number) = named(&passed.operation)?;
        let found = self.facts.version(&self.mlflow, model, &number.to_string()).await?;
        let found = found.ok_or_else(|| Rejection::NoVersion(model.to_owned(), number))?;
        let replace = passed.operation.message().is_some_and(|message| message.is_true("replace"));
        let stage = self.where_stands(model, &number.to_string(), &found);
        if replace && self.rules != Mode::Off && stage != Stage::Development {
            // Frozen files were changed past us: what was promoted were others.
            passed.permit.also(&[Demand::new(Permission::Admin, Object::Server)])?;
        }
        self.digests.want(model, number, if replace { Wish::Replace } else { Wish::Take });
        Ok(written(&json!({ "state": "waiting" })))
    }
}

/// What the naming rule says of each name, in the order of the request. Finding out what is wrong with a name takes a
/// while, so others have a turn after each.
async fn check_names(passed: &Passed) -> Result<Bytes, Rejection> {
    let rules = passed.permit.rules();
    let asked: Vec<&str> =
        passed.operation.message().into_iter().flat_map(|message| message.texts("names")).collect();
    if asked.len() > CHECKED {
        return Err(Misread::TooManyObjects(CHECKED).into());
    }
    let mut names = Vec::with_capacity(asked.len());
    for name in asked {
        names.push(match rules.names.read(name) {
            Ok(_) => json!({ "name": name, "ok": true }),
            Err(wrong) => json!({ "name": name, "ok": false, "what": wrong.to_string() }),
        });
        tokio::task::yield_now().await;
    }
    Ok(written(&json!({ "names": names })))
}

pub(super) fn named(operation: &Operation) -> Result<(&str, u64), Rejection> {
    let model = operation.found.param("name").unwrap_or_default();
    let version = operation.found.param("version").and_then(|version| version.parse().ok());
    Ok((model, version.ok_or(Misread::Version)?))
}

pub(super) fn written(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
}

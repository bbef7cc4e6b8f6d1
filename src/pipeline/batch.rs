//! Many versions in one request, each answered or refused on its own, in the order in which they were asked for.

pub(super) mod create;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::audit::Trail;
use crate::authz::Permit;
use crate::cache::{Entry, Question};
use crate::facts::{FactError, query};
use crate::govern::Mode;
use crate::limit::{Purse, Slot};
use crate::operation::{Demand, Object, Permission};
use crate::reject::Rejection;
use crate::route::Misread;
use crate::route::demand::model_name;
use crate::route::message::Message;
use crate::stage::Stage;
use crate::upstream;

use super::perform::ANSWER;
use super::remembered::{Read, asks_mlflow};
use super::{Gate, Passed};

/// So many versions are read at once.
const MOST: usize = 1_000;
/// So many of them are asked of MLflow at a time.
const AT_ONCE: usize = 8;

impl Gate {
    /// Versions by name and number, from memory where they are there.
    pub(super) async fn batch_get(&self, passed: &mut Passed, trail: &mut Trail) -> Result<Bytes, Rejection> {
        let Passed { slot, operation, permit, parts, .. } = passed;
        let asked: Vec<&Message> =
            operation.message().into_iter().flat_map(|message| message.messages("model_versions")).collect();
        if asked.len() > MOST {
            return Err(Misread::TooManyObjects(MOST).into());
        }
        let (anew, permit) = (asks_mlflow(&parts.headers), &*permit);
        let mut waiting = Vec::with_capacity(asked.len());
        for one in asked {
            waiting.push(self.one(permit, one, anew, slot.beside()));
        }
        let mut found = stream::iter(waiting).buffered(AT_ONCE);
        let (mut out, mut refused) = (String::from("{\"results\":["), 0_usize);
        while let Some(one) = found.next().await {
            let item = match one {
                Ok((question, entry)) => {
                    let wanted = (self.rules != Mode::Off).then_some(&Stage::ALL[..]);
                    let read = Read { question, operation, wanted, sent: &parts.headers };
                    self.told_of(&read, &entry, slot).await
                }
                Err(rejection) => Err(rejection),
            };
            if out.len() > 16 {
                out.push(',');
            }
            let before = out.len();
            match item {
                Ok(item) if out.len() + item.len() < ANSWER => out.push_str(&item),
                Ok(_) => out.push_str(FULL),
                Err(rejection) => {
                    out.push_str(&error(rejection.status(), rejection.code(), &rejection.to_string()));
                    if let Rejection::Denied(denied) = rejection {
                        trail.tell_refused(&denied);
                        refused += 1;
                    }
                }
            }
            slot.hold(out.len() - before).await?;
        }
        if refused > 0 {
            trail.note_failure(format!("{refused} of them were refused, with a line each"));
        }
        out.push_str("]}");
        Ok(out.into())
    }

    /// What MLflow says of one version, or what is known of it, if the caller may see it.
    async fn one<'a>(
        &self,
        permit: &Permit,
        asked: &'a Message,
        anew: bool,
        mut purse: Purse,
    ) -> Result<(Question<'a>, Arc<Entry>), Rejection> {
        let question = may_read(permit, asked)?;
        let known = (!anew).then(|| self.cache.get(&question, self.clock.steady())).flatten();
        if let Some(entry) = known {
            return Ok((question, entry));
        }
        let pairs = [("name", question.model().unwrap_or_default()), ("version", question.rest())];
        let order = self.facts.question(&query("/api/2.0/mlflow/model-versions/get", &pairs));
        let ask = async {
            let (parts, body) = self.mlflow.send(order).await?.into_parts();
            Ok(Response::from_parts(parts, upstream::collect_held(body, ANSWER, &mut purse).await?))
        };
        let (entry, from) = self.cache.ask(&question, || self.clock.steady(), (ask, anew)).await?;
        self.note_source(from);
        Ok((question, entry))
    }

    /// What MLflow says of one version, in the house's words, or its error.
    async fn told_of(&self, read: &Read<'_>, entry: &Entry, slot: &mut Slot) -> Result<String, Rejection> {
        if entry.status != StatusCode::OK {
            let said = said(&entry.body).ok_or(FactError::Status(entry.status))?;
            return Ok(error(entry.status, &said.error_code, &said.message));
        }
        let shown = self.shown_once(read, entry, slot).await?;
        let text = std::str::from_utf8(&shown.body);
        Ok(text.map_err(|_| FactError::Status(StatusCode::BAD_GATEWAY))?.to_owned())
    }
}

/// Which version is asked for, if the caller may see it.
fn may_read<'a>(permit: &Permit, one: &'a Message) -> Result<Question<'a>, Rejection> {
    let name = model_name("name", one.text("name").ok_or(Misread::Missing("name"))?)?;
    let version = one.text("version").ok_or(Misread::Missing("version"))?;
    if version.parse().map_or(true, |number: u64| number == 0 || number.to_string() != version) {
        return Err(Misread::Version.into());
    }
    permit.also(&[Demand::new(Permission::MetadataRead, Object::Model(name.into()))])?;
    Ok(Question::of_version(name, version))
}

/// MLflow's error, or one of ours in its form.
#[derive(Deserialize)]
struct Said {
    error_code: String,
    #[serde(default)]
    message: String,
}

fn said(body: &[u8]) -> Option<Said> {
    serde_json::from_slice(body).ok()
}

/// One of them that is not answered, in MLflow's words and with the status that it would have had.
fn error(status: StatusCode, code: &str, message: &str) -> String {
    json!({ "error": { "status": status.as_u16(), "error_code": code, "message": message } }).to_string()
}

const FULL: &str = r#"{"error":{"status":413,"error_code":"RESOURCE_EXHAUSTED","message":"the answer is full: ask for this one again"}}"#;

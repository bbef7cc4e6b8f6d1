//! Many versions registered in one request. Each goes the whole way of a request of its own: through every rule, and with
//! lines of its own in the record.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Collected};
use parking_lot::Mutex;

use crate::authz::Permit;
use crate::facts::{pages, query};
use crate::filter::stages::{self, Reader, Row};
use crate::govern::Mode;
use crate::ids::X_REQUEST_ID;
use crate::listen::Peer;
use crate::operation::{Demand, Object, Permission};
use crate::registry::named;
use crate::reject::Rejection;
use crate::route::message::Message;
use crate::route::{Misread, Operation};

use super::super::perform::ANSWER;
use super::super::{Gate, Passed, SETTLES, Sent};
use super::{FULL, error, said};

/// So many are registered at once.
const MOST: usize = 100;
/// So many of them are on their way to MLflow at a time.
const AT_ONCE: usize = 4;
/// The longest idempotency key.
const LONGEST_KEY: usize = 64;

/// The tag by which a version is found again that a batch made. It is written in the create call itself.
pub(in super::super) const BATCH_TAG: &str = "sekisho.batch";

/// What marks a version of a batch: nobody outside can send it.
#[derive(Clone, Debug)]
pub(in super::super) struct Batched(pub(in super::super) String);

/// Batches with a key, as far as they are not over.
#[derive(Debug, Default)]
pub struct Batches {
    /// Those that are under way here.
    under_way: Mutex<HashSet<String>>,
    /// Marks of versions that may still be made, and until when.
    adrift: Mutex<HashMap<String, Duration>>,
    /// An earlier process may have left some.
    left: AtomicBool,
}

/// One of them, until it is dropped.
struct UnderWay<'a>(&'a Batches, String);

impl Batches {
    fn begin(&self, key: String) -> Result<UnderWay<'_>, Rejection> {
        let begins = self.under_way.lock().insert(key.clone());
        if begins { Ok(UnderWay(self, key)) } else { Err(Rejection::SameBatch) }
    }

    /// Whether a version that MLflow does not show may still be made by an earlier request.
    fn may_come(&self, mark: &str, now: Duration) -> bool {
        let mut adrift = self.adrift.lock();
        adrift.retain(|_, until| now < *until);
        self.left.load(Ordering::SeqCst) || adrift.contains_key(mark)
    }

    /// Nobody knows whether the version with this mark was made, or will be until then.
    fn is_adrift(&self, mark: String, until: Duration) {
        self.adrift.lock().insert(mark, until);
    }

    /// Whether an earlier process has left registrations of which nobody knows what becomes.
    pub(in super::super) fn are_left(&self, left: bool) {
        self.left.store(left, Ordering::SeqCst);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.lock().remove(&self.1);
    }
}

impl Gate {
    /// Registers versions, each answered or refused on its own, in their order. With an idempotency key what an earlier
    /// request with it has made is found again, and not made twice.
    pub(in super::super) async fn batch_create(
        self: &Arc<Self>,
        passed: &mut Passed,
    ) -> Result<Bytes, Rejection> {
        let Passed { slot, operation, permit, parts, peer, .. } = passed;
        let message = operation.says();
        let asked: Vec<&Message> = message.messages("model_versions").collect();
        if asked.len() > MOST {
            return Err(Misread::TooManyObjects(MOST).into());
        }
        let user = permit.principal().user.as_str();
        let key = key_of(operation)?.map(|key| format!("{user}\n{key}"));
        let _under_way = key.clone().map(|key| self.batches.begin(key)).transpose()?;
        let (permit, peer) = (&*permit, *peer);
        let mut made = Vec::with_capacity(asked.len());
        for (number, one) in asked.into_iter().enumerate() {
            let mark = key.as_ref().map(|key| mark_of(key, number));
            made.push(self.make(permit, &parts.headers, one, mark, peer));
        }
        let mut made = stream::iter(made).buffered(AT_ONCE);
        let mut out = String::from("{\"results\":[");
        let mut first = true;
        while let Some(item) = made.next().await {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            let item = if out.len() + item.len() < ANSWER { &item } else { FULL };
            slot.hold_anyway(item.len());
            out.push_str(item);
        }
        out.push_str("]}");
        Ok(out.into())
    }

    /// What an earlier request with this mark has made, if the caller may register there.
    async fn made_before(
        &self,
        permit: &Permit,
        one: &Message,
        mark: &str,
    ) -> Result<Option<Row>, Rejection> {
        let Some(name) = one.text("name") else { return Ok(None) };
        let may = permit.also(&[Demand::new(Permission::ModelWrite, Object::Model(name.into()))]);
        // Who may not is told so when it is made.
        if may.is_err() {
            return Ok(None);
        }
        let filter = named(name).ok_or(Misread::NoKey)?;
        for filter in pages::both(&format!("{filter} AND tags.`{BATCH_TAG}` = '{mark}'")) {
            let asked = [("filter", &*filter), ("max_results", "1")];
            let path = query("/api/2.0/mlflow/model-versions/search", &asked);
            let found = self.facts.look(&self.mlflow, &path).await?;
            let rows = found.map(|body| stages::versions(&body)).transpose()?;
            if let Some(row) = rows.into_iter().flatten().next() {
                return Ok(Some(row));
            }
        }
        if self.batches.may_come(mark, self.clock.steady()) {
            return Err(Rejection::SameBatch);
        }
        Ok(None)
    }

    /// A version that was made before, as its own registration would be answered.
    fn found(&self, row: &Row) -> Result<String, Rejection> {
        let body = Bytes::from(format!("{{\"model_version\":{}}}", row.written));
        let body = match self.rules {
            Mode::Off => body,
            Mode::Warn | Mode::Enforce => stages::show(&body, &self.stages, Reader::Client)?.body,
        };
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// The request for one of them alone.
    fn request(
        &self,
        sent: &HeaderMap,
        one: &Message,
        mark: Option<String>,
    ) -> Result<Request<Sent>, Rejection> {
        let mut request = Request::new(Sent::Whole(one.to_json().into()));
        *request.method_mut() = Method::POST;
        let prefix = self.static_prefix.as_deref().unwrap_or_default();
        let path = format!("{prefix}/api/2.0/mlflow/model-versions/create");
        *request.uri_mut() = path.parse().map_err(|_| Misread::NoRoute(path))?;
        let mut headers = sent.clone();
        // Each has a name and a length of its own; the rest is who sends it.
        for name in
            [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::TRANSFER_ENCODING, X_REQUEST_ID]
        {
            headers.remove(name);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.headers_mut() = headers;
        if let Some(mark) = mark {
            request.extensions_mut().insert(Batched(mark));
        }
        Ok(request)
    }

    /// One of them, as it is answered.
    async fn make(
        self: &Arc<Self>,
        permit: &Permit,
        sent: &HeaderMap,
        one: &Message,
        mark: Option<String>,
        peer: Peer,
    ) -> String {
        let failed =
            |rejection: Rejection| error(rejection.status(), rejection.code(), &rejection.to_string());
        if let Some(mark) = &mark {
            match self.made_before(permit, one, mark).await {
                Ok(Some(row)) => return self.found(&row).unwrap_or_else(failed),
                Ok(None) => {}
                Err(rejection) => return failed(rejection),
            }
        }
        let request = match self.request(sent, one, mark.clone()) {
            Ok(request) => request,
            Err(rejection) => return failed(rejection),
        };
        let (parts, body) = Arc::clone(self).part(request, peer).await.into_parts();
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        if let Some(mark) = mark.filter(|_| nobody_knows(parts.status)) {
            self.batches.is_adrift(mark, self.clock.steady().saturating_add(SETTLES));
        }
        match (parts.status, std::str::from_utf8(&body)) {
            (StatusCode::OK, Ok(text)) if !text.is_empty() => text.to_owned(),
            (status, _) => said(&body).map_or_else(
                || error(status, "INTERNAL_ERROR", "no answer came"),
                |told| error(status, &told.error_code, &told.message),
            ),
        }
    }
}

/// Whether an answer leaves open whether the version was made, or will be: 503 says that nothing was sent.
fn nobody_knows(status: StatusCode) -> bool {
    status == StatusCode::CONFLICT || (status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE)
}

fn key_of(operation: &Operation) -> Result<Option<&str>, Misread> {
    let Some(key) = operation.says().text("idempotency_key") else { return Ok(None) };
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if plain && key.len() <= LONGEST_KEY {
        Ok(Some(key))
    } else {
        Err(Misread::Text("idempotency_key", LONGEST_KEY))
    }
}

/// Of one caller, one key and one place: who knows the key of somebody else finds nothing by it.
fn mark_of(key: &str, number: usize) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{key}\n{number}").as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_one_caller_one_key_and_one_place() {
        let marks =
            [("ann\nk", 0), ("ann\nk", 1), ("bob\nk", 0), ("ann\nl", 0)].map(|(key, at)| mark_of(key, at));
        assert_eq!(marks.iter().collect::<HashSet<_>>().len(), 4);
        assert_eq!(mark_of("ann\nk", 0), marks[0]);
        assert!(marks[0].len() < 250 && !marks[0].contains('\''));
    }

    #[test]
    fn a_key_is_under_way_once() {
        let batches = Batches::default();
        let first = batches.begin("k".to_owned()).ok();
        assert!(
            first.is_some()
                && batches.begin("k".to_owned()).is_err()
                && batches.begin("l".to_owned()).is_ok()
        );
        drop(first);
        assert!(batches.begin("k".to_owned()).is_ok());
    }
}

//! Reads of the registry that are answered from memory where they can be. Rights are decided before, each time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tracing::{info, warn};

use crate::audit::Trail;
use crate::cache::{Entry, From, Question, Shown};
use crate::limit::Slot;
use crate::reject::Rejection;
use crate::route::Operation;
use crate::stage::Stage;
use crate::upstream::{self, Order};

use super::perform::ANSWER;
use super::shown::{InWords, reader};
use super::trodden::Kept;
use super::{Gate, answer};

/// Where an answer came from.
const SAYS: HeaderName = HeaderName::from_static("x-sekisho-cache");

/// For browsers: to be asked for again each time, which costs a few bytes where nothing has changed (RFC 9111 section 5.2.2).
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// RFC 7234 section 5.5.1, which clients know though RFC 9111 has it no more.
const STALE: HeaderValue = HeaderValue::from_static("110 sekisho \"Response is Stale\"");

/// A read, as far as it is needed to answer it from memory.
pub(super) struct Read<'a> {
    pub(super) question: Question<'a>,
    pub(super) operation: &'a Operation,
    /// The stages that are wanted, where they are called as the house calls them.
    pub(super) wanted: Option<&'a [Stage]>,
    /// What the caller sent.
    pub(super) sent: &'a HeaderMap,
}

impl Gate {
    /// The answer, from memory or else from MLflow, of which `order` asks.
    pub(super) async fn remembered(
        &self,
        read: &Read<'_>,
        order: impl FnOnce() -> Result<Order, Rejection>,
        trail: &mut Trail,
        slot: &mut Slot,
    ) -> Result<(Response<Bytes>, Option<Kept>), Rejection> {
        let now = self.clock.steady();
        let alone = asks_mlflow(read.sent);
        let known = (!alone).then(|| self.cache.get(&read.question, now)).flatten();
        let (entry, from) = match known {
            Some(entry) => (entry, From::Memory),
            None => {
                let mut order = order()?;
                answer::ask_for_the_whole_of(&mut order.headers);
                self.asked(&read.question, (order, alone), trail, slot).await?
            }
        };
        let (mut response, shown) = self.in_words(read, &entry, slot).await?;
        let age = (from != From::Mlflow).then(|| entry.age(self.clock.steady()));
        self.tell_source(response.headers_mut(), from, age);
        let lasts = |shown: &Arc<Shown>| from == From::Memory && shown.settled;
        let kept = shown.filter(lasts).map(|shown| Kept { entry, shown });
        Ok((response, kept))
    }

    /// Says where an answer came from, and how old it is if that is one age.
    pub(super) fn tell_source(&self, headers: &mut HeaderMap, from: From, age: Option<Duration>) {
        let said = match from {
            From::Memory => "HIT",
            From::Mlflow => "MISS",
            From::Stale => "STALE",
        };
        headers.insert(SAYS, HeaderValue::from_static(said));
        if let Some(age) = age {
            headers.insert(header::AGE, age.as_secs().into());
        }
        if from == From::Stale {
            headers.insert(header::WARNING, STALE);
        }
        self.note_source(from);
    }

    /// That MLflow is gone is told once, and that it is back.
    pub(super) fn note_source(&self, from: From) {
        match from {
            From::Stale if self.cache.served_stale() == 1 => {
                warn!("mlflow does not answer: reads of what is known are answered from memory");
            }
            From::Mlflow => {
                if let Some(served) = self.cache.is_back() {
                    info!(served, "mlflow answers again; so many reads were answered from memory meanwhile");
                }
            }
            From::Stale | From::Memory => {}
        }
    }

    /// What MLflow says, or what it said before it was gone.
    async fn asked(
        &self,
        question: &Question<'_>,
        (order, alone): (Order, bool),
        trail: &mut Trail,
        slot: &mut Slot,
    ) -> Result<(Arc<Entry>, From), Rejection> {
        let mut heard = None;
        let ask = async {
            let (parts, body) = self.mlflow.send(order).await?.into_parts();
            heard = Some(parts.status);
            let body = upstream::collect_held(body, ANSWER, slot).await?;
            Ok(Response::from_parts(parts, body))
        };
        let asked = self.cache.ask(question, || self.clock.steady(), (ask, alone)).await;
        heard.into_iter().for_each(|status| trail.note_upstream(status));
        let (entry, from) = asked?;
        if heard.is_none() {
            slot.hold(entry.body.len()).await?;
        }
        Ok((entry, from))
    }

    /// An answer of MLflow's in the words of the reader: made once, and kept beside it until a version stands elsewhere.
    async fn in_words(
        &self,
        read: &Read<'_>,
        entry: &Entry,
        slot: &mut Slot,
    ) -> Result<(Response<Bytes>, Option<Arc<Shown>>), Rejection> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = entry.status;
        *response.headers_mut() = entry.headers.clone();
        if entry.status != StatusCode::OK {
            *response.body_mut() = entry.body.clone();
            return Ok((response, None));
        }
        let shown = self.shown_once(read, entry, slot).await?;
        response.headers_mut().insert(header::ETAG, shown.etag.clone());
        response.headers_mut().insert(header::CACHE_CONTROL, REVALIDATE);
        if has_it(read.sent, &shown.etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
        } else {
            *response.body_mut() = shown.body.clone();
        }
        Ok((response, Some(shown)))
    }

    pub(super) async fn shown_once(
        &self,
        read: &Read<'_>,
        entry: &Entry,
        slot: &mut Slot,
    ) -> Result<Arc<Shown>, Rejection> {
        // Before it is made: what changes meanwhile has it made again.
        let stages = self.stages.generation();
        let reader = reader(read.operation);
        let whole = read.wanted.is_none_or(|wanted| wanted.len() == Stage::ALL.len());
        if let Some(shown) = entry.shown(reader as usize, stages).filter(|_| whole) {
            return Ok(shown);
        }
        let held = slot.held();
        let made = match read.wanted {
            Some(wanted) => {
                slot.hold(entry.body.len().saturating_mul(2)).await?;
                self.in_house_words(read.operation, wanted, entry.body.clone(), slot).await?
            }
            None => InWords { body: entry.body.clone(), settled: true },
        };
        let shown = Arc::new(Shown::new(made.body, stages, made.settled));
        slot.keep_only(held);
        if whole && shown.settled {
            entry.keep_shown(reader as usize, &shown);
        } else {
            slot.hold(shown.body.len()).await?;
        }
        Ok(shown)
    }
}

/// Whether the caller wants MLflow's answer of now (RFC 9111 section 5.2.1).
pub(super) fn asks_mlflow(sent: &HeaderMap) -> bool {
    let values = sent.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|said| ["no-cache", "no-store", "max-age=0"].iter().any(|no| said.eq_ignore_ascii_case(no)))
}

/// Whether the caller has this answer already (RFC 9110 section 13.1.2).
pub(super) fn has_it(sent: &HeaderMap, etag: &HeaderValue) -> bool {
    let values = sent.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

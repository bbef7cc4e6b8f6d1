//! MLflow's answers to reads of the registry, in memory, as MLflow wrote them: what a caller may see of one, and in which
//! words, is decided on its way out, so that one entry serves everybody.
//!
//! An entry holds the generation of what it tells of, read before MLflow was asked. From before a write is sent until it has
//! ended nothing is kept or served of what it is about, and its end raises the generation. So an entry that was filled by a
//! read which overlapped a write is never served after it.

mod flight;
pub mod generations;
pub mod news;
mod question;
mod replicas;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::upstream::UpstreamError;

use flight::Flights;
pub use generations::Mark;
use generations::{Change, Generations};
use question::Key;
pub use question::{Question, Sort};
pub use replicas::Queue;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an answer is served; zero turns all of this off.
    pub ttl: Duration,
    /// Bytes that all of them may take; zero turns all of this off.
    pub bytes: u64,
    /// How long after that an answer is served while MLflow is down.
    pub stale: Duration,
}

impl Settings {
    /// How long an answer is served, if any are kept.
    #[must_use]
    pub fn lasting(self) -> Option<Duration> {
        (!self.ttl.is_zero() && self.bytes > 0).then_some(self.ttl)
    }
}

/// That there is no such thing is believed for so long: it may be made at MLflow itself, or by another way.
const ABSENT: Duration = Duration::from_secs(5);

/// A time of the clock's ([`crate::clock::Clock::steady`]).
pub type Now = Duration;

/// An answer of MLflow's.
#[derive(Debug)]
pub struct Entry {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, but for those that tell of its body's form.
    pub headers: HeaderMap,
    /// Its body, as MLflow wrote it.
    pub body: Bytes,
    /// When MLflow was asked.
    pub asked: Now,
    /// What was made of it for each kind of reader, by the number of the kind.
    shown: [ArcSwapOption<Shown>; 2],
    mark: Option<Mark>,
    fresh_for: Duration,
}

/// An answer as one kind of reader gets it.
#[derive(Debug)]
pub struct Shown {
    /// The body.
    pub body: Bytes,
    /// Its `ETag` (RFC 9110 section 8.8.3): of these bytes and no others.
    pub etag: HeaderValue,
    /// Which state of what is known beside MLflow's answer it was made with.
    pub made_with: u64,
    /// Whether it will be the same until one of the two changes.
    pub settled: bool,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Memory.
    Memory,
    /// MLflow.
    Mlflow,
    /// Memory, because MLflow does not answer.
    Stale,
}

impl From {
    /// Where an answer came from that was put together from this one and another one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Stale, _) | (_, Self::Stale) => Self::Stale,
            (Self::Mlflow, _) | (_, Self::Mlflow) => Self::Mlflow,
            (Self::Memory, Self::Memory) => Self::Memory,
        }
    }
}

/// Answers in memory.
#[derive(Debug)]
pub struct ReadCache {
    entries: Option<Cache<Key, Arc<Entry>, Weight>>,
    generations: Arc<Generations>,
    flights: Flights,
    settings: Settings,
    /// Reads that were answered though MLflow did not, since it did last.
    stale: AtomicU64,
}

#[derive(Clone, Debug)]
struct Weight;

/// What an entry takes beside its bytes: itself, its headers, its place.
const OVERHEAD: usize = 1_024;

impl Weighter<Key, Arc<Entry>> for Weight {
    fn weight(&self, key: &Key, entry: &Arc<Entry>) -> u64 {
        // What is made of the body for two kinds of readers is kept beside it.
        (key.len() + entry.body.len().saturating_mul(3)).saturating_add(OVERHEAD) as u64
    }
}

/// About how large an entry is, from which the size of the table is guessed.
const USUAL: u64 = 4_096;

impl ReadCache {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings, generations: Arc<Generations>) -> Self {
        let usual = usize::try_from(settings.bytes / USUAL).unwrap_or(usize::MAX).max(64);
        let entries = settings.lasting().map(|_| Cache::with_weighter(usual, settings.bytes, Weight));
        Self { entries, generations, flights: Flights::default(), settings, stale: AtomicU64::new(0) }
    }

    /// Whether anything is kept at all, and others who write to the same MLflow are heard.
    #[must_use]
    pub fn is_on(&self, now: Now) -> bool {
        self.entries.is_some() && self.generations.hears(now)
    }

    /// What is known and true by all that was written through here.
    #[must_use]
    pub fn get(&self, question: &Question<'_>, now: Now) -> Option<Arc<Entry>> {
        self.known(question, now).filter(|entry| entry.is_fresh(now))
    }

    /// The same, where MLflow does not answer.
    #[must_use]
    pub fn get_stale(&self, question: &Question<'_>, now: Now) -> Option<Arc<Entry>> {
        let most = |entry: &Entry| entry.fresh_for.saturating_add(self.settings.stale);
        self.known(question, now).filter(|entry| entry.status.is_success() && entry.age(now) < most(entry))
    }

    /// The moment before a page of a list is put together, as it will be served once more until something is written.
    #[must_use]
    pub fn before_page(&self, now: Now) -> Option<Mark> {
        self.entries.as_ref().and_then(|_| self.generations.mark(None, now))
    }

    /// A page that was put together of answers which were asked for since `asked`, after the moment of its mark.
    #[must_use]
    pub fn page(&self, response: Response<Bytes>, mark: Mark, asked: Now) -> Entry {
        Entry::new(Sort::Models, response, (Some(mark), asked), self.settings.ttl)
    }

    /// Whether what was served a moment ago may be served once more.
    #[must_use]
    pub fn still_holds(&self, entry: &Entry, now: Now) -> bool {
        entry.is_fresh(now) && entry.mark.is_some_and(|mark| self.generations.holds(mark, now))
    }

    fn known(&self, question: &Question<'_>, now: Now) -> Option<Arc<Entry>> {
        let entry = self.entries.as_ref()?.get(question)?;
        let holds = entry.mark.is_some_and(|mark| self.generations.holds(mark, now));
        holds.then_some(entry)
    }

    /// MLflow's answer, which `ask` gets unless somebody else is asking the same; from memory, where MLflow does not answer.
    /// `now` tells the time. Who is `alone` does not take what was asked for others a moment before.
    ///
    /// # Errors
    /// MLflow could not be asked, and nothing is known.
    pub async fn ask(
        &self,
        question: &Question<'_>,
        now: impl Fn() -> Now,
        (ask, alone): (impl Future<Output = Result<Response<Bytes>, UpstreamError>>, bool),
    ) -> Result<(Arc<Entry>, From), UpstreamError> {
        let asked = now();
        let mark = self.generations.mark(question.model(), asked);
        let asking = async {
            let entry = Arc::new(Entry::new(question.sort(), ask.await?, (mark, asked), self.settings.ttl));
            self.keep(question, &entry, now());
            Ok(entry)
        };
        let answered = match mark.filter(|_| self.entries.is_some() && !alone) {
            Some(mark) => self.flights.join(question, mark, asking).await,
            None => asking.await,
        };
        match answered {
            Ok(entry) if !is_down(entry.status) => Ok((entry, From::Mlflow)),
            Err(error @ (UpstreamError::CallerBroke(_) | UpstreamError::Unwritable(_))) => Err(error),
            failed => match self.get_stale(question, now()) {
                Some(entry) => Ok((entry, From::Stale)),
                None => failed.map(|entry| (entry, From::Mlflow)),
            },
        }
    }

    /// What was overtaken meanwhile does not take the place of what is newer.
    fn keep(&self, question: &Question<'_>, entry: &Arc<Entry>, now: Now) {
        let holds = entry.mark.is_some_and(|mark| self.generations.holds(mark, now));
        if let Some(entries) = self.entries.as_ref().filter(|_| holds && !entry.fresh_for.is_zero()) {
            entries.insert(Key::of(question), Arc::clone(entry));
        }
    }

    /// A write of these models begins.
    pub fn change<'a>(&self, models: impl IntoIterator<Item = &'a str>) -> Change {
        self.generations.change(models)
    }

    /// A read was answered though MLflow did not: how many that were.
    pub fn served_stale(&self) -> u64 {
        self.stale.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// MLflow answers: how many reads were answered without it, if any.
    pub fn is_back(&self) -> Option<u64> {
        // Most often there is nothing to change, and nothing is written.
        if self.stale.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(self.stale.swap(0, Ordering::Relaxed)).filter(|served| *served > 0)
    }

    /// How many answers are known, and how many bytes they take.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        self.entries.as_ref().map_or((0, 0), |entries| (entries.len(), entries.weight()))
    }

    /// An earlier process had begun a write of these models, and nobody knows yet what became of it.
    pub fn change_that_was_left<'a>(&self, models: impl IntoIterator<Item = &'a str>) -> Change {
        self.generations.change_that_was_left(models)
    }

    /// A write begins of which nobody can say which models it changes.
    pub fn change_of_any(&self) -> Change {
        self.generations.change_of_any()
    }

    /// Forgets everything, and has others do so.
    pub async fn purge(&self) {
        self.change_of_any().end().await;
        if let Some(entries) = &self.entries {
            entries.clear();
        }
    }
}

/// Statuses by which something in MLflow's place says that MLflow is not there.
fn is_down(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

impl Entry {
    fn new(sort: Sort, response: Response<Bytes>, (mark, asked): (Option<Mark>, Now), ttl: Duration) -> Self {
        let (parts, body) = response.into_parts();
        let mut headers = parts.headers;
        for name in [header::CONTENT_LENGTH, header::ETAG, header::LAST_MODIFIED, header::CACHE_CONTROL] {
            headers.remove(name);
        }
        let fresh_for = match parts.status {
            StatusCode::OK => ttl,
            StatusCode::NOT_FOUND if is_absent(&body, "RESOURCE_DOES_NOT_EXIST") => ttl.min(ABSENT),
            StatusCode::BAD_REQUEST if sort == Sort::Alias && is_absent(&body, "INVALID_PARAMETER_VALUE") => {
                ttl.min(ABSENT)
            }
            _ => Duration::ZERO,
        };
        let shown = [const { ArcSwapOption::const_empty() }; 2];
        Self { status: parts.status, headers, body, asked, shown, mark, fresh_for }
    }

    fn is_fresh(&self, now: Now) -> bool {
        self.age(now) < self.fresh_for
    }

    /// The answer once more.
    #[must_use]
    pub fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }

    /// How old it is.
    #[must_use]
    pub fn age(&self, now: Now) -> Duration {
        now.saturating_sub(self.asked)
    }

    /// What was made of it for a kind of reader, with this state of what is known beside it.
    #[must_use]
    pub fn shown(&self, reader: usize, made_with: u64) -> Option<Arc<Shown>> {
        self.shown.get(reader)?.load_full().filter(|shown| shown.made_with == made_with)
    }

    /// Keeps what was made of it.
    pub fn keep_shown(&self, reader: usize, shown: &Arc<Shown>) {
        if let Some(place) = self.shown.get(reader) {
            place.store(Some(Arc::clone(shown)));
        }
    }
}

impl Shown {
    /// An answer that was made with this state of what is known beside MLflow's.
    #[must_use]
    pub fn new(body: Bytes, made_with: u64, settled: bool) -> Self {
        let etag = etag_of(&body);
        Self { body, etag, made_with, settled }
    }
}

fn etag_of(body: &[u8]) -> HeaderValue {
    use base64::Engine as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    let short = digest.as_ref().get(..16).unwrap_or_default();
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(short);
    HeaderValue::try_from(format!("\"{text}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// MLflow's own words for what is not there; of an alias it says that the parameter is invalid
/// (`store/model_registry/sqlalchemy_store.py` `get_model_version_by_alias`). A server that answers in its place knows nothing.
fn is_absent(body: &[u8], code: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        error_code: std::borrow::Cow<'a, str>,
    }
    serde_json::from_slice::<Said<'_>>(body).is_ok_and(|said| said.error_code == code)
}

#[cfg(test)]
mod tests;

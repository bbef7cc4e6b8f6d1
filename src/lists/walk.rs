//! A walk over MLflow's pages, bounded, that finds its place again after each step.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::cache::{From, Now, Question};
use crate::index;
use crate::limit::{self, Slot};
use crate::upstream::{self, Order, OrderBody, UpstreamError};

use super::page::Page;
use super::place::Place;
use super::rows::{self, Chunk, Row};
use super::{Asking, ListError, Search, Source};

/// How often MLflow is asked for one page of ours.
const MOST_CALLS: u32 = 20;

/// How many rows MLflow is asked for at once: its own limit for models (`store/model_registry/__init__.py`).
const MOST_ROWS: u64 = 1_000;

/// How many steps each way a lost place is looked for.
const STEPS: u64 = 4;

/// The most of one answer of MLflow's.
const ANSWER: usize = 16 * 1024 * 1024;

/// How a walk ended.
pub(super) enum Ended {
    /// MLflow answered with an error.
    Answer(Response<Bytes>),
    /// A page, and whether there is more.
    Page(Page, bool),
}

pub(super) struct Walk<'a> {
    source: &'a Source<'a>,
    search: &'a Search<'a>,
    headers: HeaderMap,
    asking: &'a mut Asking,
    /// Accounts for MLflow's answers, one after the other, beside what the request holds already.
    slot: &'a mut Slot,
    held: usize,
    place: Place,
    calls: u32,
    /// How many rows are asked for at once: fewer once an answer was too large.
    most: u64,
    /// Rows of this walk so far, those that were shown, how many were asked for last, and whether one of those was shown.
    passed: u64,
    shown: u64,
    last: u64,
    fruitless: bool,
}

/// What MLflow answered to one question.
enum Told {
    Error(Response<Bytes>),
    Rows(Chunk),
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        source: &'a Source<'a>,
        search: &'a Search<'a>,
        headers: HeaderMap,
        place: Place,
        asking: &'a mut Asking,
        slot: &'a mut Slot,
    ) -> Self {
        let held = slot.held();
        let (calls, passed, shown, last) = (0, 0, 0, 0);
        let (most, fruitless) = (MOST_ROWS, false);
        Self {
            source,
            search,
            headers,
            asking,
            slot,
            held,
            place,
            calls,
            most,
            passed,
            shown,
            last,
            fruitless,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Forgets what was passed: another question follows.
    pub(super) fn begin_anew(&mut self) {
        self.place = Place::default();
        (self.passed, self.shown, self.last, self.fruitless) = (0, 0, 0, false);
    }

    /// Only what MLflow says of the question.
    pub(super) async fn ask(&mut self, narrowed: Option<&str>) -> Result<Ended, ListError> {
        Ok(match self.fetch(narrowed, 0, 1).await? {
            Told::Error(response) => Ended::Answer(response),
            Told::Rows(_) => Ended::Page(Page::new(0), false),
        })
    }

    /// Goes on from the place until `wanted` rows are found and one more is seen, the list ends, or it has been long enough.
    pub(super) async fn run(&mut self, wanted: u64, narrowed: Option<&str>) -> Result<Ended, ListError> {
        let mut page = Page::new(wanted);
        while self.calls < MOST_CALLS {
            let chunk = match self.step(page.missing() + 1, narrowed).await? {
                Told::Error(response) => return Ok(Ended::Answer(response)),
                Told::Rows(chunk) if self.start(&chunk).is_some() => chunk,
                Told::Rows(chunk) => match self.find_again(chunk, narrowed).await? {
                    Told::Error(response) => return Ok(Ended::Answer(response)),
                    Told::Rows(chunk) => chunk,
                },
            };
            // A place that is nowhere any more is where its count says.
            let by_count = self.place.offset.saturating_sub(chunk.from);
            let start = self.start(&chunk).unwrap_or_else(|| usize::try_from(by_count).unwrap_or(usize::MAX));
            if self.take(&chunk, start, &mut page) {
                return Ok(Ended::Page(page, true));
            }
            if !chunk.more {
                return Ok(Ended::Page(page, false));
            }
        }
        Ok(Ended::Page(page, true))
    }

    /// Where in a chunk the place is, if that can be told.
    fn start(&self, chunk: &Chunk) -> Option<usize> {
        if !self.place.is_marked() {
            return Some(0);
        }
        let marks: Vec<u64> = chunk.rows.iter().map(|row| row.mark).collect();
        self.place.find(&marks, chunk.from)
    }

    /// Takes the rows of a chunk from `start` on; whether the page is full and there is another row.
    fn take(&mut self, chunk: &Chunk, start: usize, page: &mut Page) -> bool {
        let start = start.min(chunk.rows.len());
        self.place.offset = chunk.from.saturating_add(start as u64);
        self.fruitless = true;
        for row in chunk.rows.iter().skip(start) {
            if self.place.has_passed(row.mark) {
                self.place.offset = self.place.offset.saturating_add(1);
                continue;
            }
            let shown = (self.search.seen)(&row.name);
            if shown && !page.take(&row.written) {
                return true;
            }
            self.place.consume(row.mark, shown);
            self.passed += 1;
            self.shown += u64::from(shown);
            self.fruitless &= !shown;
        }
        false
    }

    /// Asks for the next rows and, for finding the place again, the last ones: as many as are missing while nothing is hidden,
    /// else by the share that was, and more and more where nothing is found.
    async fn step(&mut self, missing: u64, narrowed: Option<&str>) -> Result<Told, ListError> {
        let mut overlap = self.place.overlap();
        let hidden = self.passed > self.shown;
        let guess = if hidden {
            let by_share = missing.saturating_mul(self.passed) / (self.shown + 1);
            let grown = if self.fruitless { self.last.saturating_mul(8) } else { 0 };
            by_share.saturating_mul(2).max(grown).max(64)
        } else {
            missing
        };
        loop {
            let rows = guess.saturating_add(overlap).min(self.most).max(overlap + 1);
            self.last = rows;
            match self.fetch(narrowed, self.place.offset - overlap, rows).await {
                Err(ListError::Upstream(UpstreamError::ResponseTooLarge { .. })) if rows > 1 => {
                    self.most = (rows / 4).max(1);
                    overlap = overlap.min(self.most - 1);
                }
                other => return other,
            }
        }
    }

    /// Looks for a place that is not where it was: further back, where rows before it have gone, and further on, where many
    /// have come. What was there already if it is nowhere.
    async fn find_again(&mut self, there: Chunk, narrowed: Option<&str>) -> Result<Told, ListError> {
        let end = there.from + there.rows.len() as u64;
        let (mut at_beginning, mut at_end) = (there.from == 0, !there.more);
        for step in 0..STEPS {
            let back = there.from.saturating_sub((step + 1) * self.most);
            let on = end + step * self.most;
            for (from, over) in [(back, &mut at_beginning), (on, &mut at_end)] {
                if *over || self.calls >= MOST_CALLS {
                    continue;
                }
                let chunk = match self.fetch(narrowed, from, self.most).await? {
                    Told::Error(response) => return Ok(Told::Error(response)),
                    Told::Rows(chunk) => chunk,
                };
                if self.start(&chunk).is_some() {
                    return Ok(Told::Rows(chunk));
                }
                *over = if from < there.from { from == 0 } else { !chunk.more };
            }
        }
        Ok(Told::Rows(there))
    }

    async fn fetch(&mut self, narrowed: Option<&str>, from: u64, most: u64) -> Result<Told, ListError> {
        self.calls += 1;
        if let Some(chunk) = self.known(narrowed.is_some(), from, most).await {
            return Ok(Told::Rows(chunk?));
        }
        let path_and_query = self.search.query.write(narrowed, from, most);
        // Whatever the prefix, MLflow answers alike.
        let query = path_and_query.split_once('?').map_or("", |(_, query)| query);
        let question = Question::of_page(self.search.list.sort(), query);
        self.slot.keep_only(self.held);
        let Source { mlflow, cache, clock, may_ask, .. } = self.source;
        let alone = self.asking.anew;
        let known = (!alone).then(|| cache.get(&question, clock.steady())).flatten();
        let (entry, source) = match known {
            Some(entry) => {
                self.slot.hold(entry.body.len().saturating_mul(2)).await.map_err(UpstreamError::NoRoom)?;
                (entry, From::Memory)
            }
            None => {
                may_ask().map_err(UpstreamError::NoRoom)?;
                let order = Order {
                    method: Method::GET,
                    path_and_query: path_and_query.clone(),
                    headers: self.headers.clone(),
                    body: OrderBody::Empty,
                    repeatable: true,
                };
                let (slot, heard) = (&mut *self.slot, &mut self.asking.status);
                let ask = async {
                    let (parts, body) = mlflow.send(order).await?.into_parts();
                    *heard = Some(parts.status);
                    let body = upstream::collect_held(body, ANSWER, slot).await?;
                    Ok(Response::from_parts(parts, body))
                };
                cache.ask(&question, || clock.steady(), (ask, alone)).await?
            }
        };
        if source == From::Mlflow {
            self.asking.status = Some(entry.status);
        }
        self.note_source(source, entry.asked);
        match entry.status {
            StatusCode::OK => Ok(Told::Rows(self.read(entry.body.clone(), from).await?)),
            status if status.is_client_error() || status.is_server_error() => {
                Ok(Told::Error(entry.response()))
            }
            status => Err(ListError::Status(status)),
        }
    }

    fn note_source(&mut self, source: From, asked: Now) {
        self.asking.asked = Some(self.asking.asked.map_or(asked, |before| before.min(asked)));
        self.asking.from = Some(self.asking.from.map_or(source, |before| before.and(source)));
    }

    /// The same rows from the index, where it knows them.
    async fn known(&mut self, narrowed: bool, from: u64, most: u64) -> Option<Result<Chunk, ListError>> {
        if self.asking.anew {
            return None;
        }
        let search = self.search;
        let question = index::Question {
            kind: search.list.kind(),
            filter: search.query.filter,
            order_by: search.query.order_by,
            names: search.named.as_deref().filter(|_| narrowed),
        };
        let Source { index, asker, clock, .. } = self.source;
        let found = index.answer(*asker, &question, (from, most), clock.steady()).await?;
        self.slot.keep_only(self.held);
        let bytes = found.rows.iter().map(|row| row.written.len()).sum();
        if let Err(error) = self.slot.hold(bytes).await {
            return Some(Err(UpstreamError::NoRoom(error).into()));
        }
        self.note_source(From::Memory, found.asked);
        let rows = found.rows.into_iter().map(Row::from).collect();
        Some(Ok(Chunk { from, rows, more: found.more }))
    }

    async fn read(&self, body: Bytes, from: u64) -> Result<Chunk, ListError> {
        let list = self.search.list;
        if body.len() < limit::LARGE {
            return rows::read(&body, list, from);
        }
        let turn = self.slot.aside().turn().await.map_err(UpstreamError::NoRoom)?;
        turn.run(move || rows::read(&body, list, from)).await.map_err(UpstreamError::NoRoom)?
    }
}

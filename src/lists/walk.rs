//! A walk over MLflow's pages, bounded, that finds its place again after each step.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::limit::{self, Slot};
use crate::upstream::{self, Order, OrderBody, Upstream, UpstreamError};

use super::page::Page;
use super::place::Place;
use super::rows::{self, Chunk};
use super::{ListError, Search};

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
    mlflow: &'a Upstream,
    search: &'a Search<'a>,
    headers: HeaderMap,
    heard: &'a mut Option<StatusCode>,
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
enum Heard {
    Error(Response<Bytes>),
    Rows(Chunk),
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        mlflow: &'a Upstream,
        search: &'a Search<'a>,
        headers: HeaderMap,
        place: Place,
        heard: &'a mut Option<StatusCode>,
        slot: &'a mut Slot,
    ) -> Self {
        let held = slot.held();
        let (calls, passed, shown, last) = (0, 0, 0, 0);
        let (most, fruitless) = (MOST_ROWS, false);
        Self {
            mlflow,
            search,
            headers,
            heard,
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
            Heard::Error(response) => Ended::Answer(response),
            Heard::Rows(_) => Ended::Page(Page::new(0), false),
        })
    }

    /// Goes on from the place until `wanted` rows are found and one more is seen, the list ends, or it has been long enough.
    pub(super) async fn run(&mut self, wanted: u64, narrowed: Option<&str>) -> Result<Ended, ListError> {
        let mut page = Page::new(wanted);
        while self.calls < MOST_CALLS {
            let chunk = match self.step(page.missing() + 1, narrowed).await? {
                Heard::Error(response) => return Ok(Ended::Answer(response)),
                Heard::Rows(chunk) if self.start(&chunk).is_some() => chunk,
                Heard::Rows(chunk) => match self.find_again(chunk, narrowed).await? {
                    Heard::Error(response) => return Ok(Ended::Answer(response)),
                    Heard::Rows(chunk) => chunk,
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
    async fn step(&mut self, missing: u64, narrowed: Option<&str>) -> Result<Heard, ListError> {
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
    async fn find_again(&mut self, there: Chunk, narrowed: Option<&str>) -> Result<Heard, ListError> {
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
                    Heard::Error(response) => return Ok(Heard::Error(response)),
                    Heard::Rows(chunk) => chunk,
                };
                if self.start(&chunk).is_some() {
                    return Ok(Heard::Rows(chunk));
                }
                *over = if from < there.from { from == 0 } else { !chunk.more };
            }
        }
        Ok(Heard::Rows(there))
    }

    async fn fetch(&mut self, narrowed: Option<&str>, from: u64, most: u64) -> Result<Heard, ListError> {
        self.calls += 1;
        let order = Order {
            method: Method::GET,
            path_and_query: self.search.query.write(narrowed, from, most),
            headers: self.headers.clone(),
            body: OrderBody::Empty,
            repeatable: true,
        };
        let (parts, body) = self.mlflow.send(order).await?.into_parts();
        *self.heard = Some(parts.status);
        self.slot.keep_only(self.held);
        let body = upstream::collect_held(body, ANSWER, self.slot).await?;
        match parts.status {
            StatusCode::OK => Ok(Heard::Rows(self.read(body, from).await?)),
            status if status.is_client_error() || status.is_server_error() => {
                Ok(Heard::Error(Response::from_parts(parts, body)))
            }
            status => Err(ListError::Status(status)),
        }
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

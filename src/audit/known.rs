//! A read that is told of like one before it: of its line only that is made which differs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::tally::{Again, Like};
use super::{Journal, Reads, Trail};
use crate::clock::Clock;
use crate::ids::RequestId;
use crate::record::line::{self, Decision, Entry, Kind};

/// The line of a read that may come again.
#[derive(Debug)]
pub struct Known {
    journal: Journal,
    clock: Clock,
    line: Entry,
    whole: Arc<Again>,
    unchanged: Arc<Again>,
}

/// The line of one that did.
#[derive(Debug)]
#[must_use = "a line that is dropped is written as abandoned"]
pub struct Brief {
    known: Arc<Known>,
    id: RequestId,
    peer: IpAddr,
    status: StatusCode,
    start: Instant,
    written: bool,
}

impl Trail {
    /// The line as it will be of every read like this one, if nothing in it is about this one alone.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        let line = self.entry.as_deref().filter(|entry| {
            entry.kind == Kind::Read
                && entry.decision == Some(Decision::Allow)
                && entry.reason.is_none()
                && entry.rules.is_empty()
                && entry.upstream_status.is_none()
        })?;
        let nothing_more = self.later.demands().is_empty() && self.later.observed().is_none();
        nothing_more.then(|| {
            let like = |status| Again::new(Like::of(line.clone(), Some(status)));
            Known {
                journal: self.journal.clone(),
                clock: self.clock.clone(),
                whole: like(StatusCode::OK.as_u16()),
                unchanged: like(StatusCode::NOT_MODIFIED.as_u16()),
                line: line.clone(),
            }
        })
    }
}

impl Brief {
    pub(super) fn new(
        known: &Arc<Known>,
        id: RequestId,
        peer: IpAddr,
        unchanged: bool,
        start: Instant,
    ) -> Self {
        let status = if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        Self { known: Arc::clone(known), id, peer, status, start, written: false }
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    pub(super) fn close(mut self) {
        self.written = true;
        let Known { journal, whole, unchanged, .. } = &*self.known;
        match journal.reads {
            Reads::Off => {}
            Reads::Aggregate if self.status == StatusCode::OK => journal.tally.count_again(whole),
            Reads::Aggregate => journal.tally.count_again(unchanged),
            Reads::Each => self.write(false),
        }
    }

    /// Ends the line of an answer that began and did not come to its end.
    pub(super) fn cut(self) {
        drop(self);
    }

    fn write(&self, abandoned: bool) {
        let Known { journal, clock, line: known, .. } = &*self.known;
        let micros = clock.micros_since(self.start);
        let now = clock.now();
        let began = now.checked_sub(Duration::from_micros(micros)).unwrap_or(now);
        let mut entry = Entry { id: self.id.to_string(), time: line::time(began), ..known.clone() };
        entry.peer = Some(self.peer.to_canonical());
        entry.status = Some(self.status.as_u16());
        entry.micros = Some(micros);
        entry.abandoned = abandoned.then_some(true);
        journal.record.tell(entry);
    }
}

impl Drop for Brief {
    fn drop(&mut self) {
        if !self.written {
            self.write(true);
        }
    }
}

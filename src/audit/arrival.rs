//! A request that has come, before anything is told of it: a line is begun when it is known what kind it will have.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::Method;

use super::known::{Brief, Known};
use super::{Journal, Trail};
use crate::clock::Clock;
use crate::ids::RequestId;

/// The request. One that is dropped is told of as abandoned.
#[derive(Debug)]
#[must_use = "a request that is dropped is written as abandoned"]
pub struct Arrival<'g> {
    journal: &'g Journal,
    clock: &'g Clock,
    id: Option<RequestId>,
    peer: IpAddr,
    method: Method,
    start: Instant,
}

impl<'g> Arrival<'g> {
    /// It comes now.
    pub fn new(
        (journal, clock): (&'g Journal, &'g Clock),
        id: RequestId,
        peer: IpAddr,
        method: &Method,
    ) -> Self {
        Self { journal, clock, id: Some(id), peer, method: method.clone(), start: clock.instant() }
    }

    /// Its line, in the making.
    pub fn open(mut self) -> Trail {
        let id = self.id.take().unwrap_or_default();
        self.begin(id)
    }

    /// Its line, where it is a read that was told of before; `unchanged` if it is not answered in full.
    pub fn brief(mut self, known: &Arc<Known>, unchanged: bool) -> Brief {
        let id = self.id.take().unwrap_or_default();
        Brief::new(known, id, self.peer, unchanged, self.start)
    }

    fn begin(&self, id: RequestId) -> Trail {
        Trail::open(self.journal, self.clock, id, (self.start, self.peer), &self.method)
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            drop(self.begin(id));
        }
    }
}

//! Every request is told about, whatever becomes of it: what was asked, what was decided and why, what came of it.
//!
//! A write has two lines. Its intent stays on the disk before MLflow hears of it; its outcome follows. Allowed reads are
//! counted, or have a line each. The lines are those of [`record`](crate::record) (DESIGN section 10).

mod arrival;
pub mod asked;
mod change;
mod known;
mod params;
mod shroud;
mod tally;
mod told;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::authz::{Denied, Later, Permit};
use crate::clock::Clock;
use crate::ids::RequestId;
use crate::operation::{Access, Demand};
use crate::principal::Principal;
use crate::record::line::{Decision, Entry, Kind};
use crate::record::{Place, Record, Unrecorded};
use crate::route::Operation;

use shroud::Shroud;
use tally::{Like, Tally};

pub use crate::record::line::Outcome;
pub use arrival::Arrival;
pub use change::{Change, Facet};
pub use known::{Brief, Known};
pub use told::Told;

/// So much of a sentence is told.
const REASON: usize = 4_096;

/// How allowed reads are told of (`audit.reads`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// A line each.
    Each,
    /// A line for all of one principal, operation, object and second.
    #[default]
    Aggregate,
    /// Not at all.
    Off,
}

/// Where requests are told about.
#[derive(Clone, Debug)]
pub struct Journal {
    record: Record,
    reads: Reads,
    tally: Arc<Tally>,
    shroud: Arc<Shroud>,
}

impl Journal {
    /// A journal that writes into this record.
    #[must_use]
    pub fn new(record: Record, reads: Reads) -> Self {
        Self { record, reads, tally: Arc::default(), shroud: Arc::default() }
    }

    /// The record itself, for what sekisho does by itself.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// A change as the record has it: before and after.
    #[must_use]
    pub fn told(&self, change: &Change) -> (Map<String, Value>, Map<String, Value>) {
        change.told(&self.shroud)
    }

    /// What gives the lines of counted reads, for the record's writer.
    pub fn counted(&self) -> impl FnMut(Timestamp, bool) -> Vec<Entry> + Send + use<> {
        let (tally, mut second) = (Arc::clone(&self.tally), i64::MIN);
        move |now, ends| {
            if !ends && now.as_second() == second {
                return Vec::new();
            }
            second = now.as_second();
            tally.take(now)
        }
    }
}

/// The lines of one request, in the making.
#[must_use = "a trail that is dropped is written as abandoned"]
pub struct Trail {
    journal: Journal,
    entry: Option<Box<Entry>>,
    id: RequestId,
    access: Access,
    intent: Option<(Option<u64>, Place)>,
    after: Map<String, Value>,
    later: Later,
    clock: Clock,
    start: Instant,
}

impl Trail {
    /// Begins to tell of a request.
    pub fn open(
        journal: &Journal,
        clock: &Clock,
        id: RequestId,
        (start, peer): (Instant, IpAddr),
        method: &http::Method,
    ) -> Self {
        let mut entry = Entry::new(id.as_str(), clock.now(), Kind::Refusal);
        entry.peer = Some(peer.to_canonical());
        entry.method = Some(method.as_str().chars().take(16).collect());
        entry.decision = Some(Decision::Deny);
        let (journal, clock, entry) = (journal.clone(), clock.clone(), Some(Box::new(entry)));
        let (after, later) = (Map::new(), Later::default());
        Self { journal, entry, id, access: Access::Read, intent: None, after, later, clock, start }
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Has the intent of a write stay, before anything is done.
    ///
    /// # Errors
    /// It does not stay; nothing may be done.
    pub async fn intend(&mut self) -> Result<(), Unrecorded> {
        let Some(entry) = &self.entry else { return Ok(()) };
        let place = self.journal.record.place().await?;
        let mut intent = entry.clone();
        intent.kind = Kind::Intent;
        let seq = self.journal.record.keep(*intent).await?;
        self.intent = Some((seq, place));
        Ok(())
    }

    /// Who it was.
    pub fn note_principal(&mut self, principal: &Principal) {
        self.note(|entry| {
            entry.principal = Some(principal.user.to_string());
            entry.roles = principal.roles.iter().map(ToString::to_string).collect();
            entry.token = Some(principal.token.to_string());
            entry.access = asked::access(&principal.models);
        });
    }

    /// Which row it is, by the row's own words.
    pub fn note_route(&mut self, route: String) {
        self.note(|entry| entry.route = Some(route));
    }

    /// What it does.
    pub fn note_operation(&mut self, operation: &Operation) {
        self.access = operation.found.row.access;
        let params = match (self.access, self.journal.reads) {
            // Counted reads have none.
            (Access::Read, Reads::Aggregate | Reads::Off) => None,
            (Access::Read | Access::Write, _) => Some(params::params(&self.journal.shroud, operation)),
        };
        self.note(|entry| {
            entry.dropped = operation.message().map(|message| message.dropped).filter(|dropped| *dropped > 0);
            entry.params = params.unwrap_or_default();
        });
        self.note_demands(&operation.demands.at_once);
    }

    /// That it was allowed, and by which rows.
    pub fn note_permit(&mut self, permit: &Permit, access: Access) {
        self.note_demands(permit.demands());
        self.later = permit.later();
        self.note(|entry| {
            entry.decision = Some(Decision::Allow);
            entry.kind = match access {
                Access::Read => Kind::Read,
                Access::Write => Kind::Outcome,
            };
            entry.reason = None;
            if let Some(denied) = permit.observed() {
                asked::observe(entry, denied);
            }
            entry.policy = Some(permit.policy().to_string());
            entry.rows = permit.rows().iter().map(ToString::to_string).collect();
        });
    }

    /// House rules that it breaks and that are not enforced: each rule's word and its sentence.
    pub fn note_warned(&mut self, warned: Vec<(&'static str, String)>) {
        self.note(|entry| {
            for (rule, sentence) in warned {
                entry.rules.push(rule.to_owned());
                let reason = entry.reason.get_or_insert_default();
                if !reason.is_empty() {
                    reason.push_str("; ");
                }
                reason.push_str("would be refused: ");
                reason.push_str(&sentence);
            }
        });
    }

    /// That a house rule refused it.
    pub fn note_rule(&mut self, rule: &'static str) {
        self.note(|entry| entry.rules.push(rule.to_owned()));
    }

    /// That it was allowed to everybody, and why.
    pub fn note_open(&mut self, why: &'static str) {
        self.note(|entry| {
            entry.kind = Kind::Read;
            entry.decision = Some(Decision::Allow);
            entry.reason = Some(why.to_owned());
        });
    }

    /// That the policy refused it, and what. Whatever else was demanded is told behind it.
    pub fn note_denied(&mut self, denied: &Denied) {
        self.note(|entry| asked::refused(entry, denied));
    }

    /// That one of many things that it asked for was refused: in a line of its own, at once.
    pub fn tell_refused(&self, denied: &Denied) {
        let Some(mut entry) = self.entry.clone() else { return };
        asked::refused(&mut entry, denied);
        entry.kind = Kind::Refusal;
        entry.decision = Some(Decision::Deny);
        entry.status = Some(StatusCode::FORBIDDEN.as_u16());
        entry.reason = Some(denied.to_string());
        entry.params.clear();
        entry.demands.clear();
        self.journal.record.tell(*entry);
    }

    /// That it was refused, with the whole reason.
    pub fn note_refusal(&mut self, reason: String) {
        let begun = self.intent.is_some();
        self.note(|entry| {
            entry.kind = if begun { Kind::Outcome } else { Kind::Refusal };
            entry.outcome = begun.then_some(Outcome::NotApplied);
            entry.decision = Some(Decision::Deny);
            entry.reason = Some(reason);
        });
    }

    /// What went wrong after it was allowed.
    pub fn note_failure(&mut self, reason: String) {
        self.note(|entry| {
            // What only observing let through stays that.
            let observed = entry.reason.take().filter(|reason| asked::is_observed(reason));
            entry.reason = Some(observed.map(|observed| format!("{observed}; {reason}")).unwrap_or(reason));
        });
    }

    /// What MLflow said.
    pub fn note_upstream(&mut self, status: StatusCode) {
        self.note(|entry| entry.upstream_status = Some(status.as_u16()));
    }

    /// What became of the write.
    pub fn note_outcome(&mut self, outcome: Outcome) {
        self.note(|entry| entry.outcome = Some(outcome));
    }

    /// What it changes: told as it was, and as it is if the write is done.
    pub fn note_change(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        let (before, after) = self.journal.told(&change);
        self.note(|entry| entry.before = before);
        self.after = after;
    }

    /// Closes the line.
    pub fn close(mut self, status: StatusCode) {
        self.note(|entry| entry.status = Some(status.as_u16()));
        self.write();
    }

    /// Closes the line of an answer that began and did not come to its end.
    fn cut(mut self, status: StatusCode) {
        self.note(|entry| {
            entry.status = Some(status.as_u16());
            entry.abandoned = Some(true);
        });
        self.write();
    }

    fn note(&mut self, note: impl FnOnce(&mut Entry)) {
        if let Some(entry) = &mut self.entry {
            note(entry);
        }
    }

    fn note_demands(&mut self, demands: &[Demand]) {
        self.note(|entry| {
            if let Some(first) = demands.first() {
                entry.operation = Some(first.permission.to_string());
                entry.object = Some(asked::object(&first.object));
            }
            entry.demands = asked::bounded(demands.iter().skip(1).map(asked::demand));
        });
    }

    fn write(&mut self) {
        let Some(mut entry) = self.entry.take() else { return };
        entry.micros = Some(self.clock.micros_since(self.start));
        asked::add(&mut entry, &self.later.demands());
        let observed = self.later.observed().filter(|_| entry.decision == Some(Decision::Allow));
        if let Some(denied) = observed {
            asked::observe(&mut entry, &denied);
        }
        if let Some(reason) = entry.reason.as_mut().filter(|reason| reason.len() > REASON) {
            *reason = reason.chars().take(REASON).collect();
        }
        if let Some((seq, place)) = self.intent.take() {
            // The intent has them.
            entry.params.clear();
            entry.kind = Kind::Outcome;
            entry.intent = seq;
            if *entry.outcome.get_or_insert(Outcome::Unknown) == Outcome::Applied {
                entry.after = std::mem::take(&mut self.after);
            }
            return place.tell(*entry);
        }
        if entry.kind == Kind::Outcome {
            // Nothing was done, or it was no write after all.
            entry.kind = Kind::Refusal;
        }
        let plain = entry.kind == Kind::Read
            && entry.reason.is_none()
            && entry.abandoned.is_none()
            && entry.status.is_some_and(|status| status < 500);
        match (plain, self.journal.reads) {
            (true, Reads::Off) => {}
            (true, Reads::Aggregate) => {
                let status = entry.status;
                self.journal.tally.count(Like::of(*entry, status));
            }
            (true, Reads::Each) | (false, _) => self.journal.record.tell(*entry),
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.note(|entry| entry.abandoned = Some(true));
        self.write();
    }
}

#[cfg(test)]
mod tests;

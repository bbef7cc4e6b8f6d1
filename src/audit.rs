//! Every request is told about once: a line of JSON on stdout, closed by whoever answers or by being dropped.
//!
//! The keys and their order are those of the record (DESIGN section 10), which a later room makes durable.

mod journal;

use std::net::IpAddr;
use std::time::Instant;

use http::StatusCode;
use serde::Serialize;

use crate::authz::{Denied, Permit};
use crate::clock::Clock;
use crate::ids::RequestId;
use crate::operation::{Access, Demand};
use crate::principal::Principal;
use crate::route::Operation;

use journal::Place;
pub use journal::{Journal, JournalError, Told, Writer};

/// The line of one request, in the making.
#[must_use = "a trail that is dropped is written as abandoned"]
pub struct Trail {
    place: Option<Place>,
    line: Line,
    clock: Clock,
    start: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Read,
    Refusal,
    Outcome,
}

/// What became of a write, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// MLflow did it.
    Applied,
    /// It did not.
    NotApplied,
    /// Nobody can say.
    Unknown,
}

#[derive(Debug, Serialize)]
struct Line {
    id: RequestId,
    time: String,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    peer: IpAddr,
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    demands: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<usize>,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rows: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abandoned: Option<bool>,
    micros: u64,
}

impl Trail {
    /// Begins the line of a request; it has its place in the journal from now on, so that closing it cannot fail.
    ///
    /// # Errors
    /// The journal takes no more.
    pub async fn open(
        journal: &Journal,
        clock: &Clock,
        id: RequestId,
        peer: IpAddr,
        method: &http::Method,
    ) -> Result<Self, JournalError> {
        let (start, time) = (clock.instant(), format!("{:.6}", clock.now()));
        let place = journal.place().await?;
        let line = Line {
            id,
            time,
            kind: Kind::Refusal,
            principal: None,
            roles: Vec::new(),
            token: None,
            peer: peer.to_canonical(),
            method: method.as_str().chars().take(16).collect(),
            route: None,
            operation: None,
            object: None,
            demands: Vec::new(),
            dropped: None,
            decision: "deny",
            reason: None,
            policy: None,
            rows: Vec::new(),
            rules: Vec::new(),
            status: None,
            upstream_status: None,
            outcome: None,
            abandoned: None,
            micros: 0,
        };
        Ok(Self { place: Some(place), line, clock: clock.clone(), start })
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.line.id
    }

    /// Who it was.
    pub fn note_principal(&mut self, principal: &Principal) {
        self.line.principal = Some(principal.user.to_string());
        self.line.roles = principal.roles.iter().map(ToString::to_string).collect();
        self.line.token = Some(principal.token.to_string());
    }

    /// Which row it is, by the row's own words.
    pub fn note_route(&mut self, route: String) {
        self.line.route = Some(route);
    }

    /// What it does.
    pub fn note_operation(&mut self, operation: &Operation) {
        self.line.dropped = operation.message().map(|message| message.dropped).filter(|dropped| *dropped > 0);
        self.note_demands(&operation.demands.at_once);
    }

    /// That it was allowed, and by which rows.
    pub fn note_permit(&mut self, permit: &Permit, access: Access) {
        self.note_demands(permit.demands());
        self.line.decision = "allow";
        self.line.kind = match access {
            Access::Read => Kind::Read,
            Access::Write => Kind::Outcome,
        };
        self.line.reason = permit.observed().map(|denied| format!("observed, would be refused: {denied}"));
        self.line.policy = Some(permit.policy().to_string());
        self.line.rows = permit.rows().iter().map(ToString::to_string).collect();
    }

    /// House rules that it breaks and that are not enforced: each rule's word and its sentence.
    pub fn note_warned(&mut self, warned: Vec<(&'static str, String)>) {
        for (rule, sentence) in warned {
            self.line.rules.push(rule);
            let reason = self.line.reason.get_or_insert_default();
            if !reason.is_empty() {
                reason.push_str("; ");
            }
            reason.push_str("would be refused: ");
            reason.push_str(&sentence);
        }
    }

    /// That a house rule refused it.
    pub fn note_rule(&mut self, rule: &'static str) {
        self.line.rules.push(rule);
    }

    /// That a browser asked what a page of another site may do, and was told.
    pub fn note_preflight(&mut self) {
        self.line.kind = Kind::Read;
        self.line.decision = "allow";
        self.line.reason = Some("a preflight of an origin that is named".to_owned());
    }

    /// That a client of Databricks' asked what everybody is told.
    pub fn note_probe(&mut self) {
        self.line.kind = Kind::Read;
        self.line.decision = "allow";
        self.line.reason = Some("the probe with which a client of Databricks' begins".to_owned());
    }

    /// That the policy refused it, and why.
    pub fn note_denied(&mut self, denied: &Denied) {
        self.line.policy = Some(denied.policy().to_string());
        self.note_demands(denied.demand().map(std::slice::from_ref).unwrap_or_default());
    }

    /// That it was refused, with the whole reason.
    pub fn note_refusal(&mut self, reason: String) {
        self.line.kind = Kind::Refusal;
        self.line.decision = "deny";
        self.line.reason = Some(reason);
    }

    /// What went wrong after it was allowed.
    pub fn note_failure(&mut self, reason: String) {
        self.line.reason = Some(reason);
    }

    /// What MLflow said.
    pub fn note_upstream(&mut self, status: StatusCode) {
        self.line.upstream_status = Some(status.as_u16());
    }

    /// What became of the write.
    pub fn note_outcome(&mut self, outcome: Outcome) {
        self.line.outcome = Some(outcome);
    }

    /// Closes the line.
    pub fn close(mut self, status: StatusCode) {
        self.line.status = Some(status.as_u16());
        self.write();
    }

    /// Closes the line of an answer that began and did not come to its end.
    fn cut(mut self, status: StatusCode) {
        self.line.status = Some(status.as_u16());
        self.line.abandoned = Some(true);
        self.write();
    }

    fn note_demands(&mut self, demands: &[Demand]) {
        if let Some(first) = demands.first() {
            self.line.operation = Some(first.permission.to_string());
            self.line.object = Some(first.object.to_string());
        }
        self.line.demands = demands.iter().skip(1).take(20).map(ToString::to_string).collect();
    }

    fn write(&mut self) {
        let Some(place) = self.place.take() else { return };
        self.line.micros = self.clock.micros_since(self.start);
        place.put(serde_json::to_vec(&self.line));
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.line.abandoned = Some(true);
            self.write();
        }
    }
}

#[cfg(test)]
mod tests;

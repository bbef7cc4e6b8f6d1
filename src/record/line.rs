//! One line of the record: what it says, and how it is written.
//!
//! The keys and their order are those of DESIGN section 10. What is not known is left out.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A read that was allowed.
    Read,
    /// Reads that were allowed, of one principal, operation and object within one second; `count` says how many.
    Reads,
    /// Somebody was refused, or what they sent could not be understood.
    Refusal,
    /// A write that is about to be done.
    Intent,
    /// What became of it.
    Outcome,
    /// What sekisho does by itself.
    System,
    /// The chain up to the line before, signed.
    Head,
}

/// What became of a write, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// MLflow did it.
    Applied,
    /// It did not.
    NotApplied,
    /// Nobody can say.
    Unknown,
}

impl Outcome {
    /// The word that is written and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        }
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It was let through.
    Allow,
    /// It was refused.
    Deny,
}

/// What a line says, without its place in the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The request's, or a new one of what sekisho does by itself. Both lines of a write have the same.
    pub id: String,
    /// RFC 3339, UTC, with microseconds.
    pub time: String,
    /// What it is about.
    pub kind: Kind,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// With which roles by their token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Their token, by its `jti` or a keyed hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The models that it opens, as its claim has them; a long claim by its digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<String>,
    /// The address at the other end of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The row of the route table, by its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The first permission that was demanded; of a system line, what was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// On what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What else was demanded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<String>,
    /// Parameters, without secrets.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// So many fields that MLflow does not know were dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<usize>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Why, or what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The policies, by the hash of their files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The rows that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<String>,
    /// The house rules that had a say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The numbers of the approvals that a transition rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<i64>,
    /// The numbers of the evidence that it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<i64>,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The status of MLflow's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// Stage, alias, tags or description as they were.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub before: Map<String, Value>,
    /// The same as they are now.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub after: Map<String, Value>,
    /// What became of a write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The `seq` of the intent that this is the outcome of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// Whether the answer did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<bool>,
    /// How many reads, or how many lines could not be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How long the request took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
    /// Of a head: the name of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Of a head: the name of the key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of a head: the signature, Ed25519, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A time as lines have it.
#[must_use]
pub fn time(time: jiff::Timestamp) -> String {
    format!("{time:.6}")
}

impl Entry {
    /// An entry that says nothing but what it is about.
    #[must_use]
    pub fn new(id: impl Into<String>, time: jiff::Timestamp, kind: Kind) -> Self {
        Self {
            id: id.into(),
            time: self::time(time),
            kind,
            principal: None,
            roles: Vec::new(),
            token: None,
            access: Vec::new(),
            peer: None,
            method: None,
            route: None,
            operation: None,
            object: None,
            demands: Vec::new(),
            params: Map::new(),
            dropped: None,
            decision: None,
            reason: None,
            policy: None,
            rows: Vec::new(),
            rules: Vec::new(),
            approvals: Vec::new(),
            evidence: Vec::new(),
            status: None,
            upstream_status: None,
            before: Map::new(),
            after: Map::new(),
            outcome: None,
            intent: None,
            abandoned: None,
            count: None,
            micros: None,
            chain: None,
            key: None,
            signature: None,
        }
    }

    /// What sekisho does by itself: `operation` is its word, `reason` a sentence.
    #[must_use]
    pub fn system(time: jiff::Timestamp, operation: &str, reason: impl Into<String>) -> Self {
        let mut entry = Self::new(uuid::Uuid::now_v7().to_string(), time, Kind::System);
        entry.operation = Some(operation.to_owned());
        entry.reason = Some(reason.into());
        entry
    }
}

/// A line as it stands in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its place in the chain; the first is 1, and none is left out.
    pub seq: u64,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
    /// The hash of the line before, 64 hexadecimal digits; zeros before the first.
    pub prev: String,
    /// Its own hash.
    pub hash: String,
}

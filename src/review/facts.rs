//! What of a line is looked at, read without copying.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::line::{Decision, Kind, Outcome};

/// What of a line is asked for. Other keys are passed over, also those of a later version.
#[derive(Debug, Deserialize)]
pub struct Facts<'l> {
    /// Its number in its chain.
    pub seq: u64,
    /// The request's id.
    #[serde(borrow)]
    pub id: Cow<'l, str>,
    /// When, as it is written.
    #[serde(borrow)]
    pub time: Cow<'l, str>,
    /// What it is about.
    pub kind: Kind,
    #[serde(borrow, default)]
    principal: Option<Text<'l>>,
    #[serde(borrow, default)]
    operation: Option<Text<'l>>,
    #[serde(borrow, default)]
    object: Option<Text<'l>>,
    #[serde(borrow, default)]
    demands: Vec<Text<'l>>,
    #[serde(borrow, default)]
    pub(super) params: Option<&'l RawValue>,
    /// What was decided.
    #[serde(default)]
    pub decision: Option<Decision>,
    #[serde(borrow, default)]
    reason: Option<Text<'l>>,
    /// The status of the answer.
    #[serde(default)]
    pub status: Option<u16>,
    #[serde(borrow, default)]
    pub(super) before: Option<&'l RawValue>,
    #[serde(borrow, default)]
    pub(super) after: Option<&'l RawValue>,
    /// What became of a write.
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

/// A text that may be there: behind an `Option`, serde copies a bare `Cow`.
#[derive(Debug, Deserialize)]
struct Text<'l>(#[serde(borrow)] Cow<'l, str>);

impl<'l> Facts<'l> {
    /// Reads a line; nothing, if it is none.
    #[must_use]
    pub fn read(line: &'l [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// When, if it is a time.
    #[must_use]
    pub fn moment(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }

    /// Who.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        text(self.principal.as_ref())
    }

    /// What was done.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        text(self.operation.as_ref())
    }

    /// On what.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        text(self.object.as_ref())
    }

    /// Why, or what went wrong.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        text(self.reason.as_ref())
    }

    /// The object, and those of further demands.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        // `<permission> <object>`
        let demanded = self.demands.iter().filter_map(|demand| Some(demand.0.split_once(' ')?.1));
        self.object().into_iter().chain(demanded)
    }
}

fn text<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(|text| text.0.as_ref())
}

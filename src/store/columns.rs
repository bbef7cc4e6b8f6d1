//! How what is kept is written in columns, and read from them.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::VersionId;
use super::error::{Kind, StoreError};
use super::session::{Row, Session, Value};
use crate::stage::Stage;

/// What numbers are drawn from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counter {
    Turn,
    Change,
    Request,
    Approval,
    Evidence,
    Transition,
}

const RAISE: &str = "UPDATE sekisho_counters SET last = last + $2 WHERE name = $1 RETURNING last";

impl Counter {
    fn name(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Change => "change",
            Self::Request => "request",
            Self::Approval => "approval",
            Self::Evidence => "evidence",
            Self::Transition => "transition",
        }
    }
}

/// Draws numbers; the last of them.
pub(super) async fn raise(session: &mut Session, counter: Counter, by: i64) -> Result<i64, StoreError> {
    let kind = session.kind();
    let row = session.row(RAISE, &[counter.name().into(), by.into()]).await?;
    row.ok_or(StoreError::Unfit { kind, what: "counter" })?.whole(0)
}

/// A row's columns, one after the other.
pub(super) struct Fields<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Fields<'r> {
    pub(super) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    fn step(&mut self) -> usize {
        let at = self.next;
        self.next = at.saturating_add(1);
        at
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        let at = self.step();
        self.row.text(at)
    }

    pub(super) fn text_if_any(&mut self) -> Result<Option<String>, StoreError> {
        let at = self.step();
        self.row.text_if_any(at)
    }

    pub(super) fn whole(&mut self) -> Result<i64, StoreError> {
        let at = self.step();
        self.row.whole(at)
    }

    pub(super) fn whole_if_any(&mut self) -> Result<Option<i64>, StoreError> {
        let at = self.step();
        self.row.whole_if_any(at)
    }

    pub(super) fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.whole()? != 0)
    }

    pub(super) fn moment(&mut self) -> Result<Timestamp, StoreError> {
        let microseconds = self.whole()?;
        moment(self.row.kind(), microseconds)
    }

    pub(super) fn moment_if_any(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let microseconds = self.whole_if_any()?;
        microseconds.map(|microseconds| moment(self.row.kind(), microseconds)).transpose()
    }

    /// Four columns: model, model_created, version, created.
    pub(super) fn id(&mut self) -> Result<VersionId, StoreError> {
        let (model, model_created, version) = (self.text()?, self.whole()?, self.whole()?);
        let version = unsigned(self.row.kind(), version, "version's number")?;
        Ok(VersionId { model, model_created, version, created: self.whole()? })
    }

    pub(super) fn stage(&mut self) -> Result<Stage, StoreError> {
        self.word(Stage::named, "stage")
    }

    /// A text that `read` must know.
    pub(super) fn word<T>(
        &mut self,
        read: impl FnOnce(&str) -> Option<T>,
        what: &'static str,
    ) -> Result<T, StoreError> {
        let kind = self.row.kind();
        read(&self.text()?).ok_or(StoreError::Unfit { kind, what })
    }

    /// A text that is JSON.
    pub(super) fn json<T: DeserializeOwned>(&mut self, what: &'static str) -> Result<T, StoreError> {
        self.word(|text| serde_json::from_str(text).ok(), what)
    }
}

/// A text that is JSON, as a parameter.
pub(super) fn json(
    kind: Kind,
    thing: &impl Serialize,
    what: &'static str,
) -> Result<Value<'static>, StoreError> {
    let text = serde_json::to_string(thing).map_err(|_unwritable| StoreError::Unfit { kind, what })?;
    Ok(text.into())
}

/// The four columns by which a version is known, as parameters.
pub(super) fn key(kind: Kind, id: &VersionId) -> Result<[Value<'_>; 4], StoreError> {
    let version = signed(kind, id.version, "version's number")?;
    Ok([id.model.as_str().into(), id.model_created.into(), version.into(), id.created.into()])
}

/// The same with more parameters behind them.
pub(super) fn keyed<'v, const MORE: usize>(
    kind: Kind,
    id: &'v VersionId,
    more: [Value<'v>; MORE],
) -> Result<Vec<Value<'v>>, StoreError> {
    let mut values = Vec::from(key(kind, id)?);
    values.extend(more);
    Ok(values)
}

pub(super) fn signed(kind: Kind, number: u64, what: &'static str) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_too_large| StoreError::Unfit { kind, what })
}

pub(super) fn unsigned(kind: Kind, number: i64, what: &'static str) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_negative| StoreError::Unfit { kind, what })
}

pub(super) fn moment(kind: Kind, microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|_range| StoreError::Unfit { kind, what: "time" })
}

//! A chain that some process left: where it ended, what of it was torn, and which intents have no outcome.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::chain::{Broken, Tip, follow, start_of};
use super::folder::{self, Form, Segment};
use super::line::{Kind, Line};
use super::read::{Lines, Piece};
use super::retain;
use super::walk::{Torn, Walk};

/// Where a chain ended, and what was left.
#[derive(Debug)]
pub(super) struct Found {
    /// Its last line.
    pub tip: Tip,
    /// The number of the first line of the current file.
    pub first: u64,
    /// When that was begun.
    pub begun: Option<Timestamp>,
    /// How its last file ends.
    pub end: End,
    /// Writes of which nobody has said what became, the earliest first.
    pub intents: Vec<Line>,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a line feed, or it is empty.
    Whole,
    /// With a line of which nothing but the line feed is missing.
    Bare,
    /// With a part of a line.
    Torn(Torn),
}

/// Why a chain cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line is not what it was.
    #[error("{}:{line}: {why}; see what `sekisho audit verify` says, and move the sub-folder away to begin a new chain", .path.display())]
    Broken {
        /// In which file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What is wrong.
        why: Broken,
    },
}

/// Intents by number, and those of files before this one.
#[derive(Default)]
struct Intents {
    open: BTreeMap<u64, Line>,
    carried: Vec<u64>,
}

impl Intents {
    fn read(&mut self, line: Line) {
        match line.entry.kind {
            Kind::Intent => {
                self.open.insert(line.seq, line);
            }
            Kind::Outcome => {
                // Where nobody waits for intents their numbers are not known.
                let same = |intent: &&Line| intent.entry.id == line.entry.id;
                let seq =
                    line.entry.intent.or_else(|| self.open.values().rfind(same).map(|intent| intent.seq));
                let seq = seq.unwrap_or_default();
                self.open.remove(&seq);
                self.carried.retain(|carried| *carried != seq);
            }
            Kind::System if line.entry.operation.as_deref() == Some(super::ledger::NEXT_FILE) => {
                let open = line.entry.params.get("open_intents").and_then(Value::as_array);
                self.carried.extend(open.into_iter().flatten().filter_map(Value::as_u64));
            }
            Kind::System | Kind::Read | Kind::Reads | Kind::Refusal | Kind::Head => {}
        }
    }
}

/// What a file comes to.
struct Ended {
    tip: Tip,
    end: End,
    begun: Option<Timestamp>,
}

/// Reads the end of a chain.
pub(super) fn reopen(path: &Path) -> Result<Found, ReopenError> {
    let segments =
        folder::segments(path).map_err(|error| ReopenError::File { path: path.to_owned(), error })?;
    let (current, closed): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| segment.form == Form::Current);
    let mut intents = Intents::default();
    let mut ended = Ended { tip: Tip::EMPTY, end: End::Whole, begun: None };
    if let Some(last) = closed.last() {
        ended.tip = match last.form {
            Form::Stub => retain::stub_tip(&last.path)
                .map_err(|error| ReopenError::File { path: last.path.clone(), error })?,
            Form::Compressed | Form::Plain | Form::Current => walk(last, None, &mut intents)?.tip,
        };
    }
    let first = ended.tip.seq + 1;
    if let Some(current) = current.first() {
        let mut newer = Intents::default();
        let found = walk(current, Some(ended.tip), &mut newer)?;
        if found.tip.seq >= first {
            // The file says itself which intents of those before it were open.
            intents = newer;
        }
        ended = found;
    }
    let open = collect(intents, &closed)?;
    Ok(Found { tip: ended.tip, first, begun: ended.begun, end: ended.end, intents: open })
}

/// Walks along one file, from `start` or from wherever it begins.
fn walk(segment: &Segment, start: Option<Tip>, intents: &mut Intents) -> Result<Ended, ReopenError> {
    let failed = |error| ReopenError::File { path: segment.path.clone(), error };
    let mut lines = Lines::open(segment).map_err(failed)?;
    let (mut line, mut number) = (Vec::new(), 0);
    let mut walk: Option<Walk> = start.map(Walk::from);
    let (mut end, mut begun) = (End::Whole, None);
    let broken = |line, why| ReopenError::Broken { path: segment.path.clone(), line, why };
    loop {
        match lines.next(&mut line).map_err(failed)? {
            Piece::End => break,
            Piece::Cut => {
                let before = walk.as_ref().map_or(Tip::EMPTY, Walk::tip);
                if follow(&mut before.clone(), &line).is_err() {
                    end = End::Torn(Torn::of(&line));
                    break;
                }
                end = End::Bare;
            }
            Piece::Whole => {}
        }
        number = lines.number();
        let walk = match &mut walk {
            Some(walk) => walk,
            None => walk.insert(Walk::from(start_of(&line).ok_or(broken(number, Broken::Form))?)),
        };
        walk.step(&line).map_err(|why| broken(number.saturating_sub(1), why))?;
        if let Ok(read) = serde_json::from_slice::<Line>(&line) {
            begun = begun.or_else(|| read.entry.time.parse().ok());
            intents.read(read);
        }
    }
    let tip = walk.unwrap_or_else(|| Walk::from(Tip::EMPTY)).end().map_err(|why| broken(number, why))?;
    Ok(Ended { tip, end, begun })
}

/// The open intents themselves, those of earlier files too.
fn collect(intents: Intents, closed: &[Segment]) -> Result<Vec<Line>, ReopenError> {
    let Intents { mut open, carried } = intents;
    for seq in carried {
        let within =
            |segment: &&Segment| segment.first <= seq && seq <= segment.last && segment.form != Form::Stub;
        let Some(segment) = closed.iter().find(within) else { continue };
        let failed = |error| ReopenError::File { path: segment.path.clone(), error };
        let mut lines = Lines::open(segment).map_err(failed)?;
        let mut line = Vec::new();
        while lines.next(&mut line).map_err(failed)? == Piece::Whole {
            match serde_json::from_slice::<Line>(&line) {
                Ok(read) if read.seq == seq => {
                    open.insert(seq, read);
                    break;
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    Ok(open.into_values().collect())
}

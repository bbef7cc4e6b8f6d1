//! What other policies would have decided: every decision of the record, asked of them again.
//!
//! Lines are put together by who asked, with which claims, for what; each such group is decided once, by `authz` itself.
//! Refusals count as refusals, also where only observing let them through.

mod did;
mod judge;
mod said;
mod used;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::authz::PolicySet;
use crate::record::line::Kind;
use crate::review::{self, Event, Filter, Note, Search, Settings};

pub use did::{Deed, Done, did};
use judge::{Judge, Verdict};
use said::{Came, Said, Who};
pub use said::{Undecided, Was};
pub use used::{Used, used};

/// What came of it.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Lines that were looked at.
    pub lines: u64,
    /// Decisions that were made again; of counted reads each counts.
    pub decided: u64,
    /// What would be decided otherwise: losses first, what came most often first.
    pub differences: Vec<Difference>,
    /// Decisions that cannot be made again, by why.
    pub undecided: BTreeMap<Undecided, u64>,
    /// Lines that are not there any more, by stubs.
    pub removed: u64,
}

/// Decisions that would be otherwise, and alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difference {
    /// Whether it is refused now, and was allowed.
    pub allowed: bool,
    /// Who.
    pub principal: String,
    /// With which roles by their token.
    pub roles: Vec<String>,
    /// The first permission that was demanded,
    pub operation: String,
    /// and on what.
    pub object: String,
    /// What was decided.
    pub was: Was,
    /// The rows that decide now.
    pub rows: Vec<String>,
    /// Why it would be refused.
    pub why: Option<String>,
    /// How often, when first and when last.
    pub seen: Seen,
}

/// How often, when first and when last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// How often.
    pub times: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self {
            times: self.times.saturating_add(other.times),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// What was asked alike.
#[derive(Debug, Default)]
struct Groups {
    lines: u64,
    /// The time of the first line that there is, also before what is asked for.
    first: Option<Timestamp>,
    /// Allowed reads among them.
    reads: u64,
    removed: u64,
    undecided: BTreeMap<Undecided, u64>,
    asked: HashMap<Who, HashMap<Vec<String>, BTreeMap<Came, Seen>>>,
}

/// What a report cannot know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How often something was decided of which too little is told, by why.
    pub untold: BTreeMap<Undecided, u64>,
    /// Lines that are not there any more, by stubs.
    pub removed: u64,
    /// The time of the first line of the record, also before what is asked for.
    pub first: Option<Timestamp>,
    /// How many allowed reads were recorded in the time that is asked for.
    pub reads: u64,
}

impl Gaps {
    fn of(groups: &Groups) -> Self {
        let untold = groups.undecided.iter().filter(|(why, _)| !why.is_no_decision());
        let untold = untold.map(|(why, count)| (*why, *count)).collect();
        Self { untold, removed: groups.removed, first: groups.first, reads: groups.reads }
    }
}

/// Adds to a reason, unless there is nothing to add.
fn count(counts: &mut BTreeMap<Undecided, u64>, why: Undecided, times: u64) {
    if times > 0 {
        let count = counts.entry(why).or_default();
        *count = count.saturating_add(times);
    }
}

/// Decides again what was decided since a moment, or ever.
///
/// # Errors
/// The record cannot be read.
pub fn replay(
    root: &Path,
    since: Option<Timestamp>,
    policies: PolicySet,
    require_model_access: bool,
) -> io::Result<Replayed> {
    Ok(Groups::of(root, since)?.decide(&Judge::new(policies, require_model_access)))
}

impl Groups {
    fn of(root: &Path, since: Option<Timestamp>) -> io::Result<Self> {
        let (mut groups, mut removed) = (Self::default(), HashMap::new());
        let chains = review::chains(root)?;
        if chains.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no record"));
        }
        let settings = Settings { reverse: false, indexes: false };
        groups.first = Search::begin(&chains, Filter::default(), settings).find_map(|event| match event {
            Event::Hit(hit) => Some(hit.time),
            Event::Note(_) => None,
        });
        let filter = Filter { since, ..Filter::default() };
        // Without a time every line is read: an index would not help.
        let settings = Settings { reverse: false, indexes: since.is_some() };
        for event in Search::begin(&chains, filter, settings) {
            match event {
                Event::Hit(hit) => groups.take(&hit.line),
                Event::Note(Note::Removed { chain, last }) => {
                    let known = removed.entry(chain).or_insert(last);
                    *known = last.max(*known);
                }
                Event::Note(Note::Missing { first, last, .. }) => {
                    count(&mut groups.undecided, Undecided::Missing, (last - first).saturating_add(1));
                }
                // It was torn and told of, or is being written.
                Event::Note(Note::Torn { .. } | Note::Unfinished { .. }) => {}
                Event::Note(Note::NoLine { .. }) => {
                    groups.lines += 1;
                    count(&mut groups.undecided, Undecided::Unreadable, 1);
                }
                Event::Note(Note::Unreadable { error, .. }) => return Err(error),
            }
        }
        groups.removed = removed.into_values().fold(0, u64::saturating_add);
        Ok(groups)
    }

    /// Puts a line to those that ask the same.
    fn take(&mut self, line: &[u8]) {
        self.lines += 1;
        let Ok(said) = serde_json::from_slice::<Said>(line) else {
            return count(&mut self.undecided, Undecided::Unreadable, 1);
        };
        let (time, times) = (said.time, said.times());
        if matches!(said.kind, Kind::Read | Kind::Reads) {
            self.reads = self.reads.saturating_add(times);
        }
        match said.sort() {
            Err(why) => count(&mut self.undecided, why, times),
            Ok((who, asked, came)) => {
                let seen = Seen { times, first: time, last: time };
                let told = self.asked.entry(who).or_default().entry(asked).or_default();
                told.entry(came).and_modify(|known| *known = known.and(seen)).or_insert(seen);
            }
        }
    }

    fn decide(self, judge: &Judge) -> Replayed {
        let Self { lines, removed, undecided, asked, first: _, reads: _ } = self;
        let mut replayed = Replayed { lines, removed, undecided, ..Replayed::default() };
        let mut found: HashMap<Difference, Seen> = HashMap::new();
        for (who, asked) in asked {
            let principal = who.principal().map(Arc::new);
            for (demands, mut told) in asked {
                let stopped =
                    told.extract_if(.., |came, _| came.was == Was::Stopped).map(|(_, seen)| seen.times);
                count(&mut replayed.undecided, Undecided::Elsewhere, stopped.sum());
                let verdict = match &principal {
                    Some(principal) => judge.decide(principal, &who, &demands),
                    None => Err(Undecided::Unreadable),
                };
                let times = told.values().fold(0_u64, |sum, seen| sum.saturating_add(seen.times));
                match verdict {
                    Err(why) => count(&mut replayed.undecided, why, times),
                    Ok(verdict) => {
                        replayed.decided = replayed.decided.saturating_add(times);
                        for (came, seen) in told {
                            differ(&who, &demands, came.was, &verdict, seen, &mut found);
                        }
                    }
                }
            }
        }
        replayed.differences =
            found.into_iter().map(|(difference, seen)| Difference { seen, ..difference }).collect();
        replayed.differences.sort_unstable_by(|one, other| {
            let order = |of: &Difference| (of.allowed, std::cmp::Reverse(of.seen.times));
            order(one).cmp(&order(other)).then_with(|| one.cmp(other))
        });
        replayed
    }
}

/// Adds a group to what differs, if it does.
fn differ(
    who: &Who,
    demands: &[String],
    was: Was,
    verdict: &Verdict,
    seen: Seen,
    found: &mut HashMap<Difference, Seen>,
) {
    if verdict.allowed == (was == Was::Allowed) {
        return;
    }
    let (operation, object) = demands.first().and_then(|first| first.split_once(' ')).unwrap_or_default();
    let difference = Difference {
        allowed: verdict.allowed,
        principal: who.principal.clone(),
        roles: who.roles.clone(),
        operation: operation.to_owned(),
        object: object.to_owned(),
        was,
        rows: verdict.rows.clone(),
        why: verdict.why.clone(),
        // What is counted together must be alike in all else.
        seen: Seen { times: 0, first: Timestamp::UNIX_EPOCH, last: Timestamp::UNIX_EPOCH },
    };
    found.entry(difference).and_modify(|known| *known = known.and(seen)).or_insert(seen);
}

#[cfg(test)]
mod tests;

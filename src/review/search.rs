//! A search through all chains of a record, in the order of time.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::chain::Reading;
use super::filter::Filter;
use super::note::Note;
use super::sieve::Sieve;

/// A line that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The folder of its chain.
    pub chain: Arc<str>,
    /// Its number there.
    pub seq: u64,
    /// Its time.
    pub time: Timestamp,
    /// The line as it stands in the file, without its line feed.
    pub line: Vec<u8>,
}

/// What a search comes upon.
#[derive(Debug)]
pub enum Event {
    /// A line that is asked for.
    Hit(Hit),
    /// Something that is none.
    Note(Note),
}

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the end on.
    pub reverse: bool,
    /// Whether what earlier searches have noted of closed files is used, and made where it is missing.
    pub indexes: bool,
}

/// A search. Lines of one chain come in their order there, which is not quite that of their times; chains are merged by
/// time. Nothing but what is asked for, and a few mebibytes that are looked through, is in memory.
#[derive(Debug)]
pub struct Search {
    chains: Vec<(Reading, Option<Hit>)>,
    notes: VecDeque<Note>,
    reverse: bool,
}

impl Search {
    /// Begins to search these chains.
    #[must_use]
    pub fn begin(chains: &[PathBuf], filter: Filter, settings: Settings) -> Self {
        let sieve = Arc::new(Sieve::new(filter));
        let others = chains.len().saturating_sub(1);
        let chains = chains.iter().map(|path| (Reading::begin(path, &sieve, settings, others), None));
        Self { chains: chains.collect(), notes: VecDeque::new(), reverse: settings.reverse }
    }

    /// Only lines before these numbers, of the chains that are named.
    #[must_use]
    pub fn before(mut self, numbers: &BTreeMap<String, u64>) -> Self {
        for (reading, _) in &mut self.chains {
            if let Some(number) = numbers.get(reading.name()).copied() {
                reading.end_before(number);
            }
        }
        self
    }
}

impl Iterator for Search {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        for (reading, hit) in self.chains.iter_mut().filter(|(_, hit)| hit.is_none()) {
            while hit.is_none() {
                match reading.next() {
                    Some(Event::Hit(found)) => *hit = Some(found),
                    Some(Event::Note(note)) => self.notes.push_back(note),
                    None => break,
                }
            }
        }
        if let Some(note) = self.notes.pop_front() {
            return Some(Event::Note(note));
        }
        let waiting = self.chains.iter_mut().map(|(_, hit)| hit).filter(|hit| hit.is_some());
        let time = |hit: &&mut Option<Hit>| hit.as_ref().map(|hit| hit.time);
        let next = if self.reverse { waiting.max_by_key(time) } else { waiting.min_by_key(time) };
        next?.take().map(Event::Hit)
    }
}

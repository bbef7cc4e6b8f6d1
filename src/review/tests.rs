//! Searching and following: what is asked for is found, whatever form the files have, and nothing else.

mod filters;
mod following;
mod indexes;
mod oddities;

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Event, Filter, Hit, Note, Search, Settings, chains};
use crate::record::chain::Tip;
use crate::record::folder::{self, CURRENT};
use crate::record::line::{Decision, Entry, Kind};

const NOW: i64 = 1_764_500_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

/// Somebody's refusal.
fn entry(number: u64, seconds: i64, principal: &str) -> Entry {
    let mut entry = Entry::new(format!("id-{number}"), at(seconds), Kind::Refusal);
    entry.principal = Some(principal.to_owned());
    entry.operation = Some("model_write".to_owned());
    entry.object = Some(format!("model:m{}/version/3", number % 7));
    entry.decision = Some(Decision::Deny);
    entry
}

/// A record.
struct House(tempfile::TempDir);

/// A chain in it.
struct Chain {
    path: PathBuf,
    tip: Tip,
    first: u64,
}

impl House {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn chain(&self, name: &str) -> Chain {
        let path = self.path().join(name);
        fs::create_dir_all(&path).unwrap();
        Chain { path, tip: Tip::EMPTY, first: 1 }
    }

    fn search(&self, filter: &Filter, reverse: bool, indexes: bool) -> (Vec<Hit>, Vec<Note>) {
        let chains = chains(self.path()).unwrap();
        let (mut hits, mut notes) = (Vec::new(), Vec::new());
        for event in Search::begin(&chains, filter.clone(), Settings { reverse, indexes }) {
            match event {
                Event::Hit(hit) => hits.push(hit),
                Event::Note(note) => notes.push(note),
            }
        }
        (hits, notes)
    }

    /// The numbers of what is found by index, after it has been made, which is what is found without.
    #[track_caller]
    fn found(&self, filter: &Filter) -> Vec<u64> {
        let (scanned, _) = self.search(filter, false, false);
        for _ in 0..2 {
            assert_eq!(self.search(filter, false, true).0, scanned, "{filter:?}");
        }
        let mut back = self.search(filter, true, true).0;
        back.sort_by_key(|hit| (hit.time, hit.chain.clone(), hit.seq));
        let mut sorted = scanned.clone();
        sorted.sort_by_key(|hit| (hit.time, hit.chain.clone(), hit.seq));
        assert_eq!(back, sorted, "backwards: {filter:?}");
        scanned.iter().map(|hit| hit.seq).collect()
    }
}

impl Chain {
    /// Adds lines to the current file.
    fn add(&mut self, entries: &[Entry]) {
        let mut text = fs::read(self.path.join(CURRENT)).unwrap_or_default();
        for entry in entries {
            self.tip.link(entry, &mut text).unwrap();
        }
        fs::write(self.path.join(CURRENT), text).unwrap();
    }

    /// Closes the current file.
    fn close(&mut self) -> PathBuf {
        let closed = self.path.join(folder::closed(self.first, self.tip.seq));
        fs::rename(self.path.join(CURRENT), &closed).unwrap();
        self.first = self.tip.seq + 1;
        closed
    }

    /// Closes the current file and compresses it, so many lines to a frame.
    fn pack(&mut self, lines: usize) -> PathBuf {
        let closed = self.close();
        let packed = closed.with_extension("jsonl.zst");
        fs::write(&packed, framed(&fs::read(&closed).unwrap(), lines)).unwrap();
        fs::remove_file(closed).unwrap();
        packed
    }
}

fn framed(text: &[u8], lines: usize) -> Vec<u8> {
    let lines_of: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines_of.chunks(lines).flat_map(|lines| zstd::bulk::compress(&lines.concat(), 3).unwrap()).collect()
}

fn of(principal: &str) -> Filter {
    Filter { principal: Some(principal.to_owned()), ..Filter::default() }
}

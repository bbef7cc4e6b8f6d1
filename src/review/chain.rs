//! One chain that is searched: its files one after the other, several parts of each at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::leaf::Leaf;
use super::note::Note;
use super::search::{Event, Hit, Settings};
use super::sieve::{Sieve, Sifted};
use super::spread::{spread, threads};
use super::{index, name};
use crate::record::folder::{self, Form, Segment};
use crate::record::layout::{Layout, lay_out};
use crate::record::walk::Torn;

/// So many parts for each thread are read ahead at most.
const AHEAD: usize = 16;

/// A chain that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    path: PathBuf,
    name: Arc<str>,
    sieve: Arc<Sieve>,
    settings: Settings,
    /// Files that are still to be read, the next one last.
    files: Vec<Next>,
    open: Option<Open>,
    ready: VecDeque<Event>,
    /// Lines from this number on are not asked for.
    before: Option<u64>,
    /// So many parts are looked through at once at first.
    at_once: usize,
}

/// What is to be read.
#[derive(Debug)]
enum Next {
    Closed(Segment),
    Current(File),
    Removed(u64),
}

/// A file that is being read.
#[derive(Debug)]
struct Open {
    leaf: Leaf,
    current: bool,
    /// The parts that are still to be read.
    parts: VecDeque<usize>,
    ahead: usize,
}

/// What a part holds.
struct Seen {
    hits: Vec<Hit>,
    odd: Vec<Odd>,
}

/// What is no line.
struct Odd {
    /// Its number in the part, from 1.
    line: u64,
    torn: Torn,
    /// Whether it has a line feed.
    ended: bool,
    /// Whether the next line tells of it, if that is known.
    told: Option<bool>,
}

impl Reading {
    /// With `others` chains beside it, which share memory and processors.
    pub(super) fn begin(path: &Path, sieve: &Arc<Sieve>, settings: Settings, others: usize) -> Self {
        let mut reading = Self {
            path: path.to_owned(),
            name: name(path).into(),
            sieve: Arc::clone(sieve),
            settings,
            files: Vec::new(),
            open: None,
            ready: VecDeque::new(),
            before: None,
            at_once: (threads() / others.saturating_add(1)).max(1),
        };
        match lay_out(path) {
            Ok(layout) => reading.take(layout),
            Err(error) => reading.unreadable(path, error),
        }
        if !settings.reverse {
            reading.files.reverse();
        }
        reading
    }

    fn take(&mut self, layout: Layout) {
        let removed = layout.closed.iter().filter(|segment| segment.form == Form::Stub);
        self.files.extend(removed.map(|segment| segment.last).max().map(Next::Removed));
        let there = layout.closed.into_iter().filter(|segment| segment.form != Form::Stub);
        self.files.extend(there.map(Next::Closed));
        self.files.extend(layout.current.map(Next::Current));
        for (first, last) in layout.gaps {
            self.note(Note::Missing { chain: self.name.to_string(), first, last });
        }
    }

    /// Leaves out its lines from this number on, and does not read files that have no others.
    pub(super) fn end_before(&mut self, number: u64) {
        self.before = Some(number);
        self.files.retain(|next| match next {
            Next::Closed(segment) => segment.first < number,
            Next::Current(_) | Next::Removed(_) => true,
        });
    }

    /// The name of the chain.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What comes next.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.open.take() {
                Some(open) => self.read_on(open),
                None => match self.files.pop()? {
                    Next::Removed(last) => self.note(Note::Removed { chain: self.name.to_string(), last }),
                    Next::Closed(segment) => self.open_closed(&segment),
                    Next::Current(file) => {
                        let path = self.path.join(folder::CURRENT);
                        match Leaf::of(path.clone(), file, false) {
                            Ok(leaf) => self.begin_file(leaf, true),
                            Err(error) => self.unreadable(&path, error),
                        }
                    }
                },
            }
        }
    }

    fn open_closed(&mut self, segment: &Segment) {
        let opened = segment.open().and_then(|(segment, file)| match segment.form {
            Form::Stub => Ok(None),
            form @ (Form::Compressed | Form::Plain | Form::Current) => {
                Leaf::of(segment.path, file, form == Form::Compressed).map(Some)
            }
        });
        match opened {
            Ok(Some(leaf)) => self.begin_file(leaf, false),
            Ok(None) => self.note(Note::Removed { chain: self.name.to_string(), last: segment.last }),
            Err(error) => self.unreadable(&segment.path, error),
        }
    }

    fn begin_file(&mut self, leaf: Leaf, current: bool) {
        let mut parts: VecDeque<usize> = (0..leaf.len()).collect();
        let filter = self.sieve.filter();
        let helped = self.settings.indexes && leaf.frames().is_some() && index::helps(filter);
        if let Some(index) = helped.then(|| index::of(&leaf)).flatten() {
            let worth = index.frames_for(filter);
            parts.retain(|part| worth.contains(part));
        }
        if self.settings.reverse {
            parts = parts.into_iter().rev().collect();
        }
        // The end of what is asked for may be near.
        self.open = Some(Open { leaf, current, parts, ahead: 1 });
    }

    /// Looks through the next parts of a file.
    fn read_on(&mut self, mut open: Open) {
        let batch: Vec<usize> = open.parts.drain(..open.parts.len().min(open.ahead * self.at_once)).collect();
        open.ahead = (open.ahead * 2).min(AHEAD);
        let seen = spread(&batch, |part| look(&open.leaf, *part, self));
        for (part, seen) in batch.iter().zip(seen) {
            let mut seen = match seen {
                Ok(seen) => seen,
                Err(error) => {
                    self.unreadable(&open.leaf.path, error);
                    continue;
                }
            };
            for note in open.notes(*part, seen.odd) {
                self.note(note);
            }
            if self.settings.reverse {
                seen.hits.reverse();
            }
            self.ready.extend(seen.hits.into_iter().map(Event::Hit));
        }
        if !open.parts.is_empty() {
            self.open = Some(open);
        }
    }

    fn note(&mut self, note: Note) {
        self.ready.push_back(Event::Note(note));
    }

    fn unreadable(&mut self, path: &Path, error: io::Error) {
        self.note(Note::Unreadable { path: path.to_owned(), error });
    }
}

impl Open {
    /// What there is to say of a part.
    fn notes(&self, part: usize, odd: Vec<Odd>) -> Vec<Note> {
        if odd.is_empty() {
            return Vec::new();
        }
        let before = self.leaf.lines_before(part).unwrap_or_default();
        let note = |odd: Odd| {
            let (path, line) = (self.leaf.path.clone(), before + odd.line);
            if !odd.ended && self.current && part + 1 == self.leaf.len() {
                return Note::Unfinished { path, bytes: odd.torn.bytes };
            }
            let told = odd.told.unwrap_or_else(|| {
                let next = self.leaf.first_line(part + 1).ok().flatten();
                next.is_some_and(|next| odd.torn.is_told_of(&next))
            });
            if told { Note::Torn { path, line } } else { Note::NoLine { path, line } }
        };
        odd.into_iter().map(note).collect()
    }
}

/// Looks through one part of a file.
fn look(leaf: &Leaf, part: usize, reading: &Reading) -> io::Result<Seen> {
    let (mut hits, mut odd): (Vec<Hit>, Vec<Odd>) = (Vec::new(), Vec::new());
    let mut doubted = false;
    for (number, piece) in (1..).zip(leaf.part(part)?.split_inclusive(|byte| *byte == b'\n')) {
        let Some(line) = piece.strip_suffix(b"\n") else {
            odd.push(Odd { line: number, torn: Torn::of(piece), ended: false, told: None });
            break;
        };
        if let Some(last) = odd.last_mut().filter(|_| doubted) {
            last.told = Some(last.torn.is_told_of(line));
        }
        doubted = false;
        match reading.sieve.sift(line) {
            Sifted::Hit(seq, _) if reading.before.is_some_and(|before| seq >= before) => {}
            Sifted::Hit(seq, time) => {
                hits.push(Hit { chain: Arc::clone(&reading.name), seq, time, line: line.to_vec() });
            }
            Sifted::Other => {}
            // Which the part before has read.
            Sifted::NoLine if number == 1 && leaf.begins_within(part)? => {}
            Sifted::NoLine => {
                odd.push(Odd { line: number, torn: Torn::of(line), ended: true, told: None });
                doubted = true;
            }
        }
    }
    Ok(Seen { hits, odd })
}

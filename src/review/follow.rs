//! Following a record: what is added to it, whatever becomes of its files meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::filter::Filter;
use super::note::Note;
use super::search::Hit;
use super::sieve::{Sieve, Sifted};
use super::{chains, name};
use crate::record::chain::start_of;
use crate::record::folder::{self, Form};
use crate::record::read::{LONGEST, Lines, Piece};

/// So much is read at once.
const STEP: usize = 256 * 1024;
/// So often a chain is looked at anew if its files are closed meanwhile.
const LOOKS: usize = 8;

/// Who follows a record.
#[derive(Debug)]
pub struct Follower {
    root: PathBuf,
    sieve: Sieve,
    chains: BTreeMap<PathBuf, Followed>,
}

/// A chain that is followed.
#[derive(Debug)]
struct Followed {
    name: Arc<str>,
    /// The file that was the current one, and how much of it has been read.
    file: Option<(File, u64)>,
    /// The number of the last line that was read.
    seq: u64,
}

impl Follower {
    /// Begins at the end of what is there.
    #[must_use]
    pub fn begin(root: &Path, filter: Filter) -> Self {
        let mut followed = BTreeMap::new();
        for path in chains(root).unwrap_or_default() {
            let closed = folder::segments(&path).unwrap_or_default();
            let seq = closed.iter().map(|segment| segment.last).max().unwrap_or_default();
            let mut chain = Followed { name: name(&path).into(), file: None, seq };
            // What cannot be read now is given by the first poll.
            let _ = chain.read_on(&path, None, &mut Vec::new());
            followed.insert(path, chain);
        }
        Self { root: root.to_owned(), sieve: Sieve::new(filter), chains: followed }
    }

    /// The number of the last line that was there when it began, or that it has given since.
    #[must_use]
    pub fn came_to(&self, chain: &str) -> u64 {
        self.chains.values().find(|followed| *followed.name == *chain).map_or(0, |followed| followed.seq)
    }

    /// What has been added since the last time, in the order of time, and what could not be read, which the next call tries
    /// again. Only whole lines are read.
    pub fn poll(&mut self) -> (Vec<Hit>, Vec<Note>) {
        let (mut hits, mut notes) = (Vec::new(), Vec::new());
        let mut note =
            |path: &Path, error: io::Error| notes.push(Note::Unreadable { path: path.to_owned(), error });
        let found = chains(&self.root).unwrap_or_else(|error| {
            // It may come yet.
            if error.kind() != io::ErrorKind::NotFound {
                note(&self.root, error);
            }
            Vec::new()
        });
        for path in found {
            let name = name(&path).into();
            self.chains.entry(path).or_insert(Followed { name, file: None, seq: 0 });
        }
        for (path, followed) in &mut self.chains {
            if let Err(error) = followed.read_on(path, Some(&self.sieve), &mut hits) {
                note(path, error);
            }
        }
        hits.sort_by_key(|hit| hit.time);
        (hits, notes)
    }
}

impl Followed {
    fn read_on(&mut self, path: &Path, sieve: Option<&Sieve>, hits: &mut Vec<Hit>) -> io::Result<()> {
        for _ in 0..LOOKS {
            let current = match File::open(path.join(folder::CURRENT)) {
                Ok(file) => Some(file),
                // Between two files.
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let same = match (&self.file, &current) {
                (Some((held, _)), Some(current)) => identity(held)? == identity(current)?,
                (Some(_) | None, _) => false,
            };
            // A file that is not the current one any more has all its lines: it was read to its end after that.
            self.read_file(sieve, hits)?;
            if same {
                return Ok(());
            }
            self.file = None;
            match self.read_closed(path, sieve, hits) {
                // It was compressed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read?,
            }
            let Some(current) = current else { return Ok(()) };
            self.file = Some((current, 0));
            // Unless it was closed in between, it goes on where the closed ones end.
            let last = folder::segments(path)?.iter().map(|segment| segment.last).max().unwrap_or_default();
            if last <= self.seq {
                self.read_file(sieve, hits)?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads what has been added to the file.
    fn read_file(&mut self, sieve: Option<&Sieve>, hits: &mut Vec<Hit>) -> io::Result<()> {
        let Some((file, mut at)) = self.file.take() else { return Ok(()) };
        let (mut held, mut step) = (Vec::new(), vec![0; STEP]);
        let read = loop {
            let read = match file.read_at(&mut step, at + held.len() as u64) {
                Ok(read) => read,
                Err(error) => break Err(error),
            };
            held.extend_from_slice(step.get(..read).unwrap_or_default());
            if let Some(feed) = memchr::memrchr(b'\n', &held) {
                let rest = held.split_off(feed + 1);
                held.split(|byte| *byte == b'\n').for_each(|line| self.line(line, sieve, hits));
                at += held.len() as u64;
                held = rest;
            }
            if held.len() as u64 > LONGEST {
                // No line is so long.
                at += held.len() as u64;
                held.clear();
            }
            if read == 0 {
                break Ok(());
            }
        };
        self.file = Some((file, at));
        read
    }

    /// Reads files that were closed since.
    fn read_closed(&mut self, path: &Path, sieve: Option<&Sieve>, hits: &mut Vec<Hit>) -> io::Result<()> {
        for segment in folder::segments(path)? {
            if segment.last <= self.seq {
                continue;
            }
            if segment.form != Form::Stub {
                let (mut lines, mut line) = (Lines::open(&segment)?, Vec::new());
                while lines.next(&mut line)? != Piece::End {
                    self.line(&line, sieve, hits);
                }
            }
            self.seq = self.seq.max(segment.last);
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], sieve: Option<&Sieve>, hits: &mut Vec<Hit>) {
        let Some(before) = start_of(line) else { return };
        if before.seq < self.seq {
            return;
        }
        self.seq = before.seq + 1;
        if let Some(Sifted::Hit(seq, time)) = sieve.map(|sieve| sieve.sift(line)) {
            hits.push(Hit { chain: Arc::clone(&self.name), seq, time, line: line.to_vec() });
        }
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}

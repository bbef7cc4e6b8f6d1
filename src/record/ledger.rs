//! A chain that is being written: lines go to its current file, heads are signed, full files are closed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::chain::Tip;
use super::folder::{self, CURRENT, HEAD, Own};
use super::key::{PublicKey, Signer, statement};
use super::line::{Entry, Kind, Line};
use super::paper::{Named, Paper};
use super::read::LONGEST;
use super::reopen::{self, End, ReopenError};
use super::verify::NEW_KEY;
use super::walk::TORN;

/// The word of the line with which a file begins that is not the first.
pub const NEXT_FILE: &str = "next_file";

/// When files are closed and heads signed.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// A file is closed when it has so many bytes,
    pub file_bytes: u64,
    /// or is so old.
    pub file_age: Duration,
    /// A head is signed after so many lines,
    pub head_lines: u64,
    /// or after so long, if there is any line since the last.
    pub head_age: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            file_bytes: 64 * 1024 * 1024,
            file_age: Duration::from_secs(24 * 60 * 60),
            head_lines: 1_000,
            head_age: Duration::from_secs(60),
        }
    }
}

/// A chain and its current file.
#[derive(Debug)]
pub struct Ledger {
    own: Own,
    signer: Arc<Signer>,
    rhythm: Rhythm,
    tip: Tip,
    paper: Paper<Named>,
    /// The number of the current file's first line.
    first: u64,
    /// When it was begun.
    begun: Timestamp,
    /// Lines since the last head, and when that was.
    unsigned: u64,
    signed: Timestamp,
    /// The last head, until its copy is written.
    head: Option<Vec<u8>>,
}

impl Ledger {
    /// Goes on with a chain where it ended, or begins it. A line that was torn by a crash is closed with a note.
    ///
    /// # Errors
    /// The files cannot be read or written, or are not a chain any more.
    pub fn open(
        own: Own,
        signer: Arc<Signer>,
        rhythm: Rhythm,
        now: Timestamp,
    ) -> Result<(Self, Vec<Line>), ReopenError> {
        let found = reopen::reopen(&own.path)?;
        let path = own.path.join(CURRENT);
        let failed = |error| ReopenError::File { path: path.clone(), error };
        let paper = Paper::open(&path).map_err(failed)?;
        folder::sync_folder(&own.path).map_err(failed)?;
        let mut ledger = Self {
            own,
            signer,
            rhythm,
            tip: found.tip,
            paper,
            first: found.first,
            begun: found.begun.unwrap_or(now),
            unsigned: 0,
            signed: now,
            head: None,
        };
        match found.end {
            End::Whole => {}
            End::Bare => ledger.paper.pending().push(b'\n'),
            End::Torn(torn) => {
                ledger.paper.pending().push(b'\n');
                let mut note =
                    Entry::system(now, TORN, "the line before was not finished when sekisho ended");
                note.params.insert("bytes".to_owned(), json!(torn.bytes));
                note.params.insert("sha256".to_owned(), json!(torn.hash.to_string()));
                ledger.add(&note).map_err(failed)?;
            }
        }
        if ledger.paper.length() == 0 && found.tip.seq > 0 {
            // The file before was closed, and then sekisho ended.
            let open: Vec<u64> = found.intents.iter().map(|intent| intent.seq).collect();
            ledger.begin_file(now, &open).map_err(failed)?;
        }
        Ok((ledger, found.intents))
    }

    /// The name of the chain.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.own.name
    }

    /// Its sub-folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.own.path
    }

    /// Where it has come to.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// Adds a line, which does not stay before [`Ledger::sync`]. Gives its number.
    ///
    /// # Errors
    /// It cannot be written as JSON, or is longer than what is read.
    pub fn add(&mut self, entry: &Entry) -> io::Result<u64> {
        let (before, begin) = (self.tip, self.paper.pending().len());
        self.tip.link(entry, self.paper.pending())?;
        if self.paper.pending().len().saturating_sub(begin) as u64 > LONGEST {
            self.paper.pending().truncate(begin);
            self.tip = before;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the line is longer than any that is read",
            ));
        }
        self.unsigned += 1;
        Ok(self.tip.seq)
    }

    /// Whether all lines stay.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.paper.is_clean()
    }

    /// Lets others read all lines; they may not stay yet.
    ///
    /// # Errors
    /// The system's. Lines are kept, and written again by the next call.
    pub fn write(&mut self) -> io::Result<()> {
        self.paper.write()
    }

    /// Has all lines stay.
    ///
    /// # Errors
    /// The system's. Lines are kept, and written again by the next call.
    pub fn sync(&mut self) -> io::Result<()> {
        self.paper.sync()?;
        // The copy must not tell of a head that a crash takes back.
        if let Some(line) = self.head.take() {
            folder::replace(&self.own.path.join(HEAD), &line)?;
        }
        Ok(())
    }

    /// Signs where the chain has come to, if it is time to.
    ///
    /// # Errors
    /// The head cannot be written as JSON.
    pub fn seal_if_due(&mut self, now: Timestamp) -> Result<(), serde_json::Error> {
        let old = is_older(self.signed, self.rhythm.head_age, now);
        if self.unsigned >= self.rhythm.head_lines || (self.unsigned > 0 && old) {
            self.seal(now)
        } else {
            Ok(())
        }
    }

    /// Signs where the chain has come to.
    ///
    /// # Errors
    /// The head cannot be written as JSON.
    pub fn seal(&mut self, now: Timestamp) -> Result<(), serde_json::Error> {
        let mut head = Entry::new(uuid::Uuid::now_v7().to_string(), now, Kind::Head);
        head.count = Some(self.unsigned);
        head.chain = Some(self.own.name.clone());
        head.key = Some(self.signer.public().name());
        head.signature = Some(self.signer.sign(&statement(&self.own.name, &self.tip, &head.time)));
        let begin = self.paper.pending().len();
        self.tip.link(&head, self.paper.pending())?;
        (self.unsigned, self.signed) = (0, now);
        self.head = Some(self.paper.pending().get(begin..).unwrap_or_default().to_vec());
        Ok(())
    }

    /// Says under this key that another one signs from now on, and has that stay.
    ///
    /// # Errors
    /// The system's.
    pub fn announce(&mut self, next: &PublicKey, now: Timestamp) -> io::Result<()> {
        let mut note = Entry::system(now, NEW_KEY, "another key signs from now on");
        note.params.insert("public_key".to_owned(), json!(next.pem()));
        self.add(&note)?;
        self.seal(now)?;
        self.sync()
    }

    /// Signs with this key from now on, which was announced.
    ///
    /// # Errors
    /// The system's.
    pub fn go_on_with(&mut self, signer: Arc<Signer>, now: Timestamp) -> io::Result<()> {
        self.signer = signer;
        self.seal(now)?;
        self.sync()
    }

    /// Closes the current file and begins the next, if it is time to. `open` are the intents without an outcome, which the
    /// new file names so that only it has to be read after a crash.
    ///
    /// # Errors
    /// The system's. What could not be done is done by the next call.
    pub fn turn_if_due(&mut self, now: Timestamp, open: &[u64]) -> io::Result<Option<PathBuf>> {
        let old = is_older(self.begun, self.rhythm.file_age, now) && self.tip.seq >= self.first;
        if self.paper.length() < self.rhythm.file_bytes && !old {
            return Ok(None);
        }
        if self.unsigned > 0 {
            self.seal(now)?;
        }
        self.sync()?;
        let closed = self.own.path.join(folder::closed(self.first, self.tip.seq));
        let current = self.own.path.join(CURRENT);
        fs::rename(&current, &closed)?;
        self.paper = Paper::open(&current).inspect_err(|_| {
            // Lines that come meanwhile go to the file of their name.
            let _ = fs::rename(&closed, &current);
        })?;
        folder::sync_folder(&self.own.path)?;
        (self.first, self.begun) = (self.tip.seq + 1, now);
        self.begin_file(now, open)?;
        Ok(Some(closed))
    }

    fn begin_file(&mut self, now: Timestamp, open: &[u64]) -> io::Result<()> {
        let mut note = Entry::system(now, NEXT_FILE, "the file before is closed");
        note.params.insert("open_intents".to_owned(), json!(open));
        self.add(&note).map(drop)
    }
}

/// Durations by the wall clock: files and heads outlive processes. A clock that is set back makes nothing older.
fn is_older(since: Timestamp, than: Duration, now: Timestamp) -> bool {
    SignedDuration::try_from(than).is_ok_and(|than| now.duration_since(since) >= than)
}

//! The file that is being written: what has been written to it is not there until it has been synced.
//!
//! A sync that failed may have thrown away what it was to write, and the next one does not say so (fsync(2), and the long
//! story of PostgreSQL's fsync). So everything since the last good sync is kept, and written again at its own place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file to which lines are added.
pub trait Sheet {
    /// Writes at a place.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Has all that was written stay, whatever happens to the machine.
    ///
    /// # Errors
    /// The system's.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file under its name.
#[derive(Debug)]
pub struct Named {
    file: File,
    path: PathBuf,
}

impl Sheet for Named {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        // A file that nobody can find any more takes lines as ever.
        let (here, there) = (self.file.metadata()?, std::fs::metadata(&self.path)?);
        if (here.dev(), here.ino()) == (there.dev(), there.ino()) {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::NotFound, "the file was moved or removed"))
        }
    }
}

/// A file, and what of it is not known to stay.
#[derive(Debug)]
pub struct Paper<S> {
    sheet: S,
    /// So many bytes stay.
    durable: u64,
    /// What comes after them.
    pending: Vec<u8>,
    /// How much of that has been written since the last failure.
    written: usize,
}

impl Paper<Named> {
    /// Opens a file to add to it, or makes it; what is in it stays.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(path)?;
        let length = file.metadata()?.len();
        // What an earlier process wrote and did not sync is synced with the first line.
        Ok(Self::new(Named { file, path: path.to_owned() }, length))
    }
}

impl<S: Sheet> Paper<S> {
    /// A sheet with so many bytes on it.
    pub fn new(sheet: S, length: u64) -> Self {
        Self { sheet, durable: length, pending: Vec::new(), written: 0 }
    }

    /// Where the next line goes to be written.
    pub fn pending(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// How long the file is with all that is to be written.
    pub fn length(&self) -> u64 {
        self.durable.saturating_add(self.pending.len() as u64)
    }

    /// Whether all of it stays.
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty()
    }

    /// Writes what has not been written.
    ///
    /// # Errors
    /// The system's. It is all written again by the next call.
    pub fn write(&mut self) -> io::Result<()> {
        let rest = self.pending.get(self.written..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        let offset = self.durable.saturating_add(self.written as u64);
        if let Err(error) = self.sheet.write_at(rest, offset) {
            self.written = 0;
            return Err(error);
        }
        self.written = self.pending.len();
        Ok(())
    }

    /// Has all of it stay.
    ///
    /// # Errors
    /// The system's. It is all written and synced again by the next call.
    pub fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.sheet.sync() {
            self.written = 0;
            return Err(error);
        }
        self.durable = self.length();
        self.pending.clear();
        self.written = 0;
        Ok(())
    }
}

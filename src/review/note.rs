//! What there is to say of a record beside its lines: never an error, for the rest is read all the same.

use std::io;
use std::path::PathBuf;

/// Something in a record that is no line that could be shown.
#[derive(Debug, thiserror::Error)]
pub enum Note {
    /// Lines were removed for their age.
    #[error("{chain}: lines up to {last} were removed for their age")]
    Removed {
        /// Of which chain.
        chain: String,
        /// The last of them.
        last: u64,
    },
    /// There is no file of some lines, and no stub either.
    #[error("{chain}: the lines {first} to {last} are not there")]
    Missing {
        /// Of which chain.
        chain: String,
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// A process ended in the middle of a line, and the next one said so.
    #[error("{}:{line}: a line was torn when sekisho ended, as the next one says", .path.display())]
    Torn {
        /// In which file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
    },
    /// What stands there is no line.
    #[error("{}:{line}: this is no line of a record; see what `sekisho audit verify` says", .path.display())]
    NoLine {
        /// In which file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
    },
    /// The end of the current file is no whole line: it is being written, or was torn just now.
    #[error("{}: its last line is not whole ({bytes} bytes)", .path.display())]
    Unfinished {
        /// In which file.
        path: PathBuf,
        /// How much is there.
        bytes: usize,
    },
    /// A file, or a part of it, cannot be read.
    #[error("{}: it cannot be read: {error}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Note {
    /// Whether lines may be there that nobody could look at.
    #[must_use]
    pub fn leaves_out(&self) -> bool {
        match self {
            Self::Unreadable { .. } | Self::NoLine { .. } | Self::Missing { .. } => true,
            Self::Removed { .. } | Self::Torn { .. } | Self::Unfinished { .. } => false,
        }
    }
}

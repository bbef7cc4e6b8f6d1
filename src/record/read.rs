//! Reading the files of a chain, line by line, compressed or not, without believing anything in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};

use super::folder::{Form, Segment};

/// No line is longer; what is longer is none.
pub const LONGEST: u64 = 1024 * 1024;

/// The lines of one file.
pub struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: u64,
}

/// What came of reading on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line with its line feed, which is taken off.
    Whole,
    /// The end of the file without one.
    Cut,
    /// Nothing more.
    End,
}

impl Lines {
    /// Opens a file of lines.
    ///
    /// # Errors
    /// The system's, or it is not compressed as its name says.
    pub fn open(segment: &Segment) -> io::Result<Self> {
        Self::of(File::open(&segment.path)?, segment.form == Form::Compressed)
    }

    /// The lines of an open file that is compressed or not.
    ///
    /// # Errors
    /// The system's, or it is not compressed.
    pub fn of(file: File, compressed: bool) -> io::Result<Self> {
        let reader: Box<dyn BufRead + Send> = if compressed {
            Box::new(BufReader::with_capacity(1 << 18, zstd::Decoder::new(file)?))
        } else {
            Box::new(BufReader::with_capacity(1 << 18, file))
        };
        Ok(Self { reader, number: 0 })
    }

    /// Reads on, into `line` alone.
    ///
    /// # Errors
    /// The system's, or a compressed file that is damaged. A line that is too long ends as one that is cut.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Piece> {
        line.clear();
        let read = (&mut self.reader).take(LONGEST).read_until(b'\n', line)?;
        if read == 0 {
            return Ok(Piece::End);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Piece::Whole);
        }
        Ok(Piece::Cut)
    }

    /// The number of the line that was read last, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

//! A file of a chain, cut into parts that can be looked through by themselves and in any order.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::record::frames::{Frame, frames, unpack};
use crate::record::read::LONGEST;

/// So much of a file that is not compressed is one part.
const PART: u64 = 1024 * 1024;
/// Where a part ends within a line, it is read on in such steps.
const STEP: usize = 16 * 1024;

/// An open file of lines.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Of which kind the parts are, in their order.
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    Frames(Vec<Frame>),
    /// Lines that begin within the same `PART` bytes, as far as the file went when it was opened.
    Ranges(u64),
}

impl Leaf {
    pub(super) fn of(path: PathBuf, file: File, compressed: bool) -> io::Result<Self> {
        let parts =
            if compressed { Parts::Frames(frames(&file)?) } else { Parts::Ranges(file.metadata()?.len()) };
        Ok(Self { path, file, parts })
    }

    /// How many parts there are.
    pub(super) fn len(&self) -> usize {
        match &self.parts {
            Parts::Frames(frames) => frames.len(),
            Parts::Ranges(end) => usize::try_from(end.div_ceil(PART)).unwrap_or(usize::MAX),
        }
    }

    /// The frames, if it is compressed.
    pub(super) fn frames(&self) -> Option<&[Frame]> {
        match &self.parts {
            Parts::Frames(frames) => Some(frames),
            Parts::Ranges(_) => None,
        }
    }

    /// The lines that begin in a part. A frame of somebody else's making may begin within one: see [`Leaf::begins_within`].
    pub(super) fn part(&self, number: usize) -> io::Result<Vec<u8>> {
        match &self.parts {
            Parts::Frames(frames) => {
                let mut bytes = self.frame(frames, number)?;
                let longest = bytes.len().saturating_add(usize::try_from(LONGEST).unwrap_or(usize::MAX));
                for next in number + 1..frames.len() {
                    if bytes.last().is_none_or(|last| *last == b'\n') || bytes.len() > longest {
                        break;
                    }
                    let mut more = self.frame(frames, next)?;
                    if let Some(feed) = memchr::memchr(b'\n', &more) {
                        more.truncate(feed + 1);
                    }
                    bytes.append(&mut more);
                }
                Ok(bytes)
            }
            Parts::Ranges(end) => {
                let begin = PART.saturating_mul(number as u64);
                self.range(begin, (begin + PART).min(*end), *end)
            }
        }
    }

    fn frame(&self, frames: &[Frame], number: usize) -> io::Result<Vec<u8>> {
        frames.get(number).map_or_else(|| Ok(Vec::new()), |frame| unpack(&self.file, *frame))
    }

    /// Whether a part begins with the rest of a line that began before it. sekisho's frames do not.
    pub(super) fn begins_within(&self, number: usize) -> io::Result<bool> {
        let Parts::Frames(frames) = &self.parts else { return Ok(false) };
        for before in (0..number).rev() {
            if let Some(last) = self.frame(frames, before)?.last() {
                return Ok(*last != b'\n');
            }
        }
        Ok(false)
    }

    /// The lines that begin within these bytes.
    fn range(&self, begin: u64, until: u64, end: u64) -> io::Result<Vec<u8>> {
        // With the byte before, which says whether a line begins here.
        let from = begin.saturating_sub(1);
        let mut bytes = vec![0; usize::try_from(until.saturating_sub(from)).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, from)?;
        if begin > 0 {
            match memchr::memchr(b'\n', &bytes) {
                Some(feed) if feed + 1 < bytes.len() => drop(bytes.drain(..=feed)),
                Some(_) | None => return Ok(Vec::new()),
            }
        }
        let (mut at, limit) = (until, end.min(until.saturating_add(LONGEST)));
        while at < limit && bytes.last() != Some(&b'\n') {
            let mut more = vec![0; STEP.min(usize::try_from(limit - at).unwrap_or(STEP))];
            self.file.read_exact_at(&mut more, at)?;
            if let Some(feed) = memchr::memchr(b'\n', &more) {
                more.truncate(feed + 1);
            }
            at += more.len() as u64;
            bytes.append(&mut more);
        }
        Ok(bytes)
    }

    /// How many lines stand before a part.
    pub(super) fn lines_before(&self, number: usize) -> io::Result<u64> {
        let count = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
        (0..number).map(|number| Ok(count(&self.part(number)?))).sum()
    }

    /// The first line of the first part from here that has one.
    pub(super) fn first_line(&self, from: usize) -> io::Result<Option<Vec<u8>>> {
        for number in from..self.len() {
            let part = self.part(number)?;
            if let Some(feed) = memchr::memchr(b'\n', &part) {
                return Ok(part.get(..feed).map(<[u8]>::to_vec));
            }
        }
        Ok(None)
    }
}

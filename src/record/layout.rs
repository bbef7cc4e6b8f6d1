//! The files of a chain as they are at one moment, though its writer closes, compresses and removes some meanwhile.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;

use super::chain::start_of;
use super::folder::{self, Form, Segment};
use super::read::{Lines, Piece};

/// So many times a folder is looked at anew whose files do not go on from each other. Names are read one by one, so that
/// one may be missed that is changed meanwhile.
const LOOKS: usize = 8;

/// The files of a chain: none twice and none left out.
#[derive(Debug)]
pub struct Layout {
    /// Closed files and stubs, in the order of their lines.
    pub closed: Vec<Segment>,
    /// The file that is being written, as it was opened before the names of the others were read. It stays that one.
    pub current: Option<File>,
    /// Lines of which there is no file: the first and the last of each run.
    pub gaps: Vec<(u64, u64)>,
}

/// Looks at a chain.
///
/// # Errors
/// The system's.
pub fn lay_out(path: &Path) -> io::Result<Layout> {
    let mut before = None;
    for _ in 1..LOOKS {
        let (layout, whole) = look(path)?;
        if whole || before.as_ref() == Some(&layout.closed) {
            return Ok(layout);
        }
        before = Some(layout.closed);
    }
    Ok(look(path)?.0)
}

/// The files as they seem to be, and whether they go on from each other.
fn look(path: &Path) -> io::Result<(Layout, bool)> {
    let mut current = match File::open(path.join(folder::CURRENT)) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut closed = folder::segments(path)?;
    closed.retain(|segment| segment.form != Form::Current);
    let begins = match &mut current {
        Some(current) => first_number(current)?,
        None => None,
    };
    let (mut next, mut gaps) = (1, Vec::new());
    let runs = closed.iter().map(|segment| (segment.first, segment.last));
    for (first, last) in runs.chain(begins.map(|first| (first, first))) {
        if first > next {
            gaps.push((next, first - 1));
        }
        next = next.max(last.saturating_add(1));
    }
    let last = closed.iter().map(|segment| segment.last).max().unwrap_or_default();
    let twice = begins.is_some_and(|first| first <= last);
    // Where the current file says nothing, the names must be the same twice.
    let whole = gaps.is_empty() && begins.is_some() && !twice;
    Ok((Layout { closed, current, gaps }, whole))
}

/// The number of a file's first line, if it has one.
fn first_number(file: &mut File) -> io::Result<Option<u64>> {
    let mut line = Vec::new();
    let piece = Lines::of(file.try_clone()?, false)?.next(&mut line);
    file.rewind()?;
    let whole = piece? == Piece::Whole;
    Ok(start_of(&line).filter(|_| whole).and_then(|start| start.seq.checked_add(1)))
}

impl Segment {
    /// Opens a closed file, which may have been compressed or removed since it was listed, and says what it is by now.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&self) -> io::Result<(Self, File)> {
        let missing = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => error,
            opened => return Ok((self.clone(), opened?)),
        };
        let later = match self.form {
            Form::Plain => &[(Form::Compressed, "jsonl.zst"), (Form::Stub, "stub")][..],
            Form::Compressed => &[(Form::Stub, "stub")],
            Form::Stub | Form::Current => &[],
        };
        let name = folder::closed(self.first, self.last);
        for (form, ending) in later {
            let segment = Self {
                path: self.path.with_file_name(&name).with_extension(ending),
                form: *form,
                ..self.clone()
            };
            match File::open(&segment.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return Ok((segment, opened?)),
            }
        }
        Err(missing)
    }
}

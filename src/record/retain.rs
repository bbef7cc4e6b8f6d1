//! Closed files: compressed, and removed when they are old enough, which leaves a signed stub of each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::chain::{Hash, Tip, start_of};
use super::folder::{self, Form, Segment};
use super::key::{PublicKey, Signer};
use super::line::Line;
use super::read::{Lines, Piece};
use super::walk::Walk;

/// How hard zstd tries.
const LEVEL: i32 = 3;
/// So many bytes of lines go into one frame, so that a reader can begin in the middle (RFC 8878 section 3.1: frames follow
/// each other).
pub const FRAME: usize = 1024 * 1024;

/// What stays of a file that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stub {
    /// The chain.
    pub chain: String,
    /// The number of its first line.
    pub first: u64,
    /// The number of its last.
    pub last: u64,
    /// The hash of the line before its first.
    pub prev: String,
    /// The hash of its last.
    pub hash: String,
    /// When it was removed.
    pub removed: String,
    /// The name of the key that signed this.
    pub key: String,
    /// The signature, Ed25519, in base64.
    pub signature: String,
}

impl Stub {
    fn statement(&self) -> String {
        let Self { chain, first, last, prev, hash, removed, .. } = self;
        format!("sekisho stub\n{chain}\n{first}\n{last}\n{prev}\n{hash}\n{removed}\n")
    }

    /// The same, signed with this key.
    #[must_use]
    pub fn signed(self, signer: &Signer) -> Self {
        let signature = signer.sign(&self.statement());
        Self { key: signer.public().name(), signature, ..self }
    }

    /// Whether the owner of this key removed the file.
    #[must_use]
    pub fn is_proved_by(&self, key: &PublicKey) -> bool {
        self.key == key.name() && key.proves(&self.statement(), &self.signature)
    }

    /// Where the chain goes on behind what was removed.
    #[must_use]
    pub fn tip(&self) -> Option<Tip> {
        Some(Tip { seq: self.last, hash: Hash::read(&self.hash)? })
    }

    /// Reads one.
    ///
    /// # Errors
    /// The system's, or it is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        File::open(path)?.take(64 * 1024).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// Where a chain goes on behind a file that was removed.
pub(super) fn stub_tip(path: &Path) -> io::Result<Tip> {
    Stub::read(path)?.tip().ok_or_else(|| io::Error::other("it is no stub of a file"))
}

/// Compresses a closed file and removes the plain one.
///
/// # Errors
/// The system's. The plain one stays until the compressed one does.
pub fn compress(segment: &Segment) -> io::Result<()> {
    let target = segment.path.with_extension("jsonl.zst");
    let made = segment.path.with_extension("zst.new");
    let mut lines = io::BufReader::new(File::open(&segment.path)?);
    let _ = fs::remove_file(&made);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&made)?;
    let mut frame = Vec::with_capacity(FRAME);
    loop {
        let at_end = io::BufRead::read_until(&mut lines, b'\n', &mut frame)? == 0;
        if frame.len() >= FRAME || (at_end && !frame.is_empty()) {
            io::Write::write_all(&mut out, &zstd::bulk::compress(&frame, LEVEL)?)?;
            frame.clear();
        }
        if at_end {
            break;
        }
    }
    out.sync_all()?;
    fs::rename(&made, &target)?;
    let folder = segment.path.parent().unwrap_or(Path::new("."));
    folder::sync_folder(folder)?;
    fs::remove_file(&segment.path)
}

/// Removes the closed files of a chain whose last line is older than `keep`, and leaves stubs. Gives what was removed.
///
/// # Errors
/// The system's.
pub fn remove_old(
    folder: &Path,
    chain: &str,
    signer: &Signer,
    keep: Duration,
    now: Timestamp,
) -> io::Result<Vec<Stub>> {
    let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
    let mut removed = Vec::new();
    for segment in folder::segments(folder)? {
        if !matches!(segment.form, Form::Compressed | Form::Plain) {
            continue;
        }
        let Some((start, last)) = ends(&segment)? else { break };
        let age = last.entry.time.parse::<Timestamp>().map(|time| now.duration_since(time));
        // Files go in the order of the chain, so that what stays is one piece.
        if !age.is_ok_and(|age| age > keep) {
            break;
        }
        let stub = Stub {
            chain: chain.to_owned(),
            first: segment.first,
            last: segment.last,
            prev: start.hash.to_string(),
            hash: last.hash,
            removed: format!("{now:.6}"),
            key: String::new(),
            signature: String::new(),
        };
        let stub = stub.signed(signer);
        let name = folder::closed(segment.first, segment.last).replace(".jsonl", ".stub");
        folder::replace(&folder.join(name), &serde_json::to_vec(&stub)?)?;
        fs::remove_file(&segment.path)?;
        removed.push(stub);
    }
    folder::remove_stray_indexes(folder)?;
    Ok(removed)
}

/// Where a file begins, and its last line. Nothing, where its lines do not follow each other or are not those of its name:
/// a stub would make good what somebody did to them.
fn ends(segment: &Segment) -> io::Result<Option<(Tip, Line)>> {
    let mut lines = Lines::open(segment)?;
    let (mut line, mut last, mut walk) = (Vec::new(), Vec::new(), None::<(Tip, Walk)>);
    while lines.next(&mut line)? == Piece::Whole {
        if walk.is_none() {
            walk = start_of(&line).map(|start| (start, Walk::from(start)));
        }
        let follows = walk.as_mut().is_some_and(|(_, walk)| walk.step(&line).is_ok());
        if !follows {
            return Ok(None);
        }
        std::mem::swap(&mut line, &mut last);
    }
    let Some((start, walk)) = walk else { return Ok(None) };
    let of_its_name = walk.end().is_ok_and(|end| end.seq == segment.last)
        && start.seq.checked_add(1) == Some(segment.first)
        && line.is_empty();
    Ok(serde_json::from_slice(&last).ok().filter(|_| of_its_name).map(|last| (start, last)))
}

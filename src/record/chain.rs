//! How lines hang together: each carries the hash of the one before, so that none can be changed, taken out or put in.
//!
//! The hash of a line is the SHA-256 of its bytes from `{` to the end of the value of `prev`: all of the line but
//! `,"hash":"…"}`. Nobody has to write the JSON again to check it (`docs/record.md`).

use aws_lc_rs::digest::{SHA256, digest};

use super::line::Entry;

/// What stands before a chain's first line.
pub const NOTHING: Hash = Hash([0; 32]);

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(hash)
    }

    /// Of 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        if text.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = digit(*high)? * 16 + digit(*low)?;
        }
        Some(Self(hash))
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// The end of a chain: the number and the hash of its last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its `seq`; 0 before the first line.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Tip {
    /// Of a chain without lines.
    pub const EMPTY: Self = Self { seq: 0, hash: NOTHING };

    /// Writes an entry as the next line, with its line feed.
    ///
    /// # Errors
    /// The entry cannot be written as JSON, which only a bug makes it.
    pub fn link(&mut self, entry: &Entry, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        use std::io::Write as _;
        let begin = out.len();
        let seq = self.seq + 1;
        // Writing to a vector cannot fail.
        let _ = write!(out, "{{\"seq\":{seq},");
        let open = out.len();
        if let Err(error) = serde_json::to_writer(&mut *out, entry) {
            out.truncate(begin);
            return Err(error);
        }
        // The entry's own braces.
        out.remove(open);
        out.pop();
        let _ = write!(out, ",\"prev\":\"{}\"", self.hash);
        let hash = Hash::of(out.get(begin..).unwrap_or_default());
        let _ = writeln!(out, ",\"hash\":\"{hash}\"}}");
        *self = Self { seq, hash };
        Ok(())
    }
}

/// The bytes of `,"hash":"…"}`.
const TAIL: usize = 9 + 64 + 2;

/// Why a line does not follow the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It has another form.
    #[error("it is no line of a record")]
    Form,
    /// Its hash is not that of its bytes.
    #[error("its bytes are not those of its hash")]
    Changed,
    /// The line before has another hash than it says.
    #[error("it does not follow the line before it")]
    Apart,
    /// Its number is not the next.
    #[error("its number is {0}, and {1} would be the next")]
    Number(u64, u64),
}

/// Takes a line, without its line feed, as the next one of the chain.
///
/// # Errors
/// It is not the next line.
pub fn follow(tip: &mut Tip, line: &[u8]) -> Result<(), Broken> {
    let (body, tail) = line.split_at_checked(line.len().saturating_sub(TAIL)).ok_or(Broken::Form)?;
    let hash = tail.strip_prefix(b",\"hash\":\"").and_then(|rest| rest.strip_suffix(b"\"}"));
    let hash = hash.and_then(read_hash).ok_or(Broken::Form)?;
    let prev = body.len().checked_sub(64 + 10).and_then(|at| body.get(at..)).ok_or(Broken::Form)?;
    let prev = prev.strip_prefix(b",\"prev\":\"").and_then(|rest| rest.strip_suffix(b"\""));
    let prev = prev.and_then(read_hash).ok_or(Broken::Form)?;
    let seq = number(body).ok_or(Broken::Form)?;
    if Hash::of(body) != hash {
        return Err(Broken::Changed);
    }
    if seq != tip.seq + 1 {
        return Err(Broken::Number(seq, tip.seq + 1));
    }
    if prev != tip.hash {
        return Err(Broken::Apart);
    }
    *tip = Tip { seq, hash };
    Ok(())
}

/// What a line says that it follows: where a file that begins with it is to be taken up.
#[must_use]
pub fn start_of(line: &[u8]) -> Option<Tip> {
    let body = line.get(..line.len().checked_sub(TAIL)?)?;
    let prev = body.get(body.len().checked_sub(64 + 10)?..)?;
    let prev = prev.strip_prefix(b",\"prev\":\"").and_then(|rest| rest.strip_suffix(b"\""))?;
    Some(Tip { seq: number(body)?.checked_sub(1)?, hash: read_hash(prev)? })
}

fn read_hash(bytes: &[u8]) -> Option<Hash> {
    Hash::read(std::str::from_utf8(bytes).ok()?)
}

/// The number with which a line begins.
fn number(body: &[u8]) -> Option<u64> {
    let rest = body.strip_prefix(b"{\"seq\":")?;
    let end = rest.iter().position(|byte| *byte == b',')?;
    let digits = std::str::from_utf8(rest.get(..end)?).ok()?;
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    canonical.then(|| digits.parse().ok()).flatten()
}

//! What a proof of a record comes to: what was proved, or the first thing that is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::chain::{Broken, Hash, Tip};
use super::key::KeyError;

/// What was proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Lines of all chains.
    pub lines: u64,
    /// Heads whose signature holds.
    pub heads: u64,
    /// Lines that were torn, and are told of.
    pub torn: u64,
    /// Lines that are not there any more, by signed stubs.
    pub removed: u64,
    /// Each chain: its name, where it has come to, and how many lines follow its last head.
    pub chains: Vec<(String, Tip, u64)>,
    /// The heads that were written down elsewhere and are there, and of which chain each is.
    pub expected: Vec<(Hash, String)>,
    /// What is no fault, and worth to be known.
    pub notes: Vec<String>,
    /// The record's folder, where only one of its chains was proved, too.
    pub root: PathBuf,
    /// The policies that lines name.
    pub policies: BTreeMap<String, Named>,
}

/// Policies that a chain's line names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The first line that does: its chain and its number.
    pub by: (String, u64),
    /// The SHA-256 of their files, where a line tells it.
    pub files: BTreeMap<String, String>,
}

/// What is wrong, and where.
#[derive(Debug)]
pub struct Fault {
    /// In which file or folder.
    pub path: PathBuf,
    /// At which of its lines, from 1, if it is a line.
    pub line: Option<u64>,
    /// What.
    pub what: Wrong,
}

/// What can be wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// A line.
    #[error(transparent)]
    Line(#[from] Broken),
    /// A file cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// A key cannot be read.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// There is nothing.
    #[error("there is no record")]
    Nothing,
    /// Lines are missing before a file.
    #[error("lines {0} to {1} are not there")]
    Gap(u64, u64),
    /// A file does not hold the lines of its name.
    #[error("it ends with line {1}, and by its name should with {0}")]
    Name(u64, u64),
    /// A file that is not the last ends in half a line.
    #[error("it ends in half a line")]
    Cut,
    /// A head.
    #[error("the signature of the head does not hold")]
    Signature,
    /// A head of another chain.
    #[error("the head is of the chain `{0}`, and the ones before are of `{1}`")]
    OtherChain(String, String),
    /// A stub.
    #[error("the stub of removed lines {0}")]
    Stub(&'static str),
    /// Nothing that the key proves.
    #[error("no head is signed with the key {0}")]
    Unsigned(String),
    /// Two sub-folders hold one chain.
    #[error("the chain `{0}` is in another sub-folder, too")]
    Twice(String),
    /// The copy of the last head tells of a line that is not there.
    #[error("it tells of line {0}, which is not in the chain: the end was cut or replaced")]
    HeadCopy(u64),
    /// Another chain tells of a line that is not there.
    #[error(
        "the chain `{by}` tells of line {seq} of `{of}`, which is not there: it was cut, replaced or removed"
    )]
    Sibling {
        /// Who tells.
        by: String,
        /// Of whom.
        of: String,
        /// Which line.
        seq: u64,
    },
    /// Policies are kept with other bytes than the lines say.
    #[error("the policies {0}, which line {2} of `{1}` names, are kept with other bytes: {3}")]
    Policies(String, String, u64, String),
    /// The head that was written down elsewhere is not there.
    #[error("no line has the hash {0}: the end was cut or replaced")]
    Expected(Hash),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

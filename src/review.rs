//! Looking through the record: which lines are of somebody, of a model, of a time (`sekisho audit search`).
//!
//! Nothing is proved here: that is `sekisho audit verify`'s business. A line that is none, a file that cannot be read and what
//! was removed for its age are told of as [`Note`]s, and the rest is gone on with.

mod chain;
mod facts;
mod filter;
mod follow;
mod index;
mod leaf;
mod note;
mod search;
mod sieve;
mod spread;

use std::io;
use std::path::{Path, PathBuf};

use crate::record::folder;

pub use facts::Facts;
pub use filter::Filter;
pub use follow::Follower;
pub use note::Note;
pub use search::{Event, Hit, Search, Settings};

/// The chains of a record, or the one chain if the folder is one.
///
/// # Errors
/// The system's.
pub fn chains(root: &Path) -> io::Result<Vec<PathBuf>> {
    if folder::segments(root)?.is_empty() { folder::chains(root) } else { Ok(vec![root.to_owned()]) }
}

/// The name of a chain: its folder's.
fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;

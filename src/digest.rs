//! What a version's files are: read from MLflow, hashed, and looked into for what they depend on.
//!
//! MLflow copies nothing on registration and keeps no hashes, and what a client says of its files is not believed. So they
//! are listed, read and hashed as MLflow gives them out, and listed once more: what changed meanwhile is read again, and
//! what does not come to rest is an error. `docs/digest.md` says what a digest is made of.

pub mod dependencies;
pub mod listing;
mod progress;
mod queue;
mod reading;
mod shelf;

use std::time::Duration;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use http::StatusCode;

pub use progress::{Counts, Progress};
pub use queue::{Digests, End, Key, Outcome, State, Wish};

use crate::facts::{FactError, Facts};
use crate::ownership::Wanted;
use crate::upstream::{Upstream, UpstreamError};

use dependencies::Texts;
use listing::{Entry, ListError};
use shelf::Shelf;

/// A version's files, as they were while they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The digest: 64 hexadecimal digits.
    pub digest: String,
    /// Every file, by the bytes of its path.
    pub files: Vec<FileHash>,
    /// What they depend on, as [`dependencies::of`] gives it.
    pub dependencies: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHash {
    /// Its path below the version's source.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// The SHA-256 of its bytes: 64 hexadecimal digits.
    pub sha256: String,
}

/// Why no digest could be taken. `Display` names files, which are for those who may see the version.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// Its files are neither a run's nor a logged model's, nor in MLflow's own store: MLflow lists them to nobody.
    #[error("the files lie where mlflow cannot list them")]
    NotReachable,
    /// There are none.
    #[error("there are no files")]
    NoFiles,
    /// MLflow does not have the run or logged model.
    #[error("mlflow does not have the run or logged model that has the files")]
    Nowhere,
    /// They changed while they were read, each time.
    #[error("the files change while they are read")]
    Changing,
    /// There is more than is read for one version.
    #[error("there are more than {0}")]
    TooMany(&'static str),
    /// MLflow's list is none that it should give.
    #[error(transparent)]
    List(#[from] ListError),
    /// MLflow could not be asked for a list.
    #[error(transparent)]
    Fact(#[from] FactError),
    /// MLflow could not be asked for a file, or its answer broke off.
    #[error("a file could not be read from mlflow")]
    Upstream(#[from] UpstreamError),
    /// MLflow answered with this status where it should have given a file out.
    #[error("mlflow answered {0} instead of a file")]
    Status(StatusCode),
}

/// How often files that change are read.
const ATTEMPTS: u32 = 3;
/// Until they are read once more; twice as long the next time.
const PAUSE: Duration = Duration::from_millis(250);

/// Reads and hashes every file of `place`.
///
/// # Errors
/// See [`DigestError`].
pub async fn take(
    facts: &Facts,
    mlflow: &Upstream,
    place: &Wanted,
    progress: &Progress,
) -> Result<Taken, DigestError> {
    let shelf = Shelf::new(facts, mlflow, place)?;
    let mut attempt = 1;
    loop {
        progress.begin();
        match once(&shelf, progress).await {
            Err(DigestError::Changing) if attempt < ATTEMPTS => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            taken => return taken,
        }
    }
}

async fn once(shelf: &Shelf<'_>, progress: &Progress) -> Result<Taken, DigestError> {
    let before = listing::all(shelf).await?;
    if before.entries.is_empty() {
        return Err(DigestError::NoFiles);
    }
    progress.know(&before.entries);
    let (files, texts) = reading::all(shelf, &before, progress).await?;
    if listing::all(shelf).await? != before {
        return Err(DigestError::Changing);
    }
    Ok(Taken { digest: of(&files), files, dependencies: read_dependencies(texts).await })
}

/// Beside the threads that serve, for the files may be long. What cannot be read says nothing of the digest.
async fn read_dependencies(texts: Texts) -> Vec<String> {
    let read = tokio::task::spawn_blocking(move || dependencies::of(&texts)).await;
    read.unwrap_or_else(|error| {
        tracing::error!(%error, "what a version depends on could not be read");
        Vec::new()
    })
}

/// The digest of files in the order of their paths' bytes.
#[must_use]
pub fn of(files: &[FileHash]) -> String {
    let mut digest = Context::new(&SHA256);
    for FileHash { path, size, sha256 } in files {
        digest.update(format!("{path}\0{size}\0{sha256}\n").as_bytes());
    }
    hex(&digest.finish())
}

fn hex(digest: &Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

//! A record is begun, or gone on with: its key, its sub-folder, its chain.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};
use tracing::error;

use super::folder::{self, PUBLIC_KEY};
use super::handle::{Mode, Record, queue};
use super::key::{self, KeyError, PublicKey, Signer};
use super::ledger::{Ledger, Rhythm};
use super::line::{Entry, Line};
use super::reopen::ReopenError;
use super::verify::START;
use super::writer::Writer;
use crate::clock::Clock;

/// Where the record is and how it is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder.
    pub path: PathBuf,
    /// The name of the sub-folder.
    pub instance: String,
    /// What if it cannot be kept.
    pub mode: Mode,
    /// The private key.
    pub signing_key_file: PathBuf,
    /// When files are closed and heads signed.
    pub rhythm: Rhythm,
    /// For how long closed files are kept; for ever, if nothing is said.
    pub keep: Option<Duration>,
}

/// Why the record cannot be begun or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder.
    #[error("audit.path: {}: {error}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The key.
    #[error("audit.signing_key_file")]
    Key(#[from] KeyError),
    /// The chain.
    #[error("the record cannot be gone on with")]
    Chain(#[from] ReopenError),
}

/// Opens the record: its key, its sub-folder, its chain. Gives the intents that an earlier process left without an outcome.
///
/// # Errors
/// It cannot be begun or gone on with.
pub fn open(settings: &Settings, clock: &Clock) -> Result<(Record, Writer, Vec<Line>), OpenError> {
    let folder = |error| OpenError::Folder { path: settings.path.clone(), error };
    std::fs::create_dir_all(&settings.path).map_err(folder)?;
    let signer = Arc::new(key_of(settings)?);
    let own = folder::take(&settings.path, &settings.instance).map_err(folder)?;
    let (ledger, left) = Ledger::open(own, Arc::clone(&signer), settings.rhythm, clock.now())?;
    let mut ledger = ledger;
    let mut start = Entry::system(clock.now(), START, "sekisho begins");
    start.params.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    start.params.insert("chains".to_owned(), others(&settings.path, ledger.name()));
    // With a head at once, so that a record is never without one.
    if let Err(error) = ledger.add(&start).and_then(|_| Ok(ledger.seal(clock.now())?)) {
        error!(%error, "the line of the start cannot be written");
    }
    let (record, orders, shared) = queue(settings.mode);
    let writer = Writer::new(orders, shared, ledger, &left, (clock, signer, settings.keep));
    Ok((record, writer, left))
}

/// Where the other chains of the record have come to, so that none can be removed whole without being missed.
fn others(root: &Path, own: &str) -> serde_json::Value {
    let mut heads = serde_json::Map::new();
    for chain in folder::chains(root).unwrap_or_default() {
        let head = std::fs::read(chain.join(folder::HEAD)).unwrap_or_default();
        let Ok(head) = serde_json::from_slice::<Line>(head.trim_ascii()) else { continue };
        match head.entry.chain {
            Some(name) if name != own => {
                heads.insert(name, serde_json::json!({ "seq": head.seq, "hash": head.hash }));
            }
            Some(_) | None => {}
        }
    }
    heads.into()
}

/// The private key; a new one where there is no record yet.
fn key_of(settings: &Settings) -> Result<Signer, OpenError> {
    let (public, key) = (settings.path.join(PUBLIC_KEY), &settings.signing_key_file);
    if let Some(signer) = kept_key(settings)? {
        if !public.exists() {
            key::write_new(&public, &signer.public().pem(), 0o644)?;
        }
        return Ok(signer);
    }
    let (signer, text) = Signer::make()?;
    if let Some(parent) = key.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| KeyError::File { path: parent.to_owned(), error })?;
    }
    key::write_new(key, &text, 0o600)?;
    key::write_new(&public, &signer.public().pem(), 0o644)?;
    Ok(signer)
}

/// The private key that is there, and is the record's; nothing where neither is.
fn kept_key(settings: &Settings) -> Result<Option<Signer>, OpenError> {
    let (public, key) = (settings.path.join(PUBLIC_KEY), &settings.signing_key_file);
    let begun = public.exists()
        || settings.path.exists()
            && !folder::chains(&settings.path)
                .map_err(|error| OpenError::Folder { path: settings.path.clone(), error })?
                .is_empty();
    if !key.exists() {
        let gone = || KeyError::Gone { key: key.clone(), record: settings.path.clone() };
        return if begun { Err(gone().into()) } else { Ok(None) };
    }
    let signer = Signer::read(key)?;
    if public.exists() && PublicKey::read(&public)? != *signer.public() {
        return Err(KeyError::Another { key: key.clone(), public }.into());
    }
    Ok(Some(signer))
}

/// The folder that is there and that others would be made in.
fn nearest(path: &Path) -> &Path {
    let there = path.ancestors().find(|above| above.exists());
    there.unwrap_or(Path::new("."))
}

impl Settings {
    /// What keeps the record from being begun or gone on with, as far as it can be seen without making anything.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let folder = nearest(&self.path);
        let shown = folder.display();
        if !folder.is_dir() {
            return Some(format!("`audit.path`: `{shown}` is not a folder; the record would be kept there"));
        }
        if let Err(error) = access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
            return Some(format!(
                "`audit.path`: `{shown}` cannot be written, which the record must: {error}"
            ));
        }
        let error = kept_key(self).err()?;
        Some(match error {
            OpenError::Key(error) => format!("`audit.signing_key_file`: {error}"),
            OpenError::Folder { .. } | OpenError::Chain(_) => error.to_string(),
        })
    }
}

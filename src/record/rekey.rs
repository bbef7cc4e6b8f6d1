//! Another key signs: every chain says so under the old one, while nobody writes.
//!
//! Whoever has the old public key proves a record across the change, and whoever has the new one proves all of it too. That
//! holds after every step, so a change that was cut off is made again from the beginning.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{self, Own, PUBLIC_KEY};
use super::key::{self, KeyError, PublicKey, Signer};
use super::ledger::{Ledger, Rhythm};
use super::reopen::ReopenError;
use crate::clock::Clock;

/// Why the key is not changed, or not in every chain.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// A folder or a file.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// One of the keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A chain that cannot be gone on with.
    #[error(transparent)]
    Chain(#[from] ReopenError),
    /// There is nothing to sign.
    #[error("{}: there is no record", .0.display())]
    NoRecord(PathBuf),
    /// Somebody writes.
    #[error("{}: a sekisho writes here; stop every instance first", .0.display())]
    Busy(PathBuf),
    /// What would be written could not be read by who writes the record.
    #[error("{}: it is of user {owner}, and only that user may write it", .path.display())]
    Stranger {
        /// The folder.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// What stays of a removed file was signed by somebody else.
    #[error("{}: it is not signed with the key, and is not signed anew", .0.display())]
    Stub(PathBuf),
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The name of the new key.
    pub key: String,
    /// The chains that go on under it; none if they did before.
    pub chains: Vec<String>,
}

/// Has every chain of a record go on under another key, whose public half then lies beside it. The private one is made if
/// its file is not there.
///
/// # Errors
/// Nothing is changed if somebody writes to a chain, or a key is not what it should be. After any other error it can be
/// called again.
pub fn rekey(root: &Path, old: &Path, new: &Path, clock: &Clock) -> Result<Rekeyed, RekeyError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |error| RekeyError::File { path, error }
    };
    let public = root.join(PUBLIC_KEY);
    let beside = PublicKey::read(&public)?;
    if new.exists() {
        let signer = Signer::read(new)?;
        if *signer.public() == beside {
            return Ok(Rekeyed { key: beside.name(), chains: Vec::new() });
        }
    }
    let old_signer = Signer::read(old)?;
    if *old_signer.public() != beside {
        return Err(KeyError::Another { key: old.to_owned(), public }.into());
    }
    let owns = owned(root)?;
    let new_signer = Arc::new(if new.exists() { Signer::read(new)? } else { made(new)? });
    let old_signer = Arc::new(old_signer);
    let mut chains = Vec::new();
    for own in owns {
        let (name, path) = (own.name.clone(), own.path.clone());
        let (mut ledger, _) = Ledger::open(own, Arc::clone(&old_signer), Rhythm::default(), clock.now())?;
        ledger.announce(new_signer.public(), clock.now()).map_err(file(&path))?;
        sign_stubs_anew(&path, &old_signer, &new_signer)?;
        ledger.go_on_with(Arc::clone(&new_signer), clock.now()).map_err(file(&path))?;
        chains.push(name);
    }
    folder::replace(&public, new_signer.public().pem().as_bytes()).map_err(file(&public))?;
    Ok(Rekeyed { key: new_signer.public().name(), chains })
}

/// Every chain, locked: nobody else writes to any.
fn owned(root: &Path) -> Result<Vec<Own>, RekeyError> {
    let file = |error| RekeyError::File { path: root.to_owned(), error };
    for path in folder::chains(root).map_err(file)? {
        let owner = path.metadata().map_err(file)?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(RekeyError::Stranger { path, owner });
        }
    }
    match folder::take_all(root).map_err(file)? {
        None => Err(RekeyError::Busy(root.to_owned())),
        Some(owns) if owns.is_empty() => Err(RekeyError::NoRecord(root.to_owned())),
        Some(owns) => Ok(owns),
    }
}

fn made(path: &Path) -> Result<Signer, KeyError> {
    let (signer, text) = Signer::make()?;
    key::write_new(path, &text, 0o600)?;
    Ok(signer)
}

/// The new key speaks for what the old one removed.
fn sign_stubs_anew(path: &Path, old: &Signer, new: &Signer) -> Result<(), RekeyError> {
    let file = |error| RekeyError::File { path: path.to_owned(), error };
    for segment in folder::segments(path).map_err(file)? {
        if segment.form != folder::Form::Stub {
            continue;
        }
        let stub = super::retain::Stub::read(&segment.path).map_err(file)?;
        if stub.is_proved_by(new.public()) {
            continue;
        }
        if !stub.is_proved_by(old.public()) {
            return Err(RekeyError::Stub(segment.path));
        }
        let signed = serde_json::to_vec(&stub.signed(new)).map_err(|error| file(error.into()))?;
        folder::replace(&segment.path, &signed).map_err(file)?;
    }
    Ok(())
}

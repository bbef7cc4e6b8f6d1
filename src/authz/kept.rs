//! Policies kept beside the record, each set in a folder of its hash, so that an old decision can be explained.
//!
//! What is kept never changes, so instances that write into one folder do not fight over it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::authz::folder::{FILES, PolicyVersion};
use crate::authz::policy::PolicySet;
use crate::clock::Clock;
use crate::record::chain::Hash;
use crate::record::fault::{Fault, Named, Wrong};
use crate::record::folder::{self, sync_folder};
use crate::record::line::Entry;
use crate::record::verify::POLICIES;
use crate::record::{Mode, Record, Unrecorded};

/// No file of policies is larger.
const LARGEST: u64 = 64 * 1024 * 1024;
/// So many names are told in one note.
const TOLD: usize = 20;

/// Why a set of policies is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The system's doing.
    #[error("{}: {error}", .path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody changed what was kept.
    #[error("{}: it is there with other bytes; move it away", .0.display())]
    Differs(PathBuf),
    /// The line that tells of it.
    #[error(transparent)]
    Line(#[from] Unrecorded),
    /// Ours.
    #[error("keeping them broke off")]
    Broke,
}

/// A set that comes into force, and whether a line says so.
#[derive(Debug)]
pub(super) struct InForce {
    pub policies: Arc<PolicySet>,
    told: bool,
    since: Timestamp,
}

/// Keeps sets of policies, and tells of them.
#[derive(Clone, Debug)]
pub struct Keeper {
    folder: PathBuf,
    record: Record,
    clock: Clock,
}

impl Keeper {
    /// Keeps them beside the record in this folder.
    #[must_use]
    pub fn new(root: &Path, record: Record, clock: Clock) -> Self {
        Self { folder: root.join(folder::POLICIES), record, clock }
    }

    /// Keeps the first set, and hands in its line before anybody else can hand in any. Gives why it is not kept, where
    /// that is borne (`audit.mode`).
    ///
    /// # Errors
    /// It is not kept, and must be.
    pub fn begin(&self, policies: &PolicySet) -> Result<Option<KeepError>, KeepError> {
        let kept = match (self.keep(policies), self.record.mode()) {
            (Ok(()), _) => None,
            (Err(error), Mode::Required) => return Err(error),
            (Err(error), Mode::BestEffort) => Some(error),
        };
        self.record.tell(self.line(policies, self.clock.now()));
        Ok(kept)
    }

    /// Keeps a set and has the line stay that tells of it, as far as that has not been done.
    ///
    /// # Errors
    /// It is not kept, or not told of.
    pub(super) async fn keep_up(&self, set: &mut InForce) -> Result<(), KeepError> {
        let (keeper, policies) = (self.clone(), Arc::clone(&set.policies));
        let files = tokio::task::spawn_blocking(move || keeper.keep(&policies)).await;
        let files = files.unwrap_or(Err(KeepError::Broke));
        if !set.told && (files.is_ok() || self.record.mode() == Mode::BestEffort) {
            self.record.keep(self.line(&set.policies, set.since)).await?;
            set.told = true;
        }
        files
    }

    /// A set that comes into force now, and whether a line tells of it.
    pub(super) fn in_force(&self, policies: Arc<PolicySet>, told: bool) -> InForce {
        InForce { policies, told, since: self.clock.now() }
    }

    /// Has writes wait that are decided by these policies (`audit.mode`), and says why; or has them go on.
    pub(super) fn withhold(&self, policies: &PolicySet, why: Option<String>) {
        if self.record.mode() == Mode::Required {
            self.record.withhold(policies.version().as_str(), why);
        }
    }

    fn keep(&self, policies: &PolicySet) -> Result<(), KeepError> {
        let version = policies.version().as_str();
        let place = self.folder.join(version);
        let made = self.folder.join(format!("{version}-{}.new", uuid::Uuid::now_v7()));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| KeepError::File { path, error }
        };
        if fs::symlink_metadata(&place).is_err() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.folder)
                .map_err(failed(&self.folder))?;
            let written = self.write(policies, &made).and_then(|()| match fs::rename(&made, &place) {
                // Another instance was faster.
                Err(_) if fs::symlink_metadata(&place).is_ok() => Ok(()),
                renamed => renamed,
            });
            if fs::symlink_metadata(&made).is_ok() {
                let _ = fs::remove_dir_all(&made);
            }
            written.map_err(failed(&place))?;
        }
        for (name, bytes) in policies.sources().files() {
            let same = match read(&place, name) {
                Ok(kept) => kept == bytes,
                // It is not there, or is no file like that.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Other) => false,
                Err(error) => return Err(failed(&place.join(name))(error)),
            };
            if !same {
                return Err(KeepError::Differs(place));
            }
        }
        // Whoever put it there may have ended before it stayed.
        for folder in [Some(&*self.folder), self.folder.parent()].into_iter().flatten() {
            sync_folder(folder).map_err(failed(folder))?;
        }
        Ok(())
    }

    fn write(&self, policies: &PolicySet, made: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(made)?;
        for (name, bytes) in policies.sources().files() {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(made.join(name))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        sync_folder(made)
    }

    fn line(&self, policies: &PolicySet, since: Timestamp) -> Entry {
        let said = format!("these policies come into force at {since:.6}");
        let mut line = Entry::system(self.clock.now(), POLICIES, said);
        let files = policies.sources().files().into_iter();
        let files: serde_json::Map<_, _> =
            files.map(|(name, bytes)| (name.to_owned(), Hash::of(bytes).to_string().into())).collect();
        line.params.insert("policy".to_owned(), policies.version().as_str().into());
        line.params.insert("files".to_owned(), files.into());
        line
    }
}

/// Whether the policies that lines name are kept as they were. Gives notes of those that are not there.
///
/// # Errors
/// The first set that is kept with other bytes.
pub fn check(root: &Path, named: &BTreeMap<String, Named>) -> Result<Vec<String>, Fault> {
    let (mut missing, mut strange) = (Vec::new(), Vec::new());
    for (version, named) in named {
        // What a line names is not believed to be the name of a folder.
        if !PolicyVersion::is_one(version) {
            strange.push(format!("`{}`", version.escape_debug()));
            continue;
        }
        let place = root.join(folder::POLICIES).join(version);
        match fs::symlink_metadata(&place) {
            Err(_) => missing.push(version.clone()),
            Ok(_) => check_one(&place, version, named).map_err(|what| {
                let (chain, seq) = named.by.clone();
                Fault { path: place, line: None, what: Wrong::Policies(version.clone(), chain, seq, what) }
            })?,
        }
    }
    let note = |what: &str, names: Vec<String>| {
        let more = names.len().saturating_sub(TOLD);
        let told = names.into_iter().take(TOLD).collect::<Vec<_>>().join(", ");
        (!told.is_empty()).then(|| match more {
            0 => format!("{what}: {told}"),
            more => format!("{what}: {told} and {more} more"),
        })
    };
    let notes = [
        note("policies that lines name and that are not kept here", missing),
        note("no names of policies", strange),
    ];
    Ok(notes.into_iter().flatten().collect())
}

fn check_one(place: &Path, version: &str, named: &Named) -> Result<(), String> {
    let mut files = Vec::new();
    for name in FILES {
        let bytes = read(place, name).map_err(|error| format!("{name}: {error}"))?;
        match named.files.get(name) {
            Some(told) if *told != Hash::of(&bytes).to_string() => {
                return Err(format!("{name} has another SHA-256"));
            }
            Some(_) | None => files.push((name, bytes)),
        }
    }
    let found = PolicyVersion::of(&files);
    if found.as_str() == version { Ok(()) } else { Err(format!("they are {found}")) }
}

/// A kept file. Links lead elsewhere and are none.
fn read(place: &Path, name: &str) -> io::Result<Vec<u8>> {
    let path = place.join(name);
    let plain = fs::symlink_metadata(place)?.is_dir() && fs::symlink_metadata(&path)?.is_file();
    if !plain {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if read as u64 > LARGEST { Err(io::Error::other("it is too large")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;

//! The folder of the record: what lies where.
//!
//! ```text
//! audit.pub                          the public key
//! lock                               held by all writers, or by who changes the key
//! policies/<hash>/                   policies that lines name; no chain
//! <instance>/lock                    held by its one writer
//! <instance>/head                    the last head, a copy of its line
//! <instance>/current.jsonl           lines, being written
//! <instance>/<first>-<last>.jsonl    lines of a closed file, by the numbers of the first and the last
//! <instance>/<first>-<last>.jsonl.zst   the same, compressed
//! <instance>/<first>-<last>.stub     what stays of a file that was removed for its age
//! <instance>/<first>-<last>.index    what a search has noted of a closed file; can be made anew, and proves nothing
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

/// The public key beside the record.
pub const PUBLIC_KEY: &str = "audit.pub";
/// The file that is being written.
pub const CURRENT: &str = "current.jsonl";
/// The copy of the last head.
pub const HEAD: &str = "head";
/// The sub-folder of what lines name policies by, which is no chain.
pub const POLICIES: &str = "policies";
const LOCK: &str = "lock";

/// So many instances may write into one folder.
const INSTANCES: u32 = 1_000;

/// A sub-folder and its lock, which ends with the process.
#[derive(Debug)]
pub struct Own {
    /// The sub-folder.
    pub path: PathBuf,
    /// Its name, which is the name of its chain.
    pub name: String,
    _lock: File,
    /// Shared with the other writers of the record.
    _door: Arc<File>,
}

/// A file of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies.
    pub path: PathBuf,
    /// The number of its first line; 0 for the current file, which does not say.
    pub first: u64,
    /// The number of its last line.
    pub last: u64,
    /// What it is.
    pub form: Form,
}

/// What a file of a chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// What stays of a file that was removed.
    Stub,
    /// Closed and compressed.
    Compressed,
    /// Closed.
    Plain,
    /// Being written.
    Current,
}

/// Takes the first sub-folder of this name that no living process has: `name`, `name-2` and so on. [`POLICIES`] is none.
///
/// # Errors
/// The system's.
pub fn take(root: &Path, name: &str) -> io::Result<Own> {
    let busy = || io::Error::other("the key of the record is being changed");
    let door = Arc::new(locked(root, FlockOperation::NonBlockingLockShared)?.ok_or_else(busy)?);
    for number in 1..=INSTANCES {
        let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
        if name == POLICIES {
            continue;
        }
        let path = root.join(&name);
        fs::create_dir_all(&path)?;
        if let Some(lock) = lock(&path)? {
            sync_folder(root)?;
            return Ok(Own { path, name, _lock: lock, _door: door });
        }
    }
    Err(io::Error::other("every sub-folder of the record has a writer"))
}

/// Every chain of a record, if no living process writes to any: none begins to while these are held.
///
/// # Errors
/// The system's.
pub fn take_all(root: &Path) -> io::Result<Option<Vec<Own>>> {
    let Some(door) = locked(root, FlockOperation::NonBlockingLockExclusive)?.map(Arc::new) else {
        return Ok(None);
    };
    let mut owns = Vec::new();
    for path in chains(root)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // One of an earlier version holds no door.
        let Some(lock) = lock(&path)? else { return Ok(None) };
        owns.push(Own { path, name, _lock: lock, _door: Arc::clone(&door) });
    }
    Ok(Some(owns))
}

/// Locks a sub-folder, if nobody has.
///
/// # Errors
/// The system's.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    locked(path, FlockOperation::NonBlockingLockExclusive)
}

fn locked(path: &Path, how: FlockOperation) -> io::Result<Option<File>> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK))?;
    match flock(&file, how) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The chains of a record: sub-folders with a file of lines in them, by name.
///
/// # Errors
/// The system's.
pub fn chains(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == POLICIES) {
            continue;
        }
        if path.is_dir() && !segments(&path)?.is_empty() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The files of a chain in the order of their lines. Where a file is there in two forms, because a process ended between
/// two steps, it is the one that was there first.
///
/// # Errors
/// The system's.
pub fn segments(path: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if let Some((first, last, form)) = named(name) {
            found.push(Segment { path, first, last, form });
        }
    }
    let order = |segment: &Segment| {
        (segment.form == Form::Current, segment.first, segment.last, std::cmp::Reverse(segment.form))
    };
    found.sort_by_key(order);
    found.dedup_by(|later, kept| {
        (later.first, later.last) == (kept.first, kept.last) && later.form != Form::Current
    });
    Ok(found)
}

/// The file of a chain that is being written.
#[must_use]
pub fn current(path: &Path) -> Segment {
    Segment { path: path.join(CURRENT), first: 0, last: 0, form: Form::Current }
}

/// The name of a closed file.
#[must_use]
pub fn closed(first: u64, last: u64) -> String {
    format!("{first:020}-{last:020}.jsonl")
}

/// Where what a search has noted of a closed file lies.
#[must_use]
pub fn index(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{}.index", name.split('.').next().unwrap_or_default()))
}

/// Removes notes of files that are not there any more.
///
/// # Errors
/// The system's.
pub fn remove_stray_indexes(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(numbers) = name.strip_suffix(".index") else { continue };
        let file = format!("{numbers}.jsonl");
        if named(&file).is_some()
            && !path.with_file_name(&file).exists()
            && !path.with_file_name(file + ".zst").exists()
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn named(name: &str) -> Option<(u64, u64, Form)> {
    if name == CURRENT {
        return Some((0, 0, Form::Current));
    }
    let (numbers, ending) = name.split_once('.')?;
    let form = match ending {
        "jsonl" => Form::Plain,
        "jsonl.zst" => Form::Compressed,
        "stub" => Form::Stub,
        _ => return None,
    };
    let (first, last) = numbers.split_once('-')?;
    let number = |text: &str| (text.len() == 20).then(|| text.parse().ok()).flatten();
    Some((number(first)?, number(last)?, form))
}

/// Has new names in a folder stay.
///
/// # Errors
/// The system's.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts a file in its place, whole or not at all, and has it stay.
///
/// # Errors
/// The system's.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let made = path.with_extension("new");
    let mut file = File::create(&made)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&made, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// The name of this host, as far as it is one of a folder.
#[must_use]
pub fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || "-_.".contains(*letter);
    let name: String = name.chars().filter(plain).take(100).collect();
    match name.trim_start_matches('.') {
        "" => "sekisho".to_owned(),
        name => name.to_owned(),
    }
}

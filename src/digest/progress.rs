//! How far the reading of files has come, for whoever asks meanwhile.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Entry;

/// Written while files are read, and read by others at any time.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    bytes: AtomicU64,
    files_done: AtomicU64,
    bytes_done: AtomicU64,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files that are to be read; 0 until they are listed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are read.
    pub files_done: u64,
    /// Bytes that are read, those of files that are being read too.
    pub bytes_done: u64,
}

impl Progress {
    /// How far it has come. Files that changed meanwhile are read from the beginning, and so are the counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            files: self.files.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            files_done: self.files_done.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
        }
    }

    pub(super) fn begin(&self) {
        for count in [&self.files, &self.bytes, &self.files_done, &self.bytes_done] {
            count.store(0, Relaxed);
        }
    }

    pub(super) fn know(&self, files: &[Entry]) {
        self.files.store(files.len() as u64, Relaxed);
        let sizes = files.iter().filter_map(|file| file.size);
        self.bytes.store(sizes.fold(0, u64::saturating_add), Relaxed);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Relaxed);
    }

    pub(super) fn lost(&self, bytes: u64) {
        self.bytes_done.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn done(&self) {
        self.files_done.fetch_add(1, Relaxed);
    }
}

//! A disk that fails: nothing is said to stay that may not, and nothing is written twice.

use std::io;
use std::sync::{Arc, Mutex};

use crate::record::paper::{Paper, Sheet};

/// A disk of which the writes since the last sync may be lost.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    stays: Vec<u8>,
    cached: Vec<u8>,
    room: Option<usize>,
    fails: bool,
}

impl Sheet for Disk {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inside = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let room = inside.room.unwrap_or(usize::MAX);
        let fits = bytes.len().min(room.saturating_sub(offset));
        if inside.cached.len() < offset + fits {
            inside.cached.resize(offset + fits, 0);
        }
        inside.cached[offset..offset + fits].copy_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inside = self.0.lock().unwrap();
        if inside.fails {
            // What was to be written is thrown away, and the next sync does not know of it.
            inside.cached = inside.stays.clone();
            return Err(io::ErrorKind::Other.into());
        }
        inside.stays = inside.cached.clone();
        Ok(())
    }
}

#[test]
fn a_failed_sync_has_everything_written_again() {
    let disk = Disk::default();
    let mut paper = Paper::new(disk.clone(), 0);
    paper.pending().extend(b"one\n");
    paper.sync().unwrap();
    disk.0.lock().unwrap().fails = true;
    paper.pending().extend(b"two\n");
    paper.sync().unwrap_err();
    paper.pending().extend(b"three\n");
    paper.sync().unwrap_err();
    assert!(!paper.is_clean());
    disk.0.lock().unwrap().fails = false;
    paper.sync().unwrap();
    assert_eq!(disk.0.lock().unwrap().stays, b"one\ntwo\nthree\n");
    assert!(paper.is_clean());
}

#[test]
fn a_disk_that_is_full_takes_half_a_line_and_then_the_whole() {
    let disk = Disk::default();
    let mut paper = Paper::new(disk.clone(), 0);
    disk.0.lock().unwrap().room = Some(6);
    paper.pending().extend(b"one\ntwo\n");
    paper.sync().unwrap_err();
    assert_eq!(paper.length(), 8);
    disk.0.lock().unwrap().room = None;
    paper.sync().unwrap();
    assert_eq!(disk.0.lock().unwrap().stays, b"one\ntwo\n");
}

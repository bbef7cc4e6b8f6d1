//! The record: what is written is proved, and whatever is done to it is found, at its place.

mod closing;
mod disk;
mod opening;
mod rekeying;
mod tamper;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::chain::Tip;
use super::fault::Proof;
use super::folder;
use super::key::Signer;
use super::ledger::Ledger;
use super::line::{Entry, Kind, Line};
use super::verify::{Question, verify};
use super::{Rhythm, retain};

const NOW: i64 = 1_764_500_000;

/// The private key of a house, beside its chains.
const KEY: &str = "audit.key";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

/// A folder with a key, and the chains that are written into it.
struct House {
    root: tempfile::TempDir,
    signer: Arc<Signer>,
}

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (signer, text) = Signer::make().unwrap();
        fs::write(root.path().join(KEY), text.as_str()).unwrap();
        fs::set_permissions(root.path().join(KEY), PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(root.path().join(folder::PUBLIC_KEY), signer.public().pem()).unwrap();
        Self { root, signer: Arc::new(signer) }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn open(&self, rhythm: Rhythm) -> (Ledger, Vec<Line>) {
        let own = folder::take(self.path(), "a").unwrap();
        Ledger::open(own, Arc::clone(&self.signer), rhythm, at(0)).unwrap()
    }

    /// Lines in files of a few lines each, the last of them signed.
    fn written(&self, lines: u64) -> Vec<PathBuf> {
        let rhythm = Rhythm { file_bytes: 2_000, head_lines: 5, ..Rhythm::default() };
        let (mut ledger, _) = self.open(rhythm);
        for number in 0..lines {
            ledger.add(&entry(number)).unwrap();
            ledger.seal_if_due(at(0)).unwrap();
            ledger.sync().unwrap();
            ledger.turn_if_due(at(0), &[]).unwrap();
        }
        ledger.seal(at(1)).unwrap();
        ledger.sync().unwrap();
        let path = ledger.path().to_owned();
        drop(ledger);
        folder::segments(&path).unwrap().into_iter().map(|segment| segment.path).collect()
    }

    fn verified(&self) -> Result<Proof, String> {
        verify(self.path(), &Question::default()).map_err(|fault| fault.to_string())
    }
}

fn entry(number: u64) -> Entry {
    let mut entry = Entry::new(format!("id-{number}"), at(0), Kind::Refusal);
    entry.principal = Some("ann@example.com".to_owned());
    entry.reason = Some("a sentence of a usual length, so that lines look like those of a day".to_owned());
    entry
}

#[test]
fn what_is_written_is_proved() {
    let house = House::new();
    let files = house.written(40);
    assert!(files.len() > 3, "{files:?}");
    let proof = house.verified().unwrap();
    let (name, tip, unsigned) = proof.chains.first().unwrap();
    assert_eq!((name.as_str(), tip.seq, *unsigned), ("a", proof.lines, 0));
    assert!(proof.lines > 40 && proof.heads >= 8, "{proof:?}");
}

#[test]
fn a_chain_goes_on_where_it_ended() {
    let house = House::new();
    house.written(12);
    let before = house.verified().unwrap().chains[0].1;
    let (mut ledger, left) = house.open(Rhythm::default());
    assert_eq!((ledger.tip(), left), (before, Vec::new()));
    ledger.add(&entry(99)).unwrap();
    ledger.seal(at(2)).unwrap();
    ledger.sync().unwrap();
    assert_eq!(house.verified().unwrap().chains[0].1.seq, before.seq + 2);
}

#[test]
fn two_writers_have_two_chains() {
    let house = House::new();
    let (mut one, _) = house.open(Rhythm::default());
    let (mut two, _) = house.open(Rhythm::default());
    for ledger in [&mut one, &mut two] {
        ledger.add(&entry(1)).unwrap();
        ledger.seal(at(1)).unwrap();
        ledger.sync().unwrap();
    }
    assert_eq!((one.name(), two.name()), ("a", "a-2"));
    assert_eq!(house.verified().unwrap().chains.len(), 2);
}

#[test]
fn a_torn_line_is_told_of_and_no_fault() {
    let house = House::new();
    let files = house.written(6);
    let current = files.last().unwrap();
    let whole = fs::read(current).unwrap();
    for (cut, torn) in [(1, 0), (2, 1), (40, 1), (90, 1)] {
        fs::write(current, &whole[..whole.len() - cut]).unwrap();
        let _ = fs::remove_file(house.path().join("a").join(folder::HEAD));
        assert_eq!(house.verified().unwrap().notes.len(), 1, "{cut}");
        let (mut ledger, _) = house.open(Rhythm::default());
        ledger.seal(at(3)).unwrap();
        ledger.sync().unwrap();
        drop(ledger);
        let proof = house.verified().unwrap();
        assert_eq!((proof.torn, proof.notes.len()), (torn, 0), "{cut}");
    }
}

#[test]
fn what_was_torn_cannot_be_changed_afterwards() {
    let house = House::new();
    let files = house.written(6);
    let current = files.last().unwrap();
    let whole = fs::read(current).unwrap();
    fs::write(current, &whole[..whole.len() - 30]).unwrap();
    let (mut ledger, _) = house.open(Rhythm::default());
    ledger.seal(at(3)).unwrap();
    ledger.sync().unwrap();
    drop(ledger);
    house.verified().unwrap();
    let mut changed = fs::read(current).unwrap();
    let torn = changed.len() - changed.iter().rev().skip(1).position(|byte| *byte == b'\n').unwrap();
    let place = changed[..torn].windows(4).rposition(|part| part == b"kind").unwrap();
    changed[place] = b'K';
    fs::write(current, changed).unwrap();
    house.verified().unwrap_err();
}

#[test]
fn intents_without_an_outcome_are_found_whatever_file_they_are_in() {
    for between in [0, 60] {
        let house = House::new();
        let rhythm = Rhythm { file_bytes: 2_000, ..Rhythm::default() };
        let (mut ledger, _) = house.open(rhythm);
        let mut intents = Vec::new();
        for number in 0..3 {
            let mut intent = entry(number);
            intent.kind = Kind::Intent;
            intents.push(ledger.add(&intent).unwrap());
        }
        let mut outcome = entry(1);
        (outcome.kind, outcome.intent) = (Kind::Outcome, Some(intents[1]));
        ledger.add(&outcome).unwrap();
        let open = [intents[0], intents[2]];
        for number in 0..between {
            ledger.add(&entry(number)).unwrap();
            ledger.sync().unwrap();
            ledger.turn_if_due(at(0), &open).unwrap();
        }
        ledger.sync().unwrap();
        drop(ledger);
        let (_, left) = house.open(rhythm);
        let left: Vec<u64> = left.iter().map(|line| line.seq).collect();
        assert_eq!(left, open, "{between}");
    }
}

#[test]
fn closed_files_are_compressed_and_removed_and_proved_all_the_same() {
    let house = House::new();
    house.written(40);
    let path = house.path().join("a");
    let before = house.verified().unwrap();
    for segment in folder::segments(&path).unwrap() {
        if segment.form == folder::Form::Plain {
            retain::compress(&segment).unwrap();
        }
    }
    assert_eq!(house.verified().unwrap(), before);
    let day = Duration::from_secs(86_400);
    assert_eq!(retain::remove_old(&path, "a", &house.signer, day, at(3_600)).unwrap(), []);
    let removed = retain::remove_old(&path, "a", &house.signer, day, at(90_000)).unwrap();
    assert!(removed.len() > 2, "{removed:?}");
    let proof = house.verified().unwrap();
    assert_eq!((proof.lines + proof.removed, proof.chains.clone()), (before.lines, before.chains));
    // And it goes on.
    let (ledger, _) = house.open(Rhythm::default());
    assert_eq!(ledger.tip(), proof.chains[0].1);
}

#[test]
fn a_head_that_was_kept_elsewhere_shows_that_the_end_was_cut() {
    let house = House::new();
    let files = house.written(20);
    let Tip { hash, .. } = house.verified().unwrap().chains[0].1;
    let question = Question { key: None, expected: vec![hash] };
    assert_eq!(verify(house.path(), &question).unwrap().expected, [(hash, "a".to_owned())]);
    // The last file goes, the copy of its head too: by itself the rest is a sound record.
    fs::remove_file(files.last().unwrap()).unwrap();
    fs::remove_file(house.path().join("a").join(folder::HEAD)).unwrap();
    house.verified().unwrap();
    let fault = verify(house.path(), &question).unwrap_err().to_string();
    assert!(fault.contains("the end was cut"), "{fault}");
}

#[test]
fn a_line_that_nobody_would_read_is_not_written() {
    let house = House::new();
    let (mut ledger, _) = house.open(Rhythm::default());
    ledger.add(&entry(1)).unwrap();
    let before = ledger.tip();
    let mut long = entry(2);
    long.object = Some("o".repeat(2 << 20));
    ledger.add(&long).unwrap_err();
    assert_eq!(ledger.tip(), before);
    ledger.add(&entry(3)).unwrap();
    ledger.seal(at(1)).unwrap();
    ledger.sync().unwrap();
    assert_eq!(house.verified().unwrap().lines, 3);
}

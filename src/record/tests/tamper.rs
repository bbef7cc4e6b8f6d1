//! Whatever is done to the files is found.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::{House, at};
use crate::record::folder::{self, Form};
use crate::record::key::Signer;
use crate::record::retain;

/// What somebody does to the lines of one file.
#[derive(Clone, Debug)]
enum Deed {
    Change(usize, u8),
    Delete,
    Double,
    SwapWithNext,
    Insert(String),
    CutHere,
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (any::<usize>(), 1..=255_u8).prop_map(|(at, by)| Deed::Change(at, by)),
        Just(Deed::Delete),
        Just(Deed::Double),
        Just(Deed::SwapWithNext),
        "[ -~]{0,40}".prop_map(Deed::Insert),
        Just(Deed::CutHere),
    ]
}

impl Deed {
    /// Does it to a line.
    fn to(&self, text: &[u8], line: usize) -> (Vec<u8>, usize) {
        let mut lines: Vec<Vec<u8>> =
            text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let at = line % lines.len();
        match self {
            Self::Change(place, by) => {
                let place = place % lines[at].len();
                lines[at][place] ^= by;
            }
            Self::Delete => drop(lines.remove(at)),
            Self::Double => lines.insert(at, lines[at].clone()),
            Self::SwapWithNext => {
                let next = (at + 1) % lines.len();
                lines.swap(at, next);
            }
            Self::Insert(text) => lines.insert(at, format!("{text}\n").into_bytes()),
            Self::CutHere => lines.truncate(at),
        }
        (lines.concat(), at)
    }
}

/// A record of whose files the first are stubs, and all others but the current one are compressed.
fn aged() -> (House, Vec<PathBuf>) {
    let house = House::new();
    house.written(60);
    let path = house.path().join("a");
    for segment in folder::segments(&path).unwrap().iter().filter(|one| one.form == Form::Plain) {
        retain::compress(segment).unwrap();
    }
    let kept = folder::segments(&path).unwrap().remove(3).path;
    let packed = fs::read(&kept).unwrap();
    // Removal ends at what cannot be read.
    fs::write(&kept, "").unwrap();
    let _ = retain::remove_old(&path, "a", &house.signer, Duration::ZERO, at(90_000));
    fs::write(&kept, packed).unwrap();
    let files: Vec<_> = folder::segments(&path).unwrap().into_iter().map(|one| one.path).collect();
    let ends = |ending: &str| files.iter().filter(|file| file.to_string_lossy().ends_with(ending)).count();
    assert!(ends(".stub") == 3 && ends(".zst") > 3, "{files:?}");
    house.verified().unwrap();
    (house, files)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_edit_of_a_line_passes(file in any::<usize>(), line in any::<usize>(), deed in deeds()) {
        let house = House::new();
        let files = house.written(25);
        // Of the current file the end may be cut without anything elsewhere: that is another test.
        let path = &files[file % (files.len() - 1)];
        let (edited, at) = deed.to(&fs::read(path).unwrap(), line);
        fs::write(path, edited).unwrap();
        let fault = house.verified().expect_err(&format!("{deed:?} of line {at}"));
        let name = path.file_name().unwrap().to_str().unwrap();
        let next = files.iter().skip_while(|known| *known != path).nth(1).unwrap();
        let next = next.file_name().unwrap().to_str().unwrap();
        prop_assert!(fault.contains(name) || fault.contains(next), "{} for {} line {}", fault, name, at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_edit_of_a_compressed_line_passes(file in any::<usize>(), line in any::<usize>(), deed in deeds()) {
        let (house, files) = aged();
        let packed: Vec<_> = files.iter().filter(|file| file.extension().is_some_and(|it| it == "zst")).collect();
        let path = packed[file % packed.len()];
        let (edited, at) = deed.to(&zstd::decode_all(&*fs::read(path).unwrap()).unwrap(), line);
        fs::write(path, zstd::encode_all(&*edited, 1).unwrap()).unwrap();
        let fault = house.verified().expect_err(&format!("{deed:?} of line {at}"));
        let name = path.file_name().unwrap().to_str().unwrap();
        let next = files.iter().skip_while(|known| known != &path).nth(1).unwrap();
        let next = next.file_name().unwrap().to_str().unwrap();
        prop_assert!(fault.contains(name) || fault.contains(next), "{} for {} line {}", fault, name, at);
    }

    #[test]
    fn no_byte_of_a_closed_file_can_be_another(file in any::<usize>(), place in any::<usize>(), by in 1..=255_u8) {
        let (house, files) = aged();
        let path = &files[file % (files.len() - 1)];
        let before = fs::read(path).unwrap();
        let mut bytes = before.clone();
        let place = place % bytes.len();
        bytes[place] ^= by;
        fs::write(path, &bytes).unwrap();
        // Packed bytes may say the same in another way.
        let same = zstd::decode_all(&*bytes).ok().filter(|lines| *lines == zstd::decode_all(&*before).unwrap_or_default());
        prop_assert_eq!(house.verified().is_ok(), same.is_some(), "{:?} at {}", path, place);
    }
}

#[test]
fn removal_cannot_be_made_up() {
    let check = |deed: fn(&House, &[PathBuf]), told: &str| {
        let (house, files) = aged();
        deed(&house, &files);
        let fault = house.verified().expect_err(told);
        assert!(fault.contains(told), "{told}: {fault}");
    };
    check(|_, files| fs::remove_file(&files[0]).unwrap(), "are not there");
    check(|_, files| fs::remove_file(&files[2]).unwrap(), "are not there");
    check(
        |_, files| {
            fs::copy(&files[0], &files[1]).unwrap();
        },
        "is of other lines than its name says",
    );
    // A file goes, and a stub of the right form takes its place.
    check(
        |_, files| {
            let name = files[3].file_name().unwrap().to_str().unwrap().replace(".jsonl.zst", ".stub");
            let mut stub: serde_json::Value = serde_json::from_slice(&fs::read(&files[2]).unwrap()).unwrap();
            let (first, last) = name.trim_end_matches(".stub").split_once('-').unwrap();
            let last: u64 = last.parse().unwrap();
            let lines = zstd::decode_all(&*fs::read(&files[3]).unwrap()).unwrap();
            let end = lines.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap();
            let end: serde_json::Value = serde_json::from_slice(end).unwrap();
            stub["prev"] = stub["hash"].clone();
            stub["hash"] = end["hash"].clone();
            stub["first"] = first.parse::<u64>().unwrap().into();
            stub["last"] = last.into();
            fs::write(files[3].with_file_name(name), stub.to_string()).unwrap();
            fs::remove_file(&files[3]).unwrap();
        },
        "is not signed with the key",
    );
}

#[test]
fn the_first_bad_line_is_named() {
    let house = House::new();
    let files = house.written(25);
    let text = fs::read_to_string(&files[1]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        changed[at] = changed[at].replacen("2025", "2035", 1);
        fs::write(&files[1], changed.join("\n") + "\n").unwrap();
        let fault = house.verified().unwrap_err();
        assert!(fault.contains(&format!("{}:{}:", files[1].display(), at + 1)), "{at}: {fault}");
    }
}

#[test]
fn whole_files_chains_and_keys_are_missed() {
    for (deed, told) in [
        ("a file", "are not there"),
        ("the head", "cut or replaced"),
        ("another key", "no head is signed"),
        ("a chain twice", "in another sub-folder"),
        ("another's file", "prev"),
    ] {
        let house = House::new();
        let files = house.written(25);
        let folder = house.path().join("a");
        match deed {
            "a file" => fs::remove_file(&files[1]).unwrap(),
            "the head" => fs::remove_file(files.last().unwrap()).unwrap(),
            "another key" => {
                let (other, _) = Signer::make().unwrap();
                fs::write(house.path().join(folder::PUBLIC_KEY), other.public().pem()).unwrap();
            }
            "a chain twice" => {
                fs::create_dir(house.path().join("b")).unwrap();
                for file in fs::read_dir(&folder).unwrap() {
                    let file = file.unwrap();
                    fs::copy(file.path(), house.path().join("b").join(file.file_name())).unwrap();
                }
            }
            _ => {
                let other = House::new();
                let theirs = other.written(25);
                fs::copy(&theirs[1], &files[1]).unwrap();
            }
        }
        let fault = house.verified().expect_err(deed);
        let told = if told == "prev" { "follow" } else { told };
        assert!(fault.contains(told), "{deed}: {fault}");
    }
}

#[test]
fn what_somebody_changed_is_not_removed_for_its_age() {
    let house = House::new();
    let files = house.written(40);
    let path = house.path().join("a");
    let day = Duration::from_secs(86_400);
    let before = fs::read_to_string(&files[0]).unwrap();
    // As if the last line had been written long ago.
    let (rest, last) = before.trim_end().rsplit_once('\n').unwrap();
    assert!(last.contains("\"time\":\"2025-"), "{last}");
    let changed = format!("{rest}\n{}\n", last.replacen("\"time\":\"2025-", "\"time\":\"2015-", 1));
    let cut = format!("{rest}\n");
    for text in [&changed, &cut, &before.trim_end().to_owned()] {
        fs::write(&files[0], text).unwrap();
        let removed = retain::remove_old(&path, "a", &house.signer, day, at(3_600)).unwrap();
        assert_eq!(removed, [], "{}", text.len());
        assert!(files[0].exists());
    }
    // Not even when it is old.
    assert_eq!(retain::remove_old(&path, "a", &house.signer, day, at(90_000)).unwrap(), []);
    fs::write(&files[0], before).unwrap();
    assert!(retain::remove_old(&path, "a", &house.signer, day, at(90_000)).unwrap().len() > 2);
}

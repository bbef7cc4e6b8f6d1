//! Whatever is done to the files is found.

use std::fs;

use proptest::prelude::*;

use super::House;
use crate::record::folder;
use crate::record::key::Signer;

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_edit_of_a_line_passes(file in any::<usize>(), line in any::<usize>(), deed in deeds()) {
        let house = House::new();
        let files = house.written(25);
        // Of the current file the end may be cut without anything elsewhere: that is another test.
        let path = &files[file % (files.len() - 1)];
        let text = fs::read(path).unwrap();
        let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let at = line % lines.len();
        match deed.clone() {
            Deed::Change(place, by) => {
                let place = place % lines[at].len();
                lines[at][place] ^= by;
            }
            Deed::Delete => drop(lines.remove(at)),
            Deed::Double => lines.insert(at, lines[at].clone()),
            Deed::SwapWithNext => {
                let next = (at + 1) % lines.len();
                lines.swap(at, next);
            }
            Deed::Insert(text) => lines.insert(at, format!("{text}\n").into_bytes()),
            Deed::CutHere => lines.truncate(at),
        }
        fs::write(path, lines.concat()).unwrap();
        let fault = house.verified().expect_err(&format!("{deed:?} of line {at}"));
        let name = path.file_name().unwrap().to_str().unwrap();
        let next = files.iter().skip_while(|known| *known != path).nth(1).unwrap();
        let next = next.file_name().unwrap().to_str().unwrap();
        prop_assert!(fault.contains(name) || fault.contains(next), "{} for {} line {}", fault, name, at);
    }
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

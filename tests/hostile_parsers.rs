//! The fuzz targets' functions (`tests/fuzz`) under proptest: on every seed, on seeds that were bent, and on noise.
#![expect(clippy::expect_used, reason = "a test that cannot be set up ends")]
#![expect(clippy::panic, reason = "what must not be ends the test")]
#![expect(unreachable_pub, reason = "the fuzz targets use the same file from outside")]

#[path = "fuzz/src/lib.rs"]
mod invariants;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use invariants::{Check, TARGETS};

#[test]
fn every_target_is_built_and_has_seeds() {
    let manifest = include_str!("fuzz/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name} is not built");
        assert!(seeds(name).len() >= 5, "{name} has few seeds");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

#[test]
fn what_must_hold_holds_for_seeds_and_their_kin() {
    std::thread::scope(|scope| {
        for (name, check) in TARGETS {
            scope.spawn(move || try_target(name, check));
        }
    });
}

fn try_target(name: &str, check: Check) {
    let seeds = seeds(name);
    for (file, seed) in &seeds {
        assert!(catch_unwind(AssertUnwindSafe(|| check(seed))).is_ok(), "{name}: seed {file}");
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let bent = (any::<Index>(), any::<Index>(), proptest::collection::vec(any::<Bend>(), 1..6)).prop_map(
        move |(one, other, bends)| {
            let other = one_of(&seeds, other);
            bends.into_iter().fold(one_of(&seeds, one), |bytes, bend| bend.apply(bytes, &other))
        },
    );
    let noise = proptest::collection::vec(any::<u8>(), 0..200);
    let mut runner = TestRunner::new(Config { cases: 1_000, failure_persistence: None, ..Config::default() });
    let input = prop_oneof![9 => bent, 1 => noise];
    if let Err(error) = runner.run(&input, |bytes| {
        check(&bytes);
        Ok(())
    }) {
        panic!("{name}: {error}");
    }
}

fn one_of(seeds: &[Vec<u8>], index: Index) -> Vec<u8> {
    index.get(seeds).clone()
}

fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(name);
    let entries = std::fs::read_dir(folder).expect("the seeds of a target");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| std::fs::read(path).expect("a seed's bytes");
    files.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// One change of an input, at a place in it.
#[derive(Clone, Debug)]
enum Bend {
    Byte(Index, u8),
    Cut(Index, Index),
    Twice(Index, Index),
    Word(Index, &'static str),
    Graft(Index, Index),
}

/// What readers are known to disagree about.
const WORDS: [&str; 24] = [
    "%2e", "%2F", "%25", "%", "..", "/", "\\", "//", ":", ";", "?", "#", "\0", "\r", "\n", "\t", " ", "\"",
    "\\u0061", "\u{feff}", "\u{2028}", "é", "*", ",",
];

impl Arbitrary for Bend {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let place = any::<Index>;
        prop_oneof![
            (place(), any::<u8>()).prop_map(|(at, byte)| Self::Byte(at, byte)),
            (place(), place()).prop_map(|(from, to)| Self::Cut(from, to)),
            (place(), place()).prop_map(|(from, to)| Self::Twice(from, to)),
            (place(), prop::sample::select(WORDS.to_vec())).prop_map(|(at, word)| Self::Word(at, word)),
            (place(), place()).prop_map(|(at, from)| Self::Graft(at, from)),
        ]
        .boxed()
    }
}

impl Bend {
    fn apply(self, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
        let at = |index: Index, length: usize| index.index(length + 1);
        let range = |one: Index, two: Index, length: usize| {
            let (one, two) = (at(one, length), at(two, length));
            one.min(two)..one.max(two)
        };
        match self {
            Self::Byte(place, byte) => {
                let place = at(place, bytes.len());
                bytes.splice(place..(place + 1).min(bytes.len()), [byte]);
            }
            Self::Cut(one, two) => drop(bytes.drain(range(one, two, bytes.len()))),
            Self::Twice(one, two) => {
                let range = range(one, two, bytes.len());
                let copy = bytes.get(range.clone()).unwrap_or_default().to_vec();
                bytes.splice(range.end..range.end, copy);
            }
            Self::Word(place, word) => {
                let place = at(place, bytes.len());
                bytes.splice(place..place, word.bytes());
            }
            Self::Graft(place, from) => {
                let place = at(place, bytes.len());
                let from = at(from, other.len());
                bytes.splice(place.., other.get(from..).unwrap_or_default().iter().copied());
            }
        }
        bytes
    }
}

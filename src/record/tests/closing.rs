//! A record that is proved while its files are closed, compressed and removed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;
use crate::record::folder::Form;
use crate::record::layout::lay_out;

#[test]
fn a_record_holds_whatever_becomes_of_its_files_meanwhile() {
    let house = House::new();
    house.written(20);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let rhythm = Rhythm { file_bytes: 300, head_lines: 2, ..Rhythm::default() };
            let (mut ledger, _) = house.open(rhythm);
            for number in 0..400 {
                ledger.add(&entry(number)).unwrap();
                ledger.seal_if_due(at(0)).unwrap();
                ledger.sync().unwrap();
                ledger.turn_if_due(at(0), &[]).unwrap();
                for segment in folder::segments(ledger.path()).unwrap() {
                    if segment.form == Form::Plain {
                        retain::compress(&segment).unwrap();
                    }
                }
                if number % 50 == 49 {
                    let old = Duration::from_secs(3_600);
                    retain::remove_old(ledger.path(), "a", &house.signer, old, at(7_200)).unwrap();
                }
            }
            ended.store(true, Relaxed);
        });
        let mut proved = 0;
        while !ended.load(Relaxed) {
            let proof = verify(house.path(), &Question::default());
            proved += u64::from(proof.is_ok());
            assert!(proof.is_ok(), "after {proved}: {}", proof.unwrap_err());
        }
        assert!(proved > 10, "{proved}");
    });
}

#[test]
fn what_is_laid_out_is_there_in_one_form_or_another() {
    let house = House::new();
    let path = house.path().join("a");
    house.written(30);
    let layout = lay_out(&path).unwrap();
    assert!(layout.gaps.is_empty() && layout.closed.len() > 3);
    let (first, rest) = layout.closed.split_first().unwrap();
    retain::compress(first).unwrap();
    retain::remove_old(&path, "a", &house.signer, Duration::ZERO, at(3_600)).unwrap();
    for segment in &rest[..1] {
        assert_eq!(segment.open().unwrap().0.form, Form::Stub);
    }
    assert_eq!(first.open().unwrap().0.form, Form::Stub);
}

#[test]
fn what_is_not_there_is_a_gap() {
    let house = House::new();
    let path = house.path().join("a");
    house.written(30);
    let closed = lay_out(&path).unwrap().closed;
    let gap = |segment: &folder::Segment| (segment.first, segment.last);
    fs::remove_file(&closed[1].path).unwrap();
    assert_eq!(lay_out(&path).unwrap().gaps, [gap(&closed[1])]);
    fs::remove_file(&closed[0].path).unwrap();
    assert_eq!(lay_out(&path).unwrap().gaps, [(1, closed[1].last)]);
    let last = closed.last().unwrap();
    fs::remove_file(&last.path).unwrap();
    let gaps = lay_out(&path).unwrap().gaps;
    assert_eq!(gaps, [(1, closed[1].last), gap(last)], "the current file goes on from there");
}

#[test]
fn lines_without_a_head_are_proved_by_the_stubs_of_those_that_had_one() {
    let house = House::new();
    let rhythm = Rhythm { file_bytes: 1, head_lines: u64::MAX, ..Rhythm::default() };
    let (mut ledger, _) = house.open(rhythm);
    let add = |ledger: &mut Ledger| {
        ledger.add(&entry(1)).unwrap();
        ledger.sync().unwrap();
    };
    add(&mut ledger);
    assert!(house.verified().is_err(), "nothing is signed yet");
    ledger.turn_if_due(at(0), &[]).unwrap();
    add(&mut ledger);
    for segment in folder::segments(ledger.path()).unwrap() {
        retain::compress(&segment).unwrap();
    }
    retain::remove_old(ledger.path(), "a", &house.signer, Duration::ZERO, at(7_200)).unwrap();
    let proof = house.verified().unwrap();
    assert!(proof.removed > 0, "{proof:?}");
}

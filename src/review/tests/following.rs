//! Who follows a record is given each line once, whatever becomes of the files meanwhile.

use super::*;
use crate::review::Follower;

fn numbers(follower: &mut Follower) -> Vec<String> {
    let (hits, notes) = follower.poll();
    assert!(notes.is_empty(), "{notes:?}");
    hits.iter().map(|hit| format!("{}{}", hit.chain, hit.seq)).collect()
}

fn someone(number: u64) -> Entry {
    entry(number, i64::try_from(number).unwrap(), "ann")
}

#[test]
fn what_is_added_is_given_once() {
    let house = House::new();
    let mut chain = house.chain("a");
    chain.add(&[someone(1)]);
    chain.pack(1);
    chain.add(&[someone(2), someone(3)]);
    let mut follower = Follower::begin(house.path(), of("ann"));
    assert_eq!((follower.came_to("a"), follower.came_to("b")), (3, 0));
    assert_eq!(numbers(&mut follower), [""; 0]);
    chain.add(&[someone(4), entry(5, 5, "bob"), someone(6)]);
    assert_eq!(numbers(&mut follower), ["a4", "a6"]);
    assert_eq!(numbers(&mut follower), [""; 0]);
    assert_eq!(follower.came_to("a"), 6);
}

#[test]
fn files_may_be_closed_and_compressed_between_two_looks() {
    for closings in 1..4_u64 {
        for packed in [false, true] {
            let house = House::new();
            let mut chain = house.chain("a");
            chain.add(&[someone(1)]);
            let mut follower = Follower::begin(house.path(), of("ann"));
            let (mut next, mut expected) = (2, Vec::new());
            for _ in 0..closings {
                chain.add(&[someone(next), someone(next + 1)]);
                expected.extend([format!("a{next}"), format!("a{}", next + 1)]);
                next += 2;
                if packed {
                    chain.pack(1)
                } else {
                    chain.close()
                };
            }
            chain.add(&[someone(next)]);
            expected.push(format!("a{next}"));
            assert_eq!(numbers(&mut follower), expected, "{closings} {packed}");
            // Between two files there is no current one.
            chain.close();
            assert_eq!(numbers(&mut follower), [""; 0]);
            chain.add(&[someone(next + 1)]);
            assert_eq!(numbers(&mut follower), [format!("a{}", next + 1)]);
        }
    }
}

#[test]
fn new_instances_and_new_records_are_followed_too() {
    let house = House::new();
    let mut follower = Follower::begin(&house.path().join("later"), of("ann"));
    assert_eq!(numbers(&mut follower), [""; 0]);
    let mut one = house.chain("later/a");
    one.add(&[entry(1, 5, "ann")]);
    assert_eq!(numbers(&mut follower), ["a1"]);
    let mut two = house.chain("later/b");
    two.add(&[entry(1, 9, "ann")]);
    two.pack(1);
    two.add(&[entry(2, 3, "ann")]);
    one.add(&[entry(2, 6, "ann")]);
    assert_eq!(numbers(&mut follower), ["b2", "a2", "b1"]);
}

#[test]
fn only_whole_lines_are_given() {
    let house = House::new();
    let mut chain = house.chain("a");
    chain.add(&[someone(1)]);
    let mut follower = Follower::begin(house.path(), of("ann"));
    let path = chain.path.join(CURRENT);
    let before = fs::read(&path).unwrap();
    chain.add(&[someone(2), someone(3)]);
    let whole = fs::read(&path).unwrap();
    let mut given = Vec::new();
    for end in before.len()..=whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        given.extend(numbers(&mut follower));
    }
    assert_eq!(given, ["a2", "a3"]);
    // A torn line is ended by the next process.
    fs::write(&path, [&whole[..], b"{\"seq\":4,\"id\n"].concat()).unwrap();
    assert_eq!(numbers(&mut follower), [""; 0]);
    chain.add(&[someone(4)]);
    assert_eq!(numbers(&mut follower), ["a4"]);
}

#[test]
fn a_chain_that_cannot_be_read_keeps_nothing_of_the_others_back() {
    let house = House::new();
    let (mut one, mut two) = (house.chain("a"), house.chain("b"));
    let mut follower = Follower::begin(house.path(), of("ann"));
    one.add(&[someone(1)]);
    two.add(&[someone(1)]);
    let packed = two.pack(1);
    let whole = fs::read(&packed).unwrap();
    fs::write(&packed, "this is no zstd").unwrap();
    let (hits, notes) = follower.poll();
    assert_eq!((hits.len(), notes.len()), (1, 1), "{notes:?}");
    assert_eq!(*hits[0].chain, *"a");
    fs::write(&packed, whole).unwrap();
    assert_eq!(numbers(&mut follower), ["b1"]);
}

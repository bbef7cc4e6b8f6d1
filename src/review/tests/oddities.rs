//! What is no line is told of, and hides nothing that is one.

use super::*;
use crate::record::folder::{Form, Segment};
use crate::record::retain;
use crate::record::walk::{TORN, Torn};

fn notes(notes: &[Note]) -> Vec<String> {
    let told = notes.iter().map(ToString::to_string);
    told.map(|note| note.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

fn append(chain: &Chain, bytes: &[u8]) {
    let path = chain.path.join(CURRENT);
    let mut text = fs::read(&path).unwrap_or_default();
    text.extend_from_slice(bytes);
    fs::write(path, text).unwrap();
}

/// The line that follows a torn one.
fn torn(bytes: &[u8]) -> Entry {
    let torn = Torn::of(bytes);
    let mut note = Entry::system(at(0), TORN, "torn");
    note.params.insert("bytes".to_owned(), torn.bytes.into());
    note.params.insert("sha256".to_owned(), torn.hash.to_string().into());
    note
}

#[test]
fn what_is_no_line_is_told_of_by_its_place() {
    for pack in [None, Some(1), Some(3), Some(100)] {
        let house = House::new();
        let mut chain = house.chain("a");
        chain.add(&[entry(1, 1, "ann"), entry(2, 2, "bob")]);
        append(&chain, b"{\"seq\":3,\"id\":\"to\n");
        chain.add(&[torn(b"{\"seq\":3,\"id\":\"to"), entry(4, 4, "ann")]);
        append(&chain, b"\nnonsense\n");
        chain.add(&[entry(5, 5, "ann")]);
        if let Some(lines) = pack {
            chain.pack(lines);
        }
        chain.add(&[entry(6, 6, "ann")]);
        append(&chain, b"{\"seq\":7,\"id\"");
        let name =
            if pack.is_some() { "00000000000000000001-00000000000000000005.jsonl.zst" } else { CURRENT };
        let expected = [
            format!("{name}:3: a line was torn when sekisho ended, as the next one says"),
            format!("{name}:6: this is no line of a record; see what `sekisho audit verify` says"),
            format!("{name}:7: this is no line of a record; see what `sekisho audit verify` says"),
            format!("{CURRENT}: its last line is not whole (13 bytes)"),
        ];
        for (reverse, indexes) in [(false, false), (false, true), (false, true), (true, true)] {
            let (hits, found) = house.search(&of("ann"), reverse, indexes);
            assert_eq!(hits.len(), 4, "{pack:?}");
            let mut found = notes(&found);
            found.sort();
            let mut expected = expected.to_vec();
            expected.sort();
            assert_eq!(found, expected, "{pack:?} {reverse} {indexes}");
        }
    }
}

#[test]
fn a_line_that_seems_to_be_one_is_told_of_when_it_is_read() {
    let house = House::new();
    let mut chain = house.chain("a");
    chain.add(&[entry(1, 1, "ann"), entry(2, 2, "ann")]);
    let text = String::from_utf8(fs::read(chain.path.join(CURRENT)).unwrap()).unwrap();
    for (from, to) in [
        ("\"kind\":\"refusal\"", "\"kind\":\"ref\""),
        ("\"time\":\"2025", "\"time\":\"12025"),
        ("\"decision\"", "decision"),
    ] {
        fs::write(chain.path.join(CURRENT), text.replacen(from, to, 1)).unwrap();
        let (hits, found) = house.search(&of("ann"), false, true);
        assert_eq!((hits.len(), notes(&found).len()), (1, 1), "{to}");
        assert!(notes(&found)[0].starts_with("current.jsonl:1: "), "{found:?}");
    }
}

#[test]
fn what_was_removed_and_what_cannot_be_read_are_told_of() {
    let house = House::new();
    let mut chain = house.chain("a");
    let mut files = Vec::new();
    for number in 0..4 {
        chain.add(&[entry(number, 1, "ann"), entry(number, 2, "ann")]);
        files.push(chain.pack(1));
    }
    for file in &files[..2] {
        fs::rename(file, file.with_extension("").with_extension("stub")).unwrap();
    }
    let mut damaged = fs::read(&files[2]).unwrap();
    // The last byte of a frame is never 0 (RFC 8878 section 4.1).
    *damaged.last_mut().unwrap() = 0;
    fs::write(&files[2], damaged).unwrap();
    for indexes in [false, true] {
        let (hits, found) = house.search(&of("ann"), false, indexes);
        assert_eq!(hits.iter().map(|hit| hit.seq).collect::<Vec<_>>(), [5, 7, 8]);
        let told = notes(&found);
        assert_eq!(told[0], "a: lines up to 4 were removed for their age");
        assert!(told.len() == 2 && told[1].contains("jsonl.zst: it cannot be read"), "{told:?}");
        assert_eq!(found.iter().map(Note::leaves_out).collect::<Vec<_>>(), [false, true]);
    }
    fs::write(&files[3], "this is no zstd").unwrap();
    let (hits, found) = house.search(&of("ann"), false, true);
    assert_eq!((hits.len(), found.len()), (1, 3), "{found:?}");
}

#[test]
fn files_are_cut_into_parts_between_lines() {
    let house = House::new();
    let mut chain = house.chain("a");
    let mut entries = Vec::new();
    // Four mebibytes, in lines of many lengths, one of them almost as long as a part.
    for number in 0..2_000_u64 {
        let mut entry = entry(number, 0, if number % 500 == 7 { "ann" } else { "bob" });
        let length = if number == 1_007 { 900_000 } else { usize::try_from(number * 7 % 3_001).unwrap() };
        entry.reason = Some("x".repeat(length));
        entries.push(entry);
    }
    chain.add(&entries[..1_500]);
    append(&chain, b"nonsense\n");
    chain.add(&entries[1_500..]);
    assert!(fs::metadata(chain.path.join(CURRENT)).unwrap().len() > 3 << 20);
    assert_eq!(house.found(&of("ann")), [8, 508, 1_008, 1_508]);
    let (all, found) = house.search(&Filter::default(), false, true);
    assert_eq!(all.iter().map(|hit| hit.seq).collect::<Vec<_>>(), (1..=2_000).collect::<Vec<_>>());
    assert!(notes(&found)[0].starts_with("current.jsonl:1501: "), "{found:?}");
    // A line that is too long is none, and the next one is.
    append(&chain, &[b"{\"seq\":2001,", [b'x'; 3 << 20].as_slice(), b"\n"].concat());
    chain.add(&[entry(1, 1, "ann")]);
    assert_eq!(house.found(&of("ann")).len(), 5);
}

#[test]
fn chains_are_merged_by_time() {
    let house = House::new();
    let (mut one, mut two) = (house.chain("a"), house.chain("b"));
    one.add(&[entry(1, 1, "ann"), entry(2, 4, "ann"), entry(3, 3, "ann")]);
    two.add(&[entry(1, 2, "ann"), entry(2, 4, "ann")]);
    one.pack(2);
    one.add(&[entry(4, 9, "ann")]);
    let order = |reverse| {
        let (hits, _) = house.search(&of("ann"), reverse, true);
        hits.iter().map(|hit| format!("{}{}", hit.chain, hit.seq)).collect::<Vec<_>>().join(" ")
    };
    // A chain's own order is kept.
    assert_eq!(order(false), "a1 b1 a2 a3 b2 a4");
    assert_eq!(order(true), "a4 b2 a3 a2 b1 a1");
    let alone = Search::begin(
        &chains(&house.path().join("b")).unwrap(),
        Filter::default(),
        Settings { reverse: false, indexes: true },
    );
    assert_eq!(alone.count(), 2);
}

#[test]
fn files_that_are_closed_and_compressed_meanwhile_are_read_all_the_same() {
    let house = House::new();
    let mut chain = house.chain("a");
    chain.add(&[entry(1, 1, "ann")]);
    let closed = chain.close();
    chain.add(&[entry(2, 2, "ann")]);
    let search =
        Search::begin(&chains(house.path()).unwrap(), of("ann"), Settings { reverse: false, indexes: true });
    retain::compress(&Segment { path: closed, first: 1, last: 1, form: Form::Plain }).unwrap();
    chain.close();
    chain.add(&[entry(3, 3, "ann")]);
    let events: Vec<String> = search
        .map(|event| match event {
            Event::Hit(hit) => hit.seq.to_string(),
            Event::Note(note) => note.to_string(),
        })
        .collect();
    assert_eq!(events, ["1", "2"]);
}

#[test]
fn a_line_is_found_wherever_frames_begin() {
    for size in [1, 7, 100, 333, 1_000, 100_000] {
        let house = House::new();
        let mut chain = house.chain("a");
        chain.add(&(1..=12).map(|number| entry(number, 1, "ann")).collect::<Vec<_>>());
        let closed = chain.close();
        let text = fs::read(&closed).unwrap();
        fs::remove_file(&closed).unwrap();
        let packed: Vec<u8> =
            text.chunks(size).flat_map(|part| zstd::bulk::compress(part, 3).unwrap()).collect();
        fs::write(closed.with_extension("jsonl.zst"), packed).unwrap();
        assert_eq!(house.found(&of("ann")), (1..=12).collect::<Vec<_>>(), "{size}");
        assert!(house.search(&of("ann"), false, true).1.is_empty(), "{size}");
    }
}

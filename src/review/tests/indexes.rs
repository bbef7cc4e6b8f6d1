//! Searching by index finds what reading every line finds, whatever lies there as an index.

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;
use crate::record::chain::Hash;

/// Forty lines in frames of four, ann's in one of them.
fn packed() -> (House, PathBuf) {
    let house = House::new();
    let mut chain = house.chain("a");
    let who = |number| if (12..14).contains(&number) { "ann" } else { "bob" };
    let entries: Vec<Entry> =
        (0..40).map(|number| entry(number, i64::try_from(number).unwrap(), who(number))).collect();
    chain.add(&entries);
    let file = chain.pack(4);
    (house, file)
}

#[test]
fn an_index_is_made_once_and_names_the_frames_that_hold_something() {
    let (house, file) = packed();
    let path = folder::index(&file);
    assert_eq!(
        house.search(&Filter { id: Some("id-3".to_owned()), ..Filter::default() }, false, true).0.len(),
        1
    );
    assert!(!path.exists(), "nothing that an index would help with was asked for");
    assert_eq!(house.search(&of("ann"), false, false).0.len(), 2);
    assert!(!path.exists(), "nobody wanted one");
    assert_eq!(house.found(&of("ann")), [13, 14]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("ann") && !text.contains("model_write"), "{text}");
    let made = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(house.found(&of("bob")).len(), 38);
    assert_eq!(house.found(&of("nobody")), [0; 0]);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), made);
    let left: Vec<_> =
        fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// The text of an index that says something else, and is whole.
fn forged(text: &str, from: &str, to: &str) -> String {
    let (_, body) = text.split_once('\n').unwrap();
    assert!(body.contains(from), "{body}");
    let body = body.replace(from, to);
    format!("sekisho index 1 {}\n{body}", Hash::of(body.as_bytes()))
}

#[test]
fn an_index_that_cannot_be_relied_on_is_made_anew() {
    let (house, file) = packed();
    let path = folder::index(&file);
    house.found(&of("ann"));
    let good = fs::read_to_string(&path).unwrap();
    let (_, other) = {
        let (other, file) = packed();
        other.found(&of("ann"));
        let text = fs::read_to_string(folder::index(&file)).unwrap();
        (other, text)
    };
    let length = good.split_once("\"length\":").unwrap().1.split(',').next().unwrap();
    let (inode, _) = good.split_once("\"inode\":").unwrap().1.split_once(',').unwrap();
    let middle = good.len() / 2;
    for (what, text) in [
        ("it is empty", String::new()),
        ("it is cut", good.chars().take(middle).collect()),
        ("it is longer", format!("{good} ")),
        ("a byte is another", good.replacen('3', "4", 1)),
        ("it is no index", "{}".to_owned()),
        ("it is of another form", forged(&good, "\"odd\"", "\"even\"")),
        ("it has another number", good.replacen("index 1", "index 2", 1)),
        ("it is of another file", other),
        ("it is of another inode", forged(&good, &format!("\"inode\":{inode}"), "\"inode\":1")),
        ("its frames are others", forged(&good, &format!("\"length\":{length}"), "\"length\":1")),
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(house.search(&of("ann"), false, true).0.len(), 2, "{what}");
        assert_eq!(fs::read_to_string(&path).unwrap(), good, "{what}");
    }
}

#[test]
fn an_index_that_says_too_much_gives_no_line_too_many() {
    let (house, file) = packed();
    let path = folder::index(&file);
    house.found(&of("ann"));
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, forged(&good, ":[3]", ":[0,1,2,3,4,5,6,7,8,9,77]")).unwrap();
    assert_eq!(house.search(&of("ann"), false, true).0.len(), 2);
    assert_ne!(fs::read_to_string(&path).unwrap(), good, "it was used");
}

#[test]
fn an_index_that_leaves_something_out_is_believed_only_if_nobody_else_could_have_made_it() {
    let (house, file) = packed();
    let path = folder::index(&file);
    house.found(&of("ann"));
    let lies = forged(&fs::read_to_string(&path).unwrap(), ":[3]", ":[]");
    for (mode, found) in [(0o600, 0), (0o644, 0), (0o620, 2), (0o602, 2)] {
        fs::write(&path, &lies).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(house.search(&of("ann"), false, false).0.len(), 2);
        assert_eq!(house.search(&of("ann"), false, true).0.len(), found, "{mode:o}");
    }
}

#[test]
fn a_file_that_was_changed_has_no_index_any_more() {
    let (house, file) = packed();
    house.found(&of("ann"));
    let text = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap().replace("\"principal\":\"bob\"", "\"principal\":\"ann\"");
    fs::write(&file, framed(text.as_bytes(), 4)).unwrap();
    assert_eq!(house.found(&of("ann")).len(), 40);
}

#[test]
fn an_index_of_a_file_that_was_removed_goes_with_it() {
    let (house, file) = packed();
    house.found(&of("ann"));
    let path = folder::index(&file);
    let folder_of = file.parent().unwrap();
    folder::remove_stray_indexes(folder_of).unwrap();
    assert!(path.exists());
    fs::remove_file(&file).unwrap();
    let foreign = folder_of.join("notes.index");
    fs::write(&foreign, "mine").unwrap();
    folder::remove_stray_indexes(folder_of).unwrap();
    assert!(!path.exists() && foreign.exists());
}

#[derive(Clone, Copy, Debug)]
enum Close {
    Not,
    Plain,
    Packed(usize),
}

fn some_entry() -> impl Strategy<Value = Entry> {
    let who = prop::option::of(prop::sample::select(vec!["ann", "bob", "a\"nn", "ann\n"]));
    let model = prop::option::of(prop::sample::select(vec!["m", "m2", "m/version/3", "m/stage/Staging"]));
    let kind = prop::sample::select(vec![Kind::Read, Kind::Refusal, Kind::Intent, Kind::System]);
    (0..100_i64, who, model.clone(), model, kind, any::<bool>()).prop_map(
        |(second, who, object, demand, kind, allowed)| {
            let mut entry = Entry::new(format!("id-{second}"), at(second), kind);
            entry.principal = who.map(str::to_owned);
            entry.operation = who.map(|_| format!("operation_{}", second % 3));
            entry.object = object.map(|name| format!("model:{name}"));
            entry.demands = demand.iter().map(|name| format!("model_write model:{name}")).collect();
            entry.decision = Some(if allowed { Decision::Allow } else { Decision::Deny });
            entry
        },
    )
}

fn some_filter() -> impl Strategy<Value = Filter> {
    let some = |words: &[&str]| {
        prop::option::of(prop::sample::select(
            words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(),
        ))
    };
    (
        some(&["ann", "a\"nn", "ann\n", "nobody"]),
        some(&["operation_1", "operation_7"]),
        some(&["m", "m2", "m/version/3", "n"]),
        prop::option::of(prop::sample::select(vec![Decision::Allow, Decision::Deny])),
        prop::collection::vec(prop::sample::select(vec![Kind::Read, Kind::Intent, Kind::Head]), 0..3),
        prop::option::of(-5..105_i64),
        prop::option::of(-5..105_i64),
    )
        .prop_map(|(principal, operation, model, decision, kinds, since, until)| Filter {
            principal,
            operation,
            model,
            decision,
            kinds,
            since: since.map(at),
            until: until.map(at),
            ..Filter::default()
        })
}

/// What a filter takes, said in another way.
fn takes(filter: &Filter, entry: &Entry) -> bool {
    let model = filter.model.as_ref().is_none_or(|name| {
        let below = format!("model:{name}/");
        let demanded = entry.demands.iter().map(|demand| demand.replace("model_write ", ""));
        entry.object.iter().cloned().chain(demanded).any(|object| format!("{object}/").starts_with(&below))
    });
    let time: Timestamp = entry.time.parse().unwrap();
    model
        && (filter.principal.is_none() || filter.principal == entry.principal)
        && (filter.operation.is_none() || filter.operation == entry.operation)
        && (filter.decision.is_none() || filter.decision == entry.decision)
        && (filter.kinds.is_empty() || filter.kinds.contains(&entry.kind))
        && filter.since.is_none_or(|since| since <= time)
        && filter.until.is_none_or(|until| time < until)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_asked_for_is_found_with_indexes_and_without(
        files in prop::collection::vec(
            (prop::collection::vec(some_entry(), 1..30), prop_oneof![Just(Close::Not), Just(Close::Plain), (1..9_usize).prop_map(Close::Packed)]),
            1..4,
        ),
        filters in prop::collection::vec(some_filter(), 1..6),
    ) {
        let house = House::new();
        let mut chain = house.chain("a");
        let mut all = Vec::new();
        for (entries, close) in files {
            chain.add(&entries);
            all.extend(entries);
            match close {
                Close::Not => {}
                Close::Plain => drop(chain.close()),
                Close::Packed(lines) => drop(chain.pack(lines)),
            }
        }
        for filter in filters {
            let expected: Vec<u64> = (1..).zip(&all).filter(|(_, entry)| takes(&filter, entry)).map(|(seq, _)| seq).collect();
            prop_assert_eq!(house.found(&filter), expected, "{:?}", filter);
        }
    }
}

//! Rows come, go and change, and every order follows.

use serde_json::value::RawValue;

use super::*;
use crate::index::rows::Hasher;

fn row(name: &str, version: u32, updated: i64) -> Row {
    let number = if version == 0 { String::new() } else { format!("\"version\": \"{version}\",") };
    let text = format!(
        "{{\"name\": \"{name}\", {number} \"creation_timestamp\": 1, \"last_updated_timestamp\": {updated}}}"
    );
    let raw: &RawValue = serde_json::from_str(&text).unwrap();
    Row::read(raw, &Hasher::default(), |_, _| None).unwrap()
}

fn side(kind: Kind) -> Side {
    Side { kind, prompt: false }
}

fn shown(shelf: &Shelf, kind: Kind, order: &[&str]) -> Vec<String> {
    let order = Order::read(kind, order).unwrap();
    let ids = shelf.sorted(side(kind), &order).expect("an order that is kept").to_vec();
    assert_eq!(ids, shelf.make_sorted(side(kind), &order).ids, "as it would be made anew");
    let text = |id: &Id| shelf.row(*id).map(|row| format!("{}{}", row.name, row.version)).unwrap_or_default();
    ids.iter().map(text).collect()
}

fn keep(shelf: &mut Shelf, kind: Kind, order: &[&str]) {
    let (made, stamp) = (shelf.make_sorted(side(kind), &Order::read(kind, order).unwrap()), shelf.stamp());
    shelf.keep_sorted(made, stamp);
}

fn after(name: &str) -> Spot {
    Spot::After(name.into())
}

/// Three models in an order that is nobody's but MLflow's.
fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    for (name, updated) in [("b", 3), ("C", 1), ("a", 2)] {
        shelf.push_model(row(name, 0, updated), false);
        assert!(shelf.versions(name, Which::All, false, vec![row(name, 1, updated), row(name, 2, updated)]));
    }
    keep(&mut shelf, Kind::Models, &["timestamp"]);
    keep(&mut shelf, Kind::Versions, &[]);
    keep(&mut shelf, Kind::Versions, &["name DESC"]);
    shelf
}

#[test]
fn every_order_follows_what_changes() {
    let mut shelf = shelf();
    assert_eq!(shown(&shelf, Kind::Models, &[]), ["b0", "C0", "a0"]);
    assert_eq!(shown(&shelf, Kind::Models, &["timestamp"]), ["C0", "a0", "b0"]);
    assert_eq!(shown(&shelf, Kind::Versions, &[]), ["b2", "b1", "a2", "a1", "C2", "C1"]);
    assert!(
        shelf.place(row("new", 0, 0), false, &after("b"))
            && shelf.place(row("first", 0, 9), false, &Spot::First)
    );
    assert!(
        !shelf.place(row("x", 0, 0), false, &after("nobody"))
            && !shelf.place(row("b", 0, 0), false, &Spot::First)
    );
    assert!(shelf.versions("new", Which::Number(7), false, vec![row("new", 7, 2)]));
    shelf.replace(row("C", 0, 8));
    shelf.versions("b", Which::Number(1), false, Vec::new());
    shelf.versions("a", Which::Number(2), false, vec![row("a", 2, 0)]);
    assert_eq!(shown(&shelf, Kind::Models, &[]), ["first0", "b0", "new0", "C0", "a0"]);
    assert_eq!(shown(&shelf, Kind::Models, &["timestamp"]), ["new0", "a0", "b0", "C0", "first0"]);
    assert_eq!(shown(&shelf, Kind::Versions, &[]), ["b2", "new7", "a1", "C2", "C1", "a2"]);
    shelf.remove("b");
    assert_eq!(shown(&shelf, Kind::Models, &[]), ["first0", "new0", "C0", "a0"]);
    assert_eq!(shown(&shelf, Kind::Versions, &["name DESC"]), ["a2", "a1", "C2", "C1", "new7"]);
    assert_eq!((shelf.counts(), shelf.is_model("b")), ((4, 5), false));
}

#[test]
fn names_find_room_between_any_two() {
    let mut shelf = shelf();
    let mut expected = vec!["b0".to_owned(), "C0".to_owned(), "a0".to_owned()];
    for number in 0..200 {
        assert!(shelf.place(row(&format!("n{number}"), 0, number), false, &after("b")));
        expected.insert(1, format!("n{number}0"));
    }
    assert_eq!(shown(&shelf, Kind::Models, &[]), expected);
    assert_eq!(shown(&shelf, Kind::Versions, &["name DESC"]), ["a2", "a1", "C2", "C1", "b2", "b1"]);
}

#[test]
fn what_is_not_known_to_be_in_order_is_not_answered() {
    let mut shelf = shelf();
    let (names, times) =
        (Order::read(Kind::Models, &[]).unwrap(), Order::read(Kind::Models, &["timestamp"]).unwrap());
    assert!(shelf.sorts(Kind::Versions, &names) && shelf.sorts(Kind::Models, &times));
    // Its versions are listed among those of prompts.
    shelf.versions("C", Which::All, true, vec![row("C", 1, 1)]);
    assert!(!shelf.sorts(Kind::Versions, &names) && shelf.sorts(Kind::Models, &times));
    assert_eq!(shown(&shelf, Kind::Versions, &[]), ["b2", "b1", "a2", "a1"]);
    shelf.versions("C", Which::All, false, vec![row("C", 1, 1)]);
    assert!(shelf.sorts(Kind::Versions, &names));
    let mut timeless = row("a", 0, 1);
    timeless.updated = i64::MIN;
    shelf.replace(timeless);
    assert!(shelf.sorts(Kind::Models, &names) && !shelf.sorts(Kind::Models, &times));
    assert!(shelf.folds_alike());
    assert!(shelf.place(row("\u{212a}", 0, 1), false, &Spot::First) && !shelf.folds_alike());
    shelf.remove("\u{212a}");
    assert!(shelf.folds_alike());
}

#[test]
fn rows_of_named_models_are_looked_up() {
    let shelf = shelf();
    let order = Order::read(Kind::Versions, &["version_number"]).unwrap();
    let found = shelf.of_models(side(Kind::Versions), &order, ["a", "b", "a", "none"].into_iter());
    let names: Vec<(String, u32)> =
        found.iter().filter_map(|id| shelf.row(*id)).map(|row| (row.name.to_string(), row.version)).collect();
    assert_eq!(names, [("b".into(), 1), ("a".into(), 1), ("b".into(), 2), ("a".into(), 2)]);
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_hundred_thousand_models_take_less_than_300_mib() {
    let (before, hasher) = (resident(), Hasher::default());
    let mut shelf = Shelf::default();
    for at in 0..100_000 {
        let name = format!("fraud_detection_xgboost_auc_prod_{at}");
        let tags: Vec<String> = (0..10)
            .map(|tag| format!("{{\n \"key\": \"key_{tag}\",\n  \"value\": \"{}\"\n}}", "v".repeat(60)))
            .collect();
        let version = format!(
            "{{ \"name\": \"{name}\", \"version\": \"1\", \"creation_timestamp\": {at}, \"last_updated_timestamp\": 1,
            \"current_stage\": \"None\", \"source\": \"mlflow-artifacts:/1/models/m-{at:032}/artifacts\",
            \"run_id\": \"{at:032}\", \"status\": \"READY\", \"tags\": [{}] }}",
            tags.join(", ")
        );
        let model = format!(
            "{{ \"name\": \"{name}\", \"creation_timestamp\": {at}, \"last_updated_timestamp\": 1, \"latest_versions\": [{version}] }}"
        );
        let read = |text: &str| {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            Row::read(raw, &hasher, |name, version| shelf.known(name, version)).unwrap()
        };
        let (model, version) = (read(&model), read(&version));
        shelf.push_model(model, false);
        shelf.versions(&name, Which::All, false, vec![version]);
    }
    keep(&mut shelf, Kind::Versions, &[]);
    let taken = resident().saturating_sub(before) / (1024 * 1024);
    println!("{taken} MiB, of which rows {} MiB", shelf.weight() / (1024 * 1024));
    assert!(taken <= 300, "{taken} MiB");
    assert_eq!(shelf.counts(), (100_000, 100_000));
}

#[test]
fn a_version_in_its_models_words_is_kept_once() {
    let (mut shelf, one) = (Shelf::default(), row("a", 1, 1));
    let with = |versions: &[&Row]| {
        let shown: Vec<&str> =
            versions.iter().map(|row| std::str::from_utf8(&row.written).unwrap()).collect();
        let text = format!(
            "{{\"name\": \"a\", \"creation_timestamp\": 1, \"last_updated_timestamp\": 1, \"latest_versions\": [{}]}}",
            shown.join(", ")
        );
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        Row::read(raw, &Hasher::default(), |_, _| None).unwrap()
    };
    let nested = |shelf: &Shelf| {
        let row = shelf.version(&shelf.models["a"], 1).unwrap();
        let model = shelf.row(shelf.models["a"].row).unwrap();
        let within = model.written.as_ptr_range().contains(&row.written.as_ptr());
        assert_eq!((row.written.clone(), within), (one.written.clone(), row.nested));
        row.nested
    };
    shelf.push_model(with(&[&one]), false);
    shelf.versions("a", Which::All, false, vec![one.clone()]);
    assert!(nested(&shelf));
    shelf.replace(with(&[&row("a", 2, 2), &one]));
    assert!(nested(&shelf));
    shelf.replace(with(&[&row("a", 2, 2)]));
    assert!(!nested(&shelf));
    let weight: usize = shelf.rows.iter().flatten().map(Row::weight).sum();
    assert_eq!(shelf.weight(), weight);
}

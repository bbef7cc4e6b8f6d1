//! Which lines a filter takes.

use serde_json::{Map, Value, json};

use super::*;
use crate::record::line::Outcome;

fn line(said: Value) -> Vec<u8> {
    let mut whole = Map::from_iter([
        ("id".to_owned(), json!("id-1")),
        ("time".to_owned(), json!("2026-11-30T09:00:00.000000Z")),
        ("kind".to_owned(), json!("outcome")),
    ]);
    let Value::Object(said) = said else { panic!("{said}") };
    whole.extend(said);
    let entry: Entry = serde_json::from_value(whole.into()).unwrap();
    let mut line = Vec::new();
    Tip::EMPTY.clone().link(&entry, &mut line).unwrap();
    line.pop();
    line
}

#[track_caller]
fn check(filter: &Filter, said: Value, taken: bool) {
    let line = line(said);
    let sifted = super::super::sieve::Sieve::new(filter.clone()).sift(&line);
    let (expected, text) = (if taken { "Hit" } else { "Other" }, String::from_utf8_lossy(&line));
    assert!(format!("{sifted:?}").starts_with(expected), "{filter:?} {text}: {sifted:?}");
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn nothing_asked_for_takes_everything() {
    check(&Filter::default(), json!({}), true);
}

#[test]
fn a_principal_an_operation_and_an_id_are_taken_exactly() {
    for (said, taken) in [("ann", true), ("anna", false), ("Ann", false), ("a\"nn", false)] {
        check(&of("ann"), json!({ "principal": said }), taken);
        let filter = Filter { operation: some("ann"), ..Filter::default() };
        check(&filter, json!({ "operation": said }), taken);
        let filter = Filter { id: some("ann"), ..Filter::default() };
        check(&filter, json!({ "id": said }), taken);
    }
    check(&of("ann"), json!({}), false);
    check(&of("ann"), json!({ "reason": "\"principal\":\"ann\"" }), false);
    check(&of("ann"), json!({ "params": { "principal": "ann" } }), false);
    for odd in ["a\"n\\n", "Ünal", "\u{1b}[2J", "a/b", "\u{7f}"] {
        check(&of(odd), json!({ "principal": odd }), true);
    }
}

#[test]
fn a_model_is_taken_with_what_lies_below_it_and_without_its_namesakes() {
    for (name, object, taken) in [
        ("iris", "model:iris", true),
        ("iris", "model:iris/version/3", true),
        ("iris", "model:iris/stage/Production", true),
        ("iris", "model:iris2", false),
        ("iris", "model:iri", false),
        ("iris", "model:my_iris", false),
        ("iris", "model:Iris", false),
        ("iris", "experiment:iris", false),
        ("iris", "model:x/tag/model:iris", false),
        ("", "model:", true),
        ("a\"b", "model:a\"b/alias/c", true),
        ("iris/version/3", "model:iris/version/3", true),
        ("iris/version/3", "model:iris/version/31", false),
    ] {
        let filter = Filter { model: some(name), ..Filter::default() };
        check(&filter, json!({ "object": object }), taken);
        let demands = ["metadata_read experiment:7".to_owned(), format!("model_write {object}")];
        check(&filter, json!({ "object": "server", "demands": demands }), taken);
        check(&filter, json!({ "reason": object, "params": { "object": object } }), false);
    }
}

#[test]
fn an_object_is_taken_exactly() {
    let filter = Filter { object: some("model:iris"), ..Filter::default() };
    for (said, taken) in [
        (json!({ "object": "model:iris" }), true),
        (json!({ "object": "model:iris/version/1" }), false),
        (json!({ "demands": ["model_write model:iris"] }), true),
        (json!({ "demands": ["model_write model:iris2"] }), false),
        (json!({ "reason": "model:iris" }), false),
    ] {
        check(&filter, said, taken);
    }
}

#[test]
fn a_stage_is_taken_wherever_it_is_one_and_whatever_its_case() {
    for (said, taken) in [
        (json!({ "object": "model:iris/stage/Production" }), true),
        (json!({ "demands": ["stage_transition model:iris/stage/Production"] }), true),
        (json!({ "params": { "stage": "production" } }), true),
        (json!({ "params": { "to_stage": "PRODUCTION" } }), true),
        (json!({ "before": { "stage": "Production" } }), true),
        (json!({ "after": { "stage": "Production" } }), true),
        (json!({ "object": "model:iris/stage/Productions" }), false),
        (json!({ "object": "model:Production" }), false),
        (json!({ "params": { "value": "Production", "key": "stage" } }), false),
        (json!({ "params": { "from_stage": "Production" } }), false),
        (json!({ "params": { "stage": 7 } }), false),
        (json!({ "reason": "stage Production" }), false),
    ] {
        for stage in ["Production", "production"] {
            check(&Filter { stage: some(stage), ..Filter::default() }, said.clone(), taken);
        }
    }
}

#[test]
fn decisions_kinds_outcomes_and_times_are_taken() {
    let filter = Filter { decision: Some(Decision::Deny), ..Filter::default() };
    for (said, taken) in
        [(json!({ "decision": "deny" }), true), (json!({ "decision": "allow" }), false), (json!({}), false)]
    {
        check(&filter, said, taken);
    }
    for (kinds, taken) in [
        (vec![Kind::Outcome], true),
        (vec![Kind::Read, Kind::Outcome], true),
        (vec![Kind::Read], false),
        (vec![Kind::Read, Kind::Reads], false),
    ] {
        check(&Filter { kinds, ..Filter::default() }, json!({}), taken);
    }
    let filter = Filter { outcome: Some(Outcome::NotApplied), ..Filter::default() };
    for (outcome, taken) in [("not_applied", true), ("applied", false), ("unknown", false)] {
        check(&filter, json!({ "outcome": outcome }), taken);
    }
    let time = |text: &str| Some(text.parse().unwrap());
    for (since, until, taken) in [
        (time("2026-11-30T09:00:00Z"), None, true),
        (time("2026-11-30T09:00:00.000001Z"), None, false),
        (None, time("2026-11-30T09:00:00Z"), false),
        (None, time("2026-11-30T09:00:00.000001Z"), true),
    ] {
        check(&Filter { since, until, ..Filter::default() }, json!({}), taken);
    }
}

#[test]
fn words_stand_in_values_and_not_in_the_chain() {
    for (words, said, taken) in [
        (&["LIMIT"][..], json!({ "reason": "over the limit" }), true),
        (&["over", "the", "limit"], json!({ "reason": "the limit", "principal": "rover" }), true),
        (&["over", "limit"], json!({ "reason": "the limit" }), false),
        (&["principal"], json!({ "principal": "ann" }), false),
        (&["deep"], json!({ "params": { "a": [{ "b": "DEEP" }] } }), true),
        (&["403"], json!({ "status": 403 }), true),
        (&["000000000000000000000000"], json!({}), false),
        (&["ünal"], json!({ "principal": "ünal" }), true),
        (&["say\"hi"], json!({ "reason": "SAY\"HI" }), true),
    ] {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        check(&Filter { words, ..Filter::default() }, said, taken);
    }
}

#[test]
fn all_that_is_asked_for_must_hold() {
    let filter = Filter { model: some("iris"), ..of("ann") };
    for (said, taken) in [
        (json!({ "principal": "ann", "object": "model:iris" }), true),
        (json!({ "principal": "bob", "object": "model:iris" }), false),
        (json!({ "principal": "ann", "object": "model:rose" }), false),
    ] {
        check(&filter, said, taken);
    }
}

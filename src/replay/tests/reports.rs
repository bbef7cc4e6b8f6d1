//! Reports of made-up lines: who did what with a model, and which rows nobody needed.

use serde_json::{Value, json};

use super::*;
use crate::authz::{Mode, Settings};

/// What is told of the model `m`: deeds, lists and what is not known.
fn told(changes: &[Value]) -> Vec<String> {
    let lines: Vec<String> = changes.iter().map(line).collect();
    let done = did(record(&lines).path(), None, "m").unwrap();
    let deeds = done.deeds.iter().map(|(deed, seen)| {
        let outcome = deed.outcome.map(|outcome| format!(" {}", outcome.as_str())).unwrap_or_default();
        format!("{} {} {}{outcome} x{}", deed.principal, deed.operation, deed.was.as_str(), seen.times)
    });
    let lists = (done.lists > 0).then(|| format!("lists x{}", done.lists));
    let untold = done.gaps.untold.iter().map(|(why, times)| format!("{} x{times}", why.as_str()));
    deeds.chain(lists).chain(untold).collect()
}

#[track_caller]
fn check_did(changes: &Value, expected: &[&str]) {
    assert_eq!(told(std::slice::from_ref(changes)), expected, "{changes}");
}

#[test]
fn deeds_are_told_by_what_came_of_them() {
    let refusal = |operation: &str, object: &str| {
        json!({ "kind": "refusal", "decision": "deny", "operation": operation, "object": object,
            "reason": format!("u may not {operation} {object}: no policy row allows it") })
    };
    check_did(&json!({}), &["u metadata_read allowed x1"]);
    check_did(&json!({ "object": "model:m/tag/k" }), &["u metadata_read allowed x1"]);
    check_did(&json!({ "object": "model:mm" }), &[]);
    check_did(&json!({ "kind": "reads", "count": 7 }), &["u metadata_read allowed x7"]);
    check_did(
        &json!({ "kind": "outcome", "operation": "model_write", "outcome": "not_applied" }),
        &["u model_write allowed not_applied x1"],
    );
    // The intent of a write whose outcome is told of by itself.
    check_did(&json!({ "kind": "intent", "operation": "model_write" }), &[]);
    check_did(
        &json!({ "object": "model:n", "demands": ["model_read model:m", "model_read model:m/tag/k"] }),
        &["u model_read allowed x1"],
    );
    check_did(&refusal("model_write", "model:m"), &["u model_write refused x1"]);
    check_did(
        &json!({ "kind": "refusal", "decision": "deny", "reason": "a house rule" }),
        &["u metadata_read stopped x1"],
    );
    // The caller went before it began.
    check_did(&json!({ "kind": "refusal", "abandoned": true }), &["u metadata_read stopped x1"]);
    check_did(
        &json!({ "reason": "observed, would be refused: u may not metadata_read model:m: no policy row allows it" }),
        &["u metadata_read observed x1"],
    );
}

#[test]
fn of_a_refusal_only_what_was_refused_counts() {
    let mut refused = json!({ "kind": "refusal", "decision": "deny", "operation": "model_write", "object": "model:n",
        "reason": "u may not model_write model:n: no policy row allows it", "demands": ["metadata_read model:m"] });
    check_did(&refused, &[]);
    refused["demands"] = json!(["metadata_read model:m", "and more"]);
    check_did(&refused, &[]);
    // The sentence has the whole object, which is too long for the line.
    refused["object"] = json!(format!("sha256:{}", "0".repeat(64)));
    refused["reason"] =
        json!(format!("u may not model_write model:m/tag/{}: no policy row", "k".repeat(2_000)));
    check_did(&refused, &["unreadable x1"]);
    refused["reason"] = json!("a house rule");
    check_did(&refused, &["u metadata_read stopped x1", "cut x1"]);
    refused["object"] = json!("model:?");
    refused["reason"] = json!("u may not model_write model:?: no policy row allows it");
    check_did(&refused, &[]);
}

#[test]
fn what_may_be_of_it_is_told_as_not_known() {
    check_did(&json!({ "object": "model:?" }), &["lists x1"]);
    check_did(&json!({ "kind": "reads", "object": null, "count": 9 }), &["left_out x9"]);
    check_did(&json!({ "kind": "system", "operation": "lost", "count": 5 }), &["lost x5"]);
    check_did(
        &json!({ "demands": ["model_read model:n", "and more"] }),
        &["u metadata_read allowed x1", "cut x1"],
    );
    check_did(&json!({ "object": format!("sha256:{}", "0".repeat(64)) }), &["unreadable x1"]);
    check_did(&json!({ "principal": null }), &[]);
}

/// The lines of the rows that are not needed, and what is not known.
fn unused(rows: &str, changes: &[Value]) -> Vec<String> {
    let lines: Vec<String> = changes.iter().map(line).collect();
    let settings = Settings { require_model_access: true, mode: Mode::Enforce };
    let used = used(record(&lines).path(), None, Arc::new(policies(rows)), settings).unwrap();
    let rows = used.rows.iter().filter(|(_, _, seen)| seen.is_none()).map(|(place, ..)| place.clone());
    rows.chain(used.gaps.untold.iter().map(|(why, times)| format!("{} x{times}", why.as_str()))).collect()
}

#[track_caller]
fn check_unused(changes: &Value, expected: &[&str]) {
    const ROWS: &str = "p, role:a, model:*, metadata_read, allow\n\
                        p, user:u, model:m, metadata_read, allow\n\
                        p, role:a, model:m/stage/*, stage_transition, allow\n\
                        p, role:a, model:z, metadata_read, deny\n\
                        g, user:v, role:a\n";
    let expected: Vec<String> = expected
        .iter()
        .map(|row| if row.contains(' ') { (*row).to_owned() } else { format!("policy.csv:{row}") })
        .collect();
    assert_eq!(unused(ROWS, std::slice::from_ref(changes)), expected, "{changes}");
}

#[test]
fn rows_that_let_something_through_are_needed() {
    check_unused(&json!({}), &["3", "5"]);
    check_unused(&json!({ "object": "model:n", "access": ["*"] }), &["2", "3", "5"]);
    check_unused(&json!({ "principal": "v", "roles": [] }), &["2", "3"]);
    check_unused(&json!({ "object": "model:?", "access": [] }), &["3", "5"]);
    let spared = "p, role:a, model:*, metadata_read, allow\np, role:admin, server, admin, allow\ng, user:u, role:admin\n";
    for access in [json!([]), json!([format!("sha256:{}", "0".repeat(64))])] {
        for object in ["model:?", "model:m"] {
            let line = json!({ "object": object, "access": access });
            assert_eq!(unused(spared, &[line]), ["policy.csv:2"], "{object} {access}");
        }
    }
    check_unused(
        &json!({ "kind": "outcome", "operation": "stage_transition", "object": "model:m/stage/Canary",
            "demands": ["stage_transition model:m/stage/Staging"] }),
        &["1", "2", "5"],
    );
    // Something else refused it: the row was needed to come so far.
    check_unused(&json!({ "kind": "refusal", "decision": "deny", "reason": "a house rule" }), &["3", "5"]);
}

#[test]
fn what_was_refused_needed_no_row() {
    check_unused(
        &json!({ "kind": "refusal", "decision": "deny",
            "reason": "u may not metadata_read model:m: no policy row allows it" }),
        &["1", "2", "3", "5"],
    );
    // Neither does what is refused now.
    check_unused(&json!({ "object": "model:z", "access": ["*"] }), &["1", "2", "3", "5"]);
    check_unused(&json!({ "access": ["n"] }), &["1", "2", "3", "5"]);
}

#[test]
fn rows_that_may_have_been_needed_are_told_of() {
    check_unused(&json!({ "demands": ["metadata_read model:m", "and more"] }), &["3", "5", "cut x1"]);
    check_unused(
        &json!({ "kind": "reads", "object": null, "count": 4 }),
        &["1", "2", "3", "5", "left_out x4"],
    );
    // Whichever models the token opens.
    check_unused(&json!({ "access": [format!("sha256:{}", "0".repeat(64))] }), &["3", "5"]);
    let apart =
        "p, role:a, experiment:*, tracking_read, allow\np, role:a, experiment:7, tracking_read, allow\n";
    let every = json!({ "operation": "tracking_read", "object": "experiment:?" });
    assert_eq!(unused(apart, &[every]), ["policy.csv:1", "policy.csv:2", "experiment x1"]);
}

#[test]
fn a_record_says_when_it_begins() {
    let lines = [line(&json!({ "kind": "system" })), line(&json!({ "time": "2026-11-30T10:00:00.000000Z" }))];
    let done = did(record(&lines).path(), None, "m").unwrap();
    assert_eq!(done.gaps.first, Some("2026-11-30T09:00:00Z".parse().unwrap()));
    let later = did(record(&lines).path(), Some("2026-11-30T09:30:00Z".parse().unwrap()), "m").unwrap();
    assert_eq!((later.gaps.first, later.gaps.reads), (done.gaps.first, 1), "also before what is asked for");
}

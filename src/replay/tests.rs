//! Replays of made-up lines: what differs is listed, in groups, and what cannot be decided is counted.

mod reports;

use std::fs;

use serde_json::json;

use super::*;

const ROWS: &str = "p, role:a, model:*, metadata_read, allow\n\
                    p, role:a, model:*, model_write, allow\n\
                    p, role:a, experiment:*, tracking_read, allow\n\
                    p, role:admin, server, admin, allow\n";

/// A set of policies with these rows.
fn policies(rows: &str) -> PolicySet {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    fs::copy(shipped.join("model.conf"), folder.path().join("model.conf")).unwrap();
    for (name, text) in [
        ("policy.csv", rows),
        ("decisions.tsv", ""),
        ("rules.toml", ""),
        ("stages.toml", "transitions = []\n"),
        ("metadata.schema.json", "{}"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    PolicySet::load(folder.path()).unwrap()
}

/// An allowed read of `model:m` by `u` with the role `a`, but for these keys; `null` takes one away.
fn line(changes: &serde_json::Value) -> String {
    let mut line = json!({
        "id": "1", "time": "2026-11-30T09:00:00.000000Z", "kind": "read", "principal": "u", "roles": ["a"], "access": ["m"],
        "operation": "metadata_read", "object": "model:m", "decision": "allow", "policy": "0123456789abcdef",
    });
    for (key, value) in changes.as_object().unwrap() {
        match value.is_null() {
            true => drop(line.as_object_mut().unwrap().remove(key)),
            false => line[key] = value.clone(),
        }
    }
    line.to_string()
}

/// A record of these lines.
fn record(lines: &[String]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("a")).unwrap();
    let none = "0".repeat(64);
    let chained = |(seq, line): (usize, &String)| {
        let inner = line.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
        format!("{{\"seq\":{},{inner},\"prev\":\"{none}\",\"hash\":\"{none}\"}}\n", seq + 1)
    };
    let text: String = lines.iter().enumerate().map(chained).collect();
    fs::write(root.path().join("a/current.jsonl"), text).unwrap();
    root
}

fn replayed(rows: &str, since: Option<&str>, lines: &[String]) -> Replayed {
    let root = record(lines);
    replay(root.path(), since.map(|time| time.parse().unwrap()), policies(rows), true).unwrap()
}

/// What becomes of one line: how it differs, why it is not decided, or `-`.
#[track_caller]
fn check(rows: &str, changes: &serde_json::Value, expected: &str) {
    let replayed = replayed(rows, None, &[line(changes)]);
    let told = match (replayed.differences.as_slice(), replayed.undecided.iter().next()) {
        ([], None) => "-".to_owned(),
        ([], Some((why, count))) => format!("{} {count}", why.as_str()),
        ([one], _) => {
            format!("{} -> {} {:?} x{}", one.was.as_str(), one.allowed, one.rows, one.seen.times)
        }
        (more, _) => format!("{more:?}"),
    };
    assert_eq!(told, expected, "{changes}");
}

#[test]
fn a_decision_differs_or_not() {
    let refused = "u may not model_write model:m: no policy row allows it";
    let deny = format!("{ROWS}p, user:u, model:m, metadata_read, deny\n");
    check(ROWS, &json!({}), "-");
    check(&deny, &json!({}), r#"allowed -> false ["policy.csv:5"] x1"#);
    check(&deny, &json!({ "principal": "v" }), "-");
    check(&deny, &json!({ "kind": "reads", "count": 7 }), r#"allowed -> false ["policy.csv:5"] x7"#);
    check(ROWS, &json!({ "kind": "outcome", "operation": "model_write" }), "-");
    check(ROWS, &json!({ "kind": "outcome", "operation": "model_delete" }), "allowed -> false [] x1");
    check(ROWS, &json!({ "roles": ["b"] }), "allowed -> false [] x1");
    check(ROWS, &json!({ "roles": ["b", "a"] }), "-");
    check(ROWS, &json!({ "demands": ["tracking_read experiment:1"] }), "-");
    check(ROWS, &json!({ "demands": ["tracking_write experiment:1"] }), "allowed -> false [] x1");
    let refusal = json!({
        "kind": "refusal", "operation": "model_write", "decision": "deny", "reason": refused,
    });
    check(ROWS, &refusal, r#"refused -> true ["policy.csv:2"] x1"#);
    let mut more = refusal;
    more["demands"] = json!(["model_write model:other"]);
    check(ROWS, &more, "-");
    let observed = json!({ "reason": format!("observed, would be refused: {refused}") });
    check(ROWS, &observed, r#"observed -> true ["policy.csv:1"] x1"#);
    check("p, role:b, model:*, metadata_read, allow\n", &observed, "-");
}

#[test]
fn a_tokens_models_are_looked_at() {
    let digest = format!("sha256:{}", "0".repeat(64));
    check(ROWS, &json!({ "access": null }), "allowed -> false [] x1");
    check(ROWS, &json!({ "access": ["x", "m*"] }), "-");
    check(ROWS, &json!({ "access": [digest] }), "digest 1");
    // Whatever it opens, it is decided by the rows.
    check(ROWS, &json!({ "access": [digest], "roles": ["b"] }), "allowed -> false [] x1");
    check(ROWS, &json!({ "access": [digest], "roles": ["a", "admin"] }), "-");
    check(ROWS, &json!({ "access": [digest], "operation": "tracking_read", "object": "experiment:1" }), "-");
}

#[test]
fn what_cannot_be_decided_is_counted_by_why() {
    for (changes, expected) in [
        (json!({ "kind": "system" }), "own 1"),
        (json!({ "kind": "head", "count": 1_000 }), "own 1"),
        (json!({ "kind": "system", "operation": "lost", "count": 5_000 }), "lost 5000"),
        (json!({ "kind": "intent" }), "intent 1"),
        (json!({ "principal": null }), "nobody 1"),
        (json!({ "policy": null }), "unasked 1"),
        (json!({ "kind": "refusal", "decision": "deny", "reason": "a house rule" }), "elsewhere 1"),
        (json!({ "operation": null, "object": null }), "nothing_demanded 1"),
        (json!({ "kind": "reads", "object": null, "count": 9 }), "left_out 9"),
        (json!({ "demands": ["metadata_read model:m", "and more"] }), "cut 1"),
        (json!({ "object": "model::?" }), "unreadable 1"),
        (
            json!({ "kind": "refusal", "decision": "deny", "object": "model::a/stage/Canary",
                "reason": "u may not metadata_read model:a/stage/Canary: there can be no such object" }),
            "unreadable 1",
        ),
        (json!({ "operation": "metadata_look" }), "unreadable 1"),
        (json!({ "principal": "a\nb" }), "unreadable 1"),
        (json!({ "time": "yesterday" }), "unreadable 1"),
    ] {
        check(ROWS, &changes, expected);
    }
    let apart = format!("{ROWS}p, user:u, experiment:7, tracking_read, deny\n");
    let every = json!({ "operation": "tracking_read", "object": "experiment:?" });
    check(ROWS, &every, "-");
    check(&apart, &every, "experiment 1");
}

#[test]
fn what_is_alike_is_one_group_with_its_first_and_last_time() {
    let at = |hour: u32| json!(format!("2026-11-30T{hour:02}:00:00.000000Z"));
    let lines = [
        line(&json!({ "time": at(10), "object": "model:n", "access": ["*"] })),
        line(&json!({ "time": at(12) })),
        line(&json!({ "time": at(9), "kind": "reads", "count": 3 })),
        // Another token, and decided alike.
        line(&json!({ "time": at(11), "access": ["m", "n"] })),
        line(&json!({ "time": at(8), "roles": ["a", "b"] })),
        line(&json!({ "kind": "refusal", "operation": "metadata_write", "decision": "deny",
            "reason": "u may not metadata_write model:m: no policy row allows it" })),
    ];
    let rows = "p, role:a, model:*, metadata_write, allow\n";
    let shown = |replayed: &Replayed| -> Vec<String> {
        let of = |one: &Difference| {
            let Seen { times, first, last } = one.seen;
            let (first, last) = (first.strftime("%H"), last.strftime("%H"));
            format!("{} {} {} x{times} {first}-{last}", one.roles.join("+"), one.object, one.allowed)
        };
        replayed.differences.iter().map(of).collect()
    };
    let all = replayed(rows, None, &lines);
    assert_eq!((all.lines, all.decided), (6, 8));
    assert_eq!(
        shown(&all),
        [
            "a model:m false x5 09-12",
            "a model:n false x1 10-10",
            "a+b model:m false x1 08-08",
            "a model:m true x1 09-09"
        ],
        "losses first, what came most often first"
    );
    let later = replayed(rows, Some("2026-11-30T11:00:00Z"), &lines);
    assert_eq!((later.lines, shown(&later)), (2, vec!["a model:m false x2 11-12".to_owned()]));
}

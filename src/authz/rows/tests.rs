//! What a person may write in `policy.csv`, and what they are told when it is not that.

use super::*;
use crate::authz::links::Asker;
use crate::principal::UserId;

const GOOD: &str = "p, role:r, model:*, metadata_read, allow\n";

fn read_text(text: &str) -> Result<Table, Vec<String>> {
    read(Path::new("policy.csv"), text.as_bytes())
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn check(line: &str, expected: &str) {
    let text = format!("# a comment\n{GOOD}\n{line}\n");
    let mistakes = read_text(&text).map(|_| ()).unwrap_err();
    assert_eq!(mistakes, [format!("policy.csv:4: {expected}")]);
}

#[test]
fn a_line_that_is_not_understood_is_never_dropped() {
    check("P, role:r, model:*, model_read, allow", "`P` is not a kind of row: rows begin with `p` or `g`");
    check("p2, role:r, model:*, model_read, allow", "`p2` is not a kind of row: rows begin with `p` or `g`");
    check(
        "p, role:r, model:*, model_read, DENY",
        "`DENY` is neither `allow` nor `deny`; did you mean `deny`?",
    );
    check(
        "p, role:r, model:*, model_raed, allow",
        "`model_raed` is not a permission; did you mean `model_read`?",
    );
    check("p, role:r, model:*, *, allow", "`*` is not a permission");
    check("p, r, model:*, model_read, allow", "`r` is not a subject: write `role:r` or `user:r`");
    check(
        "p, rule:r, model:*, model_read, allow",
        "`rule:r` is not a subject: `rule` is neither `role` nor `user`; did you mean `role`?",
    );
    check("p, role:*, model:*, model_read, allow", "`role:*` holds a `*`; subjects carry no patterns");
    check("p, role:, model:*, model_read, allow", "`role:` names nobody");
    check(
        "p, role:r, model:*, model_read",
        "a `p` row has 4 fields after its kind (`p, subject, object, permission, allow|deny`), this one has 3",
    );
    check(
        "p, role:r, model:*, model_read, allow, yes",
        "a `p` row has 4 fields after its kind (`p, subject, object, permission, allow|deny`), this one has 5",
    );
    check("g, user:u", "a `g` row has 2 fields after its kind (`g, member, role`), this one has 1");
    check("g, user:u, user:v", "`user:v` is not a role; a `g` row gives a role to its member");
    check("p, role:r, model:*, , allow", "a field is empty");
    check(
        "p, role:r, model:*, \"model_read\", allow",
        "\"model_read\" holds a quotation mark; fields are written without",
    );
    check(
        "p, role:r\u{a0}, model:*, model_read, allow",
        "`role:r\\u{a0}` holds a character that cannot be seen",
    );
    check(
        "p, role:r\u{1f}role:admin, model:*, model_read, allow",
        "`role:r\\u{1f}role:admin` holds a character that cannot be seen",
    );
    check("p, role:r, model:*, metadata_read, allow", "the same row as line 2");
}

#[test]
fn an_object_that_can_match_nothing_is_a_mistake() {
    for object in [
        "*",
        "iris",
        "models:*",
        "model:",
        "model:a/b",
        "model:*/stages/Canary",
        "model:*/stage/Prod",
        "model:*/stage/production",
        "model:*/*/Canary",
        "model:?",
        "experiment:?",
        "experiment:1/2",
        "server:*",
        "model:a:b",
    ] {
        let mistakes = read_text(&format!("p, role:r, {object}, model_read, allow")).unwrap_err();
        assert!(mistakes[0].starts_with("policy.csv:1: `"), "{object}: {mistakes:?}");
    }
    for object in [
        "model:*/stage/*_Test",
        "model:a*b/alias/*",
        "model:*/tag/a/b",
        "experiment:*",
        "server",
        "model:été",
    ] {
        assert!(read_text(&format!("p, role:r, {object}, model_read, allow")).is_ok(), "{object}");
    }
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_file() {
    let mistakes = read_text("q, a\np, role:r, model:*, model_read, alow\ng, role:a, role:a").unwrap_err();
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    assert!(mistakes[2].starts_with("policy.csv:3: "), "{mistakes:?}");
}

#[test]
fn bytes_that_an_editor_hides_are_a_mistake() {
    for (bytes, expected) in [
        (
            &b"\xef\xbb\xbfp, role:r"[..],
            "policy.csv:1: begins with a byte order mark; save the file as plain UTF-8",
        ),
        (b"#\n\0", "policy.csv:2: holds a NUL byte; save the file as plain UTF-8"),
        (b"#\n#\n\xff", "policy.csv:3: is not UTF-8"),
        (b"", "policy.csv: there is no `p` row, and an empty policy is never meant"),
        (
            b"# p, role:r, model:*, model_read, allow\ng, user:u, role:r",
            "policy.csv: there is no `p` row, and an empty policy is never meant",
        ),
    ] {
        let mistakes = read(Path::new("policy.csv"), bytes).map(|_| ()).unwrap_err();
        assert_eq!(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn blanks_around_fields_and_windows_line_ends_mean_nothing() {
    let table = read_text("  p ,role:r,\tmodel:* , metadata_read,allow \r\n\r\n  # no\r\n").unwrap();
    assert_eq!(table.rows[0].fields(), ["role:r", "model:*", "metadata_read", "allow"]);
    assert_eq!(table.rows.len(), 1);
}

#[test]
fn a_file_that_only_denies_is_a_policy() {
    assert!(read_text("p, role:r, model:*, metadata_read, deny").is_ok());
}

fn chain(length: usize) -> String {
    let rows: String = (0..length).rev().map(|n| format!("g, role:r{n}, role:r{}\n", n + 1)).collect();
    format!("{GOOD}{rows}")
}

#[test]
fn a_chain_is_followed_or_refused_but_never_cut_short() {
    let table = read_text(&format!("{}g, user:u, role:r1", chain(8))).unwrap();
    let user = UserId::new("u").unwrap();
    assert!(table.links.has_role(Asker { user: Some(&user), roles: &[] }, "r8"));
    let mistakes = read_text(&chain(9)).unwrap_err();
    assert_eq!(mistakes, ["policy.csv:2: more than 8 `g` rows follow one another"]);
    assert!(read_text(&chain(100_000)).is_err(), "a very long chain overflowed something");
}

#[test]
fn a_circle_is_refused_wherever_it_hangs() {
    let rows =
        "g, user:u, role:a\ng, role:a, role:b\ng, role:b, role:c\ng, role:c, role:b\ng, role:c, role:d\n";
    let mistakes = read_text(&format!("{GOOD}{rows}")).unwrap_err();
    let circle = "the role holds itself: these `g` rows go round in a circle";
    assert_eq!(mistakes, [format!("policy.csv:4: {circle}"), format!("policy.csv:5: {circle}")]);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        text in "([pg#,:*/?\t\n ]|role|user|model|allow|stage|server|model_read|[^a-z])*",
    ) {
        for bytes in [&bytes[..], text.as_bytes()] {
            drop(read(Path::new("f"), bytes));
            drop(crate::authz::contract::read(Path::new("f"), bytes));
        }
        drop(crate::authz::parse_object(&text));
    }
}

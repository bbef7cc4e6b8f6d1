//! Rules on stages as people write them, right and wrong, and cases held against them.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use Stage::{
    Archived, Canary, Deprecated, Development, IntegrationTest, PerformanceTest, Production, Shadow, Staging,
    UserAcceptanceTest,
};

fn parse(text: &str) -> Result<Transitions, Vec<String>> {
    let mut mistakes = Vec::new();
    let parsed = Transitions::parse(Path::new("stages.toml"), text.as_bytes(), &mut mistakes);
    mistakes.sort();
    parsed.ok_or_else(|| mistakes.iter().map(ToString::to_string).collect())
}

fn shipped() -> Transitions {
    parse(include_str!("../../../policies/stages.toml")).unwrap()
}

#[test]
fn the_shipped_rules_are_those_of_the_documentation() {
    let stages = shipped();
    let mut expected: Vec<(Stage, Stage, usize, &[&str])> = vec![
        (Development, IntegrationTest, 1, &["unit_test", "data_validation"]),
        (IntegrationTest, PerformanceTest, 1, &["integration_test", "schema_validation"]),
        (PerformanceTest, UserAcceptanceTest, 1, &["performance_test"]),
        (UserAcceptanceTest, Staging, 1, &["acceptance_test"]),
        (Staging, Canary, 1, &["security_scan"]),
        (Canary, Production, 2, &["a_b_test", "security_scan"]),
        (PerformanceTest, Production, 2, &["performance_test", "a_b_test", "security_scan"]),
        (Staging, Shadow, 1, &[]),
        (Shadow, Canary, 1, &[]),
        (Archived, Production, 1, &[]),
        (Archived, Staging, 1, &["security_scan"]),
        (Production, Staging, 0, &[]),
        (Canary, Staging, 0, &[]),
        (Archived, Deprecated, 0, &[]),
    ];
    let serving = Stage::ALL.into_iter().filter(|stage| ![Archived, Deprecated].contains(stage));
    expected.extend(serving.map(|stage| (stage, Archived, 0, &[][..])));
    for (from, to, approvals, tests) in &expected {
        let rule = stages.rule(*from, *to).unwrap();
        let automatic = (*from, *to) == (Development, IntegrationTest);
        let returning = (*from, *to) == (Archived, Production);
        let meant = Transition {
            from: *from,
            to: *to,
            required_approvals: *approvals,
            required_tests: tests.iter().map(ToString::to_string).collect(),
            automatic,
            approver_roles: Vec::new(),
            author_may_approve: true,
            returning,
        };
        assert_eq!(*rule, meant);
    }
    assert_eq!(stages.rules().count(), expected.len());
    assert_eq!(stages.reachable(Staging), [Canary, Shadow, Archived]);
    assert_eq!(stages.reachable(Deprecated), []);
    assert_eq!(stages.approvals_last(), SignedDuration::from_hours(14 * 24));
    assert!(!stages.prompts());
    assert_eq!(stages.gate("champion"), None);
}

/// The shipped rules after one change of their text.
fn changed(from: &str, to: &str) -> Result<Transitions, Vec<String>> {
    let text = include_str!("../../../policies/stages.toml");
    assert!(text.contains(from), "{from}");
    parse(&text.replacen(from, to, 1))
}

#[track_caller]
fn wrong(text: &str, expected: &[&str]) {
    assert_eq!(parse(text).map(|_| ()).expect_err(text), expected, "{text}");
}

#[test]
fn every_mistake_is_told_with_its_line() {
    wrong(
        "finals = []\napprovals_last_days = 0\nprompts = 1\nunused = ['Stagin']\n[[transitions]]\nfrom = 'Dev'\n\
         to = ['Canary', 7]\nrequired_approvals = 21\nrequired_tests = ['', 'a', 'a', 'b c']\nautomatc = true\n\
         [[transitions]]\nfrom = []\nrequired_approvals = 0\nautomatic = 'yes'\n[[gate]]\n[[gates]]\nalias = 'latest'\n\
         like = 'Canari'\nlik = 1\n",
        &[
            "stages.toml:1: unknown key `finals`; did you mean `final`?",
            "stages.toml:2: `approvals_last_days`: expected a whole number from 1 to 3650",
            "stages.toml:3: `prompts`: expected `true` or `false`, found integer",
            "stages.toml:4: `unused`: `Stagin` is no stage; did you mean `Staging`?",
            "stages.toml:6: `from`: `Dev` is no stage",
            "stages.toml:7: `to`: expected a string, found integer",
            "stages.toml:8: `required_approvals`: expected a whole number from 0 to 20",
            "stages.toml:9: `required_tests`: `` is empty",
            "stages.toml:9: `required_tests`: `a` is given twice",
            "stages.toml:9: `required_tests`: `b c` is not a test's name, which has letters, digits, `_`, `-` and `.`",
            "stages.toml:10: unknown key `transitions.automatc`; did you mean `automatic`?",
            "stages.toml:11: `to` is missing from this rule",
            "stages.toml:12: `from`: there is no stage in it",
            "stages.toml:14: `automatic`: expected `true` or `false`, found string",
            "stages.toml:15: unknown key `gate`; did you mean `gates`?",
            "stages.toml:18: `like`: `Canari` is no stage; did you mean `Canary`?",
            "stages.toml:19: unknown key `gates.lik`; did you mean `like`?",
        ],
    );
    wrong(
        "transitions = 1\n",
        &["stages.toml:1: `transitions`: expected sections, each written `[[transitions]]`, found integer"],
    );
    wrong(
        "transitions = [1]\n",
        &["stages.toml:1: `transitions`: expected a section, written `[[transitions]]`, found integer"],
    );
    wrong(
        "\n[transitions]\n",
        &["stages.toml:2: `transitions`: expected sections, each written `[[transitions]]`, found table"],
    );
    for text in ["", "# nothing\n", "final = ['Deprecated']\n"] {
        let told = parse(text).unwrap_err();
        assert!(
            told.len() == 1 && told[0].starts_with("stages.toml: there is no `[[transitions]]`"),
            "{told:?}"
        );
    }
    let told = parse("[[transitions]\n").unwrap_err();
    assert!(told.len() == 1 && told[0].starts_with("stages.toml:1: is not TOML: "), "{told:?}");
    assert!(parse("transitions = []").unwrap().reachable(Development).is_empty());
}

#[test]
fn a_rule_that_forgets_who_must_approve_is_not_open() {
    let rule = |more: &str| format!("[[transitions]]\nfrom = 'Canary'\nto = 'Production'\n{more}\n");
    for (more, what) in [
        ("", "1: `required_approvals` is missing from this rule"),
        (
            "required_approvals = '2'",
            "4: `required_approvals`: expected a whole number from 0 to 20, found string",
        ),
        ("required_approvals = -1", "4: `required_approvals`: expected a whole number from 0 to 20"),
        (
            "required_approvals = 99999999999999999999",
            "4: `required_approvals`: expected a whole number from 0 to 20",
        ),
        (
            "required_approvals = 2.0",
            "4: `required_approvals`: expected a whole number from 0 to 20, found float",
        ),
        (
            "required_approvals = 0\napprover_roles = ['a']",
            "1: `approver_roles` says who may approve, and this rule asks for no approval",
        ),
        (
            "required_approvals = 0\nauthor_may_approve = false",
            "1: `author_may_approve` says who may approve, and this rule asks for no approval",
        ),
        (
            "required_approvals = 1\napprover_roles = []",
            "5: `approver_roles`: nobody has a role out of none; leave it out to let any approver do",
        ),
        (
            "required_approvals = 1\napprover_roles = ['role:a']",
            "5: `approver_roles`: `role:a` is a role's name with something before it; write the name alone, and no user's",
        ),
        ("required_approvals = 1\napprover_roles = ['']", "5: `approver_roles`: `` is not a role's name"),
        ("required_approvals = 1\napprover_roles = ['a', 'a']", "5: `approver_roles`: `a` is given twice"),
        ("required_approvals = 1\nrequired_approvals = 0", "5: `required_approvals` is given twice"),
    ] {
        wrong(&rule(more), &[&format!("stages.toml:{what}")]);
    }
}

#[test]
fn rules_must_make_sense_together() {
    let block = "[[transitions]]\nfrom = ";
    for (from, to, place, what) in [
        (
            "final = [\"Deprecated\"]",
            "",
            "",
            "Deprecated cannot be left; where that is meant, list it as `final`",
        ),
        ("[\"Deprecated\"]", "[\"Archived\", \"Deprecated\"]", "final = ", "`final`: a rule leaves Archived"),
        ("unused = []", "unused = [\"Shadow\"]", "unused = ", "`unused`: a rule leads to Shadow"),
        ("unused = []", "unused = [\"none\"]", "unused = ", "`unused`: every version begins in Development"),
        (
            "from = \"Staging\"\nto = \"Shadow\"",
            "from = \"Staging\"\nto = \"Deprecated\"",
            "",
            "Shadow cannot be reached from Development; where it is not used, list it as `unused`",
        ),
        (
            "to = \"Shadow\"\n",
            "to = \"Shadow\"\nreturning = true\n",
            "",
            "Shadow cannot be reached from Development",
        ),
        (
            "from = \"Canary\"\nto = \"Production\"",
            "from = [\"Canary\", \"Production\"]\nto = \"production\"",
            &format!("{block}[\"Canary\""),
            "a rule from Production to Production: no version goes to where it stands",
        ),
        (
            "from = \"Shadow\"\nto = \"Canary\"",
            "from = [\"Shadow\", \"Staging\"]\nto = \"Canary\"",
            &format!("{block}[\"Shadow\""),
            "the rule from Staging to Canary is given twice; line ",
        ),
        (
            "    \"Shadow\",\n",
            "    \"Shadow\",\n    \"SHADOW\",\n",
            "    \"SHADOW\"",
            "`from`: Shadow is given twice",
        ),
    ] {
        let told = changed(from, to).map(|_| ()).unwrap_err();
        let text = include_str!("../../../policies/stages.toml").replacen(from, to, 1);
        let line = text.split(place).next().unwrap().matches('\n').count() + 1;
        let place =
            if place.is_empty() { "stages.toml: ".to_owned() } else { format!("stages.toml:{line}: ") };
        assert!(told.len() == 1 && told[0].starts_with(&format!("{place}{what}")), "{place}{what}: {told:?}");
    }
}

#[test]
fn a_house_may_do_with_three_stages() {
    let rule = |from: &str, to: &str| {
        format!("[[transitions]]\nfrom = '{from}'\nto = '{to}'\nrequired_approvals = 0\n")
    };
    let head = "final = ['Archived']\nunused = ['Integration_Test', 'Performance_Test', 'User_Acceptance_Test', 'Staging', \
                'Canary', 'Shadow', 'Deprecated']\n";
    let three = format!("{head}{}{}", rule("Development", "Production"), rule("Production", "Archived"));
    assert_eq!(parse(&three).unwrap().reachable(Development), [Production]);
    // What MLflow had there before sekisho came may be led out.
    assert!(parse(&format!("{three}{}", rule("Staging", "Archived"))).is_ok());
    let circle = format!(
        "{head}{}{}{}",
        rule("Development", "Archived"),
        rule("Production", "Staging"),
        rule("Staging", "Production")
    );
    wrong(
        &circle,
        &[
            "stages.toml: Production cannot be reached from Development",
            "stages.toml:2: `unused`: a rule leads to Staging",
        ],
    );
}

#[test]
fn a_gate_closes_every_spelling_that_some_database_takes_for_one() {
    let gates = |gates: &str| changed("# [[gates]]", &format!("{gates}\n#"));
    let stages = gates(
        "[[gates]]\nalias = 'Café-1'\nlike = 'production'\n[[gates]]\nalias = 'next'\nlike = 'Canary'\n",
    )
    .unwrap();
    for (alias, expected) in [
        ("Café-1", Some(Production)),
        ("CAFE\u{301}-1", Some(Production)),
        ("cafe-1", Some(Production)),
        ("ｃafe-1", Some(Production)),
        ("NEXT", Some(Canary)),
        ("next1", None),
        ("nex", None),
        ("", None),
    ] {
        assert_eq!(stages.gate(alias), expected, "{alias}");
    }
    for (written, expected) in [
        ("alias = 'latest'\nlike = 'Canary'", "`alias`: `latest` is an alias that MLflow keeps for itself"),
        ("alias = 'V12'\nlike = 'Canary'", "`alias`: `V12` is an alias that MLflow keeps for itself"),
        ("alias = 'a b'\nlike = 'Canary'", "`alias`: `a b` is no alias: "),
        ("alias = ''\nlike = 'Canary'", "`alias`: `` is no alias: "),
        ("alias = 'a'", "`like` is missing from this gate"),
        ("like = 'Canary'", "`alias` is missing from this gate"),
        (
            "alias = 'a'\nlike = 'Development'",
            "`like`: no rule leads to Development, so nothing could be given `a`",
        ),
        (
            "alias = 'a'\nlike = 'Canary'\n[[gates]]\nalias = 'A'\nlike = 'Staging'",
            "`alias`: `A` is given twice",
        ),
    ] {
        let told = gates(&format!("[[gates]]\n{written}")).map(|_| ()).unwrap_err();
        assert!(told.len() == 1 && told[0].contains(expected), "{written}: {told:?}");
    }
}

#[test]
fn one_person_in_other_letters_is_one_person() {
    for (one, other) in [
        ("alice@company.com", "Alice@Company.COM"),
        ("strauß", "STRAUSS"),
        ("ﬁn", "FIN"),
        ("ａlice", "alice"),
        ("alice", " alice\u{200b}"),
        ("alice", "al\u{ad}ice"),
        ("café", "CAFE\u{301}"),
        ("ΟΔΟΣ", "οδος"),
        ("ﬃ\u{345}", "FFIΙ"),
        ("ı", "I"),
        ("\u{1e9e}", "ss"),
        ("ǆ", "ǅ"),
    ] {
        assert_eq!(folded(one), folded(other), "{one} {other}");
    }
    for (one, other) in
        [("alice", "alicia"), ("a.b", "ab"), ("café", "cafe"), ("alice", "аlice"), ("a b", "ab")]
    {
        assert_ne!(folded(one), folded(other), "{one} {other}");
    }
}

#[test]
fn folding_is_done_once_and_for_all() {
    for letter in ('\0'..='\u{1ffff}').chain('\u{e0000}'..='\u{e01ff}') {
        let text = format!("a{letter}b");
        let once = folded(&text);
        assert_eq!(folded(&once), once, "{letter:?}");
        assert_eq!(folded(&text.to_uppercase()), once, "{letter:?}");
        assert_eq!(folded(&text.to_lowercase()), once, "{letter:?}");
    }
}

mod cases;

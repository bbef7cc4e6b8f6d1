//! Rules that somebody can satisfy, and rules that nobody can.

use std::fmt::Write;
use std::path::Path;

use crate::authz::folder::Sources;
use crate::authz::policy::PolicySet;
use crate::authz::tests::sources;

const ASK: &str = "p, role:engineer, model:*, stage_transition, allow\n";

/// A house of two stages, with this in the rule between them, under these rows.
fn house(rule: &str, rows: &str) -> Result<PolicySet, Vec<String>> {
    let stages = format!(
        "final = ['Staging']\nunused = ['Integration_Test', 'Performance_Test', 'User_Acceptance_Test', 'Canary', \
         'Production', 'Shadow', 'Archived', 'Deprecated']\n[[transitions]]\nfrom = 'Development'\nto = 'Staging'\n{rule}"
    );
    PolicySet::build(Sources { stages: stages.into(), ..sources(rows, "") })
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn check(rule: &str, rows: &str, expected: Option<&str>) {
    let found = house(rule, rows).err().unwrap_or_default();
    let expected: Vec<String> = expected
        .map(|what| format!("policies/stages.toml:3: from Development to Staging: {what}"))
        .into_iter()
        .collect();
    assert_eq!(found, expected, "{rule}\n{rows}");
}

const NOBODY: Option<&str> = Some(super::NOBODY_ASKS);

#[test]
fn somebody_must_be_able_to_ask() {
    for (rows, expected) in [
        (ASK, None),
        ("p, role:r, model:*, metadata_read, allow", NOBODY),
        ("p, role:r, model:*, stage_approve, allow", NOBODY),
        ("p, role:r, model:*/stage/Staging, stage_transition, allow", NOBODY),
        ("p, user:ada, model:a_*_b, stage_transition, allow", None),
        // One person may hold both roles; no person is two.
        (
            "p, role:r, model:*/stage/Staging, stage_transition, allow\n\
             p, role:s, model:*/stage/Development, stage_transition, allow",
            None,
        ),
        (
            "p, user:r, model:*/stage/Staging, stage_transition, allow\n\
             p, user:s, model:*/stage/Development, stage_transition, allow",
            NOBODY,
        ),
        (
            "p, user:r, model:*/stage/Staging, stage_transition, allow\n\
             p, role:s, model:*/stage/Development, stage_transition, allow",
            None,
        ),
        (
            "p, role:r, model:*/stage/Staging, stage_transition, allow\n\
             p, role:s, model:*/stage/Development, stage_transition, allow\n\
             p, role:s, model:*/stage/Staging, stage_transition, deny",
            NOBODY,
        ),
        // Two models are not one.
        (
            "p, role:r, model:a/stage/Staging, stage_transition, allow\n\
             p, role:r, model:b/stage/Development, stage_transition, allow",
            NOBODY,
        ),
        (&format!("{ASK}p, role:engineer, model:*/stage/Staging, stage_transition, deny"), NOBODY),
        (
            &format!(
                "{ASK}p, role:engineer, model:*/stage/Staging, stage_transition, deny\n\
                 p, role:lead, model:iris, stage_transition, allow"
            ),
            None,
        ),
        (&format!("{ASK}p, role:engineer, model:e*, stage_transition, deny"), None),
    ] {
        check("required_approvals = 0", rows, expected);
    }
}

#[test]
fn enough_others_must_be_able_to_approve() {
    let approve = |who: &str| format!("p, {who}, model:*/stage/Staging, stage_approve, allow\n");
    let (ada, bob, lead) = (approve("user:ada"), approve("user:bob"), approve("role:lead"));
    let told = |needed: &str, who: &str| {
        format!(
            "{needed} must approve besides the one who asks, and policy.csv gives stage_approve on Staging to {who}"
        )
    };
    for (approvals, rows, expected) in [
        (1, "", Some(told("1 person", "nobody"))),
        (20, lead.as_str(), None),
        (1, &ada, None),
        (2, &ada, Some(told("2 people", "user:ada alone"))),
        (2, &format!("{ada}{bob}"), None),
        (3, &format!("{ada}{bob}"), Some(told("3 people", "user:ada, user:bob alone"))),
        (2, &format!("{ada}{}", approve("user:ADA")), Some(told("2 people", "user:ADA alone"))),
        (1, &format!("{lead}p, role:lead, model:*, stage_approve, deny"), Some(told("1 person", "nobody"))),
        (
            1,
            "p, role:lead, model:*/stage/Development, stage_approve, allow",
            Some(told("1 person", "nobody")),
        ),
    ] {
        let rows = format!("{ASK}{rows}");
        check(&format!("required_approvals = {approvals}"), &rows, expected.as_deref());
    }
}

#[test]
fn who_alone_may_ask_is_no_approver() {
    let rows = "p, user:ada, model:*, stage_transition, allow\np, user:ada, model:*, stage_approve, allow\n";
    let told = "1 person must approve besides the one who asks, and policy.csv gives stage_approve on Staging to user:ada alone";
    check("required_approvals = 1", rows, Some(told));
    check("required_approvals = 1", &format!("{rows}p, user:bob, model:*, stage_approve, allow"), None);
    check("required_approvals = 1", &format!("{rows}p, user:bob, model:*, stage_transition, allow"), None);
}

#[test]
fn an_approver_must_have_one_of_the_roles() {
    let rule = "required_approvals = 1\napprover_roles = ['product', 'risk']";
    let none = "1 person with the role product or risk must approve besides the one who asks, and policy.csv gives \
                stage_approve on Staging to nobody";
    for (rows, expected) in [
        ("p, role:product, model:*, stage_approve, allow", None),
        // Whoever is both.
        ("p, role:lead, model:*, stage_approve, allow", None),
        ("p, user:ada, model:*, stage_approve, allow", None),
        ("p, role:lead, model:*, stage_approve, allow\np, role:product, model:*, stage_approve, deny", None),
        (
            "p, role:lead, model:*, stage_approve, allow\np, role:product, model:*, stage_approve, deny\n\
             p, role:risk, model:*/stage/Staging, stage_approve, deny",
            Some(none),
        ),
        ("", Some(none)),
    ] {
        check(rule, &format!("{ASK}{rows}"), expected);
    }
}

#[test]
fn the_shipped_rules_can_be_satisfied_and_a_row_that_they_rest_on_is_missed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let shipped = Sources::read(&root).unwrap();
    PolicySet::build(shipped.clone()).unwrap();
    let rows = String::from_utf8(shipped.policy.clone()).unwrap();
    let without = rows.replace("p, role:admin, model:*, stage_transition, allow\n", "");
    assert_ne!(rows, without);
    let empty = Vec::new();
    let told = PolicySet::build(Sources { policy: without.into(), decisions: empty, ..shipped })
        .map(|_| ())
        .unwrap_err();
    let into_production = told.iter().filter(|mistake| mistake.what().contains("Production")).count();
    assert_eq!((told.len(), into_production), (5, 5), "{told:?}");
}

#[test]
fn thousands_of_models_with_too_few_approvers_each_are_gone_through_in_time() {
    let mut rows = ASK.to_owned();
    for number in 0..1_000 {
        writeln!(rows, "p, user:u{number}, model:m{number}, stage_approve, allow").unwrap();
    }
    let told = "2 people must approve besides the one who asks, and policy.csv gives stage_approve on Staging to user:u0 alone";
    check("required_approvals = 2", &rows, Some(told));
    writeln!(rows, "p, user:w, model:m999, stage_approve, allow").unwrap();
    check("required_approvals = 2", &rows, None);
}

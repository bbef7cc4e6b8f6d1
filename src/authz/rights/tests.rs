//! Every row that has a part in an answer is named, and none that has not.

use super::*;
use crate::authz::Mode;
use crate::authz::tests::{demand, policies, principal};

const ROWS: &str = "p, role:a, model:*, metadata_read, allow\n\
                    p, role:b, model:*, metadata_read, allow\n\
                    p, user:ann, model:x, metadata_read, allow\n\
                    p, role:a, model:x*, metadata_read, allow\n\
                    p, role:a, model:*x, metadata_read, allow\n\
                    p, role:a, model:y, metadata_read, allow\n\
                    p, role:a, model:y/tag/k, metadata_read, allow\n\
                    p, role:a, model:z, metadata_read, deny\n\
                    p, role:a, experiment:*, tracking_read, allow\n\
                    p, role:a, experiment:7, tracking_read, allow\n\
                    p, role:admin, server, admin, allow\n\
                    g, user:ann, role:a\n\
                    g, role:a, role:b\n\
                    g, user:bob, role:admin\n\
                    g, user:bob, role:lead\n\
                    g, role:lead, role:b\n";

/// The lines of the rows that give somebody what they ask for.
#[track_caller]
fn check(user: &str, roles: &[&str], models: &[&str], asked: &str, expected: &[&str]) {
    let settings = Settings { require_model_access: true, mode: Mode::Enforce };
    let rights = Rights::of(Arc::new(policies(ROWS)), settings);
    let told: Vec<String> = rights
        .giving(&principal(user, roles, models), &demand(asked))
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected: Vec<String> = expected.iter().map(|line| format!("policy.csv:{line}")).collect();
    assert_eq!(told, expected, "{user} {asked}");
}

#[test]
fn every_row_that_would_do_is_named() {
    let all = &["*"];
    check("ann", &[], all, "metadata_read model:x", &["1", "2", "3", "4", "5", "12", "13"]);
    check("ann", &["a"], all, "metadata_read model:y", &["1", "2", "6", "12", "13"]);
    check("eve", &["a"], all, "metadata_read model:y/tag/k", &["1", "2", "6", "7", "13"]);
    check("eve", &["b"], all, "metadata_read model:y", &["2"]);
    check("eve", &["a"], all, "tracking_read experiment:7", &["9", "10"]);
}

#[test]
fn a_row_that_others_overrule_gives_nothing() {
    check("ann", &[], &["*"], "metadata_read model:z", &[]);
    check("eve", &["a"], &["y"], "metadata_read model:x", &[]);
    check("eve", &["a"], &["*"], "metadata_write model:x", &[]);
}

#[test]
fn a_list_is_made_of_every_row_that_puts_models_into_it() {
    check("ann", &[], &[], "metadata_read model:?", &["1", "2", "3", "4", "5", "6", "12", "13"]);
    check("eve", &["a"], &[], "tracking_read experiment:?", &["9"]);
}

#[test]
fn a_role_that_only_spares_the_claim_is_needed_for_that() {
    check("bob", &["b"], &[], "metadata_read model:y", &["2", "14", "15", "16"]);
    check("bob", &["b"], &[], "metadata_read model:?", &["2", "14", "15", "16"]);
    check("bob", &["b"], &["y"], "metadata_read model:y", &["2", "15", "16"]);
}

#[test]
fn rows_are_told_as_they_stand_in_the_file() {
    let rows = "g, user:ann, role:a\np, role:a,model:*,  metadata_read, allow\np, role:a, model:z, metadata_read, deny\n";
    let settings = Settings { require_model_access: true, mode: Mode::Enforce };
    let told = Rights::of(Arc::new(policies(rows)), settings).rows();
    let told: Vec<String> = told.iter().map(|(row, says)| format!("{row} {says}")).collect();
    assert_eq!(
        told,
        ["policy.csv:1 g, user:ann, role:a", "policy.csv:2 p, role:a, model:*, metadata_read, allow"]
    );
}

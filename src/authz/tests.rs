//! The room as a whole: the shipped policies, claims, permits, observing.

use std::path::Path;

use super::*;
use crate::authz::folder::Sources;
use crate::principal::{ModelAccess, RoleName, TokenId};

/// A principal with these roles and models.
pub(super) fn principal(user: &str, roles: &[&str], models: &[&str]) -> Principal {
    Principal {
        user: UserId::new(user).unwrap(),
        roles: roles.iter().map(|role| RoleName::new(role).unwrap()).collect(),
        models: ModelAccess::new(models.iter().copied()),
        token: TokenId::new("t").unwrap(),
    }
}

/// The sources of a folder with these rows and no decisions.
pub(super) fn sources(policy: &str, decisions: &str) -> Sources {
    Sources {
        dir: "policies".into(),
        model: engine::MODEL.into(),
        policy: policy.into(),
        decisions: decisions.into(),
        rules: Vec::new(),
        stages: "transitions = []\n".into(),
        schema: b"{}".into(),
    }
}

/// A set with these rows.
pub(super) fn policies(policy: &str) -> PolicySet {
    PolicySet::build(sources(policy, "")).unwrap()
}

/// `permission object`, as a demand.
pub(super) fn demand(text: &str) -> Demand {
    let (permission, object) = text.split_once(' ').unwrap();
    Demand::new(Permission::from_word(permission).unwrap(), parse_object(object).unwrap())
}

fn shipped() -> PolicySet {
    PolicySet::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap()
}

const ENFORCE: Settings = Settings { require_model_access: true, mode: Mode::Enforce };

fn authorizer(policies: PolicySet, settings: Settings) -> Authorizer {
    Authorizer::new(in_force(policies).1, settings)
}

fn ask(authorizer: &Authorizer, who: Principal, demands: &[&str]) -> Result<Permit, Denied> {
    authorizer.decide(authorizer.current(), Arc::new(who), demands.iter().map(|text| demand(text)).collect())
}

#[test]
fn the_shipped_policies_keep_the_contract() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/decisions.tsv");
    let lines = contract::read(&file, &std::fs::read(&file).unwrap()).unwrap();
    assert!(lines.len() >= 300, "{} lines are too few for every role, permission and model", lines.len());
    let authorizer = authorizer(shipped(), ENFORCE);
    for line in lines {
        let roles: Vec<&str> = line.roles.iter().map(RoleName::as_str).collect();
        let user = line.user.as_ref().map_or("someone@company.com", UserId::as_str);
        let who = Arc::new(principal(user, &roles, &["own_model"]));
        let answer = authorizer.decide(authorizer.current(), who, vec![line.demand.clone()]);
        assert_eq!(answer.is_ok(), line.allowed, "line {}: {:?} {}", line.line, line.roles, line.demand);
    }
}

#[test]
fn the_shipped_rows_are_the_table_of_roles() {
    let policies = shipped();
    assert!(!policies.distinguishes_experiments());
    for permission in Permission::ALL {
        let admin = principal("root", &["admin"], &[]);
        let object = match permission {
            Permission::TrackingRead | Permission::TrackingWrite | Permission::TrackingDelete => {
                "experiment:1"
            }
            Permission::Admin | Permission::AuditRead => "server",
            Permission::MetadataRead
            | Permission::MetadataWrite
            | Permission::ModelRead
            | Permission::ModelWrite
            | Permission::ModelDelete
            | Permission::ModelDeploy
            | Permission::StageTransition
            | Permission::StageApprove
            | Permission::EvidenceWrite => "model:x",
        };
        assert!(policies.decide(&admin, &demand(&format!("{permission} {object}"))).allowed, "{permission}");
    }
}

#[track_caller]
fn check_sentence(who: Principal, demands: &[&str], expected: &str) {
    let rows = "p, role:r, model:*, model_write, allow\np, role:r, model:y, model_write, deny\n\
                p, user:u, model:y, model_write, deny";
    let denied = ask(&authorizer(policies(rows), ENFORCE), who, demands).unwrap_err();
    assert_eq!(denied.to_string(), expected);
}

#[test]
fn a_refusal_says_who_what_and_why() {
    check_sentence(
        principal("a@b", &["r"], &["*"]),
        &["model_delete model:x"],
        "a@b may not model_delete model:x: no policy row allows it",
    );
    check_sentence(
        principal("a@b", &["r"], &["*"]),
        &["model_write model:y/tag/k"],
        "a@b may not model_write model:y/tag/k: policy.csv:2 denies it",
    );
    check_sentence(
        principal("u", &["r"], &["*"]),
        &["model_write model:x", "model_write model:y"],
        "u may not model_write model:y: policy.csv:2, policy.csv:3 deny it",
    );
    check_sentence(
        principal("a@b", &["r"], &["x1"]),
        &["model_write model:x"],
        "a@b may not model_write model:x: the token's model_access does not name it",
    );
    check_sentence(
        principal("a@b", &["r"], &["*"]),
        &[],
        "a@b may not do this: the operation demands no permission",
    );
}

#[track_caller]
fn check_claim(roles: &[&str], models: &[&str], wanted: &str, require_model_access: bool, expected: bool) {
    let rows = "p, role:r, model:*, metadata_read, allow\np, role:r, experiment:*, tracking_read, allow\n\
                p, role:admin, model:*, metadata_read, allow\np, role:auditor, model:*, metadata_read, allow\n\
                g, user:given, role:boss\ng, role:boss, role:admin";
    let settings = Settings { require_model_access, mode: Mode::Enforce };
    let user = if roles.is_empty() { "given" } else { "ada" };
    let answer = ask(&authorizer(policies(rows), settings), principal(user, roles, models), &[wanted]);
    assert_eq!(answer.is_ok(), expected, "{roles:?} {models:?} {wanted} {require_model_access}");
}

#[test]
fn a_model_takes_both_the_row_and_the_claim() {
    check_claim(&["r"], &["x"], "metadata_read model:x", true, true);
    check_claim(&["r"], &[], "metadata_read model:x", true, false);
    check_claim(&["r"], &["y"], "metadata_read model:x/alias/a", true, false);
    check_claim(&["r"], &[], "metadata_read model:x", false, true);
    check_claim(&["r"], &["x"], "model_write model:x", true, false);
    check_claim(&["r"], &[], "metadata_read model:?", true, true);
    check_claim(&["r"], &[], "tracking_read experiment:1", true, true);
    check_claim(&["admin"], &[], "metadata_read model:x", true, true);
    check_claim(&["auditor"], &[], "metadata_read model:x", true, true);
    check_claim(&[], &[], "metadata_read model:x", true, true);
    check_claim(&["Admin"], &["x"], "metadata_read model:x", true, false);
}

#[test]
fn a_permit_grows_and_filters_by_the_policy_it_was_made_under() {
    let before = "p, role:r, model:*, metadata_read, allow\np, role:r, model:secret, metadata_read, deny\n\
                  p, role:r, model:*, model_read, allow";
    let (writer, reader) = in_force(policies(before));
    let authorizer = Authorizer::new(reader, ENFORCE);
    let permit =
        ask(&authorizer, principal("u", &["r"], &["x", "secret"]), &["metadata_read model:?"]).unwrap();
    let version = permit.policy().clone();
    writer.put_in_force(policies("p, role:r, model:*, metadata_read, deny"));

    let covered =
        |permit: &Permit, name: &str| permit.covers(Permission::MetadataRead, &Object::Model(name.into()));
    assert!(covered(&permit, "x"));
    assert!(!covered(&permit, "secret"), "a row denies it");
    assert!(!covered(&permit, "y"), "the token does not name it");
    let permit = permit.and(vec![demand("model_read model:x")]).unwrap();
    assert_eq!(permit.demands().len(), 2);
    assert_eq!(
        permit.rows().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["policy.csv:1", "policy.csv:3"]
    );
    assert_eq!(*permit.policy(), version);
    assert!(permit.and(vec![demand("model_write model:x")]).is_err());
    assert_ne!(*authorizer.current().version(), version);
    assert!(ask(&authorizer, principal("u", &["r"], &["x"]), &["metadata_read model:x"]).is_err());
}

#[test]
fn observing_lets_through_what_a_role_could_be_given_and_nothing_more() {
    let settings = Settings { require_model_access: true, mode: Mode::Observe };
    let authorizer = authorizer(policies("p, role:r, model:*, metadata_read, allow"), settings);
    let who = || principal("u", &["r"], &["x"]);

    let permit = ask(&authorizer, who(), &["metadata_read model:x"]).unwrap();
    assert!(permit.observed().is_none());
    let permit = ask(&authorizer, who(), &["metadata_read model:x", "model_delete model:x"]).unwrap();
    let observed = permit.observed().unwrap().to_string();
    assert_eq!(observed, "u may not model_delete model:x: no policy row allows it");
    let permit = ask(&authorizer, who(), &["metadata_read model:other"]).unwrap();
    assert!(matches!(permit.observed().unwrap().reason(), Reason::ModelAccess));
    assert!(permit.covers(Permission::MetadataRead, &Object::Model("other".into())));
    assert!(!permit.covers(Permission::Admin, &Object::Server));

    let later = permit.later();
    assert!(
        permit.rests_on(Permission::MetadataRead, Object::Model("x".into())) && later.observed().is_none()
    );
    assert!(permit.also(&[demand("model_read model:x"), demand("model_delete model:x")]).is_ok());
    assert!(!permit.rests_on(Permission::Admin, Object::Server));
    let told: Vec<String> = later.demands().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["metadata_read model:x", "model_read model:x", "model_delete model:x"]);
    let observed = later.observed().unwrap().to_string();
    assert_eq!(observed, "u may not model_read model:x: no policy row allows it", "the first of them");

    for closed in ["admin server", "admin model:x", "audit_read server"] {
        assert!(ask(&authorizer, who(), &[closed]).is_err(), "{closed}");
    }
    let ambiguous = vec![Demand::new(Permission::ModelRead, Object::Model("x/stage/Production".into()))];
    assert!(authorizer.decide(authorizer.current(), Arc::new(who()), ambiguous).is_err());
    assert!(authorizer.decide(authorizer.current(), Arc::new(who()), vec![]).is_err());
}

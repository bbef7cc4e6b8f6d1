//! Who could do what with a model, told in short.

use super::*;
use crate::authz::tests::policies;

fn told(rows: &str, model: &str) -> Vec<String> {
    let words = |permissions: &[Permission]| {
        permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join("+")
    };
    let short = |access: &Access| {
        let below: Vec<String> = access
            .below
            .iter()
            .map(|below| {
                format!("{}{}@{}", if below.allowed { "+" } else { "-" }, below.permission, below.object)
            })
            .collect();
        format!(
            "{}{}|{}|{}|{}|{}",
            access.subject,
            if access.needs_no_claim { "!" } else { "" },
            access.holds.join(","),
            words(&access.allowed),
            below.join(" "),
            words(&access.denied)
        )
    };
    access(&policies(rows), model).iter().map(short).collect()
}

#[track_caller]
fn check(rows: &str, expected: &[&str]) {
    assert_eq!(told(rows, "x"), expected, "{rows}");
}

#[test]
fn roles_users_and_members_are_told_with_what_they_may() {
    check(
        "p, role:a, model:*, metadata_read, allow\n\
         p, role:a, model:x, model_read, allow\n\
         p, role:b, model:y, model_read, allow\n\
         p, user:eve, model:x, metadata_read, deny\n\
         g, user:ann, role:c\n\
         g, role:c, role:a\n\
         g, user:eve, role:a\n\
         g, user:zoe, role:nothing\n",
        &[
            "role:a||metadata_read+model_read||",
            "role:c|role:a|metadata_read+model_read||",
            "user:ann|role:a,role:c|metadata_read+model_read||",
            "user:eve|role:a|model_read||metadata_read",
        ],
    );
}

#[test]
fn what_is_otherwise_below_the_model_is_told() {
    check(
        "p, role:a, model:*, stage_transition, allow\n\
         p, role:a, model:*/stage/Production, stage_transition, deny\n\
         p, role:b, model:x/stage/P*, stage_approve, allow\n\
         p, role:b, model:y/stage/Canary, stage_approve, allow\n\
         p, role:c, model:*/tag/evidence.*, evidence_write, allow\n\
         p, role:c, model:*/alias/prod, model_deploy, allow\n",
        &[
            "role:a||stage_transition|-stage_transition@stage/Production|",
            "role:b|||+stage_approve@stage/Performance_Test +stage_approve@stage/Production|",
            "role:c|||+model_deploy@alias/prod +evidence_write@tag/evidence.*|",
        ],
    );
}

#[test]
fn who_needs_no_claim_is_told() {
    check(
        "p, role:admin, model:*, metadata_read, allow\ng, user:bob, role:admin\n",
        &["role:admin!||metadata_read||", "user:bob!|role:admin|metadata_read||"],
    );
}

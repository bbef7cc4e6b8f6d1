//! The index and the memory change nothing: random policies, decided four ways.

use proptest::prelude::*;

use super::*;
use crate::authz::tests::{demand, policies, principal, sources};

/// One random row in plain words.
#[derive(Clone, Debug)]
struct Words {
    subject: &'static str,
    object: &'static str,
    permission: &'static str,
    allows: bool,
}

const SUBJECTS: [&str; 6] = ["user:u", "user:admin", "role:a", "role:b", "role:c", "role:admin"];
const PATTERNS: [&str; 22] = [
    "model:*",
    "model:x",
    "model:xy",
    "model:x*",
    "model:*y",
    "model:x*y",
    "model:*x*",
    "model:été*",
    "model:x/stage/Canary",
    "model:*/stage/Canary",
    "model:*/stage/*",
    "model:x*/stage/C*",
    "model:x/alias/*",
    "model:*/alias/a",
    "model:x/tag/k*",
    "model:*/tag/*",
    "model:*/tag/*/*",
    "experiment:*",
    "experiment:1",
    "experiment:1*",
    "experiment:*1",
    "server",
];
const PERMISSIONS: [&str; 2] = ["model_read", "admin"];

fn words() -> impl Strategy<Value = Words> {
    use prop::sample::select;
    (select(&SUBJECTS[..]), select(&PATTERNS[..]), select(&PERMISSIONS[..]), prop::bool::weighted(0.75))
        .prop_map(|(subject, object, permission, allows)| Words { subject, object, permission, allows })
}

fn asked() -> impl Strategy<Value = Object> {
    let name =
        || prop::sample::select(vec!["x", "xy", "xzy", "zx", "*", "x*", "x*y", "?", "été1", "éte", "q"]);
    let boxed = |text: &str| -> Box<str> { text.into() };
    prop_oneof![
        3 => name().prop_map(move |n| Object::Model(boxed(n))),
        3 => (name(), prop::sample::select(vec!["Canary", "canary", "Production", "None"]))
            .prop_map(move |(n, s)| Object::Stage(boxed(n), boxed(s))),
        2 => (name(), prop::sample::select(vec!["a", "b"])).prop_map(move |(n, a)| Object::Alias(boxed(n), boxed(a))),
        2 => (name(), prop::sample::select(vec!["k", "k1", "k/l"])).prop_map(move |(n, k)| Object::Tag(boxed(n), boxed(k))),
        2 => prop::sample::select(vec!["1", "11", "2", "21", "?", "*"]).prop_map(move |id| Object::Experiment(boxed(id))),
        1 => Just(Object::SomeModel),
        1 => Just(Object::EveryExperiment),
        1 => Just(Object::Server),
    ]
}

/// `g` rows that cannot go round: each points further down the list.
fn given() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    const ORDER: [&str; 6] = ["user:u", "user:admin", "role:a", "role:b", "role:c", "role:admin"];
    prop::collection::vec((0..ORDER.len(), 2..ORDER.len()), 0..5).prop_map(|pairs| {
        pairs.into_iter().filter(|(member, role)| member < role).map(|(m, r)| (ORDER[m], ORDER[r])).collect()
    })
}

/// The text of a policy, without repeated rows.
fn file(rows: &[Words], given: &[(&str, &str)]) -> String {
    let p = rows.iter().map(|row| {
        let effect = if row.allows { "allow" } else { "deny" };
        format!("p, {}, {}, {}, {effect}\n", row.subject, row.object, row.permission)
    });
    let g = given.iter().map(|(member, role)| format!("g, {member}, {role}\n"));
    let mut seen = std::collections::HashSet::new();
    p.chain(g).filter(|line| seen.insert(line.clone())).collect()
}

/// The rules of DESIGN section 6 again, written another way and knowing nothing of casbin, index or text forms.
fn by_the_book(rows: &[Words], given: &[(&str, &str)], who: &Principal, demand: &Demand) -> bool {
    let mut mine: Vec<String> = vec![format!("user:{}", who.user)];
    mine.extend(who.roles.iter().map(|role| format!("role:{role}")));
    for _ in 0..given.len() {
        for (member, role) in given {
            if mine.iter().any(|held| held == member) {
                mine.push((*role).to_owned());
            }
        }
    }
    let matching = |allows: bool| {
        rows.iter().any(|row| {
            row.allows == allows
                && row.permission == demand.permission.as_str()
                && mine.iter().any(|held| held == row.subject)
                && has_a_say(row, &demand.object)
        })
    };
    matching(true) && !matching(false)
}

fn has_a_say(row: &Words, object: &Object) -> bool {
    let (path, kind): (Vec<&str>, &str) = match object {
        Object::SomeModel => {
            return row.object.starts_with("model:")
                && !row.object.contains('/')
                && (row.allows || row.object == "model:*");
        }
        Object::EveryExperiment => {
            return row.object.starts_with("experiment:") && (!row.allows || row.object == "experiment:*");
        }
        Object::Server => return row.object == "server",
        Object::Experiment(id) => (vec![id], "experiment"),
        Object::Model(name) => (vec![name], "model"),
        Object::Stage(_, stage) if &**stage == "None" => return false,
        Object::Stage(name, stage) if &**stage == "canary" => (vec![name, "stage", "Canary"], "model"),
        Object::Stage(name, stage) => (vec![name, "stage", stage], "model"),
        Object::Alias(name, alias) => (vec![name, "alias", alias], "model"),
        Object::Tag(name, key) => ([&**name, "tag"].into_iter().chain(key.split('/')).collect(), "model"),
    };
    let Some((row_kind, pattern)) = row.object.split_once(':') else { return false };
    let pattern: Vec<&str> = pattern.split('/').collect();
    if row_kind != kind {
        return false;
    }
    if kind == "model"
        && row.allows
        && path[0].contains('*')
        && (row.subject != "role:admin" || pattern[0] != "*")
    {
        return false;
    }
    let whole = pattern.len() == 1 || pattern.len() == path.len();
    whole && pattern.iter().zip(&path).all(|(pattern, part)| one_segment(pattern.as_bytes(), part.as_bytes()))
}

fn one_segment(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| one_segment(rest, &text[skipped..])),
        Some((byte, rest)) => text.first() == Some(byte) && one_segment(rest, &text[1..]),
    }
}

/// casbin over every row, without the index.
fn by_full_scan(policies: &PolicySet, who: &Principal, demand: &Demand) -> bool {
    let Some(object) = asked_text(&demand.object) else { return false };
    let subjects = Asker { user: Some(&who.user), roles: &who.roles }.text();
    let request = Request { subjects: &subjects, object: &object, permission: demand.permission.as_str() };
    engine::enforce(&policies.links, request, policies.rows.iter().map(Row::fields).collect()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn index_memory_full_scan_and_the_book_agree(
        rows in prop::collection::vec(words(), 1..25),
        given in given(),
        user in prop::sample::select(vec!["u", "admin", "stranger"]),
        roles in prop::sample::subsequence(vec!["a", "b", "c", "admin", "d"], 0..4),
        objects in prop::collection::vec(asked(), 1..12),
    ) {
        let policies = policies(&file(&rows, &given));
        let who = principal(user, &roles, &[]);
        for object in objects {
            for permission in [Permission::ModelRead, Permission::Admin] {
                let demand = Demand::new(permission, object.clone());
                let expected = by_the_book(&rows, &given, &who, &demand);
                prop_assert_eq!(by_full_scan(&policies, &who, &demand), expected, "full scan: {}", demand);
                let fresh = policies.decide_afresh(&who, &demand);
                prop_assert_eq!(fresh.allowed, expected, "index: {} by {:?}", demand, fresh);
                prop_assert!(fresh.allowed != fresh.rows.is_empty() || !fresh.allowed);
                for _ in 0..2 {
                    let remembered = policies.decide(&who, &demand);
                    prop_assert_eq!(remembered.allowed, expected, "memory: {}", demand);
                    prop_assert_eq!(&remembered.rows, &fresh.rows);
                }
            }
        }
    }
}

#[test]
fn a_decision_names_its_rows() {
    let policies = policies(
        "# comment\np, role:a, model:*, model_read, allow\np, role:b, model:x*, model_read, allow\n\
         p, user:u, model:xy, model_read, deny\n",
    );
    let check = |roles: &[&str], object: &str, allowed: bool, why: &str| {
        let decision = policies.decide(&principal("u", roles, &[]), &demand(&format!("model_read {object}")));
        assert_eq!((decision.allowed, decision.why().as_str()), (allowed, why), "{roles:?} {object}");
    };
    check(&["a", "b"], "model:x", true, "policy.csv:2, policy.csv:3 allow it");
    check(&["b"], "model:x", true, "policy.csv:3 allows it");
    check(&["a", "b"], "model:xy", false, "policy.csv:4 denies it");
    check(&["c"], "model:x", false, "no policy row allows it");
}

#[test]
fn a_user_is_not_a_role_of_the_same_name() {
    let policies = policies("p, role:admin, server, admin, allow\ng, user:root, role:admin");
    for (user, roles, allowed) in [
        ("admin", &[][..], false),
        ("role:admin", &[], false),
        ("x", &["user:root"], false),
        ("root", &[], true),
        ("x", &["admin"], true),
        ("x", &["root"], false),
    ] {
        assert_eq!(
            policies.decide(&principal(user, roles, &[]), &demand("admin server")).allowed,
            allowed,
            "{user}"
        );
    }
}

#[test]
fn rows_on_particular_experiments_are_noticed() {
    for (rows, expected) in [
        ("p, role:r, experiment:*, tracking_read, allow", false),
        ("p, role:r, model:*, model_read, allow", false),
        ("p, role:r, experiment:7, tracking_read, deny", true),
        ("p, role:r, experiment:*1, tracking_read, allow", true),
    ] {
        assert_eq!(policies(rows).distinguishes_experiments(), expected, "{rows}");
    }
}

#[test]
fn long_names_are_decided_but_not_remembered() {
    let policies = policies("p, role:r, model:*, model_read, allow");
    let who = principal("u", &["r"], &[]);
    for (length, remembered) in [(100, 1), (100_000, 0)] {
        policies.memory.clear();
        let name = Object::Model("n".repeat(length).into());
        assert!(policies.decide(&who, &Demand::new(Permission::ModelRead, name)).allowed);
        assert_eq!(policies.memory.len(), remembered, "{length}");
    }
}

#[test]
fn a_few_rows_stand_for_very_many_alike() {
    let mut text: String =
        (0..2_000).map(|n| format!("p, role:r, model:m{n}, metadata_read, allow\n")).collect();
    let who = principal("u", &["r"], &[]);
    assert!(policies(&text).decide(&who, &demand("metadata_read model:?")).allowed);
    text.push_str("p, role:r, model:*, metadata_read, deny\n");
    let policies = policies(&text);
    assert!(
        !policies.decide(&who, &demand("metadata_read model:?")).allowed,
        "the deny at the very end was left out"
    );
    assert!(!policies.decide(&who, &demand("metadata_read model:m3")).allowed);
}

#[track_caller]
fn check_model(text: &str, expected: Option<&str>) {
    let mut sources = sources("p, role:r, model:*, model_read, allow", "");
    sources.model = text.into();
    let told = PolicySet::build(sources).map(|_| ()).err();
    let told: Option<Vec<String>> = told.map(|all| all.iter().map(ToString::to_string).collect());
    assert_eq!(told, expected.map(|one| vec![one.to_owned()]));
}

#[test]
fn only_the_model_that_the_program_is_built_for_is_taken() {
    let shipped = engine::MODEL;
    check_model(shipped, None);
    check_model(&shipped.replace("r = sub, obj, act", "r  =  sub,  obj, act  \r"), None);
    check_model(
        &shipped.replace("some(where (p.eft == allow)) && ", ""),
        Some(
            "policies/model.conf:17: `e = !some(where (p.eft == deny))` must be `e = some(where (p.eft == allow)) && \
             !some(where (p.eft == deny))`: the program is built for this model alone",
        ),
    );
    assert!(
        PolicySet::build(Sources {
            model: shipped.replace("== deny", "==deny").into(),
            ..sources("p, role:r, server, admin, allow", "")
        })
        .is_err()
    );
    check_model(
        &format!("{shipped}m2 = true\n"),
        Some("policies/model.conf:21: the program is built for a model that ends before this line"),
    );
    check_model(
        "",
        Some(
            "policies/model.conf: `[request_definition]` is missing: the program is built for this model alone",
        ),
    );
}

#[track_caller]
fn check_decisions(lines: &str, expected: &[&str]) {
    let rows = "p, role:r, model:*, model_read, allow\np, user:u, model:x, model_read, deny";
    let told = PolicySet::build(sources(rows, lines)).map(|_| ()).err().unwrap_or_default();
    assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn a_set_that_breaks_its_own_decisions_is_not_taken() {
    check_decisions("# fine\nrole:r\tmodel_read\tmodel:x\tallow\nuser:u\tmodel_read\tmodel:x\tdeny\n", &[]);
    check_decisions(
        "role:r\tmodel_read\tmodel:x\tdeny\nuser:u\tmodel_read\tmodel:x\tallow\nrole:q\tmodel_read\tmodel:x\tallow",
        &[
            "policies/decisions.tsv:1: role:r model_read model:x must be refused, but policy.csv:1 allows it",
            "policies/decisions.tsv:2: user:u model_read model:x must be allowed, but policy.csv:2 denies it",
            "policies/decisions.tsv:3: role:q model_read model:x must be allowed, but no policy row allows it",
        ],
    );
    check_decisions(
        "role:r model_read model:x allow\nrole:r\tmodel_raed\tmodel:x\tallow\nrole:r\tmodel_read\tmodels:x\tallow\t\nr\tmodel_read\tmodel:x\tyes",
        &[
            "policies/decisions.tsv:1: a line has 4 fields separated by tabs, this one has 1",
            "policies/decisions.tsv:2: `model_raed` is not a permission; did you mean `model_read`?",
            "policies/decisions.tsv:3: a line has 4 fields separated by tabs, this one has 5",
            "policies/decisions.tsv:4: `r` is not a subject: write `role:r` or `user:r`",
        ],
    );
}

#[test]
fn the_version_is_of_the_bytes_of_exactly_these_files() {
    let version = |policy: &str, decisions: &str| sources(policy, decisions).version().as_str().to_owned();
    let first = version("a", "b");
    assert_eq!(first.len(), 16);
    assert_eq!(first, version("a", "b"));
    for (policy, decisions) in [("a", "bb"), ("ab", ""), ("", "ab"), ("b", "a")] {
        assert_ne!(first, version(policy, decisions));
    }
    let mut sources = sources("a", "b");
    sources.rules = b"\n".into();
    let with_rules = sources.version();
    sources.stages = b"final = []".into();
    let with_stages = sources.version();
    sources.schema = b"{ }".into();
    assert!(with_rules.as_str() != first && with_stages != with_rules && sources.version() != with_stages);
}

#[test]
fn a_folder_that_lacks_files_names_each() {
    let folder = tempfile::tempdir().unwrap();
    let told = PolicySet::load(folder.path()).map(|_| ()).unwrap_err();
    assert_eq!(told.len(), crate::authz::folder::FILES.len());
    assert!(told.iter().all(|mistake| mistake.what().starts_with("cannot be read: ")), "{told:?}");
}

#[test]
fn a_remembered_decision_is_for_exactly_the_same_question() {
    let (ada, bob) = (principal("ada", &["r"], &[]), principal("bob", &["r"], &[]));
    let (two, other) = (principal("ada", &["r", "s"], &[]), principal("ada", &["s"], &[]));
    let (x, y) = (Object::Model("x".into()), Object::Alias("x".into(), "y".into()));
    fn question<'a>(who: &'a Principal, permission: Permission, object: &'a Object) -> Question<'a> {
        Question { user: &who.user, roles: &who.roles, permission, object }
    }
    let kept = question(&ada, Permission::ModelRead, &x).keep();
    // Not through the cache: its hash would hide a comparison that is too lax until two hashes collide.
    assert!(question(&ada, Permission::ModelRead, &x).equivalent(&kept));
    for different in [
        question(&bob, Permission::ModelRead, &x),
        question(&two, Permission::ModelRead, &x),
        question(&other, Permission::ModelRead, &x),
        question(&ada, Permission::ModelWrite, &x),
        question(&ada, Permission::ModelRead, &y),
    ] {
        assert!(!different.equivalent(&kept));
    }
}

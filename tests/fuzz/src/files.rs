//! Files that operators write: policy rows, the configuration, lists of routes.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use sekisho::authz::PolicySet;
use sekisho::config as configuration;
use sekisho::operation::{Demand, Object, Permission};
use sekisho::principal::{ModelAccess, Principal, RoleName, TokenId, UserId};
use sekisho::route::coverage as lists;

/// Rows that pass are all held; who is in none of them may nothing; and one more row that denies is obeyed.
pub fn policy(bytes: &[u8]) {
    let Some(policies) = load(bytes) else { return };
    let text = std::str::from_utf8(bytes).expect("what passes is UTF-8");
    let first_field = |line: &str| line.split(',').next().unwrap_or_default().trim().to_owned();
    let rows = text.split('\n').filter(|line| first_field(line) == "p").count();
    assert_eq!(policies.row_count(), rows, "rows were lost");
    let stranger = principal("nobody-is-called-so", "no-role-is-called-so");
    for demand in demands() {
        let decision = policies.decide(&stranger, &demand);
        assert!(decision.trouble.is_none(), "{demand}: {decision:?}");
        assert!(!decision.allowed || text.contains("is-called-so"), "{demand}: {decision:?}");
        let admin = principal("ada", "admin");
        let (first, again) = (policies.decide(&admin, &demand), policies.decide(&admin, &demand));
        let afresh = policies.decide_afresh(&admin, &demand);
        assert!(first.allowed == again.allowed && first.allowed == afresh.allowed, "{demand}");
        assert_eq!(first.rows, afresh.rows, "{demand}");
    }
    let denied = [bytes, b"\np, role:admin, model:iris, model_read, deny\n"].concat();
    if let Some(policies) = load(&denied) {
        let demand = Demand::new(Permission::ModelRead, Object::Model("iris".into()));
        assert!(!policies.decide(&principal("ada", "admin"), &demand).allowed, "a deny row is not obeyed");
    }
}

fn load(rows: &[u8]) -> Option<PolicySet> {
    FOLDER.with(|folder| {
        std::fs::write(folder.path().join("policy.csv"), rows).expect("a file");
        match PolicySet::load(folder.path()) {
            Ok(policies) => Some(policies),
            Err(mistakes) => {
                assert!(!mistakes.is_empty(), "refused without a reason");
                None
            }
        }
    })
}

fn demands() -> [Demand; 5] {
    let iris = || Object::Model("iris".into());
    [
        Demand::new(Permission::ModelRead, iris()),
        Demand::new(Permission::MetadataRead, Object::SomeModel),
        Demand::new(Permission::StageTransition, Object::Stage("iris".into(), "Production".into())),
        Demand::new(Permission::TrackingWrite, Object::EveryExperiment),
        Demand::new(Permission::Admin, Object::Server),
    ]
}

fn principal(user: &str, role: &str) -> Principal {
    Principal {
        user: UserId::new(user).expect("a name"),
        roles: RoleName::new(role).into_iter().collect(),
        models: ModelAccess::new(["*"]),
        token: TokenId::new("t").expect("a name"),
    }
}

/// A configuration is read the same twice, every refusal has a reason, and no secret is in either.
pub fn config(bytes: &[u8]) {
    const SECRET: &str = "9f1c7be5-not-to-be-told-2d7e40c3aa51";
    let file = FOLDER.with(|folder| folder.path().join("sekisho.toml"));
    std::fs::write(&file, bytes).expect("a file");
    let secret = || [("SEKISHO_AUTH__HS256_SECRET".to_owned(), SECRET.to_owned())];
    let told = |file: &PathBuf| match configuration::read(Some(Path::new(file)), secret()) {
        Ok(config) => format!("{config:?}"),
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            let beyond = mistakes.iter().filter_map(|mistake| mistake.line()).find(|line| *line > lines);
            assert_eq!(beyond, None, "a mistake on a line that is not there");
            mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
    };
    let first = told(&file);
    assert!(!first.contains(SECRET) || String::from_utf8_lossy(bytes).contains(SECRET), "{first}");
    assert_eq!(first, told(&file));
}

/// What a list has beyond the table is found again in a list of that alone.
pub fn coverage(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(coverage) = lists::compare(text) else { return };
    let nothing = lists::compare("").expect("an empty list");
    assert!(coverage.absent.is_subset(&nothing.absent), "a row is absent that the table does not have");
    let unknown = coverage.unknown.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let again = lists::compare(&unknown).expect("our own list is read");
    assert_eq!(again.unknown, coverage.unknown);
    assert_eq!((again.shared, again.absent), (0, nothing.absent));
}

thread_local! {
    static FOLDER: TempDir = {
        let folder = TempDir::new().expect("a folder");
        let model = include_str!("../../../policies/model.conf");
        std::fs::write(folder.path().join("model.conf"), model).expect("a file");
        std::fs::write(folder.path().join("decisions.tsv"), "").expect("a file");
        std::fs::write(folder.path().join("rules.toml"), "").expect("a file");
        std::fs::write(folder.path().join("stages.toml"), "transitions = []\n").expect("a file");
        std::fs::write(folder.path().join("metadata.schema.json"), "{}").expect("a file");
        folder
    };
}

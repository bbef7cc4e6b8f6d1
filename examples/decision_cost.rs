//! What one decision costs as rows grow: `cargo run --release --example decision_cost`.
#![expect(clippy::print_stdout, reason = "it prints its numbers")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends the program")]

use std::fmt::Write;
use std::path::Path;

use sekisho::authz::PolicySet;
use sekisho::clock::Clock;
use sekisho::operation::{Demand, Object, Permission};
use sekisho::principal::{ModelAccess, Principal, RoleName, TokenId, UserId};

/// How many different objects each kind of demand is tried with.
const VARIANTS: usize = 1_000;

fn main() {
    println!("{:>8}  {:<40} {:>10} {:>15}", "rows", "demand", "first (ns)", "remembered (ns)");
    let clock = Clock::system();
    for rows in [100, 10_000, 100_000] {
        let folder = tempfile::tempdir().expect("a folder");
        write_policies(folder.path(), rows);
        let started = clock.instant();
        let policies = PolicySet::load(folder.path()).expect("sound policies");
        let built = clock.micros_since(started) / 1_000;
        let who = principal();
        for (what, demands) in demands(rows) {
            let allowed = demands.iter().filter(|demand| policies.decide(&who, demand).allowed).count();
            let first =
                nanos_each(&clock, 10, &demands, |demand| policies.decide_afresh(&who, demand).allowed);
            let remembered =
                nanos_each(&clock, 200, &demands, |demand| policies.decide(&who, demand).allowed);
            let of = demands.len();
            println!("{rows:>8}  {what:<40} {first:>10} {remembered:>15}   {allowed} of {of} allowed");
        }
        println!("{rows:>8}  {} rows built in {built} ms", policies.row_count());
    }
}

/// Rows for many roles, for patterns, for single models and for single users, some of them denying.
fn write_policies(folder: &Path, rows: usize) {
    let mut text = String::new();
    for row in 0..rows {
        let (role, other) = (row / 20, row % 20 >= 10);
        let line = match row % 10 {
            0 if other => format!("role:r{role}, model:*, metadata_write, allow"),
            0 => format!("role:r{role}, model:*, metadata_read, allow"),
            1 => format!("role:r{role}, model:team{row}_*, model_read, allow"),
            2 if other => format!("role:r{role}, model:*/stage/Canary, stage_approve, allow"),
            2 => format!("role:r{role}, model:*/stage/Canary, stage_transition, allow"),
            3 => format!("role:shared, model:m{row}, model_read, allow"),
            4 => format!("role:shared, model:team{row}_*, model_write, allow"),
            5 => format!("role:shared, model:*_{row}, model_write, allow"),
            6 => format!("role:shared, model:m{row}/stage/Production, model_read, deny"),
            7 => format!("user:u{row}, model:m{role}, model_read, allow"),
            8 => format!("user:u{row}, model:*, metadata_read, deny"),
            _ => format!("role:shared, experiment:{row}, tracking_read, allow"),
        };
        writeln!(text, "p, {line}").expect("memory");
    }
    text.push_str("g, user:ada, role:shared\n");
    std::fs::write(folder.join("policy.csv"), text).expect("a file");
    std::fs::write(folder.join("decisions.tsv"), "").expect("a file");
    std::fs::write(folder.join("rules.toml"), "").expect("a file");
    std::fs::write(folder.join("stages.toml"), "transitions = []\n").expect("a file");
    std::fs::write(folder.join("metadata.schema.json"), "{}").expect("a file");
    std::fs::write(folder.join("model.conf"), include_str!("../policies/model.conf")).expect("a file");
}

fn demands(rows: usize) -> Vec<(&'static str, Vec<Demand>)> {
    let each = |permission, object: &dyn Fn(usize) -> Object| {
        (0..VARIANTS).map(|n| Demand::new(permission, object(n * 10 % rows))).collect()
    };
    let model = |name: String| Object::Model(name.into());
    vec![
        ("by a row for every model", each(Permission::MetadataRead, &|n| model(format!("anything{n}")))),
        ("by a row for this model", each(Permission::ModelRead, &|n| model(format!("m{}", n + 3)))),
        ("by a pattern's beginning", each(Permission::ModelWrite, &|n| model(format!("team{}_x", n + 4)))),
        ("by a pattern's end", each(Permission::ModelWrite, &|n| model(format!("x_{}", n + 5)))),
        (
            "below a model, by two roles",
            each(Permission::StageTransition, &|n| Object::Stage(format!("m{n}").into(), "Canary".into())),
        ),
        (
            "an experiment",
            each(Permission::TrackingRead, &|n| Object::Experiment((n + 9).to_string().into())),
        ),
        ("a list of models", vec![Demand::new(Permission::MetadataRead, Object::SomeModel)]),
        ("refused by silence", each(Permission::ModelDelete, &|n| model(format!("m{n}")))),
    ]
}

fn principal() -> Principal {
    let role = |name: &str| RoleName::new(name).expect("a name");
    Principal {
        user: UserId::new("ada").expect("a name"),
        roles: vec![role("r0"), role("r1")],
        models: ModelAccess::new(["*"]),
        token: TokenId::new("t").expect("a name"),
    }
}

fn nanos_each(clock: &Clock, rounds: u32, demands: &[Demand], decide: impl Fn(&Demand) -> bool) -> u128 {
    let started = clock.instant();
    for _ in 0..rounds {
        for demand in demands {
            std::hint::black_box(decide(demand));
        }
    }
    let nanos = clock.instant().saturating_duration_since(started).as_nanos();
    nanos / (u128::from(rounds) * demands.len() as u128)
}

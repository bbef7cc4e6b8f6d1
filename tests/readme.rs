//! What the documents say is what the program does: the README's tables and the shipped configuration file.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be made fails")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho::authz::{PolicySet, parse_object};
use sekisho::config::{self, Key, keys};
use sekisho::limit;
use sekisho::listen::Ceilings;
use sekisho::operation::{Demand, Permission};
use sekisho::principal::{ModelAccess, Principal, RoleName, TokenId, UserId};
use sekisho::upstream;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The cells of the first table after `marker`, without its head.
fn table(marker: &str) -> Vec<Vec<String>> {
    let readme = text("README.md");
    let (_, after) = readme.split_once(marker).unwrap_or_else(|| panic!("README.md has no `{marker}`"));
    let rows =
        after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| -> Vec<String> {
        row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.filter(|row| !row.starts_with("|---")).map(cells).collect()
}

fn someone_with(role: &str) -> Principal {
    Principal {
        user: UserId::new("somebody").unwrap(),
        roles: vec![RoleName::new(role).unwrap()],
        models: ModelAccess::default(),
        token: TokenId::new("token").unwrap(),
    }
}

/// An object on which a permission is asked for.
fn object_of(permission: Permission) -> &'static str {
    match permission {
        Permission::MetadataRead
        | Permission::MetadataWrite
        | Permission::ModelRead
        | Permission::ModelWrite
        | Permission::ModelDelete => "model:iris",
        Permission::ModelDeploy => "model:iris/alias/champion",
        Permission::StageTransition | Permission::StageApprove => "model:iris/stage/Staging",
        Permission::EvidenceWrite => "model:iris/tag/evidence.unit_test",
        Permission::TrackingRead | Permission::TrackingWrite | Permission::TrackingDelete => "experiment:7",
        Permission::Admin | Permission::AuditRead => "server",
    }
}

#[test]
fn the_table_of_roles_is_what_the_shipped_policies_decide() {
    let policies = PolicySet::load(&root().join("policies")).unwrap();
    let rows = table("<!-- roles:");
    let (head, rows) = rows.split_first().unwrap();
    assert_eq!(rows.len(), Permission::ALL.len(), "a row for each permission");
    for (row, permission) in rows.iter().zip(Permission::ALL) {
        assert_eq!(row[0], format!("`{permission}`"));
        for (role, cell) in head.iter().zip(row).skip(1) {
            let may = |object: &str| {
                let demand = Demand::new(permission, parse_object(object).unwrap());
                policies.decide(&someone_with(role), &demand).allowed
            };
            let note = permission == Permission::StageTransition && !may("model:iris/stage/Production");
            let expected = match (may(object_of(permission)), note) {
                (true, true) => "x ¹",
                (true, false) => "x",
                (false, _) => "",
            };
            assert_eq!(cell, expected, "{permission} of {role}");
        }
    }
}

#[test]
fn the_tables_of_keys_are_the_programs() {
    let row = |key: &Key| {
        let default = key.default.map_or("–".to_owned(), |default| format!("`{default}`"));
        format!("| `{}` | {default} | {} |\n", key.name, key.meaning)
    };
    let rows: String = keys().iter().map(row).collect();
    let expected = format!("| key | default | meaning |\n|---|---|---|\n{rows}\n");
    assert!(text("README.md").contains(&expected), "README.md must have:\n{expected}");
}

#[test]
fn the_table_of_limits_is_the_programs() {
    let time = |time: Duration| format!("{} s", time.as_secs());
    let count = |count: usize| match count {
        thousands if thousands >= 1_000 => format!("{},{:03}", thousands / 1_000, thousands % 1_000),
        few => few.to_string(),
    };
    let size = |bytes: usize| match bytes / 1024 {
        kib if kib >= 1024 => format!("{} MiB", kib / 1024),
        kib => format!("{kib} KiB"),
    };
    let streams = usize::try_from(Ceilings::STREAMS_PER_CONNECTION).unwrap();
    let rows: String = [
        ("a request's head, target included", size(Ceilings::MAX_HEADER_BYTES)),
        ("header fields", count(Ceilings::MAX_HEADERS)),
        ("until the head has come", time(Ceilings::HEADER_READ)),
        ("a JSON body", size(limit::JSON_BODY)),
        ("values in it", count(sekisho::route::json::MOST_VALUES)),
        ("until it has come", time(limit::BODY_WITHIN)),
        ("a token", size(sekisho::authn::credential::LONGEST_TOKEN)),
        ("waiting for 4 KiB more of a body", time(Ceilings::BODY_STALL)),
        ("waiting for the caller to take 4 KiB of an answer", time(Ceilings::WRITE_STALL)),
        ("a connection without a request", time(Ceilings::IDLE)),
        ("the TLS handshake", time(Ceilings::HANDSHAKE)),
        ("connections", count(Ceilings::CONNECTIONS)),
        ("connections of one peer (an IPv4 address, an IPv6 /64)", count(Ceilings::CONNECTIONS_PER_PEER)),
        ("streams of an HTTP/2 connection", count(streams)),
        ("HTTP/2 connections", count(Ceilings::HTTP2_CONNECTIONS)),
        ("HTTP/2 connections of one peer", count(Ceilings::HTTP2_CONNECTIONS_PER_PEER)),
        ("requests in flight", count(limit::Settings::IN_FLIGHT)),
        ("requests in flight of one principal", count(limit::Settings::IN_FLIGHT_EACH)),
        ("memory of large bodies and filtered answers", size(limit::Settings::MEMORY)),
        ("that of one principal", size(limit::Settings::MEMORY_EACH)),
        ("until a connection to MLflow stands", time(upstream::Settings::CONNECT)),
        ("until MLflow's answer begins", time(upstream::Settings::HEAD)),
        ("between two pieces of MLflow's answer", time(upstream::Settings::BODY_STALL)),
        ("a drain", time(sekisho::app::GRACE)),
    ]
    .iter()
    .map(|(what, limit)| format!("| {what} | {limit} |\n"))
    .collect();
    let expected = format!("| what | at most |\n|---|---|\n{rows}\n");
    assert!(text("README.md").contains(&expected), "README.md must have:\n{expected}");
}

#[test]
fn the_shipped_configuration_has_every_key_with_its_default() {
    let path: &Path = &root().join("deploy/sekisho.toml");
    config::read(Some(path), []).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let file = text("deploy/sekisho.toml");
    let mut section = "";
    let mut found = Vec::new();
    for line in file.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((word, value)) = line.split_once(" = ") {
            let (word, set) = word.strip_prefix("# ").map_or((word, true), |word| (word, false));
            if !word.contains(' ') {
                found.push((format!("{section}.{word}"), set.then(|| value.trim_matches('"').to_owned())));
            }
        }
    }
    let expected: Vec<_> =
        keys().iter().map(|key| (key.name.to_owned(), key.default.map(str::to_owned))).collect();
    assert_eq!(found, expected);
}

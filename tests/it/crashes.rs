//! Writes that a process had begun and did not live to tell the end of: MLflow is asked, and its answers alone decide.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use jiff::Timestamp;
use sekisho::app::Settings;
use sekisho::record::Rhythm;
use sekisho::record::folder::{self, PUBLIC_KEY};
use sekisho::record::key::Signer;
use sekisho::record::ledger::Ledger;
use sekisho::record::line::{Decision, Entry, Kind};
use tokio::task::JoinSet;

use crate::proxy::{NOW, Proxy};
use crate::stub::{Answer, Stub};

/// A write: method, route, parameters, and how it was before.
type Write = (&'static str, &'static str, &'static str, &'static str);

/// What was begun five minutes ago.
const BEGUN: i64 = NOW - 300;

/// The record of a process that ended after it had told that it would do this.
fn leave(settings: &Settings, (method, route, params, before): Write) {
    let record = &settings.record;
    std::fs::create_dir_all(&record.path).expect("a folder");
    let (signer, text) = Signer::make().expect("a key");
    std::fs::write(&record.signing_key_file, text.as_str()).expect("a file");
    std::fs::set_permissions(&record.signing_key_file, PermissionsExt::from_mode(0o600)).expect("a mode");
    std::fs::write(record.path.join(PUBLIC_KEY), signer.public().pem()).expect("a file");
    let begun = Timestamp::from_second(BEGUN).expect("a time");
    let own = folder::take(&record.path, &record.instance).expect("a folder");
    let (mut ledger, _) = Ledger::open(own, Arc::new(signer), Rhythm::default(), begun).expect("a chain");
    let mut intent = Entry::new("left", begun, Kind::Intent);
    intent.method = Some(method.to_owned());
    intent.route = Some(format!("/api/2.0/mlflow/{route}"));
    intent.params = serde_json::from_str(params).expect("parameters");
    intent.before = serde_json::from_str(before).expect("what was before");
    intent.decision = Some(Decision::Allow);
    ledger.add(&intent).expect("a line");
    ledger.sync().expect("a disk");
}

/// What is told of it, if MLflow answers every question with this.
async fn check(write: Write, shows: Option<&'static str>, expected: &str) {
    check_answer(write, shows.map_or((404, ABSENT), |shown| (200, shown)), expected).await;
}

async fn check_answer(write: Write, shows: (u16, &'static str), expected: &str) {
    let stub = Stub::on_tcp().await;
    stub.answers(move |_| Answer::Json(shows.0, shows.1.to_owned()));
    let proxy = Proxy::before(stub, "", |settings| leave(settings, write)).await;
    let line = proxy.line().await;
    let told = line.texts(&["kind", "id", "intent", "outcome"]);
    assert_eq!(told, format!("outcome left 1 {expected}"), "{write:?} {shows:?}");
    proxy.stop().await;
}

const ABSENT: &str = r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"not found"}"#;

const CREATE: Write = ("POST", "registered-models/create", r#"{"name":"iris"}"#, "{}");
const VERSION: Write = ("POST", "model-versions/create", r#"{"name":"iris","source":"runs:/r/x"}"#, "{}");
const DELETE: Write = ("DELETE", "registered-models/delete", r#"{"name":"iris"}"#, "{}");
const RENAME: Write =
    ("POST", "registered-models/rename", r#"{"name":"iris","new_name":"rose"}"#, r#"{"name":"iris"}"#);
const TAG: Write = (
    "POST",
    "registered-models/set-tag",
    r#"{"name":"iris","key":"k","value":"new"}"#,
    r#"{"tags":{"k":"old"}}"#,
);
const FIRST_TAG: Write = (
    "POST",
    "registered-models/set-tag",
    r#"{"name":"iris","key":"k","value":"new"}"#,
    r#"{"tags":{"k":null}}"#,
);
const UNSEEN_TAG: Write =
    ("POST", "registered-models/set-tag", r#"{"name":"iris","key":"k","value":"new"}"#, "{}");
const UNTAG: Write =
    ("DELETE", "registered-models/delete-tag", r#"{"name":"iris","key":"k"}"#, r#"{"tags":{"k":"old"}}"#);
const DESCRIBE: Write = (
    "PATCH",
    "registered-models/update",
    r#"{"name":"iris","description":"new"}"#,
    r#"{"description":"old"}"#,
);

const MOVE: Write = (
    "POST",
    "model-versions/transition-stage",
    r#"{"name":"iris","version":"1","stage":"staging"}"#,
    r#"{"stage":"None"}"#,
);
const MOVE_NOWHERE: Write = (
    "POST",
    "model-versions/transition-stage",
    r#"{"name":"iris","version":"1","stage":"Staging","archive_existing_versions":true}"#,
    r#"{"stage":"Staging"}"#,
);

/// Of a model that was made before, and of one that was made since: the same time in MLflow's milliseconds.
const OLDER: &str = r#"{"registered_model":{"name":"iris","creation_timestamp":1789999000000}}"#;
const NEWER: &str = r#"{"registered_model":{"name":"iris","creation_timestamp":1789999900000}}"#;

#[tokio::test]
async fn what_mlflow_shows_a_while_later_says_what_became_of_a_write() {
    let tagged = r#"{"registered_model":{"tags":[{"key":"k","value":"new"}]}}"#;
    let kept = r#"{"registered_model":{"tags":[{"key":"k","value":"old"}]}}"#;
    let other = r#"{"registered_model":{"tags":[{"key":"k","value":"other"}]}}"#;
    let bare = r#"{"registered_model":{"name":"iris"}}"#;
    let none = "{}";
    let staging = r#"{"model_version":{"name":"iris","version":"1","current_stage":"Staging"}}"#;
    let nowhere = r#"{"model_version":{"name":"iris","version":"1","current_stage":"None"}}"#;
    let production = r#"{"model_version":{"name":"iris","version":"1","current_stage":"Production"}}"#;
    let same =
        r#"{"model_versions":[{"version":"3","source":"runs:/r/x","creation_timestamp":1789999900000}]}"#;
    let others =
        r#"{"model_versions":[{"version":"3","source":"runs:/r/y","creation_timestamp":1789999900000}]}"#;
    let known =
        r#"{"model_versions":[{"version":"2","source":"runs:/r/x","creation_timestamp":1789999000000}]}"#;
    let earlier =
        r#"{"model_versions":[{"version":"2","source":"runs:/r/y","creation_timestamp":1789999000000}]}"#;
    let cases = [
        (CREATE, Some(NEWER), "applied"),
        (CREATE, None, "not_applied"),
        // It may have been refused, or made, deleted and put back.
        (CREATE, Some(OLDER), "unknown"),
        (VERSION, Some(same), "applied"),
        (VERSION, Some(earlier), "not_applied"),
        // MLflow's clock may be behind: it may be ours.
        (VERSION, Some(known), "unknown"),
        (VERSION, Some(none), "not_applied"),
        // Ours may be below it.
        (VERSION, Some(others), "unknown"),
        (DELETE, None, "applied"),
        (DELETE, Some(OLDER), "not_applied"),
        (DELETE, Some(NEWER), "unknown"),
        (RENAME, Some(r#"{"registered_model":{"name":"rose"}}"#), "applied"),
        (RENAME, None, "not_applied"),
        (TAG, Some(tagged), "applied"),
        (TAG, Some(kept), "not_applied"),
        (TAG, Some(other), "unknown"),
        (TAG, None, "unknown"),
        (FIRST_TAG, Some(bare), "not_applied"),
        (FIRST_TAG, Some(kept), "unknown"),
        (UNSEEN_TAG, Some(bare), "unknown"),
        (UNTAG, Some(bare), "applied"),
        (UNTAG, Some(kept), "not_applied"),
        (UNTAG, Some(other), "unknown"),
        (DESCRIBE, Some(r#"{"registered_model":{"description":"new"}}"#), "applied"),
        (DESCRIBE, Some(r#"{"registered_model":{"description":"old"}}"#), "not_applied"),
        (DESCRIBE, Some(r#"{"registered_model":{"description":"other"}}"#), "unknown"),
        (MOVE, Some(staging), "applied"),
        (MOVE, Some(nowhere), "not_applied"),
        (MOVE, Some(production), "unknown"),
        // Others may have been archived for it.
        (MOVE_NOWHERE, Some(staging), "unknown"),
    ];
    let mut checks = JoinSet::new();
    for (write, shows, expected) in cases {
        checks.spawn(check(write, shows, expected));
    }
    checks.join_all().await;
}

#[tokio::test]
async fn a_server_in_mlflows_place_knows_nothing() {
    let mut checks = JoinSet::new();
    for write in [CREATE, DELETE, RENAME, TAG] {
        checks.spawn(check_answer(write, (404, "{}"), "unknown"));
    }
    checks.join_all().await;
}

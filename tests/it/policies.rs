//! Policies that change while requests come: a good set is taken, a bad one is not, and no request sees half of each.

use std::sync::Arc;

use sekisho::record::Mode;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::caller::{Ask, ada};
use crate::proxy::{Proxy, send_to, soon};
use crate::stub::Answer;

const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const NO_READING: &str = "p, user:ada@company.com, model:*, metadata_read, deny";

async fn status(proxy: &Proxy) -> u16 {
    proxy.send(Ask::get(GET_IRIS).by(&ada())).await.status
}

async fn until_status(proxy: &Proxy, expected: u16) {
    let changed = async {
        while status(proxy).await != expected {
            tokio::task::yield_now().await;
        }
    };
    soon(changed).await;
}

async fn notes(proxy: &Proxy) -> String {
    let ready = proxy.readyz().await;
    let notes = ready["notes"].as_array().expect("notes");
    notes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

async fn until_note(proxy: &Proxy, part: &str) -> String {
    let told = async {
        loop {
            let notes = notes(proxy).await;
            if notes.contains(part) {
                return notes;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(told).await
}

#[tokio::test]
async fn a_change_is_in_force_without_a_restart() {
    let proxy = Proxy::start().await;
    assert_eq!(status(&proxy).await, 200);
    let begun = tokio::time::Instant::now();
    proxy.put_rows(NO_READING);
    until_status(&proxy, 403).await;
    assert!(begun.elapsed().as_secs() < 4, "two seconds are promised, it took {:?}", begun.elapsed());
    proxy.put_rows("");
    until_status(&proxy, 200).await;
    let (_, lines) = proxy.stop().await;
    let versions: std::collections::HashSet<_> = lines.iter().map(|line| line.text("policy")).collect();
    assert_eq!(versions.len(), 2, "each line tells under which policy it was decided");
}

#[tokio::test]
async fn a_set_with_a_mistake_is_not_taken_and_readiness_says_where_it_is() {
    let proxy = Proxy::start().await;
    let shipped = std::fs::read_to_string(proxy.policies().join("policy.csv")).expect("policies");
    proxy.put_rows(&format!("{NO_READING}\np, role:ci, model:*, metadata_read, Deny"));
    let place = format!("policy.csv:{}: ", shipped.lines().count() + 1);
    let note = until_note(&proxy, "policies not taken").await;
    assert!(note.contains(&place), "{note} does not name {place}");
    assert_eq!(status(&proxy).await, 200, "the old set is in force");
    assert_eq!(proxy.readyz().await["waiting_for"], serde_json::json!([]), "it serves on");
    proxy.reload.send(()).await.expect("a watcher");
    assert!(until_note(&proxy, &place).await.contains("policies not taken"));

    proxy.put_rows("p, role:data_scientist, model:*, model_delete, allow");
    let note = until_note(&proxy, "decisions.tsv:").await;
    assert_eq!(note.lines().count(), 1, "{note}");

    proxy.put_rows(NO_READING);
    until_status(&proxy, 403).await;
    assert_eq!(notes(&proxy).await, "");
}

#[tokio::test]
async fn a_request_sees_one_policy_from_beginning_to_end() {
    let proxy = Proxy::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let rows = r#"{"registered_models":[{"name":"iris"},{"name":"victim"}]}"#;
    proxy.stub.answers(move |heard| match heard.target.contains("/search") {
        true => Answer::Held(Arc::clone(&held), Box::new(Answer::Json(200, rows.to_owned()))),
        false => Answer::Json(200, "{}".to_owned()),
    });
    let mut caller = JoinSet::new();
    let search = Ask::get("/api/2.0/mlflow/registered-models/search").by(&ada());
    caller.spawn(send_to(proxy.address, search.request(&proxy.clock)));
    proxy.stub.until_heard(1).await;
    proxy.put_rows(NO_READING);
    until_status(&proxy, 403).await;
    gate.add_permits(1);
    let said = soon(caller.join_next()).await.expect("an answer").expect("no panic");
    assert_eq!(
        said.text(),
        r#"{"registered_models":[{"name":"iris"}]}"#,
        "filtered by the set that let it in"
    );
}

#[tokio::test]
async fn a_start_goes_on_without_kept_policies_where_that_is_borne() {
    let proxy = Proxy::with(|settings| {
        settings.record.mode = Mode::BestEffort;
        std::fs::create_dir_all(&settings.record.path).expect("a folder");
        std::fs::write(settings.record.path.join("policies"), "").expect("a file where the folder would be");
    })
    .await;
    let note = until_note(&proxy, "not kept beside the record").await;
    assert!(!note.contains("not taken"), "{note}");
    assert_eq!(status(&proxy).await, 200);
    assert_eq!(proxy.readyz().await["waiting_for"], serde_json::json!([]));
}

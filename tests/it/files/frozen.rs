//! Files of a version that has left `Development`, or is about to, are changed by nobody: administrators neither.

use std::sync::Arc;

use sekisho::pipeline::Frozen;
use tokio::task::JoinSet;

use super::*;

/// Closes the files of `iris` 1, which are `runs:/i/model`.
async fn freeze(proxy: &Proxy) -> Frozen {
    soon(proxy.gate.freeze("iris", 1, 2)).await.expect("closed files")
}

/// The first refresh of where versions stand has been.
async fn opened() -> (Proxy, Registry) {
    let (proxy, registry) = house_of(Mode::Enforce).await;
    soon(async {
        while proxy.send(put("1/i/artifacts/model/first").by(&root())).await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    (proxy, registry)
}

fn page(path: &str, body: &str) -> Ask {
    Ask::post(format!("{V2}/{path}"), body.to_owned())
}

/// Everything that would change the files of `iris` 1, or hide them.
fn changes() -> Vec<(&'static str, Ask)> {
    vec![
        ("a file", put("1/i/artifacts/model/MLmodel")),
        ("a new file", put("1/i/artifacts/model/new/file")),
        ("the folder as a file", put("1/i/artifacts/model")),
        ("its deletion", delete("1/i/artifacts/model/MLmodel")),
        ("the folder's deletion", delete("1/i/artifacts/model")),
        ("the deletion of all files", delete("1/i/artifacts")),
        ("the run's folder", delete("1/i")),
        ("the experiment's folder", delete("1")),
        ("the page's upload", page("upload-artifact?run_uuid=i&path=model/MLmodel", "x")),
        ("the logged model's file", put("1/models/m-i/artifacts/MLmodel")),
        ("the logged model's folder", delete("1/models/m-i")),
        ("all logged models", delete("1/models")),
        ("the logged model", Ask::new("DELETE", format!("{V2}/logged-models/m-i"))),
        (
            "its end",
            Ask::new("PATCH", format!("{V2}/logged-models/m-i")).json(r#"{"status":"LOGGED_MODEL_READY"}"#),
        ),
        ("the run", page("runs/delete", r#"{"run_id":"i"}"#)),
        ("the run's return", page("runs/restore", r#"{"run_id":"i"}"#)),
        ("the experiment", page("experiments/delete", r#"{"experiment_id":"1"}"#)),
    ]
}

async fn refuses_all(proxy: &Proxy) {
    for (what, ask) in changes() {
        let before = proxy.stub.forwarded().len();
        let said = proxy.send(ask.by(&root())).await;
        assert_eq!(said.summary(), "403 PERMISSION_DENIED", "{what}: {}", said.text());
        assert!(said.message().starts_with("nobody changes these files: "), "{what}: {}", said.text());
        assert!(said.message().contains("version 1 of iris"), "{what}: {}", said.text());
        assert_eq!(proxy.stub.forwarded().len(), before, "{what}");
    }
}

#[tokio::test]
async fn closed_files_are_changed_by_no_address_and_opened_again() {
    let (proxy, _) = opened().await;
    let frozen = freeze(&proxy).await;
    refuses_all(&proxy).await;
    for (what, ask) in [
        ("reading", get("1/i/artifacts/model/MLmodel")),
        ("a plot", put("1/i/artifacts/plot.png")),
        ("a name that begins alike", put("1/i/artifacts/model2/x")),
        ("a plot's deletion", delete("1/i/artifacts/plot.png")),
        ("the run's tag", page("runs/set-tag", r#"{"run_id":"i","key":"k","value":"v"}"#)),
        ("another version's file", put("1/w/artifacts/model/x")),
    ] {
        let said = proxy.send(ask.by(&root())).await;
        assert_eq!(said.status, 200, "{what}: {}", said.text());
    }
    drop(frozen);
    soon(async {
        while proxy.send(put("1/i/artifacts/model/MLmodel").by(&root())).await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_closed_stays_closed() {
    let (proxy, _) = opened().await;
    freeze(&proxy).await.keep();
    refuses_all(&proxy).await;
}

#[tokio::test]
async fn an_upload_that_began_before_is_waited_for() {
    let (proxy, _) = opened().await;
    let before = proxy.stub.bytes();
    let mut upload = begin(&proxy, &ada(), "1/i/artifacts/model/MLmodel").await;
    proxy.stub.until_begun(before + 4).await;
    let gate = Arc::clone(&proxy.gate);
    let mut freezing = JoinSet::new();
    freezing.spawn(async move { gate.freeze("iris", 1, 2).await });
    // From here on nobody else is let in.
    soon(async {
        while proxy.send(put("1/i/artifacts/model/late").by(&root())).await.status != 403 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(freezing.try_join_next().is_none(), "closed while a file was being written");
    upload.write_all(b" done").await.expect("a taker");
    let mut answered = vec![0; 12];
    soon(upload.read_exact(&mut answered)).await.expect("an answer");
    assert_eq!(answered, b"HTTP/1.1 200");
    let frozen = soon(freezing.join_next()).await.expect("one").expect("no panic").expect("closed files");
    refuses_all(&proxy).await;
    drop(frozen);
}

#[tokio::test]
async fn an_upload_that_does_not_end_is_cut() {
    let (proxy, _) = opened().await;
    let before = proxy.stub.bytes();
    let mut upload = begin(&proxy, &ada(), "1/models/m-i/artifacts/MLmodel").await;
    proxy.stub.until_begun(before + 4).await;
    let mut other = begin(&proxy, &ada(), "1/i/artifacts/plot.png").await;
    proxy.stub.until_begun(before + 8).await;
    let _frozen = freeze(&proxy).await;
    let mut answered = Vec::new();
    soon(upload.read_to_end(&mut answered)).await.expect("an answer");
    let answered = String::from_utf8_lossy(&answered);
    assert!(answered.starts_with("HTTP/1.1 409") && answered.contains("or closed"), "{answered}");
    other.write_all(b" done").await.expect("a taker");
    let mut answered = vec![0; 12];
    soon(other.read_exact(&mut answered)).await.expect("an answer");
    assert_eq!(answered, b"HTTP/1.1 200", "it was in nobody's way");
}

#[tokio::test]
async fn of_two_who_close_the_same_files_one_waits() {
    let (proxy, _) = opened().await;
    let first = freeze(&proxy).await;
    let change = first.change();
    let gate = Arc::clone(&proxy.gate);
    let mut second = JoinSet::new();
    second.spawn(async move { gate.freeze("iris", 1, 2).await });
    tokio::task::yield_now().await;
    assert!(second.try_join_next().is_none());
    drop(first);
    let second = soon(second.join_next()).await.expect("one").expect("no panic").expect("closed files");
    assert!(second.change() > change, "they were open in between");
    refuses_all(&proxy).await;
}

#[tokio::test]
async fn a_version_that_mlflow_has_in_a_stage_is_frozen_too() {
    let (proxy, registry) = opened().await;
    for (stage, expected) in [("Staging", 403), ("None", 200), ("Production", 403), ("Archived", 403)] {
        registry.change(|versions| versions[1].stage = stage);
        let said = proxy.send(put("1/i/artifacts/model/MLmodel").by(&root())).await;
        assert_eq!(said.status, expected, "{stage}: {}", said.text());
    }
    registry.change(|versions| drop(versions.remove(1)));
    let said = proxy.send(put("1/i/artifacts/model/MLmodel").by(&root())).await;
    assert_eq!(said.status, 200, "its version is deleted: {}", said.text());
}

#[tokio::test]
async fn what_is_in_production_is_neither_deleted_nor_renamed() {
    let (proxy, registry) = opened().await;
    let version =
        || Ask::new("DELETE", format!("{V2}/model-versions/delete")).body(r#"{"name":"iris","version":"1"}"#);
    let model = || Ask::new("DELETE", format!("{V2}/registered-models/delete")).body(r#"{"name":"iris"}"#);
    let rename = || page("registered-models/rename", r#"{"name":"iris","new_name":"lily"}"#);
    registry.change(|versions| versions[1].stage = "Production");
    for ask in [version(), model(), rename()] {
        let said = proxy.send(ask.by(&root())).await;
        assert_eq!(said.summary(), "403 PERMISSION_DENIED", "{}", said.text());
        assert_eq!(said.message(), "version 1 of iris is in Production: archive it first");
    }
    registry.change(|versions| versions[1].stage = "Archived");
    for ask in [version(), model()] {
        let said = proxy.send(ask.by(&root())).await;
        assert_eq!(said.status, 200, "{}", said.text());
    }
}

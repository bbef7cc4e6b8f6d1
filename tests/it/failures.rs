//! MLflow is down, slow, gone or talks nonsense: a read may be repeated, a write is never told wrong.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use sekisho::app::Settings;
use sekisho::upstream::Address;
use serde_json::json;

use crate::caller::{Ask, Said, ada};
use crate::proxy::{NOW, Proxy};
use crate::stub::Answer;

/// A write that nothing in the registry would show.
const LOG_PARAM: &str = "/api/2.0/mlflow/runs/log-parameter";
const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const SEARCH: &str = "/api/2.0/mlflow/registered-models/search";

fn read() -> Ask {
    Ask::get(GET_IRIS).by(&ada())
}

fn write() -> Ask {
    Ask::post(LOG_PARAM, r#"{"run_id":"r","key":"k","value":"v"}"#).by(&ada())
}

#[track_caller]
fn unavailable(said: &Said) {
    assert_eq!(said.summary(), "503 TEMPORARILY_UNAVAILABLE");
    assert_eq!(said.header("retry-after"), Some("2"));
}

#[track_caller]
fn aborted(said: &Said) {
    assert_eq!(said.summary(), "409 ABORTED");
    let id = said.header("x-request-id").expect("an id");
    assert_eq!(
        said.message(),
        format!("mlflow did not say what became of this write; look before you repeat it (request {id})")
    );
    assert!(!said.headers.contains_key("retry-after"));
}

/// A read and a write, and what their lines say.
async fn both(proxy: Proxy) -> (Said, Said, [String; 2]) {
    let (read, write) = (proxy.send(read()).await, proxy.send(write()).await);
    let (_, lines) = proxy.stop().await;
    let told: Vec<String> = lines
        .iter()
        .map(|line| line.texts(&["kind", "decision", "status", "upstream_status", "outcome"]))
        .collect();
    (read, write, told.try_into().expect("two lines"))
}

#[tokio::test]
async fn an_mlflow_that_is_down_has_done_nothing() {
    // Not a port that was free a moment ago: another test may have it by now.
    let nobody = Address::Unix("/nonexistent/mlflow.sock".into());
    let proxy = Proxy::with(move |settings| settings.upstream.address = nobody).await;
    let ready = proxy.readyz().await;
    assert_eq!((&ready["ready"], &ready["waiting_for"]), (&json!(false), &json!(["mlflow"])));
    let (read, write, lines) = both(proxy).await;
    unavailable(&read);
    unavailable(&write);
    assert_eq!(lines, ["read allow 503 - -", "outcome allow 503 - not_applied"]);
}

async fn nobody_knows(answer: fn() -> Answer, change: fn(&mut Settings)) {
    let proxy = Proxy::with(change).await;
    proxy.stub.answers(move |_| answer());
    let (read, write, lines) = both(proxy).await;
    unavailable(&read);
    aborted(&write);
    assert_eq!(lines, ["read allow 503 - -", "outcome allow 409 - unknown"]);
}

#[tokio::test]
async fn of_a_write_that_was_read_and_not_answered_nobody_knows() {
    nobody_knows(|| Answer::Close, |_| ()).await;
}

#[tokio::test]
async fn an_mlflow_that_hangs_is_not_waited_for_forever() {
    nobody_knows(|| Answer::Silence, |settings| settings.upstream.head = Duration::from_millis(200)).await;
}

#[tokio::test]
async fn garbage_is_no_answer() {
    nobody_knows(|| Answer::Raw("SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned()), |_| ()).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_a_short_one() {
    for (cut, clear, line) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{}",
            true,
            "503 - - -",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
            false,
            "200 200 - true",
        ),
    ] {
        let proxy = Proxy::start().await;
        proxy.stub.answers(move |_| Answer::Raw(cut.to_owned()));
        let (read, write) = (proxy.send(read()).await, proxy.send(write()).await);
        if clear {
            unavailable(&read)
        } else {
            assert!(read.status == 200 && read.broken, "{read:?}")
        }
        aborted(&write);
        let filtered = proxy.send(Ask::get(SEARCH).by(&ada())).await;
        unavailable(&filtered);
        let (_, lines) = proxy.stop().await;
        let told: Vec<_> = lines
            .iter()
            .map(|line| line.texts(&["status", "upstream_status", "outcome", "abandoned"]))
            .collect();
        let outcome = if clear { "409 - unknown -" } else { "409 200 unknown -" };
        let listed = if clear { "503 - - -" } else { "503 200 - -" };
        assert_eq!(told, [line, outcome, listed]);
    }
}

#[tokio::test]
async fn a_read_on_a_connection_that_went_stale_is_asked_once_more_whatever_its_method() {
    let search = Ask::post("/api/2.0/mlflow/runs/search", r#"{"experiment_ids":["1"]}"#).by(&ada());
    asked_once_more(read()).await;
    asked_once_more(search).await;
}

async fn asked_once_more(ask: Ask) {
    let proxy = Proxy::start().await;
    let closed = AtomicBool::new(false);
    proxy.stub.answers(move |heard| match heard.nth > 0 && !closed.swap(true, SeqCst) {
        true => Answer::Close,
        false => Answer::Json(200, "{}".to_owned()),
    });
    let mut sent = 0;
    while proxy.stub.heard().len() == sent {
        assert_eq!(proxy.send(ask.clone()).await.status, 200);
        sent += 1;
    }
    let heard = proxy.stub.heard();
    assert_eq!(heard.len(), sent + 1, "one of them was asked twice");
    assert_eq!(heard[sent].nth, 0, "the second time on a new connection");
    assert_eq!(heard[sent].body, heard[sent - 1].body);
}

#[tokio::test]
async fn a_write_on_a_connection_that_went_stale_is_not_sent_twice() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|heard| match heard.nth {
        0 => Answer::Json(200, "{}".to_owned()),
        _ => Answer::Close,
    });
    let mut lost = 0;
    while lost == 0 {
        let before = proxy.stub.heard().len();
        let said = proxy.send(write()).await;
        assert_eq!(proxy.stub.heard().len(), before + 1, "a write was sent twice");
        if proxy.stub.heard()[before].nth > 0 {
            aborted(&said);
            lost += 1;
        }
    }
    let before = proxy.stub.heard().len();
    proxy.stub.answers(|_| Answer::Close);
    unavailable(&proxy.send(read()).await);
    assert!(proxy.stub.heard().len() <= before + 2, "more than one repetition");
}

#[tokio::test]
async fn a_lost_write_that_mlflow_shows_is_answered_as_done() {
    let proxy = Proxy::start().await;
    let model = json!({"registered_model": {"name": "iris", "creation_timestamp": NOW * 1_000}}).to_string();
    let shown = model.clone();
    proxy.stub.answers(move |heard| match heard.method.as_str() {
        "POST" => Answer::Close,
        _ => Answer::Json(200, shown.clone()),
    });
    let create = Ask::post("/api/2.0/mlflow/registered-models/create", r#"{"name":"iris"}"#).by(&ada());
    let said = proxy.send(create).await;
    assert_eq!((said.status, said.text()), (200, model.as_str()));
    assert_eq!(proxy.line().await.texts(&["status", "outcome"]), "200 applied");
    let posts = proxy.stub.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(posts, 1, "looking is not repeating");
}

#[tokio::test]
async fn looking_for_a_lost_write_ends_even_if_mlflow_hangs() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|heard| match heard.method.as_str() {
        "POST" => Answer::Close,
        _ => Answer::Silence,
    });
    let create = Ask::post("/api/2.0/mlflow/registered-models/create", r#"{"name":"iris"}"#).by(&ada());
    aborted(&proxy.send(create).await);
    assert_eq!(proxy.line().await.texts(&["status", "outcome"]), "409 unknown");
}

#[tokio::test]
async fn readiness_follows_mlflow() {
    let proxy = Proxy::start().await;
    let ready = async {
        while proxy.readyz().await["ready"] != json!(true) {
            tokio::task::yield_now().await;
        }
    };
    crate::proxy::soon(ready).await;
}

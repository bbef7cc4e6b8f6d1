//! Callers who hang up: a read ends, a write does not, and each is told about.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::caller::ada;
use crate::proxy::{Proxy, soon};
use crate::stub::Answer;

async fn begin(proxy: &Proxy, head: &str, body: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(proxy.address).await.expect("a connection");
    let token = ada().token(&proxy.clock);
    let head = format!("{head} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    let typed = if head.starts_with("POST") { "content-type: application/json\r\n" } else { "" };
    let length = if head.starts_with("GET") { String::new() } else { "content-length: 36\r\n".to_owned() };
    socket.write_all(format!("{head}{typed}{length}\r\n").as_bytes()).await.expect("a taker");
    socket.write_all(body).await.expect("a taker");
    socket
}

/// Hangs up, and waits until the proxy has done the same.
async fn hang_up(mut socket: TcpStream) {
    socket.shutdown().await.expect("an end");
    let mut heard = Vec::new();
    let _reset = soon(socket.read_to_end(&mut heard)).await;
    assert_eq!(heard, b"", "{}", String::from_utf8_lossy(&heard));
}

const WRITE: &[u8] = br#"{"run_id":"r","key":"k","value":"v"}"#;

#[tokio::test]
async fn a_write_ends_without_its_caller() {
    let proxy = Proxy::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    proxy
        .stub
        .answers(move |_| Answer::Held(Arc::clone(&held), Box::new(Answer::Json(200, "{}".to_owned()))));
    let socket = begin(&proxy, "POST /api/2.0/mlflow/runs/log-parameter", WRITE).await;
    let heard = proxy.stub.until_heard(1).await;
    assert!(heard[0].whole && heard[0].body == WRITE);
    hang_up(socket).await;
    gate.add_permits(1);
    let line = proxy.line().await;
    assert_eq!(
        line.texts(&["kind", "status", "upstream_status", "outcome", "abandoned"]),
        "outcome 200 200 applied -"
    );
}

#[tokio::test]
async fn a_read_ends_with_its_caller() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|_| Answer::Silence);
    let socket = begin(&proxy, "GET /api/2.0/mlflow/registered-models/get?name=iris", b"").await;
    proxy.stub.until_heard(1).await;
    hang_up(socket).await;
    let line = proxy.line().await;
    assert_eq!(
        line.texts(&["kind", "decision", "object", "status", "abandoned"]),
        "read allow model:iris - true"
    );
}

#[tokio::test]
async fn an_upload_that_breaks_off_breaks_off_at_mlflow_too() {
    let proxy = Proxy::start().await;
    let target = "PUT /api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/x";
    let socket = begin(&proxy, target, b"half of them").await;
    proxy.stub.until_begun(12).await;
    let questions = proxy.stub.heard().len();
    drop(socket);
    proxy.stub.until_heard(questions + 1).await;
    let heard = proxy.stub.forwarded();
    assert!(!heard[0].whole, "the stub took half a file for a whole one");
    assert_eq!(heard[0].text(), "half of them");
    let line = proxy.line().await;
    assert_eq!(
        line.texts(&["kind", "decision", "operation", "outcome"]),
        "outcome allow tracking_write unknown"
    );
    assert!(line.text("reason").starts_with("the request's body broke off"), "{}", line.0);
}

#[tokio::test]
async fn half_a_message_is_nothing_that_was_asked() {
    let proxy = Proxy::start().await;
    let socket = begin(&proxy, "POST /api/2.0/mlflow/runs/log-parameter", b"{\"run_id\"").await;
    drop(socket);
    let line = proxy.line().await;
    assert_eq!(line.texts(&["kind", "decision", "principal"]), "refusal deny ada@company.com");
    assert_eq!(proxy.stub.lines(), [""; 0]);
}

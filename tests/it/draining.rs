//! The end of serving: what is in flight is finished, nothing new is taken.

use std::sync::Arc;

use sekisho::drain::Drained;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::caller::{Ask, ada};
use crate::proxy::{Proxy, send_to, soon};
use crate::stub::Answer;

#[tokio::test]
async fn what_is_in_flight_is_finished() {
    let proxy = Proxy::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    proxy.stub.answers(move |_| {
        Answer::Held(Arc::clone(&held), Box::new(Answer::Json(200, "{\"a\":1}".to_owned())))
    });
    let mut callers = JoinSet::new();
    let address = proxy.address;
    for ask in [
        Ask::get("/api/2.0/mlflow/registered-models/get?name=iris"),
        Ask::post("/api/2.0/mlflow/registered-models/create", r#"{"name":"iris"}"#),
    ] {
        callers.spawn(send_to(address, ask.by(&ada()).request(&proxy.clock)));
    }
    proxy.stub.until_heard(2).await;
    let (mut running, stub, lines, _folder) = proxy.begin_stop();
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    soon(closed).await;
    assert_eq!(lines.now().len(), 0, "something ended early");
    gate.add_permits(2);
    while let Some(said) = soon(callers.join_next()).await {
        let said = said.expect("an answer");
        assert_eq!((said.status, said.text(), said.broken), (200, "{\"a\":1}", false));
    }
    assert_eq!(soon(running.join_next()).await.expect("an end").expect("no panic"), Drained::Cleanly);
    let mut told: Vec<_> =
        lines.now().iter().map(|line| line.texts(&["kind", "status", "outcome"])).collect();
    told.sort();
    assert_eq!(told, ["outcome 200 applied", "read 200 -"]);
    assert_eq!(stub.heard().len(), 2);
}

#[tokio::test]
async fn a_write_without_a_caller_holds_the_drain_up_too() {
    let proxy = Proxy::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    proxy
        .stub
        .answers(move |_| Answer::Held(Arc::clone(&held), Box::new(Answer::Json(200, "{}".to_owned()))));
    let create = Ask::post("/api/2.0/mlflow/registered-models/create", r#"{"name":"iris"}"#).by(&ada());
    let mut caller = JoinSet::new();
    caller.spawn(send_to(proxy.address, create.request(&proxy.clock)));
    proxy.stub.until_heard(1).await;
    caller.shutdown().await;
    let (mut running, _stub, lines, _folder) = proxy.begin_stop();
    gate.add_permits(1);
    assert_eq!(soon(running.join_next()).await.expect("an end").expect("no panic"), Drained::Cleanly);
    let told: Vec<_> = lines.now().iter().map(|line| line.texts(&["kind", "status", "outcome"])).collect();
    assert_eq!(told, ["outcome 200 applied"]);
}

#[tokio::test]
async fn a_connection_that_is_kept_for_later_is_closed() {
    let proxy = Proxy::start().await;
    let mut socket = TcpStream::connect(proxy.address).await.expect("a connection");
    socket.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a taker");
    proxy.lines(1).await;
    let (drained, _) = proxy.stop().await;
    assert_eq!(drained, Drained::Cleanly);
    let mut heard = String::new();
    soon(socket.read_to_string(&mut heard)).await.expect("an end");
    assert!(heard.starts_with("HTTP/1.1 401 "), "{heard}");
}

#[tokio::test]
async fn the_grace_is_all_that_is_waited_for() {
    let proxy = Proxy::with(|settings| settings.grace = std::time::Duration::from_millis(200)).await;
    proxy.stub.answers(|_| Answer::Silence);
    let mut caller = JoinSet::new();
    let create = Ask::post("/api/2.0/mlflow/registered-models/create", r#"{"name":"iris"}"#).by(&ada());
    let address = proxy.address;
    let request = create.request(&proxy.clock);
    caller.spawn(async move {
        let _cut = TcpStream::connect(address).await;
        send_to(address, request).await
    });
    proxy.stub.until_heard(1).await;
    let (mut running, _stub, _lines, _folder) = proxy.begin_stop();
    assert_eq!(soon(running.join_next()).await.expect("an end").expect("no panic"), Drained::DeadlinePassed);
}

//! Where one message ends and the next begins, and what hyper does by itself.

use super::*;

/// `request` is sent with a second one right behind it, which must never be answered.
async fn check(house: &Served, request: &str, expected: &str) {
    let told = house.told(&format!("{request}GET /peer HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    let (head, body) = told.split_once("\r\n\r\n").unwrap_or((&told, ""));
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    assert_eq!(format!("{status} {body}").trim_end(), expected, "{request:?}");
}

#[tokio::test]
async fn nobody_can_hide_a_request_behind_another() {
    let house = served(Ceilings::default()).await;
    let post = "POST /echo HTTP/1.1\r\nhost: x\r\n";
    for (fields, expected) in [
        ("content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "200 hi"),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "200 hi"),
        ("content-length: 2\r\ncontent-length: 3\r\n\r\nhi", "400"),
        ("content-length: 2, 2\r\n\r\nhi", "400"),
        ("content-length: +2\r\n\r\nhi", "400"),
        ("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", "400"),
        ("transfer-encoding : chunked\r\n\r\n0\r\n\r\n", "400"),
        ("x: y\r\n folded: z\r\ncontent-length: 2\r\n\r\nhi", "400"),
        ("transfer-encoding: chunked\r\n\r\n2x\r\nhi\r\n0\r\n\r\n", "408 the request's body broke off"),
    ] {
        check(&house, &format!("{post}{fields}"), expected).await;
    }
    let old = "POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    check(&house, old, "400").await;
}

#[tokio::test]
async fn a_body_is_called_for_only_when_somebody_reads_it() {
    let house = served(Ceilings::default()).await;
    let expecting = "host: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
    let mut stream = house.connect().await;
    stream.write_all(format!("PUT /echo HTTP/1.1\r\n{expecting}").as_bytes()).await.unwrap();
    assert_eq!(heard_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").await.unwrap();
    assert!(rest(&mut stream).await.ends_with("hi"));

    let told = house.told(&format!("PUT /refused HTTP/1.1\r\n{expecting}")).await;
    assert!(told.starts_with("HTTP/1.1 401"), "{told}");
}

#[tokio::test]
async fn an_answer_nobody_waits_for_is_dropped() {
    let mut house = served(Ceilings::default()).await;
    let mut stream = house.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    soon(house.begun.recv()).await.unwrap();
    drop(stream);
    soon(house.dropped.recv()).await.unwrap();

    let (mut client, _connection) = http2(house.connect().await).await;
    let waiting = client.send_request(get("/wait"));
    soon(house.begun.recv()).await.unwrap();
    drop(waiting);
    soon(house.dropped.recv()).await.unwrap();
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "hello", "only the stream is gone");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let house = served(Ceilings::default()).await;
    let told = house.told("GET /broken HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!told.ends_with("0\r\n\r\n"), "{told}");
    let (mut client, _connection) = http2(house.connect().await).await;
    let whole = async { client.send_request(get("/broken")).await?.into_body().collect().await };
    soon(whole).await.unwrap_err();
}

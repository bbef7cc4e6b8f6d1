//! Timers and ceilings.

use tokio::time::Instant;

use super::*;

fn short(change: impl FnOnce(&mut Ceilings)) -> Ceilings {
    let mut ceilings = Ceilings::default();
    change(&mut ceilings);
    ceilings
}

#[tokio::test]
async fn a_peer_that_says_nothing_or_half_a_head_is_closed() {
    let house = served(short(|c| c.header_read = SHORT)).await;
    for half in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        assert_eq!(house.told(half).await, "", "{half:?}");
    }
    let mut stream = house.connect().await;
    greet(&mut stream).await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await, "", "the second head has its timer too");
}

#[tokio::test]
async fn an_idle_connection_has_more_time_than_a_head_and_not_for_ever() {
    let house = served(short(|c| (c.header_read, c.idle) = (SHORT / 4, SHORT * 4))).await;
    let mut stream = house.connect().await;
    greet(&mut stream).await;
    let begin = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    assert!(begin.elapsed() > SHORT * 3, "closed after {:?}", begin.elapsed());
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_too() {
    let house = served(short(|c| c.idle = SHORT)).await;
    let (mut client, mut connection) = http2(house.connect().await).await;
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "hello");
    soon(connection.join_next()).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_request_in_flight_is_not_idle() {
    let mut house = served(short(|c| (c.header_read, c.idle) = (SHORT, SHORT))).await;
    let (mut client, _connection) = http2(house.connect().await).await;
    let mut stream = house.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let waiting = client.send_request(get("/wait"));
    house.begun.recv().await.unwrap();
    house.begun.recv().await.unwrap();
    assert!(timeout(SHORT * 4, house.dropped.recv()).await.is_err(), "cut while it was in flight");
    house.gate.add_permits(2);
    assert_eq!(text(soon(waiting).await.unwrap()).await, "waited");
    heard_until(&mut stream, "waited").await;
}

#[tokio::test]
async fn heads_have_a_size_and_a_count() {
    let house = served(Ceilings::default()).await;
    let fields = |count: usize| (0..count).map(|i| format!("x-{i}: y\r\n")).collect::<String>();
    let long = "y".repeat(33 * 1024);
    let table = [
        (format!("GET / HTTP/1.1\r\nconnection: close\r\n{}\r\n", fields(99)), "HTTP/1.1 200"),
        (format!("GET / HTTP/1.1\r\nconnection: close\r\n{}\r\n", fields(100)), "HTTP/1.1 431"),
        (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), "HTTP/1.1 431"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "HTTP/1.1 431"),
    ];
    for (request, expected) in table {
        let told = house.told(&request).await;
        assert!(told.starts_with(expected), "{} bytes: {told}", request.len());
    }
}

#[tokio::test]
async fn hypers_own_count_is_not_in_the_way() {
    let house = served(short(|c| c.max_headers = 200)).await;
    let fields: String = (0..150).map(|i| format!("x-{i}: y\r\n")).collect();
    let told = house.told(&format!("GET / HTTP/1.1\r\nconnection: close\r\n{fields}\r\n")).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
}

#[tokio::test]
async fn http2_heads_have_the_same_size_and_count() {
    let house = served(Ceilings::default()).await;
    let [fits, long] = [30, 33].map(|kib| "y".repeat(kib * 1024));
    for (count, value, expected) in [(100, "y", 200), (101, "y", 431), (1, &*fits, 200), (1, &*long, 431)] {
        let (mut client, _connection) = http2(house.connect().await).await;
        let mut request = get("/");
        for i in 0..count {
            let name = http::HeaderName::try_from(format!("x-{i}")).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let response = soon(client.send_request(request)).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{count} of {} bytes", value.len());
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_an_error_and_the_caller_is_told() {
    let house = served(short(|c| c.body_stall = SHORT)).await;
    let told = house.told("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(told.ends_with("the request's body stalled"), "{told}");
}

#[tokio::test]
async fn a_refusal_reaches_a_caller_who_is_still_sending() {
    let house = served(Ceilings::default()).await;
    let stream = house.connect().await;
    let (mut hearing, mut saying) = stream.into_split();
    let sending = async {
        saying.write_all(b"PUT /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 67108864\r\n\r\n").await?;
        for _ in 0..1024 {
            saying.write_all(&[7; 65536]).await?;
        }
        saying.shutdown().await
    };
    let sent: std::io::Result<()> = soon(sending).await;
    sent.expect("the connection was reset while the caller was sending");
    assert!(rest(&mut hearing).await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn a_response_that_nobody_takes_is_cut() {
    let mut house = served(short(|c| c.write_stall = SHORT)).await;
    let mut deaf = house.connect().await;
    deaf.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    soon(house.dropped.recv()).await.unwrap();

    let (mut client, _connection) = http2(house.connect().await).await;
    let deaf = client.send_request(get("/endless")).await.unwrap();
    soon(house.dropped.recv()).await.unwrap();
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "hello", "only the stream is cut");
    drop(deaf);

    let stream = TokioIo::new(house.connect().await);
    let (mut client, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake::<_, Empty<Bytes>>(stream)
        .await
        .unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let _closed_window = client.send_request(get("/endless")).await.unwrap();
    soon(house.dropped.recv()).await.unwrap();
}

#[tokio::test]
async fn a_slow_answer_is_not_the_peers_fault() {
    let mut house = served(short(|c| c.write_stall = SHORT)).await;
    let (mut client, _connection) = http2(house.connect().await).await;
    let waiting = client.send_request(get("/wait"));
    house.begun.recv().await.unwrap();
    assert!(timeout(SHORT * 3, house.dropped.recv()).await.is_err());
    house.gate.add_permits(1);
    assert_eq!(text(soon(waiting).await.unwrap()).await, "waited");

    let slow = text(client.send_request(get("/slow")).await.unwrap());
    tokio::pin!(slow);
    assert!(timeout(SHORT * 3, &mut slow).await.is_err(), "the gate is closed");
    house.gate.add_permits(1);
    assert_eq!(slow.await, "slowly");
}

#[tokio::test]
async fn with_every_place_taken_the_next_one_waits_its_turn() {
    let house = served(short(|c| c.connections = 1)).await;
    let mut first = house.connect().await;
    greet(&mut first).await;
    let mut second = house.connect().await;
    second.write_all(HELLO).await.unwrap();
    assert!(timeout(SHORT, second.readable()).await.is_err(), "served beyond the ceiling");
    drop(first);
    heard_until(&mut second, "hello").await;
}

#[tokio::test]
async fn one_peer_has_its_share_and_no_more() {
    let house = served(short(|c| c.connections_per_peer = 1)).await;
    let mut first = house.connect().await;
    greet(&mut first).await;
    assert_eq!(rest(&mut house.connect().await).await, "");
    drop(first);
    let again = async {
        while !house.told("GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await.ends_with("hello") {}
    };
    soon(again).await;
}

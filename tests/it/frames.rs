//! HTTP/2 by hand: requests that no client library would write.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::caller::{Ask, ada};
use crate::proxy::{Proxy, soon};
use crate::stub::{Answer, Heard};

const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const PUT: &str = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/x";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literal fields without indexing and without Huffman's code (RFC 7541 section 6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).expect("a byte"));
            } else {
                let rest = length - 127;
                assert!(rest < 128 * 128, "a field of a test");
                block.push(127);
                block.push(u8::try_from(rest % 128 + 128).expect("a byte"));
                block.push(u8::try_from(rest / 128).expect("a byte"));
            }
            block.extend(text.bytes());
        }
    }
    block
}

/// What came of the first stream: the status where it is one of the static table, `reset`, or `gone` with the connection.
async fn told(proxy: &Proxy, frames: &[Vec<u8>]) -> &'static str {
    let mut socket = TcpStream::connect(proxy.address).await.expect("a connection");
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend(frame(SETTINGS, 0, 0, &[]));
    said.extend(frames.concat());
    socket.write_all(&said).await.expect("a taker");
    loop {
        let mut head = [0; 9];
        if soon(socket.read_exact(&mut head)).await.is_err() {
            return "gone";
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if soon(socket.read_exact(&mut payload)).await.is_err() {
            return "gone";
        }
        match (head[3], payload.first()) {
            (HEADERS, Some(0x88)) => return "200",
            (HEADERS, Some(0x8c)) => return "400",
            (HEADERS, Some(0x8d)) => return "404",
            (HEADERS, _) => return "other",
            (RST_STREAM, _) => return "reset",
            (GOAWAY, _) => return "gone",
            _ => {}
        }
    }
}

async fn house() -> Proxy {
    let proxy = Proxy::start().await;
    proxy.stub.answers_callers(|heard| Answer::ok(&json!({ "answers": heard.target })));
    proxy
}

type Fields = Vec<(&'static str, String)>;

/// A sound request with other fields before its own, without one of them, or with others after.
fn request(token: &str, before: &[Field], without: &str, after: &[Field]) -> Fields {
    let own = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", GET_IRIS)];
    let own = own.into_iter().chain([("authorization", token)]).filter(|(name, _)| *name != without);
    let more = |fields: &[Field]| fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let mut all: Fields = more(before);
    all.extend(own.map(|(name, value)| (name, value.to_owned())));
    all.extend::<Fields>(more(after));
    all
}

type Field = (&'static str, &'static str);

/// Whatever is asked, MLflow hears of one request or none, and the next caller is answered.
async fn check(proxy: &Proxy, fields: &Fields, expected: &str) {
    let before = proxy.stub.forwarded().len();
    let block: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let seen = told(proxy, &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &self::fields(&block))]).await;
    assert_eq!(seen, expected, "{fields:?}");
    let reached: Vec<_> = proxy.stub.forwarded().iter().map(Heard::line).skip(before).collect();
    let lines = if seen == "200" { vec![format!("GET {GET_IRIS}")] } else { Vec::new() };
    assert_eq!(reached, lines, "{fields:?}");
    let next = Ask::get("/api/2.0/mlflow/registered-models/get?name=wine").by(&ada());
    assert!(proxy.send(next).await.text().contains("name=wine"), "{fields:?}");
}

#[tokio::test]
async fn a_request_has_each_pseudo_field_once_and_before_the_others() {
    let proxy = house().await;
    let token = format!("Bearer {}", ada().token(&proxy.clock));
    for (before, without, after, expected) in [
        (&[][..], "", &[][..], "200"),
        (&[], ":authority", &[], "200"),
        (&[], "", &[("host", "x")], "200"),
        (&[], "", &[("host", "evil")], "400"),
        (&[], "", &[("host", "x"), ("host", "x")], "400"),
        (&[(":method", "DELETE")], "", &[], "reset"),
        (&[(":path", "/version")], "", &[], "reset"),
        (&[(":authority", "evil")], "", &[], "reset"),
        (&[(":scheme", "https")], "", &[], "reset"),
        (&[], "", &[(":path", "/version")], "reset"),
        (&[(":status", "200")], "", &[], "reset"),
        (&[(":protocol", "websocket")], "", &[], "reset"),
        (&[(":unknown", "x")], "", &[], "gone"),
        (&[], ":method", &[], "reset"),
        (&[], ":path", &[], "reset"),
        (&[], ":scheme", &[], "reset"),
        (&[(":path", "")], ":path", &[], "reset"),
        (&[(":path", "api")], ":path", &[], "reset"),
        (&[(":path", "*")], ":path", &[], "400"),
        (&[(":path", "/version HTTP/1.1\r\nx: y")], ":path", &[], "reset"),
        (&[(":path", "/version x")], ":path", &[], "reset"),
        (&[(":path", "//evil/version")], ":path", &[], "400"),
        (&[(":path", "http://evil/version")], ":path", &[], "reset"),
        (&[(":method", "GET / HTTP/1.1\r\nx:")], ":method", &[], "gone"),
        (&[(":method", "CONNECT")], ":method", &[], "reset"),
        (&[(":method", "get")], ":method", &[], "404"),
        (&[(":authority", "x@evil:1\r\nx: y")], ":authority", &[], "reset"),
    ] {
        check(&proxy, &request(&token, before, without, after), expected).await;
    }
}

#[tokio::test]
async fn a_request_has_no_field_of_a_connection_or_of_another_line() {
    let proxy = house().await;
    let token = format!("Bearer {}", ada().token(&proxy.clock));
    for (after, expected) in [
        (&[("te", "trailers")][..], "200"),
        (&[("x-forwarded-for", "9.9.9.9"), ("x_user", "root"), ("expect", "100-continue")], "200"),
        (&[("connection", "close")], "reset"),
        (&[("keep-alive", "timeout=1")], "reset"),
        (&[("proxy-connection", "close")], "reset"),
        (&[("transfer-encoding", "chunked")], "reset"),
        (&[("upgrade", "h2c")], "reset"),
        (&[("te", "gzip")], "reset"),
        (&[("X-Upper", "y")], "gone"),
        (&[("x y", "z")], "gone"),
        (&[("x:y", "z")], "gone"),
        (&[("", "z")], "gone"),
        (&[("x", "a\r\nb: c")], "gone"),
        (&[("x", "a\nb: c")], "gone"),
        (&[("x", "a\0b")], "gone"),
        (&[("content-length", "2")], "reset"),
        (&[("content-length", "x")], "reset"),
        (&[("content-length", "0"), ("content-length", "1")], "reset"),
    ] {
        check(&proxy, &request(&token, &[], "", after), expected).await;
    }
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says() {
    let proxy = house().await;
    let token = format!("Bearer {}", ada().token(&proxy.clock));
    let put = |length: Option<&'static str>| {
        let mut all = vec![
            (":method", "PUT"),
            (":scheme", "http"),
            (":authority", "x"),
            (":path", PUT),
            ("authorization", &token),
        ];
        all.extend(length.map(|length| ("content-length", length)));
        frame(HEADERS, END_HEADERS, 1, &fields(&all))
    };
    let data = |text: &str| frame(DATA, 0, 1, text.as_bytes());
    let last = |text: &str| frame(DATA, END_STREAM, 1, text.as_bytes());
    let trailers = frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &fields(&[("authorization", "Bearer x"), ("content-length", "9"), ("x-forwarded-for", "9.9.9.9")]),
    );
    for (name, frames, expected) in [
        ("as it says", vec![put(Some("2")), last("hi")], "200"),
        ("of no known length", vec![put(None), data("h"), data(""), last("i")], "200"),
        ("with trailers", vec![put(None), data("hi"), trailers.clone()], "200"),
        ("shorter", vec![put(Some("3")), last("hi")], "reset"),
        ("shorter, with trailers", vec![put(Some("3")), data("hi"), trailers], "reset"),
        ("longer", vec![put(Some("1")), last("hi")], "reset"),
        (
            "with pseudo-fields behind",
            vec![
                put(None),
                data("hi"),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&[(":path", "/health")])),
            ],
            "200",
        ),
    ] {
        let before = proxy.stub.forwarded().len();
        assert_eq!(told(&proxy, &frames).await, expected, "{name}");
        for heard in proxy.stub.forwarded().into_iter().skip(before) {
            assert_eq!(heard.whole, expected == "200", "{name}: {heard:?}");
            assert!(!heard.whole || heard.text() == "hi", "{name}: {heard:?}");
            for (field, value) in [("authorization", None), ("x-forwarded-for", Some("127.0.0.1"))] {
                assert_eq!(heard.header(field), value, "{name}");
            }
        }
        let next = Ask::get("/api/2.0/mlflow/registered-models/get?name=wine").by(&ada());
        assert!(proxy.send(next).await.text().contains("name=wine"), "{name}");
    }
}

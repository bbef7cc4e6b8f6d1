//! Requests that two readers could cut in different places: MLflow gets one request of our own writing or none, and whoever
//! comes next over the same connections gets the answer to their own.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::caller::{ada, root};
use crate::proxy::{Proxy, soon};
use crate::stub::Answer;

const CREATE: &str = "/api/2.0/mlflow/registered-models/create";
const PUT: &str = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/x";
const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const NEXT: &str = "/api/2.0/mlflow/registered-models/get?name=wine";

/// A proxy before a stub whose answers say what they answer.
async fn house() -> Proxy {
    let proxy =
        Proxy::with(|settings| settings.listen.ceilings.body_stall = Duration::from_millis(300)).await;
    proxy.stub.answers_callers(|heard| {
        Answer::ok(&json!({ "answers": format!("{} {}", heard.line(), heard.text()).trim_end() }))
    });
    proxy
}

/// Says `request`, and right behind it another one that ends the connection; what was answered, and what MLflow heard.
async fn exchange(proxy: &Proxy, request: &[u8]) -> (Vec<String>, Vec<String>) {
    let before = proxy.stub.forwarded().len();
    let token = ada().token(&proxy.clock);
    let mut said = request.to_vec();
    said.extend(
        format!(
            "GET {NEXT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        )
        .bytes(),
    );
    let mut socket = TcpStream::connect(proxy.address).await.expect("a connection");
    socket.write_all(&said).await.expect("a taker");
    let mut heard = Vec::new();
    let _closed_or_reset = soon(socket.read_to_end(&mut heard)).await;
    let reached = proxy.stub.forwarded().into_iter().skip(before);
    let reached = reached.map(|heard| format!("{} {}", heard.line(), heard.text()).trim_end().to_owned());
    (answers(&heard), reached.map(|line| line.replace("/api/2.0/", "")).collect())
}

/// Each answer of a connection: its status, and what it answers or refuses.
fn answers(bytes: &[u8]) -> Vec<String> {
    let (mut told, mut rest) = (Vec::new(), String::from_utf8(bytes.to_vec()).expect("text"));
    while !rest.is_empty() {
        let Some((head, after)) = rest.split_once("\r\n\r\n") else {
            told.push(format!("half a head: {rest}"));
            break;
        };
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let (body, after) = after.split_at(length.unwrap_or(0).min(after.len()));
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let what = ["answers", "error_code"].iter().find_map(|key| body.get(key)?.as_str()).unwrap_or("-");
        told.push(format!("{status} {}", what.replace("/api/2.0/", "")));
        rest = after.to_owned();
    }
    told
}

/// What became of a request that went on as this, and of the next one.
fn both(line: &str) -> (Vec<String>, Vec<String>) {
    let next = format!("GET {NEXT}").replace("/api/2.0/", "");
    (vec![format!("200 {line}"), format!("200 {next}")], vec![line.to_owned(), next])
}

/// The same where the connection is closed after it.
fn alone(line: &str) -> (Vec<String>, Vec<String>) {
    (vec![format!("200 {line}")], vec![line.to_owned()])
}

/// A refusal after which the connection is closed.
fn refused(told: &str) -> (Vec<String>, Vec<String>) {
    (vec![told.to_owned()], Vec::new())
}

/// A refusal after which the next request is answered.
fn refused_then_next(told: &str) -> (Vec<String>, Vec<String>) {
    let next = format!("GET {NEXT}").replace("/api/2.0/", "");
    (vec![told.to_owned(), format!("200 {next}")], vec![next])
}

const POSTED: &str = r#"POST mlflow/registered-models/create {"name":"iris"}"#;
const STORED: &str = "PUT mlflow-artifacts/artifacts/1/r/artifacts/x hi";
const BAD: &str = "400 INVALID_PARAMETER_VALUE";

/// Every request of a table that did not become what it should, for all of them are worth seeing at once.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    async fn check(
        &mut self,
        proxy: &Proxy,
        line: &str,
        fields: impl AsRef<[u8]>,
        expected: (Vec<String>, Vec<String>),
    ) {
        let token = ada().token(&proxy.clock);
        let mut request = format!("{line}\r\nauthorization: Bearer {token}\r\n").into_bytes();
        request.extend(fields.as_ref());
        let seen = exchange(proxy, &request).await;
        if seen != expected {
            let fields = String::from_utf8_lossy(fields.as_ref());
            self.0.push(format!("{line}\n{fields:?}\nseen     {seen:?}\nexpected {expected:?}\n"));
        }
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// The body of a creation in one chunk.
const CHUNKED: &str = "\r\n\r\nf\r\n{\"name\":\"iris\"}\r\n0\r\n\r\n";

/// The same after an empty line.
const PLAIN: &str = "\r\n\r\n{\"name\":\"iris\"}";

fn post() -> String {
    format!("POST {CREATE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json")
}

#[tokio::test]
async fn a_body_has_one_end() {
    let (proxy, mut wrong) = (house().await, Wrong::default());
    for (fields, body, expected) in [
        ("content-length: 15", PLAIN, both(POSTED)),
        ("content-length: 015", PLAIN, both(POSTED)),
        ("content-length: 15\r\ncontent-length: 15", PLAIN, both(POSTED)),
        ("transfer-encoding: chunked", CHUNKED, both(POSTED)),
        ("Transfer-Encoding: CHUNKED", CHUNKED, both(POSTED)),
        // Chunks go before a length, and nothing is taken after them (RFC 9112 section 6.3).
        ("content-length: 4\r\ntransfer-encoding: chunked", CHUNKED, alone(POSTED)),
        ("transfer-encoding: chunked\r\ncontent-length: 4", CHUNKED, alone(POSTED)),
        ("transfer-encoding: chunked\r\ncontent-length: -4", CHUNKED, alone(POSTED)),
        ("content-length: 0\r\ntransfer-encoding: chunked", "\r\n\r\n0\r\n\r\n", refused(BAD)),
        ("content-length: 9223372036854775807", PLAIN, refused(BAD)),
        ("content-length: 18446744073709551615", PLAIN, refused("431 -")),
        // Codings that hyper would take for chunks.
        ("transfer-encoding: gzip, chunked", CHUNKED, refused_then_next(BAD)),
        ("transfer-encoding: chunked, chunked", CHUNKED, refused_then_next(BAD)),
        ("transfer-encoding: x\r\ntransfer-encoding: chunked", CHUNKED, refused_then_next(BAD)),
    ] {
        wrong.check(&proxy, &post(), format!("{fields}{body}"), expected).await;
    }
    let put = format!("PUT {PUT} HTTP/1.1\r\nhost: x");
    for (fields, expected) in [
        ("content-length: 2\r\n\r\nhi", both(STORED)),
        ("transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", both(STORED)),
        ("content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", alone(STORED)),
        ("transfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", refused_then_next(BAD)),
    ] {
        wrong.check(&proxy, &put, fields, expected).await;
    }
    wrong.none();
}

#[tokio::test]
async fn what_does_not_say_in_one_way_where_it_ends_is_no_request() {
    let (proxy, mut wrong) = (house().await, Wrong::default());
    for fields in [
        "content-length: 15\r\ncontent-length: 16",
        "content-length: 15, 15",
        "content-length: +15",
        "content-length: -15",
        "content-length: 0xf",
        "content-length: 1 5",
        "content-length:",
        "content-length: 15\0",
        "content-length : 15",
        "content-length: 18446744073709551616",
        "x: a\rb\r\ncontent-length: 15",
        "x: a\0b\r\ncontent-length: 15",
        "x\r\ncontent-length: 15",
        ": x\r\ncontent-length: 15",
        "x: y\r\n folded: z\r\ncontent-length: 15",
    ] {
        wrong.check(&proxy, &post(), format!("{fields}{PLAIN}"), refused("400 -")).await;
    }
    for fields in [
        "transfer-encoding : chunked",
        "transfer-encoding\t: chunked",
        "transfer-encoding:\x0bchunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked;a=b",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: x",
        "x: y\r\n transfer-encoding: chunked\r\ncontent-length: 15",
    ] {
        wrong.check(&proxy, &post(), format!("{fields}{CHUNKED}"), refused("400 -")).await;
    }
    let old = post().replace("HTTP/1.1", "HTTP/1.0");
    wrong.check(&proxy, &old, format!("transfer-encoding: chunked{CHUNKED}"), refused("400 -")).await;
    wrong.none();
}

#[tokio::test]
async fn a_chunk_has_one_size() {
    let (proxy, mut wrong) = (house().await, Wrong::default());
    let put = format!("PUT {PUT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked");
    for (chunks, expected) in [
        ("2\r\nhi\r\n0\r\n\r\n", both(STORED)),
        ("02\r\nhi\r\n000\r\n\r\n", both(STORED)),
        ("1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", both(STORED)),
        ("2;a=b\r\nhi\r\n0;c\r\n\r\n", both(STORED)),
        ("2 \r\nhi\r\n0\r\n\r\n", both(STORED)),
        (
            "2\r\nhi\r\n0\r\ncontent-length: 99\r\nauthorization: Bearer x\r\nx-forwarded-for: 1\r\n\r\n",
            both(STORED),
        ),
    ] {
        wrong.check(&proxy, &put, format!("\r\n{chunks}"), expected).await;
    }
    for chunks in [
        "0x2\r\nhi\r\n0\r\n\r\n",
        "+2\r\nhi\r\n0\r\n\r\n",
        "-2\r\nhi\r\n0\r\n\r\n",
        "\r\nhi\r\n0\r\n\r\n",
        "g\r\nhi\r\n0\r\n\r\n",
        "2\nhi\r\n0\r\n\r\n",
        "2\r\nhi\n0\r\n\r\n",
        "2\r\nhi0\r\n\r\n",
        "2\r\nhii\r\n0\r\n\r\n",
        "2;a\nb\r\nhi\r\n0\r\n\r\n",
        "2\rhi\r\n0\r\n\r\n",
        "10000000000000002\r\nhi\r\n0\r\n\r\n",
        "2\r\nhi\r\n0\r\nx y: z\r\n\r\n",
    ] {
        let token = ada().token(&proxy.clock);
        let request = format!("{put}\r\nauthorization: Bearer {token}\r\n\r\n{chunks}");
        let before = proxy.stub.forwarded().len();
        let (told, _) = exchange(&proxy, request.as_bytes()).await;
        assert_eq!(told, [BAD], "{chunks:?}");
        for heard in proxy.stub.forwarded().into_iter().skip(before) {
            assert!(!heard.whole && heard.line() == format!("PUT {PUT}"), "{chunks:?}: {heard:?}");
        }
    }
    wrong.none();
}

#[tokio::test]
async fn a_head_names_one_host_and_one_target() {
    let (proxy, mut wrong) = (house().await, Wrong::default());
    let get = "/api/2.0/mlflow/registered-models/get?name=iris";
    let got = "GET mlflow/registered-models/get?name=iris";
    for (line, fields, expected) in [
        (format!("GET {get} HTTP/1.1"), "host: x\r\n\r\n", both(got)),
        (format!("GET {get} HTTP/1.1"), "\r\n", refused_then_next(BAD)),
        (format!("GET {get} HTTP/1.1"), "host: x\r\nhost: x\r\n\r\n", refused_then_next(BAD)),
        (format!("GET {get} HTTP/1.1"), "host: x\r\nhost: evil\r\n\r\n", refused_then_next(BAD)),
        (format!("GET {get} HTTP/1.0"), "\r\n", alone(got)),
        (format!("GET http://x{get} HTTP/1.1"), "host: x\r\n\r\n", refused_then_next(BAD)),
        (format!("GET http://evil{get} HTTP/1.1"), "host: x\r\n\r\n", refused_then_next(BAD)),
        (format!("GET //evil{get} HTTP/1.1"), "host: x\r\n\r\n", refused_then_next(BAD)),
        (format!("GET evil{get} HTTP/1.1"), "host: x\r\n\r\n", refused("400 -")),
        (format!("GET {get}#x HTTP/1.1"), "host: x\r\n\r\n", both(got)),
        (format!("GET {get} x HTTP/1.1"), "host: x\r\n\r\n", refused("400 -")),
        (format!("GET  {get} HTTP/1.1"), "host: x\r\n\r\n", refused("400 -")),
        (format!("GET\t{get} HTTP/1.1"), "host: x\r\n\r\n", refused("400 -")),
        (format!("GET {get}\0 HTTP/1.1"), "host: x\r\n\r\n", refused("400 -")),
        (format!("GET {get}\rX HTTP/1.1"), "host: x\r\n\r\n", refused("400 -")),
        (format!("GET {get} HTTP/1.2"), "host: x\r\n\r\n", refused("400 -")),
        (format!("GET {get} HTTP/2.0"), "host: x\r\n\r\n", refused("400 -")),
        (format!("GET {get} http/1.1"), "host: x\r\n\r\n", refused("400 -")),
        (format!("\r\n\r\nGET {get} HTTP/1.1"), "host: x\r\n\r\n", both(got)),
        (" GET / HTTP/1.1".to_owned(), "host: x\r\n\r\n", refused("400 -")),
        ("CONNECT x:80 HTTP/1.1".to_owned(), "host: x\r\n\r\n", refused_then_next(BAD)),
        (format!("CONNECT {get} HTTP/1.1"), "host: x\r\n\r\n", refused_then_next("404 ENDPOINT_NOT_FOUND")),
        (format!("TRACE {get} HTTP/1.1"), "host: x\r\n\r\n", refused_then_next("404 ENDPOINT_NOT_FOUND")),
        ("OPTIONS * HTTP/1.1".to_owned(), "host: x\r\n\r\n", refused_then_next(BAD)),
        (format!("G@T {get} HTTP/1.1"), "host: x\r\n\r\n", refused("400 -")),
        // A body where none is read does not become a request.
        (format!("GET {get} HTTP/1.1"), "host: x\r\ncontent-length: 2\r\n\r\nhi", refused_then_next(BAD)),
    ] {
        wrong.check(&proxy, &line, fields, expected).await;
    }
    wrong.none();
}

#[tokio::test]
async fn a_connections_own_words_change_nothing() {
    let (proxy, mut wrong) = (house().await, Wrong::default());
    let line = "GET /api/2.0/mlflow/registered-models/get?name=iris HTTP/1.1\r\nhost: x";
    let got = "GET mlflow/registered-models/get?name=iris";
    for (fields, expected) in [
        ("connection: authorization\r\n\r\n", both(got)),
        ("connection: keep-alive, host, x-request-id\r\n\r\n", both(got)),
        ("connection: close, x-mlflow-client-version\r\n\r\n", alone(got)),
        ("connection: close\r\nconnection: keep-alive\r\n\r\n", alone(got)),
        ("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n", both(got)),
        (
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n",
            both(got),
        ),
        ("expect: 100-continue\r\n\r\n", both(got)),
        ("expect: 200-ok\r\n\r\n", both(got)),
        ("x_forwarded_for: 9.9.9.9\r\nx-forwarded-for: 9.9.9.9\r\nx_user: root\r\n\r\n", both(got)),
        ("content_length: 9\r\ntransfer_encoding: chunked\r\n\r\n", both(got)),
        ("x-http-method-override: DELETE\r\nx-original-url: /admin\r\n\r\n", both(got)),
        (
            "keep-alive: timeout=1\r\nproxy-connection: close\r\nte: trailers\r\ntrailer: authorization\r\n\r\n",
            both(got),
        ),
        // A line feed alone ends a line for us (RFC 9112 section 2.2); what goes on is written anew all the same.
        ("x: y\n\n", both(got)),
        ("x: y\ncontent-length: 0\n\r\n", both(got)),
    ] {
        wrong.check(&proxy, line, fields, expected).await;
    }
    wrong.none();
    for heard in proxy.stub.forwarded() {
        let mut names: Vec<_> = heard.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["host", "traceparent", "x-forwarded-for", "x-request-id"], "{heard:?}");
        assert_eq!(heard.header("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_line_feed_that_hides_a_request_hides_nothing() {
    let (proxy, mut wrong) = (house().await, Wrong::default());
    let hidden = "DELETE /api/2.0/mlflow/registered-models/delete HTTP/1.1\r\nhost: x\r\n\r\n";
    let line = "GET /api/2.0/mlflow/registered-models/get?name=iris HTTP/1.1\r\nhost: x";
    let got = "GET mlflow/registered-models/get?name=iris";
    let next = format!("GET {NEXT}").replace("/api/2.0/", "");
    // For whoever ends heads at bare line feeds the hidden request is one of its own: it has no credential.
    let seen = (
        vec![format!("200 {got}"), "401 UNAUTHENTICATED".to_owned(), format!("200 {next}")],
        vec![got.to_owned(), next],
    );
    wrong.check(&proxy, line, format!("x: y\n\n{hidden}"), seen).await;
    let length = hidden.len();
    let fields = format!("x: y\ncontent-length: {length}\r\n\r\n{hidden}");
    wrong.check(&proxy, line, fields, refused_then_next(BAD)).await;
    wrong.none();
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_a_row_each_to_its_own_caller() {
    let proxy = house().await;
    let (mut said, mut expected) = (String::new(), Vec::new());
    for turn in 0..40 {
        let (who, name) = if turn % 2 == 0 { (ada(), "iris") } else { (root(), "secret") };
        let token = who.token(&proxy.clock);
        let target = format!("/api/2.0/mlflow/registered-models/get?name={name}{turn}");
        let (target, told) = match turn % 4 {
            0 => (target.replace("iris", "hidden"), "403 PERMISSION_DENIED".to_owned()),
            1 | 3 => (target.clone(), format!("200 GET mlflow/registered-models/get?name={name}{turn}")),
            _ => (GET_IRIS.to_owned(), "200 GET mlflow/registered-models/get?name=iris".to_owned()),
        };
        let last = if turn == 39 { "connection: close\r\n" } else { "" };
        said += &format!("GET {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{last}\r\n");
        expected.push(told);
    }
    let mut socket = TcpStream::connect(proxy.address).await.expect("a connection");
    socket.write_all(said.as_bytes()).await.expect("a taker");
    let mut heard = Vec::new();
    soon(socket.read_to_end(&mut heard)).await.expect("an end");
    assert_eq!(answers(&heard), expected);
}

#[tokio::test]
async fn a_body_that_is_called_for_and_does_not_come_is_no_request() {
    let proxy = house().await;
    let token = ada().token(&proxy.clock);
    let put =
        format!("PUT {PUT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\n");
    let next = format!("GET {NEXT} HTTP/1.1\r\nhost: x\r\n\r\n");
    // What stands where the body should be is the body, however much it looks like a request.
    let length = next.len();
    let told = proxy.raw(&format!("{put}connection: close\r\ncontent-length: {length}\r\n\r\n{next}")).await;
    assert!(told.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{told}");
    assert_eq!((proxy.stub.only().line(), proxy.stub.only().text()), (format!("PUT {PUT}"), next));
    // Refused before it is called for: nothing that comes later on is read as a request.
    let refused = put.replace(&token, "x");
    let told = proxy.raw(&format!("{refused}connection: close\r\ncontent-length: 9\r\n\r\n")).await;
    assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    assert_eq!(proxy.stub.forwarded().len(), 1);
}

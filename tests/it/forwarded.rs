//! What reaches MLflow: our own writing of what was understood, and nothing that the caller said about itself.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sekisho::upstream::Address;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::caller::{Ask, Said, ada, root};
use crate::proxy::{Proxy, soon};

const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const CREATE: &str = "/api/2.0/mlflow/registered-models/create";

fn upstream_host(proxy: &Proxy) -> String {
    match proxy.stub.address() {
        Address::Http(url) => url.authority().to_owned(),
        Address::Unix(_) => "localhost".to_owned(),
    }
}

#[tokio::test]
async fn the_callers_own_headers_stay_behind() {
    let proxy = Proxy::start().await;
    let claims = [
        ("cookie", "session=1"),
        ("origin", "http://evil.test"),
        ("referer", "http://evil.test/"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("x_forwarded_for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-user", "root"),
        ("x_mlflow_user", "root"),
        ("x-mlflow-workspace", ""),
        ("proxy-authorization", "Basic cm9vdDpyb290"),
        ("te", "trailers"),
        ("connection", "x-secret-hop"),
        ("x-secret-hop", "1"),
        ("if-match", "x"),
        ("accept-encoding", "gzip"),
        ("x-http-method-override", "DELETE"),
        ("expect", "200-ok"),
    ];
    let kept = [
        ("accept", "application/json"),
        ("user-agent", "mlflow-python-client/3.17.2"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "a=b"),
    ];
    let mut ask = Ask::get(GET_IRIS).by(&ada()).header("host", "evil.test");
    for (name, value) in claims.into_iter().chain(kept) {
        ask = ask.header(name, value);
    }
    assert_eq!(proxy.send(ask).await.status, 200);
    let heard = proxy.stub.only();
    for (name, value) in kept {
        assert_eq!(heard.header(name), Some(value));
    }
    assert_eq!(heard.header("x-forwarded-for"), Some("127.0.0.1"), "the true peer");
    assert_eq!(heard.header("host"), Some(&*upstream_host(&proxy)));
    let mut names: Vec<_> = heard.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "host", "traceparent", "tracestate", "user-agent", "x-forwarded-for", "x-request-id"]
    );
}

#[tokio::test]
async fn an_address_that_the_caller_claims_is_not_the_peers() {
    let proxy = Proxy::start().await;
    let ask = Ask::get(GET_IRIS).by(&ada()).header("x-forwarded-for", "10.9.8.7");
    assert_eq!(proxy.send(ask).await.status, 200);
    assert_eq!(proxy.stub.only().header("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_json_body_is_written_anew_with_its_length() {
    let proxy = Proxy::start().await;
    let body = r#" { "name" : "\u0069ris", "nobody_knows": [1], "description": "é" } "#;
    let ask = Ask::post(CREATE, body).by(&ada()).chunked();
    assert_eq!(proxy.send(ask).await.status, 200);
    let heard = proxy.stub.only();
    assert_eq!(heard.text(), r#"{"name":"iris","description":"é"}"#);
    assert_eq!(heard.header("content-length"), Some("34"));
    assert_eq!(heard.header("transfer-encoding"), None);
    assert_eq!(heard.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn requests_have_one_spelling() {
    let proxy = Proxy::start().await;
    let v2 = "/api/2.0/mlflow";
    for (ask, line, body) in [
        (Ask::get(GET_IRIS), format!("GET {GET_IRIS}"), ""),
        (
            Ask::get(format!("{v2}/registered-models/get?unknown=1&&name=%69r%69s")),
            format!("GET {v2}/registered-models/get?name=iris"),
            "",
        ),
        (
            Ask::get("/ajax-api/2.0/mlflow/registered-models/get?name=wine"),
            "GET /ajax-api/2.0/mlflow/registered-models/get?name=wine".to_owned(),
            "",
        ),
        (
            Ask::get(format!("{v2}/registered-models/search?filter=name+%3d+'a%26b'&max_results=5")),
            format!(
                "GET {v2}/registered-models/search?filter=name+IN+%28%27iris%27%2C+%27wine%27%29+AND+name+%3D+%27a%26b%27&max_results=6"
            ),
            "",
        ),
        (
            Ask::get("/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/sp%20ace+%2B%7e.txt"),
            "GET /api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/sp%20ace%2B%2B~.txt".to_owned(),
            "",
        ),
        (
            Ask::post(
                format!("{v2}/runs/log-metric"),
                r#"{"run_id":"r","key":"auc","value":0.10,"timestamp":"1700000000000","step":9007199254740993}"#,
            ),
            format!("POST {v2}/runs/log-metric"),
            r#"{"run_id":"r","key":"auc","value":0.10,"timestamp":"1700000000000","step":9007199254740993}"#,
        ),
        (
            Ask::new("PATCH", format!("{v2}/model-versions/update"))
                .json(r#"{"version":"1","name":"iris","description":"a\/b\t\"\u00e9\ud83d\ude00"}"#),
            format!("PATCH {v2}/model-versions/update"),
            "{\"version\":\"1\",\"name\":\"iris\",\"description\":\"a/b\\t\\\"é😀\"}",
        ),
        (
            Ask::new("DELETE", format!("{v2}/registered-models/delete")).json(r#"{"name":"iris"}"#),
            format!("DELETE {v2}/registered-models/delete"),
            r#"{"name":"iris"}"#,
        ),
        (Ask::new("HEAD", "/health"), "HEAD /health".to_owned(), ""),
    ] {
        let before = proxy.stub.forwarded().len();
        let said = proxy.send(ask.clone().by(&ada())).await;
        assert_eq!(said.status, 200, "{ask:?}: {}", said.text());
        if line.ends_with("/health") {
            continue;
        }
        let heard = proxy.stub.forwarded();
        assert_eq!(heard.len(), before + 1);
        assert_eq!((heard[before].line(), heard[before].text()), (line, body.to_owned()));
    }
}

#[tokio::test]
async fn http2_goes_on_as_http1_with_the_path_alone() {
    let proxy = Proxy::start().await;
    let socket = TcpStream::connect(proxy.address).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .expect("a handshake");
    let mut connected = JoinSet::new();
    connected.spawn(connection);
    let token = ada().token(&proxy.clock);
    let request = Request::get(format!("http://evil.test{GET_IRIS}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Full::<Bytes>::default())
        .expect("a request");
    let said = Said::of(soon(sender.send_request(request)).await.expect("an answer")).await;
    assert_eq!(said.status, 200);
    let heard = proxy.stub.only();
    assert_eq!(heard.line(), format!("GET {GET_IRIS}"));
    assert_eq!(heard.header("host"), Some(&*upstream_host(&proxy)));
}

#[tokio::test]
async fn a_file_goes_through_as_it_is() {
    let proxy = Proxy::start().await;
    let file: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let target = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/model.bin";
    let put = || Ask::new("PUT", target).header("content-type", "application/x-model").by(&ada());
    assert_eq!(proxy.send(put().body(file.clone())).await.status, 200);
    let heard = proxy.stub.only();
    assert!(heard.body == file, "{} bytes came", heard.body.len());
    assert_eq!(heard.header("content-length"), Some("1200000"));
    assert_eq!(heard.header("content-type"), Some("application/x-model"));
    assert_eq!(proxy.send(put().body("in pieces, of no known length").chunked()).await.status, 200);
    assert_eq!(proxy.stub.forwarded()[1].text(), "in pieces, of no known length");
}

#[tokio::test]
async fn mlflows_prefix_is_put_before_what_it_serves_there() {
    let proxy = Proxy::with(|settings| settings.static_prefix = Some("/ml".to_owned())).await;
    let file = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/x";
    for (target, expected) in [
        (GET_IRIS.to_owned(), format!("GET /ml{GET_IRIS}")),
        (format!("/ml{GET_IRIS}"), format!("GET /ml{GET_IRIS}")),
        (file.to_owned(), format!("GET {file}")),
    ] {
        assert_eq!(proxy.send(Ask::get(target).by(&root())).await.status, 200);
        assert_eq!(proxy.stub.lines().last(), Some(&expected));
    }
}

#[tokio::test]
async fn mlflows_answer_comes_back_without_its_connections_headers() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|_| {
        crate::stub::Answer::Raw(
            "HTTP/1.1 404 Nope\r\nserver: uvicorn\r\ndate: x\r\nx-request-id: theirs\r\nconnection: close, x-hop\r\n\
             x-hop: 1\r\nx-kept: 1\r\ncontent-length: 4\r\n\r\n{ } "
                .to_owned(),
        )
    });
    let said = proxy.send(Ask::get(GET_IRIS).by(&ada()).header("x-request-id", "ours")).await;
    assert_eq!((said.status, said.text()), (404, "{ } "), "MLflow's own words");
    assert_eq!(said.header("x-request-id"), Some("ours"));
    assert_eq!(said.header("x-kept"), Some("1"));
    for gone in ["server", "x-hop"] {
        assert_eq!(said.header(gone), None, "{gone}");
    }
}

//! Pages of other sites: what a browser may ask for them, and what they may read.

use sekisho::route::cross_site::Origins;
use serde_json::json;

use crate::caller::{Ask, Said, ada};
use crate::proxy::Proxy;
use crate::stub::Answer;

const READ: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const CREATE: &str = "/ajax-api/2.0/mlflow/registered-models/create";
const PORTAL: &str = "https://portal.example";

async fn house(origins: &'static [&'static str]) -> Proxy {
    let proxy = Proxy::with(|settings| {
        settings.origins = Origins::new(origins.iter().map(ToString::to_string));
    })
    .await;
    // An MLflow with a will of its own about other sites.
    proxy.stub.answers(|_| {
        Answer::Kept(
            "HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\n\
             access-control-allow-private-network: true\r\nvary: Accept-Encoding\r\ncontent-length: 2\r\n\r\n{}"
                .to_owned(),
        )
    });
    proxy
}

fn preflight(origin: &str) -> Ask {
    Ask::new("OPTIONS", CREATE)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
}

fn create() -> Ask {
    Ask::post(CREATE, r#"{"name":"iris"}"#)
}

fn basic(proxy: &Proxy) -> String {
    let pair = format!("any:{}", ada().token(&proxy.clock));
    format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair))
}

/// Every header that speaks of other sites.
fn told(said: &Said) -> Vec<(&str, &str)> {
    let mut told: Vec<_> = said
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("access-control-") || *name == "vary")
        .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
        .collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn preflights_are_refused_where_nobody_is_named() {
    let proxy = house(&[]).await;
    for origin in ["https://evil.example", "null", "http://sekisho.test", "*", ""] {
        let said = proxy.send(preflight(origin)).await;
        assert_eq!(said.summary(), "403 PERMISSION_DENIED", "{origin}");
        assert_eq!(told(&said), [], "{origin}");
    }
    let said = proxy.send(Ask::get(READ).by(&ada()).header("origin", "https://evil.example")).await;
    assert_eq!((said.status, told(&said)), (200, vec![("vary", "Accept-Encoding")]));
    let lines = proxy.lines(6).await;
    assert_eq!(
        lines[0].texts(&["kind", "method", "principal", "decision", "status", "reason"]),
        "refusal OPTIONS - deny 403 pages of `https://evil.example` may not call here: `server.cors_origins` \
         does not name it"
    );
    assert_eq!(proxy.stub.lines(), [format!("GET {READ}")], "a preflight is never sent on");
}

#[tokio::test]
async fn a_named_origin_is_told_what_it_may_send_and_nobody_else_is() {
    let proxy = house(&[PORTAL, "http://localhost:3000"]).await;
    for origin in [PORTAL, "http://localhost:3000"] {
        let said = proxy.send(preflight(origin)).await;
        assert_eq!((said.status, said.text()), (204, ""));
        assert_eq!(
            told(&said),
            [
                ("access-control-allow-headers", "authorization, content-type, x-request-id"),
                ("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"),
                ("access-control-allow-origin", origin),
                ("access-control-max-age", "600"),
                ("vary", "Origin"),
            ]
        );
    }
    for (ask, status) in [
        (preflight("https://portal.example.evil"), 403),
        (preflight("https://portal.example:443"), 403),
        (preflight("https://PORTAL.example"), 403),
        (preflight("http://portal.example"), 403),
        (preflight("null"), 403),
        (preflight(PORTAL).header("origin", "https://evil.example"), 403),
        (preflight(PORTAL).header("origin", PORTAL), 403),
        (preflight(PORTAL).header("host", "a").header("host", "b"), 400),
    ] {
        let said = proxy.send(ask.clone()).await;
        assert_eq!(said.status, status, "{ask:?}");
        assert!(told(&said).iter().all(|(name, _)| *name == "vary" || status == 400), "{ask:?}: {said:?}");
    }
    assert_eq!(proxy.stub.lines(), [""; 0]);
    let line = &proxy.lines(1).await[0];
    assert_eq!(
        line.texts(&["kind", "method", "principal", "decision", "status", "reason"]),
        "read OPTIONS - allow 204 a preflight of an origin that is named"
    );
}

#[tokio::test]
async fn options_that_is_no_preflight_is_no_route() {
    let proxy = house(&[PORTAL]).await;
    for ask in [
        Ask::new("OPTIONS", CREATE),
        Ask::new("OPTIONS", CREATE).header("origin", PORTAL),
        Ask::new("OPTIONS", CREATE).header("access-control-request-method", "POST"),
    ] {
        assert_eq!(proxy.send(ask.clone()).await.status, 401, "{ask:?}");
        assert_eq!(proxy.send(ask.by(&ada())).await.summary(), "404 ENDPOINT_NOT_FOUND");
    }
    let other = Ask::post(CREATE, r#"{"name":"iris"}"#).header("access-control-request-method", "POST");
    assert_eq!(proxy.send(other.header("origin", PORTAL)).await.status, 401, "no preflight but by OPTIONS");
}

#[tokio::test]
async fn a_named_page_writes_with_its_own_token_and_reads_every_answer() {
    let proxy = house(&[PORTAL]).await;
    let readable =
        vec![("access-control-allow-origin", PORTAL), ("vary", "Accept-Encoding"), ("vary", "Origin")];
    let from = |ask: Ask| ask.header("origin", PORTAL).header("sec-fetch-site", "cross-site");
    for ask in [create().by(&ada()), Ask::get(READ).by(&ada())] {
        let said = proxy.send(from(ask)).await;
        assert_eq!((said.status, told(&said)), (200, readable.clone()));
    }
    let denied = create().header("authorization", basic(&proxy));
    for (ask, summary) in [
        (denied, "403 PERMISSION_DENIED"),
        (create(), "401 UNAUTHENTICATED"),
        (Ask::get("/nowhere").by(&ada()), "404 ENDPOINT_NOT_FOUND"),
        (Ask::get("/api/2.0/mlflow/registered-models/get?name=other").by(&ada()), "403 PERMISSION_DENIED"),
    ] {
        let said = proxy.send(from(ask)).await;
        assert_eq!(said.summary(), summary);
        assert_eq!(told(&said), [("access-control-allow-origin", PORTAL), ("vary", "Origin")], "{summary}");
    }
    let said = proxy.send(create().by(&ada()).header("origin", "https://evil.example")).await;
    assert_eq!((said.summary().as_str(), told(&said)), ("403 PERMISSION_DENIED", vec![("vary", "Origin")]));
    assert_eq!(proxy.stub.heard().len(), 2);
    assert_eq!(proxy.stub.heard()[0].header("origin"), None, "MLflow's own guard is not asked");
    assert_eq!(proxy.stub.heard()[0].text(), json!({ "name": "iris" }).to_string());
}

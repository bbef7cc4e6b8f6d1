//! What is refused, in which words, and that MLflow never hears of it.

use crate::caller::{Ask, ada, root, who};
use crate::proxy::{NOW, Proxy};

const CREATE: &str = "/api/2.0/mlflow/registered-models/create";
const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const SEARCH: &str = "/api/2.0/mlflow/registered-models/search";

const SMUGGLED: &str = r#"{"name":"iris"}"#;

async fn check(proxy: &Proxy, ask: Ask, expected: &str) {
    let told = format!("{ask:?}");
    let said = proxy.send(ask).await;
    assert_eq!(said.summary(), expected, "{told}\n{}", said.text());
    assert!(!said.message().is_empty(), "{told}");
    assert_eq!(said.header("content-type"), Some("application/json"), "{told}");
    assert_eq!(said.headers.contains_key("www-authenticate"), said.status == 401, "{told}");
    assert!(!said.headers.contains_key("retry-after"), "{told}");
    assert_eq!(proxy.stub.lines(), [""; 0], "{told} was passed on");
}

#[tokio::test]
async fn strangers_are_refused_before_anything_is_read() {
    let proxy = Proxy::start().await;
    let token = ada().token(&proxy.clock);
    let unknown = "401 UNAUTHENTICATED";
    for ask in [
        Ask::get(GET_IRIS),
        Ask::get("/no/such/route"),
        Ask::get("/api/../secret"),
        Ask::post(CREATE, "{broken"),
        Ask::get("/health"),
        Ask::get(GET_IRIS).header("authorization", "Bearer not.a.token"),
        Ask::get(GET_IRIS).header("authorization", "Digest x"),
        Ask::get(GET_IRIS).by(&ada()).header("authorization", format!("Bearer {token}")),
        Ask::get(GET_IRIS).header("authorization", format!("Bearer {token}, Bearer {token}")),
        Ask::get(GET_IRIS).header("cookie", format!("token={token}")),
        Ask::get(format!("{GET_IRIS}&access_token={token}")),
    ] {
        check(&proxy, ask, unknown).await;
    }
}

const BAD: &str = "400 INVALID_PARAMETER_VALUE";
const DENIED: &str = "403 PERMISSION_DENIED";
const NONE: &str = "404 ENDPOINT_NOT_FOUND";

#[tokio::test]
async fn targets_that_two_readers_could_read_differently_are_refused() {
    let proxy = Proxy::start().await;
    let get = |target: &str| Ask::get(target.to_owned());
    for (ask, expected) in [
        (get("/no/such/route"), NONE),
        (Ask::new("get", GET_IRIS), NONE),
        (get("/api/2.0/mlflow/registered-models/get/?name=iris"), NONE),
        (get("/%61pi/2.0/mlflow/registered-models/get?name=iris"), NONE),
        (get("/API/2.0/mlflow/registered-models/get?name=iris"), NONE),
        (get("/api/2.0/mlflow//registered-models/get?name=iris"), BAD),
        (get("/api/2.0/mlflow/./registered-models/get?name=iris"), BAD),
        (get("/api/2.0/mlflow/x/../registered-models/get?name=iris"), BAD),
        (get("/api/2.0/mlflow/%2e%2e/registered-models/get?name=iris"), BAD),
        (get("/api%2F2.0/mlflow/registered-models/get?name=iris"), BAD),
        (get("http://evil.test/api/2.0/mlflow/registered-models/get?name=iris"), BAD),
        (get("/api/2.0/mlflow/registered-models/get?name=iris&name=victim"), BAD),
        (get("/api/2.0/mlflow/registered-models/get?name=%ff"), BAD),
        (get("/api/2.0/mlflow/registered-models/get"), BAD),
        (get("/api/2.0/mlflow/registered-models/get?name=victim"), DENIED),
        (get("/api/2.0/mlflow/registered-models/get?name=iris2"), DENIED),
        (get("/api/2.0/mlflow/registered-models/get?name=IRIS"), DENIED),
        (get(GET_IRIS).body(SMUGGLED), BAD),
        (get(GET_IRIS).header("x-mlflow-workspace", "other"), BAD),
        (get("/api/2.0/mlflow/model-versions/get?name=iris&version=01"), BAD),
        (get("/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/../../../2"), BAD),
        (get("/api/3.0/mlflow/gateway/secrets/list"), DENIED),
    ] {
        check(&proxy, ask.by(&ada()), expected).await;
    }
}

#[tokio::test]
async fn bodies_that_two_readers_could_read_differently_are_refused() {
    let proxy = Proxy::start().await;
    let post = |target: &str, body: &str| Ask::post(target.to_owned(), body.to_owned());
    for (ask, expected) in [
        (Ask::new("DELETE", CREATE), NONE),
        (post(CREATE, r#"{"name":"iris","name":"victim"}"#), BAD),
        (post(CREATE, r#"{"name":"iris"} {"name":"victim"}"#), BAD),
        (post(CREATE, r#"{"name":"iris\u0000"}"#), BAD),
        (post(CREATE, "[]"), BAD),
        (post(CREATE, "{"), BAD),
        (post(CREATE, ""), BAD),
        (post(&format!("{CREATE}?name=victim"), r#"{"name":"iris"}"#), BAD),
        (Ask::new("POST", CREATE).body(SMUGGLED), BAD),
        (Ask::new("POST", CREATE).header("content-type", "text/plain").body(SMUGGLED), BAD),
        (post(CREATE, r#"{"name":"victim"}"#), DENIED),
        (post(CREATE, r#"{"name":"a/b"}"#), BAD),
        (post("/api/2.0/mlflow/registered-models/rename", r#"{"name":"iris","new_name":"victim"}"#), DENIED),
        (
            post(
                "/api/2.0/mlflow/registered-models/alias",
                r#"{"name":"iris","alias":"champion","version":"1"}"#,
            ),
            DENIED,
        ),
        (
            post(
                "/api/2.0/mlflow/registered-models/set-tag",
                r#"{"name":"iris","key":"sekisho.stage","value":"x"}"#,
            ),
            DENIED,
        ),
        (
            post(
                "/api/2.0/mlflow/model-versions/set-tag",
                r#"{"name":"iris","version":"1","key":"evidence.unit_test","value":"passed"}"#,
            ),
            DENIED,
        ),
        (
            post(
                "/api/2.0/mlflow/model-versions/transition-stage",
                r#"{"name":"iris","version":"1","stage":"Nowhere"}"#,
            ),
            BAD,
        ),
        (Ask::new("POST", "/api/2.0/mlflow/webhooks").json("{}"), DENIED),
    ] {
        check(&proxy, ask.by(&ada()), expected).await;
    }
}

#[tokio::test]
async fn a_refusal_says_who_what_and_why() {
    let proxy = Proxy::start().await;
    let message = |ask: Ask| async { proxy.send(ask).await.message() };
    assert_eq!(
        message(
            Ask::post(
                "/api/2.0/mlflow/registered-models/alias",
                r#"{"name":"iris","alias":"a","version":"1"}"#
            )
            .by(&ada())
        )
        .await,
        "ada@company.com may not model_deploy model:iris/alias/a: no policy row allows it"
    );
    let hidden = message(Ask::get("/api/2.0/mlflow/registered-models/get?name=victim").by(&ada())).await;
    assert_eq!(
        hidden,
        "ada@company.com may not metadata_read model:victim: the token's model_access does not name it"
    );
    let nobody = who("eve@company.com", "guest", &["iris"]);
    assert_eq!(
        message(Ask::get(GET_IRIS).by(&nobody)).await,
        "eve@company.com may not metadata_read model:iris: no policy row allows it"
    );
    assert_eq!(
        message(Ask::get(SEARCH)).await,
        "no credential: send the token as `Authorization: Bearer`, or as the password of Basic"
    );
    let token = ada().token(&proxy.clock);
    proxy.clock.advance(3_600 + 180);
    let late = Ask::get(SEARCH).header("authorization", format!("Bearer {token}"));
    assert_eq!(message(late).await, "token expired 3 minutes ago");
    assert_eq!(proxy.stub.lines(), [""; 0]);
}

#[tokio::test]
async fn a_token_stops_at_its_end_even_if_it_is_remembered() {
    let proxy = Proxy::start().await;
    let authorization = format!("Bearer {}", ada().token(&proxy.clock));
    let ask = || Ask::get(SEARCH).header("authorization", authorization.clone());
    assert_eq!(proxy.send(ask()).await.status, 200);
    proxy.clock.advance(3_600 + 29);
    assert_eq!(proxy.send(ask()).await.status, 200, "within the leeway");
    proxy.clock.advance(2);
    assert_eq!(proxy.send(ask()).await.status, 401, "{NOW}");
}

#[tokio::test]
async fn both_forms_of_a_credential_are_taken() {
    let proxy = Proxy::start().await;
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("anybody:{}", ada().token(&proxy.clock)),
    );
    let ask = Ask::get("/api/2.0/mlflow/users/current").header("authorization", format!("Basic {basic}"));
    assert_eq!(proxy.send(ask).await.json()["user"]["username"], "ada@company.com");
    assert_eq!(proxy.stub.lines(), [""; 0], "who is signed in is not MLflow's to say");
}

#[tokio::test]
async fn the_challenge_names_both_schemes() {
    let proxy = Proxy::start().await;
    let said = proxy.send(Ask::get(SEARCH)).await;
    let offered: Vec<_> = said.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(offered, ["Bearer realm=\"sekisho\"", "Basic realm=\"sekisho\", charset=\"UTF-8\""]);
}

#[tokio::test]
async fn every_answer_has_the_id_that_mlflow_and_the_line_have() {
    let proxy = Proxy::start().await;
    for (sent, kept) in [("job-7:step.1", true), ("two words", false), ("", false), ("", true)] {
        let ask = Ask::get(SEARCH).by(&ada());
        let ask = if kept && sent.is_empty() { ask } else { ask.header("x-request-id", sent) };
        let said = proxy.send(ask).await;
        let id = said.header("x-request-id").expect("an id").to_owned();
        assert_eq!(id == sent, kept && !sent.is_empty(), "{sent:?} became {id:?}");
        assert_eq!(
            proxy.stub.heard().last().and_then(|heard| heard.header("x-request-id").map(String::from)),
            Some(id.clone())
        );
        let lines = proxy.lines(proxy.stub.heard().len()).await;
        assert_eq!(lines.last().map(|line| line.text("id")), Some(id));
    }
    let refused = proxy.send(Ask::get("/nowhere").by(&ada()).header("x-request-id", "mine")).await;
    assert_eq!((refused.status, refused.header("x-request-id")), (404, Some("mine")));
}

#[tokio::test]
async fn a_refused_head_has_no_body() {
    let proxy = Proxy::start().await;
    let token = ada().token(&proxy.clock);
    for (target, authorization, status) in [
        ("/nowhere", format!("authorization: Bearer {token}\r\n"), "404"),
        ("/health", String::new(), "401"),
        (GET_IRIS, format!("authorization: Bearer {token}\r\n"), "404"),
    ] {
        let heard = proxy
            .raw(&format!("HEAD {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorization}\r\n"))
            .await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{heard}");
        assert!(heard.ends_with("\r\n\r\n"), "{heard}");
    }
    assert_eq!(proxy.stub.lines(), [""; 0]);
}

#[tokio::test]
async fn more_than_is_taken_on_at_once_is_told_to_come_again() {
    let proxy = Proxy::with(|settings| settings.limits.in_flight = 0).await;
    let said = proxy.send(Ask::get(SEARCH).by(&root())).await;
    assert_eq!(said.summary(), "503 TEMPORARILY_UNAVAILABLE");
    assert_eq!(said.header("retry-after"), Some("2"));
}

//! `auth.mode = observe`: what a role could be given is let through and told; everything else stays closed.

use sekisho::authz::Mode;

use crate::caller::{Ask, ada, who};
use crate::proxy::Proxy;
use crate::stub::Answer;

async fn observing() -> Proxy {
    Proxy::with(|settings| settings.authz.mode = Mode::Observe).await
}

#[tokio::test]
async fn what_would_be_refused_is_let_through_and_told() {
    let proxy = observing().await;
    let guest = who("eve@company.com", "guest", &["iris"]);
    let create = Ask::post("/api/2.0/mlflow/registered-models/create", r#"{"name":"iris"}"#);
    for ask in [
        Ask::get("/api/2.0/mlflow/registered-models/get?name=victim").by(&ada()),
        Ask::get("/api/2.0/mlflow/registered-models/get?name=iris").by(&ada()),
        create.by(&guest),
    ] {
        assert_eq!(proxy.send(ask).await.status, 200);
    }
    let note = "auth.mode is observe: refusals are recorded, not made";
    assert_eq!(proxy.readyz().await["notes"], serde_json::json!([note]));
    let (_, lines) = proxy.stop().await;
    let told: Vec<_> =
        lines.iter().map(|line| line.texts(&["kind", "decision", "object", "reason"])).collect();
    assert_eq!(
        told,
        [
            "read allow model:victim observed, would be refused: ada@company.com may not metadata_read model:victim: \
             the token's model_access does not name it",
            "read allow model:iris -",
            "outcome allow model:iris observed, would be refused: eve@company.com may not model_write model:iris: \
             no policy row allows it",
        ]
    );
}

#[tokio::test]
async fn lists_are_whole() {
    let proxy = observing().await;
    let rows = r#"{"registered_models":[{"name":"victim"}]}"#;
    proxy.stub.answers(move |_| Answer::Json(200, rows.to_owned()));
    let said = proxy.send(Ask::get("/api/2.0/mlflow/registered-models/search").by(&ada())).await;
    assert_eq!(said.text(), rows);
}

#[tokio::test]
async fn what_no_role_is_given_stays_closed() {
    let proxy = observing().await;
    let tag = r#"{"name":"iris","key":"sekisho.stage","value":"Production"}"#;
    for (ask, expected) in [
        (Ask::new("POST", "/api/2.0/mlflow/webhooks").json("{}"), "403 PERMISSION_DENIED"),
        (Ask::get("/api/3.0/mlflow/gateway/secrets/list"), "403 PERMISSION_DENIED"),
        (Ask::get("/no/such/route"), "404 ENDPOINT_NOT_FOUND"),
        (Ask::get("/api/2.0/mlflow/registered-models/get?name=a&name=b"), "400 INVALID_PARAMETER_VALUE"),
        (Ask::get("/api/2.0/mlflow/%2e%2e/x"), "400 INVALID_PARAMETER_VALUE"),
        (Ask::post("/api/2.0/mlflow/registered-models/set-tag", tag), "403 PERMISSION_DENIED"),
    ] {
        assert_eq!(proxy.send(ask.clone().by(&ada())).await.summary(), expected, "{ask:?}");
    }
    assert_eq!(proxy.send(Ask::get("/health")).await.summary(), "401 UNAUTHENTICATED");
    assert_eq!(proxy.stub.lines(), [""; 0]);
}

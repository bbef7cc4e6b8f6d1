//! A transition needs its permission on the stage it enters, on the one it leaves, and on Archived if it archives.

use serde_json::json;

use crate::caller::{Ask, Who, ada, root, who};
use crate::proxy::Proxy;
use crate::stub::Answer;

const PATH: &str = "/api/2.0/mlflow/model-versions/transition-stage";
const TRANSITION: &str = "POST /api/2.0/mlflow/model-versions/transition-stage";
const LOOK: &str = "GET /api/2.0/mlflow/model-versions/get?name=iris&version=1";

/// Whether the transition was made, and whether MLflow was asked for the stage that is left.
async fn check(proxy: &Proxy, who: &Who, left: &'static str, asked: &str, expected: (&str, &[&str])) {
    proxy.stub.answers(move |heard| match (heard.method.as_str(), left) {
        ("GET", "gone") => Answer::missing(),
        ("GET", stage) => {
            Answer::ok(&json!({"model_version": {"name": "iris", "version": "1", "current_stage": stage}}))
        }
        _ => Answer::ok(&json!({"model_version": {}})),
    });
    let before = proxy.stub.lines().len();
    let body = format!(r#"{{"name":"iris","version":"1",{asked}}}"#);
    let said = proxy.send(Ask::post(PATH, body.clone()).by(who)).await;
    assert_eq!(said.summary(), expected.0, "{left} {asked}: {}", said.text());
    let heard = proxy.stub.heard().split_off(before);
    assert_eq!(heard.iter().map(crate::stub::Heard::line).collect::<Vec<_>>(), expected.1, "{left} {asked}");
    if let Some(made) = heard.iter().find(|heard| heard.method == "POST") {
        assert_eq!(made.text(), body);
    }
}

/// It is looked once for the decision and once, when that is made, for the record.
const MADE: (&str, &[&str]) = ("200", &[LOOK, LOOK, TRANSITION]);
const REFUSED_AFTER_LOOKING: (&str, &[&str]) = ("403 PERMISSION_DENIED", &[LOOK]);
const REFUSED_AT_ONCE: (&str, &[&str]) = ("403 PERMISSION_DENIED", &[]);

#[tokio::test]
async fn production_is_neither_entered_nor_left_by_engineers() {
    let proxy = Proxy::start().await;
    check(&proxy, &ada(), "None", r#""stage":"Staging""#, MADE).await;
    check(&proxy, &ada(), "Staging", r#""stage":"Archived""#, MADE).await;
    check(&proxy, &ada(), "Staging", r#""stage":"Production""#, REFUSED_AT_ONCE).await;
    check(&proxy, &ada(), "Staging", r#""stage":"pRODUCTION""#, REFUSED_AT_ONCE).await;
    check(&proxy, &ada(), "Production", r#""stage":"Staging""#, REFUSED_AFTER_LOOKING).await;
    check(&proxy, &ada(), "Production", r#""stage":"Archived""#, REFUSED_AFTER_LOOKING).await;
    check(&proxy, &ada(), "production", r#""stage":"None""#, REFUSED_AFTER_LOOKING).await;
    check(&proxy, &root(), "Production", r#""stage":"Archived""#, MADE).await;
    check(&proxy, &root(), "Staging", r#""stage":"Production""#, MADE).await;
    let scientist = who("sam@company.com", "data_scientist", &["iris"]);
    check(&proxy, &scientist, "None", r#""stage":"Staging""#, REFUSED_AT_ONCE).await;
    let stranger = who("eve@company.com", "ml_engineer", &["wine"]);
    check(&proxy, &stranger, "None", r#""stage":"Staging""#, REFUSED_AT_ONCE).await;
    check(&proxy, &ada(), "gone", r#""stage":"Staging""#, MADE).await;
}

#[tokio::test]
async fn archiving_on_the_way_needs_the_permission_on_archived() {
    let proxy = Proxy::with_rows("p, role:ml_engineer, model:*/stage/Archived, stage_transition, deny").await;
    check(&proxy, &ada(), "None", r#""stage":"Staging","archive_existing_versions":true"#, REFUSED_AT_ONCE)
        .await;
    check(&proxy, &ada(), "None", r#""stage":"Staging","archive_existing_versions":false"#, MADE).await;
    check(&proxy, &ada(), "None", r#""stage":"Staging""#, MADE).await;
    check(&proxy, &root(), "None", r#""stage":"Staging","archive_existing_versions":true"#, MADE).await;
}

#[tokio::test]
async fn mlflows_none_is_development() {
    let proxy =
        Proxy::with_rows("p, role:ml_engineer, model:iris/stage/Development, stage_transition, deny").await;
    check(&proxy, &ada(), "None", r#""stage":"Staging""#, REFUSED_AFTER_LOOKING).await;
    check(&proxy, &ada(), "Staging", r#""stage":"None""#, REFUSED_AT_ONCE).await;
    check(&proxy, &ada(), "Staging", r#""stage":"Archived""#, MADE).await;
}

#[tokio::test]
async fn without_the_stage_that_is_left_nothing_is_made() {
    let proxy = Proxy::start().await;
    for answer in [
        || Answer::Json(500, "{}".to_owned()),
        || Answer::Json(200, "{}".to_owned()),
        || Answer::Json(200, "<html>".to_owned()),
        || Answer::Close,
    ] {
        proxy.stub.answers(move |_| answer());
        let ask = Ask::post(PATH, r#"{"name":"iris","version":"1","stage":"Staging"}"#);
        let said = proxy.send(ask.by(&ada())).await;
        assert_eq!(said.summary(), "503 TEMPORARILY_UNAVAILABLE");
    }
    assert!(proxy.stub.lines().iter().all(|line| line == LOOK), "{:?}", proxy.stub.lines());
}

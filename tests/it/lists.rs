//! Lists and pages show what their reader may see; everything else of MLflow's answer stays as it is.

use serde_json::{Value, json};

use crate::caller::{Ask, ada, who};
use crate::proxy::Proxy;
use crate::stub::Answer;

const MODELS: &str = "/api/2.0/mlflow/registered-models/search";
const VERSIONS: &str = "/ajax-api/2.0/mlflow/model-versions/search";

async fn check(proxy: &Proxy, ask: Ask, answer: &'static str, expected: &str) {
    proxy.stub.answers(move |_| Answer::Json(200, answer.to_owned()));
    let said = proxy.send(ask.clone()).await;
    assert_eq!((said.status, said.text()), (200, expected), "{ask:?}");
    assert_eq!(said.header("content-length"), Some(&*expected.len().to_string()));
}

#[tokio::test]
async fn rows_of_other_models_are_left_out_and_the_rest_keeps_its_bytes() {
    let proxy = Proxy::start().await;
    check(
        &proxy,
        Ask::get(MODELS).by(&ada()),
        r#"{ "registered_models": [ {"name":"iris", "x": 1.50, "y":[ ]}, {"name":"victim"}, {"name":"iris2"}, {"name": "wine"} ] }"#,
        r#"{"registered_models":[{"name":"iris", "x": 1.50, "y":[ ]},{"name": "wine"}]}"#,
    )
    .await;
    check(
        &proxy,
        Ask::get(VERSIONS).by(&ada()),
        r#"{"model_versions":[{"name":"victim","version":"1"},{"version": "2","name":"wine"}]}"#,
        r#"{"model_versions":[{"version": "2","name":"wine"}]}"#,
    )
    .await;
    check(&proxy, Ask::get(MODELS).by(&ada()), "{}", "{}").await;
    let auditor = who("kim@company.com", "auditor", &[]);
    let every = r#"{"registered_models":[{"name":"victim"},{"name":"iris"}]}"#;
    check(&proxy, Ask::get(MODELS).by(&auditor), every, every).await;
    let unnamed = who("sam@company.com", "ml_engineer", &[]);
    check(&proxy, Ask::get(MODELS).by(&unnamed), every, "{}").await;
    let patterned = who("pat@company.com", "ml_engineer", &["vic*"]);
    check(&proxy, Ask::get(MODELS).by(&patterned), every, r#"{"registered_models":[{"name":"victim"}]}"#)
        .await;
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_shown_and_an_error_is_mlflows_own() {
    let proxy = Proxy::start().await;
    for garbled in [
        "<html>",
        "[]",
        r#"{"registered_models":{}}"#,
        r#"{"registered_models":[],"registered_models":[]}"#,
        "{\"registered_models\":[{}]}",
    ] {
        proxy.stub.answers(move |_| Answer::Json(200, garbled.to_owned()));
        let said = proxy.send(Ask::get(MODELS).by(&ada())).await;
        assert_eq!(said.summary(), "502 INTERNAL_ERROR", "{garbled}");
        assert!(!said.text().contains("html"), "{}", said.text());
    }
    for oddly in ["204 No Content", "206 Partial Content", "304 Not Modified", "308 Permanent Redirect"] {
        let row = r#"{"registered_models":[{"name":"iris"}]}"#;
        let length = row.len();
        let text = format!("HTTP/1.1 {oddly}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{row}");
        proxy.stub.answers(move |_| Answer::Raw(text.clone()));
        let said = proxy.send(Ask::get(MODELS).header("range", "bytes=0-9").by(&ada())).await;
        assert_eq!(said.summary(), "502 INTERNAL_ERROR", "{oddly}");
    }
    assert!(proxy.stub.heard().iter().all(|heard| heard.header("range").is_none()));
    let error = r#"{"error_code": "INVALID_PARAMETER_VALUE", "message": "bad filter"}"#;
    proxy.stub.answers(move |_| Answer::Json(400, error.to_owned()));
    let said = proxy.send(Ask::get(MODELS).by(&ada())).await;
    assert_eq!((said.status, said.text()), (400, error));
}

fn graphql(query: &str, variables: &Value) -> Ask {
    let body = json!({"operationName": "Q", "query": query, "variables": variables});
    Ask::post("/graphql", body.to_string())
}

const RUNS: &str = "query Q($data: MlflowSearchRunsInput!) { mlflowSearchRuns(input: $data) \
                    { runs { info { runId } modelVersions { name version } } } }";

#[tokio::test]
async fn versions_in_a_graphql_answer_are_rows_too() {
    let proxy = Proxy::start().await;
    check(
        &proxy,
        graphql(RUNS, &json!({"data": {"experimentIds": ["1"]}})).by(&ada()),
        r#"{"data":{"mlflowSearchRuns":{"runs":[{"info":{"runId":"r"},"modelVersions":[{"name":"victim","version":"1"},{"name":"iris","version":"2"}]}]}}}"#,
        r#"{"data":{"mlflowSearchRuns":{"runs":[{"info":{"runId":"r"},"modelVersions":[{"name":"iris","version":"2"}]}]}}}"#,
    )
    .await;
    let sent: Value = serde_json::from_slice(&proxy.stub.only().body).expect("JSON");
    assert_eq!(sent["variables"], json!({"data": {"experimentIds": ["1"]}}));
}

#[tokio::test]
async fn a_refused_graphql_request_shows_its_reason_on_the_page() {
    let proxy = Proxy::start().await;
    let guest = who("eve@company.com", "guest", &[]);
    let data = json!({"data": {"experimentIds": ["1"]}});
    let said = proxy.send(graphql(RUNS, &data).by(&guest)).await;
    let sentence = "eve@company.com may not tracking_read experiment:1: no policy row allows it";
    assert_eq!(said.status, 200);
    assert_eq!(said.json(), json!({"data": {"mlflowSearchRuns": null}, "errors": [sentence]}));
    let aliased = RUNS.replace("runs {", "all: runs {");
    let said = proxy.send(graphql(&aliased, &data).by(&ada())).await;
    assert_eq!(said.json()["data"], Value::Null);
    assert!(said.json()["errors"][0].as_str().is_some_and(|why| why.contains("aliases")), "{}", said.text());
    assert_eq!(proxy.send(graphql(RUNS, &data)).await.summary(), "401 UNAUTHENTICATED");
    assert_eq!(proxy.stub.lines(), [""; 0]);
    let (_, lines) = proxy.stop().await;
    let told: Vec<_> =
        lines.iter().map(|line| line.texts(&["kind", "decision", "operation", "object", "status"])).collect();
    assert_eq!(
        told,
        ["refusal deny tracking_read experiment:1 200", "refusal deny - - 200", "refusal deny - - 401"]
    );
}

#[tokio::test]
async fn a_file_is_data_and_never_a_page() {
    let proxy = Proxy::start().await;
    proxy.stub.answers_callers(|_| {
        Answer::Raw(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 8\r\nconnection: close\r\n\r\n<script>".to_owned(),
        )
    });
    let said =
        proxy.send(Ask::get("/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/x.html").by(&ada())).await;
    assert_eq!((said.status, said.text()), (200, "<script>"));
    assert_eq!(said.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(said.header("content-disposition"), Some("attachment"));
    assert_eq!(said.header("content-security-policy"), Some("sandbox; default-src 'none'"));
}

/// A run that used two prompts, of which one may be seen.
const RUN: &str = r#"{"run": {"info":{"n":1.50}, "data":{"tags":[{"key":"mlflow.linkedPrompts","value":"[{\"name\": \"victim\"}, {\"name\": \"iris\"}]"}]}}}"#;

#[tokio::test]
async fn what_a_run_or_a_span_mentions_is_cut_and_is_never_shown_in_parts() {
    let proxy = Proxy::start().await;
    let kept = r#"{"run":{"info":{"n":1.50},"data":{"tags":[{"key":"mlflow.linkedPrompts","value":"[{\"name\": \"iris\"}]"}]}}}"#;
    let spaced = r#"{ "run" : {"data":{"tags":[{"key":"a","value":"victim"}]}} }"#;
    let trace = "/ajax-api/2.0/mlflow/get-trace-artifact?request_id=tr-1";
    for target in ["/api/2.0/mlflow/runs/get?run_id=r", trace] {
        check(&proxy, Ask::get(target).by(&ada()), RUN, kept).await;
        check(&proxy, Ask::get(target).by(&ada()), spaced, &spaced.replace(' ', "")).await;
        let length = RUN.len();
        let part = format!(
            "HTTP/1.1 206 Partial Content\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{RUN}"
        );
        proxy.stub.answers(move |_| Answer::Raw(part.clone()));
        let said = proxy.send(Ask::get(target).header("range", "bytes=0-9999").by(&ada())).await;
        assert_eq!(said.summary(), "502 INTERNAL_ERROR", "{target}");
    }
    assert!(proxy.stub.heard().iter().all(|heard| heard.header("range").is_none()));
    check(&proxy, Ask::get(format!("{trace}&path=victim.bin")).by(&ada()), RUN, RUN).await;
    for search in ["tags.`mlflow.linkedPrompts` LIKE '%x%'", "tags.mlflow.modelVersions = 'x'"] {
        let body = json!({"experiment_ids": ["1"], "filter": search}).to_string();
        let said = proxy.send(Ask::post("/api/2.0/mlflow/runs/search", body).by(&ada())).await;
        assert_eq!(said.summary(), "400 INVALID_PARAMETER_VALUE", "{search}");
        let variables = json!({"data": {"experimentIds": ["1"], "filter": search}});
        if search.contains("linked") {
            let said = proxy.send(graphql(RUNS, &variables).by(&ada())).await;
            assert_eq!(said.json()["data"], json!({"mlflowSearchRuns": null}), "{search}");
        }
    }
}

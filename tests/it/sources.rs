//! Nobody registers files that they may not read, whatever they are called.

use serde_json::{Value, json};

use crate::proxy::{Ask, Proxy, Who, ada, root};
use crate::stub::{Answer, Heard};

const PATH: &str = "/api/2.0/mlflow/model-versions/create";
const CREATE: &str = "POST /api/2.0/mlflow/model-versions/create";

fn query(heard: &Heard, name: &str) -> Option<String> {
    let (_, query) = heard.target.split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// An MLflow with these runs, logged models and versions:
/// `free` (of nobody), `taken` (victim's), `shared` (victim's and iris's), `made` (logged model `m-1`, victim's).
fn mlflow(heard: &Heard) -> Answer {
    let versions = |filter: String| -> Vec<Value> {
        let version = |name: &str, source: &str| json!({"name": name, "version": "1", "source": source});
        if filter.contains("prompt") {
            return Vec::new();
        }
        match filter.as_str() {
            "run_id = 'taken'" => vec![version("victim", "runs:/taken/model")],
            "run_id = 'shared'" => {
                vec![version("victim", "runs:/shared/model"), version("iris", "runs:/shared/model")]
            }
            "run_id = 'spelt'" => vec![version("victim", "mlflow-artifacts:/1/spelt/artifacts/model")],
            "source_path = 'models:/m-1'" => vec![version("victim", "models:/m-1")],
            _ => Vec::new(),
        }
    };
    let path = heard.target.split('?').next().unwrap_or_default();
    match path.strip_prefix("/api/2.0/mlflow/").unwrap_or_default() {
        "model-versions/create" => Answer::ok(&json!({"model_version": {}})),
        "model-versions/search" => {
            Answer::ok(&json!({"model_versions": versions(query(heard, "filter").unwrap_or_default())}))
        }
        "runs/get" => match query(heard, "run_id").unwrap_or_default() {
            run if run == "gone" => Answer::missing(),
            run => Answer::ok(&json!({"run": {"info": {
                "experiment_id": "1", "artifact_uri": format!("s3://store/1/{run}/artifacts")}}})),
        },
        "logged-models/m-1" => logged("m-1", &[]),
        "logged-models/m-2" => logged("m-2", &[]),
        "logged-models/m-3" => logged(
            "m-3",
            &[json!({"key": "mlflow.modelVersions", "value": r#"[{"name":"victim","version":1}]"#})],
        ),
        _ => Answer::missing(),
    }
}

fn logged(id: &str, tags: &[Value]) -> Answer {
    Answer::ok(&json!({"model": {"info": {"experiment_id": "1", "tags": tags,
        "artifact_uri": format!("s3://store/1/models/{id}/artifacts")}}}))
}

async fn register(proxy: &Proxy, who: &Who, rest: &str) -> bool {
    let before = proxy.stub.lines().len();
    let body = format!(r#"{{"name":"iris",{rest}}}"#);
    let said = proxy.send(Ask::post(PATH, body).by(who)).await;
    let made = proxy.stub.lines().split_off(before).contains(&CREATE.to_owned());
    assert_eq!(made, said.status == 200, "{rest}: {}", said.text());
    if !made {
        assert_eq!(said.summary(), "403 PERMISSION_DENIED", "{rest}: {}", said.text());
        assert!(!said.message().contains("victim"), "{}", said.text());
    }
    made
}

#[tokio::test]
async fn files_of_a_hidden_model_are_not_registered_under_another_name() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(mlflow);
    for (rest, expected) in [
        (r#""source":"runs:/free/model","run_id":"free""#, true),
        (r#""source":"runs:/free/model""#, true),
        (r#""source":"models:/iris/1""#, true),
        (r#""source":"models:/wine@champion""#, true),
        (r#""source":"models:/m-2""#, true),
        (r#""source":"s3://store/1/free/artifacts/model","run_id":"free""#, true),
        (r#""source":"runs:/shared/model""#, true),
        (r#""source":"runs:/taken/model2""#, true),
        (r#""source":"models:/victim/1""#, false),
        (r#""source":"models:/victim@champion""#, false),
        (r#""source":"models:/victim/Production""#, false),
        (r#""source":"models:///victim/1""#, false),
        (r#""source":"MODELS:/victim/1""#, false),
        (r#""source":"runs:/taken/model""#, false),
        (r#""source":"runs:/taken/model/data""#, false),
        (r#""source":"runs:/taken""#, false),
        (r#""source":"runs:/taken/model","run_id":"free""#, false),
        (r#""source":"mlflow-artifacts:/1/taken/artifacts/model""#, false),
        (r#""source":"s3://store/1/taken/artifacts/model","run_id":"taken""#, false),
        (r#""source":"s3://store/1/taken/artifacts/model","run_id":"free""#, false),
        (r#""source":"s3://store/1/free/artifacts2/model","run_id":"free""#, false),
        (r#""source":"s3://store/1/free/artifacts/../../taken","run_id":"free""#, false),
        (r#""source":"s3://elsewhere/model""#, false),
        (r#""source":"/etc/passwd""#, false),
        (r#""source":"file:///etc/passwd""#, false),
        (r#""source":"runs:/spelt/model""#, false),
        (r#""source":"runs:/gone/model""#, false),
        (r#""source":"models:/m-1""#, false),
        (r#""source":"models:/m-3""#, false),
        (r#""source":"models:/m-9""#, false),
        (r#""source":"mlflow-artifacts:/1/models/m-1/artifacts""#, false),
        (r#""source":"s3://store/1/models/m-1/artifacts","model_id":"m-1""#, false),
        (r#""source":"dummy-source""#, false),
        (r#""source":"dummy-source","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]"#, true),
        (r#""source":"runs:/free/model","tags":[{"key":"sekisho.stage","value":"Production"}]"#, false),
        (r#""source":"runs:/free/model","tags":[{"key":"owner","value":"x"}]"#, true),
    ] {
        assert_eq!(register(&proxy, &ada(), rest).await, expected, "{rest}");
    }
    assert!(register(&proxy, &root(), r#""source":"models:/victim/1""#).await);
}

#[tokio::test]
async fn files_of_an_experiment_that_one_may_not_read_are_not_registered() {
    let proxy = Proxy::with_rows("p, user:ada@company.com, experiment:1, tracking_read, deny").await;
    proxy.stub.answers(mlflow);
    for rest in [r#""source":"runs:/free/model""#, r#""source":"models:/m-2""#] {
        assert!(!register(&proxy, &ada(), rest).await, "{rest}");
    }
    assert!(register(&proxy, &root(), r#""source":"runs:/free/model""#).await);
}

#[tokio::test]
async fn what_mlflow_does_not_tell_is_not_assumed() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|heard| match heard.target.contains("model-versions/search") {
        true => Answer::Json(500, "{}".to_owned()),
        false => mlflow(heard),
    });
    let ask = Ask::post(PATH, r#"{"name":"iris","source":"runs:/free/model"}"#).by(&ada());
    assert_eq!(proxy.send(ask).await.summary(), "503 TEMPORARILY_UNAVAILABLE");
    assert!(!proxy.stub.lines().contains(&CREATE.to_owned()));
}

#[tokio::test]
async fn a_search_is_read_to_its_last_page() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|heard| {
        let page = query(heard, "page_token");
        match heard.target.contains("model-versions/search") && !heard.target.contains("prompt") {
            true if page.is_none() => Answer::ok(&json!({"model_versions": [], "next_page_token": "2"})),
            true => {
                Answer::ok(&json!({"model_versions": [{"name": "victim", "source": "runs:/free/model"}]}))
            }
            false => mlflow(heard),
        }
    });
    assert!(!register(&proxy, &ada(), r#""source":"runs:/free/model""#).await);
}

//! Nobody registers files that they may not read, whatever they are called.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::caller::{Ask, Who, ada, root};
use crate::proxy::Proxy;
use crate::stub::{Answer, Heard};

const PATH: &str = "/api/2.0/mlflow/model-versions/create";
const CREATE: &str = "POST /api/2.0/mlflow/model-versions/create";

fn query(heard: &Heard, name: &str) -> Option<String> {
    let (_, query) = heard.target.split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Versions as MLflow has them: model, `run_id` (whatever the maker said) and source.
const VERSIONS: [(&str, &str, &str); 9] = [
    ("victim", "taken", "runs:/taken/model"),
    ("iris", "taken", "runs:/free/model"),
    ("victim", "shared", "runs:/shared/model"),
    ("iris", "shared", "runs:/shared/model"),
    ("victim", "spelt", "mlflow-artifacts:/1/spelt/artifacts/model"),
    ("victim", "other", "s3://store/1/hid/artifacts/model"),
    ("victim", "", "models:/m-1"),
    ("iris", "", "models:/m-2"),
    ("victim", "late", "models:/m-4"),
];

/// Every version; none is a prompt's.
fn versions() -> Vec<Value> {
    let rows = VERSIONS.iter().zip(1..);
    rows.map(|((name, run, source), number)| {
        json!({"name": name, "version": number.to_string(), "source": source, "run_id": run,
            "creation_timestamp": number, "last_updated_timestamp": number})
    })
    .collect()
}

/// The run `gone` and the logged models but for three do not exist; `m-3` says of itself that it is victim's.
fn mlflow(heard: &Heard) -> Answer {
    let path = heard.target.split('?').next().unwrap_or_default();
    match path.strip_prefix("/api/2.0/mlflow/").unwrap_or_default() {
        "model-versions/create" => Answer::ok(&json!({"model_version": {}})),
        "model-versions/search" => {
            let found = if query(heard, "filter").is_some() { Vec::new() } else { versions() };
            Answer::ok(&json!({"model_versions": found}))
        }
        "runs/get" => match query(heard, "run_id").unwrap_or_default() {
            run if run == "gone" => Answer::missing(),
            run => Answer::ok(&json!({"run": {"info": {
                "experiment_id": "1", "artifact_uri": format!("s3://store/1/{run}/artifacts")}}})),
        },
        "logged-models/m-4" => Answer::ok(&json!({"model": {"info": {"experiment_id": "1", "name": "model",
            "source_run_id": "late", "artifact_uri": "s3://store/1/models/m-4/artifacts"}}})),
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

/// The status: 400 for what has more than one meaning, 403 for what is not the caller's to take.
async fn register(proxy: &Proxy, who: &Who, rest: &str) -> u16 {
    let before = proxy.stub.lines().len();
    let body = format!(r#"{{"name":"iris",{rest}}}"#);
    let said = proxy.send(Ask::post(PATH, body).by(who)).await;
    let made = proxy.stub.lines().split_off(before).contains(&CREATE.to_owned());
    assert_eq!(made, said.status == 200, "{rest}: {}", said.text());
    if !made {
        assert!(
            ["400 INVALID_PARAMETER_VALUE", "403 PERMISSION_DENIED"].contains(&&*said.summary()),
            "{}",
            said.text()
        );
        assert!(!said.message().contains("victim"), "{}", said.text());
    }
    said.status
}

#[tokio::test]
async fn files_of_a_hidden_model_are_not_registered_under_another_name() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(mlflow);
    for (rest, expected) in [
        (r#""source":"runs:/free/model","run_id":"free""#, 200),
        (r#""source":"runs:/free/model""#, 200),
        (r#""source":"models:/iris/1""#, 200),
        (r#""source":"models:/wine@champion""#, 200),
        (r#""source":"models:/m-2""#, 200),
        (r#""source":"s3://store/1/free/artifacts/model","run_id":"free""#, 200),
        (r#""source":"runs:/shared/model""#, 200),
        (r#""source":"runs:/taken/model2""#, 200),
        (r#""source":"models:/victim/1""#, 403),
        (r#""source":"models:/victim@champion""#, 403),
        (r#""source":"models:/victim/Production""#, 403),
        (r#""source":"models:///victim/1""#, 400),
        (r#""source":"MODELS:/victim/1""#, 400),
        (r#""source":"runs:/taken/model""#, 403),
        (r#""source":"runs:/taken/model/data""#, 403),
        (r#""source":"runs:/taken""#, 403),
        (r#""source":"runs:/taken/model","run_id":"free""#, 403),
        (r#""source":"mlflow-artifacts:/1/taken/artifacts/model""#, 403),
        (r#""source":"s3://store/1/taken/artifacts/model","run_id":"taken""#, 403),
        (r#""source":"s3://store/1/taken/artifacts/model","run_id":"free""#, 400),
        (r#""source":"s3://store/1/free/artifacts2/model","run_id":"free""#, 400),
        (r#""source":"s3://store/1/free/artifacts/../../taken","run_id":"free""#, 400),
        (r#""source":"s3://elsewhere/model""#, 400),
        (r#""source":"/etc/passwd""#, 400),
        (r#""source":"file:///etc/passwd""#, 400),
        (r#""source":"runs:/spelt/model""#, 403),
        (r#""source":"runs:/hid/model""#, 403),
        (r#""source":"runs:/gone/model""#, 403),
        (r#""source":"runs:/late/model""#, 403),
        (r#""source":"runs:/late""#, 403),
        (r#""source":"runs:/late/other""#, 200),
        (r#""source":"models:/m-1""#, 403),
        (r#""source":"models:/m-3""#, 200),
        (r#""source":"models:/m-9""#, 403),
        (r#""source":"mlflow-artifacts:/1/models/m-1/artifacts""#, 403),
        (r#""source":"s3://store/1/models/m-1/artifacts","model_id":"m-1""#, 403),
        (r#""source":"dummy-source""#, 400),
        (r#""source":"dummy-source","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]"#, 200),
        (r#""source":"runs:/free/model","tags":[{"key":"sekisho.stage","value":"Production"}]"#, 403),
        (r#""source":"runs:/free/model","tags":[{"key":"owner","value":"x"}]"#, 200),
    ] {
        assert_eq!(register(&proxy, &ada(), rest).await, expected, "{rest}");
    }
    assert_eq!(register(&proxy, &root(), r#""source":"models:/victim/1""#).await, 200);
}

#[tokio::test]
async fn the_record_tells_what_the_answer_does_not() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(mlflow);
    let body = r#"{"name":"iris","source":"models:/victim/1"}"#;
    let said = proxy.send(Ask::post(PATH, body).by(&ada())).await;
    assert_eq!(said.message(), "`source` names files that this principal may not read");
    let line = proxy.line().await;
    assert_eq!((line.text("operation"), line.text("object")), ("model_read".into(), "model:victim".into()));
    let reason = line.text("reason");
    assert!(reason.starts_with("ada@company.com may not model_read model:victim: "), "{reason}");
}

#[tokio::test]
async fn files_of_an_experiment_that_one_may_not_read_are_not_registered() {
    let proxy = Proxy::with_rows("p, user:ada@company.com, experiment:1, tracking_read, deny").await;
    proxy.stub.answers(mlflow);
    for rest in [r#""source":"runs:/free/model""#, r#""source":"models:/m-2""#] {
        assert_eq!(register(&proxy, &ada(), rest).await, 403, "{rest}");
    }
    assert_eq!(register(&proxy, &root(), r#""source":"runs:/free/model""#).await, 200);
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
async fn every_page_of_versions_is_read() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|heard| {
        if !heard.target.contains("model-versions/search") || heard.target.contains("prompt") {
            return mlflow(heard);
        }
        let row = |number: usize| {
            let source = if number == 1500 { "runs:/free/model" } else { "runs:/other/model" };
            json!({"name": "victim", "version": number.to_string(), "source": source, "creation_timestamp": number,
                "last_updated_timestamp": number})
        };
        let token = query(heard, "page_token").unwrap_or_default();
        let at = base64::engine::general_purpose::STANDARD.decode(token).unwrap_or_default();
        let digits = String::from_utf8(at).expect("text").replace(|letter: char| !letter.is_ascii_digit(), "");
        let at: usize = digits.parse().unwrap_or(0);
        let rows: Vec<_> = (at + 1..=1600).take(1000).map(row).collect();
        Answer::ok(&json!({"model_versions": rows}))
    });
    assert_eq!(register(&proxy, &ada(), r#""source":"runs:/free/model""#).await, 403);
}

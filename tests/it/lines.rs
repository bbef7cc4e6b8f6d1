//! One line for each request, whatever becomes of it, in the record's order and without secrets.

use crate::caller::{Ask, Who, ada, root, who};
use crate::proxy::{Line, NOW, Proxy, SECRET};
use crate::stub::Answer;

/// The keys of the record (DESIGN section 10), with what only these lines have.
const ORDER: [&str; 29] = [
    "seq",
    "id",
    "time",
    "kind",
    "principal",
    "roles",
    "token",
    "access",
    "peer",
    "method",
    "route",
    "operation",
    "object",
    "demands",
    "params",
    "dropped",
    "decision",
    "reason",
    "policy",
    "rows",
    "rules",
    "status",
    "upstream_status",
    "outcome",
    "intent",
    "abandoned",
    "micros",
    "prev",
    "hash",
];

const SHOWN: [&str; 7] = ["kind", "decision", "operation", "object", "status", "upstream_status", "outcome"];

const HIDDEN: &str = "hunter2-in-a-header";

/// Who asks for what, the status that MLflow would answer with, and the line.
type Case = (Ask, Option<Who>, u16, &'static str);

fn v2(rest: &str) -> String {
    format!("/api/2.0/mlflow/{rest}")
}

fn set_tag(key: &str) -> Ask {
    let body = format!(r#"{{"name":"iris","version":"1","key":"{key}","value":"a value"}}"#);
    Ask::post(v2("model-versions/set-tag"), body)
}

fn get_iris() -> Ask {
    Ask::get(v2("registered-models/get?name=iris"))
}

fn ci() -> Who {
    who("ci-7@company.com", "ci", &["iris"])
}

fn allowed() -> Vec<Case> {
    vec![
        (get_iris(), Some(ada()), 200, "read allow metadata_read model:iris 200 200 -"),
        (get_iris(), Some(ada()), 404, "read allow metadata_read model:iris 404 404 -"),
        (
            Ask::get(v2("registered-models/search")),
            Some(ada()),
            200,
            "read allow metadata_read model:? 200 200 -",
        ),
        (Ask::new("HEAD", "/health"), Some(ada()), 200, "read allow - - 200 200 -"),
        (Ask::get(v2("users/current")), Some(ada()), 200, "read allow - - 200 - -"),
        (
            set_tag("owner"),
            Some(ada()),
            200,
            "outcome allow metadata_write model:iris/tag/owner 200 200 applied",
        ),
        (
            set_tag("owner"),
            Some(ada()),
            400,
            "outcome allow metadata_write model:iris/tag/owner 400 400 not_applied",
        ),
        (
            set_tag("owner"),
            Some(ada()),
            500,
            "outcome allow metadata_write model:iris/tag/owner 500 500 unknown",
        ),
        (
            set_tag("evidence.unit_test"),
            Some(ci()),
            200,
            "outcome allow evidence_write model:iris/tag/evidence.unit_test 200 200 applied",
        ),
        (
            Ask::post(v2("runs/search"), r#"{"experiment_ids":["7"]}"#),
            Some(ada()),
            200,
            "read allow tracking_read experiment:7 200 200 -",
        ),
        (
            Ask::new("DELETE", "/api/2.0/mlflow-artifacts/artifacts/7/r/artifacts/x"),
            Some(ada()),
            200,
            "outcome allow tracking_delete experiment:7 200 200 applied",
        ),
    ]
}

fn refused() -> Vec<Case> {
    vec![
        (set_tag("owner"), Some(ci()), 200, "refusal deny metadata_write model:iris/tag/owner 403 - -"),
        (
            Ask::post(v2("registered-models/alias"), r#"{"name":"iris","alias":"champion","version":"1"}"#),
            Some(root()),
            200,
            "outcome allow model_deploy model:iris/alias/champion 200 200 applied",
        ),
        (Ask::post(v2("webhooks"), "{}"), Some(ada()), 200, "refusal deny admin server 403 - -"),
        (
            Ask::get(v2("registered-models/get?name=victim")),
            Some(ada()),
            200,
            "refusal deny metadata_read model:victim 403 - -",
        ),
        (
            set_tag("model_hash"),
            Some(ada()),
            200,
            "refusal deny metadata_write model:iris/tag/model_hash 403 - -",
        ),
        (Ask::get(v2("registered-models/get?name=a&name=b")), Some(ada()), 200, "refusal deny - - 400 - -"),
        (Ask::get(format!("/no/such?password={HIDDEN}")), Some(ada()), 200, "refusal deny - - 404 - -"),
        (get_iris(), None, 200, "refusal deny - - 401 - -"),
        (
            get_iris().header("authorization", format!("Bearer {HIDDEN}")),
            None,
            200,
            "refusal deny - - 401 - -",
        ),
    ]
}

#[tokio::test]
async fn every_request_is_told_about_once() {
    let proxy = Proxy::start().await;
    let mut expected = Vec::new();
    for (ask, who, status, line) in allowed().into_iter().chain(refused()) {
        proxy.stub.answers_callers(move |_| Answer::Json(status, "{}".to_owned()));
        let ask = match &who {
            Some(who) => ask.by(who),
            None => ask,
        };
        proxy.send(ask.header("cookie", HIDDEN)).await;
        expected.push(line);
        proxy.lines(expected.len()).await;
    }
    let tokens = [ada().token(&proxy.clock), root().token(&proxy.clock)];
    let (_, lines) = proxy.stop().await;
    let told: Vec<_> = lines.iter().map(|line| line.texts(&SHOWN)).collect();
    assert_eq!(told, expected);
    for line in &lines {
        assert_without_secrets(line, &tokens);
        assert_in_order(line);
    }
}

fn assert_without_secrets(line: &Line, tokens: &[String]) {
    let signatures = tokens.iter().filter_map(|token| token.rsplit('.').next());
    for secret in [SECRET, HIDDEN, "eyJ"].into_iter().chain(signatures) {
        assert!(!line.0.contains(secret), "{secret} is in {}", line.0);
    }
}

fn assert_in_order(line: &Line) {
    let keys = line.keys();
    let mut order = ORDER.iter();
    assert!(keys.iter().all(|key| order.any(|known| known == key)), "{keys:?} are in another order");
    for always in ["id", "time", "kind", "peer", "method", "decision", "status", "micros"] {
        assert!(keys.iter().any(|key| key == always), "{always} is missing in {}", line.0);
    }
}

#[tokio::test]
async fn a_line_names_who_when_where_and_by_which_rows() {
    let proxy = Proxy::start().await;
    let create = r#"{"name":"iris","tags":[{"key":"owner","value":"x"}],"unknown":1,"more":2}"#;
    proxy
        .send(
            Ask::post("/ajax-api/2.0/mlflow/registered-models/create", create)
                .by(&ada())
                .header("x-request-id", "job-1"),
        )
        .await;
    let line = proxy.line().await;
    assert_eq!(
        line.texts(&["id", "principal", "roles", "peer", "method", "object", "demands", "dropped"]),
        "job-1 ada@company.com [\"ml_engineer\"] 127.0.0.1 POST model:iris [\"metadata_write model:iris/tag/owner\"] 2"
    );
    assert_eq!(line.text("route"), "/ajax-api/2.0/mlflow/registered-models/create");
    let time: jiff::Timestamp = line.text("time").parse().expect("a time");
    assert_eq!(time.as_second(), NOW);
    assert!(line.text("time").ends_with(".000000Z"), "{}", line.text("time"));
    let policies = std::fs::read_to_string(proxy.policies().join("policy.csv")).expect("policies");
    let number =
        |row: &str| policies.lines().position(|line| line == row).map(|at| format!("policy.csv:{}", at + 1));
    let rows = [
        "p, role:ml_engineer, model:*, metadata_write, allow",
        "p, role:ml_engineer, model:*, model_write, allow",
    ];
    assert_eq!(line.value()["rows"], serde_json::json!([number(rows[0]), number(rows[1])]));
}

//! Whoever reads is shown where versions truly stand, whatever MLflow's rows say meanwhile.

use std::sync::Arc;

use jiff::Timestamp;
use sekisho::govern::Mode;
use sekisho::stage::Stage;
use sekisho::store::{Origin, Stand, VersionId};
use serde_json::{Value, json};

use crate::caller::{Ask, Said, ada, root};
use crate::proxy::Proxy;
use crate::stub::{Answer, Heard, Stub};

const API: &str = "/api/2.0/mlflow";
const PAGE: &str = "/ajax-api/2.0/mlflow";

/// A version as MLflow has it: its number, MLflow's stage, its tag.
type Row = (u64, &'static str, Option<&'static str>);

/// A gate whose MLflow has these versions of `iris`, and whose state store knows these stages of them.
async fn house(rows: &[Row], known: &[(u64, Stage)]) -> Proxy {
    let proxy = Proxy::before(Stub::on_tcp().await, "", |settings| settings.rules = Mode::Warn).await;
    let world = Arc::new(rows.to_vec());
    proxy.stub.answers(move |heard| mlflow(&world, heard));
    for (number, stage) in known {
        proxy.stages.learn(&stand(*number, *stage, 1));
    }
    proxy
}

fn stand(version: u64, stage: Stage, change: i64) -> Stand {
    let id = VersionId { model: "iris".into(), model_created: 1, version, created: 10 };
    let (since, origin) = (Timestamp::UNIX_EPOCH, Origin::Registered);
    Stand { id, stage, since, origin, closing: false, gone: false, change }
}

fn row((number, stage, tag): Row) -> Value {
    let tags: Vec<Value> = tag.map(|tag| json!({"key": "sekisho.stage", "value": tag})).into_iter().collect();
    json!({"name": "iris", "version": number.to_string(), "creation_timestamp": 10, "current_stage": stage,
        "source": "runs:/r/m", "tags": tags})
}

/// The newest in each of MLflow's stages, which is what it knows.
fn latest(rows: &[Row]) -> Vec<Value> {
    let newest = |stage| rows.iter().filter(|row| row.1 == stage).max_by_key(|row| row.0);
    ["None", "Staging", "Production", "Archived"].into_iter().filter_map(newest).copied().map(row).collect()
}

fn mlflow(rows: &[Row], heard: &Heard) -> Answer {
    let (path, query) = heard.target.split_once('?').unwrap_or((&heard.target, ""));
    let asked = |name: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let model = json!({"name": "iris", "creation_timestamp": 1, "latest_versions": latest(rows)});
    match path.rsplit_once("mlflow/").expect("an API path").1 {
        "model-versions/get" | "registered-models/alias" if heard.method == "GET" => {
            let number = asked("version").unwrap_or_else(|| "1".to_owned());
            let found = rows.iter().find(|row| row.0.to_string() == number);
            found.map_or_else(Answer::missing, |found| Answer::ok(&json!({"model_version": row(*found)})))
        }
        "model-versions/update" | "model-versions/create" => {
            Answer::ok(&json!({"model_version": row(rows[0])}))
        }
        "model-versions/search" => {
            let filter = asked("filter").unwrap_or_default();
            assert!(!filter.contains("prompt") || rows.is_empty() || heard.is_question(), "{filter}");
            let below = filter.split_once("version_number < ").map_or(u64::MAX, |(_, rest)| {
                rest.split(' ').next().expect("a word").parse().expect("a number")
            });
            let mut found: Vec<Row> = rows.iter().filter(|row| row.0 < below).copied().collect();
            found.sort_by_key(|row| std::cmp::Reverse(row.0));
            found.truncate(asked("max_results").expect("a number").parse().expect("a number"));
            if filter.contains("prompt") {
                found.clear();
            }
            Answer::ok(&json!({"model_versions": found.into_iter().map(row).collect::<Vec<_>>()}))
        }
        "registered-models/get-latest-versions" => {
            assert!(asked("stages").is_none() && !heard.text().contains("stages"), "all are asked for");
            Answer::ok(&json!({"model_versions": latest(rows)}))
        }
        "registered-models/get" | "registered-models/rename" | "registered-models/update" => {
            Answer::ok(&json!({"registered_model": model}))
        }
        "registered-models/search" => Answer::ok(&json!({"registered_models": [model]})),
        other => Answer::Json(500, format!("{other} is not asked for")),
    }
}

/// `number stage tag` of each version in an answer, by number.
fn shown(said: &Said) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<(u64, String)>) {
        if let Some(stage) = value.get("current_stage") {
            let number = value["version"].as_str().expect("a number");
            let tag = value["tags"][0]["value"].as_str().unwrap_or("-");
            let line = format!("{number} {} {tag}", stage.as_str().expect("text"));
            found.push((number.parse().expect("a number"), line));
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(members) => members.values().for_each(|member| collect(member, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    assert_eq!(said.status, 200, "{}", said.text());
    let mut found = Vec::new();
    collect(&said.json(), &mut found);
    found.sort();
    found.into_iter().map(|(_, line)| line).collect()
}

fn post(path: &str, body: &Value) -> Ask {
    Ask::post(path, body.to_string())
}

const ONE: &str = "name=iris&version=1";

/// Every way in which one version is read, under a prefix.
fn ways(prefix: &str) -> Vec<Ask> {
    vec![
        Ask::get(format!("{prefix}/model-versions/get?{ONE}")),
        Ask::get(format!("{prefix}/registered-models/alias?name=iris&alias=champion")),
        Ask::get(format!("{prefix}/model-versions/search?max_results=10")),
        Ask::get(format!("{prefix}/registered-models/get?name=iris")),
        Ask::get(format!("{prefix}/registered-models/search")),
        Ask::get(format!("{prefix}/registered-models/get-latest-versions?name=iris")),
        post(&format!("{prefix}/registered-models/get-latest-versions"), &json!({"name": "iris"})),
        Ask::new("PATCH", format!("{prefix}/model-versions/update"))
            .json(r#"{"name":"iris","version":"1","description":"d"}"#),
        Ask::new("PATCH", format!("{prefix}/registered-models/update"))
            .json(r#"{"name":"iris","description":"d"}"#),
    ]
}

#[tokio::test]
async fn nobody_is_shown_a_mixture() {
    for (row, known, client, page) in [
        ((1, "None", None), None, "1 Development -", "1 None -"),
        ((1, "None", Some("Development")), None, "1 Development Development", "1 None Development"),
        ((1, "Staging", Some("Canary")), None, "1 Canary Canary", "1 Staging Canary"),
        ((1, "Production", Some("Canary")), None, "1 Production Production", "1 Production Production"),
        ((1, "Production", Some("Canary")), Some(Stage::Canary), "1 Canary Canary", "1 Staging Canary"),
        ((1, "Production", Some("Production")), Some(Stage::Canary), "1 Canary Canary", "1 Staging Canary"),
        (
            (1, "None", Some("Integration_Test")),
            Some(Stage::Development),
            "1 Development Development",
            "1 None Development",
        ),
        (
            (1, "Production", Some("Archived")),
            Some(Stage::Archived),
            "1 Archived Archived",
            "1 Archived Archived",
        ),
    ] {
        let known: Vec<_> = known.map(|stage| (1, stage)).into_iter().collect();
        let proxy = house(&[row], &known).await;
        for (prefix, expected) in [(API, client), (PAGE, page)] {
            for ask in ways(prefix) {
                let said = proxy.send(ask.clone().by(&ada())).await;
                assert_eq!(shown(&said), [expected], "{row:?} {known:?} {ask:?}");
            }
        }
        let ours = proxy.send(Ask::get("/sekisho/v1/models/iris/versions/1").by(&ada())).await.json();
        let found = proxy.send(Ask::get("/sekisho/v1/search").by(&ada())).await.json();
        let words = |value: &Value| {
            let tag = value["tags"]["sekisho.stage"].as_str().unwrap_or("-").to_owned();
            format!("1 {} {tag}", value["stage"].as_str().expect("text"))
        };
        assert_eq!([words(&ours), words(&found["model_versions"][0])], [client, client], "{row:?}");
    }
}

#[tokio::test]
async fn a_search_by_stage_asks_for_the_true_one() {
    let rows = [(1, "Production", Some("Production")), (2, "Staging", Some("Canary")), (3, "None", None)];
    let proxy = house(&rows, &[(1, Stage::Canary)]).await;
    for (stage, expected) in [("Canary", "1 2"), ("Production", ""), ("None", "3"), ("development", "3")] {
        let ask = Ask::get(format!("/sekisho/v1/search?where=stage+%3D+{stage}")).by(&ada());
        let found = proxy.send(ask).await.json();
        let numbers: Vec<_> = found["model_versions"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["version"].as_str().expect("text"))
            .collect();
        assert_eq!(numbers.join(" "), expected, "{stage}");
    }
    proxy.stages.learn(&stand(1, Stage::Shadow, 2));
    let ask = Ask::get("/sekisho/v1/search?where=stage+%3D+Shadow").by(&ada());
    assert_eq!(proxy.send(ask).await.json()["model_versions"][0]["version"], "1", "at once");
}

/// A model that has been through a lot: what stands where, and what MLflow's four would hide of it.
const ROWS: [Row; 10] = [
    (1, "Production", None),
    (2, "None", None),
    (3, "Staging", None),
    (4, "Production", Some("Production")),
    (5, "Staging", Some("Shadow")),
    (6, "None", Some("Development")),
    (7, "Staging", Some("Canary")),
    (8, "None", Some("Integration_Test")),
    (9, "Archived", Some("Deprecated")),
    (10, "None", Some("Performance_Test")),
];
const KNOWN: [(u64, Stage); 6] = [
    (4, Stage::Production),
    (5, Stage::Shadow),
    (7, Stage::Canary),
    (8, Stage::IntegrationTest),
    (9, Stage::Deprecated),
    (10, Stage::PerformanceTest),
];

#[tokio::test]
async fn the_newest_version_of_each_house_stage_is_found() {
    let proxy = house(&ROWS, &KNOWN).await;
    let all = [
        "3 Staging -",
        "4 Production Production",
        "5 Shadow Shadow",
        "6 Development Development",
        "7 Canary Canary",
        "8 Integration_Test Integration_Test",
        "9 Deprecated Deprecated",
        "10 Performance_Test Performance_Test",
    ];
    for path in ["get?name=iris", "search", "get-latest-versions?name=iris"] {
        let said = proxy.send(Ask::get(format!("{API}/registered-models/{path}")).by(&ada())).await;
        assert_eq!(shown(&said), all, "{path}");
    }
    for (stages, expected) in [
        (&["Canary"][..], &["7 Canary Canary"][..]),
        (&["cAnArY", "PRODUCTION"], &["4 Production Production", "7 Canary Canary"]),
        (&["Staging"], &["3 Staging -"]),
        (&["None"], &["6 Development Development"]),
        (&["Development", "none"], &["6 Development Development"]),
        (&["Archived"], &[]),
        (&["User_Acceptance_Test"], &[]),
        (&["Deprecated", "Shadow"], &["5 Shadow Shadow", "9 Deprecated Deprecated"]),
        (&[], &all),
    ] {
        let listed: String = stages.iter().map(|stage| format!("&stages={stage}")).collect();
        let get = Ask::get(format!("{API}/registered-models/get-latest-versions?name=iris{listed}"));
        let posted = post(
            &format!("{API}/registered-models/get-latest-versions"),
            &json!({"name": "iris", "stages": stages}),
        );
        for ask in [get, posted] {
            let said = proxy.send(ask.by(&ada())).await;
            assert_eq!(shown(&said), expected, "{stages:?}");
            assert!(!expected.is_empty() || said.text() == "{}", "what is empty is not there");
        }
    }
    for stage in ["Canry", "", "Deleted_Internal", "Canary%20"] {
        let ask = Ask::get(format!("{API}/registered-models/get-latest-versions?name=iris&stages={stage}"));
        let said = proxy.send(ask.by(&ada())).await;
        assert_eq!(said.summary(), "400 INVALID_PARAMETER_VALUE", "{stage}");
        assert!(said.message().starts_with("Invalid Model Version stage: "), "{}", said.message());
    }
}

#[tokio::test]
async fn what_was_never_promoted_here_costs_one_question() {
    let rows = [
        (1, "Production", None),
        (2, "Staging", None),
        (3, "Archived", None),
        (4, "None", Some("Development")),
    ];
    let proxy = house(&rows, &[]).await;
    let said = proxy.send(Ask::get(format!("{API}/registered-models/get?name=iris")).by(&ada())).await;
    assert_eq!(shown(&said), ["1 Production -", "2 Staging -", "3 Archived -", "4 Development Development"]);
    assert_eq!(proxy.stub.heard().len(), 1);
}

#[tokio::test]
async fn the_newest_is_true_while_a_transition_is_being_made() {
    // MLflow has 7 in Production already; the truth is that it is the canary still.
    let mut rows = ROWS;
    rows[6] = (7, "Production", Some("Production"));
    rows[3] = (4, "Production", None);
    let known: Vec<_> = KNOWN.into_iter().filter(|(number, _)| *number != 4).collect();
    let proxy = house(&rows, &known).await;
    for (stage, expected) in
        [("Production", "4 Production -"), ("Canary", "7 Canary Canary"), ("Staging", "3 Staging -")]
    {
        let ask = Ask::get(format!("{API}/registered-models/get-latest-versions?name=iris&stages={stage}"));
        assert_eq!(shown(&proxy.send(ask.by(&ada())).await), [expected], "{stage}");
    }
    proxy.stages.learn(&stand(7, Stage::Production, 2));
    let ask = Ask::get(format!(
        "{API}/registered-models/get-latest-versions?name=iris&stages=Production&stages=Canary"
    ));
    assert_eq!(shown(&proxy.send(ask.by(&ada())).await), ["7 Production Production"]);
}

#[tokio::test]
async fn a_version_that_is_gone_or_is_another_by_now_is_not_the_newest() {
    let rows = [(1, "Staging", Some("Canary")), (3, "None", None), (4, "Staging", Some("Shadow"))];
    let proxy = house(&rows, &[(1, Stage::Canary), (2, Stage::Canary), (4, Stage::Shadow)]).await;
    let other = VersionId { created: 9, ..stand(3, Stage::Canary, 1).id };
    proxy.stages.learn(&Stand { id: other, ..stand(3, Stage::Canary, 1) });
    let ask = Ask::get(format!("{API}/registered-models/get-latest-versions?name=iris&stages=Canary"));
    assert_eq!(shown(&proxy.send(ask.by(&ada())).await), ["1 Canary Canary"]);
}

#[tokio::test]
async fn the_page_keeps_mlflows_answer() {
    let proxy = house(&ROWS, &KNOWN).await;
    let four =
        ["4 Production Production", "7 Staging Canary", "9 Archived Deprecated", "10 None Performance_Test"];
    for path in ["get?name=iris", "search"] {
        let said = proxy.send(Ask::get(format!("{PAGE}/registered-models/{path}")).by(&ada())).await;
        assert_eq!(shown(&said), four, "{path}");
    }
    assert_eq!(proxy.stub.heard().len(), 2, "nothing else is asked for");
    proxy.stub.answers(|heard| {
        assert!(heard.target.ends_with("stages=Canary"), "{}", heard.target);
        Answer::Json(400, "{}".to_owned())
    });
    let ask = Ask::get(format!("{PAGE}/registered-models/get-latest-versions?name=iris&stages=Canary"));
    assert_eq!(proxy.send(ask.by(&ada())).await.status, 400, "MLflow's own word");
}

#[tokio::test]
async fn a_long_model_is_looked_through_and_not_for_ever() {
    let mut rows: Vec<Row> = (2..=500).map(|number| (number, "None", Some("Integration_Test"))).collect();
    rows.push((1, "None", None));
    let known: Vec<_> = (2..=500).map(|number| (number, Stage::IntegrationTest)).collect();
    let proxy = house(&rows, &known).await;
    assert_eq!(shown(&proxy.send(ask_none().by(&ada())).await), ["1 Development -"]);
    assert_eq!(proxy.stub.heard().len(), 3);
    assert_eq!(shown(&proxy.send(ask_none().by(&ada())).await), ["1 Development -"]);
    let again = proxy.stub.lines().split_off(3);
    assert!(
        again.len() == 2 && again[1].contains("model-versions/get"),
        "what was found is remembered: {again:?}"
    );
    let model = Ask::get(format!("{API}/registered-models/get?name=iris"));
    for _ in 0..2 {
        proxy.send(model.clone().by(&ada())).await;
    }
    assert_eq!(proxy.stub.heard().len(), 9, "{:?}", proxy.stub.lines());
    // Gone by now.
    let world: Vec<Row> = (2..=500).map(|number| (number, "None", Some("Integration_Test"))).collect();
    proxy.stub.answers(move |heard| mlflow(&world, heard));
    assert_eq!(proxy.send(ask_none().by(&ada())).await.text(), "{}");
    proxy.stub.answers(|heard| match heard.target.contains("search") {
        true => {
            let rows: Vec<Value> = (0..1_000).map(|_| row((499, "None", Some("Integration_Test")))).collect();
            Answer::ok(&json!({"model_versions": rows}))
        }
        false => mlflow(&[(600, "None", Some("Integration_Test"))], heard),
    });
    let before = proxy.stub.heard().len();
    let said = proxy.send(ask_none().by(&ada())).await;
    assert_eq!((said.status, said.text()), (200, "{}"));
    let asked = proxy.stub.heard().len() - before;
    assert!((3..10).contains(&asked), "{asked}");
}

fn ask_none() -> Ask {
    Ask::get(format!("{API}/registered-models/get-latest-versions?name=iris&stages=None"))
}

#[tokio::test]
async fn without_mlflow_no_newest_version_is_made_up() {
    let proxy = house(&ROWS, &KNOWN).await;
    proxy.stub.answers(|heard| {
        if heard.is_question() { Answer::Json(500, "{}".into()) } else { mlflow(&ROWS, heard) }
    });
    assert_eq!(proxy.send(ask_none().by(&ada())).await.summary(), "503 TEMPORARILY_UNAVAILABLE");
    let update = Ask::new("PATCH", format!("{API}/registered-models/update"))
        .json(r#"{"name":"iris","description":"d"}"#);
    let said = proxy.send(update.by(&ada())).await;
    assert_eq!(shown(&said)[1], "7 Canary Canary", "a write that was done is answered with what there is");
}

async fn register(proxy: &Proxy, body: &Value) -> (Said, Option<Value>) {
    let before = proxy.stub.forwarded().len();
    let said = proxy.send(post(&format!("{API}/model-versions/create"), body).by(&ada())).await;
    let made = proxy.stub.forwarded().split_off(before);
    assert!(made.len() <= 1, "{made:?}");
    (said, made.first().map(|heard| serde_json::from_slice(&heard.body).expect("JSON")))
}

#[tokio::test]
async fn a_source_by_stage_goes_on_as_a_number() {
    let proxy = house(&ROWS, &KNOWN).await;
    for (which, expected) in [
        ("Canary", Some("7")),
        ("canary", Some("7")),
        ("Staging", Some("3")),
        ("Production", Some("4")),
        ("None", Some("6")),
        ("Development", Some("6")),
        ("Integration_Test", Some("8")),
        ("latest", Some("10")),
        ("LATEST", Some("10")),
        ("2", Some("2")),
        ("Archived", None),
        ("Canry", None),
        ("Canary ", None),
        ("٣", None),
    ] {
        let (said, made) =
            register(&proxy, &json!({"name": "iris", "source": format!("models:/iris/{which}")})).await;
        let sent = made.map(|made| made["source"].as_str().expect("text").to_owned());
        assert_eq!(sent, expected.map(|number| format!("models:/iris/{number}")), "{which}: {}", said.text());
        assert_eq!(
            said.summary(),
            if expected.is_some() { "200" } else { "400 INVALID_PARAMETER_VALUE" },
            "{which}"
        );
    }
    let (said, made) = register(&proxy, &json!({"name": "iris", "source": "models:/victim/Canary"})).await;
    assert_eq!((said.summary().as_str(), made), ("403 PERMISSION_DENIED", None));
    assert!(
        proxy.stub.lines().iter().all(|line| !line.contains("victim")),
        "nobody is asked about a hidden model"
    );
}

#[tokio::test]
async fn a_new_version_says_at_once_where_it_stands() {
    let proxy = house(&ROWS, &KNOWN).await;
    let tag = json!({"key": "sekisho.stage", "value": "Development"});
    let author = json!({"key": "sekisho.author", "value": "ada@company.com"});
    let source = "models:/iris/2";
    let (_, made) = register(&proxy, &json!({"name": "iris", "source": source})).await;
    assert_eq!(made, Some(json!({"name": "iris", "source": source, "tags": [tag, author]})));
    let other = json!({"key": "a", "value": "b"});
    let (_, made) = register(&proxy, &json!({"tags": [other], "name": "iris", "source": source})).await;
    assert_eq!(made.map(|made| made["tags"].clone()), Some(json!([other, tag, author])));
    // A copy brings the tags that its maker was shown, whatever MLflow's mirror says.
    for (shown, status) in [("Canary", 200), ("Production", 403), ("Development", 403)] {
        proxy.stub.answers(|heard| mlflow(&[(7, "Production", Some("Production"))], heard));
        let sent = json!([{"key": "sekisho.stage", "value": shown}]);
        let (said, made) =
            register(&proxy, &json!({"name": "iris", "source": "models:/iris/7", "tags": sent})).await;
        assert_eq!(said.status, status, "{shown}");
        assert_eq!(made.map(|made| made["tags"].clone()), (status == 200).then(|| json!([tag, author])));
    }
    let prompt = json!({"key": "mlflow.prompt.is_prompt", "value": "true"});
    proxy.stub.answers(|heard| match heard.is_question() {
        true => Answer::ok(
            &json!({"registered_model": {"tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}}),
        ),
        false => Answer::ok(&json!({"model_version": row(ROWS[1])})),
    });
    let (_, made) =
        register(&proxy, &json!({"name": "iris", "source": "dummy-source", "tags": [prompt]})).await;
    assert_eq!(made.map(|made| made["tags"].clone()), Some(json!([prompt])));
    for stage in ["Development", "Production"] {
        let own = json!({"key": "sekisho.stage", "value": stage});
        let (said, made) =
            register(&proxy, &json!({"name": "iris", "source": "runs:/free/model", "tags": [own]})).await;
        assert_eq!((said.summary().as_str(), made), ("403 PERMISSION_DENIED", None), "{stage}");
    }
}

#[tokio::test]
async fn without_house_rules_mlflows_answers_are_its_own() {
    let proxy = Proxy::start().await;
    proxy.stages.learn(&stand(1, Stage::Canary, 1));
    let answer = r#"{ "model_version": {"name":"iris","version":"1","creation_timestamp":10,"current_stage":"None"} }"#;
    proxy.stub.answers(move |_| Answer::Json(200, answer.to_owned()));
    let said = proxy.send(Ask::get(format!("{API}/model-versions/get?{ONE}")).by(&root())).await;
    assert_eq!(said.text(), answer);
    let ask = Ask::get(format!("{API}/registered-models/get-latest-versions?name=iris&stages=Canary"));
    assert_eq!(proxy.send(ask.by(&root())).await.text(), answer);
    assert!(proxy.stub.forwarded()[1].target.ends_with("stages=Canary"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_shown_in_part() {
    let proxy = house(&[], &[]).await;
    let body = r#"{"model_version":{"name":"iris","current_stage":"None","version":"1"}}"#;
    for (status, body) in
        [(200, "current_stage".to_owned()), (206, body.to_owned()), (200, format!("[{body}"))]
    {
        proxy.stub.answers(move |_| Answer::Json(status, body.clone()));
        let ask = Ask::get(format!("{API}/model-versions/get?{ONE}")).header("range", "bytes=0-9");
        assert_eq!(proxy.send(ask.by(&ada())).await.summary(), "502 INTERNAL_ERROR");
    }
    assert!(proxy.stub.heard().iter().all(|heard| heard.header("range").is_none()));
}

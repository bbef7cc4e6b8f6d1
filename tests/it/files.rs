//! Files belong to the model that was registered from them, by whatever address they are asked for, and whatever happens
//! to the registry in between.

mod frozen;
mod reading;

use sekisho::govern::Mode;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::caller::{Ask, Who, ada, root, who};
use crate::proxy::{Proxy, soon};
use crate::stub::{Answer, Heard};

/// A version as MLflow has it.
#[derive(Clone)]
struct Version {
    model: String,
    number: usize,
    run: String,
    source: String,
    /// Also when it was last updated.
    created: usize,
    stage: &'static str,
}

/// An MLflow with runs (any id but `gone`), the logged models `m-v` and `m-i` of the runs `v` and `i`, and these versions.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<Vec<Version>>>);

impl Registry {
    fn add(&self, model: &str, number: usize, run: &str, source: &str) {
        self.change(|versions| {
            let created = versions.iter().map(|version| version.created).max().unwrap_or(0) + 1;
            let (model, run, source) = (model.to_owned(), run.to_owned(), source.to_owned());
            versions.push(Version { model, number, run, source, created, stage: "None" });
        });
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Version>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn answer(&self, heard: &Heard) -> Answer {
        let (path, query) = heard.target.split_once('?').unwrap_or((&heard.target, ""));
        let pair = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        if !heard.is_question() {
            return Answer::Json(200, r#"{"files":[]}"#.to_owned());
        }
        let versions = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let named = || {
            let (model, number) = (pair("name")?, pair("version")?);
            versions.iter().find(|version| version.model == model && version.number.to_string() == number)
        };
        match path.strip_prefix("/api/2.0/mlflow/").unwrap_or_default() {
            "runs/get" => match pair("run_id").as_deref() {
                None | Some("gone" | "models") => Answer::missing(),
                Some(run) => Answer::ok(&json!({"run": {"info": {"experiment_id": "1",
                    "artifact_uri": format!("mlflow-artifacts:/1/{run}/artifacts")}}})),
            },
            "runs/search" => {
                let info = |run| json!({"info": {"run_id": run, "artifact_uri": format!("mlflow-artifacts:/1/{run}/artifacts")}});
                Answer::ok(&json!({"runs": [info("v"), info("i")]}))
            }
            "logged-models/search" => Answer::ok(
                &json!({"models": [{"info": {"model_id": "m-i", "name": "model", "source_run_id": "i"}}]}),
            ),
            "logged-models/m-v" => logged("v"),
            "logged-models/m-i" => logged("i"),
            "model-versions/search" if pair("filter").is_some() => Answer::ok(&json!({})),
            "model-versions/search" => {
                let mut rows: Vec<Value> = versions.iter().map(row).collect();
                if pair("order_by").is_some_and(|order| order.ends_with("DESC")) {
                    rows.reverse();
                }
                Answer::ok(&json!({"model_versions": rows}))
            }
            "model-versions/get" => match named() {
                Some(version) => Answer::ok(&json!({"model_version": row(version)})),
                None => Answer::missing(),
            },
            "registered-models/get" => {
                let of_it = versions.iter().filter(|version| Some(&version.model) == pair("name").as_ref());
                let rows: Vec<Value> = of_it.map(row).collect();
                Answer::ok(&json!({"registered_model": {"creation_timestamp": 1, "latest_versions": rows}}))
            }
            "model-versions/get-download-uri" => match named() {
                Some(_) => Answer::ok(&json!({"artifact_uri": "mlflow-artifacts:/1/lost/artifacts/model"})),
                None => Answer::missing(),
            },
            _ => Answer::missing(),
        }
    }
}

fn row(version: &Version) -> Value {
    json!({"name": version.model, "version": version.number.to_string(), "source": version.source,
        "run_id": version.run, "creation_timestamp": version.created, "last_updated_timestamp": version.created,
        "current_stage": version.stage})
}

fn logged(run: &str) -> Answer {
    Answer::ok(&json!({"model": {"info": {"experiment_id": "1", "source_run_id": run, "name": "model",
        "artifact_uri": format!("mlflow-artifacts:/1/models/m-{run}/artifacts")}}}))
}

/// Ada has `iris` and `wine`; Vic has `victim`; both have everything of tracking.
fn vic() -> Who {
    who("vic@company.com", "ml_engineer", &["victim"])
}

async fn house() -> (Proxy, Registry) {
    house_of(Mode::Off).await
}

/// The same with house rules as `mode` has them; every name is right.
async fn house_of(mode: Mode) -> (Proxy, Registry) {
    let registry = Registry::default();
    registry.add("victim", 1, "v", "runs:/v/model");
    registry.add("iris", 1, "i", "runs:/i/model");
    registry.add("victim", 2, "v", "models:/m-v");
    registry.add("iris", 2, "i", "models:/m-i");
    registry.add("wine", 1, "w", "runs:/w/model");
    registry.add("victim", 3, "w", "models:/wine/1");
    registry.add("wine", 2, "", "mlflow-artifacts:/odd/place");
    registry.add("victim", 4, "", "models:/deleted/1");
    let proxy = Proxy::with(|settings| {
        settings.rules = mode;
        std::fs::write(settings.policies_dir.join("rules.toml"), "").expect("rules");
    })
    .await;
    let world = registry.clone();
    proxy.stub.answers(move |heard| world.answer(heard));
    (proxy, registry)
}

const STORE: &str = "/api/2.0/mlflow-artifacts/artifacts";
const V2: &str = "/ajax-api/2.0/mlflow";

fn get(path: &str) -> Ask {
    Ask::get(format!("{STORE}/{path}"))
}

fn put(path: &str) -> Ask {
    Ask::new("PUT", format!("{STORE}/{path}")).body("x")
}

fn delete(path: &str) -> Ask {
    Ask::new("DELETE", format!("{STORE}/{path}"))
}

fn list(path: &str) -> Ask {
    Ask::get(format!("{STORE}?path={path}"))
}

/// Whether it is let through; a refusal names nothing, and nothing was sent on.
#[track_caller]
fn judged(proxy: &Proxy, forwarded: usize, said: &crate::caller::Said, what: &str) -> bool {
    let through = proxy.stub.forwarded().len() > forwarded;
    assert_eq!(through, said.status == 200, "{what}: {} {}", said.status, said.text());
    if !through {
        assert_eq!(said.summary(), "403 PERMISSION_DENIED", "{what}");
        assert!(
            said.message().ends_with("in no run or model that is open to this principal"),
            "{}",
            said.text()
        );
    }
    through
}

async fn may(proxy: &Proxy, who: &Who, ask: Ask) -> bool {
    let forwarded = proxy.stub.forwarded().len();
    let what = format!("{ask:?}");
    let said = proxy.send(ask.by(who)).await;
    judged(proxy, forwarded, &said, &what)
}

#[tokio::test]
async fn every_address_of_a_models_files_is_the_models() {
    let (proxy, _) = house().await;
    let upload = |run: &str, path: &str| {
        Ask::new("POST", format!("{V2}/upload-artifact?run_uuid={run}&path={path}")).body("x")
    };
    let of_run = |route: &str, run: &str| Ask::get(format!("{route}?run_id={run}&path=model/MLmodel"));
    let of_model = |id: &str| {
        [
            Ask::get(format!("{V2}/logged-models/{id}/artifacts/files?artifact_file_path=MLmodel")),
            Ask::get(format!("{V2}/logged-models/{id}/artifacts/directories")),
            Ask::get(format!("{V2}/logged-models/{id}/artifacts/directories?artifact_directory_path=data")),
            get(&format!("1/models/{id}/artifacts/MLmodel")),
            list(&format!("1/models/{id}/artifacts")),
            put(&format!("1/models/{id}/artifacts/MLmodel")),
            delete(&format!("1/models/{id}/artifacts/MLmodel")),
            delete(&format!("1/models/{id}")),
            Ask::new("DELETE", format!("{V2}/logged-models/{id}")),
        ]
    };
    let all = |run: &str| {
        let mut asks = vec![
            of_run("/get-artifact", run),
            of_run(&format!("{V2}/artifacts/list"), run),
            Ask::get(format!("/get-artifact?run_uuid={run}&path=model/MLmodel")),
            get(&format!("1/{run}/artifacts/model/MLmodel")),
            list(&format!("1/{run}/artifacts/model")),
            put(&format!("1/{run}/artifacts/model/MLmodel")),
            put(&format!("1/{run}/artifacts/model/new")),
            put(&format!("1/{run}/artifacts/model")),
            upload(run, "model/MLmodel"),
            delete(&format!("1/{run}/artifacts/model/MLmodel")),
            delete(&format!("1/{run}/artifacts/model")),
            delete(&format!("1/{run}/artifacts")),
            delete(&format!("1/{run}")),
            Ask::post(format!("{V2}/runs/delete"), format!(r#"{{"run_id":"{run}"}}"#)),
        ];
        asks.extend(of_model(&format!("m-{run}")));
        asks
    };
    for (theirs, ours) in all("v").into_iter().zip(all("i")) {
        assert!(!may(&proxy, &ada(), theirs.clone()).await, "{theirs:?}");
        assert!(may(&proxy, &vic(), theirs.clone()).await, "{theirs:?}");
        assert!(may(&proxy, &ada(), ours.clone()).await, "{ours:?}");
        assert!(!may(&proxy, &vic(), ours.clone()).await, "{ours:?}");
        assert!(may(&proxy, &root(), theirs).await);
    }
}

#[tokio::test]
async fn other_files_of_the_run_are_its_experiments() {
    let (proxy, _) = house().await;
    for ask in [
        get("1/v/artifacts/plot.png"),
        get("1/v/artifacts/model2/MLmodel"),
        put("1/v/artifacts/plot.png"),
        delete("1/v/artifacts/plot.png"),
        list("1/v/artifacts"),
        Ask::get(format!("{V2}/artifacts/list?run_id=v")),
        put("1/fresh/artifacts/model/MLmodel"),
        get("1/gone/artifacts/x"),
        put("1/traces/tr-1/artifacts/traces.json"),
        get("1/traces/tr-1/artifacts/traces.json"),
    ] {
        assert!(may(&proxy, &ada(), ask.clone()).await, "{ask:?}");
    }
    let nobody = who("sam@company.com", "auditor", &[]);
    let asked = proxy.stub.heard().len();
    for ask in [get("1/v/artifacts/plot.png"), put("1/v/artifacts/plot.png"), list("1/v/artifacts")] {
        assert_eq!(proxy.send(ask.by(&nobody)).await.summary(), "403 PERMISSION_DENIED");
    }
    assert_eq!(proxy.stub.heard().len(), asked, "who may nothing costs MLflow nothing");
}

#[tokio::test]
async fn what_lies_above_runs_is_the_admins_to_list_and_to_delete() {
    let (proxy, _) = house().await;
    for ask in [
        Ask::get(STORE),
        list(""),
        list("1"),
        list("1/models"),
        list("1/gone"),
        list("odd"),
        delete("1"),
        delete("1/models"),
        delete("1/traces"),
        delete("odd/place"),
        delete("odd"),
    ] {
        assert!(!may(&proxy, &ada(), ask.clone()).await, "{ask:?}");
        assert!(may(&proxy, &root(), ask).await);
    }
}

#[tokio::test]
async fn what_hides_files_asks_for_the_models_that_have_them() {
    let (proxy, registry) = house().await;
    let experiment = || Ask::post(format!("{V2}/experiments/delete"), r#"{"experiment_id":"1"}"#);
    let run = |id: &str| Ask::post(format!("{V2}/runs/delete"), format!(r#"{{"run_id":"{id}"}}"#));
    let end = |id: &str| {
        let body = format!(r#"{{"model_id":"{id}","status":"LOGGED_MODEL_UPLOAD_FAILED"}}"#);
        Ask::new("PATCH", format!("{V2}/logged-models/{id}")).json(body)
    };
    let both = who("bea@company.com", "ml_engineer", &["iris", "victim", "wine"]);
    for one in [ada(), vic()] {
        assert!(!may(&proxy, &one, experiment()).await);
    }
    assert!(may(&proxy, &both, experiment()).await);
    assert!(!may(&proxy, &ada(), end("m-v")).await);
    assert!(may(&proxy, &ada(), end("m-i")).await);
    registry.change(|versions| versions.retain(|version| version.source != "runs:/v/model"));
    assert!(!may(&proxy, &ada(), run("v")).await, "the run that a registered logged model came from");
    assert!(may(&proxy, &vic(), run("v")).await);
}

#[tokio::test]
async fn a_copy_opens_nothing_and_locks_nobody_out() {
    let (proxy, registry) = house().await;
    let theirs = "1/w/artifacts/model/MLmodel";
    assert!(may(&proxy, &vic(), get(theirs)).await, "one registration that one may read");
    assert!(!may(&proxy, &vic(), put(theirs)).await, "a copy gives no right over the original's files");
    assert!(may(&proxy, &ada(), put(theirs)).await, "the owner is not locked out");
    registry.change(|versions| versions.retain(|version| (&*version.model, version.number) != ("wine", 1)));
    let gone = r#"{"name":"wine","version":"1"}"#;
    let said =
        proxy.send(Ask::new("DELETE", format!("{V2}/model-versions/delete")).json(gone).by(&ada())).await;
    assert_eq!(said.status, 200, "{}", said.text());
    assert!(!may(&proxy, &ada(), put(theirs)).await, "the earliest that is left owns them");
    assert!(!may(&proxy, &ada(), get(theirs)).await);
    assert!(may(&proxy, &vic(), put(theirs)).await);
    let copy_of_what_is_gone = "1/lost/artifacts/model/MLmodel";
    assert!(!may(&proxy, &ada(), get(copy_of_what_is_gone)).await);
    assert!(may(&proxy, &vic(), get(copy_of_what_is_gone)).await);
}

#[tokio::test]
async fn a_place_that_somebody_registered_past_us_is_theirs() {
    let (proxy, _) = house().await;
    assert!(may(&proxy, &ada(), get("odd/place/MLmodel")).await);
    assert!(may(&proxy, &ada(), put("odd/place/MLmodel")).await);
    assert!(!may(&proxy, &vic(), get("odd/place/MLmodel")).await);
    assert!(!may(&proxy, &vic(), put("odd/place/MLmodel")).await);
    assert!(may(&proxy, &vic(), get("odd/place2/MLmodel")).await);
}

#[tokio::test]
async fn a_registration_past_us_is_heard_of_before_anybody_is_let_in() {
    let (proxy, registry) = house().await;
    assert!(may(&proxy, &ada(), put("1/new/artifacts/model/MLmodel")).await);
    registry.add("victim", 9, "new", "runs:/new/model");
    assert!(!may(&proxy, &ada(), put("1/new/artifacts/model/MLmodel")).await);
    assert!(!may(&proxy, &ada(), get("1/new/artifacts/model/MLmodel")).await);
    assert!(may(&proxy, &vic(), put("1/new/artifacts/model/MLmodel")).await);
}

#[tokio::test]
async fn a_deletion_past_us_is_heard_of_before_anybody_is_refused() {
    let (proxy, registry) = house().await;
    let file = "1/v/artifacts/model/MLmodel";
    assert!(!may(&proxy, &ada(), get(file)).await);
    registry.change(|versions| versions.retain(|version| version.model != "victim"));
    assert!(may(&proxy, &ada(), get(file)).await);
    assert!(may(&proxy, &ada(), put(file)).await);
}

#[tokio::test]
async fn a_version_that_comes_back_is_heard_of() {
    let (proxy, registry) = house().await;
    let before = registry.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let file = "1/v/artifacts/model/MLmodel";
    assert!(may(&proxy, &vic(), get(file)).await);
    registry.change(|versions| versions.retain(|version| version.model != "victim"));
    let gone = Ask::new("DELETE", format!("{V2}/registered-models/delete")).json(r#"{"name":"victim"}"#);
    assert_eq!(proxy.send(gone.by(&vic())).await.status, 200);
    assert!(may(&proxy, &ada(), get(file)).await);
    registry.change(|versions| *versions = before);
    assert!(!may(&proxy, &ada(), put(file)).await, "MLflow's database was put back");
    assert!(!may(&proxy, &ada(), get(file)).await);
    assert!(may(&proxy, &vic(), put(file)).await);
}

/// Versions enough that one page of MLflow's does not hold them.
fn crowd(registry: &Registry) {
    for number in 1..=150 {
        registry.add("crowd", number, "", &format!("runs:/r{number}/model"));
    }
}

#[tokio::test]
async fn among_many_versions_one_that_comes_back_is_heard_of() {
    let (proxy, registry) = house().await;
    crowd(&registry);
    let before = registry.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let file = "1/v/artifacts/model/MLmodel";
    assert!(!may(&proxy, &ada(), get(file)).await);
    registry.change(|versions| versions.retain(|version| version.model == "crowd"));
    registry.add("crowd", 151, "", "runs:/r/x");
    assert!(may(&proxy, &ada(), get(file)).await, "all are gone");
    registry.change(|versions| *versions = before);
    assert!(!may(&proxy, &ada(), get(file)).await, "what was the latest is gone, so all are read again");
}

#[tokio::test]
async fn a_name_that_is_used_again_has_none_of_the_former_files() {
    let (proxy, registry) = house().await;
    let file = "1/i/artifacts/model/MLmodel";
    assert!(may(&proxy, &ada(), get(file)).await);
    registry.change(|versions| versions.retain(|version| version.model != "iris"));
    registry.add("victim", 9, "i", "runs:/i/model");
    registry.add("iris", 1, "fresh", "runs:/fresh/model");
    let gone = Ask::new("DELETE", format!("{V2}/registered-models/delete")).json(r#"{"name":"iris"}"#);
    assert_eq!(proxy.send(gone.by(&ada())).await.status, 200);
    assert!(!may(&proxy, &ada(), get(file)).await);
    assert!(!may(&proxy, &ada(), put(file)).await);
    assert!(may(&proxy, &ada(), put("1/fresh/artifacts/model/MLmodel")).await);
}

#[tokio::test]
async fn files_go_with_a_model_that_is_renamed() {
    let (proxy, registry) = house().await;
    let file = "1/i/artifacts/model/MLmodel";
    registry.change(|versions| {
        let iris = versions.iter_mut().filter(|version| version.model == "iris");
        iris.for_each(|version| version.model = "rose".to_owned());
    });
    let both = who("bea@company.com", "ml_engineer", &["iris", "rose"]);
    let rename = r#"{"name":"iris","new_name":"rose"}"#;
    assert!(may(&proxy, &ada(), list("1/v/artifacts")).await, "the index is there");
    let said = proxy.send(Ask::post(format!("{V2}/registered-models/rename"), rename).by(&both)).await;
    assert_eq!(said.status, 200, "{}", said.text());
    assert!(!may(&proxy, &ada(), get(file)).await);
    assert!(may(&proxy, &both, put(file)).await);
}

#[tokio::test]
async fn what_mlflow_does_not_tell_is_not_assumed() {
    let (proxy, registry) = house().await;
    proxy.stub.answers(move |heard| match heard.target.contains("model-versions/search") {
        true => Answer::Json(500, "{}".to_owned()),
        false => registry.answer(heard),
    });
    for ask in [get("1/i/artifacts/model/MLmodel"), put("1/fresh/artifacts/x"), delete("1/i/artifacts/x")] {
        assert_eq!(proxy.send(ask.by(&ada())).await.summary(), "503 TEMPORARILY_UNAVAILABLE");
    }
    assert_eq!(proxy.stub.forwarded().len(), 0);
}

#[tokio::test]
async fn addresses_that_open_files_past_us_are_not_handed_out() {
    let asks = |id: &str, run: &str| {
        let part = r#"{"path":"model/MLmodel","num_parts":1,"upload_id":"1"}"#.to_owned();
        let folder = format!("1/{run}/artifacts/model");
        let url = format!(r#"{{"run_id":"{run}","path":"model/MLmodel"}}"#);
        vec![
            Ask::get(format!("/api/2.0/mlflow-artifacts/presigned/{folder}/MLmodel")),
            Ask::post(format!("/api/2.0/mlflow-artifacts/mpu/create/{folder}"), part.clone()),
            Ask::post(format!("/api/2.0/mlflow-artifacts/mpu/complete/{folder}"), part.clone()),
            Ask::post(format!("/ajax-api/2.0/mlflow-artifacts/mpu/abort/{folder}"), part),
            Ask::post(format!("{V2}/artifacts/presigned-download-url"), url.clone()),
            Ask::post(format!("{V2}/artifacts/presigned-upload-url"), url),
            Ask::post(
                format!("{V2}/artifacts/presigned-upload-url"),
                format!(r#"{{"model_id":"{id}","path":"MLmodel"}}"#),
            ),
        ]
    };
    let (closed, _) = house().await;
    let open = Proxy::with(|settings| settings.presigned = true).await;
    let registry = Registry::default();
    registry.add("victim", 1, "v", "runs:/v/model");
    registry.add("iris", 1, "i", "runs:/i/model");
    open.stub.answers(move |heard| registry.answer(heard));
    for (ours, theirs) in asks("m-i", "i").into_iter().zip(asks("m-v", "v")) {
        let said = closed.send(ours.clone().by(&ada())).await;
        assert!(said.status == 403 && said.message().contains("artifacts.presigned"), "{}", said.text());
        assert!(may(&open, &ada(), ours).await);
        assert!(!may(&open, &ada(), theirs).await);
    }
}

/// A request whose body has not come to its end.
async fn begin(proxy: &Proxy, who: &Who, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(proxy.address).await.expect("a connection");
    let token = who.token(&proxy.clock);
    let head = format!("PUT {STORE}/{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    socket.write_all(format!("{head}content-length: 9\r\n\r\nhalf").as_bytes()).await.expect("a taker");
    socket
}

fn register(run: &str) -> Ask {
    let body = format!(r#"{{"name":"victim","source":"runs:/{run}/model","run_id":"{run}"}}"#);
    Ask::post(format!("{V2}/model-versions/create"), body)
}

fn sent(proxy: &Proxy) -> Vec<String> {
    let heard = proxy.stub.forwarded().into_iter();
    heard.map(|heard| format!("{} {}", heard.method, heard.whole)).collect()
}

#[tokio::test]
async fn a_run_that_becomes_a_versions_run_waits_for_uploads_under_way() {
    let (proxy, _) = house().await;
    let before = proxy.stub.bytes();
    let mut upload = begin(&proxy, &ada(), "1/new/artifacts/model/MLmodel").await;
    let questions = {
        proxy.stub.until_begun(before + 4).await;
        proxy.stub.heard().len()
    };
    let registered = proxy.send(register("new").by(&vic()));
    tokio::pin!(registered);
    tokio::select! {
        biased;
        _ = &mut registered => panic!("registered while its files were being written"),
        () = async {
            proxy.stub.until_heard(questions).await;
            upload.write_all(b" done").await.expect("a taker");
        } => {}
    }
    let mut answered = vec![0; 12];
    soon(upload.read_exact(&mut answered)).await.expect("an answer");
    assert_eq!(answered, b"HTTP/1.1 200");
    assert_eq!(soon(registered).await.status, 200);
    assert_eq!(sent(&proxy), ["PUT true", "POST true"]);
}

#[tokio::test]
async fn an_upload_that_does_not_end_does_not_hold_up_a_registration_for_long() {
    let (proxy, _) = house().await;
    let before = proxy.stub.bytes();
    let mut upload = begin(&proxy, &ada(), "1/new/artifacts/model/MLmodel").await;
    proxy.stub.until_begun(before + 4).await;
    assert_eq!(soon(proxy.send(register("new").by(&vic()))).await.status, 200);
    let mut answered = Vec::new();
    soon(upload.read_to_end(&mut answered)).await.expect("an answer");
    let answered = String::from_utf8_lossy(&answered);
    assert!(answered.starts_with("HTTP/1.1 409") && answered.contains("being registered"), "{answered}");
    let mut sent = sent(&proxy);
    sent.sort();
    assert_eq!(sent, ["POST true", "PUT false"]);
}

#[tokio::test]
async fn what_is_in_a_closed_experiment_is_not_looked_for() {
    let proxy = Proxy::with_rows("p, user:ada@company.com, experiment:1, tracking_delete, deny").await;
    let ask = Ask::post(format!("{V2}/experiments/delete"), r#"{"experiment_id":"1"}"#);
    assert_eq!(proxy.send(ask.by(&ada())).await.summary(), "403 PERMISSION_DENIED");
    assert_eq!(proxy.stub.lines(), [""; 0]);
}

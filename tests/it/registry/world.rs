//! A registry such as MLflow has, and sekisho's memory of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sekisho::facts::Facts;
use sekisho::registry::{BadQuestion, Page, Question, Registry, SearchError};
use sekisho::route::message::Message;
use sekisho::route::schema::Schema;
use sekisho::route::target::Query;
use sekisho::stages::Stages;
use sekisho::upstream::{Settings, Upstream};
use serde_json::{Value, json};

use crate::stub::{Answer, Heard, Stub};

/// What MLflow has: rows as its searches show them.
#[derive(Default)]
pub(super) struct World {
    pub(super) models: Vec<Value>,
    pub(super) versions: Vec<Value>,
}

/// MLflow's time in every answer; rows of these tests are changed long before it unless they say otherwise.
pub(super) const NOW: i64 = 1_795_532_400_000;
const DATE: &str = "Tue, 24 Nov 2026 15:00:00 GMT";

pub(super) fn model(name: &str, updated: i64) -> Value {
    json!({ "name": name, "last_updated_timestamp": updated, "tags": [], "latest_versions": [{"version": "1"}] })
}

pub(super) fn prompt(name: &str, updated: i64) -> Value {
    let mut model = model(name, updated);
    model["tags"] = json!([{ "key": "mlflow.prompt.is_prompt", "value": "true" }]);
    model
}

pub(super) fn version(name: &str, number: u64, tags: &[(&str, &str)]) -> Value {
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    json!({ "name": name, "version": number.to_string(), "creation_timestamp": 1_000, "last_updated_timestamp": 1_000,
        "current_stage": "None", "source": "runs:/r/model", "run_id": "r", "tags": tags })
}

pub(super) struct Memory {
    pub(super) stub: Stub,
    pub(super) registry: Registry,
    pub(super) stages: Stages,
    facts: Facts,
    mlflow: Upstream,
    world: Arc<Mutex<World>>,
}

impl Memory {
    pub(super) async fn of(world: World) -> Self {
        let stub = Stub::on_tcp().await;
        let world = Arc::new(Mutex::new(world));
        let mlflow = Upstream::new(Settings::at(stub.address())).expect("an address");
        let (registry, stages) = (Registry::default(), Stages::default());
        let memory = Self { stub, registry, stages, facts: Facts::new(None, Arc::default()), mlflow, world };
        memory.answers(|_, answer| answer);
        memory
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What MLflow says, and what becomes of it on the way.
    pub(super) fn answers(&self, turn: impl Fn(&Heard, Answer) -> Answer + Send + 'static) {
        let world = Arc::clone(&self.world);
        self.stub.answers(move |heard| {
            let said = world.lock().unwrap_or_else(PoisonError::into_inner).say(&heard.target);
            turn(heard, said)
        });
    }

    pub(super) async fn search(
        &self,
        asked: &Value,
        user: &str,
        seen: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Page, SearchError> {
        let question = question(asked)?;
        self.registry.search(&self.facts, &self.mlflow, &question, user, (seen, &self.stages)).await
    }

    /// `model/version` of all that everybody sees of an answer's first page.
    pub(super) async fn rows(&self, asked: &Value) -> Vec<String> {
        let page = self.search(asked, "ada", &|_| true).await.expect("an answer");
        page.model_versions.iter().map(|row| format!("{}/{}", row.name, row.version)).collect()
    }

    pub(super) async fn look_alike(&self, name: &str, except: Option<&str>) -> bool {
        let looks = |name: &str| name.to_lowercase().replace(['0', 'о'], "o");
        let answered = self.registry.look_alike(&self.facts, &self.mlflow, name, except, looks).await;
        answered.expect("an answer")
    }

    pub(super) async fn refresh(&self) {
        self.registry.refresh(&self.facts, &self.mlflow, str::to_owned).await.expect("an answer");
    }

    pub(super) fn heard(&self, path: &str, schema: &str, asked: &Value) {
        self.registry.heard(path, &message(schema, asked));
    }
}

/// A question as it comes: in a query.
pub(super) fn question(asked: &Value) -> Result<Question, BadQuestion> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in asked.as_object().expect("parameters") {
        let listed = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in listed {
            query.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    let query = Query::read(Some(&query.finish())).expect("a sound query");
    let schema = Schema::named("own.Search").expect("a known message");
    Question::of(&Message::of_query(schema, &query).expect("a sound message"))
}

pub(super) fn message(schema: &str, asked: &Value) -> Message {
    let schema = Schema::named(schema).expect("a known message");
    Message::of_json(schema, asked.to_string().as_bytes()).expect("a sound message")
}

impl World {
    fn say(&self, target: &str) -> Answer {
        let (path, asked) = target.split_once('?').unwrap_or((target, ""));
        let asked: BTreeMap<String, String> = form_urlencoded::parse(asked.as_bytes()).into_owned().collect();
        let is = |row: &&Value, field: &str| row[field].as_str() == asked.get(field).map(String::as_str);
        let one = |member: &str, row: Option<&Value>| match row {
            Some(row) => ok(&json!({ member: row })),
            None => Answer::missing(),
        };
        match path.rsplit_once("mlflow/").expect("an API path").1 {
            "registered-models/get" => {
                one("registered_model", self.models.iter().find(|row| is(row, "name")))
            }
            "model-versions/get" => {
                let found = self.versions.iter().find(|row| is(row, "name") && is(row, "version"));
                one("model_version", found)
            }
            "registered-models/search" => ok(&page("registered_models", &self.models, &asked)),
            "model-versions/search" => ok(&page("model_versions", &self.versions, &asked)),
            other => Answer::Json(500, format!("{other} is not asked for")),
        }
    }
}

fn ok(body: &Value) -> Answer {
    let body = body.to_string();
    Answer::Kept(format!(
        "HTTP/1.1 200 OK\r\ndate: {DATE}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A search as MLflow answers it, prompts apart from the rest.
fn page(member: &str, rows: &[Value], asked: &BTreeMap<String, String>) -> Value {
    let filter = asked.get("filter").cloned().unwrap_or_default();
    let prompts = filter.contains("tags.`mlflow.prompt.is_prompt` = 'true'");
    let named = filter.strip_prefix("name = '").and_then(|rest| rest.split_once('\''));
    let is_prompt = |row: &&Value| {
        let tags = row["tags"].as_array().into_iter().flatten();
        tags.into_iter().any(|tag| tag["key"] == "mlflow.prompt.is_prompt")
    };
    let mut rows: Vec<&Value> = rows
        .iter()
        .filter(|row| is_prompt(row) == prompts)
        .filter(|row| named.is_none_or(|(name, _)| row["name"] == name))
        .collect();
    match asked["order_by"].as_str() {
        "name ASC" => rows.sort_by_key(|row| row["name"].to_string()),
        "creation_timestamp ASC" => rows.sort_by_key(|row| row["creation_timestamp"].as_i64()),
        order => {
            assert_eq!(order, "last_updated_timestamp DESC");
            rows.sort_by_key(|row| std::cmp::Reverse(row["last_updated_timestamp"].as_i64()));
        }
    }
    let offset = asked.get("page_token").map_or(0, |token| {
        let token: Value = serde_json::from_slice(&STANDARD.decode(token).expect("base64")).expect("JSON");
        usize::try_from(token["offset"].as_u64().expect("an offset")).expect("a small number")
    });
    let most: usize = asked["max_results"].parse().expect("a number");
    assert!(most <= 1000, "MLflow gives no more models");
    let shown: Vec<&Value> = rows.into_iter().skip(offset).take(most).collect();
    if shown.is_empty() { json!({}) } else { json!({ member: shown }) }
}

//! House rules when two requests are under way at once: whoever comes second is judged by what the first has done.

use std::sync::{Arc, Mutex, PoisonError};

use sekisho::govern::Mode;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::caller::{Ask, Said, root};
use crate::proxy::{Proxy, soon};
use crate::stub::{Answer, Heard};

const API: &str = "/api/2.0/mlflow/";

/// What MLflow has.
#[derive(Default)]
struct Kept {
    tags: Vec<(&'static str, &'static str)>,
    models: Vec<String>,
}

/// An MLflow that holds back its answer to each write, and changes only when the test says so.
struct Scene {
    proxy: Proxy,
    kept: Arc<Mutex<Kept>>,
    gate: Arc<Semaphore>,
}

const WHOLE: [(&str, &str); 9] = [
    ("business_owner", "ann@example.com"),
    ("technical_owner", "team-a"),
    ("model_purpose", "finds fraud"),
    ("data_sources", r#"["s3://a"]"#),
    ("training_data_version", "2026-01"),
    ("feature_importance", r#"{"age": 0.4}"#),
    ("performance_metrics", r#"{"accuracy": 0.9, "precision": 0.9, "recall": 0.9}"#),
    ("resource_requirements", r#"{"memory": "2Gi"}"#),
    ("compliance_status", "approved"),
];

impl Scene {
    async fn open() -> Self {
        let proxy = Proxy::with(|settings| {
            settings.rules = Mode::Enforce;
            // Every name is right, and metadata is asked for where a version leaves Development.
            std::fs::write(settings.policies_dir.join("rules.toml"), "").expect("rules");
        })
        .await;
        let kept = Arc::new(Mutex::new(Kept { tags: WHOLE.to_vec(), models: Vec::new() }));
        let gate = Arc::new(Semaphore::new(0));
        let scene = Self { proxy, kept, gate };
        let (kept, gate) = (Arc::clone(&scene.kept), Arc::clone(&scene.gate));
        scene.proxy.stub.answers(move |heard| {
            if heard.is_question() {
                return shown(&kept.lock().unwrap_or_else(PoisonError::into_inner), heard);
            }
            let done = Answer::ok(&json!({}));
            if heard.text().contains("aside") {
                done
            } else {
                Answer::Held(Arc::clone(&gate), Box::new(done))
            }
        });
        scene
    }

    /// Sends the second request once MLflow has heard the first, and lets MLflow answer when the second had time to pass
    /// it; the answers.
    async fn both(&self, first: Ask, second: Ask, change: impl FnOnce(&mut Kept)) -> (Said, Said) {
        let meanwhile = async {
            self.until_forwarded().await;
            let later = async {
                for turn in 0..10 {
                    let body = json!({"name": format!("aside{turn}"), "description": "aside"});
                    let aside =
                        Ask::new("PATCH", format!("{API}registered-models/update")).json(body.to_string());
                    assert_eq!(self.proxy.send(aside.by(&root())).await.status, 200);
                }
                change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner));
                self.gate.add_permits(2);
            };
            tokio::join!(self.proxy.send(second), later).0
        };
        tokio::join!(self.proxy.send(first), meanwhile)
    }

    async fn until_forwarded(&self) {
        let mut count = 0;
        soon(async {
            while self.proxy.stub.forwarded().is_empty() {
                count += 1;
                self.proxy.stub.until_heard(count).await;
            }
        })
        .await;
    }

    /// What came to MLflow of these two.
    fn made(&self) -> Vec<String> {
        let aside = |heard: &Heard| heard.text().contains("aside");
        self.proxy.stub.forwarded().iter().filter(|heard| !aside(heard)).map(Heard::line).collect()
    }
}

fn shown(kept: &Kept, heard: &Heard) -> Answer {
    let version = || -> Value {
        let tags = kept.tags.iter().map(|(key, value)| json!({"key": key, "value": value}));
        json!({"name": "iris", "version": "1", "current_stage": "None", "source": "s3://x", "tags": tags.collect::<Vec<_>>()})
    };
    let model = |name: &String| json!({"name": name, "last_updated_timestamp": 1});
    if heard.target.contains("/model-versions/get?") {
        Answer::ok(&json!({"model_version": version()}))
    } else if heard.target.contains("/registered-models/search") {
        Answer::ok(&json!({"registered_models": kept.models.iter().map(model).collect::<Vec<_>>()}))
    } else if heard.target.contains("/registered-models/get?") {
        let found = kept.models.iter().find(|name| heard.target.ends_with(&format!("name={name}")));
        found.map_or_else(Answer::missing, |name| Answer::ok(&json!({"registered_model": model(name)})))
    } else {
        crate::stub::nothing_is_there(heard)
    }
}

fn create(name: &str) -> Ask {
    Ask::post(format!("{API}registered-models/create"), json!({"name": name}).to_string()).by(&root())
}

#[tokio::test]
async fn the_second_of_two_look_alikes_hears_of_the_first() {
    let scene = Scene::open().await;
    let name = "iris";
    let made = |kept: &mut Kept| kept.models.push(name.to_owned());
    let (first, second) = scene.both(create(name), create("Iris"), made).await;
    assert_eq!((first.status, second.status), (200, 400), "{}", second.text());
    assert!(second.text().contains("looks like `Iris`"), "{}", second.text());
    assert_eq!(scene.made().len(), 1);
}

//! Files that take longer to read than a call waits: the reading goes on, and whoever repeats the call has what was read.

use std::time::Duration;

use futures_util::future::join_all;
use sekisho::drain::Drained;
use sekisho::pipeline::Patience;
use sekisho::stage::Stage;
use sekisho::store::VersionId;
use tokio::sync::Semaphore;

use super::*;
use crate::caller::Said;

/// From each stage to the next, and out of service, for nothing.
const STAGES: &str = r#"
final = ["Archived"]
unused = ["Performance_Test", "User_Acceptance_Test", "Canary", "Production", "Shadow", "Deprecated"]
[[transitions]]
from = "Development"
to = "Integration_Test"
required_approvals = 0
[[transitions]]
from = "Integration_Test"
to = "Staging"
required_approvals = 0
[[transitions]]
from = ["Development", "Integration_Test", "Staging"]
to = "Archived"
required_approvals = 0
"#;

/// Calls do not wait at all; what is closed is renewed all the time.
const IMPATIENT: Patience = Patience {
    at_once: 2,
    without_caller: 2,
    wait: Duration::ZERO,
    longest: Duration::from_secs(600),
    kept: Duration::from_secs(600),
    renewed: Duration::from_millis(100),
};

/// An MLflow whose versions of `iris` have a file each, `weights`, which it gives out when it is let.
struct House {
    proxy: Proxy,
    gate: Arc<Semaphore>,
}

impl House {
    async fn with(mode: Mode, patience: Patience, versions: usize) -> Self {
        let registry = Registry::default();
        for number in 1..=versions {
            registry.add("iris", number, "", &format!("mlflow-artifacts:/place/{number}"));
        }
        let proxy = Proxy::with(|settings| {
            settings.rules = mode;
            settings.patience = patience;
            let put = |file: &str, text: &str| {
                std::fs::write(settings.policies_dir.join(file), text).expect("rules");
            };
            put("rules.toml", "");
            put("stages.toml", STAGES);
            put("metadata.schema.json", r#"{"type": "object"}"#);
        })
        .await;
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let content = Mutex::new("weights");
        proxy.stub.answers(move |heard| {
            let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
            if heard.method == "PUT" {
                *content = "changed";
            }
            let listed = heard.target.starts_with(&format!("{STORE}?path=place"));
            if heard.is_question() && listed {
                Answer::Json(200, r#"{"files":[{"path":"weights","file_size":7}]}"#.to_owned())
            } else if is_file(heard) {
                Answer::Held(Arc::clone(&held), Box::new(Answer::Json(200, content.to_owned())))
            } else if heard.is_question() && heard.method != "GET" {
                Answer::Json(200, "{}".to_owned())
            } else {
                registry.answer(heard)
            }
        });
        Self { proxy, gate }
    }

    async fn impatient() -> Self {
        Self::with(Mode::Enforce, IMPATIENT, 1).await
    }

    async fn upload(&self, version: usize) -> Said {
        self.proxy.send(put(&format!("place/{version}/weights")).by(&root())).await
    }

    async fn moved(&self, version: usize, stage: &str) -> Said {
        let body = format!(r#"{{"name":"iris","version":"{version}","stage":"{stage}"}}"#);
        self.proxy.send(Ask::post("/api/2.0/mlflow/model-versions/transition-stage", body).by(&root())).await
    }

    async fn tested(&self, version: usize) -> Said {
        let path = format!("/sekisho/v1/models/iris/versions/{version}/evidence");
        self.proxy.send(Ask::post(path, r#"{"test":"unit_test","passed":true}"#).by(&root())).await
    }

    /// How often files were asked for.
    fn read(&self) -> usize {
        self.proxy.stub.begun(is_file)
    }

    async fn until_read(&self, times: usize) {
        soon(async {
            while self.read() < times {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn let_through(&self) {
        self.gate.add_permits(1);
    }

    async fn until(&self, says: impl AsyncFn() -> Said, status: u16) -> Said {
        soon(async {
            loop {
                let said = says().await;
                if said.status == status {
                    return said;
                }
                assert_eq!(said.summary(), "403 PERMISSION_DENIED", "{}", said.text());
            }
        })
        .await
    }

    fn id(&self) -> VersionId {
        VersionId { model: "iris".into(), model_created: 1, version: 1, created: 1 }
    }

    async fn is_closed(&self) -> bool {
        let stand = self.proxy.gate.store.stands(&self.id()).await.expect("a store").expect("a stand");
        stand.closing && stand.stage == Stage::Development
    }
}

fn is_file(heard: &Heard) -> bool {
    heard.is_question() && heard.target.ends_with("/weights")
}

#[track_caller]
fn is_put_off(said: &Said, sentence: &str) {
    assert_eq!(said.summary(), "403 PERMISSION_DENIED", "{}", said.text());
    assert!(said.message().contains(sentence), "{}", said.text());
    assert!(said.message().contains("repeat this call"), "{}", said.text());
}

/// The digest of a file `weights` in which stands `changed`.
const CHANGED: &str = "c8e97f183aaa6d260fcceae7b9a8b15abd117651e18ed00f7669f4c1386cd647";

const PROGRESS: &str = "its files are still being read (0 of 7 bytes)";

#[tokio::test]
async fn a_promotion_that_outlasts_its_call_is_made_when_it_is_repeated() {
    let house = House::impatient().await;
    is_put_off(&house.moved(1, "Integration_Test").await, "its files are still being read");
    house.until_read(1).await;
    for _ in 0..3 {
        is_put_off(&house.moved(1, "Integration_Test").await, PROGRESS);
        assert_eq!(house.upload(1).await.summary(), "403 PERMISSION_DENIED", "they are closed");
    }
    house.let_through();
    let said = house.until(async || house.moved(1, "Integration_Test").await, 200).await;
    assert_eq!(said.json()["model_version"]["current_stage"], "Integration_Test");
    assert_eq!(house.read(), 1, "they were read twice");

    // Past Development nothing is closed, and it is no other.
    is_put_off(&house.moved(1, "Staging").await, "its files are still being read");
    house.until_read(2).await;
    is_put_off(&house.moved(1, "Staging").await, PROGRESS);
    house.let_through();
    house.until(async || house.moved(1, "Staging").await, 200).await;
    assert_eq!(house.read(), 2, "they were read twice for one promotion");
    assert_eq!(house.upload(1).await.summary(), "403 PERMISSION_DENIED");
}

#[tokio::test]
async fn what_was_read_before_files_were_opened_is_never_used() {
    let house = House::impatient().await;
    is_put_off(&house.moved(1, "Integration_Test").await, "its files are still being read");
    house.until_read(1).await;
    house.let_through();
    // Elsewhere somebody opens them, and closes them again.
    let store = &house.proxy.gate.store;
    let opened = store.open_files(&house.id()).await.expect("a store").expect("a stand");
    assert!(!opened.closing);
    store.close_files(&house.id(), house.proxy.clock.now()).await.expect("a store");
    soon(async {
        while house.read() < 2 {
            let said = house.moved(1, "Integration_Test").await;
            assert_ne!(said.status, 200, "it rests on what was read before: {}", said.text());
        }
    })
    .await;
    assert!(house.is_closed().await, "who read them before opened them");
}

#[tokio::test]
async fn files_for_which_nobody_comes_are_opened_again() {
    let brief = Patience { kept: Duration::from_millis(1), ..IMPATIENT };
    let house = House::with(Mode::Enforce, brief, 1).await;
    is_put_off(&house.moved(1, "Integration_Test").await, "its files are still being read");
    house.until_read(1).await;
    assert!(house.is_closed().await);
    house.let_through();
    house.until(async || house.upload(1).await, 200).await;
    assert!(!house.is_closed().await);
}

#[tokio::test]
async fn a_drain_ends_what_nobody_waits_for_and_opens_the_files() {
    let house = House::impatient().await;
    is_put_off(&house.moved(1, "Integration_Test").await, "its files are still being read");
    house.until_read(1).await;
    assert!(house.is_closed().await);
    let (gate, id) = (Arc::clone(&house.proxy.gate), house.id());
    let (drained, _) = house.proxy.stop().await;
    assert_eq!(drained, Drained::Cleanly);
    let stand = gate.store.stands(&id).await.expect("a store").expect("a stand");
    assert!(!stand.closing, "they stay closed");
}

#[tokio::test]
async fn taking_out_of_service_waits_for_no_reading() {
    let house = House::impatient().await;
    is_put_off(&house.moved(1, "Integration_Test").await, "its files are still being read");
    house.until_read(1).await;
    assert_eq!(house.moved(1, "Archived").await.status, 200);
    assert_eq!(house.upload(1).await.summary(), "403 PERMISSION_DENIED", "it has left Development");
}

#[tokio::test]
async fn where_rules_only_warn_a_promotion_does_not_wait() {
    let house = House::with(Mode::Warn, IMPATIENT, 1).await;
    assert_eq!(house.moved(1, "Integration_Test").await.status, 200);
    assert_eq!(house.moved(1, "Staging").await.status, 200);
}

#[tokio::test]
async fn callers_of_one_version_share_a_reading_and_a_change_voids_it() {
    let house = House::impatient().await;
    is_put_off(&house.tested(1).await, "its files are still being read");
    house.until_read(1).await;
    let all = join_all((0..20).map(|_| house.tested(1))).await;
    all.iter().for_each(|said| is_put_off(said, PROGRESS));
    assert_eq!(house.read(), 1, "each read by itself");
    // Nobody closed them.
    assert_eq!(house.upload(1).await.status, 200);
    house.gate.add_permits(1_000);
    house.until(async || house.tested(1).await, 200).await;
    let evidence = house.proxy.gate.store.evidence(&house.id()).await.expect("a store");
    let digests: Vec<&str> = evidence.iter().map(|kept| &*kept.said.digest).collect();
    assert_eq!(digests, [CHANGED], "it is kept for bytes that are there no more");
}

#[tokio::test]
async fn no_more_are_read_at_once_than_there_is_room_for() {
    let patience = Patience { wait: Duration::from_millis(300), ..IMPATIENT };
    let house = House::with(Mode::Enforce, patience, 40).await;
    let said = join_all((1..=40).map(|version| house.tested(version))).await;
    said.iter().for_each(|said| assert_eq!(said.summary(), "403 PERMISSION_DENIED", "{}", said.text()));
    let crowded = said.iter().filter(|said| said.message().contains("the files of too many other versions"));
    assert!(crowded.count() >= 30);
    assert!(house.read() <= 4, "{} at once", house.read());
    // Those that go on leave room for one that is soon read.
    house.gate.add_permits(1_000);
    house.until(async || house.tested(40).await, 200).await;
}

//! What was written is seen in the next answer, whenever it was heard of.

use std::sync::Arc;
use std::time::Duration;

use sekisho::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::world::{Memory, World, prompt, version};
use crate::proxy::soon;
use crate::stub::Answer;

async fn memory() -> Memory {
    let mut poem = version("poem", 1, &[("mlflow.prompt.is_prompt", "true")]);
    poem["current_stage"] = "Staging".into();
    let versions = vec![version("a", 1, &[("k", "old")]), version("a", 2, &[]), version("b", 1, &[]), poem];
    Memory::of(World { models: vec![prompt("poem", 1)], versions }).await
}

fn set_tag(memory: &Memory, name: &str, number: &str, value: &str) {
    let is = |row: &&mut Value| row["name"] == name && row["version"] == number;
    let mut world = memory.world();
    let row = world.versions.iter_mut().find(is).expect("a version");
    row["tags"] = json!([{ "key": "k", "value": value }]);
}

async fn with(memory: &Memory, value: &str) -> Vec<String> {
    memory.rows(&json!({ "where": [format!("k = '{value}'")] })).await
}

#[tokio::test]
async fn every_write_that_was_heard_of_is_in_the_next_answer() {
    let memory = memory().await;
    assert_eq!(memory.rows(&json!({})).await, ["a/1", "a/2", "b/1", "poem/1"]);
    let before = memory.stub.heard().len();
    assert_eq!(with(&memory, "old").await, ["a/1"]);
    assert_eq!(memory.stub.heard().len(), before, "nothing was written and nothing is asked for");

    set_tag(&memory, "a", "2", "new");
    let tag = json!({ "name": "a", "version": "2", "key": "k", "value": "new" });
    memory.heard("model-versions/set-tag", "SetModelVersionTag", &tag);
    assert_eq!(with(&memory, "new").await, ["a/2"]);
    assert_eq!(memory.stub.heard().len(), before + 1, "one question for one version");

    memory.world().versions.retain(|row| row["name"] != "a" || row["version"] != "1");
    memory.heard("model-versions/delete", "DeleteModelVersion", &json!({ "name": "a", "version": "1" }));
    memory.world().versions.push(version("b", 2, &[("k", "new")]));
    memory.heard("model-versions/create", "CreateModelVersion", &json!({ "name": "b", "source": "s" }));
    assert_eq!(with(&memory, "new").await, ["a/2", "b/2"]);
    assert_eq!(with(&memory, "old").await, [""; 0]);

    let renamed = |row: &mut Value| row["name"] = "c'd".into();
    memory.world().versions.iter_mut().filter(|row| row["name"] == "a").for_each(renamed);
    let rename = json!({ "name": "a", "new_name": "c'd" });
    memory.heard("registered-models/rename", "RenameRegisteredModel", &rename);
    assert_eq!(with(&memory, "new").await, ["b/2", "c'd/2"]);

    memory.world().versions.retain(|row| row["name"] != "b");
    memory.heard("registered-models/delete", "DeleteRegisteredModel", &json!({ "name": "b" }));
    let stages =
        json!({ "name": "poem", "version": "1", "stage": "Archived", "archive_existing_versions": true });
    memory.world().versions.iter_mut().for_each(|row| row["current_stage"] = "Archived".into());
    memory.heard("model-versions/transition-stage", "TransitionModelVersionStage", &stages);
    assert_eq!(memory.rows(&json!({})).await, ["c'd/2", "poem/1"]);
    assert_eq!(memory.rows(&json!({ "where": ["stage = archived"] })).await, ["poem/1"]);
}

#[tokio::test]
async fn a_write_heard_of_while_everything_is_read_is_not_lost() {
    let memory = Arc::new(memory().await);
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    memory.answers(move |heard, said| match heard.target.contains("/search") {
        true => Answer::Held(Arc::clone(&held), Box::new(said)),
        false => said,
    });
    let searching = Arc::clone(&memory);
    let mut first = JoinSet::new();
    first.spawn(async move { with(&searching, "new").await });
    // MLflow has said what it will say, and it has not arrived.
    memory.stub.until_heard(2).await;
    set_tag(&memory, "a", "1", "new");
    memory.registry.touched("a", 1);
    gate.add_permits(2);
    assert_eq!(soon(first.join_all()).await, [["a/1"]]);
    assert_eq!(with(&memory, "new").await, ["a/1"]);
    assert_eq!(with(&memory, "old").await, [""; 0]);
}

#[tokio::test]
async fn a_write_that_was_answered_from_stays_when_older_rows_arrive() {
    let memory = Arc::new(memory().await);
    assert_eq!(with(&memory, "old").await, ["a/1"]);
    let before = memory.stub.heard().len();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    memory.answers(move |heard, said| match heard.target.contains("model-versions/search") {
        true => Answer::Held(Arc::clone(&held), Box::new(said)),
        false => said,
    });
    let (reading, mut refreshing) = (Arc::clone(&memory), JoinSet::new());
    refreshing.spawn(async move { reading.refresh().await });
    memory.stub.until_heard(before + 4).await;
    set_tag(&memory, "a", "1", "new");
    memory.registry.touched("a", 1);
    assert_eq!(with(&memory, "new").await, ["a/1"], "nobody waits for who reads everything");
    gate.add_permits(2);
    soon(refreshing.join_all()).await;
    assert_eq!(with(&memory, "new").await, ["a/1"]);
}

#[tokio::test]
async fn a_search_that_is_given_up_takes_nothing_with_it() {
    let memory = Arc::new(memory().await);
    assert_eq!(with(&memory, "old").await, ["a/1"]);
    let before = memory.stub.heard().len();
    memory.answers(|_, _| Answer::Silence);
    set_tag(&memory, "a", "1", "new");
    memory.registry.touched("a", 1);
    let searching = Arc::clone(&memory);
    let mut given_up = JoinSet::new();
    given_up.spawn(async move { with(&searching, "new").await });
    memory.stub.until_heard(before + 1).await;
    soon(given_up.shutdown()).await;
    memory.answers(|_, said| said);
    assert_eq!(with(&memory, "new").await, ["a/1"]);
    // And one that fails.
    set_tag(&memory, "a", "1", "newest");
    memory.registry.touched("a", 1);
    memory.answers(|_, _| Answer::Json(500, "{}".to_owned()));
    assert!(memory.search(&json!({}), "ada", &|_| true).await.is_err());
    memory.answers(|_, said| said);
    assert_eq!(with(&memory, "newest").await, ["a/1"]);
}

#[tokio::test]
async fn a_write_past_us_is_seen_when_everything_is_read_again() {
    let mut memory = memory().await;
    assert_eq!(with(&memory, "old").await, ["a/1"]);
    set_tag(&memory, "a", "1", "new");
    assert_eq!(with(&memory, "old").await, ["a/1"], "nothing tells of it");
    memory.registry = Registry::default().rereading_after(Duration::ZERO);
    for value in ["new", "newer"] {
        set_tag(&memory, "a", "1", value);
        assert_eq!(with(&memory, value).await, ["a/1"]);
    }
}

#[tokio::test]
async fn too_many_writes_to_name_are_read_again_at_once() {
    let memory = memory().await;
    assert_eq!(with(&memory, "old").await, ["a/1"]);
    let before = memory.stub.heard().len();
    set_tag(&memory, "b", "1", "new");
    memory.registry.touched("b", 1);
    (0..2_000).for_each(|number| memory.registry.touched("elsewhere", number));
    assert_eq!(with(&memory, "new").await, ["b/1"]);
    assert_eq!(memory.stub.heard().len() - before, 2, "models and prompts, a page each");
}

#[tokio::test]
async fn pages_that_are_too_large_are_asked_for_in_smaller_ones() {
    let long = "x".repeat(90_000);
    let mut versions = vec![version("a", 1, &[("long", &long), ("short", "x")])];
    versions.extend((2..=400).map(|number| version("a", number, &[("long", &long)])));
    let memory = Memory::of(World { models: Vec::new(), versions }).await;
    let page = memory.search(&json!({ "max_results": 1_000 }), "ada", &|_| true).await.expect("an answer");
    assert_eq!(page.model_versions.len(), 400);
    let tags: Vec<&str> = page.model_versions[0].tags.keys().map(|key| &**key).collect();
    assert_eq!(tags, ["short"], "very long values are not kept");
}

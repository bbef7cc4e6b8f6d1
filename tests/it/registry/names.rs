//! Names that look alike, whoever registered them.

use super::world::{Memory, NOW, World, model, prompt};

async fn memory() -> Memory {
    let models = vec![model("Model_one", 1_000), prompt("Pr0mpt", 1_000), model("taken", 2_000)];
    Memory::of(World { models, versions: Vec::new() }).await
}

#[tokio::test]
async fn another_model_or_prompt_is_in_the_way_and_the_same_is_not() {
    let memory = memory().await;
    for (name, except, expected) in [
        ("model_one", None, true),
        ("MODEL_0NE", None, true),
        ("mоdel_one", None, true),
        ("prompt", None, true),
        ("Model_one", None, false),
        ("model_one", Some("Model_one"), false),
        ("model_one", Some("taken"), true),
        ("model_two", None, false),
    ] {
        assert_eq!(memory.look_alike(name, except).await, expected, "{name} {except:?}");
    }
}

#[tokio::test]
async fn what_came_past_us_is_seen_at_once_by_a_look_at_what_is_new() {
    let memory = memory().await;
    assert!(!memory.look_alike("newest", None).await);
    memory.world().models.extend((0..2_000).map(|at| model(&format!("old {at}"), 3_000)));
    memory.world().models.push(model("Newest", NOW));
    let before = memory.stub.heard().len();
    assert!(memory.look_alike("newest", None).await);
    // One page each of models and prompts, and whether the model in the way is still there.
    assert_eq!(memory.stub.heard().len() - before, 3);
    let before = memory.stub.heard().len();
    assert!(!memory.look_alike("another", None).await);
    assert_eq!(memory.stub.heard().len() - before, 2);
}

#[tokio::test]
async fn what_went_past_us_refuses_nobody() {
    let memory = memory().await;
    assert!(memory.look_alike("TAKEN", None).await);
    let renamed = |model: &mut serde_json::Value| model["name"] = "elsewhere".into();
    memory.world().models.iter_mut().filter(|model| model["name"] == "taken").for_each(renamed);
    assert!(!memory.look_alike("TAKEN", None).await);
    memory.world().models.retain(|model| model["name"] != "Model_one");
    assert!(!memory.look_alike("model_one", None).await);
}

#[tokio::test]
async fn a_database_that_was_put_back_is_read_again() {
    let memory = memory().await;
    assert!(!memory.look_alike("older", None).await);
    let mut models: Vec<_> = (0..2_500).map(|at| model(&format!("m{at:04}"), 900)).collect();
    models.push(model("Older", 5));
    memory.world().models = models;
    assert!(memory.look_alike("older", None).await);
}

//! What stood where at some time.

use super::promotions::{at, move_on, taken_in};
use super::*;

const DEV: Stage = Stage::Development;
const CANARY: Stage = Stage::Canary;
const PRODUCTION: Stage = Stage::Production;

/// Versions, with the number of the transition by which they came.
async fn stood(store: &Store, model: &str, stage: Stage, second: i64) -> Vec<(u64, i64)> {
    let found = store.in_stage_at(model, stage, at(second)).await.unwrap();
    found.into_iter().map(|it| (it.what.id.version, it.number)).collect()
}

#[tokio::test]
async fn a_version_stood_where_its_last_transition_had_brought_it() {
    for place in Place::all().await {
        let store = place.open().await;
        let (one, two, other) = (version("iris", 1), version("iris", 2), version("rose", 1));
        for id in [&one, &two, &other] {
            taken_in(&store, id).await;
        }
        move_on(&store, &one, (DEV, CANARY), 10).await; // 1
        move_on(&store, &one, (CANARY, PRODUCTION), 20).await; // 2
        move_on(&store, &other, (DEV, PRODUCTION), 20).await; // 3
        move_on(&store, &two, (DEV, PRODUCTION), 25).await; // 4
        move_on(&store, &one, (PRODUCTION, CANARY), 30).await; // 5
        move_on(&store, &one, (CANARY, PRODUCTION), 40).await; // 6
        store.gone(&two, at(50)).await.unwrap();
        for (stage, second, expected) in [
            (DEV, -1, vec![]),
            (DEV, 0, vec![(1, 0), (2, 0)]),
            (DEV, 9, vec![(1, 0), (2, 0)]),
            (DEV, 10, vec![(2, 0)]),
            (DEV, 60, vec![]),
            (CANARY, 9, vec![]),
            (CANARY, 10, vec![(1, 1)]),
            (CANARY, 19, vec![(1, 1)]),
            (CANARY, 20, vec![]),
            (CANARY, 35, vec![(1, 5)]),
            (PRODUCTION, 19, vec![]),
            (PRODUCTION, 20, vec![(1, 2)]),
            (PRODUCTION, 29, vec![(1, 2), (2, 4)]),
            (PRODUCTION, 30, vec![(2, 4)]),
            (PRODUCTION, 49, vec![(2, 4), (1, 6)]),
            (PRODUCTION, 50, vec![(1, 6)]),
        ] {
            assert_eq!(stood(&store, "iris", stage, second).await, expected, "{stage} at {second}");
        }
    }
}

#[tokio::test]
async fn what_was_taken_in_where_it_stood_is_found_without_a_transition() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        store.take_in(&id, PRODUCTION, Origin::Imported, at(5)).await.unwrap();
        assert_eq!(stood(&store, "iris", PRODUCTION, 4).await, []);
        let found = store.in_stage_at("iris", PRODUCTION, at(5)).await.unwrap().pop().unwrap();
        assert_eq!((found.number, found.progress, found.ended), (0, Progress::Done, Some(at(5))));
        assert_eq!(
            (found.what.id.clone(), found.what.from, found.what.to),
            (id.clone(), PRODUCTION, PRODUCTION)
        );
        move_on(&store, &id, (PRODUCTION, Stage::Archived), 10).await;
        assert_eq!(stood(&store, "iris", PRODUCTION, 9).await, [(1, 0)]);
        assert_eq!(stood(&store, "iris", PRODUCTION, 10).await, []);
    }
}

#[tokio::test]
async fn it_is_found_by_the_name_then_and_by_the_name_now() {
    for place in Place::all().await {
        let store = place.open().await;
        taken_in(&store, &version("old", 1)).await;
        move_on(&store, &version("old", 1), (DEV, PRODUCTION), 10).await;
        store.renamed("old", 1_000, "new").await.unwrap();
        for name in ["old", "new"] {
            let found = store.in_stage_at(name, PRODUCTION, at(11)).await.unwrap();
            assert_eq!(found[0].what.id, version("new", 1), "{name}");
        }
        store.gone(&version("new", 1), at(20)).await.unwrap();
        assert_eq!(stood(&store, "old", PRODUCTION, 19).await, [(1, 1)]);
        assert_eq!(stood(&store, "old", PRODUCTION, 20).await, []);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_changes_no_order() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        taken_in(&store, &id).await;
        move_on(&store, &id, (DEV, PRODUCTION), 100).await;
        let stand = move_on(&store, &id, (PRODUCTION, Stage::Archived), 50).await;
        assert_eq!(stand.stage, Stage::Archived);
        let numbers: Vec<_> = store.history(&id).await.unwrap().into_iter().map(|it| it.number).collect();
        assert_eq!(numbers, [2, 1]);
        assert_eq!(stood(&store, "iris", PRODUCTION, 101).await, [], "it is out of service");
        assert_eq!(stood(&store, "iris", Stage::Archived, 101).await, [(1, 2)]);
    }
}

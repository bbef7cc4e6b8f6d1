//! A model with a new name takes along what was kept of it.

use super::promotions::{
    FIRST, SECOND, approval, asked, at, comment, kept, move_on, said, taken_in, transition,
};
use super::*;

async fn names_after(store: &Store, change: i64) -> Vec<(String, u64, bool)> {
    let stands = store.stands_after(change).await.unwrap();
    stands.into_iter().map(|stand| (stand.id.model, stand.id.version, stand.gone)).collect()
}

#[tokio::test]
async fn everything_goes_along_and_only_of_this_incarnation() {
    for place in Place::all().await {
        let store = place.open().await;
        let (old, new) = (version("old", 1), version("new", 1));
        let reborn = VersionId { model_created: 1_001, ..old.clone() };
        for id in [&old, &version("old", 2), &reborn] {
            taken_in(&store, id).await;
            kept(&store, &asked(id, FIRST, "ada")).await;
            store.report(id, &said("unit_test", true)).await.unwrap();
        }
        store.approve(1, &approval("bob"), None).await.unwrap();
        store.add_comment(&comment(&old, "c", "ada", 1)).await.unwrap();
        let before = move_on(&store, &old, FIRST, 5).await;
        let read = store.stands_after(0).await.unwrap().last().unwrap().change;

        store.renamed("old", 1_000, "new").await.unwrap();
        let expected = [("new", 1, false), ("new", 2, false), ("old", 1, true), ("old", 2, true)];
        let expected = expected.map(|(name, number, gone)| (name.to_owned(), number, gone));
        assert_eq!(names_after(&store, read).await, expected, "here before it is gone there");
        let after = store.stands(&new).await.unwrap().unwrap();
        assert_eq!(after, Stand { id: new.clone(), change: after.change, ..before.clone() });
        assert_eq!(store.stands(&old).await.unwrap(), None);
        let request = store.requests(&new, i64::MAX, 9).await.unwrap().pop().unwrap();
        assert_eq!((request.asked.id, request.approvals.len()), (new.clone(), 1));
        assert_ne!(request.state, RequestState::Open, "what was approved bore another name");
        assert_eq!(store.evidence(&new).await.unwrap().len(), 1);
        assert_eq!(store.comments(&new).await.unwrap().len(), 1);
        assert_eq!(store.history(&new).await.unwrap().len(), 1);
        assert_eq!(store.evidence(&old).await.unwrap(), []);
        assert_eq!(store.history(&old).await.unwrap(), []);
        assert!(store.stands(&reborn).await.unwrap().is_some());
        assert_eq!(store.evidence(&reborn).await.unwrap().len(), 1);
        assert_eq!(
            store.begin(&transition(&new, SECOND, None), before.change).await.unwrap(),
            Began::Changed
        );

        // Told twice, and back again.
        let read = store.stands_after(0).await.unwrap().last().unwrap().change;
        store.renamed("old", 1_000, "new").await.unwrap();
        store.renamed("new", 1_000, "new").await.unwrap();
        assert_eq!(names_after(&store, read).await, []);
        store.renamed("new", 1_000, "old").await.unwrap();
        let back = store.stands(&old).await.unwrap().unwrap();
        assert_eq!((back.stage, back.gone), (Stage::IntegrationTest, false));
        assert_eq!(store.history(&old).await.unwrap().len(), 1);
        assert_eq!(store.stands(&new).await.unwrap(), None);
    }
}

#[tokio::test]
async fn who_was_quicker_is_believed_only_in_what_was_done_since() {
    for place in Place::all().await {
        let store = place.open().await;
        let (idle, busy) = (1, 2);
        for number in [idle, busy] {
            let old = version("old", number);
            taken_in(&store, &old).await;
            let seen = move_on(&store, &old, FIRST, 1).await;
            kept(&store, &asked(&old, SECOND, "ada")).await;
            store.begin(&transition(&old, SECOND, None), seen.change).await.unwrap();
            // Another has seen the new name, and what MLflow said of the version.
            let new = version("new", number);
            store.take_in(&new, Stage::IntegrationTest, Origin::Imported, at(2)).await.unwrap();
            kept(&store, &asked(&new, SECOND, "ada")).await;
        }
        let new = version("new", busy);
        move_on(&store, &new, (Stage::IntegrationTest, Stage::Archived), 3).await;

        store.renamed("old", 1_000, "new").await.unwrap();
        let stand = store.stands(&version("new", idle)).await.unwrap().unwrap();
        assert_eq!((stand.stage, stand.origin), (Stage::IntegrationTest, Origin::Registered));
        let open = |all: Vec<Request>| all.iter().filter(|it| it.state == RequestState::Open).count();
        assert_eq!(
            open(store.requests(&version("new", idle), i64::MAX, 9).await.unwrap()),
            1,
            "the same is asked once"
        );
        let stand = store.stands(&new).await.unwrap().unwrap();
        assert_eq!((stand.stage, stand.origin), (Stage::Archived, Origin::Imported));
        let unfinished = store.unfinished().await.unwrap();
        let unfinished: Vec<_> = unfinished.into_iter().map(|it| it.what.id).collect();
        assert_eq!(unfinished, [version("new", idle)], "the overtaken one will not be made");
        assert_eq!(store.history(&new).await.unwrap().len(), 2);
        assert_eq!(store.stands(&version("old", busy)).await.unwrap(), None);

        // Deleted under the new name: a late word of the rename does not bring it back.
        store.gone(&new, at(9)).await.unwrap();
        store.take_in(&version("old", busy), Stage::Canary, Origin::Imported, at(9)).await.unwrap();
        store.renamed("old", 1_000, "new").await.unwrap();
        assert_eq!(store.stands(&new).await.unwrap(), None);
    }
}

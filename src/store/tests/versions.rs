//! Tables that are older, newer, or made by two at once.

use super::*;

#[tokio::test]
async fn two_that_start_at_once_on_nothing_both_come_up() {
    for place in Place::all().await {
        let mut starts = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let address = place.address.clone();
            starts.spawn(async move { Store::open(&address, LONG).await });
        }
        while let Some(opened) = starts.join_next().await {
            let store = opened.unwrap().unwrap();
            assert_eq!(store.standing(), Standing::Ready);
            assert_eq!(store.digest(&version("iris", 1)).await.unwrap(), None);
        }
    }
}

const NEWER: &str = "INSERT INTO sekisho_schema (version, description, success, checksum, execution_time)
    VALUES (999, 'later', true, '', 0)";

const BACK: &str = "DELETE FROM sekisho_schema WHERE version = 999";

#[tokio::test]
async fn a_newer_schema_stops_the_start() {
    for place in Place::all().await {
        drop(place.open().await);
        place.behind_its_back(NEWER).await;
        let refused = Store::open(&place.address, LONG).await.unwrap_err();
        let said = whole(&refused);
        assert!(
            said.contains("schema has version 999")
                && said.contains(&format!("versions up to {}", schema::NEWEST)),
            "{said}"
        );
        place.behind_its_back(BACK).await;
        place.open().await;
    }
}

#[tokio::test]
async fn a_version_with_another_text_stops_the_start() {
    for place in Place::all().await {
        drop(place.open().await);
        place.behind_its_back("UPDATE sekisho_schema SET checksum = 'x' WHERE version = 1").await;
        let said = whole(&Store::open(&place.address, LONG).await.unwrap_err());
        assert!(said.contains("version 1 of its schema is not the one"), "{said}");
    }
}

#[tokio::test]
async fn a_newer_schema_that_comes_later_fails_every_call() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        store.keep_digest(&id, &digest("a", 1)).await.unwrap();
        place.behind_its_back(NEWER).await;
        let said = store.digest(&id).await.unwrap_err().to_string();
        assert!(said.contains("version 999"), "{said}");
        assert!(store.keep_digest(&id, &digest("b", 1)).await.is_err());
        assert!(store.renamed("iris", 1_000, "x").await.is_err() && store.forget(&id).await.is_err());
        if store.kind() == Kind::Postgres {
            store.tend().await;
            let Standing::Waiting(why) = store.standing() else { panic!("it stands ready") };
            assert!(why.contains("version 999"), "{why}");
            assert!(matches!(store.digest(&id).await, Err(StoreError::Waiting(Kind::Postgres))));
        }
        place.behind_its_back(BACK).await;
        while !store.standing().is_ready() {
            store.tend().await;
        }
        assert_eq!(store.digest(&id).await.unwrap(), Some(digest("a", 1)));
    }
}

#[tokio::test]
async fn a_database_that_was_emptied_gets_its_tables_again() {
    let Some(place) = Place::database().await else { return };
    let store = place.open().await;
    place.behind_its_back("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    assert!(store.digest(&version("iris", 1)).await.is_err());
    store.tend().await;
    assert_eq!(store.standing(), Standing::Ready);
    assert_eq!(store.digest(&version("iris", 1)).await.unwrap(), None);
}

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |cause| format!("{error}: {}", whole(cause)))
}

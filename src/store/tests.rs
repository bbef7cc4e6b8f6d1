//! What is kept is found again, in a file and, where `SEKISHO_TEST_POSTGRES` names a server, in a database of it.

mod addresses;
mod decisions;
mod edges;
mod instances;
mod names;
mod promotions;
mod races;
mod times;
mod trouble;
mod versions;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::stage::Stage;

/// A disk that stands still for seconds, as those of shared machines do, is tried by `trouble` alone.
const LONG: Duration = Duration::from_secs(60);

/// An empty place for a store.
struct Place {
    address: Address,
    _folder: TempDir,
}

impl Place {
    fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("sqlite://{}", folder.path().join("state.db").display());
        Self { address: address.parse().unwrap(), _folder: folder }
    }

    /// A new database, if there is a server.
    async fn database() -> Option<Self> {
        let server = std::env::var("SEKISHO_TEST_POSTGRES").ok()?;
        let name = format!("store_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut connection).await.unwrap();
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(&name);
        Some(Self { address: url.as_str().parse().unwrap(), _folder: tempfile::tempdir().unwrap() })
    }

    async fn all() -> Vec<Self> {
        let mut all = vec![Self::file()];
        all.extend(Self::database().await);
        all
    }

    /// Another sekisho on the store, of which the others know.
    async fn open(&self) -> Store {
        self.open_within(LONG).await
    }

    async fn open_within(&self, within: Duration) -> Store {
        let store = Store::open(&self.address, within).await.unwrap();
        assert!(!store.beat(0).await.unwrap(), "it was not known");
        store
    }

    fn path(&self) -> PathBuf {
        match &self.address {
            Address::Sqlite(path) => path.clone(),
            Address::Postgres(_) => panic!("not a file"),
        }
    }

    /// Does something past the store.
    async fn behind_its_back(&self, sql: &str) {
        match &self.address {
            Address::Sqlite(path) => {
                let url = format!("sqlite://{}", path.display());
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Address::Postgres(server) => {
                let mut connection = PgConnection::connect_with(server.options()).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }
}

fn version(model: &str, number: u64) -> VersionId {
    VersionId { model: model.to_owned(), model_created: 1_000, version: number, created: 2_000 }
}

/// A digest that is told from others by `mark`.
fn digest(mark: &str, files: usize) -> KeptDigest {
    let file = |number: usize| KeptFile {
        path: format!("{mark}/{} ❄ 'x'; --/{number}", files - number),
        size: u64::try_from(number).unwrap() * 1_000_000_007,
        sha256: format!("{number:064x}"),
    };
    KeptDigest {
        source: format!("models:/m-{mark}"),
        digest: format!("{mark:0>64}"),
        files: (0..files).map(file).collect(),
        dependencies: vec![format!("{mark}<1.4"), "zlib".to_owned(), "Abc".to_owned()],
        taken: Timestamp::from_microsecond(1_790_000_000_123_456).unwrap(),
    }
}

#[tokio::test]
async fn what_is_kept_is_found_again_and_replaced_whole() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 3);
        assert_eq!(store.digest(&id).await.unwrap(), None);
        for kept in [digest("a", 1_201), digest("b", 2), digest("c", 0), digest("d", 500), digest("e", 501)] {
            store.keep_digest(&id, &kept).await.unwrap();
            assert_eq!(store.digest(&id).await.unwrap(), Some(kept.clone()), "{}", store.kind());
            // Another process finds the same.
            let bare = KeptDigest { dependencies: Vec::new(), files: Vec::new(), ..kept };
            let again = place.open().await;
            assert_eq!(again.digest(&id).await.unwrap().unwrap().digest, bare.digest);
            again.keep_digest(&version("other", 1), &bare).await.unwrap();
            assert_eq!(store.digest(&version("other", 1)).await.unwrap(), Some(bare));
        }
    }
}

#[tokio::test]
async fn every_part_of_an_id_tells_versions_apart() {
    for place in Place::all().await {
        let store = place.open().await;
        let mut ids = vec![version("iris", 3)];
        for name in ["Iris", "iris ", "ıris", "irıs", "ir%s", "i' OR '1'='1", "", "\u{1F338}"] {
            ids.push(VersionId { model: name.into(), ..ids[0].clone() });
        }
        ids.push(VersionId { model_created: 1_001, ..ids[0].clone() });
        ids.push(VersionId { version: 4, ..ids[0].clone() });
        ids.push(VersionId { created: 2_001, ..ids[0].clone() });
        for (number, id) in ids.iter().enumerate() {
            store.keep_digest(id, &digest(&number.to_string(), 1)).await.unwrap();
        }
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(store.digest(id).await.unwrap(), Some(digest(&number.to_string(), 1)), "{id:?}");
        }
        store.forget(&ids[0]).await.unwrap();
        store.forget(&ids[0]).await.unwrap();
        assert_eq!(store.digest(&ids[0]).await.unwrap(), None);
        for id in &ids[1..] {
            assert!(store.digest(id).await.unwrap().is_some(), "{id:?}");
        }
    }
}

#[tokio::test]
async fn a_new_name_takes_one_incarnation_along() {
    for place in Place::all().await {
        let store = place.open().await;
        let reborn = VersionId { model_created: 1_001, ..version("old", 1) };
        for (id, mark) in [(version("old", 1), "1"), (version("old", 2), "2"), (reborn.clone(), "r")] {
            store.keep_digest(&id, &digest(mark, 2)).await.unwrap();
        }
        // Taken after the rename by somebody who was quicker.
        store.keep_digest(&version("new", 2), &digest("n", 1)).await.unwrap();
        store.renamed("old", 1_000, "old").await.unwrap();
        assert_eq!(store.digest(&version("old", 1)).await.unwrap(), Some(digest("1", 2)));
        for _ in 0..2 {
            store.renamed("old", 1_000, "new").await.unwrap();
            assert_eq!(store.digest(&version("new", 1)).await.unwrap(), Some(digest("1", 2)));
            assert_eq!(store.digest(&version("new", 2)).await.unwrap(), Some(digest("n", 1)));
            assert_eq!(store.digest(&version("old", 1)).await.unwrap(), None);
            assert_eq!(store.digest(&version("old", 2)).await.unwrap(), None);
            assert_eq!(store.digest(&reborn).await.unwrap(), Some(digest("r", 2)));
        }
    }
}

#[tokio::test]
async fn of_many_writers_one_is_last_and_whole() {
    for place in Place::all().await {
        let (one, other) = (place.open().await, place.open().await);
        let id = version("iris", 1);
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..24 {
            let store = if number % 2 == 0 { one.clone() } else { other.clone() };
            let id = id.clone();
            writers.spawn(async move {
                store.keep_digest(&id, &digest(&number.to_string(), 30)).await.unwrap();
                let found = store.digest(&id).await.unwrap().unwrap();
                let mark = found.source.strip_prefix("models:/m-").unwrap().to_owned();
                assert_eq!(found, digest(&mark, 30));
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        store.keep_digest(&id, &digest("a", 3)).await.unwrap();
        let mut huge = digest("b", 600);
        huge.files[599].size = u64::MAX;
        let refused = store.keep_digest(&id, &huge).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unfit { what: "file's size", .. }), "{refused:?}");
        let far = VersionId { version: u64::MAX, ..id.clone() };
        assert!(store.digest(&far).await.is_err() && store.forget(&far).await.is_err());
        let torn = KeptDigest { source: "models:/\0".into(), ..digest("b", 1) };
        let refused = store.keep_digest(&id, &torn).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unfit { what: "text: it has a zero byte", .. }), "{refused:?}");
        assert_eq!(store.digest(&id).await.unwrap(), Some(digest("a", 3)));
    }
}

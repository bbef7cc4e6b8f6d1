//! Files that cannot be used, servers that are away: calls end in time, and say which store.

use std::os::unix::fs::PermissionsExt;

use sqlx::Row;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;

/// A call may take its time, and the machine a little more.
const IN_TIME: Duration = Duration::from_millis(2_900);

#[tokio::test]
async fn the_files_are_their_owners_alone() {
    let place = Place::file();
    let store = place.open().await;
    store.keep_digest(&version("iris", 1), &digest("a", 1)).await.unwrap();
    let folder = place.path().parent().unwrap().to_owned();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["state.db", "state.db-shm", "state.db-wal"]);
}

#[tokio::test]
async fn the_file_is_set_up_to_survive_a_power_cut() {
    let place = Place::file();
    let store = place.open().await;
    let Database::File(file) = &*store.database else { panic!("not a file") };
    let mut session = file.write().await.unwrap();
    let Session::Sqlite(tx) = &mut session else { panic!("not a file") };
    for (pragma, expected) in [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1")] {
        let row = sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).fetch_one(&mut **tx).await.unwrap();
        let found = row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|n| n.to_string()));
        assert_eq!(found.unwrap(), expected, "{pragma}");
    }
    drop(session);
    let mut reading = file.read().await.unwrap();
    let refused = reading.run("DELETE FROM sekisho_digests", &[]).await.unwrap_err();
    assert!(refused.detail().contains("readonly"), "{}", refused.detail());
}

#[tokio::test]
async fn a_file_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("text"), "this is no database, but long enough to be taken for one".repeat(40))
        .unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    for (path, obstacle, expected) in [
        ("missing/state.db", "is missing", "cannot be made or opened"),
        ("text/state.db", "is not a folder", "cannot be made or opened"),
        ("folder", "", "cannot be made or opened"),
        ("text", "", "cannot be used"),
    ] {
        let address: Address = format!("sqlite://{}", at(path).display()).parse().unwrap();
        let refused = Store::open(&address, WITHIN).await.unwrap_err().to_string();
        assert!(refused.contains(expected) && refused.contains(path), "{refused}");
        let told = address.obstacle().unwrap_or_default();
        assert!(told.contains(obstacle), "{path}: {told}");
        assert_eq!(told.is_empty(), obstacle.is_empty(), "{path}: {told}");
    }
    let fine: Address = format!("sqlite://{}", at("state.db").display()).parse().unwrap();
    assert_eq!(fine.obstacle(), None);
    assert!(!at("state.db").exists(), "looking makes nothing");
}

#[tokio::test]
async fn a_file_that_somebody_else_holds_fails_writes_in_time_and_no_reads() {
    let place = Place::file();
    let store = place.open_within(WITHIN).await;
    let id = version("iris", 1);
    store.keep_digest(&id, &digest("a", 1)).await.unwrap();
    let url = format!("sqlite://{}", place.path().display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let began = Instant::now();
    let new = digest("b", 1);
    let calls = tokio::join!(store.keep_digest(&id, &new), store.forget(&id), store.digest(&id));
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    assert!(calls.0.is_err() && calls.1.is_err());
    assert_eq!(calls.2.unwrap(), Some(digest("a", 1)));
    held.rollback().await.unwrap();
    store.keep_digest(&id, &digest("b", 1)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silent_port, away_port) = (silent.local_addr().unwrap().port(), away.local_addr().unwrap().port());
    drop(away);
    for port in [silent_port, away_port] {
        let url = format!("postgres://ada:hunter2hunter2@127.0.0.1:{port}/state");
        let began = Instant::now();
        let store = Store::open(&url.parse().unwrap(), WITHIN).await.unwrap();
        let Standing::Waiting(why) = store.standing() else { panic!("it stands ready") };
        let refused = store.digest(&version("iris", 1)).await.unwrap_err();
        assert_eq!(refused.to_string(), "the state store (PostgreSQL) cannot be used at the moment");
        store.tend().await;
        assert!(!store.standing().is_ready());
        assert!(began.elapsed() < IN_TIME * 3, "{:?}", began.elapsed());
        let shown = format!("{why} {refused:?} {store:?} {}", refused.detail());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn calls_survive_that_every_connection_is_ended() {
    let Some(place) = Place::database().await else { return };
    let store = place.open().await;
    let id = version("iris", 1);
    store.keep_digest(&id, &digest("a", 1)).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..3 {
        place.behind_its_back(end).await;
        assert_eq!(store.digest(&id).await.unwrap(), Some(digest("a", 1)));
        store.tend().await;
        assert_eq!(store.standing(), Standing::Ready);
    }
}

#[tokio::test]
async fn a_row_that_somebody_holds_fails_a_call_in_time() {
    let Some(place) = Place::database().await else { return };
    let store = place.open_within(WITHIN).await;
    let id = version("iris", 1);
    store.keep_digest(&id, &digest("a", 1)).await.unwrap();
    let Address::Postgres(server) = &place.address else { panic!("not a server") };
    let mut other = PgConnection::connect_with(server.options()).await.unwrap();
    let mut held = other.begin().await.unwrap();
    sqlx::query("UPDATE sekisho_digests SET source = 'x'").execute(&mut *held).await.unwrap();
    let began = Instant::now();
    // More than there are connections.
    let calls = (0..20).map(|_| store.forget(&id));
    for refused in futures_util::future::join_all(calls).await {
        assert!(matches!(refused, Err(StoreError::Late(_) | StoreError::Failed { .. })), "{refused:?}");
    }
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let found = store.digest(&id).await;
    assert_eq!(
        found.unwrap(),
        Some(digest("a", 1)),
        "a reader is not held up, and connections are free again"
    );
    held.rollback().await.unwrap();
}

/// Stands between, and passes nothing on while it is frozen.
async fn relay(to: u16) -> (u16, watch::Sender<bool>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (freeze, frozen) = watch::channel(false);
    let mut running = JoinSet::new();
    running.spawn(async move {
        let mut lines = JoinSet::new();
        while let Ok((caller, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let ((from, to_caller), (back, to_server)) = (caller.into_split(), server.into_split());
            lines.spawn(pass(from, to_server, frozen.clone()));
            lines.spawn(pass(back, to_caller, frozen.clone()));
        }
    });
    (port, freeze, running)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut frozen: watch::Receiver<bool>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let thawed = frozen.wait_for(|frozen| !frozen).await.is_ok();
        if !thawed || to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_server_behind_a_line_that_freezes_fails_calls_in_time_and_comes_back() {
    let Some(place) = Place::database().await else { return };
    let server = std::env::var("SEKISHO_TEST_POSTGRES").unwrap();
    let mut url: url::Url = server.parse().unwrap();
    let (port, freeze, _running) = relay(url.port().unwrap()).await;
    url.set_port(Some(port)).unwrap();
    url.set_path(place.address.to_string().rsplit('/').next().unwrap());
    let store = Store::open(&url.as_str().parse().unwrap(), WITHIN).await.unwrap();
    let id = version("iris", 1);
    store.keep_digest(&id, &digest("a", 1)).await.unwrap();
    freeze.send_replace(true);
    let began = Instant::now();
    let (found, kept) = (digest("b", 1), digest("c", 1));
    let calls =
        tokio::join!(store.digest(&id), store.keep_digest(&id, &found), store.keep_digest(&id, &kept));
    assert!(matches!(calls.0, Err(StoreError::Late(Kind::Postgres))), "{calls:?}");
    assert!(calls.1.is_err() && calls.2.is_err());
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    store.tend().await;
    let Standing::Waiting(why) = store.standing() else { panic!("it stands ready") };
    assert_eq!(why, "it does not answer in time");
    let began = Instant::now();
    assert!(matches!(store.digest(&id).await, Err(StoreError::Waiting(Kind::Postgres))));
    assert!(began.elapsed() < Duration::from_millis(200), "known to be away, it fails at once");
    freeze.send_replace(false);
    while !store.standing().is_ready() {
        store.tend().await;
    }
    store.keep_digest(&id, &digest("d", 1)).await.unwrap();
    assert_eq!(store.digest(&id).await.unwrap(), Some(digest("d", 1)));
}

//! SQLite: one connection that writes, a few that read, and a file that only its owner may open.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::error::{OpenError, SchemaError};
use super::schema;
use super::session::Session;

/// The same while the tables are brought up to date, by this process or another.
const BUSY_AT_START: Duration = Duration::from_secs(30);

/// And so long it waits before it tries again, where SQLite does not wait.
const AGAIN: Duration = Duration::from_millis(20);

const READERS: u32 = 4;

/// An open file.
pub(super) struct File {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl File {
    /// Makes the file if it is not there, and brings its tables up to date.
    pub(super) async fn open(path: &Path, within: Duration) -> Result<Self, OpenError> {
        create(path)?;
        let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
        let options =
            SqliteConnectOptions::new().filename(path).busy_timeout(busy(within)).foreign_keys(true);
        let options = options.disable_statement_logging();
        let writing =
            options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        bring_up(writing.clone().busy_timeout(BUSY_AT_START)).await.map_err(unusable)?;
        Ok(Self {
            writer: pool(1, within).connect_lazy_with(writing),
            readers: pool(READERS, within).connect_lazy_with(options.read_only(true)),
        })
    }

    /// Writers come one after the other here, not in SQLite, which would have them look again and again.
    pub(super) async fn write(&self) -> sqlx::Result<Session> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map(Session::Sqlite)
    }

    pub(super) async fn read(&self) -> sqlx::Result<Session> {
        self.readers.begin().await.map(Session::Sqlite)
    }
}

/// How long somebody else may hold the file before a call gives up; shorter than a call may take, so that it says why.
fn busy(within: Duration) -> Duration {
    within.saturating_mul(3) / 4
}

/// SQLite gives the files that it makes beside this one the same mode.
fn create(path: &Path) -> Result<(), OpenError> {
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map(drop).map_err(|source| OpenError::File { path: path.to_owned(), source })
}

async fn bring_up(options: SqliteConnectOptions) -> Result<(), SchemaError> {
    let mut connection = connected(&options).await?;
    schema::bring_file_up(&mut connection).await?;
    Ok(connection.close().await?)
}

/// SQLite does not wait where two turn the same new file to a log of writes: one of them is refused at once.
async fn connected(options: &SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let since = Instant::now();
    loop {
        match options.connect().await {
            Err(sqlx::Error::Database(error)) if is_busy(&*error) && since.elapsed() < BUSY_AT_START => {
                sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

/// The low byte is the kind of error, the rest says more about it (<https://sqlite.org/rescode.html>).
fn is_busy(error: &dyn DatabaseError) -> bool {
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// Connections are kept: one costs a thread, and the file's log is folded into it when the last one is closed.
fn pool(most: u32, within: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(most)
        .acquire_timeout(within)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

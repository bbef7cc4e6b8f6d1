//! The tables, version by version. Versions are only ever added: an installed one is never changed.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, PgConnection, Postgres, SqlSafeStr, Sqlite, SqliteConnection, Transaction};

use super::error::SchemaError;

/// Each version's number, name and text. The text is one for both databases.
const VERSIONS: &[(i64, &str, &str)] = &[
    (1, "digests", include_str!("schema/0001_digests.sql")),
    (2, "promotions", include_str!("schema/0002_promotions.sql")),
    (3, "instances", include_str!("schema/0003_instances.sql")),
    (4, "renewals", include_str!("schema/0004_renewals.sql")),
    (5, "owners", include_str!("schema/0005_owners.sql")),
    (6, "departures", include_str!("schema/0006_departures.sql")),
];

/// Where it is written down which versions were applied.
const TABLE: &str = "sekisho_schema";

/// The newest version that this program knows.
pub(super) const NEWEST: i64 = VERSIONS.len() as i64;

/// The version of the tables that are there.
pub(super) const FOUND: &str = "SELECT max(version) FROM sekisho_schema";

/// The same at the beginning of a session with a server, which then gives up what nobody waits for any more: else a
/// call that came too late would hold its connection for as long as it is held up. Nor does a process that was stopped
/// in the middle hold up others.
pub(super) const FOUND_IN_TIME: &str = "SELECT max(version), set_config('statement_timeout', '2000', true),
    set_config('idle_in_transaction_session_timeout', '4000', true) FROM sekisho_schema";

/// Nobody else migrates while this is held: "sekisho" as a number.
const LOCK: &str = "SELECT pg_advisory_xact_lock(32481134326802543)";

/// That a table is there already is no news.
const QUIET: &str = "SET LOCAL client_min_messages = warning";

/// Brings a file up to date, in one transaction that waits for others to end theirs.
pub(super) async fn bring_file_up(connection: &mut SqliteConnection) -> Result<(), SchemaError> {
    let mut all: Transaction<'_, Sqlite> = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator().run_direct(None, &mut *all, false).await.map_err(told)?;
    Ok(all.commit().await?)
}

/// The same for a server. The lock belongs to the transaction, so it cannot outlive a connection that breaks.
pub(super) async fn bring_server_up(connection: &mut PgConnection) -> Result<(), SchemaError> {
    let mut all: Transaction<'_, Postgres> = connection.begin().await?;
    sqlx::query(QUIET).execute(&mut *all).await?;
    sqlx::query(LOCK).execute(&mut *all).await?;
    migrator().run_direct(None, &mut *all, false).await.map_err(told)?;
    Ok(all.commit().await?)
}

/// It is run by `run_direct`: futures of `run` are not `Send` for every lifetime, as the compiler sees it.
fn migrator() -> Migrator {
    let migration = |(number, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*number, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(VERSIONS.iter().map(migration).collect());
    migrator.dangerous_set_table_name(TABLE);
    // Ours lasts as long as the transaction around it all.
    migrator.set_locking(false);
    migrator
}

fn told(error: MigrateError) -> SchemaError {
    if let MigrateError::VersionMissing(found) = error {
        return SchemaError::Newer { found, known: NEWEST };
    }
    if let MigrateError::VersionMismatch(version) = error {
        return SchemaError::Different(version);
    }
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        return SchemaError::Database(error);
    }
    SchemaError::Database(sqlx::Error::Migrate(Box::new(error)))
}

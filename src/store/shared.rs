//! PostgreSQL: a pool for calls, and one connection of its own by which the server is looked at.

use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::address::Server;
use super::error::{OpenError, SchemaError};
use super::session::Session;
use super::{Standing, WITHIN, schema};

/// How long the start waits for a server; after that it is waited for in the background.
const AT_START: Duration = Duration::from_secs(10);

/// How often a server that is well is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// How soon after a call has failed. Not at once: many fail together.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// Between tries while it is away: the first, doubled up to [`EVERY`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long tables may take to be brought up to date.
const MIGRATION: Duration = Duration::from_secs(120);

const CONNECTIONS: u32 = 8;

/// A connection that is not needed is closed after this long.
const IDLE: Duration = Duration::from_secs(60);

/// A server, there or not.
pub(super) struct Shared {
    pool: PgPool,
    server: Server,
    standing: Mutex<Standing>,
    failed: Notify,
    look: tokio::sync::Mutex<Look>,
}

/// What is known from looking.
struct Look {
    connection: Option<PgConnection>,
    pause: Duration,
}

impl Shared {
    /// A server that cannot be reached is waited for; one that is there and holds something else stops the start.
    pub(super) async fn open(server: &Server, within: Duration) -> Result<Self, OpenError> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(within)
            .idle_timeout(IDLE)
            .connect_lazy_with(server.options().clone());
        let shared = Self {
            pool,
            server: server.clone(),
            standing: Mutex::new(Standing::Waiting("it was not looked at yet".to_owned())),
            failed: Notify::new(),
            look: tokio::sync::Mutex::new(Look { connection: None, pause: FIRST_PAUSE }),
        };
        let mut connection = None;
        let looked = timeout(AT_START, shared.see(&mut connection)).await.unwrap_or(Err(Unseen::Late));
        if let Err(Unseen::Unusable(foreign)) = looked {
            return Err(OpenError::Foreign(foreign));
        }
        shared.note(looked);
        shared.look.lock().await.connection = connection;
        Ok(shared)
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing.lock().clone()
    }

    pub(super) async fn write(&self) -> sqlx::Result<Session> {
        self.pool.begin().await.map(Session::Postgres)
    }

    /// What is read in one session is of one moment.
    pub(super) async fn read(&self) -> sqlx::Result<Session> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        self.pool.begin_with(begin).await.map(Session::Postgres)
    }

    /// A call failed: the server is looked at soon.
    pub(super) fn suspect(&self) {
        self.failed.notify_one();
    }

    /// Waits until the server is to be looked at, and looks.
    pub(super) async fn tend(&self) {
        let mut look = self.look.lock().await;
        if self.standing.lock().is_ready() {
            look.pause = FIRST_PAUSE;
            let suspected = async {
                self.failed.notified().await;
                sleep(AFTER_A_FAILURE).await;
            };
            tokio::select! {
                () = sleep(EVERY) => {}
                () = suspected => {}
            }
        } else {
            sleep(look.pause).await;
            look.pause = look.pause.saturating_mul(2).min(EVERY);
        }
        let seen = self.see(&mut look.connection).await;
        self.note(seen);
    }

    /// Looks at the tables. Over a new connection they are compared, and brought up to date if they are behind.
    async fn see(&self, kept: &mut Option<PgConnection>) -> Result<(), Unseen> {
        if let Some(mut connection) = kept.take()
            && matches!(found(&mut connection).await, Ok(Some(schema::NEWEST)))
        {
            *kept = Some(connection);
            return Ok(());
        }
        // One that broke may be there again already.
        let mut connection = self.connect().await?;
        let brought = timeout(MIGRATION, schema::bring_server_up(&mut connection)).await;
        brought.map_err(|_elapsed| Unseen::Late)??;
        *kept = Some(connection);
        Ok(())
    }

    async fn connect(&self) -> Result<PgConnection, Unseen> {
        let connected = timeout(WITHIN, self.server.options().connect()).await.map_err(|_| Unseen::Late)?;
        connected.map_err(Unseen::Away)
    }

    fn note(&self, seen: Result<(), Unseen>) {
        let now = match seen {
            Ok(()) => Standing::Ready,
            Err(why) => Standing::Waiting(why.to_string()),
        };
        let before = std::mem::replace(&mut *self.standing.lock(), now.clone());
        match now {
            Standing::Ready if !before.is_ready() => info!("the state store (PostgreSQL) is there"),
            Standing::Waiting(why) if before != Standing::Waiting(why.clone()) => {
                warn!(why, "the state store (PostgreSQL) cannot be used");
            }
            Standing::Ready | Standing::Waiting(_) => {}
        }
    }
}

/// Why the server was not seen well.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error("it does not answer in time")]
    Late,
    #[error("{0}")]
    Away(sqlx::Error),
    #[error("{0}")]
    Unusable(SchemaError),
}

impl From<SchemaError> for Unseen {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Database(error) => Self::Away(error),
            SchemaError::Newer { .. } | SchemaError::Different(_) => Self::Unusable(error),
        }
    }
}

/// The version of the tables.
async fn found(connection: &mut PgConnection) -> Result<Option<i64>, Unseen> {
    let asked = sqlx::query_scalar(schema::FOUND).fetch_one(connection);
    timeout(WITHIN, asked).await.map_err(|_| Unseen::Late)?.map_err(Unseen::Away)
}

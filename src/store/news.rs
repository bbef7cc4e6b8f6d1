//! What sekishos on one PostgreSQL tell each other at once: nothing of it is kept, and who does not listen misses it.

use sqlx::postgres::PgListener;

use super::error::{Kind, StoreError};
use super::{Database, Store};

/// Notifications stay within one database (PostgreSQL, `NOTIFY`).
const CHANNEL: &str = "sekisho_news";

const TELL: &str = "SELECT pg_notify($1, $2)";

/// The most bytes that one of them may have: PostgreSQL takes fewer than 8,000.
pub const LONGEST: usize = 7_900;

/// What others say, from now on.
pub struct News(PgListener);

impl Store {
    /// Tells everybody who listens, this sekisho too, in the order in which it is told.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn tell_others(&self, text: &str) -> Result<(), StoreError> {
        self.within(async {
            let mut session = self.write().await?;
            session.rows(TELL, &[CHANNEL.into(), text.into()]).await?;
            session.commit().await
        })
        .await
    }

    /// Listens; nothing on a file, which nobody else is on.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn news(&self) -> Result<Option<News>, StoreError> {
        let Database::Shared(shared) = &*self.database else { return Ok(None) };
        self.within(async {
            let failed = |source| StoreError::Failed { kind: Kind::Postgres, source };
            let mut listener = PgListener::connect_with(shared.pool()).await.map_err(failed)?;
            listener.listen(CHANNEL).await.map_err(failed)?;
            Ok(Some(News(listener)))
        })
        .await
    }
}

impl News {
    /// The next of them; nothing once the connection is lost, with which some may be.
    pub async fn next(&mut self) -> Option<String> {
        let told = self.0.try_recv().await.ok()??;
        Some(told.payload().to_owned())
    }
}

//! Which sekishos are on this store, and how far each has read it: whoever closes files waits for the others.

use super::error::StoreError;
use super::session::Row;
use super::{Store, WITHIN};

/// A sekisho on this store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its own name.
    pub id: String,
    /// Up to which change it has read, and has ended whatever was in the way.
    pub settled: i64,
    /// Raised each time that it is heard of.
    pub beats: i64,
}

const BEAT: &str = "UPDATE sekisho_instances SET settled = $2, beats = beats + 1 WHERE id = $1";

const COME: &str = "INSERT INTO sekisho_instances (id, settled, beats) VALUES ($1, $2, 0)";

const ALL: &str = "SELECT id, settled, beats FROM sekisho_instances ORDER BY id";

/// Only if it was not heard of meanwhile.
const BURY: &str = "DELETE FROM sekisho_instances WHERE id = $1 AND beats = $2";

const LEAVE: &str = "DELETE FROM sekisho_instances WHERE id = $1";

impl Store {
    /// A sekisho tells that it is there, and up to which change it has read and settled: whether it was known before.
    ///
    /// # Errors
    /// The store did not answer, or not within [`WITHIN`].
    pub async fn beat(&self, instance: &str, settled: i64) -> Result<bool, StoreError> {
        self.within(WITHIN, async {
            let mut session = self.write().await?;
            let values = [instance.into(), settled.into()];
            let known = session.run(BEAT, &values).await? > 0;
            if !known {
                session.run(COME, &values).await?;
            }
            session.commit().await?;
            Ok(known)
        })
        .await
    }

    /// Every sekisho that told that it is there.
    ///
    /// # Errors
    /// The store did not answer, or not within [`WITHIN`].
    pub async fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        self.within(WITHIN, async {
            let mut session = self.read().await?;
            let rows = session.rows(ALL, &[]).await?;
            let instance =
                |row: &Row| Ok(Instance { id: row.text(0)?, settled: row.whole(1)?, beats: row.whole(2)? });
            rows.iter().map(instance).collect()
        })
        .await
    }

    /// Forgets a sekisho, unless it was heard of after that beat.
    ///
    /// # Errors
    /// The store did not answer, or not within [`WITHIN`].
    pub async fn bury(&self, instance: &str, beats: i64) -> Result<(), StoreError> {
        self.within(WITHIN, async {
            let mut session = self.write().await?;
            session.run(BURY, &[instance.into(), beats.into()]).await?;
            session.commit().await
        })
        .await
    }

    /// A sekisho tells that it is gone.
    ///
    /// # Errors
    /// The store did not answer, or not within [`WITHIN`].
    pub async fn leave(&self, instance: &str) -> Result<(), StoreError> {
        self.within(WITHIN, async {
            let mut session = self.write().await?;
            session.run(LEAVE, &[instance.into()]).await?;
            session.commit().await
        })
        .await
    }
}

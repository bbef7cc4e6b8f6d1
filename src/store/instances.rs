//! Which sekishos are on this store, and how far each has read it: whoever closes files waits for the others.
//!
//! What one of them has begun is its own until it is gone: its row is not there any more. So who was taken for gone has
//! another name when it is back, and ends nothing that it began before.

use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::Store;
use super::error::StoreError;
use super::session::{Row, Session};

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

/// By what this sekisho is known on the store; empty before it was ever heard of.
#[derive(Debug, Default)]
pub(super) struct Name(Mutex<Arc<str>>);

const BEAT: &str = "UPDATE sekisho_instances SET settled = $2, beats = beats + 1 WHERE id = $1";

const COME: &str = "INSERT INTO sekisho_instances (id, settled, beats) VALUES ($1, $2, 0)";

const ALL: &str = "SELECT id, settled, beats FROM sekisho_instances ORDER BY id";

const IS_HEARD: &str = "SELECT beats FROM sekisho_instances WHERE id = $1";

/// Only if it was not heard of meanwhile.
const BURY: &str = "DELETE FROM sekisho_instances WHERE id = $1 AND beats = $2";

const BURY_OTHERS: &str = "DELETE FROM sekisho_instances WHERE id <> $1";

const LEAVE: &str = "DELETE FROM sekisho_instances WHERE id = $1";

impl Store {
    /// By what this sekisho is known at the moment. It is another name after it was taken for gone.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.name.0.lock())
    }

    /// This sekisho tells that it is there, and up to which change it has read and settled: whether it was known before.
    /// If not, it has a new name from now on.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn beat(&self, settled: i64) -> Result<bool, StoreError> {
        self.within(async {
            let mut session = self.write().await?;
            if session.run(BEAT, &[(&*self.name()).into(), settled.into()]).await? > 0 {
                session.commit().await?;
                return Ok(true);
            }
            let name = Uuid::new_v4().to_string();
            session.run(COME, &[name.as_str().into(), settled.into()]).await?;
            session.commit().await?;
            *self.name.0.lock() = name.into();
            Ok(false)
        })
        .await
    }

    /// Every sekisho that told that it is there.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let rows = session.rows(ALL, &[]).await?;
            let instance =
                |row: &Row| Ok(Instance { id: row.text(0)?, settled: row.whole(1)?, beats: row.whole(2)? });
            rows.iter().map(instance).collect()
        })
        .await
    }

    /// Forgets a sekisho, unless it was heard of after that beat. What it had begun is anybody's from then on.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn bury(&self, instance: &str, beats: i64) -> Result<(), StoreError> {
        self.forget_instances(BURY, |_| [instance.into(), beats.into()]).await
    }

    /// Forgets all but this one: nobody else can be on this store.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn bury_others(&self) -> Result<(), StoreError> {
        self.forget_instances(BURY_OTHERS, |me| [me.into()]).await
    }

    /// This sekisho tells that it is gone.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn leave(&self) -> Result<(), StoreError> {
        self.forget_instances(LEAVE, |me| [me.into()]).await
    }

    async fn forget_instances<'v, const COUNT: usize>(
        &self,
        sql: &'static str,
        values: impl FnOnce(String) -> [super::session::Value<'v>; COUNT],
    ) -> Result<(), StoreError> {
        self.within(async {
            let mut session = self.write().await?;
            session.run(sql, &values(self.name().to_string())).await?;
            session.commit().await
        })
        .await
    }

    /// The name of this sekisho, if the others know that it is there: only then it begins something.
    pub(super) async fn heard(&self, session: &mut Session) -> Result<Arc<str>, StoreError> {
        let (name, kind) = (self.name(), session.kind());
        let found = session.row(IS_HEARD, &[(&*name).into()]).await?;
        if found.is_some() { Ok(name) } else { Err(StoreError::Unheard(kind)) }
    }
}

//! Deletions and renames on their way to MLflow: while one is, no transition begins that it would meet.

use super::Store;
use super::error::StoreError;
use super::session::Session;

const DEPART: &str = "INSERT INTO sekisho_departures (id, model, version, instance) VALUES ($1, $2, $3, $4)";

const ARRIVE: &str = "DELETE FROM sekisho_departures WHERE id = $1";

/// Of those who are gone nothing is on its way any more.
const FORGET: &str =
    "DELETE FROM sekisho_departures WHERE instance NOT IN (SELECT id FROM sekisho_instances)";

const DEPARTING: &str = "SELECT d.id FROM sekisho_departures AS d
    JOIN sekisho_instances AS i ON i.id = d.instance
    WHERE d.model = $1 AND (d.version = 0 OR d.version = $2) LIMIT 1";

impl Store {
    /// Has everybody know that a version, or a model with all of its versions, is about to be deleted or renamed. What was
    /// begun before is seen by whoever looks afterwards; nothing is begun until [`Store::arrived`]. `id` is the caller's, and
    /// new: it is told to `arrived` also when this fails.
    ///
    /// # Errors
    /// The store did not answer, or not in time, or does not know that this sekisho is there.
    pub async fn depart(&self, id: &str, model: &str, version: Option<u64>) -> Result<(), StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let ours = self.heard(&mut session).await?;
            session.run(FORGET, &[]).await?;
            let version = number(version.unwrap_or(0));
            session.run(DEPART, &[id.into(), model.into(), version.into(), (&*ours).into()]).await?;
            session.commit().await
        })
        .await
    }

    /// It has ended, whatever became of it.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn arrived(&self, id: &str) -> Result<(), StoreError> {
        self.within(async {
            let mut session = self.write().await?;
            session.run(ARRIVE, &[id.into()]).await?;
            session.commit().await
        })
        .await
    }
}

/// Whether this version is about to be deleted, or its model to lose its name.
pub(super) async fn is_departing(
    session: &mut Session,
    model: &str,
    version: u64,
) -> Result<bool, StoreError> {
    Ok(session.row(DEPARTING, &[model.into(), number(version).into()]).await?.is_some())
}

/// MLflow's own numbers are smaller; one that is not is of no version.
fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(-1)
}

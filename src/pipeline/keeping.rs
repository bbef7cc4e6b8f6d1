//! Keeping up with the state store: where versions stand, and that the others on it know how far this sekisho has read.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::facts::FactError;
use crate::ownership::{PATIENCE, Reach};
use crate::stages::Known;
use crate::store::{Instance, Kind, Store, StoreError};

use super::Gate;
use super::frozen::{door, open_again, words};
use super::heard::Heard;

/// How often the store is read.
const EVERY: Duration = Duration::from_millis(500);

/// How often changes of files are looked at that have to end.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
enum Behind {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Fact(#[from] FactError),
}

impl Gate {
    /// Reads where versions stand once, before anybody is served, where nobody else has to be told of it.
    pub async fn read_stages(&self) {
        if self.store.kind() == Kind::Sqlite
            && let Err(error) = self.keep_up(&mut 0).await
        {
            debug!(%error, "the state store is not read");
        }
    }

    /// Reads where versions stand again and again, until `end`, when nothing is in flight any more. Others on the store wait
    /// for this one where they close files.
    pub async fn keep_stages(&self, end: CancellationToken) {
        let mut settled = 0;
        let mut heard = Heard::default();
        let work = async {
            loop {
                if let Err(error) = self.keep_house(&mut settled, &mut heard).await {
                    debug!(%error, "the state store is not read");
                }
                sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = work => {}
        }
        if let Err(error) = self.store.leave().await {
            debug!(%error, "the others find out that this one is gone");
        }
    }

    async fn keep_house(&self, settled: &mut i64, heard: &mut Heard) -> Result<(), Behind> {
        self.keep_up(settled).await?;
        if self.store.kind() == Kind::Postgres {
            let all = self.store.instances().await?;
            bury(&self.store, heard.look(Instant::now(), &all)).await?;
        }
        self.end_departures().await?;
        Ok(self.open_abandoned().await?)
    }

    /// One time. It counts as read from when it began, and only once the others could know of this one before.
    async fn keep_up(&self, settled: &mut i64) -> Result<(), Behind> {
        loop {
            let begun = Instant::now();
            self.stages.refresh(&self.store).await?;
            if self.store.kind() == Kind::Sqlite {
                if !self.stages.is_seen(None) {
                    self.store.beat(*settled).await?;
                    self.store.bury_others().await?;
                }
                self.stages.saw_all(begun);
                return Ok(());
            }
            // An MLflow that is slow does not make the others believe that this one is gone.
            let said = timeout(EVERY, self.note_settled(settled)).await.unwrap_or(Ok(()));
            let known = self.store.beat(*settled).await?;
            if known {
                self.stages.saw_all(begun);
                return Ok(said?);
            }
        }
    }

    /// Up to which change nothing is under way any more that was let in before it.
    async fn note_settled(&self, settled: &mut i64) -> Result<(), FactError> {
        let read = self.stages.read_to();
        if read == *settled {
            return Ok(());
        }
        // A version may have been registered elsewhere from files that are being changed here.
        if !self.ownership.underway.is_empty() {
            self.ownership.catch_up(&self.facts, &self.mlflow).await?;
        }
        let said = |(model, version, _): &(Arc<str>, u64, Known)| {
            self.ownership.doors.is_free(&words(model, *version))
        };
        if !self.stages.closing().iter().all(said) {
            return Ok(());
        }
        if self.ownership.underway.is_clear(|reach| self.is_in_the_way(reach), PATIENCE) {
            *settled = read;
        }
        Ok(())
    }

    fn is_in_the_way(&self, reach: &Reach) -> bool {
        self.reaches(reach, |registration| self.is_frozen(registration))
    }

    /// Has changes of files end that are in the way of those who close them, until the end; all that belong to versions,
    /// while the store is not read: somebody may just be closing them.
    pub async fn end_changes(&self) {
        let underway = &self.ownership.underway;
        loop {
            sleep(LOOK).await;
            if underway.is_empty() {
                continue;
            }
            if self.stages_are_read() {
                underway.is_clear(|reach| self.is_in_the_way(reach), PATIENCE);
                continue;
            }
            let asked = timeout(EVERY, self.ownership.catch_up(&self.facts, &self.mlflow)).await;
            if let Ok(Err(error)) = asked {
                debug!(%error, "what was registered last is not known");
            }
            underway.is_clear(|reach| self.reaches(reach, |_| true), Duration::ZERO);
        }
    }

    /// Opens files that somebody has closed who did not live to open them again; here too, where the store was away when
    /// they were to be opened.
    async fn open_abandoned(&self) -> Result<(), StoreError> {
        if self.stages.closing().is_empty() {
            return Ok(());
        }
        for stand in self.store.left_closed().await? {
            // Somebody here is just preparing a transition.
            if !self.ownership.doors.is_free(&door(&stand.id)) {
                continue;
            }
            let (model, version) = (stand.id.model.as_str(), stand.id.version);
            info!(model, version, "the files of a version were closed and left; they are opened again");
            open_again(&self.store, &self.stages, &stand.id).await;
        }
        Ok(())
    }
}

/// Forgets those of whom nothing is heard any more. What they left is taken up by whoever finds it.
pub(super) async fn bury(store: &Store, gone: Vec<Instance>) -> Result<(), StoreError> {
    for Instance { id, beats, .. } in gone {
        warn!(instance = id, "a sekisho on this state store is not heard of any more");
        store.bury(&id, beats).await?;
    }
    Ok(())
}

//! Keeping up with the state store: where versions stand, and that the others on it know how far this sekisho has read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use uuid::Uuid;

use crate::facts::FactError;
use crate::ownership::{PATIENCE, Reach};
use crate::stages::Known;
use crate::store::{Kind, StoreError, VersionId};

use super::Gate;
use super::frozen::{open_again, words};

/// How often the store is read.
const EVERY: Duration = Duration::from_millis(500);

/// How often changes of files are looked at that have to end.
const LOOK: Duration = Duration::from_millis(100);

/// Files that are closed for so long though their version stays in `Development`: whoever closed them is gone.
const ABANDONED: Duration = Duration::from_secs(15 * 60);

/// Files that were seen closed, by which change, and since when.
type Closed = HashMap<(Arc<str>, u64), (i64, Instant)>;

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
        let begun = Instant::now();
        if self.store.kind() == Kind::Sqlite && self.stages.refresh(&self.store).await.is_ok() {
            self.stages.saw_all(begun);
        }
    }

    /// Reads where versions stand again and again, until `end`, when nothing is in flight any more. Others on the store wait
    /// for this one where they close files.
    pub async fn keep_stages(&self, end: CancellationToken) {
        let me = Uuid::new_v4().to_string();
        let mut settled = 0;
        let mut closed = Closed::new();
        let mut first = true;
        let work = async {
            loop {
                if let Err(error) = self.keep_up(&me, &mut settled).await {
                    debug!(%error, "the state store is not read");
                } else {
                    self.open_abandoned(&mut closed, first && self.store.kind() == Kind::Sqlite).await;
                    first = false;
                }
                sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = work => {}
        }
        if let (Kind::Postgres, Err(error)) = (self.store.kind(), self.store.leave(&me).await) {
            debug!(%error, "the others find out that this one is gone");
        }
    }

    /// One time. It counts as read from when it began, and only once the others could know of this one before.
    async fn keep_up(&self, me: &str, settled: &mut i64) -> Result<(), Behind> {
        loop {
            let begun = Instant::now();
            self.stages.refresh(&self.store).await?;
            if self.store.kind() == Kind::Sqlite {
                self.stages.saw_all(begun);
                return Ok(());
            }
            // An MLflow that is slow does not make the others believe that this one is gone.
            let said = timeout(EVERY, self.note_settled(settled)).await.unwrap_or(Ok(()));
            let known = self.store.beat(me, *settled).await?;
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

    /// Opens files that somebody has closed who did not live to open them again; all of them, where nobody else can be.
    async fn open_abandoned(&self, closed: &mut Closed, all: bool) {
        let now = Instant::now();
        let closing = self.stages.closing();
        closed.retain(|(model, version), (change, _)| {
            closing
                .iter()
                .any(|(name, number, known)| name == model && number == version && known.change == *change)
        });
        for (model, version, Known { model_created, created, change, .. }) in closing {
            let (_, since) = closed.entry((Arc::clone(&model), version)).or_insert((change, now));
            if !all && now.saturating_duration_since(*since) < ABANDONED {
                continue;
            }
            info!(
                model = &*model,
                version, "the files of a version were closed and left; they are opened again"
            );
            let id = VersionId { model: model.to_string(), model_created, version, created };
            open_again(&self.store, &self.stages, &id).await;
        }
    }
}

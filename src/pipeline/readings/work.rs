//! The work of a reading: it waits for nobody, and what was closed for it is opened again when it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::digest::Wish;

use super::super::Gate;
use super::super::attest::{Unkept, kept_of};
use super::{Hold, Reading, Readings, State};

/// How often it is looked whether the state store is there again.
const LOOK: Duration = Duration::from_millis(500);

/// Whatever ends a reading, whoever waits for it hears of it, and closed files are opened.
struct Leaving<'r>(&'r Readings, &'r Arc<Reading>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let Self(readings, reading) = self;
        readings.forget(reading);
        reading.state.send_if_modified(|state| {
            let left = matches!(state, State::Underway);
            if left {
                *state = State::Void;
            }
            left
        });
        // Who has the lock gives it back, and then nobody has the reading any more.
        if let Ok(mut closed) = reading.closed.try_lock() {
            drop(closed.take());
        }
    }
}

impl Gate {
    /// Reads, and keeps what was read for whoever comes for it. A drain ends it as soon as no call waits.
    pub(super) async fn read_on(self: Arc<Self>, reading: Arc<Reading>, place: OwnedSemaphorePermit) {
        let _leaving = Leaving(&self.readings, &reading);
        let drained = async {
            self.drain.started().await;
            reading.state.closed().await;
        };
        tokio::select! {
            () = reading.ends.cancelled() => {}
            () = drained => {}
            () = self.read_to_the_end(&reading, place) => {}
        }
    }

    async fn read_to_the_end(&self, reading: &Reading, place: OwnedSemaphorePermit) {
        let state = self.outcome(reading, place).await;
        let (read, void) = (matches!(state, State::Read(_)), matches!(state, State::Void));
        if !read {
            drop(reading.closed.lock().await.take());
        }
        let heard = reading.state.receiver_count() > 0;
        reading.state.send_replace(state);
        let awaited = if read { reading.stays.load(Relaxed) } else { !heard && !void };
        if awaited {
            self.while_closed(reading, sleep(self.readings.patience.kept)).await;
        }
    }

    async fn outcome(&self, reading: &Reading, place: OwnedSemaphorePermit) -> State {
        let patience = self.readings.patience;
        let mut work = Box::pin(self.read_and_keep(reading));
        if let Ok(state) = timeout(patience.wait, &mut work).await {
            return state;
        }
        let Ok(_place) = Arc::clone(&self.readings.without_caller).try_acquire_owned() else {
            return State::Crowded;
        };
        // For those who wait for less.
        drop(place);
        match self.while_closed(reading, timeout(patience.longest, work)).await {
            Some(Ok(state)) => state,
            Some(Err(_)) => State::Failed("it takes too long".into()),
            None => State::Void,
        }
    }

    /// Does something while what is closed stays closed; nothing once somebody has opened it.
    async fn while_closed<T>(&self, reading: &Reading, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                () = sleep(self.readings.patience.renewed) => {}
            }
            let mut closed = reading.closed.lock().await;
            let Some(frozen) = closed.as_mut() else { continue };
            match frozen.renew().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => warn!(%error, "that files are still needed could not be kept"),
            }
        }
    }

    async fn read_and_keep(&self, reading: &Reading) -> State {
        self.read_whole(reading).await.unwrap_or_else(|error| {
            let why = error.to_string().into();
            *reading.failure.lock() = Some(error);
            State::Failed(why)
        })
    }

    /// Reads the files. Of a version in Development their digest takes the place of the one that is kept.
    async fn read_whole(&self, reading: &Reading) -> Result<State, Unkept> {
        let (id, hold) = &reading.key;
        let before = self.store.digest(id).await?.map(|kept| (kept.taken, kept.digest));
        let found = self.facts.version(&self.mlflow, &id.model, &id.version.to_string()).await?;
        let Some(found) = found.filter(|found| found.created == id.created) else { return Ok(State::Void) };
        let taken = self.read_files(&id.model, id.version, &reading.progress).await?;
        // It may have taken hours.
        while !self.store.standing().is_ready() {
            sleep(LOOK).await;
        }
        let digest = Arc::from(taken.digest.as_str());
        match self.store.digest(id).await? {
            Some(kept) if kept.digest == taken.digest && kept.source == found.source => {}
            // Whoever promotes it is told of the difference.
            Some(_) if matches!(hold, Hold::Stage(_)) => {}
            // Somebody else has read them since.
            Some(kept) if *hold == Hold::Nothing && before != Some((kept.taken, kept.digest.clone())) => {
                return Ok(State::Void);
            }
            Some(_) | None => {
                let kept = kept_of(taken, &found.source, self.clock.now());
                self.store.keep_digest(id, &kept).await?;
                self.digests.want(&id.model, id.version, Wish::Show);
            }
        }
        Ok(State::Read(digest))
    }
}

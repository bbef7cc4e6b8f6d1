//! Readings of versions' files for which somebody waits: few at once, shared by all who wait, and going on without them.
//!
//! What was read says something only of files that nobody has changed since the reading began. So a reading is found again
//! by what held the files: closed for it, and it holds them closed; frozen by the version's stage, and the stand is the one
//! that it was; or by nothing, and then a change that is made through this process ends it.

mod work;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::digest::{DigestError, Progress};
use crate::govern::Broken;
use crate::reject::Rejection;
use crate::store::VersionId;

use super::attest::Unkept;
use super::{Frozen, Gate};

/// How long is waited for files that are being read, and how many versions' are read at once.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// So many versions are read at once while a call waits.
    pub at_once: usize,
    /// So many are read beside them for which no call waits any more.
    pub without_caller: usize,
    /// How long a call waits. Clients wait for two minutes.
    pub wait: Duration,
    /// How long a reading may go on in all.
    pub longest: Duration,
    /// For how long after it somebody may come for what was read; closed files stay closed until then.
    pub kept: Duration,
    /// How often it is said that closed files are still needed. Files that nobody says so of are opened after 15 minutes.
    pub renewed: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            at_once: 4,
            without_caller: 4,
            wait: Duration::from_secs(90),
            longest: Duration::from_secs(6 * 60 * 60),
            kept: Duration::from_secs(10 * 60),
            renewed: Duration::from_secs(3 * 60),
        }
    }
}

/// What keeps a version's files from being changed while they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hold {
    /// They were closed for the reading.
    Closed,
    /// The version's stage, since this change.
    Stage(i64),
    /// Nothing.
    Nothing,
}

/// Which reading it is.
pub(super) type Key = (VersionId, Hold);

/// All readings.
pub struct Readings {
    patience: Patience,
    gate: Weak<Gate>,
    places: Arc<Semaphore>,
    without_caller: Arc<Semaphore>,
    underway: Mutex<HashMap<Key, Arc<Reading>>>,
    /// Told of each reading that begins.
    begun: Notify,
}

/// The files of one version on their way through the hash, or what came of it.
pub(super) struct Reading {
    key: Key,
    progress: Arc<Progress>,
    state: watch::Sender<State>,
    /// Why it failed, for the first who hears of it.
    failure: Mutex<Option<Unkept>>,
    /// What holds the files closed. Whoever has the lock knows that it is not renewed meanwhile.
    pub(super) closed: Turn<Option<Frozen>>,
    /// Whether somebody comes for what was read.
    stays: AtomicBool,
    ends: CancellationToken,
}

/// How far a reading is.
#[derive(Clone, Debug)]
enum State {
    Underway,
    /// The digest.
    Read(Arc<str>),
    /// Why there is none.
    Failed(Arc<str>),
    /// It took long, and others that take long were before it.
    Crowded,
    /// The files were changed, or whoever read them ended.
    Void,
}

impl Readings {
    /// None yet. `gate` is who reads.
    #[must_use]
    pub fn new(patience: Patience, gate: Weak<Gate>) -> Self {
        Self {
            patience,
            gate,
            places: Arc::new(Semaphore::new(patience.at_once)),
            without_caller: Arc::new(Semaphore::new(patience.without_caller)),
            underway: Mutex::default(),
            begun: Notify::new(),
        }
    }

    /// Until when a call waits that comes now.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.patience.wait
    }

    /// A place for one reading more.
    pub(super) async fn place(&self, until: Instant) -> Result<OwnedSemaphorePermit, Broken> {
        let place = timeout_at(until, Arc::clone(&self.places).acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(crowded)
    }

    /// The reading that there is, else a new one. Where it `stays`, somebody comes for what was read.
    pub(super) async fn joined(
        &self,
        key: &Key,
        stays: bool,
        until: Instant,
    ) -> Result<Arc<Reading>, Broken> {
        let mut place = pin!(Arc::clone(&self.places).acquire_owned());
        loop {
            let mut begun = pin!(self.begun.notified());
            begun.as_mut().enable();
            if let Some(reading) = self.find(key) {
                reading.stays.fetch_or(stays, Relaxed);
                return Ok(reading);
            }
            tokio::select! {
                Ok(place) = &mut place => {
                    let reading = self.begin(key.clone(), None, place);
                    reading.stays.fetch_or(stays, Relaxed);
                    return Ok(reading);
                }
                () = begun => {}
                () = sleep_until(until) => return Err(crowded()),
            }
        }
    }

    /// Begins to read, unless somebody has; what holds the files closed is held until the reading has ended.
    pub(super) fn begin(
        &self,
        key: Key,
        closed: Option<Frozen>,
        place: OwnedSemaphorePermit,
    ) -> Arc<Reading> {
        let mut underway = self.underway.lock();
        if let Some(reading) = underway.get(&key).filter(|reading| closed.is_none() && reading.is_there()) {
            return Arc::clone(reading);
        }
        let reading = Arc::new(Reading {
            key: key.clone(),
            progress: Arc::default(),
            state: watch::Sender::new(State::Underway),
            failure: Mutex::default(),
            stays: AtomicBool::new(closed.is_some()),
            closed: Turn::new(closed),
            ends: CancellationToken::new(),
        });
        underway.insert(key, Arc::clone(&reading));
        drop(underway);
        if let Some(gate) = self.gate.upgrade() {
            let (drain, reading) = (gate.drain.clone(), Arc::clone(&reading));
            drain.spawn(async move { gate.read_on(reading, place).await });
        }
        self.begun.notify_waiters();
        reading
    }

    /// The reading that there is.
    pub(super) fn find(&self, key: &Key) -> Option<Arc<Reading>> {
        self.underway.lock().get(key).filter(|reading| reading.is_there()).map(Arc::clone)
    }

    /// Ends a reading, whose result nobody needs any more.
    pub(super) fn forget(&self, reading: &Arc<Reading>) {
        reading.ends.cancel();
        let mut underway = self.underway.lock();
        if underway.get(&reading.key).is_some_and(|found| Arc::ptr_eq(found, reading)) {
            underway.remove(&reading.key);
        }
    }

    /// Ends a reading, and takes from it what holds the files closed: nothing if it has let them go.
    pub(super) async fn claim(&self, reading: &Arc<Reading>) -> Option<Frozen> {
        let frozen = reading.closed.lock().await.take();
        self.forget(reading);
        frozen
    }

    /// A version's files were changed, so what is being read of them while nothing holds them is void.
    pub(super) fn changed(&self, model: &str, version: u64) {
        self.forget_all(|(id, hold)| *hold == Hold::Nothing && id.model == model && id.version == version);
    }

    /// A model has another name: its versions are looked for under that one.
    pub(super) fn renamed(&self, model: &str) {
        self.forget_all(|(id, _)| id.model == model);
    }

    fn forget_all(&self, meant: impl Fn(&Key) -> bool) {
        let mut underway = self.underway.lock();
        underway.retain(|key, reading| {
            let stays = !meant(key);
            if !stays {
                reading.ends.cancel();
            }
            stays
        });
    }

    /// What a reading says. What it failed of is told once, and then files are read anew.
    pub(super) async fn told(&self, reading: &Arc<Reading>, until: Instant) -> Result<String, Rejection> {
        let mut state = reading.state.subscribe();
        let told = timeout_at(until, state.wait_for(|state| !matches!(state, State::Underway))).await;
        match told.map(|told| told.map_or(State::Void, |state| state.clone())) {
            Ok(State::Read(digest)) => Ok(digest.to_string()),
            Ok(State::Failed(why)) => {
                self.forget(reading);
                let failure = reading.failure.lock().take();
                Err(failure.map_or_else(|| unreadable(&why).into(), rejection))
            }
            Ok(State::Crowded) => {
                self.forget(reading);
                Err(crowded().into())
            }
            Ok(State::Void | State::Underway) => {
                let what = "its files were changed while they were read: repeat this call";
                Err(Broken::Bytes(what.to_owned()).into())
            }
            Err(_) => {
                let counts = reading.progress.counts();
                let what = format!(
                    "its files are still being read ({} of {} bytes): repeat this call by and by",
                    counts.bytes_done, counts.bytes
                );
                Err(Broken::Bytes(what).into())
            }
        }
    }
}

impl Reading {
    fn is_there(&self) -> bool {
        !self.ends.is_cancelled()
    }

    /// Whether it ended without a digest, and nobody was told why.
    pub(super) fn is_failed(&self) -> bool {
        matches!(*self.state.borrow(), State::Failed(_) | State::Crowded)
    }
}

fn crowded() -> Broken {
    let what = "the files of too many other versions are being read: repeat this call by and by";
    Broken::Bytes(what.to_owned())
}

fn unreadable(why: &str) -> Broken {
    Broken::Bytes(format!("its files could not be read: {why}"))
}

fn rejection(failure: Unkept) -> Rejection {
    match failure {
        Unkept::Fact(error) => error.into(),
        Unkept::Store(error) => error.into(),
        Unkept::Digest(DigestError::Upstream(error)) => error.into(),
        Unkept::Digest(_) | Unkept::TwoPlaces => unreadable(&failure.to_string()).into(),
    }
}

//! Who changes files and who registers them do not meet: a door for each run and logged model.
//!
//! A change of files goes through the door beside other changes, from the decision to the answer. A registration waits
//! until nobody is inside and has the door for itself, so that no change that was decided before can end after it. One
//! that takes too long is cut off. This holds within one process.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Change, Reach, Wanted};

/// How long a registration waits for changes of its files that are under way before it cuts them off: 5 s.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// All doors that somebody stands in.
#[derive(Debug, Default)]
pub struct Doors(Mutex<HashMap<String, Weak<Door>>>);

#[derive(Debug, Default)]
struct Door {
    lock: Arc<RwLock<()>>,
    cut: Mutex<CancellationToken>,
}

/// Somebody inside, who may change files.
#[derive(Debug)]
pub struct Inside {
    _guards: Vec<OwnedRwLockReadGuard<()>>,
    _doors: Vec<Arc<Door>>,
    cuts: Vec<CancellationToken>,
}

/// Somebody who has the doors for themselves.
#[derive(Debug)]
pub struct Alone {
    _guards: Vec<OwnedRwLockWriteGuard<()>>,
    _doors: Vec<Arc<Door>>,
    /// Others that they stand in beside others.
    beside: Vec<Inside>,
}

impl Alone {
    /// The same, who is beside others behind another door, which was gone through before.
    #[must_use]
    pub fn beside(mut self, inside: Inside) -> Self {
        self.beside.push(inside);
        self
    }

    /// Both at once.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self._guards.extend(other._guards);
        self._doors.extend(other._doors);
        self.beside.extend(other.beside);
        self
    }
}

/// What a request holds until it is answered.
#[derive(Debug)]
pub enum Holding {
    /// Nothing.
    Nothing,
    /// Places of one who changes files, and which.
    Inside(Inside, Change),
    /// The doors of files that are registered.
    Alone(Alone),
}

impl Doors {
    /// Goes in beside others; waits while somebody is alone inside.
    pub async fn enter(&self, ids: &[&str]) -> Inside {
        let mut inside = Inside { _guards: Vec::new(), _doors: Vec::new(), cuts: Vec::new() };
        for door in self.of(ids) {
            inside._guards.push(Arc::clone(&door.lock).read_owned().await);
            inside.cuts.push(door.cut.lock().clone());
            inside._doors.push(door);
        }
        inside
    }

    /// Waits until nobody is inside, `patience` at most, and then has those who are still there leave.
    pub async fn have_alone(&self, ids: &[&str], patience: Duration) -> Alone {
        let mut alone = Alone { _guards: Vec::new(), _doors: Vec::new(), beside: Vec::new() };
        for door in self.of(ids) {
            let waiting = Arc::clone(&door.lock).write_owned();
            tokio::pin!(waiting);
            let guard = match timeout(patience, &mut waiting).await {
                Ok(guard) => guard,
                Err(_) => {
                    let former = std::mem::take(&mut *door.cut.lock());
                    former.cancel();
                    waiting.await
                }
            };
            alone._guards.push(guard);
            alone._doors.push(door);
        }
        alone
    }

    /// Whether nobody is alone behind a door.
    #[must_use]
    pub fn is_free(&self, id: &str) -> bool {
        let door = self.0.lock().get(id).and_then(Weak::upgrade);
        door.is_none_or(|door| door.lock.try_read().is_ok())
    }

    /// The doors of these ids in one order for everybody, so that two never wait for each other.
    fn of(&self, ids: &[&str]) -> Vec<Arc<Door>> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut doors = self.0.lock();
        if doors.len() >= SWEPT_AT {
            doors.retain(|_, door| door.strong_count() > 0);
        }
        let door = |id: &&str| match doors.get(*id).and_then(Weak::upgrade) {
            Some(door) => door,
            None => {
                let door = Arc::<Door>::default();
                doors.insert((*id).to_owned(), Arc::downgrade(&door));
                door
            }
        };
        ids.iter().map(door).collect()
    }
}

/// So many doors are remembered before those are forgotten that nobody stands in.
const SWEPT_AT: usize = 1024;

impl Inside {
    /// Waits until this one has to leave.
    pub async fn cut(&self) {
        let cuts = self.cuts.iter().map(|cut| Box::pin(cut.cancelled()));
        if self.cuts.is_empty() {
            return std::future::pending().await;
        }
        futures_util::future::select_all(cuts).await;
    }
}

impl Holding {
    /// The files that are changed under it.
    #[must_use]
    pub fn changed(&self) -> Option<&Wanted> {
        match self {
            Self::Inside(_, change) => match change.reach() {
                Reach::Files(wanted) => Some(wanted),
                Reach::Anything => None,
            },
            Self::Nothing | Self::Alone(_) => None,
        }
    }

    /// Has these doors too.
    pub fn add(&mut self, alone: Alone) {
        *self = match std::mem::replace(self, Self::Nothing) {
            Self::Alone(had) => Self::Alone(had.and(alone)),
            Self::Nothing | Self::Inside(..) => Self::Alone(alone),
        };
    }

    /// What is done under it goes on for so long after it was answered.
    pub fn linger(&mut self, time: Duration) {
        match self {
            Self::Inside(_, change) => change.linger(time),
            Self::Nothing | Self::Alone(_) => {}
        }
    }

    /// Waits until what is done under it has to end; for ever, where nothing can end it.
    pub async fn cut(&self) {
        match self {
            Self::Inside(inside, change) => {
                tokio::select! {
                    () = inside.cut() => {}
                    () = change.cut() => {}
                }
            }
            Self::Nothing | Self::Alone(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn many_go_in_together_and_one_waits_to_be_alone() {
        let doors = Doors::default();
        let (one, two) = (doors.enter(&["r"]).await, doors.enter(&["r", "m"]).await);
        let alone = doors.have_alone(&["r"], PATIENCE);
        tokio::pin!(alone);
        assert!(alone.as_mut().now_or_never().is_none(), "somebody is inside");
        assert!(doors.enter(&["r"]).now_or_never().is_none(), "nobody overtakes who waits");
        assert!(doors.enter(&["other"]).now_or_never().is_some());
        drop((one, two));
        let alone = alone.await;
        assert!(doors.enter(&["r"]).now_or_never().is_none(), "somebody is alone inside");
        assert!(!doors.is_free("r") && doors.is_free("m") && doors.is_free("other"));
        drop(alone);
        assert!(doors.is_free("r"));
        assert!(doors.enter(&["r"]).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_long_is_cut_off() {
        let doors = Doors::default();
        let slow = doors.enter(&["r"]).await;
        let leaves = async {
            slow.cut().await;
            drop(slow);
        };
        let (alone, ()) = tokio::join!(doors.have_alone(&["r"], PATIENCE), leaves);
        drop(alone);
        let next = doors.enter(&["r"]).await;
        assert!(next.cut().now_or_never().is_none(), "the next one is not cut off");
    }

    #[tokio::test]
    async fn doors_are_forgotten() {
        let doors = Doors::default();
        for number in 0..(2 * SWEPT_AT) {
            drop(doors.enter(&[&number.to_string()]).await);
        }
        assert!(doors.0.lock().len() <= SWEPT_AT);
    }
}

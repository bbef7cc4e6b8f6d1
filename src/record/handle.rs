//! Where lines are handed in: a queue with an end, and what becomes of lines for which there is no room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::line::{Entry, Kind};

/// So many lines wait to be written.
pub(super) const LINES: usize = 8_192;
/// For so long a line that must stay may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happens to a write whose line cannot be made to stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    #[default]
    Required,
    /// It is done, and the line is counted if it is lost.
    BestEffort,
}

/// Why a line does not stay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecorded {
    /// The disk's doing.
    #[error("the record cannot be written: {0}")]
    Failing(String),
    /// The policies by which it was decided are not kept.
    #[error("the policies in force cannot be kept beside the record: {0}")]
    Policies(String),
    /// It took too long.
    #[error("the record cannot be written fast enough")]
    Slow,
    /// The writer has ended.
    #[error("the record is closed")]
    Closed,
}

/// How the record does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is written.
    Fine,
    /// It is not, and this is why.
    Failing(String),
}

/// Where lines are handed in.
#[derive(Clone, Debug)]
pub struct Record {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
}

/// Room for one line, taken before it is known what it says.
#[derive(Debug)]
pub struct Place(mpsc::OwnedPermit<Order>);

#[derive(Debug)]
pub(super) enum Order {
    /// A line that nobody waits for.
    Tell(Box<Entry>),
    /// A line that must stay before its owner goes on.
    Keep(Box<Entry>, oneshot::Sender<Result<u64, Unrecorded>>),
    /// There will be no more.
    End,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mode: Mode,
    /// Why nothing can be written, if that is so.
    pub(super) failing: Mutex<Option<String>>,
    /// Policies that are not kept, by what lines call them, and why not.
    withheld: Mutex<BTreeMap<String, String>>,
    pub(super) lost: Lost,
}

/// Lines that could not be written, until a line can say so.
#[derive(Debug, Default)]
pub(super) struct Lost {
    reads: AtomicU64,
    refusals: AtomicU64,
    others: AtomicU64,
}

impl Lost {
    pub(super) fn count(&self, entry: &Entry) {
        let (counter, by) = match entry.kind {
            Kind::Read => (&self.reads, 1),
            Kind::Reads => (&self.reads, entry.count.unwrap_or(1)),
            Kind::Refusal => (&self.refusals, 1),
            Kind::Intent | Kind::Outcome | Kind::System | Kind::Head => (&self.others, 1),
        };
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// Reads, refusals and others since the last call, if there were any.
    pub(super) fn take(&self) -> Option<(u64, u64, u64)> {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let lost = (take(&self.reads), take(&self.refusals), take(&self.others));
        (lost != (0, 0, 0)).then_some(lost)
    }
}

/// A queue and its end.
pub(super) fn queue(mode: Mode) -> (Record, mpsc::Receiver<Order>, Arc<Shared>) {
    let (orders, receiver) = mpsc::channel(LINES);
    let shared = Arc::new(Shared {
        mode,
        failing: Mutex::default(),
        withheld: Mutex::default(),
        lost: Lost::default(),
    });
    (Record { orders, shared: Arc::clone(&shared) }, receiver, shared)
}

impl Record {
    /// Has a line written and waits until it stays. Gives its number; nothing where the record is kept as well as can be,
    /// and nobody waits.
    ///
    /// # Errors
    /// It does not stay. The line may be there all the same; then one that follows says that nothing came of it.
    pub async fn keep(&self, entry: Entry) -> Result<Option<u64>, Unrecorded> {
        if self.shared.mode == Mode::BestEffort {
            self.tell(entry);
            return Ok(None);
        }
        if let Some(why) = self.shared.failing.lock().clone() {
            return Err(Unrecorded::Failing(why));
        }
        if entry.kind == Kind::Intent
            && let Some(policy) = &entry.policy
            && let Some(why) = self.shared.withheld.lock().get(policy)
        {
            return Err(Unrecorded::Policies(why.clone()));
        }
        let (told, kept) = oneshot::channel();
        let order = Order::Keep(Box::new(entry), told);
        let waited = timeout(PATIENCE, async {
            self.orders.send(order).await.map_err(|_| Unrecorded::Closed)?;
            kept.await.map_err(|_| Unrecorded::Closed)?
        });
        waited.await.map_err(|_| Unrecorded::Slow)?.map(Some)
    }

    /// Has a line written some time. Never waits; a line for which there is no room is counted.
    pub fn tell(&self, entry: Entry) {
        match self.orders.try_send(Order::Tell(Box::new(entry))) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order)) => {
                if let Order::Tell(entry) | Order::Keep(entry, _) = order {
                    self.shared.lost.count(&entry);
                }
            }
        }
    }

    /// Room for a line that must not be counted as lost.
    ///
    /// # Errors
    /// There was none for too long.
    pub async fn place(&self) -> Result<Place, Unrecorded> {
        match timeout(PATIENCE, self.orders.clone().reserve_owned()).await {
            Ok(Ok(permit)) => Ok(Place(permit)),
            Ok(Err(_)) => Err(Unrecorded::Closed),
            Err(_) => Err(Unrecorded::Slow),
        }
    }

    /// Has no intent stay that names these policies, and says why not; or has them stay again.
    pub fn withhold(&self, policy: &str, why: Option<String>) {
        let mut withheld = self.shared.withheld.lock();
        match why {
            Some(why) => withheld.insert(policy.to_owned(), why),
            None => withheld.remove(policy),
        };
    }

    /// Has the writer end when it has written what has been handed in so far.
    pub fn end(&self) {
        // Where there is no room the writer ends with the last handle.
        let _ = self.orders.try_send(Order::End);
    }

    /// What happens to what cannot be made to stay.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.shared.mode
    }

    /// How it does.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.shared.failing.lock().clone().map_or(Standing::Fine, Standing::Failing)
    }
}

impl Place {
    /// Has the line written.
    pub fn tell(self, entry: Entry) {
        self.0.send(Order::Tell(Box::new(entry)));
    }
}

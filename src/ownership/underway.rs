//! Changes of files that are under way. Who closes files looks here for those that were let in before.
//!
//! A change is written down first and then decided; files are closed first, and then it is looked what is written down. So
//! of two that meet, one sees the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Wanted;

/// What may be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// These files.
    Files(Wanted),
    /// Nobody looks closer: a folder above runs, or all that is in an experiment.
    Anything,
}

/// All changes that are under way.
#[derive(Debug, Default)]
pub struct Underway {
    table: Mutex<Table>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Table {
    changes: BTreeMap<u64, Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    reach: Reach,
    cut: CancellationToken,
    /// When it was first seen in somebody's way.
    in_the_way: Option<Instant>,
    /// Until when it goes on after it was answered: an address was handed out that opens files without us.
    until: Option<Instant>,
}

/// One change, until it is dropped.
#[derive(Debug)]
pub struct Change {
    all: Arc<Underway>,
    number: u64,
    reach: Reach,
    cut: CancellationToken,
    lingers: Option<Duration>,
}

impl Underway {
    /// Writes a change down, before it is decided.
    #[must_use]
    pub fn begin(self: &Arc<Self>, reach: Reach) -> Change {
        let cut = CancellationToken::new();
        let entry = Entry { reach: reach.clone(), cut: cut.clone(), in_the_way: None, until: None };
        let mut table = self.table.lock();
        let number = table.next;
        table.next += 1;
        table.changes.insert(number, entry);
        Change { all: Arc::clone(self), number, reach, cut, lingers: None }
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.lock().changes.is_empty()
    }

    /// Whether nothing is under way that is in the way. What has been for longer than `patience` is to end.
    pub fn is_clear(&self, in_the_way: impl Fn(&Reach) -> bool, patience: Duration) -> bool {
        let now = Instant::now();
        let mut table = self.table.lock();
        table.changes.retain(|_, entry| entry.until.is_none_or(|until| until > now));
        let mut clear = true;
        for entry in table.changes.values_mut().filter(|entry| in_the_way(&entry.reach)) {
            clear = false;
            let since = *entry.in_the_way.get_or_insert(now);
            if now.saturating_duration_since(since) >= patience {
                entry.cut.cancel();
            }
        }
        clear
    }

    /// Waits until nothing is in the way, but no longer than `at_most`; whether it is so. What takes longer than
    /// `patience` is to end.
    pub async fn clear(
        &self,
        in_the_way: impl Fn(&Reach) -> bool,
        patience: Duration,
        at_most: Duration,
    ) -> bool {
        let end = Instant::now() + at_most;
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.is_clear(&in_the_way, patience) {
                return true;
            }
            let now = Instant::now();
            if now >= end {
                return false;
            }
            // It is looked again before anything has left: patience ends.
            let _ = timeout_at(end.min(now + LOOK), left).await;
        }
    }
}

/// How often it is looked whether patience has ended.
const LOOK: Duration = Duration::from_millis(250);

impl Change {
    /// What may be changed.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// It goes on for so long after it is answered.
    pub fn linger(&mut self, time: Duration) {
        self.lingers = Some(time);
    }

    /// Waits until it is to end.
    pub async fn cut(&self) {
        self.cut.cancelled().await;
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let mut table = self.all.table.lock();
        match (self.lingers, table.changes.get_mut(&self.number)) {
            (Some(time), Some(entry)) => entry.until = Some(Instant::now() + time),
            (_, _) => {
                table.changes.remove(&self.number);
            }
        }
        drop(table);
        self.all.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::facts::Holder;

    const LONG: Duration = Duration::from_secs(60);
    const PATIENCE: Duration = Duration::from_secs(5);

    fn files(run: &str) -> Reach {
        let holder = Some(Holder::Run(run.into()));
        let root = format!("mlflow-artifacts:/1/{run}/artifacts");
        Reach::Files(Wanted { holder, root, run: None, name: None, path: "model".into() })
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_the_way_is_waited_for_and_other_changes_are_not() {
        let all = Arc::<Underway>::default();
        let (one, other) = (all.begin(files("r")), all.begin(files("other")));
        let wanted = |reach: &Reach| *reach == files("r");
        let clear = all.clear(wanted, PATIENCE, LONG);
        tokio::pin!(clear);
        assert!(clear.as_mut().now_or_never().is_none(), "it is under way");
        drop(one);
        assert!(clear.await);
        assert!(other.cut().now_or_never().is_none(), "it was in nobody's way");
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_told_to_end_and_given_up_if_it_does_not() {
        let all = Arc::<Underway>::default();
        let slow = all.begin(files("r"));
        let begun = Instant::now();
        let (clear, ()) = tokio::join!(all.clear(|_| true, PATIENCE, LONG), async {
            slow.cut().await;
            drop(slow);
        });
        assert!(clear && begun.elapsed() >= PATIENCE && begun.elapsed() < LONG);
        let _never_ends = all.begin(Reach::Anything);
        assert!(!all.clear(|_| true, PATIENCE, LONG).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_was_handed_out_goes_on_until_it_runs_out() {
        let all = Arc::<Underway>::default();
        let mut handed = all.begin(files("r"));
        handed.linger(LONG);
        drop(handed);
        assert!(!all.is_clear(|_| true, PATIENCE));
        tokio::time::advance(LONG).await;
        assert!(all.is_clear(|_| true, PATIENCE));
    }
}

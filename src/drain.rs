//! The end of serving: one signal, guards held by whatever must finish, one deadline.

use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A way to end, and a way to learn of it. What holds a guard has `grace` to finish once the drain has begun.
#[must_use]
pub fn channel(grace: Duration) -> (Trigger, Drain) {
    let (begun, seen) = watch::channel(None);
    let running = TaskTracker::new();
    (Trigger { begun, running: running.clone(), grace }, Drain { seen, running })
}

/// Begins the drain; not `Clone`, because there is one end.
#[derive(Debug)]
pub struct Trigger {
    begun: watch::Sender<Option<Instant>>,
    running: TaskTracker,
    grace: Duration,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything finished in time.
    Cleanly,
    /// Something was still running when the grace was over.
    DeadlinePassed,
}

/// Tells that the end has begun, and keeps the process until its guards are gone.
#[derive(Clone, Debug)]
pub struct Drain {
    seen: watch::Receiver<Option<Instant>>,
    running: TaskTracker,
}

/// While it lives, the drain waits for it (until the deadline).
#[derive(Debug)]
#[must_use = "a guard that is dropped holds nothing up"]
pub struct Guard {
    _token: TaskTrackerToken,
}

impl Trigger {
    /// Tells everybody, then waits until every guard is gone or the grace is over.
    pub async fn drain(self) -> Drained {
        let deadline = Instant::now() + self.grace;
        self.begun.send_replace(Some(deadline));
        self.running.close();
        select! {
            biased;
            () = sleep_until(deadline) => Drained::DeadlinePassed,
            // Whoever is cut at the deadline lets go of its guard: that is no clean end.
            () = self.running.wait() => match Instant::now() < deadline {
                true => Drained::Cleanly,
                false => Drained::DeadlinePassed,
            },
        }
    }
}

impl Drain {
    /// Ends when the drain begins. A trigger that is dropped unused never begins one.
    pub async fn started(&self) {
        self.deadline_told().await;
    }

    /// Ends when the grace of a drain that has begun is over.
    pub async fn deadline(&self) {
        sleep_until(self.deadline_told().await).await;
    }

    /// Holds the drain up until it is dropped.
    pub fn guard(&self) -> Guard {
        Guard { _token: self.running.token() }
    }

    /// Runs `task` by itself, under a guard: it outlives whoever started it, and the drain waits for it.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.running.spawn(task)
    }

    async fn deadline_told(&self) -> Instant {
        let mut seen = self.seen.clone();
        let told = seen.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
        match told {
            Some(deadline) => deadline,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    const GRACE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_its_guards_and_not_longer() {
        let (trigger, drain) = channel(GRACE);
        let (finish, finished) = oneshot::channel::<()>();
        let task = drain.spawn({
            let drain = drain.clone();
            async move {
                drain.started().await;
                finished.await
            }
        });
        let begin = Instant::now();
        let end = drain.clone();
        drain.spawn(async move {
            end.started().await;
            tokio::time::sleep(Duration::from_secs(7)).await;
            finish.send(())
        });
        assert_eq!(trigger.drain().await, Drained::Cleanly);
        assert_eq!(begin.elapsed(), Duration::from_secs(7));
        assert_eq!(task.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_guard_that_is_never_let_go_ends_at_the_deadline() {
        let (trigger, drain) = channel(GRACE);
        let _held = drain.guard();
        let begin = Instant::now();
        assert_eq!(trigger.drain().await, Drained::DeadlinePassed);
        assert_eq!(begin.elapsed(), GRACE);
        drain.deadline().await;
    }

    #[tokio::test(start_paused = true)]
    async fn being_cut_at_the_deadline_is_no_clean_end() {
        let (trigger, drain) = channel(GRACE);
        let cut = drain.clone();
        drain.spawn(async move { cut.deadline().await });
        assert_eq!(trigger.drain().await, Drained::DeadlinePassed);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_begins_by_itself() {
        let (trigger, drain) = channel(GRACE);
        assert!(timeout(Duration::from_secs(3_600), drain.started()).await.is_err());
        drop(trigger);
        assert!(timeout(Duration::from_secs(3_600), drain.deadline()).await.is_err());
    }
}

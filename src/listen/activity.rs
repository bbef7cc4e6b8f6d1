//! What a connection is doing: how many requests are in flight, and since when there are none.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Shared between a connection's socket, its requests and its timers.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

/// One request; in flight until this is dropped, at the end of the response's body.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

#[derive(Debug)]
struct State {
    in_flight: usize,
    begun: u64,
    idle_since: Instant,
    left_unread: bool,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let idle_since = Instant::now();
        Arc::new(Self(Mutex::new(State { in_flight: 0, begun: 0, idle_since, left_unread: false })))
    }

    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.0.lock();
        state.in_flight += 1;
        state.begun += 1;
        drop(state);
        InFlight(Arc::clone(self))
    }

    /// How many requests began so far, and whether one is in flight.
    pub(super) fn requests(&self) -> (u64, bool) {
        let state = self.0.lock();
        (state.begun, state.in_flight > 0)
    }

    /// A request's body was let go of before its end.
    pub(super) fn leave_unread(&self) {
        self.0.lock().left_unread = true;
    }

    pub(super) fn left_unread(&self) -> bool {
        self.0.lock().left_unread
    }

    /// Ends when no request was in flight for `allowed`, counted from this call at the earliest.
    pub(super) async fn idle_for(&self, allowed: Duration) {
        let asked = Instant::now();
        loop {
            let now = Instant::now();
            let until = self.idle_since().map_or(now, |since| since.max(asked)) + allowed;
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        let state = self.0.lock();
        (state.in_flight == 0).then_some(state.idle_since)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.in_flight -= 1;
        state.idle_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, timeout};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_without_requests() {
        let activity = Activity::new();
        let request = activity.begin();
        assert!(timeout(3_600 * SECOND, activity.idle_for(60 * SECOND)).await.is_err());
        drop(request);
        let begin = Instant::now();
        advance(10 * SECOND).await;
        activity.idle_for(60 * SECOND).await;
        assert_eq!(begin.elapsed(), 70 * SECOND, "time before the question was counted");
    }
}

//! What a connection is doing: how many requests are in flight, and since when there are none.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Bytes of an HTTP/2 connection's frames that neither begin a request nor move a body; and those of a request's own.
const CHATTER: u64 = 32 * 1024;
const PER_REQUEST: u64 = 64 * 1024;

/// Requests that a peer may give up before their answer; beyond that, half of all.
const GIVEN_UP: u64 = 100;

/// Shared between a connection's socket, its requests and its timers.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

/// One request; in flight until this is dropped, at the end of the response's body.
#[derive(Debug)]
pub(super) struct InFlight {
    of: Arc<Activity>,
    answered: bool,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    begun: u64,
    idle_since: Instant,
    left_unread: bool,
    unsent: bool,
    given_up: u64,
    moved: u64,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let idle_since = Instant::now();
        Arc::new(Self(Mutex::new(State {
            in_flight: 0,
            begun: 0,
            idle_since,
            left_unread: false,
            unsent: false,
            given_up: 0,
            moved: 0,
        })))
    }

    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.0.lock();
        state.in_flight += 1;
        state.begun += 1;
        drop(state);
        InFlight { of: Arc::clone(self), answered: false }
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

    /// Whether the peer owes us room for bytes that are ready.
    pub(super) fn note_unsent(&self, unsent: bool) {
        self.0.lock().unsent = unsent;
    }

    /// Bytes of a request's body were taken, or of a response's given.
    pub(super) fn note_moved(&self, bytes: usize) {
        let mut state = self.0.lock();
        state.moved = state.moved.saturating_add(bytes as u64);
    }

    /// Whether nothing of the connection is under way in either direction, so that it can be put down and taken up again.
    pub(super) fn is_at_rest(&self) -> bool {
        let state = self.0.lock();
        state.in_flight == 0 && !state.left_unread && !state.unsent
    }

    /// Whether a peer that said `heard` bytes asks for more work than it takes the fruits of: by frames that ask for
    /// nothing, or by requests that it gives up before their answer.
    pub(super) fn is_abused(&self, heard: u64) -> bool {
        let state = self.0.lock();
        let may_say =
            CHATTER.saturating_add(state.begun.saturating_mul(PER_REQUEST)).saturating_add(state.moved);
        heard > may_say || (state.given_up > GIVEN_UP && state.given_up > state.begun / 2)
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

impl InFlight {
    /// Bytes of its response were given.
    pub(super) fn note_moved(&self, bytes: usize) {
        self.of.note_moved(bytes);
    }

    /// Its response has begun.
    pub(super) fn answer(&mut self) {
        self.answered = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.of.0.lock();
        state.in_flight -= 1;
        state.given_up += u64::from(!self.answered);
        state.idle_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, timeout};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_peer_may_say_as_much_as_it_asks_for_and_takes() {
        let activity = Activity::new();
        assert!(!activity.is_abused(CHATTER) && activity.is_abused(CHATTER + 1));
        activity.begin().answer();
        activity.note_moved(10);
        assert!(!activity.is_abused(CHATTER + PER_REQUEST + 10));
        assert!(activity.is_abused(CHATTER + PER_REQUEST + 11));
        for _ in 0..GIVEN_UP {
            drop(activity.begin());
        }
        assert!(!activity.is_abused(0));
        drop(activity.begin());
        assert!(activity.is_abused(0));
        for _ in 0..GIVEN_UP + 1 {
            activity.begin().answer();
        }
        assert!(!activity.is_abused(0), "who takes most answers may give up some");
    }

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

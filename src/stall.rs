//! How long one waits for the other side to move. Only waiting counts, not what we ourselves take.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

/// A budget of waiting that is filled up again by every `floor` bytes: so neither a peer that says
/// nothing nor one that sends a byte now and then holds a place for long.
#[derive(Debug)]
pub struct Patience {
    allowed: Duration,
    floor: usize,
    left: Duration,
    moved: usize,
    since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// At most `allowed` of waiting for each `floor` bytes (0: for whatever comes next).
    #[must_use]
    pub fn new(allowed: Duration, floor: usize) -> Self {
        Self { allowed, floor, left: allowed, moved: 0, since: None, alarm: None }
    }

    /// The other side moved `bytes`.
    pub fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= self.floor {
            self.left = self.allowed;
            self.moved = 0;
        }
    }

    /// To be asked whenever the other side is waited for; ready when the budget is spent.
    pub fn poll_spent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = match self.since {
            Some(since) => since,
            None => self.begin_waiting(),
        };
        let until = since + self.left;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
        ready!(alarm.as_mut().poll(cx));
        self.alarm = None;
        Poll::Ready(())
    }

    fn begin_waiting(&mut self) -> Instant {
        let now = Instant::now();
        self.since = Some(now);
        if let Some(alarm) = &mut self.alarm {
            alarm.as_mut().reset(now + self.left);
        }
        now
    }
}

/// A body from hyper that is waited for with patience, and over for good once it has ended either way.
#[derive(Debug)]
pub struct Patient {
    body: Incoming,
    patience: Patience,
    over: bool,
}

/// Why a body ended before its end.
#[derive(Debug)]
pub enum Stopped {
    /// The other side did not move.
    Stalled,
    /// It broke off, or its framing is not HTTP.
    Broken(hyper::Error),
}

impl Patient {
    /// Waits for each piece of `body` as [`Patience::new`] says.
    #[must_use]
    pub fn new(body: Incoming, allowed: Duration, floor: usize) -> Self {
        let over = body.is_end_stream();
        Self { body, patience: Patience::new(allowed, floor), over }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// How much is still to come.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        if self.over { SizeHint::with_exact(0) } else { self.body.size_hint() }
    }

    /// The next piece.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.patience.moved(frame.data_ref().map_or(0, Bytes::len));
                self.over = self.body.is_end_stream();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => {
                self.over = true;
                Poll::Ready(ended.map(|piece| piece.map_err(Stopped::Broken)))
            }
            Poll::Pending => self.patience.poll_spent(cx).map(|()| {
                self.over = true;
                Some(Err(Stopped::Stalled))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::{advance, timeout};

    const SECOND: Duration = Duration::from_secs(1);

    async fn spent_within(patience: &mut Patience, within: Duration) -> bool {
        timeout(within, poll_fn(|cx| patience.poll_spent(cx))).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn drops_do_not_fill_the_budget_and_a_stream_does() {
        let mut dripping = Patience::new(30 * SECOND, 4096);
        assert!(!spent_within(&mut dripping, 29 * SECOND).await);
        dripping.moved(1);
        assert!(spent_within(&mut dripping, 2 * SECOND).await, "one byte bought more time");

        let mut flowing = Patience::new(30 * SECOND, 4096);
        for _ in 0..10 {
            assert!(!spent_within(&mut flowing, 29 * SECOND).await);
            flowing.moved(4096);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_we_take_ourselves_does_not_count() {
        let mut patience = Patience::new(30 * SECOND, 4096);
        assert!(!spent_within(&mut patience, 20 * SECOND).await);
        patience.moved(1);
        advance(600 * SECOND).await;
        assert!(!spent_within(&mut patience, 9 * SECOND).await, "the budget shrank while nobody waited");
        assert!(spent_within(&mut patience, 2 * SECOND).await);
    }
}

//! HTTP/2 streams: each a task of its own, which ends when its peer no longer takes the response.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::select;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;
use tracing::debug;

tokio::task_local! {
    static FLOW: Arc<Flow>;
}

/// Since when the peer of a stream has been owing us room for the rest of the response.
///
/// HTTP/2 has a window for each stream: a peer that never opens it leaves the socket itself writable, so that
/// no timer on the socket sees it.
#[derive(Debug, Default)]
pub(super) struct Flow(Mutex<Option<Instant>>);

impl Flow {
    /// The flow of the stream whose task this is; HTTP/1 has none.
    pub(super) fn of_this_stream() -> Option<Arc<Self>> {
        FLOW.try_with(Arc::clone).ok()
    }

    /// Something is ready, and the peer has to make room for it.
    pub(super) fn owe(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// It is not the peer who is waited for.
    pub(super) fn settle(&self) {
        *self.0.lock() = None;
    }

    async fn stalled(&self, allowed: Duration) {
        loop {
            let now = Instant::now();
            let until = self.0.lock().unwrap_or(now) + allowed;
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// Runs the streams of one connection for hyper, which ends them with the connection.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    running: TaskTracker,
    write_stall: Duration,
}

impl Streams {
    pub(super) fn new(write_stall: Duration) -> Self {
        Self { running: TaskTracker::new(), write_stall }
    }

    /// Waits until the streams of a connection that is gone are gone too.
    pub(super) async fn gone(self) {
        self.running.close();
        self.running.wait().await;
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let write_stall = self.write_stall;
        let flow = Arc::new(Flow::default());
        self.running.spawn(async move {
            select! {
                _ = FLOW.scope(Arc::clone(&flow), stream) => {}
                () = flow.stalled(write_stall) => debug!("reset a stream whose peer does not take the response"),
            }
        });
    }
}

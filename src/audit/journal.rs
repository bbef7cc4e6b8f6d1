//! Lines on their way to stdout: a bounded queue, a place taken before the work, one writer.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Trail;

const LINES: usize = 4_096;
const WAIT: Duration = Duration::from_secs(2);

/// Between two writes. Waking a thread for each line costs more than the line does.
const REST: Duration = Duration::from_millis(2);

/// Where lines go.
#[derive(Clone, Debug)]
pub struct Journal(mpsc::Sender<Vec<u8>>);

/// Why a request cannot be told about. It is then not served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JournalError {
    /// Whoever reads stdout has fallen behind.
    #[error("requests cannot be told about fast enough")]
    Full,
    /// The writer is gone.
    #[error("requests cannot be told about")]
    Gone,
}

/// Room for one line.
pub(super) struct Place(mpsc::OwnedPermit<Vec<u8>>);

/// Writes what comes until every [`Journal`] is gone.
#[derive(Debug)]
pub struct Writer(mpsc::Receiver<Vec<u8>>);

impl Journal {
    /// A journal and its writer.
    #[must_use]
    pub fn new() -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(LINES);
        (Self(sender), Writer(receiver))
    }

    pub(super) async fn place(&self) -> Result<Place, JournalError> {
        match timeout(WAIT, self.0.clone().reserve_owned()).await {
            Ok(Ok(permit)) => Ok(Place(permit)),
            Ok(Err(_)) => Err(JournalError::Gone),
            Err(_) => Err(JournalError::Full),
        }
    }
}

impl Place {
    pub(super) fn put(self, line: Result<Vec<u8>, serde_json::Error>) {
        match line {
            Ok(mut line) => {
                line.push(b'\n');
                self.0.send(line);
            }
            Err(error) => tracing::error!(%error, "a line could not be written down"),
        }
    }
}

impl Writer {
    /// Writes whole lines to `out`, as many at once as are there, at the latest 2 ms after they came. Blocks; give it a
    /// thread.
    pub fn run(mut self, mut out: impl Write) {
        let mut lines = Vec::new();
        while self.0.blocking_recv_many(&mut lines, LINES) > 0 {
            if let Err(error) = out.write_all(&lines.concat()).and_then(|()| out.flush()) {
                tracing::error!(%error, "lines of requests are lost");
            }
            lines.clear();
            std::thread::sleep(REST);
        }
    }
}

/// An answer's body that closes its request's line when it has ended, or is cut.
pub struct Told<B> {
    body: B,
    trail: Option<(Trail, StatusCode)>,
}

impl<B> Told<B> {
    /// Closes `trail` with `status` when `body` ends.
    pub fn new(body: B, trail: Trail, status: StatusCode) -> Self
    where
        B: Body,
    {
        if body.is_end_stream() {
            trail.close(status);
            return Self { body, trail: None };
        }
        Self { body, trail: Some((trail, status)) }
    }
}

impl<B: Body + Unpin> Body for Told<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match (&polled, self.body.is_end_stream()) {
            (Poll::Ready(None), _) | (Poll::Ready(Some(Ok(_))), true) => {
                if let Some((trail, status)) = self.trail.take() {
                    trail.close(status);
                }
            }
            (Poll::Ready(Some(_)), _) | (Poll::Pending, _) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Told<B> {
    fn drop(&mut self) {
        if let Some((trail, status)) = self.trail.take() {
            trail.cut(status);
        }
    }
}

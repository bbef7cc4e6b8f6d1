//! A connection's socket under its timers: for the head of a request, for taking a response, for the last words.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::activity::Activity;
use super::body::FLOOR;
use crate::stall::Patience;

/// How long a caller may go on sending what nobody reads, after the answer and before the socket is closed.
///
/// A socket that is closed over unread bytes is reset, and the reset can overtake the answer (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// A socket that gives up on its peer.
#[derive(Debug)]
pub(super) struct Timed<S> {
    socket: S,
    first: Bytes,
    activity: Arc<Activity>,
    head: Option<HeadTimer>,
    writing: Patience,
    unsent: bool,
    heard: u64,
    breathing: bool,
    lingering: Option<Pin<Box<Sleep>>>,
    shut: bool,
}

/// Runs from the first byte of an HTTP/1 head until its request begins.
#[derive(Debug)]
struct HeadTimer {
    allowed: Duration,
    seen: u64,
    until: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    /// `first` has been read from `socket` already. `head` is the time for an HTTP/1 head; HTTP/2 has its pings.
    pub(super) fn new(
        socket: S,
        first: Bytes,
        activity: Arc<Activity>,
        head: Option<Duration>,
        write_stall: Duration,
    ) -> Self {
        let head = head.map(|allowed| HeadTimer { allowed, seen: 0, until: None, alarm: None });
        let writing = Patience::new(write_stall, FLOOR);
        Self {
            socket,
            first,
            activity,
            head,
            writing,
            unsent: false,
            heard: 0,
            breathing: false,
            lingering: None,
            shut: false,
        }
    }

    /// The socket, and what was read from it and not yet taken.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        (self.socket, self.first)
    }

    fn note_unsent(&mut self, unsent: bool) {
        if self.unsent != unsent {
            self.unsent = unsent;
            self.activity.note_unsent(unsent);
        }
    }

    fn written(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(bytes)) => {
                self.note_unsent(false);
                self.writing.moved(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.note_unsent(true);
                self.writing.poll_spent(cx).map(|()| Err(ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl HeadTimer {
    /// Bytes came. If no request is in flight they belong to the next head.
    fn heard(&mut self, requests: (u64, bool)) {
        self.forget_what_has_begun(requests);
        if !requests.1 {
            self.until.get_or_insert_with(|| Instant::now() + self.allowed);
        }
    }

    fn poll_spent(&mut self, cx: &mut Context<'_>, requests: (u64, bool)) -> Poll<()> {
        self.forget_what_has_begun(requests);
        let Some(until) = self.until else { return Poll::Pending };
        self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until))).as_mut().poll(cx)
    }

    fn forget_what_has_begun(&mut self, (begun, _): (u64, bool)) {
        if begun != self.seen {
            *self = Self { allowed: self.allowed, seen: begun, until: None, alarm: None };
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.breathing {
            this.breathing = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = if this.first.is_empty() {
            Pin::new(&mut this.socket).poll_read(cx, buf)?
        } else {
            let fits = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first.split_to(fits));
            Poll::Ready(())
        };
        let Some(head) = &mut this.head else {
            this.heard = this.heard.saturating_add((buf.filled().len() - before) as u64);
            // Frames that ask for nothing are answered within one turn of the task: others' turns come between.
            this.breathing = read.is_ready() && !this.activity.requests().1;
            if this.activity.is_abused(this.heard) {
                return Poll::Ready(Err(io::Error::new(ErrorKind::QuotaExceeded, "it asks for nothing")));
            }
            return read.map(Ok);
        };
        let requests = this.activity.requests();
        if read.is_pending() {
            return head.poll_spent(cx, requests).map(|()| Err(ErrorKind::TimedOut.into()));
        }
        if buf.filled().len() > before {
            head.heard(requests);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.written(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.written(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx).map_ok(|()| 0);
        self.written(cx, flushed).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.shut {
            let shut = Pin::new(&mut this.socket).poll_shutdown(cx).map_ok(|()| 0);
            ready!(this.written(cx, shut))?;
            this.shut = true;
        }
        if this.activity.left_unread() { this.poll_linger(cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }
}

impl<S: AsyncRead + Unpin> Timed<S> {
    /// Reads and forgets until the peer is done, or has had its time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let over = self.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut sink = [0; 4096];
        loop {
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut forgotten = ReadBuf::new(&mut sink);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut forgotten)) {
                Ok(()) if forgotten.filled().has_remaining() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

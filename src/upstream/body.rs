//! Bodies on their way to MLflow and back.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::pin;
use tokio::time::{Instant, timeout_at};

use crate::listen::BoxError;
use crate::secret::Hidden;
use crate::stall::{Patient, Stopped};

use super::life::Life;

/// A caller's body that is passed on as it comes.
pub type CallerBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of an [`Order`](super::Order).
pub enum OrderBody {
    /// None.
    Empty,
    /// One that we wrote.
    Bytes(Bytes),
    /// A caller's, and its length in bytes where the caller said one.
    Stream(CallerBody, Option<u64>),
}

impl OrderBody {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Empty | Self::Stream(_, Some(0)) => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Stream(_, _) => false,
        }
    }

    /// The same once more, where it is still here.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream(..) => None,
        }
    }

    /// A caller's body that is passed on as it comes; `length` as the caller said it.
    pub fn stream<B>(body: B, length: Option<u64>) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self::Stream(body.map_err(Into::into).boxed_unsync(), length)
    }
}

/// How far a request's body has come.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<State>>, Arc<Life>);

#[derive(Debug)]
struct State {
    taken_at: Instant,
    waiting_for_caller: bool,
    broke: Option<BoxError>,
}

#[derive(Debug, thiserror::Error)]
#[error("nothing for {} s", after.as_secs())]
pub(super) struct Stalled {
    after: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("the body is not as long as announced")]
struct WrongLength;

#[derive(Debug, thiserror::Error)]
#[error("the caller's body broke off")]
pub(super) struct CallerGone;

impl Progress {
    fn new(life: Arc<Life>) -> Self {
        let state = State { taken_at: Instant::now(), waiting_for_caller: false, broke: None };
        Self(Arc::new(Mutex::new(state)), life)
    }

    /// What the caller did wrong, once.
    pub(super) fn caller_broke(&self) -> Option<BoxError> {
        self.0.lock().broke.take()
    }

    /// Waits for `answer` until MLflow has neither taken a piece of the body nor answered for `allowed`.
    /// While it is the caller who is slow, nobody's time runs here: that body has its own timer.
    pub(super) async fn or_stalled<A: Future>(
        &self,
        allowed: Duration,
        answer: A,
    ) -> Result<A::Output, Stalled> {
        pin!(answer);
        loop {
            let until = self.counted_from() + allowed;
            match timeout_at(until, answer.as_mut()).await {
                Ok(answered) => return Ok(answered),
                Err(_) if self.counted_from() + allowed > Instant::now() => {}
                Err(_) => return Err(Stalled { after: allowed }),
            }
        }
    }

    fn counted_from(&self) -> Instant {
        let state = self.0.lock();
        if state.waiting_for_caller { Instant::now() } else { state.taken_at }
    }

    fn taken(&self) {
        self.1.sign();
        let mut state = self.0.lock();
        state.taken_at = Instant::now();
        state.waiting_for_caller = false;
    }

    fn wait_for_caller(&self) {
        self.0.lock().waiting_for_caller = true;
    }

    fn break_off(&self, cause: BoxError) -> CallerGone {
        self.0.lock().broke = Some(cause);
        CallerGone
    }
}

/// A request's body on its way to MLflow.
pub(super) struct Sending {
    rest: Rest,
    progress: Progress,
}

enum Rest {
    Nothing,
    Bytes(Bytes),
    Stream { body: CallerBody, left: Option<u64> },
}

impl Sending {
    pub(super) fn new(body: OrderBody, life: Arc<Life>) -> (Self, Progress) {
        let rest = match body {
            empty if empty.is_empty() => Rest::Nothing,
            OrderBody::Empty => Rest::Nothing,
            OrderBody::Bytes(bytes) => Rest::Bytes(bytes),
            OrderBody::Stream(body, left) => Rest::Stream { body, left },
        };
        let progress = Progress::new(life);
        (Self { rest, progress: progress.clone() }, progress)
    }

    fn take(
        &mut self,
        piece: Option<Result<Frame<Bytes>, BoxError>>,
    ) -> Option<Result<Frame<Bytes>, CallerGone>> {
        let Rest::Stream { left, .. } = &mut self.rest else { return None };
        let data = match piece {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(cause)) => return Some(Err(self.progress.break_off(cause))),
            None if left.is_none_or(|left| left == 0) => {
                self.rest = Rest::Nothing;
                return None;
            }
            None => return Some(Err(self.progress.break_off(WrongLength.into()))),
        };
        let after = left.map(|left| left.checked_sub(data.len() as u64));
        match after {
            Some(None) => return Some(Err(self.progress.break_off(WrongLength.into()))),
            Some(Some(0)) => self.rest = Rest::Nothing,
            Some(Some(_)) | None => *left = after.flatten(),
        }
        Some(Ok(Frame::data(data)))
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = CallerGone;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallerGone>>> {
        let this = &mut *self;
        let piece = match &mut this.rest {
            Rest::Nothing => return Poll::Ready(None),
            Rest::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                this.rest = Rest::Nothing;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Rest::Stream { body, .. } => Pin::new(body).poll_frame(cx),
        };
        match piece {
            Poll::Pending => {
                this.progress.wait_for_caller();
                Poll::Pending
            }
            Poll::Ready(piece) => {
                this.progress.taken();
                Poll::Ready(this.take(piece))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Rest::Nothing => SizeHint::with_exact(0),
            Rest::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Rest::Stream { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// The body of MLflow's answer, which fails when MLflow stalls.
pub struct Reply {
    /// What has been read already.
    ahead: Bytes,
    body: Patient,
    life: Arc<Life>,
}

/// Why an answer's body ended before its end. It is MLflow's doing.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// Nothing came for [`Settings::body_stall`](super::Settings::body_stall).
    #[error("mlflow's answer stalled")]
    Stalled,
    /// It broke off.
    #[error("mlflow's answer broke off")]
    Broken(#[source] hyper::Error),
}

/// An answer that says it is no longer than this is read whole before its head is believed.
const SHORT: u64 = 64 * 1024;

impl Reply {
    /// Waits for the body's first piece, or for all of a short one: what breaks off by then has not been an answer yet, and
    /// its caller can still be told so.
    pub(super) async fn begun(body: Incoming, stall: Duration, life: Arc<Life>) -> Result<Self, ReplyError> {
        let mut body = Patient::new(body, stall, 0);
        let short = body.size_hint().exact().is_some_and(|length| length <= SHORT);
        let mut ahead = Bytes::new();
        while let Some(piece) = std::future::poll_fn(|cx| next(&mut body, cx)).await {
            let piece = piece?;
            ahead = if ahead.is_empty() { piece } else { [ahead, piece].concat().into() };
            if body.is_over() || !short {
                break;
            }
        }
        Ok(Self { ahead, body, life })
    }
}

/// The next piece of data. Trailers are headers that nobody looked at: they end the body.
fn next(body: &mut Patient, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReplyError>>> {
    body.poll_piece(cx).map(|piece| match piece? {
        Ok(frame) => frame.into_data().ok().map(Ok),
        Err(Stopped::Stalled) => Some(Err(ReplyError::Stalled)),
        Err(Stopped::Broken(error)) => Some(Err(ReplyError::Broken(error))),
    })
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("ahead", &Hidden).field("body", &self.body).finish()
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.ahead)))));
        }
        let piece = next(&mut self.body, cx).map_ok(Frame::data);
        if matches!(piece, Poll::Ready(Some(Ok(_)))) {
            self.life.sign();
        }
        piece
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.body.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        let (ahead, rest) = (self.ahead.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}

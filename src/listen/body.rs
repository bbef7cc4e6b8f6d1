//! Bodies at the door: one coming in that cannot stall for ever, one going out that is known to be in flight.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;

use super::activity::{Activity, InFlight};
use super::streams::Flow;
use crate::stall::{Patient, Stopped};

/// Bytes that fill the patience with a peer's body, or with its reading, up again.
pub(super) const FLOOR: usize = 4096;

/// Any error of an outgoing body; the connection is cut when one occurs.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response's body.
pub type Outbound = UnsyncBoxBody<Bytes, BoxError>;

/// A body of bytes that are here already.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Outbound {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
#[must_use]
pub fn empty() -> Outbound {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Any other body.
pub fn boxed<B>(body: B) -> Outbound
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A request's body, which fails when its sender stalls.
#[derive(Debug)]
pub struct Inbound {
    body: Patient,
    activity: Arc<Activity>,
}

/// Why a request's body ended before its end. It is the caller's doing.
#[derive(Debug, thiserror::Error)]
pub enum InboundError {
    /// Nothing, or next to nothing, came for [`Ceilings::body_stall`](super::Ceilings::body_stall).
    #[error("the request's body stalled")]
    Stalled,
    /// It broke off, or its framing is not HTTP.
    #[error("the request's body broke off")]
    Broken(#[source] hyper::Error),
}

impl Inbound {
    pub(super) fn new(body: Incoming, stall: Duration, activity: Arc<Activity>) -> Self {
        Self { body: Patient::new(body, stall, FLOOR), activity }
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = InboundError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        let this = &mut *self;
        this.body.poll_piece(cx).map(|piece| {
            if let Some(Ok(data)) = &piece {
                this.activity.note_moved(data.data_ref().map_or(0, Bytes::len));
            }
            piece.map(|piece| {
                piece.map_err(|stopped| match stopped {
                    Stopped::Broken(error) => InboundError::Broken(error),
                    Stopped::Stalled => {
                        this.activity.leave_unread();
                        InboundError::Stalled
                    }
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if !self.body.is_over() {
            self.activity.leave_unread();
        }
    }
}

/// A response's body on its way out; its request is in flight until it is gone.
#[derive(Debug)]
pub(super) struct Departing {
    body: Outbound,
    flow: Option<Arc<Flow>>,
    in_flight: InFlight,
}

impl Departing {
    pub(super) fn new(body: Outbound, in_flight: InFlight, flow: Option<Arc<Flow>>) -> Self {
        Self { body, flow, in_flight }
    }
}

impl Body for Departing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.in_flight.note_moved(frame.data_ref().map_or(0, Bytes::len));
        }
        if let Some(flow) = &this.flow {
            match &polled {
                Poll::Ready(Some(_)) => flow.owe(),
                Poll::Ready(None) | Poll::Pending => flow.settle(),
            }
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

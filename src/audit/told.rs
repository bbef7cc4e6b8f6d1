//! An answer's body that tells of its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use super::Trail;

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

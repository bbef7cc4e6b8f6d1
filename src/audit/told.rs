//! An answer's body that tells of its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use super::Trail;
use super::known::Brief;

/// An answer's body that closes its request's line when it has ended, or is cut.
pub struct Told<B> {
    body: B,
    line: Option<Line>,
}

/// A line that is open.
enum Line {
    Whole(Box<Trail>, StatusCode),
    Brief(Brief),
}

impl Line {
    fn close(self) {
        match self {
            Self::Whole(trail, status) => trail.close(status),
            Self::Brief(brief) => brief.close(),
        }
    }

    fn cut(self) {
        match self {
            Self::Whole(trail, status) => trail.cut(status),
            Self::Brief(brief) => brief.cut(),
        }
    }
}

impl<B: Body> Told<B> {
    /// Closes `trail` with `status` when `body` ends.
    pub fn new(body: B, trail: Trail, status: StatusCode) -> Self {
        Self::with(body, Line::Whole(Box::new(trail), status))
    }

    /// The same for a read that is told of like one before it.
    pub fn brief(body: B, brief: Brief) -> Self {
        Self::with(body, Line::Brief(brief))
    }

    fn with(body: B, line: Line) -> Self {
        if body.is_end_stream() {
            line.close();
            return Self { body, line: None };
        }
        Self { body, line: Some(line) }
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
                if let Some(line) = self.line.take() {
                    line.close();
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
        if let Some(line) = self.line.take() {
            line.cut();
        }
    }
}

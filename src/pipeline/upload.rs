//! An upload that can be ended from this side, as long as MLflow has not been given all of it: what MLflow has whole, it
//! may still write, so that is waited for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::listen::{BoxError, Inbound};

const ON_ITS_WAY: u8 = 0;
const GIVEN: u8 = 1;
const ENDED: u8 = 2;

/// How far an upload is, for those who may have to end it.
#[derive(Clone, Debug)]
pub(super) struct Far(Arc<AtomicU8>);

impl Far {
    /// Ends it: whether that could be done. Else MLflow is given all of it already.
    pub(super) fn end(&self) -> bool {
        self.turn(ENDED) || self.0.load(Ordering::SeqCst) == ENDED
    }

    fn turn(&self, to: u8) -> bool {
        self.0.compare_exchange(ON_ITS_WAY, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The last piece may go: whether nobody has ended it before.
    fn give(&self) -> bool {
        self.turn(GIVEN) || self.0.load(Ordering::SeqCst) == GIVEN
    }
}

/// The body of an upload.
#[derive(Debug)]
pub(super) struct Upload<B> {
    body: B,
    far: Far,
}

#[derive(Debug, thiserror::Error)]
#[error("the upload was ended from this side")]
struct Ended;

/// A caller's upload, and how far it is.
pub(super) fn endable(body: Inbound) -> (Upload<Inbound>, Far) {
    Upload::new(body)
}

impl<B: Body<Data = Bytes>> Upload<B> {
    fn new(body: B) -> (Self, Far) {
        let far = Far(Arc::new(AtomicU8::new(if body.is_end_stream() { GIVEN } else { ON_ITS_WAY })));
        (Self { body, far: far.clone() }, far)
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let last = match &piece {
            None => true,
            Some(Ok(_)) => self.body.is_end_stream(),
            Some(Err(_)) => false,
        };
        let goes_on = if last { self.far.give() } else { self.far.0.load(Ordering::SeqCst) != ENDED };
        if !goes_on {
            return Poll::Ready(Some(Err(Ended.into())));
        }
        Poll::Ready(piece.map(|piece| piece.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.far.0.load(Ordering::SeqCst) == GIVEN
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full, StreamBody};

    type Pieces = Vec<Result<Frame<Bytes>, std::convert::Infallible>>;

    fn pieces(count: usize) -> Pieces {
        (0..count).map(|_| Ok(Frame::data(Bytes::from_static(b"x")))).collect()
    }

    #[tokio::test]
    async fn what_is_not_given_whole_can_be_ended_and_breaks_off() {
        let (mut body, far) = Upload::new(StreamBody::new(futures_util::stream::iter(pieces(2))));
        assert!(body.frame().await.expect("a piece").is_ok());
        assert!(far.end() && far.end(), "it is ended");
        assert!(body.frame().await.expect("an error").is_err());
    }

    #[tokio::test]
    async fn what_is_given_whole_cannot_be_ended() {
        let (mut body, far) = Upload::new(Full::new(Bytes::from_static(b"x")));
        assert!(body.frame().await.expect("a piece").is_ok());
        assert!(!far.end(), "its last piece may be on the wire");
        let (_, far) = Upload::new(Full::new(Bytes::new()));
        assert!(!far.end(), "nothing is to be sent of it");
        let (body, far) = Upload::new(StreamBody::new(futures_util::stream::iter(pieces(2))));
        assert!(body.collect().await.is_ok());
        assert!(!far.end());
    }
}

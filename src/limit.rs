//! How much is taken on at once: requests in flight, and bytes of a JSON body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::listen::InboundError;

/// What is taken on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests in flight, from their head to the end of their response's body.
    pub in_flight: usize,
}

impl Settings {
    /// Default of [`Settings::in_flight`].
    pub const IN_FLIGHT: usize = 4096;
}

impl Default for Settings {
    fn default() -> Self {
        Self { in_flight: Self::IN_FLIGHT }
    }
}

/// Bytes of a request's JSON body: 16 MiB. MLflow itself takes about as much from its own client in one call.
pub const JSON_BODY: usize = 16 * 1024 * 1024;

/// The ceiling over all requests.
#[derive(Clone, Debug)]
pub struct Limits {
    in_flight: Arc<Semaphore>,
}

/// One request's place, free again when dropped.
#[derive(Debug)]
#[must_use = "a slot that is dropped is free: hold it until the response's body ends"]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// Too much at once; the caller may come again.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are in flight")]
pub struct OverLimit(());

impl Limits {
    /// Nothing is in flight yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { in_flight: Arc::new(Semaphore::new(settings.in_flight.min(Semaphore::MAX_PERMITS))) }
    }

    /// Gives a slot or sheds the request at once: a proxy that queues only hides the overload.
    ///
    /// # Errors
    /// Every slot is taken.
    pub fn admit(&self) -> Result<Slot, OverLimit> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned();
        permit.map(|permit| Slot { _permit: permit }).map_err(|_| OverLimit(()))
    }
}

impl Slot {
    /// Keeps the slot until `body` has ended or is dropped.
    pub fn until_end_of<B>(self, body: B) -> Held<B> {
        Held { body, slot: Some(self) }
    }
}

/// A body whose request is still in flight.
#[derive(Debug)]
pub struct Held<B> {
    body: B,
    slot: Option<Slot>,
}

impl<B: Body + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.slot = None;
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

/// Why a request's body could not be read whole. All of it is the caller's doing.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More than the ceiling, said in `Content-Length` or seen.
    #[error("the request's body is larger than {ceiling} bytes")]
    TooLarge {
        /// The ceiling in bytes.
        ceiling: usize,
    },
    /// It stopped coming.
    #[error("the request's body stalled")]
    Stalled,
    /// It broke off.
    #[error("the request's body broke off")]
    Broken(#[source] InboundError),
}

/// Reads a body of at most `ceiling` bytes, whatever `Content-Length` says or does not say.
///
/// # Errors
/// The body is too large, stalls or breaks off.
pub async fn read_json_body<B>(body: B, ceiling: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes, Error = InboundError> + Unpin,
{
    let mut body = body;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > ceiling {
        return Err(BodyError::TooLarge { ceiling });
    }
    // What is announced is not yet there: memory is taken as bytes come.
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error {
            InboundError::Stalled => BodyError::Stalled,
            broken @ InboundError::Broken(_) => BodyError::Broken(broken),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.is_empty() && body.is_end_stream() && data.len() <= ceiling {
            return Ok(data);
        }
        if data.len() > ceiling - whole.len() {
            return Err(BodyError::TooLarge { ceiling });
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};

    #[test]
    fn a_slot_is_held_until_the_body_ends() {
        let limits = Limits::new(Settings { in_flight: 1 });
        let mut body = limits.admit().unwrap().until_end_of(Full::new(Bytes::from_static(b"x")));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))));
        assert_eq!(limits.admit().err(), Some(OverLimit(())), "the slot was let go with the body under way");
        assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(None)));
        drop(limits.admit().unwrap().until_end_of(Full::new(Bytes::new())));
        assert!(limits.admit().is_ok());
    }

    struct Announced(u64);

    impl Body for Announced {
        type Data = Bytes;
        type Error = InboundError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
            panic!("it was read")
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    async fn read(frames: &[&'static str], end: Option<InboundError>) -> Result<Bytes, BodyError> {
        let frames: Vec<_> =
            frames.iter().map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))).collect();
        read_json_body(StreamBody::new(stream::iter(frames.into_iter().chain(end.map(Err)))), 8).await
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_ceiling() {
        for (frames, expected) in [
            (&[][..], Some("")),
            (&["{}"], Some("{}")),
            (&["1234", "5678"], Some("12345678")),
            (&["12345678"], Some("12345678")),
            (&["123456789"], None),
            (&["1234", "56789"], None),
        ] {
            let said = read(frames, None).await;
            match expected {
                Some(text) => assert_eq!(said.unwrap(), text),
                None => {
                    assert!(matches!(said, Err(BodyError::TooLarge { ceiling: 8 })), "{frames:?}: {said:?}")
                }
            }
        }
    }

    #[tokio::test]
    async fn an_announced_size_is_refused_before_a_byte_is_read() {
        let said = read_json_body(Announced(9), 8).await;
        assert!(matches!(said, Err(BodyError::TooLarge { .. })), "{said:?}");
    }

    #[tokio::test]
    async fn half_a_body_is_not_a_body() {
        let said = read(&["{"], Some(InboundError::Stalled)).await;
        assert!(matches!(said, Err(BodyError::Stalled)), "{said:?}");
    }
}

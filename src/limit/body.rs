//! Bodies that are read whole, under a ceiling, a time and a budget.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{OverLimit, Slot};
use crate::listen::InboundError;

/// Bytes of a request's body that is read whole: 10 MiB, as much as MLflow takes of an uploaded file in one call.
pub const JSON_BODY: usize = 10 * 1024 * 1024;

/// Until a body has come whole. One that drips is never idle for long enough to be cut for that.
pub const BODY_WITHIN: Duration = Duration::from_secs(120);

/// As it was read, as it was understood, and as it is written anew.
const COPIES: usize = 3;

/// Why a request's body could not be read whole.
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
    /// It may be well, but there is no room for it now.
    #[error(transparent)]
    NoRoom(#[from] OverLimit),
}

/// Reads a body of at most `ceiling` bytes, whatever `Content-Length` says or does not say. `slot` pays for the memory.
///
/// # Errors
/// The body is too large, stalls, breaks off or finds no room.
pub async fn read_json_body<B>(body: B, ceiling: usize, slot: &mut Slot) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes, Error = InboundError> + Unpin,
{
    timeout(BODY_WITHIN, collect(body, ceiling, slot)).await.unwrap_or(Err(BodyError::Stalled))
}

async fn collect<B>(mut body: B, ceiling: usize, slot: &mut Slot) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes, Error = InboundError> + Unpin,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > ceiling {
        return Err(BodyError::TooLarge { ceiling });
    }
    // What is announced is accounted for at once, so that nobody holds half of what two need; memory is taken as bytes come.
    slot.hold(announced.saturating_mul(COPIES)).await?;
    let mut paid = announced;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error {
            InboundError::Stalled => BodyError::Stalled,
            broken @ InboundError::Broken(_) => BodyError::Broken(broken),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > ceiling - whole.len() {
            return Err(BodyError::TooLarge { ceiling });
        }
        let unpaid = data.len().saturating_sub(paid);
        paid = paid.saturating_sub(data.len());
        slot.hold(unpaid.saturating_mul(COPIES)).await?;
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ada, slot};
    use super::super::{Limits, Settings};
    use super::*;
    use crate::clock::Clock;
    use futures_util::stream;
    use http_body::{Frame, SizeHint};
    use http_body_util::StreamBody;
    use std::pin::Pin;
    use std::task::{Context, Poll};

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
        let body = StreamBody::new(stream::iter(frames.into_iter().chain(end.map(Err))));
        read_json_body(body, 8, &mut slot()).await
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
        let said = read_json_body(Announced(9), 8, &mut slot()).await;
        assert!(matches!(said, Err(BodyError::TooLarge { .. })), "{said:?}");
    }

    #[tokio::test]
    async fn half_a_body_is_not_a_body() {
        let said = read(&["{"], Some(InboundError::Stalled)).await;
        assert!(matches!(said, Err(BodyError::Stalled)), "{said:?}");
    }

    fn endless() -> impl Body<Data = Bytes, Error = InboundError> + Unpin {
        StreamBody::new(stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[7; 1024])))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_finds_no_room_is_let_go_of_with_all_that_it_held() {
        let limits = Limits::new(Settings { memory: 1 << 20, ..Settings::default() }, &Clock::held_at(0));
        let seat = || limits.seat(limits.admit().unwrap(), &ada()).unwrap();
        let mut slot = seat();
        let said = read_json_body(endless(), JSON_BODY, &mut slot).await;
        assert!(matches!(said, Err(BodyError::NoRoom(OverLimit::Large))), "{said:?}");
        assert!(seat().hold(1 << 19).await.is_err(), "the budget is no budget");
        drop(slot);
        seat().hold(1 << 19).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_ends_even_if_every_drop_is_in_time() {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
            Some((Ok(Frame::data(Bytes::from_static(&[7; 4096]))), ()))
        });
        let said = read_json_body(StreamBody::new(Box::pin(drops)), JSON_BODY, &mut slot()).await;
        assert!(matches!(said, Err(BodyError::Stalled)), "{said:?}");
    }
}

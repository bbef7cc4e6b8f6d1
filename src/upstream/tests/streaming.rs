//! Bodies of any size, and nothing of them kept.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame};
use tokio::sync::mpsc;

use super::*;
use crate::listen::BoxError;

const WHOLE: usize = 64 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// What the kernel's buffers on both ends of a loopback connection may hold, and a few frames of ours.
const UNDER_WAY: usize = 16 * 1024 * 1024;

/// Counts what was taken from it.
struct Counted(Arc<AtomicUsize>);

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.0.load(Ordering::SeqCst) >= WHOLE {
            return Poll::Ready(None);
        }
        self.0.fetch_add(PIECE, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; PIECE])))))
    }
}

#[tokio::test]
async fn an_upload_is_taken_as_fast_as_mlflow_takes_it() {
    for length in [Some(WHOLE as u64), None] {
        let house = played().await;
        let taken = Arc::new(AtomicUsize::new(0));
        let body = OrderBody::stream(Counted(Arc::clone(&taken)), length);
        let hearing = async {
            let mut line = house.accept().await;
            line.head().await;
            let mut same = 0;
            let mut last = usize::MAX;
            while same < 50 {
                tokio::task::yield_now().await;
                let now = taken.load(Ordering::SeqCst);
                same = if now == last { same + 1 } else { 0 };
                last = now;
            }
            assert!(last < UNDER_WAY, "{last} bytes were taken while mlflow took none");
            let mut heard = 0;
            let mut buffer = vec![0; PIECE];
            while heard < WHOLE {
                heard += soon(line.0.read(&mut buffer)).await.unwrap();
            }
            line.say(OK).await;
            line
        };
        let (_line, answered) = tokio::join!(hearing, house.upstream.send(order(Method::PUT, body)));
        assert_eq!(answered.unwrap().status(), StatusCode::OK);
        assert_eq!(taken.load(Ordering::SeqCst), WHOLE);
    }
}

#[tokio::test]
async fn a_download_is_taken_as_fast_as_the_caller_takes_it() {
    let house = played().await;
    let begun = format!("HTTP/1.1 200 OK\r\ncontent-length: {WHOLE}\r\n\r\n!");
    let (mut line, response) = house.exchange(get(), &begun).await;
    let piece = vec![7; PIECE];
    let mut said = 1;
    while let Ok(wrote) = timeout(SHORT, line.0.write(&piece)).await {
        said += wrote.unwrap();
        assert!(said < UNDER_WAY, "{said} bytes were taken while nobody read them");
    }
    let saying = async {
        while said < WHOLE {
            let some = piece.len().min(WHOLE - said);
            said += line.0.write(&piece[..some]).await.unwrap();
        }
    };
    let reading = async {
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(frame) = soon(body.frame()).await {
            read += frame.unwrap().into_data().unwrap().len();
        }
        read
    };
    let ((), read) = tokio::join!(saying, reading);
    assert_eq!(read, WHOLE);
}

#[tokio::test]
async fn a_slow_caller_does_not_use_up_mlflows_time() {
    let house = played_with(|settings| settings.head = SHORT).await;
    let (caller, pieces) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    let pieces =
        futures_util::stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    let body = OrderBody::stream(http_body_util::StreamBody::new(Box::pin(pieces)), Some(2));
    let talking = async {
        let mut line = house.accept().await;
        caller.send(Ok(Frame::data(Bytes::from_static(b"{")))).await.unwrap();
        line.head().await;
        assert_eq!(line.0.read_u8().await.unwrap(), b'{');
        assert!(timeout(SHORT * 3, line.0.read_u8()).await.is_err(), "the request was given up");
        caller.send(Ok(Frame::data(Bytes::from_static(b"}")))).await.unwrap();
        assert_eq!(line.0.read_u8().await.unwrap(), b'}');
        line.say(OK).await;
        line
    };
    let (_line, answered) = tokio::join!(talking, soon(house.upstream.send(order(Method::PUT, body))));
    assert_eq!(text(answered.unwrap()).await, "ok");
}

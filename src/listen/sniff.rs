//! Which HTTP a peer speaks, from its first bytes.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::select;

use crate::drain::Drain;

/// What an HTTP/2 client says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The protocol, and the bytes that showed it. `None`: the peer left, or the drain began, before it said anything.
///
/// The caller sets the time limit; hyper-util's own detection has none.
pub(super) async fn sniff<S>(stream: &mut S, drain: &Drain) -> io::Result<Option<(Protocol, Bytes)>>
where
    S: AsyncRead + Unpin,
{
    let mut said = BytesMut::with_capacity(PREFACE.len());
    while said.len() < PREFACE.len() {
        let silent = said.is_empty();
        let missing = PREFACE.len() - said.len();
        let mut room = (&mut said).limit(missing);
        let read = select! {
            biased;
            read = stream.read_buf(&mut room) => read?,
            () = drain.started(), if silent => 0,
        };
        if read == 0 {
            return Ok(None);
        }
        if !PREFACE.starts_with(&said) {
            return Ok(Some((Protocol::Http1, said.freeze())));
        }
    }
    Ok(Some((Protocol::Http2, said.freeze())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;

    async fn check(said: &[&[u8]], expected: Option<Protocol>) {
        let (_trigger, drain) = drain::channel(Duration::ZERO);
        let (mut peer, mut ours) = tokio::io::duplex(1);
        let all = said.concat();
        let saying = async {
            for part in said {
                peer.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(peer);
        };
        let hearing = async {
            let sniffed = sniff(&mut ours, &drain).await.unwrap();
            let (protocol, first) = sniffed.unzip();
            assert_eq!(protocol, expected, "{said:?}");
            let mut heard = first.map(Vec::from).unwrap_or_default();
            if expected.is_some() {
                ours.read_to_end(&mut heard).await.unwrap();
                assert_eq!(heard, all, "bytes were lost or made up");
            }
        };
        tokio::join!(saying, hearing);
    }

    #[tokio::test]
    async fn the_first_bytes_tell_and_none_is_lost() {
        check(&[b"GET / HTTP/1.1\r\n\r\n"], Some(Protocol::Http1)).await;
        check(&[b"PUT /x HTTP/1.1\r\n"], Some(Protocol::Http1)).await;
        check(&[b"PRI * HTTP/1.1\r\n\r\n"], Some(Protocol::Http1)).await;
        check(&[PREFACE, b"\0\0\0\x04"], Some(Protocol::Http2)).await;
        check(&[b"PRI *", b" HTTP/2.0\r\n\r", b"\nSM\r\n\r\n"], Some(Protocol::Http2)).await;
        check(&[b"PRI * HT"], None).await;
        check(&[b""], None).await;
    }
}

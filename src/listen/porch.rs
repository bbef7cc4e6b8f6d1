//! Where an HTTP/1 connection waits until a whole head is there: hyper's buffers are for requests, not for waiting.
//!
//! So a connection that is idle, or whose peer sends its head drop by drop, costs what it has said and little more.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::select;
use tokio::time::{Instant, sleep_until};

use super::Ceilings;
use crate::drain::Drain;
use crate::share::{Share, Shares};

/// What most heads fit into; this much is free.
const ROOM: usize = 2 * 1024;

/// Kinds of units that unfinished heads are counted in beyond that.
const UNIT: usize = 1024;

/// The memory of all unfinished heads that are larger than most, and of those of one peer.
#[derive(Debug)]
pub(super) struct Porch {
    all: Arc<Shares<()>>,
    each: Arc<Shares<IpAddr>>,
}

struct Large {
    all: Share<()>,
    of_peer: Share<IpAddr>,
}

impl Porch {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { all: Shares::new(all / UNIT), each: Shares::new(each / UNIT) }
    }

    /// The next head with whatever follows it, or as much as a head may have. `None`: the peer left, had its time without
    /// a word, or the drain began. `said` was read before; `until` is when a first byte must have come.
    pub(super) async fn head<S>(
        &self,
        socket: &mut S,
        said: Bytes,
        (peer, until): (IpAddr, Instant),
        ceilings: &Ceilings,
        drain: &Drain,
    ) -> io::Result<Option<Bytes>>
    where
        S: AsyncRead + Unpin,
    {
        // A copy, because these bytes may keep a buffer many times as large.
        let mut said = BytesMut::from(&*said);
        let mut until = if said.is_empty() { until } else { Instant::now() + ceilings.header_read };
        let (mut large, mut looked_at) = (None, 0);
        loop {
            if has_end(said.get(looked_at..).unwrap_or_default()) || said.len() >= ceilings.max_header_bytes {
                return Ok(Some(said.freeze()));
            }
            looked_at = said.len().saturating_sub(3);
            let silent = said.is_empty();
            let read = select! {
                biased;
                read = self.read(socket, &mut said, &mut large, peer) => read?,
                () = sleep_until(until) => if silent { 0 } else { return Err(ErrorKind::TimedOut.into()) },
                () = drain.started(), if silent => 0,
            };
            if read == 0 {
                return Ok(None);
            }
            if silent {
                until = Instant::now() + ceilings.header_read;
            }
        }
    }

    /// Room is made when there is something to put there.
    async fn read<S>(
        &self,
        socket: &mut S,
        said: &mut BytesMut,
        large: &mut Option<Large>,
        peer: IpAddr,
    ) -> io::Result<usize>
    where
        S: AsyncRead + Unpin,
    {
        if said.len() < said.capacity() {
            let room = said.capacity() - said.len();
            return socket.read_buf(&mut said.limit(room)).await;
        }
        let mut first = [0; 64];
        let read = socket.read(&mut first).await?;
        let wanted = if said.is_empty() { ROOM } else { said.len() };
        if said.len() + wanted > ROOM && !self.grow(large, wanted / UNIT, peer) {
            return Err(io::Error::new(ErrorKind::QuotaExceeded, "too many large heads are unfinished"));
        }
        said.reserve(wanted.max(read));
        said.put_slice(first.get(..read).unwrap_or_default());
        Ok(read)
    }

    fn grow(&self, large: &mut Option<Large>, units: usize, peer: IpAddr) -> bool {
        match large {
            Some(large) => large.of_peer.grow(units) && large.all.grow(units),
            None => {
                let shares = self.each.take(peer, units).zip(self.all.take((), units));
                *large = shares.map(|(of_peer, all)| Large { all, of_peer });
                large.is_some()
            }
        }
    }
}

/// Whether an empty line is there; what hyper makes of it is hyper's business.
fn has_end(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn wait(porch: &Porch, pieces: &[&[u8]]) -> io::Result<Option<Bytes>> {
        let (_trigger, drain) = drain::channel(Duration::ZERO);
        let (mut peer, mut ours) = tokio::io::duplex(1 << 20);
        let ceilings = Ceilings::default();
        let saying = async {
            for piece in pieces {
                peer.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            peer
        };
        let until = Instant::now() + ceilings.idle;
        let (_peer, heard) =
            tokio::join!(saying, porch.head(&mut ours, Bytes::new(), (PEER, until), &ceilings, &drain));
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_handed_on_when_it_is_whole_and_not_before() {
        let porch = Porch::new(1 << 20, 1 << 20);
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000));
        let flood = vec![b'y'; 40_000];
        let table: [(&[&[u8]], Option<usize>); 8] = [
            (&[b"GET / HTTP/1.1\r\n\r\n"], Some(18)),
            (&[b"GET / HTTP/1.1\r\n", b"\r", b"\n"], Some(18)),
            (&[b"GET / HTTP/1.1\n\nrest"], Some(20)),
            (&[b"GET / HTTP/1.1\r", b"\n\r", b"\nrest"], Some(22)),
            (&[long.as_bytes()], Some(long.len())),
            (&[b"G", &long.as_bytes()[1..]], Some(long.len())),
            (&[b"GET / HTTP/1.1\r\nx: y\r\n"], None),
            (&[b""], Some(0)),
        ];
        for (pieces, expected) in table {
            let heard = wait(&porch, pieces).await.ok().map(|heard| heard.map_or(0, |bytes| bytes.len()));
            assert_eq!(
                heard,
                expected,
                "{}",
                String::from_utf8_lossy(&pieces.concat()[..18.min(pieces.concat().len())])
            );
        }
        let heard = wait(&porch, &[&flood]).await.unwrap().unwrap();
        assert!((32 * 1024..=40_000).contains(&heard.len()), "{}", heard.len());
        assert!(porch.each.take(PEER, 1 << 10).is_some(), "what is done with is still counted");
    }

    #[tokio::test(start_paused = true)]
    async fn unfinished_heads_have_a_budget() {
        let porch = Porch::new(1 << 20, 8 * 1024);
        let error = wait(&porch, &[&[b'y'; 20_000]]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        assert!(wait(&porch, &[b"GET / HTTP/1.1\r\n\r\n"]).await.unwrap().is_some(), "small ones are free");
    }
}

//! Accepting: a place first, then the socket, and always an ear for the drain.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tracing::{debug, error, warn};

use super::connection::{self, Door};
use super::places::{Place, Places};
use super::tls::Tls;
use super::{Ceilings, Handler};
use crate::drain::Drain;
use crate::workers::Workers;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A bound address that serves nothing until told to.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    local: SocketAddr,
    tls: Option<Arc<Tls>>,
    ceilings: Ceilings,
}

impl Listener {
    pub(super) fn new(
        listener: TcpListener,
        local: SocketAddr,
        tls: Option<Arc<Tls>>,
        ceilings: Ceilings,
    ) -> Self {
        Self { listener, local, tls, ceilings }
    }

    /// Where it listens, with the port that was really taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until the drain: then the address is given up at once, idle connections are closed, requests in
    /// flight are finished, and what is left at the deadline is cut.
    pub async fn serve<H: Handler>(self, handler: H, drain: Drain, workers: Arc<Workers>) {
        let _guard = drain.guard();
        let mut chores = JoinSet::new();
        if let Some(tls) = &self.tls {
            let (tls, every) = (Arc::clone(tls), self.ceilings.certificate_poll);
            chores.spawn(async move { tls.follow(every).await });
        }
        let places = Places::new(self.ceilings.connections, self.ceilings.connections_per_peer);
        let door = Arc::new(Door::new(handler, self.tls, self.ceilings));
        let mut connections = JoinSet::new();
        welcome(&self.listener, &places, (&door, &workers), &drain, &mut connections).await;
        drop(self.listener);
        select! {
            () = everybody_left(&mut connections) => {}
            () = drain.deadline() => {
                warn!(connections = connections.len(), "cut what was still open at the drain's deadline");
                connections.shutdown().await;
            }
        }
    }
}

async fn welcome<H: Handler>(
    listener: &TcpListener,
    places: &Places,
    (door, workers): (&Arc<Door<H>>, &Workers),
    drain: &Drain,
    connections: &mut JoinSet<()>,
) {
    let mut end = pin!(drain.started());
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = select! {
            biased;
            () = &mut end => return,
            Some(left) = connections.join_next() => { look_at(left); continue }
            accepted = accept(listener, places) => accepted,
        };
        match accepted {
            Ok(Some((stream, addr, place))) => {
                pause = FIRST_PAUSE;
                let (door, drain) = (Arc::clone(door), drain.clone());
                let serve = async move |stream| {
                    connection::run(stream, addr, &door, &drain).await;
                    drop(place);
                };
                seat(stream, serve, workers, connections);
            }
            Ok(None) => pause = FIRST_PAUSE,
            Err(error) => {
                warn!(%error, ?pause, "cannot accept connections");
                select! { () = &mut end => return, () = sleep(pause) => pause = longer(pause) }
            }
        }
    }
}

/// Has a connection served, by a worker where there are any.
fn seat<S, F>(stream: TcpStream, serve: S, workers: &Workers, connections: &mut JoinSet<()>)
where
    S: FnOnce(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let Some((worker, seat)) = workers.place() else {
        connections.spawn(serve(stream));
        return;
    };
    // A socket belongs to the runtime in which it was made known.
    let moved = stream.into_std();
    let task = async move {
        match moved.and_then(TcpStream::from_std) {
            Ok(stream) => serve(stream).await,
            Err(error) => warn!(%error, "cannot hand a connection over"),
        }
        drop(seat);
    };
    connections.spawn_on(task, &worker);
}

/// `None` when the peer holds its share of places already: the socket is closed at once.
async fn accept(
    listener: &TcpListener,
    places: &Places,
) -> io::Result<Option<(TcpStream, SocketAddr, Place)>> {
    let place = places.any().await;
    let (stream, addr) = listener.accept().await?;
    match place.of(addr.ip()) {
        Some(place) => Ok(Some((stream, addr, place))),
        None => {
            debug!(peer = %addr, "closed a connection: its peer has as many as one may have");
            Ok(None)
        }
    }
}

fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE)
}

async fn everybody_left(connections: &mut JoinSet<()>) {
    while let Some(left) = connections.join_next().await {
        look_at(left);
    }
}

fn look_at(left: Result<(), JoinError>) {
    if let Err(error) = left {
        error!(%error, "a connection's task broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_stays_bounded() {
        let pauses: Vec<u128> = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)))
            .map(|p| p.as_millis())
            .take(10)
            .collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}

//! Places for connections: so many in total, so many for one peer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All places of a listener.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    peers: Arc<Peers>,
}

/// A place that no peer has taken yet.
#[derive(Debug)]
pub(super) struct AnyPlace {
    permit: OwnedSemaphorePermit,
    peers: Arc<Peers>,
}

/// A peer's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    peers: Arc<Peers>,
    peer: IpAddr,
}

#[derive(Debug)]
struct Peers {
    each: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    pub(super) fn new(all: usize, each: usize) -> Self {
        let all = Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS)));
        Self { all, peers: Arc::new(Peers { each, taken: Mutex::default() }) }
    }

    /// Waits for a place.
    pub(super) async fn any(&self) -> AnyPlace {
        match Arc::clone(&self.all).acquire_owned().await {
            Ok(permit) => AnyPlace { permit, peers: Arc::clone(&self.peers) },
            // The semaphore is never closed; were it, nobody would be let in.
            Err(_) => std::future::pending().await,
        }
    }
}

impl AnyPlace {
    /// Gives the place to `peer`, unless it has its share.
    pub(super) fn of(self, peer: IpAddr) -> Option<Place> {
        let peer = one_peer(peer);
        {
            let mut taken = self.peers.taken.lock();
            let count = taken.entry(peer).or_default();
            if *count >= self.peers.each {
                return None;
            }
            *count += 1;
        }
        Some(Place { _permit: self.permit, peers: self.peers, peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.peers.taken.lock();
        if let Some(count) = taken.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

/// An IPv6 host has a whole /64 to connect from (RFC 4291 section 2.5.4), so that is one peer.
fn one_peer(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(addr: &str, peer: &str) {
        assert_eq!(one_peer(addr.parse().unwrap()), peer.parse::<IpAddr>().unwrap(), "{addr}");
    }

    #[test]
    fn a_peer_is_an_ipv4_address_or_an_ipv6_network() {
        check("10.0.0.7", "10.0.0.7");
        check("::ffff:10.0.0.7", "10.0.0.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check("::1", "::");
    }

    #[tokio::test]
    async fn a_refused_peer_costs_no_place_and_a_dropped_place_is_free_again() {
        let places = Places::new(2, 1);
        let [ada, bob]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let first = places.any().await.of(ada).unwrap();
        assert!(places.any().await.of(ada).is_none());
        let second = places.any().await.of(bob).unwrap();
        assert_eq!(places.all.available_permits(), 0);
        drop((first, second));
        assert_eq!(places.all.available_permits(), 2);
        assert!(places.peers.taken.lock().is_empty(), "peers that have left are remembered for ever");
    }
}

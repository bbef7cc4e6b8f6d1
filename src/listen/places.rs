//! Places for connections: so many in total, so many for one peer.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::share::{Share, Shares};

/// All places of a listener.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    peers: Arc<Shares<IpAddr>>,
}

/// A place that no peer has taken yet.
#[derive(Debug)]
pub(super) struct AnyPlace {
    permit: OwnedSemaphorePermit,
    peers: Arc<Shares<IpAddr>>,
}

/// A peer's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _share: Share<IpAddr>,
}

impl Places {
    pub(super) fn new(all: usize, each: usize) -> Self {
        let all = Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS)));
        Self { all, peers: Shares::new(each) }
    }

    /// Waits for a place.
    pub(super) async fn any(&self) -> AnyPlace {
        match Arc::clone(&self.all).acquire_owned().await {
            Ok(permit) => AnyPlace { permit, peers: Arc::clone(&self.peers) },
            // The semaphore is never closed; were it, nobody would be let in.
            Err(_) => std::future::pending().await,
        }
    }

    /// A place, if one is free and `peer` has not its share.
    pub(super) fn at_once(&self, peer: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        AnyPlace { permit, peers: Arc::clone(&self.peers) }.of(peer)
    }
}

impl AnyPlace {
    /// Gives the place to `peer`, unless it has its share.
    pub(super) fn of(self, peer: IpAddr) -> Option<Place> {
        let share = self.peers.take(one_peer(peer), 1)?;
        Some(Place { _permit: self.permit, _share: share })
    }
}

/// An IPv6 host has a whole /64 to connect from (RFC 4291 section 2.5.4), so that is one peer.
pub(super) fn one_peer(addr: IpAddr) -> IpAddr {
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
        assert!(places.at_once(bob).is_none());
        drop((first, second));
        assert_eq!(places.all.available_permits(), 2);
    }
}

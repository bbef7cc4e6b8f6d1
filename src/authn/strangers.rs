//! How often one network may fail to say who it is: nobody knows yet who it is, and it costs us all the same.
//!
//! governor cannot be asked without being charged, and only failures are charged here: hence the few lines of our own.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;

/// Failures that are forgiven: one in `each` in the long run, `burst` of them at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forgiven {
    each: Duration,
    burst: u32,
}

/// Tokens that are not from here: each costs the verification of a signature.
pub(super) const TOKENS: Forgiven = Forgiven { each: Duration::from_millis(20), burst: 500 };

/// Any 401: each costs a request.
pub(super) const REFUSALS: Forgiven = Forgiven { each: Duration::from_millis(1), burst: 5_000 };

/// Networks that are remembered; those beyond count as one.
const MOST: usize = 16_384;

const BEYOND: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// For each network with failures, when the last will be forgotten (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Strangers {
    clock: Clock,
    forgiven: Forgiven,
    forgotten_at: Mutex<HashMap<IpAddr, Duration>>,
}

impl Strangers {
    pub(super) fn new(clock: Clock, forgiven: Forgiven) -> Self {
        Self { clock, forgiven, forgotten_at: Mutex::default() }
    }

    /// Whether it failed no more often than is forgiven.
    pub(super) fn is_forgiven(&self, from: IpAddr) -> bool {
        let forgotten_at = self.forgotten_at.lock();
        let from = if forgotten_at.len() < MOST || forgotten_at.contains_key(&from) { from } else { BEYOND };
        let latest = self.clock.steady() + self.forgiven.each * self.forgiven.burst;
        forgotten_at.get(&from).is_none_or(|at| *at + self.forgiven.each <= latest)
    }

    /// It failed.
    pub(super) fn note(&self, from: IpAddr) {
        let now = self.clock.steady();
        let mut forgotten_at = self.forgotten_at.lock();
        if forgotten_at.len() >= MOST && !forgotten_at.contains_key(&from) {
            forgotten_at.retain(|_, at| *at > now);
        }
        let from = if forgotten_at.len() < MOST || forgotten_at.contains_key(&from) { from } else { BEYOND };
        let latest = now + self.forgiven.each * self.forgiven.burst;
        let at = forgotten_at.entry(from).or_insert(now);
        *at = ((*at).max(now) + self.forgiven.each).min(latest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGIVEN: Forgiven = Forgiven { each: Duration::from_millis(50), burst: 100 };

    fn peer(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    #[test]
    fn who_fails_too_often_waits_and_others_do_not() {
        let clock = Clock::held_at(1_000);
        let strangers = Strangers::new(clock.clone(), FORGIVEN);
        for _ in 0..FORGIVEN.burst {
            assert!(strangers.is_forgiven(peer(1)));
            strangers.note(peer(1));
        }
        (0..10_000).for_each(|_| strangers.note(peer(1)));
        assert_eq!(
            strangers.forgotten_at.lock()[&peer(1)],
            Duration::from_secs(1_005),
            "it pays for more than a burst"
        );
        assert!(!strangers.is_forgiven(peer(1)) && strangers.is_forgiven(peer(2)));
        clock.advance(1);
        let mut more = 0;
        while strangers.is_forgiven(peer(1)) {
            strangers.note(peer(1));
            more += 1;
        }
        assert_eq!(more, 20, "in a second");
    }

    #[test]
    fn networks_without_number_are_not_remembered_without_number() {
        let clock = Clock::held_at(1_000);
        let strangers = Strangers::new(clock.clone(), FORGIVEN);
        for number in 0..20_000 {
            strangers.note(peer(number));
        }
        assert_eq!(strangers.forgotten_at.lock().len(), MOST + 1);
        assert!(strangers.is_forgiven(peer(1)) && !strangers.is_forgiven(peer(19_999)));
        clock.advance(3_600);
        strangers.note(peer(20_000));
        assert_eq!(strangers.forgotten_at.lock().len(), 1);
    }
}

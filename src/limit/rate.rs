//! How often a principal may ask: the owner of governor.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock as Ticking;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::{OverLimit, Who};
use crate::clock::Clock;

/// Principals that are remembered with a rate of their own: some 5 MB. Those beyond share [`SHARED`] of them.
const MOST: usize = 100_000;
const SHARED: u64 = 1_024;

/// Between two looks for principals that need not be remembered any more.
const SWEEP: Duration = Duration::from_secs(1);

/// The rates of all principals.
#[derive(Debug)]
pub(super) struct Rates {
    limiter: RateLimiter<Who, HashMapStateStore<Who>, Steady, NoOpMiddleware<Duration>>,
    clock: Steady,
    rate: NonZeroU32,
    swept: AtomicU64,
}

/// The house's clock, as governor asks for it.
#[derive(Clone, Debug)]
struct Steady(Clock);

impl Ticking for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.steady()
    }
}

impl Rates {
    /// None for a rate of 0. A burst of 0 is one of 1: nobody could ever ask.
    pub(super) fn new(per_second: u32, burst: u32, clock: &Clock) -> Option<Self> {
        let rate = NonZeroU32::new(per_second)?;
        let quota = Quota::per_second(rate).allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        let clock = Steady(clock.clone());
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
        Some(Self { limiter, clock, rate, swept: AtomicU64::new(0) })
    }

    pub(super) fn charge(&self, who: Who) -> Result<(), OverLimit> {
        let full = self.sweep() >= MOST;
        self.limiter.check_key(&if full { who % SHARED } else { who }).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            OverLimit::Rate { rate: self.rate.get(), seconds: seconds.max(1) }
        })
    }

    /// Forgets who has not asked for as long as a whole burst takes; how many are left.
    fn sweep(&self) -> usize {
        let now = self.clock.now().as_secs();
        let swept = self.swept.load(Ordering::Relaxed);
        let due = now.abs_diff(swept) >= SWEEP.as_secs();
        if due && self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_seldom_is_forgotten_and_who_are_too_many_share() {
        let clock = Clock::held_at(1_000);
        let rates = Rates::new(1, 1, &clock).unwrap();
        let most = u64::try_from(MOST).unwrap();
        for who in 0..most + 10_000 {
            let _refused_where_it_is_shared = rates.charge(who + SHARED);
        }
        assert_eq!(rates.limiter.len(), MOST + usize::try_from(SHARED).unwrap());
        assert!(rates.charge(SHARED).is_err(), "who asks on is forgotten");
        clock.advance(10);
        assert!(rates.charge(7).is_ok());
        assert_eq!(rates.limiter.len(), 1);
    }
}

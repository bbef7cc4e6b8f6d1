//! How much is taken on at once: requests in flight, requests of one principal, bytes that wait in memory, large work.

mod aside;
mod body;
mod memory;
mod rate;

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::principal::Principal;
use crate::share::{Share, Shares};

pub use aside::{Aside, LARGE, Turn};
pub use body::{BODY_WITHIN, BodyError, JSON_BODY, read_json_body};
use memory::Memory;
pub use memory::Purse;
use rate::Rates;

/// What is taken on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests in flight, from their head to the end of their response's body.
    pub in_flight: usize,
    /// Those of one principal.
    pub in_flight_each: usize,
    /// Requests of one principal in a second, in the long run; 0 is no limit.
    pub requests_per_second: u32,
    /// How many of them may come at once.
    pub burst: u32,
    /// Bytes of bodies and answers that wait in memory, over all requests.
    pub memory: usize,
    /// Those of one principal.
    pub memory_each: usize,
}

impl Settings {
    /// Default of [`Settings::in_flight`].
    pub const IN_FLIGHT: usize = 1024;
    /// Default of [`Settings::in_flight_each`].
    pub const IN_FLIGHT_EACH: usize = 128;
    /// Default of [`Settings::memory`].
    pub const MEMORY: usize = 40 * 1024 * 1024;
    /// Default of [`Settings::memory_each`]: the largest body with its copies.
    pub const MEMORY_EACH: usize = 32 * 1024 * 1024;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight: Self::IN_FLIGHT,
            in_flight_each: Self::IN_FLIGHT_EACH,
            requests_per_second: 200,
            burst: 400,
            memory: Self::MEMORY,
            memory_each: Self::MEMORY_EACH,
        }
    }
}

/// The ceilings over all requests.
#[derive(Debug)]
pub struct Limits {
    in_flight: Arc<Semaphore>,
    each: Arc<Shares<Who>>,
    memory: Memory,
    rates: Option<Rates>,
    aside: Aside,
    names: RandomState,
}

/// A principal's user id, hashed with a key of this process: small, and nobody can aim for another's.
type Who = u64;

/// A request's place among all.
#[derive(Debug)]
#[must_use = "a place that is dropped is free"]
pub struct Place {
    permit: OwnedSemaphorePermit,
}

/// A principal's place and the memory that its request holds, free again when dropped.
#[derive(Debug)]
#[must_use = "a slot that is dropped is free: hold it until the response's body ends"]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    _share: Share<Who>,
    purse: Purse,
    aside: Aside,
}

/// What a request counts for against the rate of its principal, until it is counted.
#[derive(Debug)]
pub struct Fare(Option<Who>);

/// Too much at once; the caller may come again.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// Of everybody.
    #[error("too many requests are in flight")]
    InFlight,
    /// Of this principal.
    #[error("you have {0} requests in flight, which is as many as one may have")]
    Share(usize),
    /// Of this principal, in time.
    #[error("you ask more often than {rate} times a second; come again in {seconds} s")]
    Rate {
        /// What is allowed in the long run.
        rate: u32,
        /// When the next request would be taken, rounded up.
        seconds: u64,
    },
    /// Bytes that wait in memory, or large work that waits for the processor.
    #[error("too much of what is large is under way at once; come again in a moment")]
    Large,
}

impl OverLimit {
    /// When to come again, in seconds.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        match self {
            Self::Rate { seconds, .. } => *seconds,
            // Long enough for an MLflow that is slow; the Python client then gives up after 14 s instead of four minutes.
            Self::InFlight => 2,
            Self::Share(_) | Self::Large => 1,
        }
    }
}

impl Limits {
    /// Nothing is in flight yet.
    #[must_use]
    pub fn new(settings: Settings, clock: &Clock) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(settings.in_flight.min(Semaphore::MAX_PERMITS))),
            each: Shares::new(settings.in_flight_each),
            memory: Memory::new(settings.memory, settings.memory_each),
            rates: Rates::new(settings.requests_per_second, settings.burst, clock),
            aside: Aside::new(),
            names: RandomState::new(),
        }
    }

    /// Gives a place or sheds the request at once: a proxy that queues only hides the overload.
    ///
    /// # Errors
    /// Every place is taken.
    pub fn admit(&self) -> Result<Place, OverLimit> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| OverLimit::InFlight)?;
        Ok(Place { permit })
    }

    /// Gives a place to a principal.
    ///
    /// # Errors
    /// It has its share of them.
    pub fn seat(&self, place: Place, who: &Principal) -> Result<Slot, OverLimit> {
        let name = self.names.hash_one(&who.user);
        let share = self.each.take(name, 1).ok_or(OverLimit::Share(self.each.each()))?;
        let (purse, aside) = (self.memory.purse(name), self.aside.clone());
        Ok(Slot { _permit: place.permit, _share: share, purse, aside })
    }

    /// What a request of this principal counts for.
    #[must_use]
    pub fn fare(&self, who: &Principal) -> Fare {
        Fare(self.rates.is_some().then(|| self.names.hash_one(&who.user)))
    }

    /// Counts a request against the rate of its principal, once.
    ///
    /// # Errors
    /// It asks too often.
    pub fn charge(&self, fare: &mut Fare) -> Result<(), OverLimit> {
        let rates = self.rates.as_ref().zip(fare.0.take());
        rates.map_or(Ok(()), |(rates, who)| rates.charge(who))
    }
}

impl Slot {
    /// Keeps the slot until `body` has ended or is dropped.
    pub fn until_end_of<B>(self, body: B) -> Held<B> {
        Held { body, slot: Some(self) }
    }

    /// Accounts for `bytes` more that this request has in memory, and waits a moment for room. Small ones always fit.
    ///
    /// # Errors
    /// There is no room, or the principal has its share of it.
    pub async fn hold(&mut self, bytes: usize) -> Result<(), OverLimit> {
        self.purse.hold(bytes).await
    }

    /// Gives back what was accounted for beyond `bytes`.
    pub fn keep_only(&mut self, bytes: usize) {
        self.purse.keep_only(bytes);
    }

    /// A purse of the same principal's, for work that goes on beside other work of the same request.
    #[must_use]
    pub fn beside(&self) -> Purse {
        self.purse.beside()
    }

    /// Where large work is done.
    #[must_use]
    pub fn aside(&self) -> &Aside {
        &self.aside
    }

    /// What is accounted for.
    #[must_use]
    pub fn held(&self) -> usize {
        self.purse.bytes()
    }

    /// Accounts for `bytes` that cannot be refused any more.
    pub fn hold_anyway(&mut self, bytes: usize) {
        self.purse.hold_anyway(bytes);
    }
}

impl AsMut<Purse> for Slot {
    fn as_mut(&mut self) -> &mut Purse {
        &mut self.purse
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

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

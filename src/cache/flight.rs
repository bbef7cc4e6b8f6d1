//! Who asks what somebody else is asking waits for the same answer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::upstream::UpstreamError;

use super::Entry;
use super::generations::Mark;
use super::question::{Key, Question};

/// Questions that are being asked.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Arc<Flight>>>);

#[derive(Debug)]
struct Flight {
    /// Who came after a later write does not wait for what was asked before it.
    mark: Mark,
    answer: OnceCell<Result<Arc<Entry>, UpstreamError>>,
}

/// One of those who wait for a flight. The last of them to go takes it off the list.
struct Seat<'a> {
    flights: &'a Flights,
    key: Key,
    flight: Arc<Flight>,
}

impl Flights {
    /// The answer that `asking` gets, or that somebody else gets meanwhile. Whoever asks may go: then another one of those who
    /// wait asks.
    pub(super) async fn join(
        &self,
        question: &Question<'_>,
        mark: Mark,
        asking: impl Future<Output = Result<Arc<Entry>, UpstreamError>>,
    ) -> Result<Arc<Entry>, UpstreamError> {
        let seat = self.seat(question, mark);
        let mut own = None;
        let answered = seat.flight.answer.get_or_try_init(async || match asking.await {
            // Who asked has no room for it, or had broken off: the next one asks.
            Err(error @ (UpstreamError::NoRoom(_) | UpstreamError::CallerBroke(_))) => Err(error),
            Err(error) => {
                let shared = error.to_others();
                own = Some(error);
                Ok(Err(shared))
            }
            Ok(entry) => Ok(Ok(entry)),
        });
        let answered = answered.await?.as_ref().map(Arc::clone).map_err(UpstreamError::to_others);
        match own {
            Some(error) => Err(error),
            None => answered,
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().len()
    }

    fn seat(&self, question: &Question<'_>, mark: Mark) -> Seat<'_> {
        let key = Key::of(question);
        let mut flights = self.0.lock();
        let joined = flights.get(&key).filter(|flight| flight.mark == mark).map(Arc::clone);
        let flight = joined.unwrap_or_else(|| {
            let begun = Arc::new(Flight { mark, answer: OnceCell::new() });
            flights.insert(key.clone(), Arc::clone(&begun));
            begun
        });
        Seat { flights: self, key, flight }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock();
        let listed = flights.get(&self.key).is_some_and(|listed| Arc::ptr_eq(listed, &self.flight));
        // The list's and this one's: nobody else waits. A new one cannot come while the list is locked.
        if listed && (Arc::strong_count(&self.flight) <= 2 || self.flight.answer.initialized()) {
            flights.remove(&self.key);
        }
    }
}

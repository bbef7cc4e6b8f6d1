//! A budget over all bytes that requests make us hold: bodies that are read whole, and answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{OverLimit, Who};
use crate::share::{Share, Shares};

/// Bytes that a request may hold without being counted, so that small ones never wait. Places in flight bound their sum.
const FREE: usize = 32 * 1024;

/// The budget's smallest coin.
const UNIT: usize = 16 * 1024;

/// How long one waits for room.
const WAIT: Duration = Duration::from_secs(1);

/// All of it.
#[derive(Debug)]
pub(super) struct Memory {
    pool: Arc<Semaphore>,
    each: Arc<Shares<Who>>,
}

/// What one request holds of the memory that all may take; given back when dropped.
#[derive(Debug)]
pub struct Purse {
    pool: Arc<Semaphore>,
    each: Arc<Shares<Who>>,
    who: Who,
    bytes: usize,
    counted: Option<Counted>,
}

#[derive(Debug)]
struct Counted {
    units: usize,
    share: Share<Who>,
    permit: OwnedSemaphorePermit,
}

impl Memory {
    pub(super) fn new(all: usize, each: usize) -> Self {
        let pool = Arc::new(Semaphore::new((all / UNIT).min(Semaphore::MAX_PERMITS)));
        Self { pool, each: Shares::new(each / UNIT) }
    }

    pub(super) fn purse(&self, who: Who) -> Purse {
        Purse { pool: Arc::clone(&self.pool), each: Arc::clone(&self.each), who, bytes: 0, counted: None }
    }
}

impl AsMut<Self> for Purse {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl Purse {
    pub(super) fn beside(&self) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
            each: Arc::clone(&self.each),
            who: self.who,
            bytes: 0,
            counted: None,
        }
    }

    /// Accounts for `bytes` more. A principal that has its share is refused at once; where everybody's is taken, it waits.
    ///
    /// # Errors
    /// There is no room, or the principal has its share of it.
    pub async fn hold(&mut self, bytes: usize) -> Result<(), OverLimit> {
        let missing = self.missing(bytes);
        if missing > 0 {
            let share = self.each.take(self.who, missing).ok_or(OverLimit::Large)?;
            let many = u32::try_from(missing).map_err(|_| OverLimit::Large)?;
            let room = timeout(WAIT, Arc::clone(&self.pool).acquire_many_owned(many)).await;
            let permit = room.ok().and_then(Result::ok).ok_or(OverLimit::Large)?;
            self.count(missing, share, permit);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Takes what room there is: others then wait until this is gone.
    pub(super) fn hold_anyway(&mut self, bytes: usize) {
        let missing = self.missing(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        let there = u32::try_from(missing.min(self.pool.available_permits())).unwrap_or(0);
        let permit = Arc::clone(&self.pool).try_acquire_many_owned(there);
        if let (true, Ok(permit), Some(mut share)) = (missing > 0, permit, self.each.take(self.who, 0)) {
            share.grow_anyway(missing);
            self.count(missing, share, permit);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn keep_only(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        let needed = self.bytes.saturating_sub(FREE).div_ceil(UNIT);
        if let Some(counted) = &mut self.counted {
            let spare = counted.units.saturating_sub(needed);
            counted.units -= spare;
            counted.share.shrink(spare);
            // An overdraft has fewer coins than units.
            drop(counted.permit.split(spare.min(counted.permit.num_permits())));
        }
    }

    fn missing(&self, more: usize) -> usize {
        let counted = self.counted.as_ref().map_or(0, |counted| counted.units);
        self.bytes.saturating_add(more).saturating_sub(FREE).div_ceil(UNIT).saturating_sub(counted)
    }

    fn count(&mut self, units: usize, share: Share<Who>, permit: OwnedSemaphorePermit) {
        match &mut self.counted {
            Some(counted) => {
                counted.units += units;
                counted.permit.merge(permit);
                counted.share.merge(share);
            }
            None => self.counted = Some(Counted { units, share, permit }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Who = 1;
    const BOB: Who = 2;

    #[tokio::test(start_paused = true)]
    async fn what_is_small_is_free_and_what_is_large_is_shared() {
        let memory = Memory::new(8 * UNIT, 6 * UNIT);
        let mut large = memory.purse(ADA);
        large.hold(FREE + 6 * UNIT).await.unwrap();
        assert_eq!(large.hold(1).await, Err(OverLimit::Large), "more than one's share");
        let mut other = memory.purse(BOB);
        other.hold(FREE + 2 * UNIT).await.unwrap();
        assert_eq!(other.hold(1).await, Err(OverLimit::Large), "more than there is");
        for who in [ADA, BOB] {
            memory.purse(who).hold(FREE).await.unwrap();
        }
        let waiting = async {
            other.hold(1).await.unwrap();
        };
        tokio::join!(waiting, async { drop(large) });
        drop(other);
        assert_eq!(memory.pool.available_permits(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_needed_is_given_back() {
        let memory = Memory::new(8 * UNIT, 8 * UNIT);
        let mut purse = memory.purse(ADA);
        purse.hold(FREE + 8 * UNIT).await.unwrap();
        purse.keep_only(FREE + 2 * UNIT);
        memory.purse(BOB).hold(FREE + 6 * UNIT).await.unwrap();
        memory.purse(ADA).hold(FREE + 6 * UNIT).await.unwrap();
        purse.keep_only(0);
        assert_eq!(memory.pool.available_permits(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_refused_is_counted_all_the_same() {
        let memory = Memory::new(8 * UNIT, 6 * UNIT);
        let mut written = memory.purse(ADA);
        written.hold_anyway(FREE + 20 * UNIT);
        assert_eq!(memory.pool.available_permits(), 0);
        assert!(memory.purse(ADA).hold(FREE + 1).await.is_err());
        drop(written);
        assert_eq!(memory.pool.available_permits(), 8);
        memory.purse(ADA).hold(FREE + 6 * UNIT).await.unwrap();
    }
}

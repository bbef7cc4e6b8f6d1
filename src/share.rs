//! What many share, counted by who has it, so that nobody takes more than one's share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// Entries that a map keeps room for.
const FEW: usize = 1_024;

/// Who has how much of something; who has nothing of it is not remembered.
#[derive(Debug)]
pub struct Shares<K> {
    each: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// What one has; given back when dropped.
#[derive(Debug)]
pub struct Share<K: Copy + Eq + Hash> {
    shares: Arc<Shares<K>>,
    key: K,
    count: usize,
}

impl<K: Copy + Eq + Hash> Shares<K> {
    /// At most `each` for everybody.
    #[must_use]
    pub fn new(each: usize) -> Arc<Self> {
        Arc::new(Self { each, taken: Mutex::default() })
    }

    /// What everybody may have.
    #[must_use]
    pub fn each(&self) -> usize {
        self.each
    }

    /// Gives `count` to `key`, unless that were more than its share.
    #[must_use]
    pub fn take(self: &Arc<Self>, key: K, count: usize) -> Option<Share<K>> {
        let mut share = Share { shares: Arc::clone(self), key, count: 0 };
        share.grow(count).then_some(share)
    }
}

impl<K: Copy + Eq + Hash> Share<K> {
    /// Takes `more`; `false`, and nothing taken, if that were more than the share.
    #[must_use]
    pub fn grow(&mut self, more: usize) -> bool {
        let mut taken = self.shares.taken.lock();
        let all = taken.get(&self.key).copied().unwrap_or(0).saturating_add(more);
        let fits = all <= self.shares.each;
        if fits && more > 0 {
            taken.insert(self.key, all);
            self.count += more;
        }
        fits
    }

    /// Takes `more`, whether or not it is more than the share: what is there already has to be counted.
    pub fn grow_anyway(&mut self, more: usize) {
        *self.shares.taken.lock().entry(self.key).or_default() += more;
        self.count += more;
    }

    /// Puts another share of the same one to this.
    pub fn merge(&mut self, mut other: Self) {
        self.count += std::mem::take(&mut other.count);
    }

    /// Gives `less` back.
    pub fn shrink(&mut self, less: usize) {
        let less = less.min(self.count);
        self.count -= less;
        let mut taken = self.shares.taken.lock();
        if let Some(all) = taken.get_mut(&self.key) {
            *all = all.saturating_sub(less);
            if *all == 0 {
                taken.remove(&self.key);
            }
        }
        if taken.capacity() > FEW && taken.len() < taken.capacity() / 8 {
            taken.shrink_to(FEW);
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        self.shrink(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_ones_own_and_given_back_when_dropped() {
        let shares = Shares::new(3);
        let mut ada = shares.take("ada", 2).unwrap();
        assert!(shares.take("ada", 2).is_none());
        assert!(shares.take("bob", 3).is_some(), "one is told of another's share");
        assert!(ada.grow(1) && !ada.grow(1));
        ada.shrink(2);
        let more = shares.take("ada", 2).unwrap();
        drop((ada, more));
        assert!(shares.taken.lock().is_empty(), "who has nothing is remembered");
    }

    #[test]
    fn what_is_taken_anyway_counts_against_what_is_asked_for() {
        let shares = Shares::new(3);
        let mut ada = shares.take("ada", 0).unwrap();
        ada.grow_anyway(5);
        assert!(shares.take("ada", 1).is_none());
        drop(ada);
        assert!(shares.take("ada", 3).is_some());
    }
}

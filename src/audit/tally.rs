//! Reads that were allowed, counted: one line for each principal, operation, object and second.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::record::line::{Decision, Entry, Kind};

const SHARDS: usize = 16;
/// So many different reads of a second are told apart in one shard; the objects of more are left out.
const APART: usize = 4_096;

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Like {
    pub principal: Option<String>,
    pub roles: Vec<String>,
    pub access: Vec<String>,
    pub operation: Option<String>,
    pub object: Option<String>,
    pub demands: Vec<String>,
    pub policy: Option<String>,
    pub status: Option<u16>,
}

impl Like {
    /// What of a read's line it is counted by.
    pub(super) fn of(entry: Entry, status: Option<u16>) -> Self {
        Self {
            principal: entry.principal,
            roles: entry.roles,
            access: entry.access,
            operation: entry.operation,
            object: entry.object,
            demands: entry.demands,
            policy: entry.policy,
            status,
        }
    }
}

/// Counts.
#[derive(Debug)]
pub(super) struct Tally {
    shards: [Mutex<HashMap<Like, u64>>; SHARDS],
    /// Those of [`Again`] that count anything.
    again: Mutex<Vec<Arc<Again>>>,
    hasher: RandomState,
}

/// Reads that come again and again and are counted where they are, without a look for others like them.
#[derive(Debug)]
pub(super) struct Again {
    like: Like,
    count: AtomicU64,
}

impl Again {
    pub(super) fn new(like: Like) -> Arc<Self> {
        Arc::new(Self { like, count: AtomicU64::new(0) })
    }
}

impl Default for Tally {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, again: Mutex::default(), hasher: RandomState::new() }
    }
}

impl Tally {
    /// One more.
    pub(super) fn count(&self, like: Like) {
        self.add(like, 1);
    }

    /// One more of those that come again.
    pub(super) fn count_again(&self, again: &Arc<Again>) {
        if again.count.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        let mut counting = self.again.lock();
        if counting.len() < SHARDS * APART {
            return counting.push(Arc::clone(again));
        }
        drop(counting);
        self.add(again.like.clone(), again.count.swap(0, Ordering::SeqCst));
    }

    fn add(&self, mut like: Like, count: u64) {
        let place = usize::try_from(self.hasher.hash_one(&like) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(place) else { return };
        let mut shard = shard.lock();
        if shard.len() >= APART && !shard.contains_key(&like) {
            like.object = None;
            like.demands.clear();
        }
        *shard.entry(like).or_default() += count;
    }

    /// All that was counted since the last call, as lines.
    pub(super) fn take(&self, now: Timestamp) -> Vec<Entry> {
        for again in mem::take(&mut *self.again.lock()) {
            // Whoever counts after this has it listed anew.
            let count = again.count.swap(0, Ordering::SeqCst);
            if count > 0 {
                self.add(again.like.clone(), count);
            }
        }
        let counted = self.shards.iter().flat_map(|shard| mem::take(&mut *shard.lock()));
        counted
            .map(|(like, count)| {
                let mut entry = Entry::new(uuid::Uuid::now_v7().to_string(), now, Kind::Reads);
                entry.principal = like.principal;
                entry.roles = like.roles;
                entry.access = like.access;
                entry.operation = like.operation;
                entry.object = like.object;
                entry.demands = like.demands;
                entry.policy = like.policy;
                entry.status = like.status;
                entry.decision = Some(Decision::Allow);
                entry.count = Some(count);
                entry
            })
            .collect()
    }
}

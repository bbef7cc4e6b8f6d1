//! Reads that were allowed, counted: one line for each principal, operation, object and second.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::mem;

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

/// Counts.
#[derive(Debug)]
pub(super) struct Tally {
    shards: [Mutex<HashMap<Like, u64>>; SHARDS],
    hasher: RandomState,
}

impl Default for Tally {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl Tally {
    /// One more.
    pub(super) fn count(&self, mut like: Like) {
        let place = usize::try_from(self.hasher.hash_one(&like) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(place) else { return };
        let mut shard = shard.lock();
        if shard.len() >= APART && !shard.contains_key(&like) {
            like.object = None;
            like.demands.clear();
        }
        *shard.entry(like).or_default() += 1;
    }

    /// All that was counted since the last call, as lines.
    pub(super) fn take(&self, now: Timestamp) -> Vec<Entry> {
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

//! Tokens that were verified a moment ago: good ones alone, bounded in number and in time.

use std::sync::Arc;

use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use crate::principal::Principal;

const MOST_TOKENS: usize = 10_000;
const SECONDS: f64 = 60.0;

/// Names a token under one version of the keys; never the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket {
    version: u64,
    hash: [u8; 32],
}

#[derive(Clone)]
struct Held {
    principal: Arc<Principal>,
    from: f64,
    until: f64,
}

/// What is remembered, by ticket.
pub(super) struct Memory(Cache<Ticket, Held>);

impl Ticket {
    /// The version must have been read before the keys are.
    pub(super) fn new(token: &str, version: u64) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self { version, hash }
    }
}

impl Memory {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST_TOKENS))
    }

    /// Times are seconds since 1970. A clock set back below the moment of verification makes an entry useless.
    pub(super) fn recall(&self, ticket: &Ticket, now: f64) -> Option<Arc<Principal>> {
        let held = self.0.get(ticket)?;
        (held.from <= now && now < held.until).then_some(held.principal)
    }

    pub(super) fn keep(&self, ticket: Ticket, principal: &Arc<Principal>, now: f64, expiry: f64) {
        let until = expiry.min(now + SECONDS);
        if now < until {
            self.0.insert(ticket, Held { principal: Arc::clone(principal), from: now, until });
        }
    }
}

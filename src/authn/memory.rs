//! Tokens that were looked at a moment ago, good and bad: bounded in number and in time.

use std::sync::Arc;

use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use super::Unauthenticated;
use crate::principal::Principal;

const MOST_TOKENS: usize = 10_000;
const SECONDS: f64 = 60.0;

/// Bad ones: few, and not for long. They are a flood or a mistake, and neither may push out what is good.
const MOST_REFUSED: usize = 4_096;
const REFUSED_SECONDS: f64 = 10.0;

/// Names a token under one version of the keys; never the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket {
    version: u64,
    hash: [u8; 32],
}

#[derive(Clone)]
struct Held<T> {
    what: T,
    from: f64,
    until: f64,
}

/// What is remembered, by ticket.
pub(super) struct Memory {
    good: Cache<Ticket, Held<Arc<Principal>>>,
    /// Tokens that were good once, under whatever keys: they may be tried again when a stranger's may not.
    familiar: Cache<[u8; 32], ()>,
    refused: Cache<Ticket, Held<Unauthenticated>>,
}

impl Ticket {
    /// The version must have been read before the keys are.
    pub(super) fn new(token: &str, version: u64) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self { version, hash }
    }
}

impl<T> Held<T> {
    /// A clock set back below the moment of verification makes an entry useless.
    fn at(self, now: f64) -> Option<T> {
        (self.from <= now && now < self.until).then_some(self.what)
    }
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            good: Cache::new(MOST_TOKENS),
            familiar: Cache::new(MOST_TOKENS),
            refused: Cache::new(MOST_REFUSED),
        }
    }

    /// Times are seconds since 1970.
    pub(super) fn recall(&self, ticket: &Ticket, now: f64) -> Option<Arc<Principal>> {
        self.good.get(ticket)?.at(now)
    }

    /// Why the token was refused a moment ago.
    pub(super) fn recall_refusal(&self, ticket: &Ticket, now: f64) -> Option<Unauthenticated> {
        self.refused.get(ticket)?.at(now)
    }

    pub(super) fn is_familiar(&self, ticket: &Ticket) -> bool {
        self.familiar.get(&ticket.hash).is_some()
    }

    pub(super) fn keep(&self, ticket: Ticket, principal: &Arc<Principal>, now: f64, expiry: f64) {
        let until = expiry.min(now + SECONDS);
        if now < until {
            self.good.insert(ticket, Held { what: Arc::clone(principal), from: now, until });
            self.familiar.insert(ticket.hash, ());
        }
    }

    pub(super) fn keep_refusal(&self, ticket: Ticket, why: &Unauthenticated, now: f64) {
        self.familiar.remove(&ticket.hash);
        self.refused.insert(ticket, Held { what: why.clone(), from: now, until: now + REFUSED_SECONDS });
    }
}

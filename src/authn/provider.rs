//! The keys of an identity provider, fetched from its JWKS URL: one fetch at a time, few of them, and the last
//! known keys serve on while the provider is down.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::Uri;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use url::{Host, Url};

use super::keys::{Key, KeySet, KeySetError};
use super::source::{Version, past};
use super::token::Header;
use super::{StartError, Unauthenticated};
use crate::clock::Clock;
use crate::outbound::{Client, FetchError};

const LONGEST_JWKS: usize = 1024 * 1024;
const FETCH_WITHIN: Duration = Duration::from_secs(5);
const REFRESH_MS: i64 = 300_000;
const REFRESH_RETRY_MS: i64 = 30_000;
const FIRST_RETRY_MS: i64 = 1_000;
const UNKNOWN_KEY_MS: i64 = 30_000;
const MOST_WAITING: usize = 256;

/// One provider's keys.
#[derive(Debug)]
pub(super) struct Provider {
    uri: Uri,
    name: Box<str>,
    client: Client,
    clock: Clock,
    version: Version,
    keys: ArcSwapOption<KeySet>,
    plan: Mutex<Plan>,
    tasks: TaskTracker,
    waiting: Semaphore,
}

/// When what was last done, in milliseconds of the wall clock.
#[derive(Debug, Default)]
struct Plan {
    under_way: Option<CancellationToken>,
    tried: Option<i64>,
    succeeded: Option<i64>,
    asked_for_unknown: Option<i64>,
    body: Bytes,
}

#[derive(Clone, Copy)]
enum Reason {
    First,
    Refresh,
    UnknownKey,
}

#[derive(Debug, thiserror::Error)]
enum FetchFailed {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Content(#[from] KeySetError),
}

impl Provider {
    /// Fetches nothing yet.
    pub(super) fn new(url: &Url, clock: Clock, version: Version) -> Result<Self, StartError> {
        let bad = || StartError::KeysUrl(url.host_str().unwrap_or("").into());
        if !matches!(url.scheme(), "http" | "https") || url.password().is_some() || !url.username().is_empty()
        {
            return Err(bad());
        }
        let mut shown = url.clone();
        shown.set_fragment(None);
        let uri = shown.as_str().parse().map_err(|_| bad())?;
        shown.set_query(None);
        if url.scheme() == "http" && !is_loopback(url) {
            warn!(from = %shown, "keys are fetched without TLS: whoever is on the way can replace them");
        }
        Ok(Self {
            uri,
            name: shown.as_str().into(),
            client: Client::new()?,
            clock,
            version,
            keys: ArcSwapOption::empty(),
            plan: Mutex::default(),
            tasks: TaskTracker::new(),
            waiting: Semaphore::new(MOST_WAITING),
        })
    }

    /// Begins a fetch if it is time for one, and does not wait for it.
    pub(super) fn tend(self: &Arc<Self>) {
        let reason = if self.keys.load().is_none() { Reason::First } else { Reason::Refresh };
        self.fetch_if_due(reason);
    }

    /// A key that is known is found at once; for one that is not, at most one fetch is waited for.
    pub(super) async fn find(self: &Arc<Self>, header: &Header) -> Result<Arc<Key>, Unauthenticated> {
        let held = self.keys.load_full();
        let reason = match held.as_ref().map(|keys| keys.find(header)) {
            Some(Err(Unauthenticated::UnknownKey)) => Reason::UnknownKey,
            Some(decided) => return decided,
            None => Reason::First,
        };
        // Nobody knows yet who they are: strangers may not take every place of a request while a fetch is under way.
        if let (Some(under_way), Ok(_place)) = (self.fetch_if_due(reason), self.waiting.try_acquire()) {
            under_way.cancelled().await;
        }
        self.keys.load_full().ok_or(Unauthenticated::NoKeys)?.find(header)
    }

    /// What `/readyz` waits for. Asking begins the first fetch, so that readiness does not wait for a first caller.
    pub(super) fn waiting_for(self: &Arc<Self>) -> Option<String> {
        if self.keys.load().is_some() {
            return None;
        }
        self.fetch_if_due(Reason::First);
        Some(format!("keys of {}", self.name))
    }

    /// The fetch under way, or a new one if there may be one now. Its token is cancelled when it ends, even by a panic.
    fn fetch_if_due(self: &Arc<Self>, reason: Reason) -> Option<CancellationToken> {
        let mut plan = self.plan.lock();
        if let Some(under_way) = plan.under_way.as_ref().filter(|it| !it.is_cancelled()) {
            return Some(under_way.clone());
        }
        if !plan.allows(reason, &self.clock) {
            return None;
        }
        let under_way = CancellationToken::new();
        plan.under_way = Some(under_way.clone());
        let this = Arc::clone(self);
        let ended = under_way.clone().drop_guard();
        self.tasks.spawn(async move {
            this.fetch().await;
            drop(ended);
        });
        Some(under_way)
    }

    async fn fetch(&self) {
        let fetched = self.client.get_json(self.uri.clone(), LONGEST_JWKS, FETCH_WITHIN).await;
        let outcome = fetched.map_err(FetchFailed::from).and_then(|body| Ok((KeySet::of_jwks(&body)?, body)));
        let mut plan = self.plan.lock();
        match outcome {
            Ok((keys, body)) => {
                plan.succeeded = Some(self.clock.now().as_millisecond());
                if plan.body != body {
                    self.keys.store(Some(Arc::new(keys)));
                    self.version.raise();
                    plan.body = body;
                    info!(from = %self.name, "keys were fetched");
                }
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                warn!(from = %self.name, error, "keys cannot be fetched, those last known stay in force");
            }
        }
    }
}

impl Plan {
    fn allows(&mut self, reason: Reason, clock: &Clock) -> bool {
        let gone = |then: Option<i64>, span| then.is_none_or(|then| past(then, span, clock));
        let allowed = match reason {
            Reason::First => gone(self.tried, FIRST_RETRY_MS),
            Reason::Refresh => gone(self.succeeded, REFRESH_MS) && gone(self.tried, REFRESH_RETRY_MS),
            Reason::UnknownKey => gone(self.asked_for_unknown, UNKNOWN_KEY_MS),
        };
        if allowed {
            let now = Some(clock.now().as_millisecond());
            self.tried = now;
            if matches!(reason, Reason::UnknownKey) {
                self.asked_for_unknown = now;
            }
        }
        allowed
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;

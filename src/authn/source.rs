//! Where an issuer's keys come from, and how they are kept fresh.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::keys::{Key, KeySet};
use super::provider::Provider;
use super::token::Header;
use super::{KeySource, StartError, Unauthenticated};
use crate::clock::Clock;

const LOOK_EVERY_MS: i64 = 1_000;
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// A number that rises whenever any key set of the house changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Version(Arc<AtomicU64>);

impl Version {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// To be called once the new keys are in place: whoever reads the new number must find the new keys.
    pub(super) fn raise(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// One issuer's keys.
#[derive(Debug)]
pub(super) enum Source {
    Secret(KeySet),
    File(KeyFile),
    Url(Arc<Provider>),
}

impl Source {
    pub(super) fn open(source: KeySource, clock: &Clock, version: &Version) -> Result<Self, StartError> {
        match source {
            KeySource::Hs256(secret) => Ok(Self::Secret(KeySet::of_secret(&secret))),
            KeySource::JwksFile(path) => KeyFile::open(path, clock.clone(), version.clone()).map(Self::File),
            KeySource::JwksUrl(url) => {
                Provider::new(&url, clock.clone(), version.clone()).map(|it| Self::Url(Arc::new(it)))
            }
        }
    }

    /// Looks whether the keys have changed, if it is time to: waits for a file, and never for a provider.
    pub(super) async fn tend(&self) {
        match self {
            Self::Secret(_) => {}
            Self::File(file) => file.tend().await,
            Self::Url(provider) => provider.tend(),
        }
    }

    pub(super) async fn find(&self, header: &Header) -> Result<Arc<Key>, Unauthenticated> {
        match self {
            Self::Secret(keys) => keys.find(header),
            Self::File(file) => file.keys.load().find(header),
            Self::Url(provider) => provider.find(header).await,
        }
    }

    pub(super) fn waiting_for(&self) -> Option<String> {
        match self {
            Self::Secret(_) | Self::File(_) => None,
            Self::Url(provider) => provider.waiting_for(),
        }
    }
}

/// A JWKS file, read again when its bytes change.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    clock: Clock,
    version: Version,
    keys: ArcSwap<KeySet>,
    looked_at: AtomicI64,
    seen: Mutex<Vec<u8>>,
}

impl KeyFile {
    fn open(path: PathBuf, clock: Clock, version: Version) -> Result<Self, StartError> {
        let bytes =
            std::fs::read(&path).map_err(|source| StartError::ReadKeys { path: path.clone(), source })?;
        let keys =
            KeySet::of_jwks(&bytes).map_err(|source| StartError::BadKeys { path: path.clone(), source })?;
        let looked_at = AtomicI64::new(clock.now().as_millisecond());
        Ok(Self {
            path,
            clock,
            version,
            keys: ArcSwap::from_pointee(keys),
            looked_at,
            seen: Mutex::new(bytes),
        })
    }

    /// Bytes are compared, not times of change, which are too coarse and which a swapped symlink can set back.
    async fn tend(&self) {
        let due = || past(self.looked_at.load(Ordering::SeqCst), LOOK_EVERY_MS, &self.clock);
        if !due() {
            return;
        }
        let mut seen = self.seen.lock().await;
        if !due() {
            return;
        }
        let read = tokio::time::timeout(LOOK_WITHIN, tokio::fs::read(&self.path)).await;
        self.looked_at.store(self.clock.now().as_millisecond(), Ordering::SeqCst);
        let path = self.path.display();
        match read {
            Ok(Ok(bytes)) if bytes == *seen => {}
            Ok(Ok(bytes)) => {
                match KeySet::of_jwks(&bytes) {
                    Ok(keys) => {
                        self.keys.store(Arc::new(keys));
                        self.version.raise();
                        info!(%path, "keys were read again");
                    }
                    Err(error) => warn!(%path, %error, "new keys are not taken, the old ones stay in force"),
                }
                *seen = bytes;
            }
            Ok(Err(error)) => warn!(%path, %error, "keys cannot be read again, the old ones stay in force"),
            Err(_) => warn!(%path, "keys cannot be read in time, the old ones stay in force"),
        }
    }
}

/// Whether `span` milliseconds have gone by since `then`; a clock that was set back counts as gone by.
pub(super) fn past(then: i64, span: i64, clock: &Clock) -> bool {
    let now = clock.now().as_millisecond();
    now < then || now - then >= span
}

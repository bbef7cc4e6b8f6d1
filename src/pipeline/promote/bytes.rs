//! What a version's files are at the moment of its promotion.

use std::sync::Arc;

use crate::govern::Broken;
use crate::reject::Rejection;
use crate::stage::Stage;

use super::super::readings::{Hold, Reading};
use super::super::rules::Warned;
use super::super::{Frozen, Gate};
use super::candidate::Candidate;

/// A version in Development whose files are closed.
pub(super) struct Closed {
    /// The version since they are.
    pub candidate: Candidate,
    /// What holds them.
    pub frozen: Frozen,
    /// What they are; nothing where that is not known and need not be.
    pub digest: Option<String>,
}

impl Gate {
    /// Closes the files of a version in Development, and reads them. A reading that outlasts the call goes on, and the
    /// files stay closed for it: the next call has what was read.
    pub(super) async fn read_closed(
        &self,
        candidate: Candidate,
        warned: &mut Warned,
    ) -> Result<Closed, Rejection> {
        let until = self.readings.until();
        let (reading, candidate) = match self.resumed(&candidate).await? {
            Some(found) => found,
            None => match self.readings.place(until).await {
                Ok(place) => {
                    let Closed { candidate, frozen, .. } = self.close_now(candidate).await?;
                    let key = (candidate.id.clone(), Hold::Closed);
                    (self.readings.begin(key, Some(frozen), place), candidate)
                }
                Err(crowded) => {
                    self.broken(crowded, warned)?;
                    return self.close_now(candidate).await;
                }
            },
        };
        let digest = self.as_enforced(self.readings.told(&reading, until).await, warned)?;
        match (self.readings.claim(&reading).await, digest) {
            (Some(frozen), digest) => {
                let still = self.still_closed(&candidate, &frozen).await?;
                Ok(Closed { candidate: still.ok_or(Rejection::Overtaken)?, frozen, digest })
            }
            (None, None) => self.close_now(candidate).await,
            (None, Some(_)) => Err(Rejection::Overtaken),
        }
    }

    /// Closes the files of a version in Development. What is being read of them is of no use any more.
    pub(super) async fn close_now(&self, candidate: Candidate) -> Result<Closed, Rejection> {
        if let Some(reading) = self.readings.find(&(candidate.id.clone(), Hold::Closed)) {
            self.readings.forget(&reading);
        }
        let id = &candidate.id;
        let mut frozen = self.freeze(&id.model, id.version, id.created).await?;
        let candidate = self.now_closed(&candidate, &mut frozen).await?;
        Ok(Closed { candidate, frozen, digest: None })
    }

    /// What is being read of a version's closed files, if they have been closed ever since that began, or why it ended.
    async fn resumed(&self, candidate: &Candidate) -> Result<Option<(Arc<Reading>, Candidate)>, Rejection> {
        let key = (candidate.id.clone(), Hold::Closed);
        let Some(reading) = self.readings.find(&key) else { return Ok(None) };
        // Under its lock: it gives the files another change while it holds them.
        let closed = reading.closed.lock().await;
        let still = match &*closed {
            Some(frozen) => self.still_closed(candidate, frozen).await?,
            None if reading.is_failed() => {
                Some(self.candidate(&candidate.id.model, candidate.id.version).await?)
            }
            None => None,
        };
        drop(closed);
        if still.is_none() {
            self.readings.forget(&reading);
        }
        Ok(still.map(|still| (reading, still)))
    }

    /// The digest of the files of a version past Development, which must be the one that is kept. Nothing where they cannot
    /// be read and that is not enforced.
    pub(super) async fn true_digest(
        &self,
        candidate: &Candidate,
        warned: &mut Warned,
    ) -> Result<Option<String>, Rejection> {
        let until = self.readings.until();
        let key = (candidate.id.clone(), Hold::Stage(candidate.stand.change));
        let reading = match self.readings.joined(&key, true, until).await {
            Ok(reading) => reading,
            Err(crowded) => return self.broken(crowded, warned).map(|()| None),
        };
        let digest = self.as_enforced(self.readings.told(&reading, until).await, warned)?;
        if digest.is_some() {
            self.readings.forget(&reading);
        }
        self.is_kept(candidate, digest.as_deref(), warned).await?;
        Ok(digest)
    }

    /// The digest of a version's files, for whoever says something of them and promotes nothing.
    pub(in super::super) async fn digest_now(
        &self,
        candidate: &Candidate,
    ) -> Result<Option<String>, Rejection> {
        let (until, mut warned) = (self.readings.until(), Warned::new());
        let open = candidate.stand.stage == Stage::Development;
        let hold = if open { Hold::Nothing } else { Hold::Stage(candidate.stand.change) };
        if open && let Some((reading, _)) = self.resumed(candidate).await? {
            let told = self.readings.told(&reading, until).await;
            if told.is_ok() && self.resumed(candidate).await?.is_none() {
                return Err(Rejection::Overtaken);
            }
            return self.as_enforced(told, &mut warned);
        }
        let joined = self.readings.joined(&(candidate.id.clone(), hold), false, until).await;
        let reading = match joined {
            Ok(reading) => reading,
            Err(crowded) => return self.broken(crowded, &mut warned).map(|()| None),
        };
        let digest = self.as_enforced(self.readings.told(&reading, until).await, &mut warned)?;
        self.is_kept(candidate, digest.as_deref(), &mut warned).await?;
        Ok(digest)
    }

    /// No digest where that is not enforced.
    fn as_enforced(
        &self,
        told: Result<String, Rejection>,
        warned: &mut Warned,
    ) -> Result<Option<String>, Rejection> {
        match told {
            Ok(digest) => Ok(Some(digest)),
            Err(Rejection::Broken(broken)) => self.broken(broken, warned).map(|()| None),
            Err(other) => Err(other),
        }
    }

    async fn is_kept(
        &self,
        candidate: &Candidate,
        digest: Option<&str>,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        let Some(now) = digest.filter(|_| candidate.stand.stage != Stage::Development) else { return Ok(()) };
        match self.store.digest(&candidate.id).await? {
            Some(kept) if kept.digest != now || kept.source != candidate.found.source => {
                let what =
                    format!("its files are not those of the digest {}: they are now {now}", kept.digest);
                self.broken(Broken::Bytes(what), warned)
            }
            Some(_) | None => Ok(()),
        }
    }
}

//! Taking versions' digests, a few at once, behind the requests.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use tracing::{info, warn};

use crate::digest::{self, DigestError, End, Key, Outcome, Progress, Taken, Wish, dependencies};
use crate::facts::{FactError, Version};
use crate::govern::Mode;
use crate::ownership::{Holding, Registration};
use crate::reject::Rejection;
use crate::store::{KeptDigest, KeptFile, StoreError, VersionId};

use super::Gate;

/// The tag that shows a version's digest.
const HASH: &str = "model_hash";
/// The tag that shows what a version's code depends on.
const DEPENDENCIES: &str = "sekisho.dependencies";

/// Why a digest is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unkept {
    #[error(transparent)]
    Fact(#[from] FactError),
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "both the run's folder of that name and its logged model have files: register the logged model itself"
    )]
    TwoPlaces,
}

impl Unkept {
    /// Whether it may go well another time without anybody's doing.
    fn passes(&self) -> bool {
        let fact = |fact: &FactError| match fact {
            FactError::Upstream(_) | FactError::Unsettled => true,
            FactError::Status(status) => status.is_server_error(),
            FactError::Unreadable(_) | FactError::TooMany => false,
        };
        match self {
            Self::Store(_) => true,
            Self::Fact(error) | Self::Digest(DigestError::Fact(error)) => fact(error),
            Self::Digest(DigestError::Upstream(_) | DigestError::Changing) => true,
            Self::Digest(DigestError::Status(status)) => status.is_server_error(),
            Self::Digest(
                DigestError::NotReachable
                | DigestError::NoFiles
                | DigestError::Nowhere
                | DigestError::TooMany(_)
                | DigestError::List(_),
            )
            | Self::TwoPlaces => false,
        }
    }
}

/// How often it is looked whether the state store is there again.
const LOOK: Duration = Duration::from_millis(500);

/// So many versions are read at once: a large one does not hold up all others.
pub const ATTESTED_AT_ONCE: usize = 2;

impl Gate {
    /// Takes the digest of each version that is wanted, one after the other, until the drain.
    pub async fn attest(&self) {
        let work = async {
            loop {
                // Nothing could be kept, so nothing is read.
                while !self.store.standing().is_ready() {
                    tokio::time::sleep(LOOK).await;
                }
                let (key, wish, progress) = self.digests.next().await;
                let end = self.have_done(&key, wish, &progress).await;
                self.digests.end(&key, end);
            }
        };
        tokio::select! {
            () = self.drain.started() => {}
            () = work => {}
        }
    }

    async fn have_done(&self, (model, version): &Key, wish: Wish, progress: &Arc<Progress>) -> End {
        let mut left = wish;
        let mut created = None;
        match self.take_digest(model, *version, &mut left, &mut created, progress).await {
            Ok(end) => end,
            Err(error) => {
                let why = error.to_string();
                warn!(
                    model = &**model,
                    version,
                    error = why,
                    again = error.passes(),
                    "a digest could not be taken"
                );
                match created {
                    _ if error.passes() => End::PutOff(left, why),
                    // There is a digest, whatever becomes of its tags.
                    _ if left == Wish::Show => End::Shown,
                    Some(created) => End::Tells(created, Outcome::Failed(why)),
                    None => End::Well,
                }
            }
        }
    }

    /// `left` is what is still to be done if this fails.
    async fn take_digest(
        &self,
        model: &str,
        version: u64,
        left: &mut Wish,
        created: &mut Option<i64>,
        progress: &Arc<Progress>,
    ) -> Result<End, Unkept> {
        let number = version.to_string();
        let Some(found) = self.facts.version(&self.mlflow, model, &number).await? else {
            return Ok(End::Well);
        };
        *created = Some(found.created);
        let Some(id) = self.version_id(model, version, found.created).await? else { return Ok(End::Well) };
        // Before the files are read: a store that is away takes nothing.
        let before = self.store.digest(&id).await?;
        if let (Wish::Show, Some(kept)) = (*left, &before) {
            if !is_shown(&found, kept) {
                warn!(model, version, "the tags of a version do not show its digest, and are written again");
                self.show(&id, kept).await?;
            }
            return Ok(End::Shown);
        }
        let taken = self.read_files(model, version, progress).await?;
        if let Some(before) = &before
            && before.digest != taken.digest
            && *left != Wish::Replace
        {
            warn!(
                model,
                version,
                kept = before.digest,
                found = taken.digest,
                "the files of a version are not those that were registered"
            );
            return Ok(End::Tells(found.created, Outcome::Mismatch(taken.digest)));
        }
        let kept = kept_of(taken, &found.source, self.clock.now());
        self.store.keep_digest(&id, &kept).await?;
        info!(model, version, digest = kept.digest, files = kept.files.len(), "a digest is kept");
        *left = Wish::Show;
        self.show(&id, &kept).await?;
        Ok(End::Well)
    }

    /// Reads the files where they are: in one place, though a source may name two.
    pub(super) async fn read_files(
        &self,
        model: &str,
        version: u64,
        progress: &Arc<Progress>,
    ) -> Result<Taken, Unkept> {
        let mut places = self.ownership.places(&self.facts, &self.mlflow, model, version).await?;
        let Some(place) = places.pop() else { return Err(DigestError::NoFiles.into()) };
        for other in places {
            match digest::take(&self.facts, &self.mlflow, &other, progress).await {
                Ok(_) => return Err(Unkept::TwoPlaces),
                Err(DigestError::NoFiles) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(digest::take(&self.facts, &self.mlflow, &place, progress).await?)
    }

    /// Writes what is kept into the version's tags.
    async fn show(&self, id: &VersionId, kept: &KeptDigest) -> Result<(), Unkept> {
        let number = id.version.to_string();
        let version = (id.model.as_str(), number.as_str());
        let _beside = self.beside(version.0, version.1).await;
        let found = self.facts.version(&self.mlflow, version.0, version.1).await?;
        if found.is_none_or(|found| found.created != id.created) {
            // Another version may have its name by now.
            return Ok(self.store.forget(id).await?);
        }
        for (key, value) in shown(kept) {
            match self.facts.tag_version(&self.mlflow, version, (key, &value)).await {
                // It went while its files were read, or its model has another name now.
                Err(FactError::Status(StatusCode::NOT_FOUND)) => return Ok(self.store.forget(id).await?),
                written => written?,
            }
        }
        self.registry.touched(&id.model, id.version);
        Ok(())
    }

    /// What is kept of files that are changed counts no more, for nobody on the store: another sekisho, or this one after its
    /// end, would take approvals and evidence for the bytes that were there before.
    pub(super) async fn doubt_digests(&self, holding: &Holding) -> Result<(), Rejection> {
        let Some(wanted) = holding.changed().filter(|_| self.rules != Mode::Off) else { return Ok(()) };
        for overlap in self.ownership.known(wanted) {
            let Registration { model, version, created, .. } = &overlap.registration;
            if let Some(id) = self.version_id(model, *version, *created).await? {
                self.store.forget(&id).await?;
            }
        }
        Ok(())
    }

    /// Which version it is, whatever its model is called by and by: nothing if there is no such model.
    pub(super) async fn version_id(
        &self,
        model: &str,
        version: u64,
        created: i64,
    ) -> Result<Option<VersionId>, FactError> {
        let model_created = self.facts.model_created(&self.mlflow, model).await?;
        Ok(model_created.map(|model_created| VersionId {
            model: model.to_owned(),
            model_created,
            version,
            created,
        }))
    }
}

/// The tags that show a digest.
fn shown(kept: &KeptDigest) -> [(&'static str, String); 2] {
    [(HASH, kept.digest.clone()), (DEPENDENCIES, dependencies::tag(&kept.dependencies))]
}

/// Whether a version's tags show its digest.
pub(super) fn is_shown(found: &Version, kept: &KeptDigest) -> bool {
    shown(kept).iter().all(|(key, value)| found.tags.get(*key) == Some(value))
}

pub(super) fn kept_of(
    Taken { digest, files, dependencies }: Taken,
    source: &str,
    taken: Timestamp,
) -> KeptDigest {
    let files =
        files.into_iter().map(|file| KeptFile { path: file.path, size: file.size, sha256: file.sha256 });
    KeptDigest { source: source.to_owned(), digest, files: files.collect(), dependencies, taken }
}

//! What a version's files are at the moment of its promotion.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::digest::{DigestError, Progress};
use crate::govern::Broken;
use crate::reject::Rejection;
use crate::stage::Stage;

use super::super::Gate;
use super::super::attest::{Unkept, kept_of};
use super::super::rules::Warned;
use super::candidate::Candidate;

/// How long a promotion waits for the files to be read: clients wait for two minutes.
const READ: Duration = Duration::from_secs(90);

impl Gate {
    /// Reads the files and gives their digest. Of a version in Development it takes the place of the one that is kept; of
    /// any other it must be the one that is kept. Nothing where there are no files and that is not enforced.
    pub(in super::super) async fn true_digest(
        &self,
        candidate: &Candidate,
        warned: &mut Warned,
    ) -> Result<Option<String>, Rejection> {
        let id = &candidate.id;
        let progress = Arc::<Progress>::default();
        let read = timeout(READ, self.read_files(&id.model, id.version, &progress)).await;
        let taken = match read {
            Ok(Ok(taken)) => taken,
            Ok(Err(Unkept::Fact(error))) => return Err(error.into()),
            Ok(Err(Unkept::Store(error))) => return Err(error.into()),
            Ok(Err(Unkept::Digest(DigestError::Upstream(error)))) => return Err(error.into()),
            Ok(Err(error @ (Unkept::Digest(_) | Unkept::TwoPlaces))) => {
                self.broken(Broken::Bytes(format!("its files could not be read: {error}")), warned)?;
                return Ok(None);
            }
            Err(_) => {
                let counts = progress.counts();
                let what = format!(
                    "its files take too long to be read ({} of {} bytes in {} s)",
                    counts.bytes_done,
                    counts.bytes,
                    READ.as_secs()
                );
                self.broken(Broken::Bytes(what), warned)?;
                return Ok(None);
            }
        };
        let kept = self.store.digest(id).await?;
        let digest = taken.digest.clone();
        match kept {
            Some(kept) if kept.digest == digest && kept.source == candidate.found.source => {}
            Some(kept) if candidate.stand.stage != Stage::Development => {
                let what =
                    format!("its files are not those of the digest {}: they are now {digest}", kept.digest);
                self.broken(Broken::Bytes(what), warned)?;
            }
            Some(_) | None => {
                let kept = kept_of(taken, &candidate.found.source, self.clock.now());
                self.store.keep_digest(id, &kept).await?;
                self.digests.want(&id.model, id.version, crate::digest::Wish::Show);
            }
        }
        Ok(Some(digest))
    }
}

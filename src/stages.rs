//! Where versions stand, in memory: what the state store says, kept up by what is done here and by what others have done.
//!
//! A version that is not in here has never been promoted through sekisho; what its tag and MLflow say of it is believed.
//! Readers never wait for the store.

mod doubts;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use crate::stage::Stage;
use crate::store::{Stand, Store, StoreError};

pub use doubts::{Look, Sight};

use doubts::Doubts;

/// All versions of which the state store knows.
#[derive(Debug, Default)]
pub struct Stages(RwLock<Table>, Doubts, AtomicU64);

#[derive(Debug, Default)]
struct Table {
    models: HashMap<Arc<str>, HashMap<u64, Known>>,
    /// Up to which change the store was read.
    read: i64,
    /// When what was read last was surely all.
    seen: Option<Instant>,
}

/// Where a version stands, of which the state store knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// When its model was made, in milliseconds.
    pub model_created: i64,
    /// When it was made, in milliseconds: an older one of that number is another.
    pub created: i64,
    /// Its stage.
    pub stage: Stage,
    /// Whether its files are closed though it stands in `Development`.
    pub closing: bool,
    /// The change by which it came to stand so.
    pub change: i64,
}

impl Known {
    /// Whether nobody may change its files.
    #[must_use]
    pub fn is_frozen(self) -> bool {
        self.closing || self.stage != Stage::Development
    }
}

impl Stages {
    /// Where a version stands, if the state store knows it.
    #[must_use]
    pub fn of(&self, model: &str, version: u64, created: i64) -> Option<Known> {
        let table = self.0.read();
        table.models.get(model)?.get(&version).copied().filter(|known| known.created == created)
    }

    /// Where a version stands, by the state store, else by what is seen of it in MLflow.
    #[must_use]
    pub fn true_stage(
        &self,
        model: &str,
        version: u64,
        created: i64,
        tag: Option<&str>,
        mlflows: &str,
    ) -> Stage {
        let known = self.of(model, version, created);
        known.map_or_else(|| Stage::believed(tag, mlflows), |known| known.stage)
    }

    /// Versions of a model that the store knows, by number.
    #[must_use]
    pub fn of_model(&self, model: &str) -> Vec<(u64, Known)> {
        let table = self.0.read();
        let mut all: Vec<_> = table
            .models
            .get(model)
            .into_iter()
            .flatten()
            .map(|(version, known)| (*version, *known))
            .collect();
        all.sort_unstable_by_key(|(version, _)| *version);
        all
    }

    /// Versions of all models whose files are closed though they stand in `Development`: name, number, and what is known.
    #[must_use]
    pub fn closing(&self) -> Vec<(Arc<str>, u64, Known)> {
        let table = self.0.read();
        let all = table.models.iter().flat_map(|(model, versions)| {
            versions.iter().map(|(version, known)| (Arc::clone(model), *version, *known))
        });
        all.filter(|(_, _, known)| known.closing && known.stage == Stage::Development).collect()
    }

    /// A number that grows whenever a version comes to stand elsewhere.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.2.load(Ordering::SeqCst)
    }

    /// Up to which change the store was read.
    #[must_use]
    pub fn read_to(&self) -> i64 {
        self.0.read().read
    }

    /// What is in here was all of it at this time.
    pub fn saw_all(&self, at: Instant) {
        let mut table = self.0.write();
        table.seen = table.seen.max(Some(at));
    }

    /// Whether the store was ever read, and if `within` is given, no longer ago.
    #[must_use]
    pub fn is_seen(&self, within: Option<Duration>) -> bool {
        let seen = self.0.read().seen;
        seen.is_some_and(|seen| within.is_none_or(|within| seen.elapsed() < within))
    }

    /// Takes in what the store says.
    pub fn learn(&self, stand: &Stand) {
        let mut table = self.0.write();
        table.learn(stand);
        self.2.fetch_add(1, Ordering::SeqCst);
    }

    /// Reads from the store what has changed since the last time.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let read = self.0.read().read;
        let changed = store.stands_after(read).await?;
        let mut table = self.0.write();
        for stand in &changed {
            table.learn(stand);
            table.read = table.read.max(stand.change);
        }
        if !changed.is_empty() {
            self.2.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Table {
    fn learn(&mut self, stand: &Stand) {
        let Stand { id, stage, closing, gone, change, .. } = stand;
        // A rename changes the name under which a version is known.
        let model: Arc<str> = id.model.as_str().into();
        let versions = self.models.entry(model).or_default();
        // Of two versions of one number the later one is there; what is said of the other comes late.
        let newer = |known: &Known| {
            let (theirs, its) = ((known.model_created, known.created), (id.model_created, id.created));
            theirs > its || (theirs == its && known.change > *change)
        };
        if versions.get(&id.version).is_some_and(newer) {
            return;
        }
        if *gone {
            versions.remove(&id.version);
        } else {
            let known = Known {
                model_created: id.model_created,
                created: id.created,
                stage: *stage,
                closing: *closing,
                change: *change,
            };
            versions.insert(id.version, known);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::store::{Origin, VersionId};

    fn stand(version: u64, created: i64, stage: Stage, change: i64) -> Stand {
        let id = VersionId { model: "m".into(), model_created: 1, version, created };
        let (since, origin) = (Timestamp::UNIX_EPOCH, Origin::Registered);
        Stand { id, stage, since, origin, closing: false, gone: false, change }
    }

    #[test]
    fn the_store_is_believed_and_not_the_tag() {
        let stages = Stages::default();
        stages.learn(&stand(1, 10, Stage::Canary, 5));
        let shown = |created| stages.true_stage("m", 1, created, Some("Production"), "Production");
        assert_eq!(shown(10), Stage::Canary);
        assert_eq!(shown(11), Stage::Production, "a version of that number which was made later is another");
    }

    #[test]
    fn what_is_older_does_not_come_after_what_is_newer() {
        let stages = Stages::default();
        stages.learn(&stand(1, 10, Stage::Production, 7));
        stages.learn(&stand(1, 10, Stage::Canary, 6));
        assert_eq!(stages.of("m", 1, 10).map(|known| known.stage), Some(Stage::Production));
        stages.learn(&Stand { gone: true, ..stand(1, 10, Stage::Production, 8) });
        assert_eq!(stages.of("m", 1, 10), None);
    }
}

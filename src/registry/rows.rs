//! Every registered version with its tags, in memory and small.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::facts::{Tag, VersionRow, pages};
use crate::stage::Stage;
use crate::stages::Stages;

/// A model's name and a version's number.
pub(super) type Key = (Arc<str>, u64);

/// A version, as far as it is searched and shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// When it was made, in milliseconds since 1970.
    pub(super) created: i64,
    /// The house's stage, where the state store does not know the version.
    believed: Stage,
    pub(super) run: Option<Box<str>>,
    pub(super) source: Box<str>,
    /// By key.
    pub(super) tags: Box<[(Arc<str>, Box<str>)]>,
}

/// The tag that mirrors a version's stage.
pub(super) const STAGE: &str = "sekisho.stage";
/// A longer value is neither searched nor shown: MLflow takes 100,000 characters, and prompts use them.
const LONGEST_TAG: usize = 32 * 1024;
/// So much is kept of a version's tags, in the order of their keys.
const MOST_OF_TAGS: usize = 64 * 1024;
/// Where all tags together take more, only short values are kept of the versions that follow; at twice that, none.
const MOST_OF_ALL: usize = 256 * 1024 * 1024;
const SHORT: usize = 200;

impl Version {
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        let at = self.tags.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.tags.get(at).map(|(_, value)| &**value)
    }

    /// The house's stage.
    pub(super) fn stage(&self, (name, number): &Key, stages: &Stages) -> Stage {
        stages.of(name, *number, self.created).map_or(self.believed, |known| known.stage)
    }

    /// About how many bytes it takes in an answer.
    pub(super) fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len() + 6).sum();
        tags + self.source.len() + 400
    }
}

/// A version on its way in.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    updated: i64,
    version: Arc<Version>,
}

impl pages::Row for Row {
    fn is(&self, other: &Self) -> bool {
        self.key == other.key
    }

    fn updated(&self) -> i64 {
        self.updated
    }
}

/// Names and keys, each held once, and how many bytes of tags were taken in.
#[derive(Debug, Default)]
struct Words {
    words: Mutex<HashSet<Arc<str>>>,
    taken: AtomicUsize,
}

impl Words {
    /// The longest value that is still kept.
    fn longest(&self) -> usize {
        match self.taken.load(Ordering::Relaxed) {
            taken if taken < MOST_OF_ALL => LONGEST_TAG,
            taken if taken < 2 * MOST_OF_ALL => SHORT,
            _ => 0,
        }
    }

    fn word(&self, text: &str) -> Arc<str> {
        let mut words = self.words.lock();
        if let Some(known) = words.get(text) {
            return Arc::clone(known);
        }
        let word: Arc<str> = text.into();
        words.insert(Arc::clone(&word));
        word
    }
}

/// All versions, by model and number.
#[derive(Debug, Default)]
pub(super) struct Rows {
    versions: BTreeMap<Key, Arc<Version>>,
    words: Arc<Words>,
}

/// Makes rows for some [`Rows`].
pub(super) struct Maker(Arc<Words>);

impl Maker {
    pub(super) fn row(&self, mut shown: VersionRow) -> Row {
        let mut tags: Vec<(Arc<str>, Box<str>)> = Vec::new();
        let (mut held, longest) = (0, self.0.longest());
        let mut listed = std::mem::take(&mut shown.tags);
        listed.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        for Tag { key, value } in listed {
            let weight = key.len() + value.len();
            if value.len() <= longest && held + weight <= MOST_OF_TAGS {
                held += weight;
                tags.push((self.0.word(&key), value.into()));
            }
        }
        self.0.taken.fetch_add(held, Ordering::Relaxed);
        tags.dedup_by(|one, other| one.0 == other.0);
        let marked = tags.iter().find(|(key, _)| &**key == STAGE).map(|(_, value)| &**value);
        let version = Version {
            created: shown.creation_timestamp,
            believed: Stage::believed(marked, &shown.current_stage),
            run: shown.run().map(Into::into),
            source: shown.source.into(),
            tags: tags.into(),
        };
        // A number that none of MLflow's versions has.
        let number = shown.version.parse().unwrap_or(0);
        Row {
            key: (self.0.word(&shown.name), number),
            updated: shown.last_updated_timestamp,
            version: Arc::new(version),
        }
    }
}

impl Rows {
    pub(super) fn maker(&self) -> Maker {
        Maker(Arc::clone(&self.words))
    }

    pub(super) fn insert(&mut self, row: Row) {
        if row.key.1 > 0 {
            self.versions.insert(row.key, row.version);
        }
    }

    pub(super) fn remove(&mut self, model: &str, version: u64) {
        self.versions.remove(&(model.into(), version));
    }

    /// The numbers of a model's versions.
    pub(super) fn of_model(&self, model: &str) -> Vec<u64> {
        let from: Key = (model.into(), 0);
        let rows = self.versions.range((Bound::Included(from), Bound::Unbounded));
        rows.map_while(|((name, number), _)| (&**name == model).then_some(*number)).collect()
    }

    /// The numbers of those of a model's versions that stand in a stage.
    pub(super) fn standing_in(&self, model: &str, stage: Stage, stages: &Stages) -> Vec<u64> {
        let from: Key = (model.into(), 0);
        let rows = self.versions.range((Bound::Included(from), Bound::Unbounded));
        let of_model = rows.take_while(|((name, _), _)| &**name == model);
        let standing = of_model.filter(|(key, version)| version.stage(key, stages) == stage);
        standing.map(|((_, number), _)| *number).collect()
    }

    /// So many of the rows after `last`, in their order.
    pub(super) fn after(&self, last: Option<&Key>, most: usize) -> Vec<(Key, Arc<Version>)> {
        let from = last.map_or(Bound::Unbounded, |last| Bound::Excluded(last.clone()));
        let rows = self.versions.range((from, Bound::Unbounded)).take(most);
        rows.map(|(key, version)| (key.clone(), Arc::clone(version))).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.versions.len()
    }
}

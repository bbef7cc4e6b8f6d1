//! Every registered version and the files it names, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use tokio::time::Instant;

use crate::facts::Holder;
use crate::govern::sources::{self, Source};

use super::area::Wanted;

/// A registered version, as far as its files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The registered model.
    pub model: Arc<str>,
    /// The version's number.
    pub version: u64,
    /// When it was created, in milliseconds since 1970, by MLflow's clock.
    pub created: i64,
    /// The run that MLflow names with it.
    pub run: Option<String>,
    /// Its files.
    pub area: Source,
    /// When MLflow last said that it is there.
    pub seen: Instant,
}

type Key = (Arc<str>, u64);

impl Registration {
    fn key(&self) -> Key {
        (Arc::clone(&self.model), self.version)
    }

    /// Under which words it is looked for.
    fn words(&self) -> Vec<String> {
        let id = match &self.area {
            Source::Run(files) | Source::LoggedModel(files) => Some(files.id.clone()),
            Source::Prompt | Source::Version(_) | Source::Place(_) => None,
        };
        let mut words: Vec<String> = id.into_iter().chain(self.run.clone()).collect();
        words.dedup();
        words
    }
}

/// The index. What it does not hold may still be in MLflow; what it holds may be gone from there.
#[derive(Debug, Default)]
pub(super) struct Index {
    versions: BTreeMap<Key, Registration>,
    by_id: HashMap<String, BTreeSet<Key>>,
    by_place: BTreeMap<String, BTreeSet<Key>>,
}

impl Index {
    /// Takes a version in. One with a smaller number that was created later shows that its model was made anew: versions
    /// of the former are gone.
    pub(super) fn insert(&mut self, registration: Registration) {
        let key = registration.key();
        let from = Bound::Included((Arc::clone(&registration.model), registration.version));
        let to = Bound::Included((Arc::clone(&registration.model), u64::MAX));
        let former: Vec<Key> = self
            .versions
            .range((from, to))
            .filter(|(known, held)| **known == key || held.created < registration.created)
            .map(|(known, _)| known.clone())
            .collect();
        for known in &former {
            self.remove(known);
        }
        for word in registration.words() {
            self.by_id.entry(word).or_default().insert(key.clone());
        }
        if let Source::Place(place) = &registration.area {
            self.by_place.entry(sources::plain(place)).or_default().insert(key.clone());
        }
        self.versions.insert(key, registration);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        let Some(gone) = self.versions.remove(key) else { return };
        for word in gone.words() {
            forget(&mut self.by_id, &word, key);
        }
        if let Source::Place(place) = &gone.area {
            let place = sources::plain(place);
            if let Some(keys) = self.by_place.get_mut(&place) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_place.remove(&place);
                }
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.versions.len()
    }

    pub(super) fn all(&self) -> Vec<Registration> {
        self.versions.values().cloned().collect()
    }

    /// Forgets every version but these.
    pub(super) fn keep_only<'k>(&mut self, kept: impl Iterator<Item = (&'k str, &'k str)>) {
        let kept: HashSet<(&str, u64)> =
            kept.filter_map(|(model, version)| Some((model, version.parse().ok()?))).collect();
        let gone: Vec<Key> = self
            .versions
            .keys()
            .filter(|(model, version)| !kept.contains(&(&**model, *version)))
            .cloned()
            .collect();
        for key in &gone {
            self.remove(key);
        }
    }

    /// All versions of a model.
    pub(super) fn of_model(&self, model: &str) -> Vec<Registration> {
        let model: Arc<str> = model.into();
        let range = (Bound::Included((Arc::clone(&model), 0)), Bound::Included((model, u64::MAX)));
        self.versions.range(range).map(|(_, registration)| registration.clone()).collect()
    }

    pub(super) fn get(&self, model: &str, version: u64) -> Option<&Registration> {
        self.versions.get(&(Arc::from(model), version))
    }

    /// Every version that may have a file in common with what is wanted, the earliest first.
    pub(super) fn near(&self, wanted: &Wanted) -> Vec<Registration> {
        let id = match &wanted.holder {
            Some(Holder::Run(id) | Holder::LoggedModel(id)) => Some(id),
            None => None,
        };
        let mut keys: BTreeSet<&Key> =
            id.into_iter().chain(&wanted.run).filter_map(|word| self.by_id.get(word)).flatten().collect();
        let address = wanted.address();
        let above = address.match_indices('/').filter_map(|(at, _)| address.get(..at));
        for place in above.chain([address.as_str()]) {
            keys.extend(self.by_place.get(place).into_iter().flatten());
        }
        let from = format!("{address}/");
        let below = self.by_place.range(from.clone()..).take_while(|(place, _)| place.starts_with(&from));
        keys.extend(below.flat_map(|(_, keys)| keys));
        let mut found: Vec<Registration> =
            keys.into_iter().filter_map(|key| self.versions.get(key)).cloned().collect();
        found.sort_by_key(|registration| (registration.created, registration.key()));
        found
    }

    /// The version was there just now.
    pub(super) fn confirm(&mut self, key: &Key, now: Instant) {
        if let Some(registration) = self.versions.get_mut(key) {
            registration.seen = now;
        }
    }
}

fn forget(map: &mut HashMap<String, BTreeSet<Key>>, word: &str, key: &Key) {
    if let Some(keys) = map.get_mut(word) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(model: &str, version: u64, created: i64, source: &str) -> Registration {
        let area = sources::of_text(source).expect("a sound source");
        Registration { model: model.into(), version, created, run: None, area, seen: Instant::now() }
    }

    fn run(path: &str) -> Wanted {
        let root = "s3://b/1/r/artifacts".to_owned();
        Wanted { holder: Some(Holder::Run("r".into())), root, run: None, name: None, path: path.into() }
    }

    fn names(index: &Index, wanted: &Wanted) -> Vec<String> {
        index.near(wanted).iter().map(|found| format!("{}/{}", found.model, found.version)).collect()
    }

    #[test]
    fn versions_are_found_by_id_and_by_place_and_the_earliest_comes_first() {
        let mut index = Index::default();
        index.insert(version("b", 1, 20, "runs:/r/model"));
        index.insert(version("a", 1, 30, "s3://b/1/r/artifacts/model"));
        index.insert(version("c", 1, 10, "s3://b/1"));
        index.insert(version("d", 1, 5, "runs:/other/model"));
        index.insert(version("e", 1, 6, "s3://b/1/r/artifacts2"));
        assert_eq!(names(&index, &run("model/x")), ["c/1", "b/1", "a/1"]);
        assert_eq!(names(&index, &run("")), ["c/1", "b/1", "a/1"]);
        index.remove(&("c".into(), 1));
        assert_eq!(names(&index, &run("model/x")), ["b/1", "a/1"]);
        assert_eq!(index.by_place.len(), 2);
    }

    #[test]
    fn a_model_made_anew_has_none_of_the_former_versions() {
        let mut index = Index::default();
        for number in 1..4 {
            index.insert(version("m", number, number.cast_signed(), "runs:/r/model"));
        }
        index.insert(version("m", 1, 9, "runs:/other/model"));
        assert_eq!(names(&index, &run("model")), Vec::<String>::new());
        assert_eq!(index.of_model("m").len(), 1);
        index.insert(version("m", 2, 10, "runs:/r/model"));
        assert_eq!(names(&index, &run("model")), ["m/2"]);
    }

    #[test]
    fn the_same_version_again_takes_the_place_of_the_former() {
        let mut index = Index::default();
        index.insert(version("m", 1, 1, "runs:/r/model"));
        index.insert(version("m", 1, 1, "runs:/other/model"));
        assert_eq!(names(&index, &run("model")), Vec::<String>::new());
        assert_eq!(index.by_id.len(), 1);
    }
}

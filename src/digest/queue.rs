//! Which versions' digests are to be taken, and how far that is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Progress;

/// A version by its model's name and its number.
pub type Key = (Arc<str>, u64);

/// Digests that are to be taken, are being taken, or could not be.
#[derive(Debug, Default)]
pub struct Digests {
    inner: Mutex<Inner>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    wanted: HashMap<Key, Wanted>,
    /// Whose turn it is, in this order.
    waiting: VecDeque<Key>,
    /// What is tried again, by when.
    put_off: BTreeMap<(Instant, u64), Key>,
    /// So many were put off.
    number: u64,
    underway: HashMap<Key, Underway>,
    told: HashMap<Key, Told>,
    /// Keys of what is told, the oldest first; what was told twice is here twice.
    tellings: VecDeque<Key>,
}

/// What is wanted of a version. What comes later includes what is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Its tags are to show the digest that is kept.
    Show,
    /// Its digest is to be taken, and compared with one that is kept.
    Take,
    /// The same, and one that differs takes the place of the one that is kept: the files were changed through this process.
    Replace,
}

#[derive(Debug)]
struct Wanted {
    wish: Wish,
    tries: u32,
    /// When it is tried again, and why it was put off.
    put_off: Option<((Instant, u64), String)>,
}

#[derive(Debug)]
struct Underway {
    progress: Arc<Progress>,
    tries: u32,
}

#[derive(Debug)]
struct Told {
    /// The version's creation: a number that is used again is another version.
    created: i64,
    outcome: Outcome,
    at: Instant,
}

/// What came of a version's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is no digest, and why.
    Failed(String),
    /// The files are not those of which the digest was kept: what they are now.
    Mismatch(String),
}

/// How a version's turn ends.
#[derive(Debug)]
pub enum End {
    /// What is kept is right, or there is no such version.
    Well,
    /// The tags show what is kept. The files were not looked at.
    Shown,
    /// Something is to be told of the version of this creation.
    Tells(i64, Outcome),
    /// It is tried again.
    PutOff(Wish, String),
}

/// How far a version's digest is. Of one that was taken the state store knows.
#[derive(Clone, Debug)]
pub enum State {
    /// Others come first, or it is tried again; then why.
    Waiting(Option<String>),
    /// It is being taken.
    Underway(Arc<Progress>),
    /// It could not be taken, or is another one.
    Ended(Outcome),
}

/// The most versions that wait. One that finds no room is taken when it is asked for again.
const MOST: usize = 100_000;
/// Of so many is told that they have no digest or another one. Of one that was forgotten it is found out again.
const MOST_TOLD: usize = 10_000;
/// Until something is tried again; each time twice as long, up to the second.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// What failed is tried again when it is looked at so much later.
const STALE: Duration = Duration::from_secs(60);

impl Digests {
    /// Has something done for a version, once, however often this is asked before it is its turn.
    pub fn want(&self, model: &str, version: u64, wish: Wish) {
        let mut inner = self.inner.lock();
        inner.want((model.into(), version), wish);
        drop(inner);
        self.woken.notify_one();
    }

    /// A model has a new name: what is wanted of its versions is wanted under that one.
    pub fn renamed(&self, model: &str, new_name: &str) {
        let mut inner = self.inner.lock();
        let mut wishes: Vec<(u64, Wish)> = Vec::new();
        let wanted = inner.wanted.iter().filter(|(key, _)| *key.0 == *model);
        wishes.extend(wanted.map(|(key, wanted)| (key.1, wanted.wish)));
        let underway = inner.underway.keys().filter(|key| *key.0 == *model);
        wishes.extend(underway.map(|key| (key.1, Wish::Take)));
        let new_name: Arc<str> = new_name.into();
        for (version, wish) in wishes {
            inner.want((Arc::clone(&new_name), version), wish);
        }
        drop(inner);
        self.woken.notify_one();
    }

    /// How far the digest of a version of this creation is; nothing where nobody wants it.
    #[must_use]
    pub fn state(&self, model: &str, version: u64, created: i64) -> Option<State> {
        let key: Key = (model.into(), version);
        let inner = self.inner.lock();
        if let Some(Underway { progress, .. }) = inner.underway.get(&key) {
            return Some(State::Underway(Arc::clone(progress)));
        }
        if let Some(wanted) = inner.wanted.get(&key).filter(|wanted| wanted.wish > Wish::Show) {
            return Some(State::Waiting(wanted.put_off.as_ref().map(|(_, why)| why.clone())));
        }
        let told = inner.told.get(&key).filter(|told| told.created == created)?;
        Some(State::Ended(told.outcome.clone()))
    }

    /// Whether a version's digest should be tried, now that somebody looks at a version that has none.
    #[must_use]
    pub fn is_due(&self, model: &str, version: u64, created: i64) -> bool {
        let key: Key = (model.into(), version);
        let inner = self.inner.lock();
        let known = inner.wanted.contains_key(&key) || inner.underway.contains_key(&key);
        let told = inner.told.get(&key).filter(|told| told.created == created);
        !known && told.is_none_or(|told| told.at.elapsed() >= STALE)
    }

    /// The next version, what is wanted of it, and where its progress is told.
    pub async fn next(&self) -> (Key, Wish, Arc<Progress>) {
        loop {
            let woken = self.woken.notified();
            let soonest = match self.begin(Instant::now()) {
                Ok(next) => {
                    // There may be work for another.
                    self.woken.notify_one();
                    return next;
                }
                Err(soonest) => soonest,
            };
            match soonest {
                Some(soonest) => drop(timeout_at(soonest, woken).await),
                None => woken.await,
            }
        }
    }

    fn begin(&self, now: Instant) -> Result<(Key, Wish, Arc<Progress>), Option<Instant>> {
        let mut inner = self.inner.lock();
        while let Some(due) = inner.put_off.first_entry().filter(|due| due.key().0 <= now) {
            let key = due.remove();
            inner.waiting.push_back(key);
        }
        while let Some(key) = inner.waiting.pop_front() {
            let Some(Wanted { wish, tries, .. }) = inner.wanted.remove(&key) else { continue };
            let progress = Arc::<Progress>::default();
            inner.underway.insert(key.clone(), Underway { progress: Arc::clone(&progress), tries });
            return Ok((key, wish, progress));
        }
        Err(inner.put_off.first_key_value().map(|((when, _), _)| *when))
    }

    /// A version's turn is over. What was asked for meanwhile is next.
    pub fn end(&self, key: &Key, end: End) {
        let mut inner = self.inner.lock();
        let tries = inner.underway.remove(key).map_or(0, |underway| underway.tries);
        match end {
            End::Shown => {}
            End::Well => drop(inner.told.remove(key)),
            End::Tells(created, outcome) => inner.tell(key, created, outcome),
            End::PutOff(wish, why) => inner.put_off(key, wish, tries.saturating_add(1), why),
        }
        if inner.wanted.get(key).is_some_and(|wanted| wanted.put_off.is_none()) {
            inner.waiting.push_back(key.clone());
        }
        drop(inner);
        self.woken.notify_one();
    }
}

impl Inner {
    fn want(&mut self, key: Key, wish: Wish) {
        if let Some(wanted) = self.wanted.get_mut(&key) {
            wanted.wish = wanted.wish.max(wish);
            if let Some((when, _)) = wanted.put_off.take() {
                self.put_off.remove(&when);
                self.waiting.push_back(key);
            }
            return;
        }
        if self.wanted.len() >= MOST {
            return;
        }
        // Of one that is underway the end says that it waits.
        if !self.underway.contains_key(&key) {
            self.waiting.push_back(key.clone());
        }
        self.wanted.insert(key, Wanted { wish, tries: 0, put_off: None });
    }

    fn put_off(&mut self, key: &Key, wish: Wish, tries: u32, why: String) {
        if let Some(wanted) = self.wanted.get_mut(key) {
            wanted.wish = wanted.wish.max(wish);
            return;
        }
        let pause = PAUSE
            .saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX))
            .min(LONGEST_PAUSE);
        self.number += 1;
        let when = (Instant::now() + pause, self.number);
        self.put_off.insert(when, key.clone());
        self.wanted.insert(key.clone(), Wanted { wish, tries, put_off: Some((when, why)) });
    }

    fn tell(&mut self, key: &Key, created: i64, outcome: Outcome) {
        self.told.insert(key.clone(), Told { created, outcome, at: Instant::now() });
        self.tellings.push_back(key.clone());
        while self.tellings.len() > MOST_TOLD {
            if let Some(oldest) = self.tellings.pop_front() {
                self.told.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(why: &str) -> Outcome {
        Outcome::Failed(why.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_waits_once_and_a_change_while_it_is_taken_is_not_lost() {
        let digests = Digests::default();
        digests.want("m", 1, Wish::Take);
        digests.want("m", 1, Wish::Replace);
        digests.want("m", 2, Wish::Take);
        let (key, wish, _) = digests.next().await;
        assert_eq!((key.1, wish), (1, Wish::Replace));
        digests.want("m", 1, Wish::Replace);
        // Nobody else takes it meanwhile.
        assert_eq!(digests.next().await.0.1, 2);
        assert!(matches!(digests.state("m", 1, 0), Some(State::Underway(_))));
        digests.end(&key, End::Tells(0, failed("too late")));
        assert!(matches!(digests.state("m", 1, 0), Some(State::Waiting(None))));
        let (key, wish, _) = digests.next().await;
        assert_eq!((key.1, wish), (1, Wish::Replace));
        digests.end(&key, End::Well);
        assert!(digests.state("m", 1, 0).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_off_comes_again_later_each_time() {
        let digests = Digests::default();
        digests.want("m", 1, Wish::Take);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let begun = Instant::now();
            let (key, ..) = digests.next().await;
            pauses.push(begun.elapsed().as_secs());
            digests.end(&key, End::PutOff(Wish::Take, "away".into()));
            assert!(matches!(digests.state("m", 1, 0), Some(State::Waiting(Some(_)))));
            assert!(!digests.is_due("m", 1, 0));
        }
        assert_eq!(pauses[..5], [0, 2, 4, 8, 16]);
        assert_eq!(pauses[11], LONGEST_PAUSE.as_secs());
        let begun = Instant::now();
        digests.want("m", 1, Wish::Replace);
        assert_eq!(digests.next().await.1, Wish::Replace);
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_is_of_one_version_alone_and_outlives_its_tags() {
        let digests = Digests::default();
        let key: Key = ("m".into(), 1);
        digests.end(&key, End::Tells(7, Outcome::Mismatch("x".into())));
        digests.want("m", 1, Wish::Show);
        let (key, ..) = digests.next().await;
        digests.end(&key, End::Shown);
        assert!(matches!(digests.state("m", 1, 7), Some(State::Ended(Outcome::Mismatch(_)))));
        assert!(digests.state("m", 1, 8).is_none());
        assert!(digests.is_due("m", 1, 8) && !digests.is_due("m", 1, 7));
        tokio::time::advance(STALE).await;
        assert!(digests.is_due("m", 1, 7));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_is_told_is_forgotten() {
        let digests = Digests::default();
        for version in 0..=MOST_TOLD as u64 {
            digests.end(&("m".into(), version), End::Tells(0, failed("no files")));
        }
        assert!(digests.state("m", 0, 0).is_none());
        assert!(digests.state("m", 1, 0).is_some());
        assert_eq!(digests.inner.lock().told.len(), MOST_TOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_name_is_followed() {
        let digests = Digests::default();
        digests.want("old", 1, Wish::Take);
        digests.next().await;
        digests.want("old", 2, Wish::Replace);
        digests.renamed("old", "new");
        let mut next = Vec::new();
        for _ in 0..3 {
            let (key, wish, _) = digests.next().await;
            next.push((key.0.to_string(), key.1, wish));
        }
        assert!(next.contains(&("new".into(), 1, Wish::Take)));
        assert!(next.contains(&("new".into(), 2, Wish::Replace)));
    }
}

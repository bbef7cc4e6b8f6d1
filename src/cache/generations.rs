//! What was written through here, as numbers that only grow: of each model, and of all of them together.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Now;
use super::news::{Log, News, Scope};
use super::replicas::{SILENCE, Telling, Told};
use crate::clock::Clock;

/// Models share a number with others by their hash: what one of them loses without need is asked for once more.
const SLOTS: usize = 1 << 14;

/// A write of which nobody knows what became may be done for so long after its answer was given up.
pub(super) const UNSETTLED: Duration = Duration::from_secs(60);

/// A write's answer waits so long for the others to be told.
const TELLING: Duration = Duration::from_millis(500);

/// The numbers.
#[derive(Debug)]
pub struct Generations {
    /// Those of models, and at the end that of lists, which every write of any model changes.
    slots: Box<[Slot]>,
    /// How often everything was forgotten.
    flushes: AtomicU64,
    hasher: RandomState,
    clock: Clock,
    others: OnceLock<Others>,
    /// What the numbers of models do not tell: which they were.
    log: Mutex<Log>,
    /// Writes of an earlier process, of which nobody knows yet what became.
    left: AtomicU32,
}

/// Other sekishos that write to the same MLflow.
#[derive(Debug)]
struct Others {
    telling: Telling,
    /// Until when all that they told is known, in milliseconds.
    heard_until: AtomicU64,
    /// Something could not be told.
    owes_flush: AtomicBool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: AtomicU64,
    /// Writes that are on their way.
    changing: AtomicU32,
    /// Until when a write may still be done, in milliseconds.
    unsettled: AtomicU64,
}

/// A moment, as far as one slot goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    slot: usize,
    generation: u64,
    flushes: u64,
}

/// A write of some models that is on its way, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Change {
    generations: Arc<Generations>,
    slots: Vec<usize>,
    models: Vec<Box<str>>,
    /// Nobody can say which models it changes.
    any: bool,
    /// Others were told.
    told: bool,
    /// An earlier process had begun it.
    left: bool,
    scope: Mutex<Scope>,
    sent: AtomicBool,
    unsettled: AtomicBool,
}

impl Default for Generations {
    fn default() -> Self {
        Self::new(Clock::system())
    }
}

impl Generations {
    /// Nothing was written yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let slots = std::iter::repeat_with(Slot::default).take(SLOTS + 1).collect();
        let (flushes, log, left) = (AtomicU64::new(0), Mutex::default(), AtomicU32::new(0));
        Self { slots, flushes, hasher: RandomState::new(), clock, others: OnceLock::new(), log, left }
    }

    /// The moment before MLflow is asked about a model, or about all of them. Nothing while a write of it is on its way: what
    /// MLflow says then is nobody's to keep.
    #[must_use]
    pub fn mark(&self, model: Option<&str>, now: Now) -> Option<Mark> {
        let slot = model.map_or(SLOTS, |model| self.slot_of(model));
        let flushes = self.flushes.load(Ordering::SeqCst);
        let generation = self.slots.get(slot)?.generation.load(Ordering::SeqCst);
        let mark = Mark { slot, generation, flushes };
        self.holds(mark, now).then_some(mark)
    }

    /// Whether nothing was written since that moment, nor is being written, as far as that can be known.
    #[must_use]
    pub fn holds(&self, mark: Mark, now: Now) -> bool {
        self.hears(now)
            && self.slots.get(mark.slot).is_some_and(|slot| {
                slot.generation.load(Ordering::SeqCst) == mark.generation
                    && slot.changing.load(Ordering::SeqCst) == 0
                    && u128::from(slot.unsettled.load(Ordering::SeqCst)) <= now.as_millis()
            })
            && self.flushes.load(Ordering::SeqCst) == mark.flushes
    }

    /// A write of these models begins.
    pub fn change<'a>(self: &Arc<Self>, models: impl IntoIterator<Item = &'a str>) -> Change {
        let mut change = Change {
            generations: Arc::clone(self),
            slots: vec![SLOTS],
            models: Vec::new(),
            any: false,
            told: false,
            left: false,
            scope: Mutex::new(Scope::All),
            sent: AtomicBool::new(true),
            unsettled: AtomicBool::new(false),
        };
        for model in models {
            change.slots.push(self.slot_of(model));
            change.models.push(model.into());
        }
        for slot in change.slots() {
            slot.changing.fetch_add(1, Ordering::SeqCst);
        }
        change
    }

    /// A write begins of which nobody can say which models it changes: its end has everything forgotten.
    pub fn change_of_any(self: &Arc<Self>) -> Change {
        let mut change = self.change([]);
        change.any = true;
        change
    }

    /// An earlier process had begun a write of these models.
    pub fn change_that_was_left<'a>(self: &Arc<Self>, models: impl IntoIterator<Item = &'a str>) -> Change {
        let mut change = self.change(models);
        change.left = !change.models.is_empty();
        self.left.fetch_add(u32::from(change.left), Ordering::SeqCst);
        change
    }

    /// Nothing that was known before holds any more.
    pub fn flush(&self) {
        self.log.lock().note_everything();
        self.flushes.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of this moment: every write that has ended was before it.
    #[must_use]
    pub fn moment(&self) -> u64 {
        self.log.lock().now()
    }

    /// What was written since a moment.
    #[must_use]
    pub fn news(&self, since: u64) -> News {
        self.log.lock().since(since)
    }

    /// Whether it is known of every write that was begun what became of it, or will be when it ends.
    #[must_use]
    pub fn is_settled(&self, now: Now) -> bool {
        let lists = self.slots.get(SLOTS);
        let unsettled = |slot: &Slot| u128::from(slot.unsettled.load(Ordering::SeqCst));
        self.hears(now)
            && self.left.load(Ordering::SeqCst) == 0
            && lists.is_some_and(|slot| unsettled(slot) <= now.as_millis())
    }

    /// Others are told from now on, and must be heard.
    pub(super) fn share(&self, telling: Telling) {
        let (heard_until, owes_flush) = (AtomicU64::new(0), AtomicBool::new(false));
        // Once, at the start.
        let _ = self.others.set(Others { telling, heard_until, owes_flush });
    }

    /// Whether all that others told until a moment ago is known.
    #[must_use]
    pub fn hears(&self, now: Now) -> bool {
        let until = |others: &Others| u128::from(others.heard_until.load(Ordering::SeqCst));
        self.others.get().is_none_or(|others| now.as_millis() < until(others))
    }

    /// All that others told until a moment ago is known now. After a silence nothing from before it is.
    pub(super) fn heard_others(&self) {
        let now = self.clock.steady();
        let Some(others) = self.others.get() else { return };
        if !self.hears(now) {
            self.flush();
        }
        others.heard_until.store(millis(now.saturating_add(SILENCE)), Ordering::SeqCst);
    }

    /// Another sekisho has written these models.
    pub(super) fn changed_elsewhere<'a>(&self, models: impl Iterator<Item = &'a str>, unsettled: bool) {
        let until = if unsettled { millis(self.clock.steady().saturating_add(UNSETTLED)) } else { 0 };
        let noted = models.inspect(|model| self.log.lock().note(model, Scope::All));
        for slot in noted.map(|model| self.slot_of(model)).chain([SLOTS]) {
            if let Some(slot) = self.slots.get(slot) {
                slot.unsettled.fetch_max(until, Ordering::SeqCst);
                slot.generation.fetch_add(1, Ordering::SeqCst);
            }
        }
        if unsettled {
            self.log.lock().note_everything();
        }
    }

    /// Whether others are to forget everything, because something could not be told; asked, it is owed no more.
    pub(super) fn owes_flush(&self) -> bool {
        self.others.get().is_some_and(|others| others.owes_flush.swap(false, Ordering::SeqCst))
    }

    /// Has others told, if there are any and they can be. Who is not told now is told to forget everything when it is heard.
    pub(super) fn tell(&self, told: Told) {
        let Some(others) = self.others.get() else { return };
        // Nobody waits for a connection that is lost.
        if !self.hears(self.clock.steady()) || others.telling.try_send(told).is_err() {
            others.owes_flush.store(true, Ordering::SeqCst);
        }
    }

    /// Names that a database may take for the same one, because it does not look at case, share a slot.
    fn slot_of(&self, model: &str) -> usize {
        let hash = self.hasher.hash_one(model.to_lowercase());
        usize::try_from(hash % SLOTS as u64).unwrap_or(0)
    }
}

impl Change {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter_map(|slot| self.generations.slots.get(*slot))
    }

    /// Not a byte of it reached MLflow: what was known before holds.
    pub fn was_not_sent(&self) {
        self.sent.store(false, Ordering::SeqCst);
    }

    /// It is about no more of its models than this.
    pub fn is_of(&self, scope: Scope) {
        *self.scope.lock() = scope;
    }

    /// Nobody knows whether it was done, or will be: for some time nothing is kept of what it is about.
    pub fn is_unsettled(&self) {
        let until = millis(self.generations.clock.steady().saturating_add(UNSETTLED));
        self.unsettled.store(true, Ordering::SeqCst);
        for slot in self.slots() {
            slot.unsettled.fetch_max(until, Ordering::SeqCst);
        }
    }
}

impl Change {
    /// It has ended, and others are told before this ends, if that does not take long.
    pub async fn end(mut self) {
        if self.models.is_empty() && !self.any {
            return;
        }
        let (done, told) = oneshot::channel();
        self.tell(Some(done));
        drop(self);
        // Closed or late, they hear of it some other way.
        let _ = timeout(TELLING, told).await;
    }

    fn tell(&mut self, done: Option<oneshot::Sender<()>>) {
        if self.told || !self.sent.load(Ordering::SeqCst) {
            return;
        }
        self.told = true;
        let models = std::mem::take(&mut self.models);
        if !models.is_empty() || self.any {
            let unsettled = self.unsettled.load(Ordering::SeqCst);
            self.note(&models, unsettled || self.any);
            self.generations.tell(Told { models, unsettled, flush: self.any, done });
        }
    }

    fn note(&self, models: &[Box<str>], unsettled: bool) {
        let (mut log, scope) = (self.generations.log.lock(), *self.scope.lock());
        if unsettled {
            log.note_everything();
        } else {
            models.iter().for_each(|model| log.note(model, scope));
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Change {
    fn drop(&mut self) {
        self.tell(None);
        let sent = self.sent.load(Ordering::SeqCst);
        if sent && self.any {
            self.generations.flush();
        }
        self.generations.left.fetch_sub(u32::from(self.left), Ordering::SeqCst);
        for slot in self.slots() {
            // Before it ends: in between nothing is known.
            slot.generation.fetch_add(u64::from(sent), Ordering::SeqCst);
            slot.changing.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether all that was written is known, and what was written since a moment.
    fn check(generations: &Generations, since: u64, expected: (bool, Option<&[&str]>)) {
        let models = match generations.news(since) {
            News::Everything => None,
            News::Of(touched, _) => Some(touched.iter().map(|one| one.model.to_string()).collect::<Vec<_>>()),
        };
        let expected_models = expected.1.map(|models| models.iter().map(ToString::to_string).collect());
        assert_eq!((generations.is_settled(Duration::ZERO), models), (expected.0, expected_models));
    }

    #[test]
    fn whoever_keeps_a_picture_is_told_of_every_kind_of_write() {
        let generations = Arc::new(Generations::new(Clock::held_at(1_000_000)));
        let start = generations.moment();
        drop(generations.change(["a"]));
        let unsent = generations.change(["b"]);
        unsent.was_not_sent();
        drop(unsent);
        check(&generations, start, (true, Some(&["a"])));

        let (left, nameless) =
            (generations.change_that_was_left(["c"]), generations.change_that_was_left([]));
        check(&generations, start, (false, Some(&["a"])));
        drop(left);
        check(&generations, start, (true, Some(&["a", "c"])));
        drop(nameless);

        drop(generations.change_of_any());
        check(&generations, start, (true, None));
        let after = generations.moment();
        generations.change(["d"]).is_unsettled();
        check(&generations, after, (false, None));
    }
}

//! What was written through here, as numbers that only grow: of each model, and of all of them together.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::Now;
use crate::clock::Clock;

/// Models share a number with others by their hash: what one of them loses without need is asked for once more.
const SLOTS: usize = 1 << 14;

/// A write of which nobody knows what became may be done for so long after its answer was given up.
const UNSETTLED: Duration = Duration::from_secs(60);

/// The numbers.
#[derive(Debug)]
pub struct Generations {
    /// Those of models, and at the end that of lists, which every write of any model changes.
    slots: Box<[Slot]>,
    /// How often everything was forgotten.
    flushes: AtomicU64,
    hasher: RandomState,
    clock: Clock,
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
    sent: AtomicBool,
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
        Self { slots, flushes: AtomicU64::new(0), hasher: RandomState::new(), clock }
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

    /// Whether nothing was written since that moment, nor is being written.
    #[must_use]
    pub fn holds(&self, mark: Mark, now: Now) -> bool {
        self.slots.get(mark.slot).is_some_and(|slot| {
            slot.generation.load(Ordering::SeqCst) == mark.generation
                && slot.changing.load(Ordering::SeqCst) == 0
                && u128::from(slot.unsettled.load(Ordering::SeqCst)) <= now.as_millis()
        }) && self.flushes.load(Ordering::SeqCst) == mark.flushes
    }

    /// A write of these models begins.
    pub fn change<'a>(self: &Arc<Self>, models: impl IntoIterator<Item = &'a str>) -> Change {
        let mut slots: Vec<usize> = models.into_iter().map(|model| self.slot_of(model)).collect();
        slots.push(SLOTS);
        let change = Change { generations: Arc::clone(self), slots, sent: AtomicBool::new(true) };
        for slot in change.slots() {
            slot.changing.fetch_add(1, Ordering::SeqCst);
        }
        change
    }

    /// Nothing that was known before holds any more.
    pub fn flush(&self) {
        self.flushes.fetch_add(1, Ordering::SeqCst);
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

    /// Nobody knows whether it was done, or will be: for some time nothing is kept of what it is about.
    pub fn is_unsettled(&self) {
        let until = self.generations.clock.steady().saturating_add(UNSETTLED).as_millis();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        for slot in self.slots() {
            slot.unsettled.fetch_max(until, Ordering::SeqCst);
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let sent = self.sent.load(Ordering::SeqCst);
        for slot in self.slots() {
            // Before it ends: in between nothing is known.
            slot.generation.fetch_add(u64::from(sent), Ordering::SeqCst);
            slot.changing.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

//! Where a new name belongs among those that are known, which only MLflow's database can tell: it is asked for the name and
//! some others, in order.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::again::{Again, quoted};
use super::pages::ReadError;
use super::shelf::{Shelf, Spot};

/// So many names are asked for beside the new one.
const PIVOTS: usize = 15;
/// A place is found in so many questions: each leaves a fifteenth of the names.
const ROUNDS: usize = 12;

/// The names of one list in MLflow's order, those that come among them.
pub(super) struct Places {
    names: Vec<Arc<str>>,
    prompt: bool,
    new: HashSet<Arc<str>>,
}

impl Places {
    pub(super) fn new(shelf: &Shelf, prompt: bool, gone: impl Fn(&str) -> bool) -> Self {
        let names = shelf.of_names(prompt).iter().filter_map(|id| shelf.row(*id));
        let names = names.filter(|row| !gone(&row.name)).map(|row| Arc::clone(&row.name)).collect();
        Self { names, prompt, new: HashSet::new() }
    }

    /// Finds the place of a name.
    pub(super) async fn find(&mut self, again: &Again<'_>, name: &Arc<str>) -> Result<(), ReadError> {
        let (mut low, mut high) = (0, self.names.len());
        let mut near = self.guesses(name);
        for _ in 0..ROUNDS {
            if low == high {
                self.names.insert(low, Arc::clone(name));
                self.new.insert(Arc::clone(name));
                return Ok(());
            }
            let pivots = self.pivots(low, high, std::mem::take(&mut near));
            if pivots.is_empty() {
                break;
            }
            let mut asked: Vec<&str> =
                pivots.iter().filter_map(|at| self.names.get(*at)).map(AsRef::as_ref).collect();
            asked.push(name);
            let told = again.of_names(&asked, self.prompt).await?;
            let order: Vec<&str> = told.iter().map(|row| &*row.name).collect();
            let (from, to) = self.between(&pivots, &order, name).ok_or(ReadError::NoPlace)?;
            (low, high) = (from.unwrap_or(low).max(low), to.unwrap_or(high).min(high));
            if low > high {
                break;
            }
        }
        Err(ReadError::NoPlace)
    }

    /// How databases are known to sort: by bytes, or by letters without case and signs first.
    fn guesses(&self, name: &str) -> Vec<usize> {
        let by_bytes = self.names.partition_point(|other| **other < *name);
        let by_letters = self.names.partition_point(|other| by_letters(other, name) == Ordering::Less);
        let around = |at: usize| [at.checked_sub(2), at.checked_sub(1), Some(at), Some(at + 1)];
        around(by_bytes).into_iter().chain(around(by_letters)).flatten().collect()
    }

    /// Names to be compared with: those that are near, and some at equal distances.
    fn pivots(&self, low: usize, high: usize, near: Vec<usize>) -> Vec<usize> {
        let mut pivots: BTreeSet<usize> = near.into_iter().filter(|at| (low..high).contains(at)).collect();
        let step = ((high - low) / (PIVOTS - pivots.len().min(PIVOTS - 1))).max(1);
        let spread = (low + step / 2..high).step_by(step);
        for at in spread {
            if pivots.len() >= PIVOTS {
                break;
            }
            pivots.insert(at);
        }
        pivots
            .into_iter()
            .filter_map(|at| self.that_can_be_asked_for(at, low, high))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// The nearest name that a filter can hold.
    fn that_can_be_asked_for(&self, at: usize, low: usize, high: usize) -> Option<usize> {
        let can = |at: &usize| self.names.get(*at).is_some_and(|name| quoted(name).is_some());
        (at..high).find(can).or_else(|| (low..at).rev().find(can))
    }

    /// Between which places a name was told to stand; nothing if it was not told, or the others stand in another order.
    fn between(&self, pivots: &[usize], told: &[&str], name: &str) -> Option<(Option<usize>, Option<usize>)> {
        let place = |other: &&str| {
            pivots.iter().copied().find(|at| self.names.get(*at).is_some_and(|name| **name == **other))
        };
        let at = told.iter().position(|other| **other == *name)?;
        let before: Vec<usize> = told.iter().take(at).filter_map(place).collect();
        let after: Vec<usize> = told.iter().skip(at + 1).filter_map(place).collect();
        let all: Vec<usize> = before.iter().chain(&after).copied().collect();
        let rises = all.windows(2).all(|pair| pair.first() < pair.last());
        rises.then(|| (before.last().map(|at| at + 1), after.first().copied()))
    }

    /// The names that came, each after the one before it.
    pub(super) fn spots(self) -> Vec<(Arc<str>, Spot)> {
        let Self { names, new, .. } = self;
        let mut before = Spot::First;
        let mut spots = Vec::new();
        for name in names {
            let spot = std::mem::replace(&mut before, Spot::After(Arc::clone(&name)));
            if new.contains(&name) {
                spots.push((name, spot));
            }
        }
        spots
    }
}

/// About as glibc and ICU do.
fn by_letters(one: &str, other: &str) -> Ordering {
    let letters = |text: &str| -> String {
        text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    letters(one).cmp(&letters(other)).then_with(|| one.cmp(other))
}

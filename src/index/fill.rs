//! The whole registry is read, at the start and again and again: so what was written past here is seen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLock;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::drain::Drain;

use super::again::quoted;
use super::filter::Like;
use super::order::Order;
use super::pages::{Asker, Known, ReadError, Reading};
use super::picture::Picture;
use super::rows::Row;
use super::shelf::{Shelf, Which};
use super::sorted::Side;
use super::{Index, Kind};

/// How often it is looked whether there is anything to do.
const TICK: Duration = Duration::from_millis(500);
/// Between two readings lies so many times what the last one took.
const REST: u32 = 10;
/// And an answer is never older than so many times that, or than the time to live.
const OLDEST: u32 = 25;
/// After a reading that failed.
const PAUSE: Duration = Duration::from_secs(2);
/// So often it is looked at least for what was written, though nobody asks.
const KEEP_UP: u32 = 10;
/// The most bytes that rows may take. Beyond that everything goes to MLflow.
const MOST: usize = 512 * 1024 * 1024;

impl Index {
    /// Reads the registry and keeps up with it until the drain.
    pub async fn keep(&self, asker: Asker<'_>, clock: &Clock, drain: &Drain) {
        let Some(ttl) = self.ttl else { return };
        let mut every = tokio::time::interval(TICK);
        let (mut not_before, mut ticks) = (clock.steady(), 0_u32);
        while !self.is_off.load(Ordering::Relaxed) {
            tokio::select! {
                () = drain.started() => return,
                _ = every.tick() => {}
            }
            let now = clock.steady();
            let due = self.picture.load().as_ref().is_none_or(|picture| {
                let rest = (picture.took * REST).max(ttl / 2);
                now.saturating_sub(picture.asked) >= rest || self.knows_too_little(picture)
            });
            if due && now >= not_before && self.generations.is_settled(now) {
                let read = tokio::select! {
                    () = drain.started() => return,
                    read = self.read_all(asker, clock) => read,
                };
                let ended = clock.steady();
                not_before = ended.saturating_add(ended.saturating_sub(now));
                if let Err(error) = read {
                    self.told(&error);
                    not_before = not_before.max(ended.saturating_add(PAUSE));
                }
            }
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(KEEP_UP) {
                tokio::select! {
                    () = drain.started() => return,
                    _ = self.current(asker, clock.steady()) => {}
                }
            }
        }
    }

    fn told(&self, error: &ReadError) {
        match error {
            ReadError::TooLarge => {
                self.is_off.store(true, Ordering::Relaxed);
                self.picture.store(None);
                warn!(
                    bytes = MOST,
                    "the registry is too large to be kept in memory: lists and searches go to mlflow"
                );
            }
            ReadError::Fact(_) | ReadError::Moving | ReadError::NoPlace => {
                debug!(%error, "the registry is not known in whole yet");
            }
        }
    }

    /// Whether more was written than can be asked for one by one.
    fn knows_too_little(&self, picture: &Picture) -> bool {
        matches!(self.generations.news(picture.applied()), crate::cache::news::News::Everything)
    }

    pub(super) fn oldest(&self, took: Duration) -> Duration {
        (took * OLDEST).max(self.ttl.unwrap_or_default())
    }

    pub(super) fn fits(&self, shelf: &Shelf) -> Result<(), ReadError> {
        if shelf.weight() > MOST { Err(ReadError::TooLarge) } else { Ok(()) }
    }

    async fn read_all(&self, asker: Asker<'_>, clock: &Clock) -> Result<(), ReadError> {
        let (moment, asked) = (self.generations.moment(), clock.steady());
        let before = self.picture.load_full();
        let fresh = RwLock::new(Shelf::default());
        let known = |name: &str, version: u32| {
            // What has stayed as it was is kept once, and each name too.
            let known = fresh.read().known(name, version);
            let bytes = before.as_ref().and_then(|before| before.shelf.read().known(name, version)?.1);
            known.map(|(name, _)| (name, bytes.clone())).or_else(|| Some((name.into(), bytes)))
        };
        self.read_models(asker, &known, &fresh).await?;
        self.read_versions(asker, &known, &fresh).await?;
        let shelf = fresh.into_inner();
        let orders = before.as_ref().map(|before| before.shelf.read().orders()).unwrap_or_default();
        drop(before);
        let shelf = sorted(shelf, orders).await.ok_or(ReadError::Moving)?;
        let picture = Picture::new(shelf, moment, asked, clock.steady().saturating_sub(asked));
        let _turn = self.asking.lock().await;
        self.refresh(asker, &picture).await?;
        self.learn(asker, &picture).await?;
        let (models, versions) = picture.shelf.read().counts();
        let first = self.picture.swap(Some(Arc::new(picture))).is_none();
        if first {
            info!(models, versions, "the registry is known: lists and searches are answered from memory");
        }
        Ok(())
    }

    async fn read_models(
        &self,
        asker: Asker<'_>,
        known: &Known<'_>,
        fresh: &RwLock<Shelf>,
    ) -> Result<(), ReadError> {
        for prompt in [false, true] {
            let reading = Reading { asker, hasher: &self.hasher, known, kind: Kind::Models, prompt };
            let take = |rows: &mut Vec<Row>, done: usize| {
                let mut shelf = fresh.write();
                rows.drain(..done).for_each(|row| shelf.push_model(row, prompt));
                self.fits(&shelf).is_ok()
            };
            reading.whole("", "name ASC", take).await?;
        }
        Ok(())
    }

    async fn read_versions(
        &self,
        asker: Asker<'_>,
        known: &Known<'_>,
        fresh: &RwLock<Shelf>,
    ) -> Result<(), ReadError> {
        for prompt in [false, true] {
            let reading = Reading { asker, hasher: &self.hasher, known, kind: Kind::Versions, prompt };
            // The versions of one model come together, and not always on one page.
            let mut held: Vec<Row> = Vec::new();
            let mut whole = true;
            let take = |rows: &mut Vec<Row>, done: usize| {
                let mut shelf = fresh.write();
                for row in rows.drain(..done) {
                    if held.last().is_some_and(|last| last.name != row.name) {
                        whole &= put(&mut shelf, prompt, std::mem::take(&mut held));
                    }
                    held.push(row);
                }
                self.fits(&shelf).is_ok()
            };
            reading.whole("", "name ASC", take).await?;
            whole &= put(&mut fresh.write(), prompt, held);
            if !whole {
                debug!("a version was listed whose model was not: it was written meanwhile");
            }
        }
        Ok(())
    }

    /// Finds out how MLflow's database compares texts: a name that is there, in the other case.
    pub(super) async fn learn(&self, asker: Asker<'_>, picture: &Picture) -> Result<(), ReadError> {
        let Some((prompt, name)) = known_name(&picture.shelf.read()) else { return Ok(()) };
        let other = other_case(&name);
        let Some(text) = quoted(&other) else { return Ok(()) };
        let known = |_: &str, _: u32| None;
        let reading = Reading { asker, hasher: &self.hasher, known: &known, kind: Kind::Models, prompt };
        let mut alike = true;
        let expectations = expectations(&picture.shelf.read(), prompt, &other);
        for (comparator, expected) in expectations {
            let rows = reading.all(&format!("name {comparator} {text}"), "name ASC").await?;
            alike &= rows.iter().map(|row| &*row.name).eq(expected.iter().map(AsRef::as_ref));
        }
        if picture.texts.set(alike).is_ok() && !alike {
            info!("mlflow's database compares texts in its own way: filters go to mlflow");
        }
        Ok(())
    }
}

/// Puts the versions of one model where they belong.
fn put(shelf: &mut Shelf, prompt: bool, rows: Vec<Row>) -> bool {
    let Some(name) = rows.first().map(|row| Arc::clone(&row.name)) else { return true };
    shelf.versions(&name, Which::All, prompt, rows)
}

/// The orders in which rows are asked for, made where nobody waits for it.
async fn sorted(mut shelf: Shelf, orders: Vec<(Side, Order)>) -> Option<Shelf> {
    let usual =
        Order::read(Kind::Versions, &[]).map(|order| (Side { kind: Kind::Versions, prompt: false }, order));
    let work = move || {
        for (side, order) in orders.into_iter().rev().chain(usual) {
            let (made, stamp) = (shelf.make_sorted(side, &order), shelf.stamp());
            shelf.keep_sorted(made, stamp);
        }
        shelf
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// A name that has another case, and can be asked for.
fn known_name(shelf: &Shelf) -> Option<(bool, Arc<str>)> {
    let fit = |name: &str| {
        name.is_ascii()
            && name.contains(|letter: char| letter.is_ascii_alphabetic())
            && quoted(name).is_some()
    };
    [false, true].into_iter().find_map(|prompt| {
        let names = shelf.of_names(prompt).iter().filter_map(|id| shelf.row(*id));
        // One with an `i`, which some languages fold in their own way, tells most.
        let tells = |name: &str| (name.contains(['i', 'I']), name.len() < 200);
        let best =
            names.map(|row| &row.name).filter(|name| fit(name)).take(1_000).max_by_key(|name| tells(name));
        best.map(|name| (prompt, Arc::clone(name)))
    })
}

fn other_case(name: &str) -> String {
    let other = |letter: char| {
        if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    name.chars().map(other).collect()
}

/// What each comparator finds if MLflow compares as it is done here.
fn expectations(shelf: &Shelf, prompt: bool, text: &str) -> Vec<(&'static str, Vec<Arc<str>>)> {
    let names = || shelf.of_names(prompt).iter().filter_map(|id| shelf.row(*id)).map(|row| &row.name);
    let matching = |matches: &dyn Fn(&str) -> bool| -> Vec<Arc<str>> {
        names().filter(|name| matches(name)).map(Arc::clone).collect()
    };
    let like = |any_case| Like::new(text, any_case);
    let mut all = vec![("=", matching(&|name| name == text))];
    for (comparator, any_case) in [("LIKE", false), ("ILIKE", true)] {
        all.extend(like(any_case).map(|like| (comparator, matching(&|name| like.matches(name)))));
    }
    all
}

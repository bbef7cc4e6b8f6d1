//! MLflow's registry as it was at a moment, kept up with what was written since, and what of it an answer shows.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::cache::Now;

use super::Kind;
use super::again::{Step, apply};
use super::filter::Filter;
use super::order::Order;
use super::shelf::{Id, Shelf};
use super::sorted::Side;

/// So many rows are looked at before others have a turn.
const TURN: usize = 20_000;
/// So often a search begins anew because rows changed under it.
const ATTEMPTS: usize = 3;

/// A row of an answer.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The model's name.
    pub name: Arc<str>,
    /// What tells it from others in a page token.
    pub mark: u64,
    /// The row in MLflow's words.
    pub written: Bytes,
}

/// Rows of an answer, in order.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The rows.
    pub rows: Vec<Shown>,
    /// Whether there are more.
    pub more: bool,
    /// When the registry was asked for.
    pub asked: Now,
}

/// The registry.
pub(super) struct Picture {
    pub(super) shelf: RwLock<Shelf>,
    /// Every write before this moment is in it.
    applied: AtomicU64,
    /// When it was begun to be read, and how long that took.
    pub(super) asked: Now,
    pub(super) took: Duration,
    /// Whether MLflow's database compares texts as it is done here, once that is known.
    pub(super) texts: OnceLock<bool>,
}

/// A question that is answered.
pub(super) struct Wanted<'a> {
    pub(super) kind: Kind,
    pub(super) filter: Filter<'a>,
    pub(super) order: Order,
    /// Of these models alone.
    pub(super) names: Option<&'a [&'a str]>,
    pub(super) from: usize,
    pub(super) most: usize,
    /// When the picture was.
    pub(super) asked: Now,
}

impl Picture {
    pub(super) fn new(shelf: Shelf, moment: u64, asked: Now, took: Duration) -> Self {
        let (shelf, applied) = (RwLock::new(shelf), AtomicU64::new(moment));
        Self { shelf, applied, asked, took, texts: OnceLock::new() }
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::SeqCst)
    }

    /// Takes in what was found of all that was written before a moment, in one step; false where that cannot be done.
    #[must_use]
    pub(super) fn apply(&self, steps: Vec<Step>, moment: u64) -> bool {
        let mut shelf = self.shelf.write();
        let done = apply(&mut shelf, steps);
        if done {
            self.applied.store(moment, Ordering::SeqCst);
        }
        done
    }

    /// Whether an answer is MLflow's own by all that is known of its database.
    fn can_answer(&self, wanted: &Wanted<'_>) -> bool {
        let shelf = self.shelf.read();
        let compares = wanted.filter.compares() || wanted.names.is_some();
        (!compares || self.texts.get() == Some(&true))
            && (!wanted.filter.folds_case() || shelf.folds_alike())
            && shelf.sorts(wanted.kind, &wanted.order)
    }

    /// The answer, if there is one.
    pub(super) async fn find(&self, wanted: &Wanted<'_>) -> Option<Found> {
        if !self.can_answer(wanted) {
            return None;
        }
        if wanted.names.is_some() || !wanted.filter.names.is_empty() {
            return Some(self.of_names(wanted));
        }
        let side = wanted.side();
        self.make_sorted(side, &wanted.order);
        if !wanted.filter.compares() {
            let shelf = self.shelf.read();
            let ids = shelf.sorted(side, &wanted.order)?;
            return Some(wanted.page(&shelf, ids));
        }
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.scan(side, wanted).await {
                return Some(found);
            }
        }
        None
    }

    fn make_sorted(&self, side: Side, order: &Order) {
        let made = {
            let shelf = self.shelf.read();
            if shelf.sorted(side, order).is_some() {
                return;
            }
            (shelf.make_sorted(side, order), shelf.stamp())
        };
        self.shelf.write().keep_sorted(made.0, made.1);
    }

    fn of_names(&self, wanted: &Wanted<'_>) -> Found {
        let same = |name: &&str| wanted.filter.names.iter().all(|other| other == name);
        let named = wanted.names.unwrap_or(wanted.filter.names.get(..1).unwrap_or_default());
        let shelf = self.shelf.read();
        let names = named.iter().copied().filter(same);
        let mut ids = shelf.of_models(wanted.side(), &wanted.order, names);
        if wanted.filter.has_more_than_names() {
            ids.retain(|id| wanted.holds(&shelf, *id));
        }
        wanted.page(&shelf, &ids)
    }

    /// Goes through a list until a page is full, in turns; nothing where the list changes meanwhile.
    async fn scan(&self, side: Side, wanted: &Wanted<'_>) -> Option<Found> {
        let mut found: Vec<Id> = Vec::new();
        let enough = wanted.from.saturating_add(wanted.most).saturating_add(1);
        let (mut at, mut stamp) = (0, None);
        loop {
            {
                let shelf = self.shelf.read();
                if *stamp.get_or_insert(shelf.stamp()) != shelf.stamp() {
                    return None;
                }
                let rest = shelf.sorted(side, &wanted.order)?.get(at..).unwrap_or_default();
                let held = rest.iter().take(TURN).copied().filter(|id| wanted.holds(&shelf, *id));
                found.extend(held.take(enough - found.len()));
                at += TURN;
                if found.len() >= enough || rest.len() <= TURN {
                    return Some(wanted.page(&shelf, &found));
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Wanted<'_> {
    fn side(&self) -> Side {
        Side { kind: self.kind, prompt: self.filter.prompts }
    }

    fn holds(&self, shelf: &Shelf, id: Id) -> bool {
        shelf.row(id).is_some_and(|row| self.filter.holds(&row.name, &row.keys))
    }

    /// The page, of all rows in order.
    fn page(&self, shelf: &Shelf, ids: &[Id]) -> Found {
        let ids = ids.get(self.from..).unwrap_or_default();
        let rows = ids.iter().take(self.most).filter_map(|id| shelf.row(*id));
        let shown = rows.map(|row| Shown {
            name: Arc::clone(&row.name),
            mark: row.mark,
            written: row.written.clone(),
        });
        Found { rows: shown.collect(), more: ids.len() > self.most, asked: self.asked }
    }
}

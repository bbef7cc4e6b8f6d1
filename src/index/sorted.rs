//! All rows of a list in one order, kept up as rows come and go.

use std::cmp::Ordering;

use super::Kind;
use super::order::Order;
use super::shelf::{Id, Shelf};

/// One of MLflow's lists: of what is no prompt, or of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) kind: Kind,
    pub(super) prompt: bool,
}

/// Rows in order.
#[derive(Debug)]
pub(super) struct Sorted {
    pub(super) side: Side,
    pub(super) order: Order,
    pub(super) ids: Vec<Id>,
}

impl Sorted {
    pub(super) fn is(&self, side: Side, order: &Order) -> bool {
        self.side == side && self.order == *order
    }

    /// Where a row is, or belongs.
    fn find(&self, shelf: &Shelf, id: Id) -> Result<usize, usize> {
        let Some(row) = shelf.row(id) else { return Err(self.ids.len()) };
        self.ids.binary_search_by(|other| {
            shelf.row(*other).map_or(Ordering::Less, |other| self.order.compare(other, row))
        })
    }

    pub(super) fn insert(&mut self, shelf: &Shelf, id: Id) {
        if let Err(at) = self.find(shelf, id) {
            self.ids.insert(at, id);
        }
    }

    /// Before the row itself is changed or gone.
    pub(super) fn remove(&mut self, shelf: &Shelf, id: Id) {
        if let Ok(at) = self.find(shelf, id) {
            self.ids.remove(at);
        }
    }
}

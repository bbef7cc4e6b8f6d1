//! The rows of both lists, in the orders in which they were asked for.
//!
//! Names stand in MLflow's own order: each has a number, its label, that rises with it. How MLflow's database sorts texts is
//! never guessed.

mod labels;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Kind;
use super::filter::folds_oddly;
use super::order::Order;
use super::rows::Row;
use super::sorted::{Side, Sorted};

/// So many orders are kept.
const ORDERS: usize = 8;
/// Between two labels that were given out together.
const GAP: u64 = 1 << 32;

/// A row's place in memory.
pub(super) type Id = u32;

/// A model, its versions by number.
#[derive(Debug)]
struct Model {
    row: Id,
    prompt: bool,
    versions: Vec<(u32, Id)>,
    /// Whether MLflow lists its versions among those of prompts.
    prompts: bool,
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    rows: Vec<Option<Row>>,
    free: Vec<Id>,
    models: HashMap<Arc<str>, Model>,
    /// Models by name, those that are no prompts and those that are.
    by_name: [Vec<Id>; 2],
    sorted: Vec<Sorted>,
    /// Changes so far.
    stamp: u64,
    weight: usize,
    /// Models whose versions stand in the other list than they do: the two orders of names say nothing of each other.
    mixed: usize,
    /// Rows without a time.
    untimed: usize,
    /// Names that databases may fold to one case in different ways.
    odd: usize,
}

/// Where a model that is not known yet belongs.
#[derive(Clone, Debug)]
pub(super) enum Spot {
    First,
    After(Arc<str>),
}

/// Which versions of a model were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Number(u32),
}

impl Shelf {
    /// Models come in the order of their names, versions in any.
    pub(super) fn push_model(&mut self, mut row: Row, prompt: bool) {
        if self.models.contains_key(&row.name) {
            return;
        }
        row.label = (self.of_names(prompt).len() as u64 + 1).saturating_mul(GAP);
        let name = Arc::clone(&row.name);
        let id = self.add(row);
        let model = Model { row: id, prompt, versions: Vec::new(), prompts: prompt };
        self.models.insert(name, model);
        self.names_mut(prompt).push(id);
    }

    /// The name as it is kept, and the bytes of the row as they are.
    pub(super) fn known(&self, name: &str, version: u32) -> Option<(Arc<str>, Option<Bytes>)> {
        let (key, model) = self.models.get_key_value(name)?;
        let row = if version == 0 { self.row(model.row) } else { self.version(model, version) };
        // A part of another row would keep all of that.
        let whole = row.filter(|row| !row.nested);
        Some((Arc::clone(key), whole.map(|row| row.written.clone())))
    }

    pub(super) fn is_model(&self, name: &str) -> bool {
        self.models.contains_key(name)
    }

    /// Whether it is a prompt, and when it was made.
    pub(super) fn model(&self, name: &str) -> Option<(bool, i64)> {
        let model = self.models.get(name)?;
        Some((model.prompt, self.row(model.row)?.created))
    }

    /// Whether versions of the model are listed as those of a prompt.
    pub(super) fn has_prompts(&self, name: &str) -> bool {
        self.models.get(name).is_some_and(|model| model.prompts && !model.versions.is_empty())
    }

    pub(super) fn row(&self, id: Id) -> Option<&Row> {
        self.rows.get(usize::try_from(id).ok()?)?.as_ref()
    }

    fn version(&self, model: &Model, number: u32) -> Option<&Row> {
        let at = model.versions.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.row(model.versions.get(at)?.1)
    }

    /// Models by name.
    pub(super) fn of_names(&self, prompt: bool) -> &Vec<Id> {
        let [models, prompts] = &self.by_name;
        if prompt { prompts } else { models }
    }

    fn names_mut(&mut self, prompt: bool) -> &mut Vec<Id> {
        let [models, prompts] = &mut self.by_name;
        if prompt { prompts } else { models }
    }

    pub(super) fn stamp(&self) -> u64 {
        self.stamp
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        let all = self.rows.len() - self.free.len();
        (self.models.len(), all - self.models.len())
    }

    /// Whether rows of this list can be brought in this order by what is known of them.
    pub(super) fn sorts(&self, kind: Kind, order: &Order) -> bool {
        (kind == Kind::Models || self.mixed == 0) && (self.untimed == 0 || !order.has_times())
    }

    /// Whether every database folds all names alike.
    pub(super) fn folds_alike(&self) -> bool {
        self.odd == 0
    }

    /// Rows of these models, in an order.
    pub(super) fn of_models<'n>(
        &self,
        side: Side,
        order: &Order,
        names: impl Iterator<Item = &'n str>,
    ) -> Vec<Id> {
        let mut ids = Vec::new();
        for model in names.filter_map(|name| self.models.get(name)) {
            match side.kind {
                Kind::Models if model.prompt == side.prompt => ids.push(model.row),
                Kind::Versions if model.prompts == side.prompt => {
                    ids.extend(model.versions.iter().map(|(_, id)| *id));
                }
                Kind::Models | Kind::Versions => {}
            }
        }
        self.sort(&mut ids, order);
        ids.dedup();
        ids
    }

    /// All rows of a list in an order, if they were brought into it.
    pub(super) fn sorted(&self, side: Side, order: &Order) -> Option<&[Id]> {
        if side.kind == Kind::Models && *order == Order::of_names(Kind::Models) {
            return Some(self.of_names(side.prompt));
        }
        Some(&self.sorted.iter().find(|sorted| sorted.is(side, order))?.ids)
    }

    /// Brings all rows of a list into an order.
    pub(super) fn make_sorted(&self, side: Side, order: &Order) -> Sorted {
        let mut ids = match side.kind {
            Kind::Models => self.of_names(side.prompt).clone(),
            Kind::Versions => {
                let models = self.models.values().filter(|model| model.prompts == side.prompt);
                models.flat_map(|model| model.versions.iter().map(|(_, id)| *id)).collect()
            }
        };
        self.sort(&mut ids, order);
        Sorted { side, order: order.clone(), ids }
    }

    /// Keeps what was made of these rows, unless they have changed since.
    pub(super) fn keep_sorted(&mut self, sorted: Sorted, stamp: u64) {
        if self.stamp == stamp && self.sorted(sorted.side, &sorted.order).is_none() {
            self.sorted.truncate(ORDERS - 1);
            self.sorted.insert(0, sorted);
        }
    }

    /// The orders that are asked for.
    pub(super) fn orders(&self) -> Vec<(Side, Order)> {
        self.sorted.iter().map(|sorted| (sorted.side, sorted.order.clone())).collect()
    }

    fn sort(&self, ids: &mut [Id], order: &Order) {
        ids.sort_unstable_by(|one, other| match (self.row(*one), self.row(*other)) {
            (Some(one), Some(other)) => order.compare(one, other),
            (one, other) => one.is_some().cmp(&other.is_some()),
        });
    }

    fn add(&mut self, row: Row) -> Id {
        self.weight += row.weight();
        self.untimed += usize::from(row.is_untimed());
        self.odd += usize::from(folds_oddly(&row.name));
        self.stamp += 1;
        if let Some(id) = self.free.pop() {
            if let Some(slot) = usize::try_from(id).ok().and_then(|at| self.rows.get_mut(at)) {
                *slot = Some(row);
            }
            return id;
        }
        self.rows.push(Some(row));
        Id::try_from(self.rows.len() - 1).unwrap_or(Id::MAX)
    }

    fn take(&mut self, id: Id) -> Option<Row> {
        let row = self.rows.get_mut(usize::try_from(id).ok()?)?.take()?;
        self.weight -= row.weight().min(self.weight);
        self.untimed -= usize::from(row.is_untimed());
        self.odd -= usize::from(folds_oddly(&row.name));
        self.stamp += 1;
        self.free.push(id);
        Some(row)
    }

    /// Into the orders of its list.
    fn file(&mut self, side: Side, id: Id) {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.iter_mut().filter(|sorted| sorted.side == side).for_each(|sorted| sorted.insert(self, id));
        self.sorted = sorted;
    }

    fn unfile(&mut self, side: Side, id: Id) {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.iter_mut().filter(|sorted| sorted.side == side).for_each(|sorted| sorted.remove(self, id));
        self.sorted = sorted;
    }

    /// A model is no more, nor are its versions.
    pub(super) fn remove(&mut self, name: &str) {
        self.versions(name, Which::All, false, Vec::new());
        let Some(model) = self.models.remove(name) else { return };
        self.unfile(Side { kind: Kind::Models, prompt: model.prompt }, model.row);
        let label = self.row(model.row).map_or(0, |row| row.label);
        if let Some(at) = self.at_label(model.prompt, label) {
            self.names_mut(model.prompt).remove(at);
        }
        self.take(model.row);
    }

    fn at_label(&self, prompt: bool, label: u64) -> Option<usize> {
        let label_of = |id: &Id| self.row(*id).map_or(0, |row| row.label);
        self.of_names(prompt).binary_search_by_key(&label, label_of).ok()
    }

    /// A model as it is now, of the same kind and name as before.
    pub(super) fn replace(&mut self, mut row: Row) {
        let Some(model) = self.models.get(&row.name) else { return };
        let (id, side) = (model.row, Side { kind: Kind::Models, prompt: model.prompt });
        self.unfile(side, id);
        let Some(before) = self.take(id) else { return };
        (row.label, row.name) = (before.label, before.name);
        let (name, written) = (Arc::clone(&row.name), row.written.clone());
        // The place that has just become free.
        let id = self.add(row);
        self.file(side, id);
        self.nest(&name, &written);
    }

    /// What was a part of a model's row becomes one of the row as it is now.
    fn nest(&mut self, name: &str, written: &Bytes) {
        let Some(model) = self.models.get(name) else { return };
        for (_, id) in &model.versions {
            let row = usize::try_from(*id).ok().and_then(|id| self.rows.get_mut(id));
            if let Some(Some(row)) = row
                && row.nested
            {
                self.weight -= row.weight().min(self.weight);
                row.nest_in(written);
                self.weight += row.weight();
            }
        }
    }

    /// A model that was not there; false where its place is not known.
    #[must_use]
    pub(super) fn place(&mut self, mut row: Row, prompt: bool, spot: &Spot) -> bool {
        if self.is_model(&row.name) {
            return false;
        }
        let at = match spot {
            Spot::First => Some(0),
            Spot::After(name) => {
                let before = self.models.get(name).filter(|model| model.prompt == prompt);
                let label = before.and_then(|model| self.row(model.row)).map(|row| row.label);
                label.and_then(|label| self.at_label(prompt, label)).map(|at| at + 1)
            }
        };
        let Some(at) = at else { return false };
        let Some(label) = self.label_at(prompt, at) else { return false };
        row.label = label;
        let name = Arc::clone(&row.name);
        let id = self.add(row);
        self.names_mut(prompt).insert(at, id);
        self.models.insert(name, Model { row: id, prompt, versions: Vec::new(), prompts: prompt });
        self.file(Side { kind: Kind::Models, prompt }, id);
        true
    }

    /// Versions of a model as they are now: `which` were looked at, and these were found. False where there is no such model.
    pub(super) fn versions(&mut self, name: &str, which: Which, prompt: bool, found: Vec<Row>) -> bool {
        let Some(mut model) = self.models.remove(name) else { return found.is_empty() };
        self.mixed -= usize::from(model.is_mixed());
        let side = Side { kind: Kind::Versions, prompt: model.prompts };
        let (gone, kept) = model.versions.iter().partition(|(number, _)| match which {
            Which::All => true,
            Which::Number(only) => *number == only,
        });
        model.versions = kept;
        let gone: Vec<(u32, Id)> = gone;
        for (_, id) in gone {
            self.unfile(side, id);
            self.take(id);
        }
        if !found.is_empty() {
            model.prompts = prompt;
        }
        let (key, label, written) = self.row(model.row).map_or_else(
            || (Arc::from(name), 0, Bytes::new()),
            |row| (Arc::clone(&row.name), row.label, row.written.clone()),
        );
        for mut row in found {
            (row.name, row.label) = (Arc::clone(&key), label);
            row.nest_in(&written);
            let number = row.version;
            let id = self.add(row);
            match model.versions.binary_search_by_key(&number, |(number, _)| *number) {
                // Twice in one answer: the first is dropped.
                Ok(_) => drop(self.take(id)),
                Err(at) => {
                    model.versions.insert(at, (number, id));
                    self.file(Side { kind: Kind::Versions, prompt: model.prompts }, id);
                }
            }
        }
        self.mixed += usize::from(model.is_mixed());
        self.models.insert(key, model);
        true
    }
}

impl Model {
    fn is_mixed(&self) -> bool {
        !self.versions.is_empty() && self.prompts != self.prompt
    }
}

#[cfg(test)]
mod tests;

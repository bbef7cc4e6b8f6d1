//! Which rows can have a say: found by subject, permission and name, so that casbin is never handed the whole file.

use std::collections::{BTreeSet, HashMap};

use crate::authz::links::SubjectId;
use crate::authz::object::{Parts, covers};
use crate::authz::rows::Row;
use crate::operation::{Object, Permission};

/// Rows that match are alike within an effect, so casbin needs only the first few of each to decide; these are told as reasons.
const FEW: usize = 4;

/// The rows of one file, by what they can match.
#[derive(Debug, Default)]
pub(super) struct Index {
    names: HashMap<Box<str>, NameId>,
    prefix_lengths: BTreeSet<usize>,
    suffix_lengths: BTreeSet<usize>,
    rows: HashMap<(SubjectId, Permission, Slot), Vec<u32>>,
}

impl Index {
    /// Sorts rows into their places.
    pub(super) fn of(rows: &[Row]) -> Self {
        let mut index = Self::default();
        for (place, row) in (0..).zip(rows) {
            index.add(place, row, rows);
        }
        index
    }

    /// The first few rows of each effect that match, in the order of the file. `asked` is the object's text for casbin.
    pub(super) fn candidates(
        &self,
        rows: &[Row],
        subjects: &[SubjectId],
        permission: Permission,
        asked: (&Object, &str),
    ) -> Vec<usize> {
        let mut left = [FEW, FEW];
        let mut few = self.covering(rows, subjects, permission, asked);
        few.retain(|place| {
            let allows = rows.get(*place).is_some_and(|row| row.allows);
            left.get_mut(usize::from(allows)).is_some_and(|left| {
                let one_of_few = *left > 0;
                *left = left.saturating_sub(1);
                one_of_few
            })
        });
        few
    }

    /// All rows that match, in the order of the file; of lists the first few.
    pub(super) fn covering(
        &self,
        rows: &[Row],
        subjects: &[SubjectId],
        permission: Permission,
        (object, asked): (&Object, &str),
    ) -> Vec<usize> {
        let mut found: Vec<u32> = Vec::new();
        for slot in self.slots(object) {
            for subject in subjects {
                let here = self.rows.get(&(*subject, permission, slot)).map_or(&[][..], Vec::as_slice);
                found.extend(here.iter().filter(|place| {
                    let row = rows.get(**place as usize);
                    // What cannot be read goes to casbin too, whose error then refuses.
                    row.is_some_and(|row| {
                        covers(asked, &row.object, &row.subject, row.allows).unwrap_or(true)
                    })
                }));
            }
        }
        found.sort_unstable();
        found.into_iter().map(|place| place as usize).collect()
    }

    fn add(&mut self, place: u32, row: &Row, rows: &[Row]) {
        let Ok(parts) = Parts::of(&row.object) else { return };
        let slot = match parts {
            Parts::Server => Slot::Server,
            Parts::Model(name, _) => self.slot(Kind::Model, name),
            Parts::Experiment(id) => self.slot(Kind::Experiment, id),
        };
        self.rows.entry((row.holder, row.permission, slot)).or_default().push(place);
        let (slot, counts) = match parts {
            Parts::Model(name, None) => (Slot::SomeModel, row.allows || name == "*"),
            Parts::Experiment(id) => (Slot::EveryExperiment, !row.allows || id == "*"),
            Parts::Server | Parts::Model(_, Some(_)) => return,
        };
        let listed = self.rows.entry((row.holder, row.permission, slot)).or_default();
        let alike = |place: &&u32| rows.get(**place as usize).is_some_and(|other| other.allows == row.allows);
        if counts && listed.iter().filter(alike).count() < FEW {
            listed.push(place);
        }
    }

    /// The place of a name or pattern: a pattern lies under what stands before its first star or after its last,
    /// whichever tells more.
    fn slot(&mut self, kind: Kind, name: &str) -> Slot {
        match (name.split_once('*'), name.rsplit_once('*')) {
            (Some((prefix, _)), Some((_, suffix))) if suffix.len() > prefix.len() => {
                self.suffix_lengths.insert(suffix.len());
                Slot::Suffix(kind, self.number(suffix))
            }
            (Some((prefix, _)), _) => {
                self.prefix_lengths.insert(prefix.len());
                Slot::Prefix(kind, self.number(prefix))
            }
            (None, _) => Slot::Exact(kind, self.number(name)),
        }
    }

    fn number(&mut self, name: &str) -> NameId {
        let next = NameId::try_from(self.names.len()).unwrap_or(NameId::MAX);
        *self.names.entry(name.into()).or_insert(next)
    }

    /// Every place where a row could lie that matches the object.
    fn slots(&self, object: &Object) -> Vec<Slot> {
        let (kind, name): (Kind, &str) = match object {
            Object::Server => return vec![Slot::Server],
            Object::SomeModel => return vec![Slot::SomeModel],
            Object::EveryExperiment => return vec![Slot::EveryExperiment],
            Object::Experiment(id) => (Kind::Experiment, id),
            Object::Model(name) | Object::Stage(name, _) | Object::Alias(name, _) | Object::Tag(name, _) => {
                (Kind::Model, name)
            }
        };
        let id = |part: &str| self.names.get(part).copied();
        let exact = id(name).map(|id| Slot::Exact(kind, id));
        let prefixes = self.prefix_lengths.iter().filter_map(|length| name.get(..*length)).filter_map(id);
        let suffixes = self
            .suffix_lengths
            .iter()
            .filter_map(|length| name.get(name.len().checked_sub(*length)?..))
            .filter_map(id);
        exact
            .into_iter()
            .chain(prefixes.map(|id| Slot::Prefix(kind, id)))
            .chain(suffixes.map(|id| Slot::Suffix(kind, id)))
            .collect()
    }
}

type NameId = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Slot {
    Exact(Kind, NameId),
    Prefix(Kind, NameId),
    Suffix(Kind, NameId),
    SomeModel,
    EveryExperiment,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Model,
    Experiment,
}

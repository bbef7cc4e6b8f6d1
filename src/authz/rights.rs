//! Which rows give somebody what they ask for: all of them, and not the few that are told as reasons.

use std::collections::HashMap;
use std::sync::Arc;

use crate::authz::links::{Asker, SubjectId};
use crate::authz::object::{asked_text, covers};
use crate::authz::policy::PolicySet;
use crate::authz::rows::{Given, RowId};
use crate::authz::{CLAIMLESS, Settings};
use crate::operation::{Demand, Object, Permission};
use crate::principal::Principal;

/// The rows of a set that give something: those that allow, and those that give a role.
#[derive(Debug)]
pub struct Rights {
    policies: Arc<PolicySet>,
    settings: Settings,
    /// Places of rows that allow, by who holds them and what they allow.
    allowing: HashMap<(SubjectId, Permission), Vec<usize>>,
    /// Places of rows that give a role, by to whom.
    given: HashMap<SubjectId, Vec<usize>>,
    /// Roles without which a token must name the model.
    claimless: Vec<SubjectId>,
    /// Roles that approvers must have.
    approving: Vec<SubjectId>,
}

impl Rights {
    /// The rights that these policies give.
    #[must_use]
    pub fn of(policies: Arc<PolicySet>, settings: Settings) -> Self {
        let mut allowing: HashMap<_, Vec<_>> = HashMap::new();
        for (place, row) in policies.rows().iter().enumerate().filter(|(_, row)| row.allows) {
            allowing.entry((row.holder, row.permission)).or_default().push(place);
        }
        let mut given: HashMap<_, Vec<_>> = HashMap::new();
        for (place, row) in policies.given().iter().enumerate() {
            given.entry(row.member).or_default().push(place);
        }
        let role = |name: &str| policies.links().role(name);
        let claimless = CLAIMLESS.iter().filter_map(|name| role(name)).collect();
        let rules = policies.rules().stages.rules();
        let approving =
            rules.flat_map(|(_, rule)| &rule.approver_roles).filter_map(|name| role(name)).collect();
        Self { settings, allowing, given, claimless, approving, policies }
    }

    /// Each row: where it stands and what it says, in the order of the file.
    #[must_use]
    pub fn rows(&self) -> Vec<(RowId, String)> {
        let names: HashMap<_, _> = self.policies.links().all().map(|(name, id)| (id, name)).collect();
        let name = |id: &SubjectId| names.get(id).map(String::as_str).unwrap_or_default();
        let allowing = self.policies.rows().iter().filter(|row| row.allows);
        let allowing = allowing.map(|row| (row.id, format!("p, {}", row.fields().join(", "))));
        let given = self.policies.given().iter();
        let given = given.map(|row| (row.id, format!("g, {}, {}", name(&row.member), name(&row.role))));
        let mut rows: Vec<_> = allowing.chain(given).collect();
        rows.sort_unstable_by_key(|(id, _)| *id);
        rows
    }

    /// Every row by which somebody is given what they ask for, each once; none if they are refused. Where several would do,
    /// it is all of them; of a list of models it is each row that puts models into it.
    #[must_use]
    pub fn giving(&self, who: &Principal, demand: &Demand) -> Vec<RowId> {
        let Demand { permission, object } = demand;
        if self.settings.judge(&self.policies, who, *permission, object).is_err() {
            return Vec::new();
        }
        let asker = Asker { user: Some(&who.user), roles: &who.roles };
        let subjects = self.policies.links().subjects_of(asker);
        let places = match object {
            Object::SomeModel | Object::EveryExperiment => self.listing(&subjects, demand),
            Object::Model(_)
            | Object::Stage(..)
            | Object::Alias(..)
            | Object::Tag(..)
            | Object::Experiment(_)
            | Object::Server => self.policies.allowing(&subjects, *permission, object),
        };
        let rows: Vec<_> = places.iter().filter_map(|place| self.policies.rows().get(*place)).collect();
        let mut needed: Vec<SubjectId> = rows.iter().map(|row| row.holder).collect();
        if *permission == Permission::StageApprove {
            needed.extend(&self.approving);
        }
        let unclaimed = object.model().is_some_and(|model| !who.models.covers(model));
        if unclaimed || *object == Object::SomeModel {
            needed.extend(&self.claimless);
        }
        needed.sort_unstable();
        needed.dedup();
        let mut giving: Vec<RowId> = rows.iter().map(|row| row.id).collect();
        giving.extend(self.leading_to(&subjects, &needed).map(|row| row.id));
        giving.sort_unstable();
        giving.dedup();
        giving
    }

    /// Rows that allow a list.
    fn listing(&self, subjects: &[SubjectId], demand: &Demand) -> Vec<usize> {
        let Some(asked) = asked_text(&demand.object) else { return Vec::new() };
        let held = subjects.iter().filter_map(|subject| self.allowing.get(&(*subject, demand.permission)));
        let counts = |place: &&usize| {
            let row = self.policies.rows().get(**place);
            row.is_some_and(|row| covers(&asked, &row.object, &row.subject, true).unwrap_or(false))
        };
        held.flatten().filter(counts).copied().collect()
    }

    /// Rows that give one of `subjects` a role by which they hold one of `needed`.
    fn leading_to(&self, subjects: &[SubjectId], needed: &[SubjectId]) -> impl Iterator<Item = &Given> {
        let places = subjects.iter().filter_map(|subject| self.given.get(subject)).flatten();
        let rows = places.filter_map(|place| self.policies.given().get(*place));
        rows.filter(|row| {
            let held = self.policies.links().of(row.role);
            needed.iter().any(|needed| held.contains(needed))
        })
    }
}

#[cfg(test)]
mod tests;

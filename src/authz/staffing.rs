//! Whether every rule of `stages.toml` can be satisfied under the rows: somebody may ask, and enough others may approve.
//!
//! A token may carry any roles, so a role stands for as many people as are needed, and roles may come together in one
//! person. Only where nobody but named users may do a thing are people counted. What tokens say of models is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::authz::links::Asker;
use crate::authz::object::{Parts, asked_text, covers};
use crate::authz::policy::{PolicySet, Word};
use crate::authz::rows::{POLICY_FILE, Row};
use crate::glob;
use crate::mistake::Mistake;
use crate::operation::{Object, Permission};
use crate::principal::{RoleName, UserId};
use crate::rules::transitions::{Transition, folded};
use crate::stage::Stage;

/// Every rule that nobody can satisfy. `file` is where the rules were written.
pub(super) fn unsatisfied(file: &Path, policies: &PolicySet) -> Vec<Mistake> {
    let rules = policies.rules().stages.rules();
    let mut open: Vec<Open<'_>> = rules.map(|(line, rule)| Open { line, rule, most: None }).collect();
    for model in models(policies) {
        if open.is_empty() {
            break;
        }
        let house = House::of(policies, &model);
        open.retain_mut(|rule| !rule.is_met_in(&house));
    }
    let mut told: Vec<Mistake> = open.iter().map(|rule| Mistake::at(file, rule.line, rule.told())).collect();
    told.sort();
    told
}

/// A rule for which no model has been found yet where it can be satisfied.
struct Open<'r> {
    line: usize,
    rule: &'r Transition,
    /// The most people who may approve where somebody may ask.
    most: Option<People>,
}

impl Open<'_> {
    fn is_met_in(&mut self, house: &House<'_>) -> bool {
        let rule = self.rule;
        let askers = house.askers(rule);
        if askers.count() == 0 {
            return false;
        }
        let approvers = house.approvers(rule);
        let met = enough(&askers, &approvers, rule.required_approvals);
        if !met && self.most.as_ref().is_none_or(|most| approvers.count() > most.count()) {
            self.most = Some(approvers);
        }
        met
    }

    fn told(&self) -> String {
        let what = match &self.most {
            None => NOBODY_ASKS.to_owned(),
            Some(approvers) => too_few(self.rule, approvers),
        };
        format!("from {} to {}: {what}", self.rule.from, self.rule.to)
    }
}

const NOBODY_ASKS: &str = "nobody may ask for it: policy.csv gives stage_transition on both stages of one model to no role and no user";

/// Those who may do something.
enum People {
    /// Whoever is given a role, or several.
    Holders,
    /// These, by what is one person.
    Named(BTreeMap<String, UserId>),
}

impl People {
    fn count(&self) -> usize {
        match self {
            Self::Holders => usize::MAX,
            Self::Named(people) => people.len(),
        }
    }
}

fn enough(askers: &People, approvers: &People, needed: usize) -> bool {
    if needed == 0 {
        return true;
    }
    match (askers, approvers) {
        (_, People::Holders) => true,
        (People::Holders, People::Named(approvers)) => approvers.len() >= needed,
        // Who asks does not approve.
        (People::Named(askers), People::Named(approvers)) => askers.keys().any(|asker| {
            approvers.len().saturating_sub(usize::from(approvers.contains_key(asker))) >= needed
        }),
    }
}

fn too_few(rule: &Transition, approvers: &People) -> String {
    let who = match approvers {
        People::Holders => "any role".to_owned(),
        People::Named(people) if people.is_empty() => "nobody".to_owned(),
        People::Named(people) => {
            let named: Vec<String> = people.values().map(|user| format!("user:{user}")).collect();
            format!("{} alone", named.join(", "))
        }
    };
    let with = match rule.approver_roles.as_slice() {
        [] => String::new(),
        roles => format!(" with the role {}", roles.join(" or ")),
    };
    let (needed, people) =
        (rule.required_approvals, if rule.required_approvals == 1 { "person" } else { "people" });
    format!(
        "{needed} {people}{with} must approve besides the one who asks, and {POLICY_FILE} gives stage_approve on {} to {who}",
        rule.to
    )
}

/// The rows that let somebody ask or approve.
fn giving(policies: &PolicySet) -> impl Iterator<Item = &Row> {
    let concerned = [Permission::StageTransition, Permission::StageApprove];
    policies.rows().iter().filter(move |row| row.allows && concerned.contains(&row.permission))
}

/// A name for each pattern of such a row. No row means just this one where a star stands.
fn models(policies: &PolicySet) -> Vec<String> {
    let names = giving(policies).filter_map(|row| match Parts::of(&row.object) {
        Ok(Parts::Model(name, _)) => Some(name.replace('*', "~")),
        Ok(Parts::Experiment(_) | Parts::Server) | Err(_) => None,
    });
    let mut names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
    names.sort_by_key(String::len);
    names
}

/// One model, and the rows that give something there.
struct House<'p> {
    policies: &'p PolicySet,
    model: &'p str,
    rows: Vec<&'p Row>,
}

/// Whom a row names.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Role(RoleName),
    User(UserId),
}

impl<'p> House<'p> {
    fn of(policies: &'p PolicySet, model: &'p str) -> Self {
        let here = |row: &&Row| match Parts::of(&row.object) {
            Ok(Parts::Model(pattern, _)) => glob::matches(pattern, model, Some(b'/')),
            Ok(Parts::Experiment(_) | Parts::Server) | Err(_) => false,
        };
        Self { policies, model, rows: giving(policies).filter(here).collect() }
    }

    /// Who may leave the one stage and enter the other.
    fn askers(&self, rule: &Transition) -> People {
        let permission = Permission::StageTransition;
        let ways = [self.stage(rule.from), self.stage(rule.to)];
        let words = |subject: &Subject| ways.each_ref().map(|way| self.says(subject, permission, way));
        let (mut leaves, mut enters) = (false, false);
        let (roles, users) = self.given(permission, &ways);
        for role in &roles {
            let [leave, enter] = words(role);
            leaves |= leave == Word::Allows && enter != Word::Denies;
            enters |= enter == Word::Allows && leave != Word::Denies;
            // One role for either, held by one person, does.
            if leaves && enters {
                return People::Holders;
            }
        }
        let may = |user: &Subject| match words(user) {
            [Word::Allows, Word::Allows] => true,
            [Word::Allows, Word::Nothing] => enters,
            [Word::Nothing, Word::Allows] => leaves,
            [Word::Denies, _] | [_, Word::Denies] | [Word::Nothing, Word::Nothing] => false,
        };
        named(rule, users.into_iter().filter(may))
    }

    /// Who may approve, and has one of the roles that the rule asks for.
    fn approvers(&self, rule: &Transition) -> People {
        let permission = Permission::StageApprove;
        let way = [self.stage(rule.to)];
        let [into] = &way;
        let allowed = |subject: &Subject| self.says(subject, permission, into) == Word::Allows;
        if !rule.approver_roles.is_empty() {
            let asked = rule.approver_roles.iter().filter_map(|role| RoleName::new(role)).map(Subject::Role);
            let words: Vec<Word> = asked.map(|role| self.says(&role, permission, into)).collect();
            if words.contains(&Word::Allows) {
                return People::Holders;
            }
            if !words.contains(&Word::Nothing) {
                return People::Named(BTreeMap::new());
            }
        }
        let (roles, users) = self.given(permission, &way);
        if roles.iter().any(allowed) {
            return People::Holders;
        }
        named(rule, users.into_iter().filter(allowed))
    }

    /// The roles and the users that a row gives the permission on one of these objects.
    fn given(&self, permission: Permission, objects: &[Object]) -> (BTreeSet<Subject>, BTreeSet<Subject>) {
        let asked: Vec<String> = objects.iter().filter_map(asked_text).collect();
        let rows = self.rows.iter().filter(|row| row.permission == permission);
        let here = rows.filter(|row| {
            asked.iter().any(|asked| covers(asked, &row.object, &row.subject, true).unwrap_or(false))
        });
        let subjects = here.filter_map(|row| match row.subject.split_once(':') {
            Some(("role", name)) => RoleName::new(name).map(Subject::Role),
            Some(("user", name)) => UserId::new(name).map(Subject::User),
            _ => None,
        });
        subjects.partition(|subject| matches!(subject, Subject::Role(_)))
    }

    fn says(&self, subject: &Subject, permission: Permission, object: &Object) -> Word {
        let asker = match subject {
            Subject::Role(role) => Asker { user: None, roles: std::slice::from_ref(role) },
            Subject::User(user) => Asker { user: Some(user), roles: &[] },
        };
        self.policies.says(asker, permission, object)
    }

    fn stage(&self, stage: Stage) -> Object {
        Object::Stage(self.model.into(), stage.as_str().into())
    }
}

/// These users, as far as it matters: one more than must approve, since who asks does not.
fn named(rule: &Transition, subjects: impl Iterator<Item = Subject>) -> People {
    let mut people = BTreeMap::new();
    for subject in subjects {
        if let Subject::User(user) = subject {
            people.entry(folded(user.as_str())).or_insert(user);
        }
        if people.len() > rule.required_approvals {
            break;
        }
    }
    People::Named(people)
}

#[cfg(test)]
mod tests;

//! What the rows give of one model, and to whom, for reports. What tokens say of models is not known here.

use std::collections::{BTreeMap, HashMap};

use crate::authz::CLAIMLESS;
use crate::authz::links::{Asker, SubjectId};
use crate::authz::object::{Below, Parts};
use crate::authz::policy::{PolicySet, Word};
use crate::authz::rows::Row;
use crate::glob;
use crate::operation::{Object, Permission};
use crate::principal::{RoleName, UserId};
use crate::stage::Stage;

/// What is demanded of models.
const OF_MODELS: [Permission; 9] = [
    Permission::MetadataRead,
    Permission::MetadataWrite,
    Permission::ModelRead,
    Permission::ModelWrite,
    Permission::ModelDelete,
    Permission::ModelDeploy,
    Permission::StageTransition,
    Permission::StageApprove,
    Permission::EvidenceWrite,
];

/// What rows give one role or user of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `role:<name>` or `user:<id>`.
    pub subject: String,
    /// The roles that rows give it.
    pub holds: Vec<String>,
    /// What it may do with the model and whatever is below it.
    pub allowed: Vec<Permission>,
    /// What it may not do, whatever roles its token has.
    pub denied: Vec<Permission>,
    /// Where that is otherwise below the model.
    pub below: Vec<Otherwise>,
    /// Whether it is allowed without a token that names the model.
    pub needs_no_claim: bool,
}

/// Something below a model for which a permission is another than for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otherwise {
    /// `stage/Canary`, or as the row has it: `tag/evidence.*`.
    pub object: String,
    /// Of what.
    pub permission: Permission,
    /// Whether it is allowed there, else denied or just not given.
    pub allowed: bool,
}

/// What each role and user that the rows name may do with a model; those to whom they say nothing of it are left out.
#[must_use]
pub fn access(policies: &PolicySet, model: &str) -> Vec<Access> {
    let below = below(policies, model);
    let names: HashMap<_, _> = policies.links().all().map(|(name, id)| (id, name)).collect();
    let mut found: Vec<Access> =
        policies.links().all().filter_map(|subject| of(policies, model, &below, &names, subject)).collect();
    found.sort_by(|one, other| one.subject.cmp(&other.subject));
    found
}

/// Something below the model that a row names: as the row has it, of what, and one such thing.
type Named = (String, Permission, Object);

/// What rows name below the model, by who holds them. Nobody else has anything special there.
fn below(policies: &PolicySet, model: &str) -> HashMap<SubjectId, Vec<Named>> {
    let mut below: HashMap<_, Vec<_>> = HashMap::new();
    let named = |row: &Row| -> Vec<Named> {
        let Ok(Parts::Model(pattern, Some((kind, part)))) = Parts::of(&row.object) else { return Vec::new() };
        if !glob::matches(pattern, model, Some(b'/')) {
            return Vec::new();
        }
        // No row means just this one where a star stands.
        let one = || part.replace('*', "~").into();
        match kind {
            Below::Stage => {
                let stages = Stage::NAMES.iter().filter(|stage| glob::matches(part, stage, Some(b'/')));
                let of = |stage: &&str| Object::Stage(model.into(), (**stage).into());
                stages.map(|stage| (format!("stage/{stage}"), row.permission, of(stage))).collect()
            }
            Below::Alias => {
                vec![(format!("alias/{part}"), row.permission, Object::Alias(model.into(), one()))]
            }
            Below::Tag => vec![(format!("tag/{part}"), row.permission, Object::Tag(model.into(), one()))],
        }
    };
    for row in policies.rows() {
        let named = named(row);
        if !named.is_empty() {
            below.entry(row.holder).or_default().extend(named);
        }
    }
    below
}

fn of(
    policies: &PolicySet,
    model: &str,
    below: &HashMap<SubjectId, Vec<Named>>,
    names: &HashMap<SubjectId, String>,
    (subject, id): (String, SubjectId),
) -> Option<Access> {
    let (user, role) = match subject.split_once(':')? {
        ("user", name) => (Some(UserId::new(name)?), None),
        (_, name) => (None, Some(RoleName::new(name)?)),
    };
    let asker = Asker { user: user.as_ref(), roles: role.as_slice() };
    let whole = Object::Model(model.into());
    let mut holds: Vec<String> = policies
        .links()
        .of(id)
        .iter()
        .filter(|held| **held != id)
        .filter_map(|held| names.get(held).cloned())
        .collect();
    holds.sort_unstable();
    let mut access = Access {
        holds,
        allowed: Vec::new(),
        denied: Vec::new(),
        below: Vec::new(),
        needs_no_claim: CLAIMLESS.iter().any(|name| policies.links().has_role(asker, name)),
        subject,
    };
    let mut whole_says = HashMap::new();
    for permission in OF_MODELS {
        let word = policies.says(asker, permission, &whole);
        match word {
            Word::Allows => access.allowed.push(permission),
            Word::Denies => access.denied.push(permission),
            Word::Nothing => {}
        }
        whole_says.insert(permission, word);
    }
    let named = policies.links().of(id).iter().filter_map(|held| below.get(held)).flatten();
    let named: BTreeMap<(Permission, &str), &Object> =
        named.map(|(text, permission, object)| ((*permission, text.as_str()), object)).collect();
    for ((permission, text), object) in named {
        let here = policies.says(asker, permission, object);
        if whole_says.get(&permission).is_some_and(|word| *word != here) {
            let allowed = here == Word::Allows;
            access.below.push(Otherwise { object: text.to_owned(), permission, allowed });
        }
    }
    let says_nothing = access.allowed.is_empty() && access.denied.is_empty() && access.below.is_empty();
    (!says_nothing).then_some(access)
}

#[cfg(test)]
mod tests;

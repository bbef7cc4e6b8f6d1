//! Who asked for what of one model.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::said::Came;
use super::{Gaps, Groups, Seen, Undecided, Was, count};
use crate::audit::asked;
use crate::operation::Object;
use crate::record::line::Outcome;

/// What somebody asked for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deed {
    /// Who.
    pub principal: String,
    /// With which roles by their token.
    pub roles: Vec<String>,
    /// The permission that was demanded.
    pub operation: String,
    /// What was decided.
    pub was: Was,
    /// Of a write that began: whether it was done.
    pub outcome: Option<Outcome>,
}

/// What was asked for of a model.
#[derive(Debug, Default)]
pub struct Done {
    /// Who asked for what, and how often.
    pub deeds: BTreeMap<Deed, Seen>,
    /// So many lists of models were asked for. Nobody wrote down which models stood in them.
    pub lists: u64,
    /// What is not known.
    pub gaps: Gaps,
}

/// Who asked for something of a model or of what is below it since a moment, and how often. Of what the policies refused
/// only that counts which they refused.
///
/// # Errors
/// The record cannot be read.
pub fn did(root: &Path, since: Option<Timestamp>, model: &str) -> io::Result<Done> {
    let groups = Groups::of(root, since)?;
    let mut done = Done { gaps: Gaps::of(&groups), ..Done::default() };
    for (who, asked) in groups.asked {
        for (demands, told) in asked {
            for (Came { was, outcome }, seen) in told {
                if was != Was::Refused && demands.iter().any(|demand| is_list(demand)) {
                    done.lists = done.lists.saturating_add(seen.times);
                }
                let counts = if was == Was::Refused { 1 } else { demands.len() };
                for operation in done.of_it(demands.iter().take(counts), model, seen.times) {
                    let (principal, roles) = (who.principal.clone(), who.roles.clone());
                    let deed = Deed { principal, roles, operation, was, outcome };
                    done.deeds.entry(deed).and_modify(|known| *known = known.and(seen)).or_insert(seen);
                }
            }
        }
    }
    Ok(done)
}

impl Done {
    /// What some of these demands ask of the model, each once. What cannot be read may be of it.
    fn of_it<'d>(
        &mut self,
        demands: impl Iterator<Item = &'d String>,
        model: &str,
        times: u64,
    ) -> BTreeSet<String> {
        let mut operations = BTreeSet::new();
        let mut untold = None;
        for text in demands {
            match asked::read(text) {
                Some(demand) if demand.object.model() == Some(model) => {
                    operations.insert(demand.permission.to_string());
                }
                Some(_) => {}
                None if asked::is_cut(std::slice::from_ref(text)) => untold = Some(Undecided::Cut),
                None => untold = Some(Undecided::Unreadable),
            }
        }
        if let Some(why) = untold {
            count(&mut self.gaps.untold, why, times);
        }
        operations
    }
}

fn is_list(demand: &str) -> bool {
    asked::read(demand).is_some_and(|demand| demand.object == Object::SomeModel)
}

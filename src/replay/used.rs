//! Which rows of policies allowed something that was asked for, and which did not.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::said::{Came, Who};
use super::{Gaps, Groups, Seen, Undecided, Was, count};
use crate::audit::asked;
use crate::authz::{PolicySet, Rights, RowId, Settings};
use crate::operation::{Demand, Object};
use crate::principal::{ModelAccess, Principal};

/// What rows were good for.
#[derive(Debug, Default)]
pub struct Used {
    /// Rows that allow or give a role: where they stand, what they say, and what they were good for.
    pub rows: Vec<(String, String, Option<Seen>)>,
    /// Requests that were looked at, and that the policies let through.
    pub allowed: u64,
    /// What is not known: rows may have been good for these.
    pub gaps: Gaps,
}

/// Asks each row of policies what it was good for since a moment: of what was let through at that time, which they still
/// allow by it. Where several rows would do, each was good for it; and rather a row too many counts as used than one too few.
///
/// # Errors
/// The record cannot be read.
pub fn used(
    root: &Path,
    since: Option<Timestamp>,
    policies: Arc<PolicySet>,
    settings: Settings,
) -> io::Result<Used> {
    let apart = policies.distinguishes_experiments();
    let rights = Rights::of(policies, settings);
    let groups = Groups::of(root, since)?;
    let mut used = Used { gaps: Gaps::of(&groups), ..Used::default() };
    let mut good: BTreeMap<RowId, Seen> = BTreeMap::new();
    for (who, asked) in groups.asked {
        let principals = principals(&who);
        let mut demanded: HashMap<Demand, Seen> = HashMap::new();
        for (demands, told) in asked {
            let let_through = told.into_iter().filter(|(Came { was, .. }, _)| *was != Was::Refused);
            let Some(seen) = let_through.map(|(_, seen)| seen).reduce(Seen::and) else { continue };
            used.allowed = used.allowed.saturating_add(seen.times);
            let mut untold = principals.is_empty().then_some(Undecided::Unreadable);
            for text in demands {
                match read(&text, apart) {
                    Err(why) => untold = Some(why),
                    Ok(demand) => {
                        demanded.entry(demand).and_modify(|known| *known = known.and(seen)).or_insert(seen);
                    }
                }
            }
            if let Some(why) = untold {
                count(&mut used.gaps.untold, why, seen.times);
            }
        }
        for (demand, seen) in demanded {
            for row in principals.iter().flat_map(|principal| rights.giving(principal, &demand)) {
                good.entry(row).and_modify(|known| *known = known.and(seen)).or_insert(seen);
            }
        }
    }
    let rows = rights.rows().into_iter();
    used.rows = rows.map(|(id, says)| (id.to_string(), says, good.get(&id).copied())).collect();
    Ok(used)
}

/// What was demanded, or why rows cannot be asked about it. `apart`: they tell experiments apart.
fn read(text: &str, apart: bool) -> Result<Demand, Undecided> {
    match asked::read(text) {
        // Policies that did not tell experiments apart were asked of all of them, whichever it was about.
        Some(demand) if apart && demand.object == Object::EveryExperiment => Err(Undecided::Experiment),
        Some(demand) => Ok(demand),
        None if asked::is_cut(&[text.to_owned()]) => Err(Undecided::Cut),
        None => Err(Undecided::Unreadable),
    }
}

/// Who asked. A token whose models are told by their digest may have opened any model, and none.
fn principals(who: &Who) -> Vec<Principal> {
    let Some(known) = who.principal() else { return Vec::new() };
    if !asked::is_digest(&who.access) {
        return vec![known];
    }
    let opening = |models: &[&str]| Principal {
        models: ModelAccess::new(models.iter().copied()),
        ..Principal::clone(&known)
    };
    vec![opening(&["*"]), opening(&[])]
}

//! Whether the rules make sense together: each pair once, every stage reached and left, gates on what can be entered.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use jiff::SignedDuration;

use super::written::{Draft, Written};
use super::{Transition, Transitions, alias_key};
use crate::mistake::Mistake;
use crate::rules::names::shown;
use crate::rules::reading::Said;
use crate::stage::Stage;

type Rules = BTreeMap<(Stage, Stage), (usize, Transition)>;

impl Written {
    /// What was written, as it is meant; what cannot be meant is added to the `mistakes` of this file.
    pub(super) fn understood(self, file: &Path, mistakes: &mut Vec<Mistake>) -> Transitions {
        if self.rules.is_none() {
            let what = "there is no `[[transitions]]`, and a table without any is never meant \
                        (`transitions = []` says that no version ever leaves where it stands)";
            mistakes.push(Mistake::of(file, what));
        }
        let drafts = self.rules.unwrap_or_default();
        let nothing_moves = drafts.is_empty();
        let rules = one_by_one(file, drafts, mistakes);
        // What could not be read may be what is missed here.
        if mistakes.is_empty() && !nothing_moves {
            reached_and_left(file, &rules, &self.finals, &self.unused, mistakes);
        }
        let gates = gates(file, self.gates, &rules, mistakes);
        let approvals_last = SignedDuration::from_hours(self.approvals_last_days.saturating_mul(24));
        Transitions { rules, gates, approvals_last, prompts: self.prompts }
    }
}

fn one_by_one(file: &Path, drafts: Vec<Draft>, mistakes: &mut Vec<Mistake>) -> Rules {
    let mut rules = Rules::new();
    for draft in drafts {
        for from in &draft.from {
            for to in &draft.to {
                let (from, to) = (from.value, to.value);
                if from == to {
                    let what = format!("a rule from {from} to {from}: no version goes to where it stands");
                    mistakes.push(Mistake::at(file, draft.line, what));
                } else if let Some((line, _)) = rules.get(&(from, to)) {
                    let what =
                        format!("the rule from {from} to {to} is given twice; line {line} has it, too");
                    mistakes.push(Mistake::at(file, draft.line, what));
                } else {
                    rules.insert((from, to), (draft.line, draft.rule(from, to)));
                }
            }
        }
    }
    rules
}

impl Draft {
    fn rule(&self, from: Stage, to: Stage) -> Transition {
        Transition {
            from,
            to,
            required_approvals: self.required_approvals,
            required_tests: self.required_tests.clone(),
            automatic: self.automatic,
            approver_roles: self.approver_roles.clone(),
            author_may_approve: self.author_may_approve,
            returning: self.returning,
        }
    }
}

fn reached_and_left(
    file: &Path,
    rules: &Rules,
    finals: &[Said<Stage>],
    unused: &[Said<Stage>],
    mistakes: &mut Vec<Mistake>,
) {
    let reached = reached(rules);
    let listed = |list: &[Said<Stage>], stage: Stage| list.iter().any(|said| said.value == stage);
    let left = |stage: Stage| rules.keys().any(|(from, _)| *from == stage);
    let entered = |stage: Stage| rules.keys().any(|(_, to)| *to == stage);
    for Said { line, value } in finals {
        if left(*value) {
            mistakes.push(Mistake::at(file, *line, format!("`final`: a rule leaves {value}")));
        }
    }
    for Said { line, value } in unused {
        if *value == Stage::Development {
            let what = "`unused`: every version begins in Development".to_owned();
            mistakes.push(Mistake::at(file, *line, what));
        } else if entered(*value) {
            mistakes.push(Mistake::at(file, *line, format!("`unused`: a rule leads to {value}")));
        }
    }
    for stage in Stage::ALL.into_iter().filter(|stage| !listed(unused, *stage)) {
        if !reached.contains(&stage) {
            let hint = if entered(stage) { "" } else { "; where it is not used, list it as `unused`" };
            mistakes.push(Mistake::of(file, format!("{stage} cannot be reached from Development{hint}")));
        } else if !left(stage) && !listed(finals, stage) {
            let what = format!("{stage} cannot be left; where that is meant, list it as `final`");
            mistakes.push(Mistake::of(file, what));
        }
    }
}

/// The stages that a new version can come to. A rule for versions that come back brings none to where it never was.
fn reached(rules: &Rules) -> BTreeSet<Stage> {
    let mut reached = BTreeSet::from([Stage::Development]);
    let mut next = vec![Stage::Development];
    while let Some(stage) = next.pop() {
        for ((from, to), (_, rule)) in rules {
            if *from == stage && !rule.returning && reached.insert(*to) {
                next.push(*to);
            }
        }
    }
    reached
}

fn gates(
    file: &Path,
    written: Vec<(Said<String>, Said<Stage>)>,
    rules: &Rules,
    mistakes: &mut Vec<Mistake>,
) -> HashMap<String, Stage> {
    let mut gates = HashMap::new();
    for (alias, like) in written {
        let name = shown(&alias.value);
        if let Some(what) = no_alias(&alias.value) {
            mistakes.push(Mistake::at(file, alias.line, format!("`alias`: {name} {what}")));
            continue;
        }
        if !rules.keys().any(|(_, to)| *to == like.value) {
            let what = format!("`like`: no rule leads to {}, so nothing could be given {name}", like.value);
            mistakes.push(Mistake::at(file, like.line, what));
        }
        match gates.entry(alias_key(&alias.value)) {
            Entry::Vacant(free) => drop(free.insert(like.value)),
            Entry::Occupied(_) => {
                let what = format!(
                    "`alias`: {name} is given twice, by this name or by one that is the same to MLflow"
                );
                mistakes.push(Mistake::at(file, alias.line, what));
            }
        }
    }
    gates
}

/// What MLflow says of such an alias.
fn no_alias(name: &str) -> Option<&'static str> {
    let number = name.strip_prefix(['v', 'V']);
    if name.is_empty()
        || name.len() > 255
        || !name.chars().all(|letter| letter.is_alphanumeric() || "_-".contains(letter))
    {
        Some("is no alias: MLflow takes letters, digits, `_` and `-`, and 255 of them at most")
    } else if name.eq_ignore_ascii_case("latest")
        || number.is_some_and(|number| !number.is_empty() && number.chars().all(char::is_numeric))
    {
        Some("is an alias that MLflow keeps for itself")
    } else {
        None
    }
}

/// What is wrong with a test's name: it must fit behind `evidence.` in a tag's key.
pub(super) fn tests_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > 100 {
        Some("is longer than 100 bytes")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
        Some("is not a test's name, which has letters, digits, `_`, `-` and `.`")
    } else {
        None
    }
}

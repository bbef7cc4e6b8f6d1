//! Which version may go from which stage to which, and what it takes (`stages.toml`).
//!
//! What no rule names is refused. A rule is judged on what is known at one moment (`judge`), and takes nothing on trust:
//! an approval or a test's result for other bytes is none.

mod judge;
mod sound;
mod written;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::SignedDuration;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

pub use judge::{Approved, Case, Lack, Said, Uncounted, Untested, Verdict};

use super::names::is_unseen;
use crate::mistake::Mistake;
use crate::stage::Stage;
use written::Written;

/// All rules on stages of one folder.
#[derive(Debug)]
pub struct Transitions {
    /// Each with the line that it begins on.
    rules: BTreeMap<(Stage, Stage), (usize, Transition)>,
    /// By what is one alias (`alias_key`).
    gates: HashMap<String, Stage>,
    approvals_last: SignedDuration,
    prompts: bool,
}

/// What it takes to go from one stage to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Where the version stands.
    pub from: Stage,
    /// Where it goes.
    pub to: Stage,
    /// How many people must approve.
    pub required_approvals: usize,
    /// Tests that must have passed, in the order of the file.
    pub required_tests: Vec<String>,
    /// Whether an open request is carried out by whichever requirement comes last, be it a test or an approval.
    pub automatic: bool,
    /// Roles of which an approver must have one. Empty: whoever has `stage_approve` there.
    pub approver_roles: Vec<String>,
    /// Whether the version's author may approve.
    pub author_may_approve: bool,
    /// Whether only a version may go that was there before, with the same digest.
    pub returning: bool,
}

impl Transitions {
    /// Reads the file, and adds what is wrong with it to `mistakes`; nothing if something is.
    pub(super) fn parse(file: &Path, bytes: &[u8], mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let mut found = Vec::new();
        let written = Written::read(file, bytes, &mut found);
        let transitions = written.map(|written| written.understood(file, &mut found));
        let sound = found.is_empty();
        mistakes.append(&mut found);
        transitions.filter(|_| sound)
    }

    /// What it takes to go from one stage to another; nothing if that is never done.
    #[must_use]
    pub fn rule(&self, from: Stage, to: Stage) -> Option<&Transition> {
        self.rules.get(&(from, to)).map(|(_, rule)| rule)
    }

    /// The stages to which a version can go from here, in the order of [`Stage::ALL`].
    #[must_use]
    pub fn reachable(&self, from: Stage) -> Vec<Stage> {
        Stage::ALL.into_iter().filter(|to| self.rule(from, *to).is_some()).collect()
    }

    /// The stage into which a version must be able to go, or stand in, to be given this alias; nothing if anybody who may
    /// set aliases may give it to any.
    ///
    /// MLflow compares aliases as its database does: SQLite and PostgreSQL exactly, MySQL and SQL Server without case and
    /// accents. Whoever gives `Champion` there gives `champion`, so one gate closes all that some database takes for one.
    #[must_use]
    pub fn gate(&self, alias: &str) -> Option<Stage> {
        self.gates.get(&alias_key(alias)).copied()
    }

    /// How long an approval counts.
    #[must_use]
    pub fn approvals_last(&self) -> SignedDuration {
        self.approvals_last
    }

    /// Whether versions of prompts, too, are held to the rules.
    #[must_use]
    pub fn prompts(&self) -> bool {
        self.prompts
    }

    /// Every rule, with the line that it begins on.
    pub fn rules(&self) -> impl Iterator<Item = (usize, &Transition)> {
        self.rules.values().map(|(line, rule)| (*line, rule))
    }
}

/// What all spellings of one person's user id have in common: letters of another case or another Unicode form (`ß` and
/// `SS`, full width, ligatures), blanks around them and characters that cannot be seen are no other person.
#[must_use]
pub fn folded(user: &str) -> String {
    if user.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return user.trim().to_ascii_lowercase();
    }
    let once = |text: &str| {
        let seen: String = text.nfkc().filter(|letter| !is_unseen(*letter)).collect();
        // Upper case first: it has all that full case folding takes apart.
        let folded = seen.to_uppercase().chars().flat_map(char::to_lowercase).nfkc().collect::<String>();
        folded.trim().to_owned()
    };
    let mut text = once(user);
    for _ in 0..MOST_PASSES {
        let again = once(&text);
        if again == text {
            break;
        }
        text = again;
    }
    text
}

/// What one pass leaves can be folded in its turn; no text needs more than this.
const MOST_PASSES: usize = 4;

/// What an alias, or a tag's key, is to a database that does not tell cases and accents apart.
#[must_use]
pub fn alias_key(alias: &str) -> String {
    folded(alias).nfkd().filter(|letter| !is_combining_mark(*letter)).collect()
}

#[cfg(test)]
mod tests;

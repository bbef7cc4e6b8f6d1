//! One set of policies, read-only once built, with the decisions that it remembers.

use std::fmt;
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use tracing::error;

use crate::authz::contract;
use crate::authz::engine::{self, Request};
use crate::authz::folder::{DECISIONS_FILE, MODEL_FILE, PolicyVersion, Sources};
use crate::authz::index::Index;
use crate::authz::links::{Asker, Links, SubjectId};
use crate::authz::object::asked_text;
use crate::authz::rows::{self, Given, POLICY_FILE, Row, RowId, Table};
use crate::authz::staffing;
use crate::mistake::Mistake;
use crate::operation::{Demand, Object, Permission};
use crate::principal::{Principal, RoleName, UserId};
use crate::rules::{Rules, STAGES_FILE};

/// What the policies say of one demand, and why. A token's list of models is not looked at here.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether the demand is allowed.
    pub allowed: bool,
    /// The first few rows that made it so, in the order of the file; none when silence refuses.
    pub rows: Arc<[RowId]>,
    /// Why there are no rows, where that is not silence.
    pub trouble: Option<Trouble>,
}

/// Why a demand was refused without asking any row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// casbin failed or panicked; not remembered.
    EngineFailed,
    /// MLflow cannot have such an object (a model's name with a `/`), or the house does not (a stage beside the ten).
    NoSuchObject,
}

impl Decision {
    /// The reason as half a sentence: `policy.csv:14 denies it`.
    #[must_use]
    pub fn why(&self) -> String {
        Why(self).to_string()
    }

    fn refused(trouble: Option<Trouble>) -> Self {
        Self { allowed: false, rows: Arc::from([]), trouble }
    }
}

/// What rows say to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Allows,
    Denies,
    Nothing,
}

/// All rows of one folder at one moment. Immutable: a request that holds it sees one policy from beginning to end.
#[derive(Debug)]
pub struct PolicySet {
    version: PolicyVersion,
    sources: Sources,
    rows: Vec<Row>,
    given: Vec<Given>,
    links: Arc<Links>,
    index: Index,
    rules: Arc<Rules>,
    memory: Cache<Remembered, Decision>,
}

impl PolicySet {
    /// Reads, validates and tries the folder's `model.conf`, `policy.csv` and `decisions.tsv`, and reads its `rules.toml`,
    /// `stages.toml` and `metadata.schema.json`.
    ///
    /// # Errors
    /// Every mistake at once: what cannot be read or understood; else each line of `decisions.tsv` that does not hold,
    /// and each rule of `stages.toml` that nobody can satisfy under the rows.
    pub fn load(dir: &Path) -> Result<Self, Vec<Mistake>> {
        Self::build(Sources::read(dir)?)
    }

    pub(super) fn build(sources: Sources) -> Result<Self, Vec<Mistake>> {
        let decisions_file = sources.dir.join(DECISIONS_FILE);
        let model = check_model(&sources.dir.join(MODEL_FILE), &sources.model);
        let table = rows::read(&sources.dir.join(POLICY_FILE), &sources.policy);
        let expected = contract::read(&decisions_file, &sources.decisions);
        let rules = Rules::parse(&sources.dir, &sources.rules, &sources.stages, &sources.schema);
        let (table, expected, rules) = match (model, table, expected, rules) {
            (Ok(()), Ok(table), Ok(expected), Ok(rules)) => (table, expected, Arc::new(rules)),
            (model, table, expected, rules) => {
                let mistakes = [model.err(), table.err(), expected.err(), rules.err()];
                return Err(mistakes.into_iter().flatten().flatten().collect());
            }
        };
        let Table { rows, given, links } = table;
        let index = Index::of(&rows);
        let memory = Cache::new(REMEMBERED);
        let (version, links) = (sources.version(), Arc::new(links));
        let policies = Self { version, sources, rows, given, links, index, rules, memory };
        let broken = contract::broken(&decisions_file, &expected, &policies);
        let unsatisfied = staffing::unsatisfied(&policies.sources.dir.join(STAGES_FILE), &policies);
        let found: Vec<Mistake> = broken.into_iter().chain(unsatisfied).collect();
        if found.is_empty() { Ok(policies) } else { Err(found) }
    }

    /// The name of exactly these files.
    #[must_use]
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// The files that it was read from.
    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The house rules of the same folder.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows that give a role.
    pub(super) fn given(&self) -> &[Given] {
        &self.given
    }

    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// The places of all rows that allow what is no list to one of `subjects`, whatever others deny.
    pub(super) fn allowing(
        &self,
        subjects: &[SubjectId],
        permission: Permission,
        object: &Object,
    ) -> Vec<usize> {
        let Some(asked) = asked_text(object) else { return Vec::new() };
        let covering = self.index.covering(&self.rows, subjects, permission, (object, &asked)).into_iter();
        covering.filter(|place| self.rows.get(*place).is_some_and(|row| row.allows)).collect()
    }

    /// How many `p` rows there are.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Decides one demand, from memory where the same was asked before.
    #[must_use]
    pub fn decide(&self, who: &Principal, demand: &Demand) -> Decision {
        self.decide_on(who, demand.permission, &demand.object)
    }

    /// The same without a [`Demand`] in one piece.
    pub(super) fn decide_on(&self, who: &Principal, permission: Permission, object: &Object) -> Decision {
        let question = Question { user: &who.user, roles: &who.roles, permission, object };
        if let Some(known) = self.memory.get(&question) {
            return known;
        }
        let decision = self.ask(Asker { user: Some(&who.user), roles: &who.roles }, permission, object);
        if decision.trouble.is_none() && question.is_short() {
            self.memory.insert(question.keep(), decision.clone());
        }
        decision
    }

    /// Decides one demand without looking at or leaving anything in the memory.
    #[must_use]
    pub fn decide_afresh(&self, who: &Principal, demand: &Demand) -> Decision {
        self.ask(Asker { user: Some(&who.user), roles: &who.roles }, demand.permission, &demand.object)
    }

    /// Whether some row speaks of particular experiments, so that a list of experiments cannot be decided as a whole.
    #[must_use]
    pub fn distinguishes_experiments(&self) -> bool {
        self.rows.iter().any(|row| row.object.starts_with("experiment:") && &*row.object != "experiment:*")
    }

    /// Whether the principal has the role, from the token or by `g` rows.
    #[must_use]
    pub fn has_role(&self, who: &Principal, name: &str) -> bool {
        self.links.has_role(Asker { user: Some(&who.user), roles: &who.roles }, name)
    }

    /// What the rows say to somebody.
    pub(super) fn says(&self, asker: Asker<'_>, permission: Permission, object: &Object) -> Word {
        let decision = self.ask(asker, permission, object);
        if decision.allowed {
            Word::Allows
        } else if decision.rows.is_empty() && decision.trouble.is_none() {
            Word::Nothing
        } else {
            Word::Denies
        }
    }

    pub(super) fn ask(&self, asker: Asker<'_>, permission: Permission, object: &Object) -> Decision {
        let Some(asked) = asked_text(object) else {
            return Decision::refused(Some(Trouble::NoSuchObject));
        };
        let subjects = self.links.subjects_of(asker);
        let candidates = self.index.candidates(&self.rows, &subjects, permission, (object, &asked));
        let candidates: Vec<&Row> = candidates.iter().filter_map(|place| self.rows.get(*place)).collect();
        if candidates.is_empty() {
            return Decision::refused(None);
        }
        let subjects = asker.text();
        let request = Request { subjects: &subjects, object: &asked, permission: permission.as_str() };
        match engine::enforce(&self.links, request, candidates.iter().map(|row| row.fields()).collect()) {
            Ok(allowed) => {
                let made_it = candidates.iter().filter(|row| row.allows == allowed).map(|row| row.id);
                Decision { allowed, rows: made_it.collect(), trouble: None }
            }
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, %permission, %object, "no decision, so refused");
                Decision::refused(Some(Trouble::EngineFailed))
            }
        }
    }
}

/// How many decisions are remembered under one version.
const REMEMBERED: usize = 32_768;

/// Names longer than any sensible one are decided afresh each time, so that they cannot fill the memory.
const LONGEST_REMEMBERED: usize = 512;

/// The file must say what the program is built for: casbin takes models on which it later panics, or which allow by default.
fn check_model(file: &Path, bytes: &[u8]) -> Result<(), Vec<Mistake>> {
    let text = rows::plain_text(file, bytes).map_err(|mistake| vec![mistake])?;
    let (found, expected) = (statements(text), statements(engine::MODEL));
    let first = found.iter().zip(&expected).find(|((_, found), (_, expected))| found != expected);
    let mistake = match first {
        Some(((line, found), (_, expected))) => Mistake::at(
            file,
            *line,
            format!("`{found}` must be `{expected}`: the program is built for this model alone"),
        ),
        None if found.len() > expected.len() => {
            let line = found.get(expected.len()).map_or(1, |(line, _)| *line);
            Mistake::at(file, line, "the program is built for a model that ends before this line")
        }
        None if found.len() < expected.len() => {
            let missing = expected.get(found.len()).map_or("", |(_, text)| text);
            Mistake::of(file, format!("`{missing}` is missing: the program is built for this model alone"))
        }
        None => return Ok(()),
    };
    Err(vec![mistake])
}

/// The lines that count, with runs of blanks as one. Blanks are not taken out: casbin panics on `p.eft==allow`.
fn statements(text: &str) -> Vec<(usize, String)> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (1..)
        .zip(text.lines().map(words))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// A question by reference, so that asking again allocates nothing.
#[derive(Hash)]
struct Question<'a> {
    user: &'a UserId,
    roles: &'a [RoleName],
    permission: Permission,
    object: &'a Object,
}

/// The same, kept; both hash alike because a slice and a box of it do.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Remembered {
    user: UserId,
    roles: Box<[RoleName]>,
    permission: Permission,
    object: Object,
}

impl Question<'_> {
    fn keep(&self) -> Remembered {
        let (user, roles, object) = (self.user.clone(), self.roles.into(), self.object.clone());
        Remembered { user, roles, permission: self.permission, object }
    }

    fn is_short(&self) -> bool {
        self.roles.len() <= 64 && self.object.to_string().len() <= LONGEST_REMEMBERED
    }
}

impl Equivalent<Remembered> for Question<'_> {
    fn equivalent(&self, key: &Remembered) -> bool {
        *self.user == key.user
            && *self.roles == *key.roles
            && self.permission == key.permission
            && *self.object == key.object
    }
}

struct Why<'a>(&'a Decision);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decision { allowed, rows, trouble } = self.0;
        match trouble {
            Some(Trouble::EngineFailed) => return f.write_str("the policy engine failed"),
            Some(Trouble::NoSuchObject) => return f.write_str("there can be no such object"),
            None => {}
        }
        for (place, row) in rows.iter().enumerate() {
            write!(f, "{}{row}", if place > 0 { ", " } else { "" })?;
        }
        f.write_str(match (rows.len(), allowed) {
            (0, _) => "no policy row allows it",
            (1, true) => " allows it",
            (1, false) => " denies it",
            (_, true) => " allow it",
            (_, false) => " deny it",
        })
    }
}

#[cfg(test)]
mod tests;

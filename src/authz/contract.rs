//! `decisions.tsv`: a site's own list of what must stay true, read and held against a set of policies.

use std::path::Path;

use crate::authz::links::Asker;
use crate::authz::object::parse_object;
use crate::authz::policy::PolicySet;
use crate::authz::rows;
use crate::mistake::Mistake;
use crate::operation::Demand;
use crate::principal::{RoleName, UserId};

/// One line: this subject, alone, is or is not allowed this.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) line: usize,
    pub(super) user: Option<UserId>,
    pub(super) roles: Vec<RoleName>,
    pub(super) demand: Demand,
    pub(super) allowed: bool,
}

/// Reads a whole file, and reports every mistake in it at once.
pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Vec<Expected>, Vec<Mistake>> {
    let text = rows::plain_text(file, bytes).map_err(|mistake| vec![mistake])?;
    let mut expected = Vec::new();
    let mut mistakes = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match read_line(number, line) {
            Ok(line) => expected.push(line),
            Err(what) => mistakes.push(Mistake::at(file, number, what)),
        }
    }
    if mistakes.is_empty() { Ok(expected) } else { Err(mistakes) }
}

/// Every line that does not hold under these policies.
pub(super) fn broken(file: &Path, expected: &[Expected], policies: &PolicySet) -> Vec<Mistake> {
    expected
        .iter()
        .filter_map(|line| {
            let asker = Asker { user: line.user.as_ref(), roles: &line.roles };
            let decision = policies.ask(asker, line.demand.permission, &line.demand.object);
            (decision.allowed != line.allowed || decision.trouble.is_some()).then(|| {
                let who = asker.text();
                let must = if line.allowed { "allowed" } else { "refused" };
                let why = decision.why();
                Mistake::at(file, line.line, format!("{who} {} must be {must}, but {why}", line.demand))
            })
        })
        .collect()
}

fn read_line(line: usize, text: &str) -> Result<Expected, String> {
    let fields: Vec<&str> = text.split('\t').map(rows::trimmed).collect();
    let [who, word, object, outcome] = fields.as_slice() else {
        return Err(format!("a line has 4 fields separated by tabs, this one has {}", fields.len()));
    };
    for field in &fields {
        rows::sound(field)?;
    }
    rows::subject(who)?;
    let (user, roles) = match who.split_once(':') {
        Some(("user", name)) => (UserId::new(name), Vec::new()),
        Some((_, name)) => (None, RoleName::new(name).into_iter().collect()),
        None => (None, Vec::new()),
    };
    let object = parse_object(object).map_err(|error| error.to_string())?;
    let demand = Demand::new(rows::permission(word)?, object);
    Ok(Expected { line, user, roles, demand, allowed: rows::effect(outcome)? })
}

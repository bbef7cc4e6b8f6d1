//! `stages.toml` as it was written: each rule with its lines, and a mistake for whatever no key describes.

use std::path::Path;

use super::sound::tests_name;
use crate::mistake::Mistake;
use crate::principal::RoleName;
use crate::rules::names::shown;
use crate::rules::reading::{Key, Reader, Said, Value, nearest};
use crate::stage::Stage;

/// The whole file.
#[derive(Debug)]
pub(super) struct Written {
    /// Nothing where the file says nothing of transitions at all.
    pub(super) rules: Option<Vec<Draft>>,
    pub(super) finals: Vec<Said<Stage>>,
    pub(super) unused: Vec<Said<Stage>>,
    pub(super) gates: Vec<(Said<String>, Said<Stage>)>,
    pub(super) approvals_last_days: i64,
    pub(super) prompts: bool,
}

/// One `[[transitions]]`, which may stand for several.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) line: usize,
    pub(super) from: Vec<Said<Stage>>,
    pub(super) to: Vec<Said<Stage>>,
    pub(super) required_approvals: usize,
    pub(super) required_tests: Vec<String>,
    pub(super) automatic: bool,
    pub(super) approver_roles: Vec<String>,
    pub(super) author_may_approve: bool,
    pub(super) returning: bool,
}

const KEYS: [&str; 6] = ["approvals_last_days", "prompts", "final", "unused", "transitions", "gates"];
const OF_A_RULE: [&str; 8] = [
    "from",
    "to",
    "required_approvals",
    "required_tests",
    "automatic",
    "approver_roles",
    "author_may_approve",
    "returning",
];
const OF_A_GATE: [&str; 2] = ["alias", "like"];

/// More approvals than these are never meant.
const MOST_APPROVALS: i64 = 20;
/// Ten years.
const LONGEST: i64 = 3650;

impl Written {
    /// Reads what can be read, and adds what is wrong to `mistakes`; nothing if it is not TOML.
    pub(super) fn read(file: &Path, bytes: &[u8], mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let (mut reader, tree) = Reader::over(file, bytes, mistakes)?;
        let mut written = Self {
            rules: None,
            finals: Vec::new(),
            unused: Vec::new(),
            gates: Vec::new(),
            approvals_last_days: 14,
            prompts: false,
        };
        for (key, value) in tree.get_ref() {
            written.entry(&mut reader, key, value);
        }
        Some(written)
    }

    fn entry(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        match &**key.get_ref() {
            "approvals_last_days" => {
                let days = reader.number("approvals_last_days", value, 1..=LONGEST);
                self.approvals_last_days = days.unwrap_or(self.approvals_last_days);
            }
            "prompts" => self.prompts = reader.flag("prompts", value),
            "final" => self.finals = stages(reader, "final", value),
            "unused" => self.unused = stages(reader, "unused", value),
            "transitions" => {
                let rules = self.rules.get_or_insert_default();
                for (line, table) in reader.tables("transitions", value) {
                    rules.push(Draft::read(reader, line, &table));
                }
            }
            "gates" => {
                for (line, table) in reader.tables("gates", value) {
                    self.gates.extend(gate(reader, line, &table));
                }
            }
            _ => reader.unknown_key(None, key, &KEYS),
        }
    }
}

impl Draft {
    fn read(reader: &mut Reader<'_>, line: usize, table: &[(&Key<'_>, &Value<'_>)]) -> Self {
        let mut draft = Self { line, author_may_approve: true, ..Self::default() };
        for (key, value) in table {
            draft.entry(reader, key, value);
        }
        // A key that was forgotten must not open a gate.
        for required in ["from", "to", "required_approvals"] {
            if !table.iter().any(|(key, _)| key.get_ref() == required) {
                reader.mistake_on(line, format!("`{required}` is missing from this rule"));
            }
        }
        let said = |word: &str| table.iter().any(|(key, _)| key.get_ref() == word);
        let approvals_of = ["approver_roles", "author_may_approve"].into_iter().find(|word| said(word));
        if let (true, 0, Some(word)) = (said("required_approvals"), draft.required_approvals, approvals_of) {
            reader.mistake_on(
                line,
                format!("`{word}` says who may approve, and this rule asks for no approval"),
            );
        }
        draft
    }

    fn entry(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        match &**key.get_ref() {
            "from" => self.from = stages(reader, "from", value),
            "to" => self.to = stages(reader, "to", value),
            "required_approvals" => {
                let number = reader.number("required_approvals", value, 0..=MOST_APPROVALS);
                // Where it is wrong, nothing else need be.
                self.required_approvals = number.and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
            }
            "required_tests" => self.required_tests = names(reader, "required_tests", value, tests_name),
            "automatic" => self.automatic = reader.flag("automatic", value),
            "approver_roles" => {
                self.approver_roles = names(reader, "approver_roles", value, role);
                if value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
                    let what = "`approver_roles`: nobody has a role out of none; leave it out to let any approver do";
                    reader.mistake(value.span(), what.to_owned());
                }
            }
            "author_may_approve" => self.author_may_approve = reader.flag("author_may_approve", value),
            "returning" => self.returning = reader.flag("returning", value),
            _ => reader.unknown_key(Some("transitions"), key, &OF_A_RULE),
        }
    }
}

fn gate(
    reader: &mut Reader<'_>,
    line: usize,
    table: &[(&Key<'_>, &Value<'_>)],
) -> Option<(Said<String>, Said<Stage>)> {
    let (mut alias, mut like) = (None, None);
    for (key, value) in table {
        match &**key.get_ref() {
            "alias" => alias = reader.text("alias", value),
            "like" => like = reader.text("like", value).and_then(|text| stage(reader, "like", text)),
            _ => reader.unknown_key(Some("gates"), key, &OF_A_GATE),
        }
    }
    for required in OF_A_GATE {
        if !table.iter().any(|(key, _)| key.get_ref() == required) {
            reader.mistake_on(line, format!("`{required}` is missing from this gate"));
        }
    }
    alias.zip(like)
}

/// A stage or a list of stages.
fn stages(reader: &mut Reader<'_>, name: &str, value: &Value<'_>) -> Vec<Said<Stage>> {
    let texts = if value.get_ref().as_str().is_some() {
        reader.text(name, value).into_iter().collect()
    } else {
        reader.texts(name, value)
    };
    let mut stages: Vec<Said<Stage>> = Vec::new();
    for text in texts {
        let Some(stage) = stage(reader, name, text) else { continue };
        if stages.iter().any(|known| known.value == stage.value) {
            reader.mistake_on(stage.line, format!("`{name}`: {} is given twice", stage.value));
        } else {
            stages.push(stage);
        }
    }
    if value.get_ref().as_array().is_some_and(|list| list.is_empty()) && ["from", "to"].contains(&name) {
        reader.mistake(value.span(), format!("`{name}`: there is no stage in it"));
    }
    stages
}

fn stage(reader: &mut Reader<'_>, name: &str, Said { line, value }: Said<String>) -> Option<Said<Stage>> {
    let stage = Stage::named(&value);
    if stage.is_none() {
        let what = format!("`{name}`: {} is no stage{}", shown(&value), nearest(&value, &Stage::NAMES));
        reader.mistake_on(line, what);
    }
    stage.map(|value| Said { line, value })
}

/// A list of names, none of them twice.
fn names(
    reader: &mut Reader<'_>,
    key: &str,
    value: &Value<'_>,
    wrong: fn(&str) -> Option<&'static str>,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for Said { line, value } in reader.texts(key, value) {
        if let Some(what) = wrong(&value) {
            reader.mistake_on(line, format!("`{key}`: {} {what}", shown(&value)));
        } else if names.contains(&value) {
            reader.mistake_on(line, format!("`{key}`: {} is given twice", shown(&value)));
        } else {
            names.push(value);
        }
    }
    names
}

fn role(name: &str) -> Option<&'static str> {
    if name.starts_with("role:") || name.starts_with("user:") {
        Some("is a role's name with something before it; write the name alone, and no user's")
    } else if RoleName::new(name).is_none() {
        Some("is not a role's name")
    } else {
        None
    }
}

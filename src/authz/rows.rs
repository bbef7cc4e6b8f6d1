//! `policy.csv` read by ourselves: casbin's own reader drops what it does not know, and a dropped deny row is a hole.

mod circles;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use crate::authz::links::{Links, SubjectId};
use crate::authz::object::{Below, Parts};
use crate::glob;
use crate::mistake::Mistake;
use crate::operation::Permission;
use crate::stage::Stage;

/// The file of the rows, inside the folder of policies.
pub const POLICY_FILE: &str = "policy.csv";

/// A row by its place: `policy.csv:14`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(u32);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{POLICY_FILE}:{}", self.0)
    }
}

/// One `p` row whose every field has been understood.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: RowId,
    pub(super) subject: Box<str>,
    pub(super) holder: SubjectId,
    pub(super) object: Box<str>,
    pub(super) permission: Permission,
    pub(super) allows: bool,
}

impl Row {
    /// The fields as casbin's `p` holds them.
    pub(super) fn fields(&self) -> Vec<String> {
        let effect = if self.allows { "allow" } else { "deny" };
        vec![
            String::from(&*self.subject),
            String::from(&*self.object),
            self.permission.as_str().to_owned(),
            effect.to_owned(),
        ]
    }
}

/// One `g` row.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) id: RowId,
    pub(super) member: SubjectId,
    pub(super) role: SubjectId,
}

/// All rows of a file.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    pub(super) given: Vec<Given>,
    pub(super) links: Links,
}

/// Reads a whole file, and reports every mistake in it at once.
pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Table, Vec<Mistake>> {
    let text = plain_text(file, bytes).map_err(|mistake| vec![mistake])?;
    let mut reading = Reading::default();
    let mut mistakes = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = trimmed(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(what) = reading.line(number, line) {
            mistakes.push(Mistake::at(file, number as usize, what));
        }
    }
    let pairs: Vec<_> = reading.table.given.iter().map(|given| (given.member, given.role)).collect();
    let tangled = circles::find(&pairs);
    for (knot, given) in tangled.iter().zip(&reading.table.given) {
        if let Some(knot) = knot {
            mistakes.push(Mistake::at(file, given.id.0 as usize, knot.to_string()));
        }
    }
    if reading.table.rows.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake::of(file, "there is no `p` row, and an empty policy is never meant"));
    }
    if !mistakes.is_empty() {
        mistakes.sort_by_key(Mistake::line);
        return Err(mistakes);
    }
    reading.table.links.follow(&pairs);
    Ok(reading.table)
}

/// The text of a file that holds nothing an editor would hide.
pub(super) fn plain_text<'a>(file: &Path, bytes: &'a [u8]) -> Result<&'a str, Mistake> {
    let line_of = |offset: usize| 1 + bytes.iter().take(offset).filter(|byte| **byte == b'\n').count();
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Mistake::at(file, 1, "begins with a byte order mark; save the file as plain UTF-8"));
    }
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Mistake::at(file, line_of(offset), "holds a NUL byte; save the file as plain UTF-8"));
    }
    std::str::from_utf8(bytes)
        .map_err(|error| Mistake::at(file, line_of(error.valid_up_to()), "is not UTF-8"))
}

/// A line or a field without the blanks around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r'])
}

/// The nearest of the words that were expected, for the end of a sentence.
pub(super) fn did_you_mean<'a>(found: &str, expected: impl IntoIterator<Item = &'a str>) -> String {
    let distance = |word: &str| strsim::damerau_levenshtein(&found.to_lowercase(), &word.to_lowercase());
    expected.into_iter().min_by_key(|word| distance(word)).map_or_else(String::new, |nearest| {
        if distance(nearest) <= nearest.len() / 2 {
            format!("; did you mean `{nearest}`?")
        } else {
            String::new()
        }
    })
}

/// Reads `role:<name>` or `user:<id>`; rows and tests name them alike.
pub(super) fn subject(text: &str) -> Result<(), String> {
    match text.split_once(':') {
        Some(("role" | "user", "")) => Err(format!("`{text}` names nobody")),
        Some(("role" | "user", name)) if name.contains('*') => {
            Err(format!("`{text}` holds a `*`; subjects carry no patterns"))
        }
        Some(("role" | "user", name)) if name.len() > LONGEST_NAME => {
            Err(format!("`{text}` is longer than {LONGEST_NAME} bytes"))
        }
        Some(("role" | "user", _)) => Ok(()),
        Some((kind, _)) => Err(format!(
            "`{text}` is not a subject: `{kind}` is neither `role` nor `user`{}",
            did_you_mean(kind, ["role", "user"])
        )),
        None => Err(format!("`{text}` is not a subject: write `role:{text}` or `user:{text}`")),
    }
}

/// Reads a permission's word.
pub(super) fn permission(word: &str) -> Result<Permission, String> {
    Permission::from_word(word).ok_or_else(|| {
        let known = Permission::ALL.iter().map(|permission| permission.as_str());
        format!("`{word}` is not a permission{}", did_you_mean(word, known))
    })
}

/// Reads a field's word out of two.
pub(super) fn effect(word: &str) -> Result<bool, String> {
    match word {
        "allow" => Ok(true),
        "deny" => Ok(false),
        _ => Err(format!("`{word}` is neither `allow` nor `deny`{}", did_you_mean(word, ["allow", "deny"]))),
    }
}

/// Refuses what a field may not hold whatever it means.
pub(super) fn sound(field: &str) -> Result<(), String> {
    if field.is_empty() {
        Err("a field is empty".to_owned())
    } else if field.contains('"') {
        Err(format!("{field} holds a quotation mark; fields are written without"))
    } else if field.contains(hidden) {
        Err(format!("`{}` holds a character that cannot be seen", field.escape_debug()))
    } else {
        Ok(())
    }
}

const LONGEST_NAME: usize = 256;

/// Characters that two fields could differ by without a reader seeing it.
fn hidden(c: char) -> bool {
    c.is_control()
        || (c != ' ' && c.is_whitespace())
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[derive(Default)]
struct Reading {
    table: Table,
    seen: HashMap<String, u32>,
}

impl Reading {
    fn line(&mut self, number: u32, line: &str) -> Result<(), String> {
        let fields: Vec<&str> = line.split(',').map(trimmed).collect();
        for field in &fields {
            sound(field)?;
        }
        match fields.as_slice() {
            ["p", who, object, word, outcome] => self.p_row(number, who, object, word, outcome)?,
            ["p", rest @ ..] => {
                return Err(arity("p", "p, subject, object, permission, allow|deny", rest.len()));
            }
            ["g", member, role] => self.g_row(number, member, role)?,
            ["g", rest @ ..] => return Err(arity("g", "g, member, role", rest.len())),
            [kind, ..] => return Err(format!("`{kind}` is not a kind of row: rows begin with `p` or `g`")),
            [] => {}
        }
        match self.seen.insert(fields.join(","), number) {
            Some(first) => Err(format!("the same row as line {first}")),
            None => Ok(()),
        }
    }

    fn p_row(&mut self, line: u32, who: &str, object: &str, word: &str, outcome: &str) -> Result<(), String> {
        subject(who)?;
        pattern(object)?;
        let (permission, allows) = (permission(word)?, effect(outcome)?);
        let holder = self.table.links.number(who);
        let (subject, object) = (who.into(), object.into());
        self.table.rows.push(Row { id: RowId(line), subject, holder, object, permission, allows });
        Ok(())
    }

    fn g_row(&mut self, line: u32, member: &str, role: &str) -> Result<(), String> {
        subject(member)?;
        subject(role)?;
        if !role.starts_with("role:") {
            return Err(format!("`{role}` is not a role; a `g` row gives a role to its member"));
        }
        let (member, role) = (self.table.links.number(member), self.table.links.number(role));
        self.table.given.push(Given { id: RowId(line), member, role });
        Ok(())
    }
}

fn arity(kind: &str, form: &str, found: usize) -> String {
    let expected = form.split(',').count() - 1;
    format!("a `{kind}` row has {expected} fields after its kind (`{form}`), this one has {found}")
}

fn pattern(object: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("`{object}` is not an object: {why}"));
    if object == "*" {
        return refuse("write a row each for `model:*`, `experiment:*` and `server`");
    }
    match Parts::of(object) {
        Err(why) => {
            let kind = object.split(':').next().unwrap_or(object);
            refuse(&format!("{why}{}", did_you_mean(kind, ["model", "experiment", "server"])))
        }
        Ok(Parts::Model("?", _)) => refuse("`?` stands for a list; rows say `model:*`"),
        Ok(Parts::Experiment("?")) => refuse("`?` stands for an untold one; rows say `experiment:*`"),
        Ok(Parts::Model(_, Some((Below::Stage, stage))))
            if !Stage::NAMES.iter().any(|known| glob::matches(stage, known, Some(b'/'))) =>
        {
            refuse(&format!("the house has no stage `{stage}`{}", did_you_mean(stage, Stage::NAMES)))
        }
        Ok(Parts::Model(..) | Parts::Experiment(_) | Parts::Server) => Ok(()),
    }
}

#[cfg(test)]
mod tests;

//! What was written, and where: the file's TOML and the environment, found by the table of keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::Place;
use super::keys::{self, Key, keys};
use super::values::shown;
use crate::mistake::Mistake;

/// The file that is read, for saying where something is.
pub(super) struct Source<'t> {
    pub(super) file: &'t Path,
    pub(super) text: &'t str,
}

/// The value of one key, not yet understood.
pub(super) struct Found<'t> {
    pub(super) place: Place,
    spelled: Spelled<'t>,
}

enum Spelled<'t> {
    Toml(DeValue<'t>),
    /// From an environment variable or the table of defaults.
    Plain(&'t str),
}

/// The keys that were set, the environment before the file.
pub(super) type Set<'t> = BTreeMap<&'static str, Found<'t>>;

/// Finds every key of the file and the environment; what no key describes is a mistake.
pub(super) fn find<'t>(
    source: &Source<'t>,
    tree: &DeTable<'t>,
    environment: &'t [(String, String)],
    mistakes: &mut Vec<Mistake>,
) -> Set<'t> {
    let mut set = Set::new();
    find_in_file(source, tree, &mut set, mistakes);
    find_in_environment(environment, &mut set, mistakes);
    set
}

/// Whether the tree that was read despite these errors is whole.
pub(super) fn is_readable(errors: &[toml::de::Error]) -> bool {
    errors.iter().all(is_duplicate)
}

/// Duplicates are all told. Of other errors only the first: the parser stumbles on over what follows it.
pub(super) fn syntax_mistakes(file: &Path, text: &str, errors: &[toml::de::Error]) -> Vec<Mistake> {
    let source = Source { file, text };
    let others = errors.iter().filter(|error| !is_duplicate(error));
    let first = others.min_by_key(|error| error.span().map(|span| span.start));
    let told = errors.iter().filter(|error| is_duplicate(error)).chain(first);
    told.map(|error| {
        // The message alone: `Display` would quote the line, which may hold a secret.
        let message = error.message().replace('\n', " ");
        match error.span() {
            Some(span) if is_duplicate(error) => {
                let name = shown(text.get(span.clone()).unwrap_or_default());
                Mistake::at(file, source.line(span), format!("{name} is given twice"))
            }
            Some(span) => Mistake::at(file, source.line(span), format!("is not TOML: {message}")),
            None => Mistake::of(file, format!("is not TOML: {message}")),
        }
    })
    .collect()
}

impl Source<'_> {
    /// The line, counted from 1, on which a span of the file begins.
    pub(super) fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    /// A mistake in the value of a key. `None` is a place that nobody wrote.
    pub(super) fn mistake(&self, place: Option<&Place>, name: &str, what: &str) -> Mistake {
        match place {
            Some(Place::Line(line)) => Mistake::at(self.file, *line, format!("`{name}`: {what}")),
            Some(Place::Variable(variable)) if keys().iter().any(|key| sets(key, variable, name)) => {
                Mistake::of(ENVIRONMENT, format!("{variable}: {what}"))
            }
            Some(Place::Variable(variable)) => {
                Mistake::of(ENVIRONMENT, format!("{variable}: `{name}`: {what}"))
            }
            None => Mistake::of(self.file, format!("`{name}`: {what}")),
        }
    }

    /// The place of a part of what was found at `whole`.
    pub(super) fn within(&self, whole: &Place, span: Range<usize>) -> Place {
        match whole {
            Place::Line(_) => Place::Line(self.line(span)),
            Place::Variable(variable) => Place::Variable(variable.clone()),
        }
    }
}

impl<'t> Found<'t> {
    /// As if it had come from a variable.
    pub(super) fn plain(place: Place, text: &'t str) -> Self {
        Self { place, spelled: Spelled::Plain(text) }
    }

    /// A part of another value.
    pub(super) fn part(place: Place, value: DeValue<'t>) -> Self {
        Self { place, spelled: Spelled::Toml(value) }
    }

    /// A string that is not empty.
    pub(super) fn text(&self) -> Result<&str, String> {
        let text = match &self.spelled {
            Spelled::Toml(value) => value.as_str().ok_or_else(|| expected("a string", value))?,
            Spelled::Plain(text) => text,
        };
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text) }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, String> {
        match &self.spelled {
            Spelled::Toml(value) => value.as_bool().ok_or_else(|| expected("`true` or `false`", value)),
            Spelled::Plain(text) => {
                text.parse().map_err(|_| format!("expected `true` or `false`, found {}", shown(text)))
            }
        }
    }

    /// A whole number from 0 to 4,294,967,295.
    pub(super) fn count(&self) -> Result<u32, String> {
        let (digits, radix) = match &self.spelled {
            Spelled::Toml(value) => {
                let number = value.as_integer().ok_or_else(|| expected("a whole number", value))?;
                (number.as_str(), number.radix())
            }
            Spelled::Plain(text) => (*text, 10),
        };
        u32::from_str_radix(digits, radix)
            .map_err(|_| format!("expected a whole number from 0 to {}, found {}", u32::MAX, shown(digits)))
    }

    /// A list of strings; in a variable, as TOML writes it.
    pub(super) fn texts(&self) -> Result<Vec<String>, String> {
        let value = self.value()?;
        let list = value.as_array().ok_or_else(|| expected("a list of strings", &value))?;
        let text = |entry: &Spanned<DeValue<'t>>| {
            let entry = entry.get_ref();
            entry
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("in the list, {}", expected("a string", entry)))
        };
        list.iter().map(text).collect()
    }

    /// A list of tables, each with the span where it begins; in a variable, as TOML writes it.
    pub(super) fn tables(&self) -> Result<Vec<(Range<usize>, DeTable<'t>)>, String> {
        let value = self.value()?;
        let list = value.as_array().ok_or_else(|| expected("a list of tables", &value))?;
        let table = |entry: &Spanned<DeValue<'t>>| {
            let table = entry.get_ref().as_table().cloned();
            let table =
                table.ok_or_else(|| format!("in the list, {}", expected("a table", entry.get_ref())))?;
            Ok((entry.span(), table))
        };
        list.iter().map(table).collect()
    }

    fn value(&self) -> Result<DeValue<'t>, String> {
        match &self.spelled {
            Spelled::Toml(value) => Ok(value.clone()),
            Spelled::Plain(text) => DeValue::parse(text)
                .map(Spanned::into_inner)
                .map_err(|error| format!("is not a TOML value: {}", error.message().replace('\n', " "))),
        }
    }
}

const ENVIRONMENT: &str = "environment";

fn find_in_file<'t>(source: &Source<'t>, tree: &DeTable<'t>, set: &mut Set<'t>, mistakes: &mut Vec<Mistake>) {
    for (section, value) in tree {
        let name = section.get_ref().as_ref();
        let line = source.line(section.span());
        match value.get_ref().as_table() {
            Some(table) if keys::is_section(name) => {
                find_in_section(source, name, table, set, mistakes);
            }
            Some(_) => {
                let what = format!("unknown section {}{}", shown(name), keys::nearest_section(name));
                mistakes.push(Mistake::at(source.file, line, what));
            }
            None if keys::is_section(name) => {
                let what = format!("{} is a section, written `[{name}]`", shown(name));
                mistakes.push(Mistake::at(source.file, line, what));
            }
            None => mistakes.push(Mistake::at(source.file, line, unknown_key(&quoted(name)))),
        }
    }
}

fn find_in_environment<'t>(
    environment: &'t [(String, String)],
    set: &mut Set<'t>,
    mistakes: &mut Vec<Mistake>,
) {
    for (variable, value) in environment.iter().filter(|(variable, _)| keys::can_set(variable)) {
        match keys().iter().find(|key| key.variable() == *variable) {
            _ if value.contains(char::REPLACEMENT_CHARACTER) => {
                mistakes.push(Mistake::of(ENVIRONMENT, format!("{variable}: is not UTF-8")));
            }
            Some(key) => {
                let found =
                    Found { place: Place::Variable(variable.clone()), spelled: Spelled::Plain(value) };
                set.insert(key.name, found);
            }
            None => {
                let nearest = keys::nearest_variable(variable);
                let what = format!("{}: sets no key that is known{nearest}", variable.escape_debug());
                mistakes.push(Mistake::of(ENVIRONMENT, what));
            }
        }
    }
}

fn find_in_section<'t>(
    source: &Source<'t>,
    section: &str,
    table: &DeTable<'t>,
    set: &mut Set<'t>,
    mistakes: &mut Vec<Mistake>,
) {
    for (word, value) in table {
        let name = format!("{section}.{}", quoted(word.get_ref()));
        let line = source.line(word.span());
        match keys().iter().find(|key| key.name == name) {
            Some(key) => {
                set.insert(key.name, Found::part(Place::Line(line), value.get_ref().clone()));
            }
            None => mistakes.push(Mistake::at(source.file, line, unknown_key(&name))),
        }
    }
}

/// A word with a dot in it is another thing than two words.
fn quoted(word: &str) -> Cow<'_, str> {
    if word.contains('.') { Cow::Owned(format!("'{word}'")) } else { Cow::Borrowed(word) }
}

fn unknown_key(name: &str) -> String {
    format!("unknown key {}{}", shown(name), keys::nearest_key(name))
}

fn sets(key: &Key, variable: &str, name: &str) -> bool {
    key.name == name && key.variable() == variable
}

fn expected(what: &str, found: &DeValue<'_>) -> String {
    format!("expected {what}, found {}", found.type_str())
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message().starts_with("duplicate key")
}

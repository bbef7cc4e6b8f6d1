//! A file of rules as TOML: each value with its line, and a mistake for whatever is not what was expected.

use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::names::shown;
use crate::mistake::Mistake;

/// A value, and the line that it stands on, counted from 1.
#[derive(Clone, Debug)]
pub(super) struct Said<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// The nearest of the words that were expected, for the end of a sentence; nothing where none is near.
pub(super) fn nearest(found: &str, known: &[&str]) -> String {
    let furthest = (found.chars().count() / 4).max(2);
    let scored = known.iter().map(|word| (strsim::osa_distance(found, word), word));
    match scored.filter(|(distance, _)| *distance <= furthest).min() {
        Some((_, word)) => format!("; did you mean `{word}`?"),
        None => String::new(),
    }
}

pub(super) type Key<'t> = Spanned<toml::de::DeString<'t>>;
pub(super) type Value<'t> = Spanned<DeValue<'t>>;
/// What stands in one table.
pub(super) type Entries<'v, 't> = Vec<(&'v Key<'t>, &'v Value<'t>)>;

/// Reads values, and notes what is wrong with them.
pub(super) struct Reader<'r> {
    file: &'r Path,
    lines: Lines,
    mistakes: &'r mut Vec<Mistake>,
}

impl<'r> Reader<'r> {
    /// The whole file; nothing, and a mistake, where it cannot be read as TOML.
    pub(super) fn over<'t>(
        file: &'r Path,
        bytes: &'t [u8],
        mistakes: &'r mut Vec<Mistake>,
    ) -> Option<(Self, Spanned<DeTable<'t>>)> {
        let lines = Lines::of(bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                mistakes.push(Mistake::at(file, lines.line(error.valid_up_to()), "is not UTF-8"));
                return None;
            }
        };
        let (tree, errors) = DeTable::parse_recoverable(text);
        let mut reader = Self { file, lines, mistakes };
        let twice = |error: &&toml::de::Error| error.message().starts_with("duplicate key");
        for error in errors.iter().filter(twice) {
            let span = error.span().unwrap_or_default();
            let name = shown(text.get(span.clone()).unwrap_or_default());
            reader.mistake(span, format!("{name} is given twice"));
        }
        // The parser stumbles on over what follows the first error, and its tree is not whole.
        if let Some(error) = errors.iter().find(|error| !twice(error)) {
            let message = error.message().replace('\n', " ");
            reader.mistake(error.span().unwrap_or_default(), format!("is not TOML: {message}"));
            return None;
        }
        Some((reader, tree))
    }

    /// A value with the line on which it begins.
    pub(super) fn said<T>(&self, span: &Range<usize>, value: T) -> Said<T> {
        Said { line: self.lines.line(span.start), value }
    }

    /// A mistake on a line that is known.
    pub(super) fn mistake_on(&mut self, line: usize, what: String) {
        self.mistakes.push(Mistake::at(self.file, line, what));
    }

    /// A key that nothing describes, of a section or of the file itself.
    pub(super) fn unknown_key(&mut self, section: Option<&str>, key: &Key<'_>, known: &[&str]) {
        let word = &**key.get_ref();
        let whole = section.map_or_else(|| word.to_owned(), |section| format!("{section}.{word}"));
        self.mistake(key.span(), format!("unknown key {}{}", shown(&whole), nearest(word, known)));
    }

    pub(super) fn mistake(&mut self, span: Range<usize>, what: String) {
        self.mistakes.push(Mistake::at(self.file, self.lines.line(span.start), what));
    }

    pub(super) fn expected(&mut self, name: &str, what: &str, found: &Value<'_>) {
        let kind = found.get_ref().type_str();
        self.mistake(found.span(), format!("{}: expected {what}, found {kind}", shown(name)));
    }

    pub(super) fn flag(&mut self, name: &str, value: &Value<'_>) -> bool {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.expected(name, "`true` or `false`", value);
        }
        flag.unwrap_or_default()
    }

    pub(super) fn number(
        &mut self,
        name: &str,
        value: &Value<'_>,
        within: RangeInclusive<i64>,
    ) -> Option<i64> {
        let integer = value.get_ref().as_integer();
        let number = integer.and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
        let number = number.filter(|number| within.contains(number));
        if number.is_none() {
            let what = format!("expected a whole number from {} to {}", within.start(), within.end());
            match integer {
                Some(_) => self.mistake(value.span(), format!("{}: {what}", shown(name))),
                None => self.expected(name, what.trim_start_matches("expected "), value),
            }
        }
        number
    }

    /// A list of tables (`[[name]]`): the line of each, and its entries.
    pub(super) fn tables<'v, 't>(
        &mut self,
        name: &str,
        value: &'v Value<'t>,
    ) -> Vec<(usize, Entries<'v, 't>)> {
        let Some(list) = value.get_ref().as_array() else {
            self.expected(name, &format!("sections, each written `[[{name}]]`"), value);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for entry in list {
            match entry.get_ref().as_table() {
                Some(table) => tables.push((self.lines.line(entry.span().start), table.iter().collect())),
                None => self.expected(name, &format!("a section, written `[[{name}]]`"), entry),
            }
        }
        tables
    }

    pub(super) fn text(&mut self, name: &str, value: &Value<'_>) -> Option<Said<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.expected(name, "a string", value);
            return None;
        };
        Some(Said { line: self.lines.line(value.span().start), value: text.to_owned() })
    }

    pub(super) fn texts(&mut self, name: &str, value: &Value<'_>) -> Vec<Said<String>> {
        let Some(list) = value.get_ref().as_array() else {
            self.expected(name, "a list of strings", value);
            return Vec::new();
        };
        list.iter().filter_map(|entry| self.text(name, entry)).collect()
    }
}

/// Where each line ends, so that a file of a hundred thousand words is not counted through for each of them.
struct Lines(Vec<usize>);

impl Lines {
    fn of(bytes: &[u8]) -> Self {
        Self((0..).zip(bytes).filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect())
    }

    fn line(&self, at: usize) -> usize {
        1 + self.0.partition_point(|end| *end < at)
    }
}

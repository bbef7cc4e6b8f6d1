//! `rules.toml` as it was written: each value with its line, and a mistake for whatever no key describes.

use std::ops::Range;
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

/// The whole file. What it leaves out is empty.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) patterns: Vec<Said<String>>,
    /// The name of each vocabulary, and its words.
    pub(super) words: Vec<(Said<String>, Vec<Said<String>>)>,
    pub(super) names_of_prompts: bool,
    pub(super) prefixes: Vec<Said<String>>,
    pub(super) at: Option<Said<String>>,
    pub(super) metadata_of_prompts: bool,
}

impl Written {
    /// Reads what can be read, and adds what is wrong to `mistakes`.
    pub(super) fn read(file: &Path, bytes: &[u8], mistakes: &mut Vec<Mistake>) -> Self {
        let lines = Lines::of(bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                mistakes.push(Mistake::at(file, lines.line(error.valid_up_to()), "is not UTF-8"));
                return Self::default();
            }
        };
        let (tree, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { file, lines, mistakes };
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
            return Self::default();
        }
        let mut written = Self::default();
        for (section, value) in tree.get_ref() {
            written.section(&mut reader, section, value);
        }
        written
    }

    fn section(&mut self, reader: &mut Reader<'_>, name: &Key<'_>, value: &Value<'_>) {
        let known: &[&str] = match &**name.get_ref() {
            "names" => &["patterns", "prompts", "words"],
            "sources" => &["prefixes"],
            "metadata" => &["at", "prompts"],
            other => {
                let nearest = nearest(other, &["names", "sources", "metadata"]);
                return reader.mistake(name.span(), format!("unknown section {}{nearest}", shown(other)));
            }
        };
        let section = name.get_ref();
        let Some(table) = value.get_ref().as_table() else {
            let what = format!("{} is a section, written `[{section}]`", shown(section));
            return reader.mistake(name.span(), what);
        };
        for (key, value) in table {
            match (&**section, &**key.get_ref()) {
                ("names", "patterns") => self.patterns = reader.texts("names.patterns", value),
                ("names", "prompts") => self.names_of_prompts = reader.flag("names.prompts", value),
                ("names", "words") => self.vocabularies(reader, value),
                ("sources", "prefixes") => self.prefixes = reader.texts("sources.prefixes", value),
                ("metadata", "at") => self.at = reader.text("metadata.at", value),
                ("metadata", "prompts") => self.metadata_of_prompts = reader.flag("metadata.prompts", value),
                (_, word) => {
                    let what = format!(
                        "unknown key {}{}",
                        shown(&format!("{section}.{word}")),
                        nearest(word, known)
                    );
                    reader.mistake(key.span(), what);
                }
            }
        }
    }

    fn vocabularies(&mut self, reader: &mut Reader<'_>, value: &Value<'_>) {
        let Some(table) = value.get_ref().as_table() else {
            return reader.expected("names.words", "a section with a list of words for each part", value);
        };
        for (name, words) in table {
            let texts = reader.texts(&format!("names.words.{}", name.get_ref()), words);
            let line = reader.lines.line(name.span().start);
            self.words.push((Said { line, value: name.get_ref().to_string() }, texts));
        }
    }
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

type Key<'t> = Spanned<toml::de::DeString<'t>>;
type Value<'t> = Spanned<DeValue<'t>>;

struct Reader<'r> {
    file: &'r Path,
    lines: Lines,
    mistakes: &'r mut Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, span: Range<usize>, what: String) {
        self.mistakes.push(Mistake::at(self.file, self.lines.line(span.start), what));
    }

    fn expected(&mut self, name: &str, what: &str, found: &Value<'_>) {
        let kind = found.get_ref().type_str();
        self.mistake(found.span(), format!("{}: expected {what}, found {kind}", shown(name)));
    }

    fn flag(&mut self, name: &str, value: &Value<'_>) -> bool {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.expected(name, "`true` or `false`", value);
        }
        flag.unwrap_or_default()
    }

    fn text(&mut self, name: &str, value: &Value<'_>) -> Option<Said<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.expected(name, "a string", value);
            return None;
        };
        Some(Said { line: self.lines.line(value.span().start), value: text.to_owned() })
    }

    fn texts(&mut self, name: &str, value: &Value<'_>) -> Vec<Said<String>> {
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

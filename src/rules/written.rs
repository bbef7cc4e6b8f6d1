//! `rules.toml` as it was written: each value with its line, and a mistake for whatever no key describes.

use std::path::Path;

use super::names::shown;
use super::reading::{Key, Reader, Said, Value, nearest};
use crate::mistake::Mistake;

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
        let Some((mut reader, tree)) = Reader::over(file, bytes, mistakes) else { return Self::default() };
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
                (..) => reader.unknown_key(Some(section), key, known),
            }
        }
    }

    fn vocabularies(&mut self, reader: &mut Reader<'_>, value: &Value<'_>) {
        let Some(table) = value.get_ref().as_table() else {
            return reader.expected("names.words", "a section with a list of words for each part", value);
        };
        for (name, words) in table {
            let texts = reader.texts(&format!("names.words.{}", name.get_ref()), words);
            self.words.push((reader.said(&name.span(), name.get_ref().to_string()), texts));
        }
    }
}

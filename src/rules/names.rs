//! What a registered model may be called: patterns with named parts, and the words that may stand for each.
//!
//! Words may hold what stands between them (`fraud_detection`), so a name is read by vocabulary. That every name has at
//! most one reading is decided when the rules are read (`twice`), for all names and not only for some.

mod look;
mod pattern;
mod twice;
mod words;
mod wrong;

use std::collections::BTreeMap;
use std::fmt;

pub(super) use look::is_unseen;
pub use look::skeleton;
pub use wrong::{Fault, WrongName};

use pattern::Pattern;

/// The patterns of all name spaces.
#[derive(Debug)]
pub struct Names {
    patterns: Vec<Pattern>,
}

/// What a name says: the one pattern that it is of, and the word of each part.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading<'r> {
    pattern: Option<&'r Pattern>,
    /// For each segment of the pattern, literal text included.
    words: Vec<&'r str>,
}

impl Names {
    /// Reads a name. Without any pattern each name is allowed, and says nothing.
    ///
    /// # Errors
    /// [`WrongName`] if no pattern has a reading for it. None has two.
    pub fn read(&self, name: &str) -> Result<Reading<'_>, WrongName> {
        if self.patterns.is_empty() {
            return Ok(Reading { pattern: None, words: Vec::new() });
        }
        let mut readings = self.patterns.iter().filter_map(|pattern| pattern.read(name));
        readings.next().ok_or_else(|| wrong::diagnose(&self.patterns, name))
    }

    /// Whether no name is refused.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| &*pattern.text)
    }

    /// A name that is allowed; nothing if all are.
    #[must_use]
    pub fn example(&self) -> Option<String> {
        let first = self.patterns.first()?;
        Some(first.segments.iter().filter_map(|segment| segment.words.words().next()).collect())
    }
}

impl<'r> Reading<'r> {
    /// The pattern as it was written; nothing where there are none.
    #[must_use]
    pub fn pattern(&self) -> Option<&'r str> {
        self.pattern.map(|pattern| &*pattern.text)
    }

    /// Each part with its word, in the order of the pattern.
    pub fn parts(&self) -> impl Iterator<Item = (&'r str, &'r str)> {
        let segments = self.pattern.map(|pattern| pattern.segments.as_slice()).unwrap_or_default();
        let part =
            |(segment, word): (&'r pattern::Segment, &&'r str)| Some((segment.part.as_deref()?, *word));
        segments.iter().zip(&self.words).filter_map(part)
    }

    /// The word of one part.
    #[must_use]
    pub fn word(&self, part: &str) -> Option<&'r str> {
        self.parts().find(|(name, _)| *name == part).map(|(_, word)| word)
    }
}

/// The name again; nothing where there are no patterns.
impl fmt::Display for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words.iter().try_for_each(|word| f.write_str(word))
    }
}

impl Pattern {
    fn read(&self, name: &str) -> Option<Reading<'_>> {
        if !(self.shortest..=self.longest).contains(&name.len()) {
            return None;
        }
        // Where one can be after each segment, and by which word one comes there.
        let mut layers: Vec<BTreeMap<usize, &str>> = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let from: Vec<usize> = layers.last().map_or(vec![0], |layer| layer.keys().copied().collect());
            let mut layer = BTreeMap::new();
            for at in from {
                for word in segment.words.prefixes(name.get(at..).unwrap_or_default()) {
                    layer.insert(at + word.len(), word);
                }
            }
            layers.push(layer);
        }
        let mut at = name.len();
        let mut words = Vec::with_capacity(layers.len());
        for layer in layers.iter().rev() {
            let word = *layer.get(&at)?;
            words.push(word);
            at = at.checked_sub(word.len())?;
        }
        words.reverse();
        Some(Reading { pattern: Some(self), words })
    }
}

/// A text from outside as part of a one-line message.
pub(super) fn shown(text: &str) -> String {
    format!("`{}`", plain(text))
}

/// The same without quotes: one line, nothing that a terminal obeys or that cannot be seen, not too long.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut start: String = text.chars().take(LONGEST_SHOWN).map(one_line).collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        start.push('…');
    }
    start
}

const LONGEST_SHOWN: usize = 256;

fn one_line(character: char) -> String {
    match character {
        '\'' | '"' | '\\' => character.to_string(),
        unseen if look::is_unseen(unseen) && !unseen.is_control() => unseen.escape_unicode().to_string(),
        _ => character.escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests;

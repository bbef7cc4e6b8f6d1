//! What a line's bytes must hold for it to be worth reading: most lines are passed over by this alone.
//!
//! Lines are written by `serde_json`, which has one way to write a text, and keys without blanks.

use memchr::memmem::Finder;
use serde::Serialize;

use super::facts::Facts;
use super::filter::Filter;
use crate::record::chain::start_of;

/// A filter, and the bytes that what it takes must have in it.
#[derive(Debug)]
pub(super) struct Sieve {
    filter: Filter,
    needles: Vec<Finder<'static>>,
    /// In lower case.
    words: Vec<Vec<u8>>,
}

/// What came of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sifted {
    /// It is asked for, and this is its number and its time.
    Hit(u64, jiff::Timestamp),
    /// It is not.
    Other,
    /// It is no line.
    NoLine,
}

impl Sieve {
    pub(super) fn new(filter: Filter) -> Self {
        let kind = match filter.kinds.as_slice() {
            [kind] => pair("kind", Some(kind)),
            [] | [_, _, ..] => None,
        };
        let needles = [
            pair("principal", filter.principal.as_ref()),
            pair("operation", filter.operation.as_ref()),
            pair("id", filter.id.as_ref()),
            filter.model.as_ref().map(|name| format!("model:{}", inside(name))),
            filter.object.as_deref().map(inside),
            filter.stage.as_ref().map(|_| "stage".to_owned()),
            pair("outcome", filter.outcome.as_ref()),
            pair("decision", filter.decision.as_ref()),
            kind,
        ];
        let needles = needles.into_iter().flatten().map(|needle| Finder::new(needle.as_bytes()).into_owned());
        let words = filter.words.iter().map(|word| inside(&word.to_ascii_lowercase()).into_bytes()).collect();
        Self { needles: needles.collect(), words, filter }
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Looks at a line, without its line feed.
    pub(super) fn sift(&self, line: &[u8]) -> Sifted {
        if start_of(line).is_none() {
            return Sifted::NoLine;
        }
        let worth = self.needles.iter().all(|needle| needle.find(line).is_some())
            && self.words.iter().all(|word| holds(line, word));
        if !worth {
            return Sifted::Other;
        }
        let Some(facts) = Facts::read(line) else { return Sifted::NoLine };
        let Some(time) = facts.moment() else { return Sifted::NoLine };
        if self.filter.takes(line, &facts, time) { Sifted::Hit(facts.seq, time) } else { Sifted::Other }
    }
}

/// A key and its value, as lines have them.
fn pair(key: &str, value: Option<&impl Serialize>) -> Option<String> {
    Some(format!("\"{key}\":{}", written(value?)))
}

fn written(value: &impl Serialize) -> String {
    // Neither texts nor words can fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// A text as it is written within a longer one.
fn inside(text: &str) -> String {
    let written = written(&text);
    written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// Whether a text holds a word, whatever the case of ASCII letters. The word is in lower case.
pub(super) fn holds(text: &[u8], word: &[u8]) -> bool {
    let Some(first) = word.first() else { return true };
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text)
        .any(|at| text.get(at..at + word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word)))
}

//! One vocabulary: which of its words a text begins with, and which begin with a text.

use std::sync::Arc;

/// The words that may stand for one part of a name. Never empty, and no word is.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// In the order of the file.
    written: Vec<Arc<str>>,
    sorted: Vec<Arc<str>>,
}

impl Vocabulary {
    pub(super) fn of(words: Vec<String>) -> Self {
        let written: Vec<Arc<str>> = words.into_iter().map(Arc::from).collect();
        let mut sorted = written.clone();
        sorted.sort_unstable();
        Self { written, sorted }
    }

    /// The words in the order of the file.
    pub(super) fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.written.iter().map(|word| &**word)
    }

    pub(super) fn shortest(&self) -> &str {
        self.words().min_by_key(|word| word.len()).unwrap_or_default()
    }

    pub(super) fn longest(&self) -> usize {
        self.words().map(str::len).max().unwrap_or_default()
    }

    /// The words that `text` begins with, or is; the shortest first.
    pub(super) fn prefixes(&self, text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut rest = self.sorted.as_slice();
        for (depth, byte) in text.bytes().enumerate() {
            let at = |word: &Arc<str>| word.as_bytes().get(depth).copied();
            let from = rest.partition_point(|word| at(word) < Some(byte));
            let to = rest.partition_point(|word| at(word) <= Some(byte));
            rest = rest.get(from..to).unwrap_or_default();
            match rest.first() {
                None => break,
                Some(word) if word.len() == depth + 1 => found.push(&**word),
                Some(_) => {}
            }
        }
        found
    }

    /// The words that begin with `text` and are longer.
    pub(super) fn extensions<'v>(&'v self, text: &str) -> impl Iterator<Item = &'v str> {
        let from = self.sorted.partition_point(|word| &**word <= text);
        let rest = self.sorted.get(from..).unwrap_or_default();
        let count = rest.partition_point(|word| word.starts_with(text));
        rest.get(..count).unwrap_or_default().iter().map(|word| &**word)
    }

    /// Whether a word could stand where `text`, or `text` and more, stands.
    pub(super) fn meets(&self, text: &str) -> bool {
        self.extensions(text).next().is_some() || !self.prefixes(text).is_empty()
    }
}

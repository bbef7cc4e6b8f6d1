//! A row of one of MLflow's two lists, kept small: MLflow's own words without the spaces between them, and what of them is
//! searched and sorted by.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The tag that makes a prompt of a model or version (`prompt/constants.py` `IS_PROMPT_TAG_KEY`).
pub(super) const PROMPT: &str = "mlflow.prompt.is_prompt";

/// Where MLflow has no time of a row, which databases sort in different ways.
const NEVER: i64 = i64::MIN;

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: Arc<str>,
    /// A version's number; zero for a model.
    pub(super) version: u32,
    /// Where the model stands among all, in MLflow's order of names.
    pub(super) label: u64,
    pub(super) created: i64,
    pub(super) updated: i64,
    /// What tells it from others in a page token.
    pub(super) mark: u64,
    /// What it may be found by: hashes of its tags and of its run.
    pub(super) keys: Box<[u64]>,
    pub(super) written: Bytes,
    /// Whether these bytes are a part of the model's own row, which shows its latest versions.
    pub(super) nested: bool,
}

/// What is compared by its hash, so that no text is kept twice. The hash is keyed, and nobody can find two texts with one.
#[derive(Debug, Default)]
pub(super) struct Hasher(RandomState);

impl Hasher {
    pub(super) fn tag(&self, key: &str, value: &str) -> u64 {
        self.0.hash_one((key, value))
    }

    pub(super) fn run(&self, run: &str) -> u64 {
        self.0.hash_one(run)
    }
}

/// A row's identity, in eight bytes.
#[must_use]
pub fn mark(name: &str, version: &str) -> u64 {
    let hash = digest(&SHA256, [name.as_bytes(), version.as_bytes()].join(&0).as_slice());
    let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first).max(1)
}

/// An answer to one of the two searches.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow, default, alias = "registered_models", alias = "model_versions")]
    pub(super) rows: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    next_page_token: Cow<'a, str>,
}

impl Answer<'_> {
    pub(super) fn has_more(&self) -> bool {
        !self.next_page_token.is_empty()
    }
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
    #[serde(default)]
    creation_timestamp: Option<i64>,
    #[serde(default)]
    last_updated_timestamp: Option<i64>,
    #[serde(borrow, default)]
    run_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tags: Vec<Tag<'a>>,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Cow<'a, str>,
}

impl Row {
    /// Reads what MLflow wrote. `known` is the row as it was before: what is still so is kept once.
    pub(super) fn read(
        written: &RawValue,
        hasher: &Hasher,
        known: impl FnOnce(&str, u32) -> Option<(Arc<str>, Option<Bytes>)>,
    ) -> Result<Self, serde_json::Error> {
        use serde::de::Error as _;
        let said: Written<'_> = serde_json::from_str(written.get())?;
        let raw = said.version.map_or("", RawValue::get);
        let version = match raw {
            "" => 0,
            raw => raw.trim_matches('"').parse().map_err(serde_json::Error::custom)?,
        };
        let (name, before) = known(&said.name, version).unwrap_or_else(|| ((&*said.name).into(), None));
        let written = compact(written.get());
        let written = before.filter(|before| **before == *written).unwrap_or_else(|| written.into());
        // An empty value may stand for none, which is found by nothing.
        let tags = said.tags.iter().filter(|tag| !tag.value.is_empty());
        let run = said.run_id.filter(|run| !run.is_empty());
        let keys = tags.map(|tag| hasher.tag(&tag.key, &tag.value));
        let keys = keys.chain(run.map(|run| hasher.run(&run))).collect();
        Ok(Self {
            mark: mark(&name, raw),
            name,
            version,
            label: 0,
            created: said.creation_timestamp.unwrap_or(NEVER),
            updated: said.last_updated_timestamp.unwrap_or(NEVER),
            keys,
            written,
            nested: false,
        })
    }

    pub(super) fn is_untimed(&self) -> bool {
        self.updated == NEVER || self.created == NEVER
    }

    /// A version's bytes are kept once where its model shows it in the same words.
    pub(super) fn nest_in(&mut self, model: &Bytes) {
        let at = memchr::memmem::find(model, &self.written);
        let part = at.and_then(|at| model.get(at..at + self.written.len()));
        match part.map(|part| model.slice_ref(part)) {
            Some(part) => (self.written, self.nested) = (part, true),
            // The row that it was a part of is to go.
            None if self.nested => {
                (self.written, self.nested) = (Bytes::copy_from_slice(&self.written), false);
            }
            None => {}
        }
    }

    /// About how many bytes it takes, beside the row itself.
    pub(super) fn weight(&self) -> usize {
        let written = if self.nested { 0 } else { self.written.len() };
        size_of::<Self>() + written + self.keys.len() * 8 + 64
    }
}

/// JSON without the spaces between its words. MLflow indents its answers (`utils/proto_json_utils.py` `message_to_json`).
fn compact(json: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(json.len());
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            continue;
        } else {
            in_text = byte == b'"';
        }
        out.push(byte);
    }
    out.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_spaces_between_words_are_left_out() {
        for (json, expected) in [
            ("{ \"a\" : [ 1, 2.50 ] }", "{\"a\":[1,2.50]}"),
            ("{\n  \"a b\": \"c \\\" d \\\\\", \"e\":\t\" \"}", "{\"a b\":\"c \\\" d \\\\\",\"e\":\" \"}"),
            ("\"\\\\\" ", "\"\\\\\""),
        ] {
            assert_eq!(&*compact(json), expected.as_bytes());
        }
    }

    #[test]
    fn a_row_is_found_by_its_tags_and_its_run() {
        let hasher = Hasher::default();
        let text = r#"{"name": "a", "version": "7", "creation_timestamp": 5, "run_id": "r",
            "tags": [{"key": "k", "value": "v"}, {"key": "none"}]}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let row = Row::read(raw, &hasher, |_, _| None).unwrap();
        assert_eq!((&*row.name, row.version, row.created, row.updated), ("a", 7, 5, NEVER));
        assert_eq!(*row.keys, [hasher.tag("k", "v"), hasher.run("r")]);
        assert_eq!(row.mark, mark("a", "\"7\""));
        let same = Row::read(raw, &hasher, |_, _| Some((Arc::clone(&row.name), Some(row.written.clone()))));
        assert_eq!(same.unwrap().written.as_ptr(), row.written.as_ptr());
    }

    #[test]
    fn rows_have_identities_of_their_own() {
        let marks = [mark("a", ""), mark("a", "1"), mark("a1", ""), mark("b", "1"), mark("a", "2")];
        let distinct: std::collections::HashSet<u64> = marks.into_iter().collect();
        assert_eq!(distinct.len(), marks.len());
        assert_eq!(mark("a", "1"), mark("a", "1"));
    }
}

//! One answer of MLflow's to a search, taken apart without changing a row's bytes.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::index::{Shown, mark};

use super::{List, ListError};

/// A row as MLflow wrote it.
pub(super) struct Row {
    pub(super) name: Arc<str>,
    pub(super) mark: u64,
    pub(super) written: Bytes,
}

impl From<Shown> for Row {
    fn from(Shown { name, mark, written }: Shown) -> Self {
        Self { name, mark, written }
    }
}

/// The rows of one answer.
pub(super) struct Chunk {
    /// How many of MLflow's rows lie before them.
    pub(super) from: u64,
    pub(super) rows: Vec<Row>,
    /// Whether MLflow says that there are more.
    pub(super) more: bool,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    registered_models: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    model_versions: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    next_page_token: Cow<'a, str>,
}

/// What of a row says which it is. A row that says it twice is no row.
#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
}

/// Takes an answer apart.
pub(super) fn read(body: &Bytes, list: List, from: u64) -> Result<Chunk, ListError> {
    let answer: Answer<'_> = object(body)?;
    let rows = match list {
        List::Models => answer.registered_models,
        List::Versions => answer.model_versions,
    };
    let rows = rows.into_iter().map(|row| {
        let identity: Identity<'_> = object(row.get().as_bytes())?;
        // A model's row has no version of its own; in both lists the two together are one row's alone.
        let version = identity.version.map_or("", RawValue::get);
        let mark = mark(&identity.name, version);
        Ok(Row { name: identity.name.into(), mark, written: body.slice_ref(row.get().as_bytes()) })
    });
    Ok(Chunk {
        from,
        rows: rows.collect::<Result<_, ListError>>()?,
        more: !answer.next_page_token.is_empty(),
    })
}

/// serde would read a list as an object without names.
fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, ListError> {
    let read = if text.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice(text)
    } else {
        Err(serde::de::Error::custom("expected an object"))
    };
    read.map_err(ListError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_bytes_and_are_told_apart() {
        let body = br#"{ "model_versions": [ {"version": "1", "x": 1.50, "name":"a"}, {"name":"a","version":"2"}, {"n\u0061me":"b"} ],
            "next_page_token": "t" }"#;
        let chunk = read(&Bytes::from_static(body), List::Versions, 0).expect("a sound answer");
        assert_eq!(chunk.rows[0].written, &br#"{"version": "1", "x": 1.50, "name":"a"}"#[..]);
        assert_eq!(chunk.rows.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["a", "a", "b"]);
        assert!(chunk.more && chunk.rows[0].mark != chunk.rows[1].mark);
        let chunk = read(&Bytes::from_static(b"{}"), List::Models, 0).expect("an empty list");
        assert!(chunk.rows.is_empty() && !chunk.more);
    }

    #[test]
    fn an_answer_that_cannot_be_read_shows_nothing() {
        for body in [
            &b"<html>"[..],
            b"[]",
            b"\xff",
            br#"{"registered_models":5}"#,
            br#"{"registered_models":[5]}"#,
            br#"{"registered_models":[{}]}"#,
            br#"{"registered_models":[["mine","1"]]}"#,
            br#"{"registered_models":[{"name":5}]}"#,
            br#"{"registered_models":[{"name":"mine","name":"victim"}]}"#,
            br#"{"registered_models":[],"registered_models":[]}"#,
            b"{} {}",
        ] {
            let read = read(&Bytes::from_static(body), List::Models, 0);
            assert!(read.is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}

//! MLflow's two lists, read page by page while their rows come and go.
//!
//! Pages are counted by rows (`utils/search_utils.py` `create_page_token`), so what comes or goes before a page moves it. Each
//! page begins some rows early, and goes on from the last of those that are known: in an order in which rows stay where they
//! are to each other, nothing is missed, and what is written meanwhile is asked for again later.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::facts::{FactError, Facts, query};
use crate::upstream::{Upstream, UpstreamError};

use super::Kind;
use super::rows::{Answer, Hasher, PROMPT, Row};

/// The most rows that MLflow is asked for at once: its own limit for models.
const PAGE: usize = 1_000;
/// Where a page is too large, one of a so much smaller number of rows is asked for.
const SMALLER: usize = 8;
/// One that is known and one that is not: with fewer no page would go on from the one before.
const SMALLEST: usize = 2;
/// Rows that two pages have in common; where none of them is found again, so many times more.
const OVERLAP: usize = 10;
const FURTHER: usize = 10;
/// Rows that are found nowhere are looked for so often.
const ATTEMPTS: usize = 6;

/// Who is asked.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// How.
    pub facts: &'a Facts,
    /// Whom.
    pub mlflow: &'a Upstream,
}

/// What a row was before, by name and number.
pub(super) type Known<'k> = dyn Fn(&str, u32) -> Option<(Arc<str>, Option<Bytes>)> + Sync + 'k;

/// One of MLflow's searches.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) hasher: &'a Hasher,
    pub(super) known: &'a Known<'a>,
    pub(super) kind: Kind,
    pub(super) prompt: bool,
}

/// Why a list was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Fact(#[from] FactError),
    #[error("rows move faster than they can be read")]
    Moving,
    #[error("the registry is larger than what is kept of it")]
    TooLarge,
    #[error("mlflow does not say where a model belongs")]
    NoPlace,
}

impl Reading<'_> {
    /// All rows that pass a filter, in the order of names, or of one model's versions; `take` is given each page.
    pub(super) async fn whole(
        &self,
        filter: &str,
        order: &str,
        mut take: impl FnMut(&mut Vec<Row>, usize) -> bool,
    ) -> Result<(), ReadError> {
        let mut rows: Vec<Row> = Vec::new();
        let (mut size, mut overlap, mut attempts) = (PAGE, 0, 0);
        // How many rows MLflow has before those that are held here.
        let mut passed = 0;
        loop {
            let at = rows.len() - overlap.min(rows.len());
            let Some((page, more)) = self.page(filter, order, size, passed + at).await? else {
                size = (size / SMALLER).max(SMALLEST);
                overlap = overlap.min(size / 2);
                continue;
            };
            let first = rows.is_empty() && passed == 0;
            let Some((known, found)) = meeting(&rows, &page).or(first.then_some((0, 0))) else {
                attempts += 1;
                if attempts > ATTEMPTS {
                    return Err(ReadError::Moving);
                }
                overlap = (overlap * FURTHER).min(size / 2).max(1);
                continue;
            };
            let brings_nothing = more && page.len() <= found + 1 && !first;
            rows.truncate(known);
            passed = (passed + at + found).saturating_sub(known);
            rows.extend(page.into_iter().skip(found));
            // What comes after is met by the last rows alone.
            let kept = if more { rows.len().saturating_sub(PAGE) } else { rows.len() };
            let before = rows.len();
            if !take(&mut rows, kept) {
                return Err(ReadError::TooLarge);
            }
            passed += before - rows.len();
            if !more {
                return Ok(());
            }
            attempts = if brings_nothing { attempts + 1 } else { 0 };
            if attempts > ATTEMPTS {
                return Err(ReadError::Moving);
            }
            overlap = OVERLAP.min(size / 2);
        }
    }

    /// All rows at once.
    pub(super) async fn all(&self, filter: &str, order: &str) -> Result<Vec<Row>, ReadError> {
        let mut all = Vec::new();
        let take = |rows: &mut Vec<Row>, done| {
            all.extend(rows.drain(..done));
            true
        };
        self.whole(filter, order, take).await?;
        Ok(all)
    }

    /// One page and whether there is more, or nothing where it was larger than what is read of an answer and fewer rows would
    /// be smaller.
    pub(super) async fn page(
        &self,
        filter: &str,
        order: &str,
        size: usize,
        offset: usize,
    ) -> Result<Option<(Vec<Row>, bool)>, FactError> {
        let (most, token) = (size.to_string(), STANDARD.encode(format!("{{\"offset\": {offset}}}")));
        let prompts = format!("tags.`{PROMPT}` = 'true'");
        let filter = match (self.prompt, filter) {
            (false, filter) => filter.to_owned(),
            (true, "") => prompts,
            (true, filter) => format!("{filter} AND {prompts}"),
        };
        let mut pairs = vec![("max_results", most.as_str()), ("order_by", order)];
        if !filter.is_empty() {
            pairs.push(("filter", &filter));
        }
        if offset > 0 {
            pairs.push(("page_token", &token));
        }
        let path = match self.kind {
            Kind::Models => "/api/2.0/mlflow/registered-models/search",
            Kind::Versions => "/api/2.0/mlflow/model-versions/search",
        };
        match self.asker.facts.look(self.asker.mlflow, &query(path, &pairs)).await {
            Ok(Some(body)) => Ok(Some(self.read(&body).map_err(FactError::Unreadable)?)),
            Ok(None) => Err(FactError::Status(http::StatusCode::NOT_FOUND)),
            Err(FactError::Upstream(UpstreamError::ResponseTooLarge { .. })) if size > SMALLEST => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, body: &[u8]) -> Result<(Vec<Row>, bool), serde_json::Error> {
        let answer: Answer<'_> = serde_json::from_slice(body)?;
        let rows = answer.rows.iter().map(|row| Row::read(row, self.hasher, self.known));
        Ok((rows.collect::<Result<_, _>>()?, answer.has_more()))
    }
}

/// How many of the known rows lie before the last that is found in a page, and how many of the page's: the two go on alike
/// from there.
fn meeting(rows: &[Row], page: &[Row]) -> Option<(usize, usize)> {
    let is = |one: &Row, other: &Row| one.version == other.version && one.name == other.name;
    rows.iter().enumerate().rev().take(PAGE).find_map(|(at, row)| {
        let found = page.iter().position(|other| is(row, other))?;
        Some((at, found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &str) -> Vec<Row> {
        let row = |name: char| {
            let text = format!("{{\"name\": \"{name}\"}}");
            let raw: &serde_json::value::RawValue = serde_json::from_str(&text).unwrap();
            Row::read(raw, &Hasher::default(), |_, _| None).unwrap()
        };
        names.chars().map(row).collect()
    }

    #[test]
    fn a_page_goes_on_from_the_last_row_that_is_still_there() {
        for (known, page, expected) in [
            ("abcd", "cdef", Some((3, 1))),
            ("abcd", "bcde", Some((3, 2))),
            ("abcd", "cefg", Some((2, 0))),
            ("abcd", "efgh", None),
            ("", "abc", None),
            ("abcd", "", None),
        ] {
            assert_eq!(meeting(&rows(known), &rows(page)), expected, "{known} {page}");
        }
    }
}

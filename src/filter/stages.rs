//! Stages in MLflow's answers as the house has them: where a text is another it is written over, and every other byte stays.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::route::json::{self, DEEPEST, JsonError, Raw, Shape};
use crate::stages::{Sight, Stages};

use super::{Unreadable, as_written};

/// The tag that mirrors a version's stage.
pub const TAG: &str = "sekisho.stage";

/// The member by which a version is known among MLflow's objects.
const STAGE: &str = "current_stage";

/// Who reads an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A client, who is shown the house's stages.
    Client,
    /// The web page, which knows MLflow's four and shows a blank for any other.
    Page,
}

/// A version in an answer of MLflow's, as far as its stage goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The registered model.
    pub model: String,
    /// The number; zero where MLflow shows none.
    pub number: u64,
    /// When it was made, in milliseconds.
    pub created: i64,
    /// What its tag says.
    pub tag: Option<String>,
    /// What MLflow says.
    pub mlflows: String,
}

/// A version in MLflow's own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub version: Version,
    /// The bytes.
    pub written: String,
}

/// The versions inside one registered model of an answer.
#[derive(Debug)]
pub struct Latest {
    at: Range<usize>,
    /// The versions.
    pub rows: Vec<Row>,
}

/// An answer in the house's words, and the versions in it of which MLflow and the store say different things.
#[derive(Debug)]
pub struct Shown {
    /// The answer.
    pub body: Bytes,
    /// The versions.
    pub doubted: Vec<Version>,
}

impl Version {
    /// The version as MLflow shows it.
    #[must_use]
    pub fn sight(&self) -> Sight<'_> {
        let Self { model, number, created, tag, mlflows } = self;
        Sight { model, version: *number, created: *created, tag: tag.as_deref(), mlflows }
    }
}

/// Shows every version of an answer with its true stage, in `current_stage` and in its tag.
///
/// # Errors
/// It is not JSON.
pub fn show(body: &Bytes, stages: &Stages, reader: Reader) -> Result<Shown, Unreadable> {
    let text = text_of(body)?;
    let (mut edits, mut doubted) = (Edits::of(text), Vec::new());
    if text.contains(STAGE) {
        walk(Raw::of_text(text)?, DEEPEST, &mut |parts| {
            let stage = stages.shown(&parts.version.sight());
            let current = match reader {
                Reader::Client => stage.as_str(),
                Reader::Page => stage.mlflows(),
            };
            if parts.version.mlflows != current {
                edits.put_text(parts.stage, current);
            }
            if let (Some(at), Some(tag)) = (parts.tag, &parts.version.tag)
                && tag != stage.as_str()
            {
                edits.put_text(at, stage.as_str());
            }
            if stages.doubts(&parts.version.sight()) {
                doubted.push(parts.version);
            }
        })?;
    }
    Ok(Shown { body: edits.done(body), doubted })
}

/// The versions inside the registered models of an answer.
///
/// # Errors
/// It is not JSON.
pub fn latest(body: &Bytes) -> Result<Vec<Latest>, Unreadable> {
    let text = text_of(body)?;
    let mut found = Vec::new();
    if !text.contains(STAGE) {
        return Ok(found);
    }
    let edits = Edits::of(text);
    let mut add = |model: Raw<'_>| {
        if let Some(list) = member(model, "latest_versions")?.filter(|list| list.shape() == Shape::List)
            && let Some(at) = edits.place(list)
        {
            found.push(Latest { at, rows: rows(list)? });
        }
        Ok::<_, JsonError>(())
    };
    let answer = Raw::of_text(text)?;
    match (member(answer, "registered_model")?, member(answer, "registered_models")?) {
        (Some(model), _) if model.shape() == Shape::Object => add(model)?,
        (_, Some(models)) if models.shape() == Shape::List => {
            models.items()?.into_iter().try_for_each(add)?
        }
        _ => {}
    }
    Ok(found)
}

/// The answer with these versions inside its registered models.
///
/// # Errors
/// As [`latest`].
pub fn with_latest(body: &Bytes, all: &[Latest]) -> Result<Bytes, Unreadable> {
    let mut edits = Edits::of(text_of(body)?);
    for Latest { at, rows } in all {
        let mut list = String::new();
        write_rows(&mut list, rows)?;
        edits.put(at.clone(), list);
    }
    Ok(edits.done(body))
}

/// The versions of an answer that is a list of them.
///
/// # Errors
/// It is not JSON, or no such answer.
pub fn versions(body: &[u8]) -> Result<Vec<Row>, Unreadable> {
    let list = member(Raw::of_text(text_of(body)?)?, "model_versions")?;
    Ok(list.map(rows).transpose()?.unwrap_or_default())
}

/// The version of an answer that is one.
///
/// # Errors
/// As [`versions`].
pub fn version(body: &[u8]) -> Result<Option<Row>, Unreadable> {
    let one = member(Raw::of_text(text_of(body)?)?, "model_version")?;
    Ok(one.map(row).transpose()?.flatten())
}

/// An answer that is a list of these versions, in the form that MLflow gives it: what is empty is not there.
///
/// # Errors
/// None that could be met.
pub fn answer_of(rows: &[Row]) -> Result<Bytes, Unreadable> {
    if rows.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    let mut out = String::from("{\"model_versions\":");
    write_rows(&mut out, rows)?;
    out.push('}');
    Ok(out.into())
}

/// A version's parts, where they are.
struct Parts<'a> {
    version: Version,
    stage: Raw<'a>,
    tag: Option<Raw<'a>>,
}

fn walk<'a>(value: Raw<'a>, depth: usize, each: &mut dyn FnMut(Parts<'a>)) -> Result<(), JsonError> {
    let deeper = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
    match value.shape() {
        Shape::List | Shape::Object if !value.written().contains(STAGE) => Ok(()),
        Shape::Object => {
            let members = value.members()?;
            match parts(&members)? {
                Some(parts) => each(parts),
                None => {
                    for (_, value) in members {
                        walk(value, deeper, each)?;
                    }
                }
            }
            Ok(())
        }
        Shape::List => value.items()?.into_iter().try_for_each(|item| walk(item, deeper, each)),
        Shape::Null | Shape::Bool | Shape::Number | Shape::Text => Ok(()),
    }
}

/// The parts of an object, if it is a version.
fn parts<'a>(members: &[(Cow<'a, str>, Raw<'a>)]) -> Result<Option<Parts<'a>>, JsonError> {
    let of = |wanted: &str, shape| {
        let found = members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        found.filter(|value| value.shape() == shape)
    };
    let (Some(name), Some(stage)) = (of("name", Shape::Text), of(STAGE, Shape::Text)) else {
        return Ok(None);
    };
    let number = of("version", Shape::Text).map(Raw::text).transpose()?;
    let created = of("creation_timestamp", Shape::Number).and_then(|value| value.written().parse().ok());
    let tag = of("tags", Shape::List).map(tag).transpose()?.flatten();
    let version = Version {
        model: name.text()?,
        number: number.and_then(|number| number.parse().ok()).unwrap_or_default(),
        created: created.unwrap_or_default(),
        tag: tag.map(Raw::text).transpose()?,
        mlflows: stage.text()?,
    };
    Ok(Some(Parts { version, stage, tag }))
}

/// The value of a version's tag [`TAG`].
fn tag(tags: Raw<'_>) -> Result<Option<Raw<'_>>, JsonError> {
    if !tags.written().contains(TAG) {
        return Ok(None);
    }
    for tag in tags.items()?.into_iter().filter(|tag| tag.written().contains(TAG)) {
        let is_key = |value: Raw<'_>| value.text().is_ok_and(|key| key == TAG);
        if member(tag, "key")?.is_some_and(is_key) {
            return Ok(member(tag, "value")?.filter(|value| value.shape() == Shape::Text));
        }
    }
    Ok(None)
}

fn member<'a>(object: Raw<'a>, wanted: &str) -> Result<Option<Raw<'a>>, JsonError> {
    Ok(object.members()?.into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value))
}

fn rows(list: Raw<'_>) -> Result<Vec<Row>, JsonError> {
    list.items()?.into_iter().filter_map(|item| row(item).transpose()).collect()
}

fn row(item: Raw<'_>) -> Result<Option<Row>, JsonError> {
    let parts = parts(&item.members()?)?;
    Ok(parts.map(|Parts { version, .. }| Row { version, written: item.written().to_owned() }))
}

fn write_rows(out: &mut String, rows: &[Row]) -> Result<(), JsonError> {
    json::write_list(out, rows, |out, row| as_written(out, Raw::of_text(&row.written)?))
}

fn text_of(body: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(body).map_err(|_| JsonError::Encoding)
}

/// Pieces of a text that are to be others.
struct Edits<'a> {
    text: &'a str,
    made: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    const fn of(text: &'a str) -> Self {
        Self { text, made: Vec::new() }
    }

    /// Where a part of this text is.
    fn place(&self, part: Raw<'a>) -> Option<Range<usize>> {
        let written = part.written();
        let from = written.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        let at = from..from.checked_add(written.len())?;
        (self.text.get(at.clone()) == Some(written)).then_some(at)
    }

    fn put_text(&mut self, part: Raw<'a>, text: &str) {
        let mut written = String::new();
        json::write_text(&mut written, text);
        if let Some(at) = self.place(part) {
            self.put(at, written);
        }
    }

    fn put(&mut self, at: Range<usize>, written: String) {
        self.made.push((at, written));
    }

    /// The whole text, `body` itself where nothing is another.
    fn done(mut self, body: &Bytes) -> Bytes {
        if self.made.is_empty() {
            return body.clone();
        }
        self.made.sort_unstable_by_key(|(at, _)| at.start);
        let mut out = String::with_capacity(self.text.len() + 16 * self.made.len());
        let mut done = 0;
        for (at, written) in self.made {
            out.push_str(self.text.get(done..at.start).unwrap_or_default());
            out.push_str(&written);
            done = at.end;
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        out.into()
    }
}

#[cfg(test)]
mod tests;

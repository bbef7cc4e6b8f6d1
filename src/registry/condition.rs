//! One condition on a version, and whether it holds. What is not there meets no condition, not even `!=`.

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::glob;
use crate::stage::Stage;
use crate::stages::Stages;

use super::depends::Wanted;
use super::rows::{Key, Version};
use super::words::{self, How, Literal, Wrong};

/// One condition.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// A text: one of those that are there.
    Text(Texts, How, String),
    Version(How, u64),
    /// Milliseconds since 1970.
    Created(How, i64),
    Stage(How, Stage),
    /// A tag, or what lies at a path in its JSON.
    Tag(Path, How, Literal),
    Depends(Wanted),
}

/// Where texts are found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Texts {
    Name,
    /// `business_owner` or `technical_owner`.
    Owner,
    Run,
    Source,
}

/// A tag, and names inside the JSON that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) tag: String,
    pub(super) inside: Vec<String>,
}

/// The tag that holds what a version's files ask to be installed.
const DEPENDENCIES: &str = "sekisho.dependencies";

impl Path {
    /// `tag.KEY` is the tag `KEY`, dots and all; any other name is a tag's, and the rest lies in its JSON.
    pub(super) fn of(mut names: Vec<String>) -> Self {
        if names.len() > 1 && names.first().is_some_and(|name| name == "tag") {
            return Self { tag: names.split_off(1).join("."), inside: Vec::new() };
        }
        let inside = names.split_off(names.len().min(1));
        Self { tag: names.pop().unwrap_or_default(), inside }
    }

    fn look<'v>(&self, version: &'v Version) -> Option<Found<'v>> {
        let text = version.tag(&self.tag)?;
        if self.inside.is_empty() {
            return Some(Found::Text(text));
        }
        let mut value: Value = serde_json::from_str(text).ok()?;
        for name in &self.inside {
            value = match &mut value {
                Value::Object(members) => members.remove(name)?,
                Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?)?.take(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
            };
        }
        Some(Found::Json(value))
    }

    /// What a version is ordered by: a number or a text.
    pub(super) fn rank(&self, version: &Version) -> Option<Literal> {
        match self.look(version)? {
            Found::Text(text) => {
                Some(number(text).map_or_else(|| Literal::Text(text.to_owned()), Literal::Number))
            }
            Found::Json(Value::Number(number)) => number.as_f64().map(Literal::Number),
            Found::Json(Value::String(text)) => Some(Literal::Text(text)),
            Found::Json(Value::Bool(truth)) => Some(Literal::Text(truth.to_string())),
            Found::Json(Value::Null | Value::Array(_) | Value::Object(_)) => None,
        }
    }
}

/// What a tag holds.
enum Found<'v> {
    Text(&'v str),
    Json(Value),
}

impl Condition {
    /// Reads one condition.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let words::Written { path, how, value, at: [operator, at] } = words::read(text)?;
        let only = |allowed: &[How]| match allowed.contains(&how) {
            true => Ok(()),
            false => {
                let all: Vec<&str> = allowed.iter().map(|how| how.as_str()).collect();
                Err((operator, format!("`{}` takes one of {}", path.join("."), all.join(" "))))
            }
        };
        let written = |value: Literal| match value {
            Literal::Text(text) => text,
            Literal::Number(number) => number.to_string(),
            Literal::Bool(truth) => truth.to_string(),
        };
        let name = match path.as_slice() {
            [name] => name.as_str(),
            _ => "",
        };
        match name {
            "name" => only(&TEXTS).map(|()| Self::Text(Texts::Name, how, written(value))),
            "owner" => only(&TEXTS).map(|()| Self::Text(Texts::Owner, how, written(value))),
            "run_id" => only(&TEXTS).map(|()| Self::Text(Texts::Run, how, written(value))),
            "source" => only(&TEXTS).map(|()| Self::Text(Texts::Source, how, written(value))),
            "version" => {
                only(&ORDERS)?;
                let number =
                    written(value).parse().map_err(|_| (at, "a version's number was expected".to_owned()))?;
                Ok(Self::Version(how, number))
            }
            "created" => {
                only(&[How::Less, How::LessOrEqual, How::Greater, How::GreaterOrEqual])?;
                moment(&written(value)).map(|moment| Self::Created(how, moment)).ok_or_else(|| {
                    (
                        at,
                        "a day such as 2026-01-31 or a time such as 2026-01-31T09:00:00Z was expected"
                            .to_owned(),
                    )
                })
            }
            "stage" => {
                only(&[How::Equal, How::NotEqual])?;
                let stage = Stage::named(&written(value));
                stage
                    .map(|stage| Self::Stage(how, stage))
                    .ok_or_else(|| (at, format!("one of {} was expected", Stage::NAMES.join(", "))))
            }
            "dependencies" => {
                only(&[How::Has])?;
                Wanted::parse(&written(value)).map(Self::Depends).map_err(|wrong| (at, wrong))
            }
            _ if how == How::Has => Err((operator, "`has` is for `dependencies` alone".to_owned())),
            _ => Ok(Self::Tag(Path::of(path), how, value)),
        }
    }

    /// Whether a version meets it.
    pub(super) fn holds(&self, key: &Key, version: &Version, stages: &Stages) -> bool {
        let (name, number) = key;
        match self {
            Self::Text(Texts::Name, how, wanted) => text_holds(*how, name, wanted),
            Self::Text(Texts::Run, how, wanted) => {
                version.run.as_deref().is_some_and(|run| text_holds(*how, run, wanted))
            }
            Self::Text(Texts::Source, how, wanted) => {
                !version.source.is_empty() && text_holds(*how, &version.source, wanted)
            }
            Self::Text(Texts::Owner, how, wanted) => owned(version, *how, wanted),
            Self::Version(how, wanted) => how.holds(number.cmp(wanted)),
            Self::Created(how, wanted) => how.holds(version.created.cmp(wanted)),
            Self::Stage(how, wanted) => how.holds(version.stage(key, stages).cmp(wanted)),
            Self::Tag(path, how, wanted) => match path.look(version) {
                Some(Found::Text(text)) => tag_holds(*how, text, wanted),
                Some(Found::Json(value)) => json_holds(*how, &value, wanted),
                None => false,
            },
            Self::Depends(wanted) => version.tag(DEPENDENCIES).is_some_and(|listed| wanted.in_list(listed)),
        }
    }
}

const ORDERS: [How; 6] =
    [How::Equal, How::NotEqual, How::Less, How::LessOrEqual, How::Greater, How::GreaterOrEqual];

const TEXTS: [How; 8] = [
    How::Equal,
    How::NotEqual,
    How::Less,
    How::LessOrEqual,
    How::Greater,
    How::GreaterOrEqual,
    How::Like,
    How::Contains,
];

/// Milliseconds since 1970: of a time, or of a day's first moment in UTC.
fn moment(text: &str) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let day: Date = text.parse().ok()?;
    day.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp().as_millisecond())
}

fn text_holds(how: How, found: &str, wanted: &str) -> bool {
    match how {
        How::Like => glob::matches(wanted, found, None),
        How::Contains => found.contains(wanted),
        How::Has => false,
        How::Equal | How::NotEqual | How::Less | How::LessOrEqual | How::Greater | How::GreaterOrEqual => {
            how.holds(found.cmp(wanted))
        }
    }
}

/// Whether one of the owners is meant; for `!=`, whether there is one and none is.
fn owned(version: &Version, how: How, wanted: &str) -> bool {
    let wanted = wanted.to_lowercase();
    let owners = ["business_owner", "technical_owner"].into_iter().filter_map(|key| version.tag(key));
    let owners: Vec<String> = owners.map(str::to_lowercase).collect();
    let holds = |owner: &String| text_holds(how, owner, &wanted);
    match how {
        How::NotEqual => !owners.is_empty() && owners.iter().all(holds),
        How::Equal
        | How::Less
        | How::LessOrEqual
        | How::Greater
        | How::GreaterOrEqual
        | How::Like
        | How::Contains
        | How::Has => owners.iter().any(holds),
    }
}

fn tag_holds(how: How, text: &str, wanted: &Literal) -> bool {
    if how == How::Contains
        && text.trim_start().starts_with(['[', '{'])
        && let Ok(value) = serde_json::from_str(text)
    {
        return json_holds(how, &value, wanted);
    }
    match wanted {
        Literal::Number(wanted) if how != How::Like && how != How::Contains => {
            number(text).and_then(|found| found.partial_cmp(wanted)).is_some_and(|order| how.holds(order))
        }
        Literal::Number(wanted) => text_holds(how, text, &wanted.to_string()),
        Literal::Bool(wanted) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => how.holds(true.cmp(wanted)),
            "false" => how.holds(false.cmp(wanted)),
            _ => false,
        },
        Literal::Text(wanted) => text_holds(how, text, wanted),
    }
}

fn json_holds(how: How, value: &Value, wanted: &Literal) -> bool {
    let order = |found: &Value| -> Option<Ordering> {
        match (found, wanted) {
            (Value::Number(found), Literal::Number(wanted)) => found.as_f64()?.partial_cmp(wanted),
            (Value::String(found), Literal::Text(wanted)) => Some(found.as_str().cmp(wanted)),
            (Value::Bool(found), Literal::Bool(wanted)) => Some(found.cmp(wanted)),
            (
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_),
                _,
            ) => None,
        }
    };
    match (how, value) {
        (How::Contains, Value::Array(items)) => {
            items.iter().any(|item| order(item).is_some_and(Ordering::is_eq))
        }
        (How::Contains, Value::Object(members)) => {
            matches!(wanted, Literal::Text(name) if members.contains_key(name))
        }
        (How::Contains | How::Like, Value::String(found)) => {
            matches!(wanted, Literal::Text(wanted) if text_holds(how, found, wanted))
        }
        (
            _,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => order(value).is_some_and(|order| how.holds(order)),
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

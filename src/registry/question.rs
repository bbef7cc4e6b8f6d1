//! A search as it was asked: conditions, an order, a page.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::route::message::Message;
use crate::seal::{KeyError, Seal, write_parts};
use crate::stages::Stages;

use super::condition::{Condition, Path};
use super::rows::{Key, Version};
use super::words::{self, Literal};

/// A search by metadata.
#[derive(Debug)]
pub struct Question {
    conditions: Vec<Condition>,
    order: Order,
    /// How many rows at most.
    pub(super) most: usize,
    page_token: Option<String>,
    /// What it was read from, for the token.
    written: Vec<u8>,
}

/// What is wrong with a question.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// A condition or an order that cannot be read.
    #[error("`{parameter}`: {what} at character {at} of: {text}")]
    Unreadable {
        /// Which parameter.
        parameter: &'static str,
        /// What it holds.
        text: String,
        /// Where it is wrong, from 1.
        at: usize,
        /// What was expected.
        what: String,
    },
    /// Too much at once.
    #[error("`where`: at most {MOST_CONDITIONS} conditions of {LONGEST} characters each are taken")]
    TooMuch,
    /// A page of a size that is not given.
    #[error("`max_results` must be from 1 to {MOST_RESULTS}")]
    MaxResults,
    /// Not a token of ours for this principal and this question.
    #[error("`page_token` is not one that this search gave out to this principal")]
    Token,
}

const MOST_CONDITIONS: usize = 20;
const LONGEST: usize = 1_000;
const DEFAULT_RESULTS: usize = 100;
const MOST_RESULTS: usize = 1_000;
/// Rows are ordered by so many characters of a text, and then by name and version.
const ORDERED_BY: usize = 200;

#[derive(Clone, Debug)]
struct Order {
    by: By,
    descending: bool,
}

#[derive(Clone, Debug)]
enum By {
    /// And the version.
    Name,
    Version,
    Created,
    Tag(Path),
}

/// What a row is ordered by before its name and version. What is not there comes last, whichever way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Rank {
    Number(f64),
    Text(String),
    Missing,
}

/// A row's place in the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    rank: Rank,
    pub(super) key: Key,
    descending: bool,
}

impl Question {
    /// Reads the parameters of a search.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub fn of(message: &Message) -> Result<Self, BadQuestion> {
        let listed: Vec<&str> = message.texts("where").collect();
        let order_by = message.text("order_by").unwrap_or_default();
        if listed.len() > MOST_CONDITIONS
            || listed.iter().copied().chain([order_by]).any(|text| text.chars().count() > LONGEST)
        {
            return Err(BadQuestion::TooMuch);
        }
        let conditions = listed.iter().map(|text| {
            Condition::parse(text).map_err(|wrong| BadQuestion::unreadable("where", text, wrong))
        });
        let conditions = conditions.collect::<Result<_, _>>()?;
        let order = Order::parse(order_by)?;
        // It comes in a query, where numbers are texts.
        let most = match message.text("max_results") {
            None => DEFAULT_RESULTS,
            Some(number) => {
                let number = number.parse().ok().filter(|number| (1..=MOST_RESULTS).contains(number));
                number.ok_or(BadQuestion::MaxResults)?
            }
        };
        let mut written = Vec::new();
        write_parts(&mut written, listed.iter().copied().chain([order_by]));
        let page_token = message.text("page_token").map(str::to_owned);
        Ok(Self { conditions, order, most, page_token, written })
    }

    /// Whether a version meets all conditions.
    pub(super) fn holds(&self, key: &Key, version: &Version, stages: &Stages) -> bool {
        self.conditions.iter().all(|condition| condition.holds(key, version, stages))
    }

    /// Whether the answer's order is that in which rows are kept.
    pub(super) fn in_kept_order(&self) -> bool {
        matches!(self.order, Order { by: By::Name, descending: false })
    }

    pub(super) fn place(&self, key: &Key, version: &Version) -> Place {
        Place { rank: self.order.rank(key, version), key: key.clone(), descending: self.order.descending }
    }

    /// After which row to go on, if one was said.
    pub(super) fn after(&self, seal: &Seal, user: &str) -> Result<Option<Place>, BadQuestion> {
        let Some(token) = &self.page_token else { return Ok(None) };
        let opened = seal.open(token, &self.bound(user)).ok_or(BadQuestion::Token)?;
        serde_json::from_slice(&opened).map(Some).map_err(|_| BadQuestion::Token)
    }

    /// A token to go on after a row.
    pub(super) fn token(&self, seal: &Seal, user: &str, last: &Place) -> Result<String, KeyError> {
        let place = serde_json::to_vec(last).map_err(|_| KeyError)?;
        seal.close(place, &self.bound(user))
    }

    fn bound(&self, user: &str) -> Vec<u8> {
        let mut bound = Vec::new();
        write_parts(&mut bound, [user]);
        bound.extend_from_slice(&self.written);
        bound
    }
}

impl BadQuestion {
    fn unreadable(parameter: &'static str, text: &str, (at, what): words::Wrong) -> Self {
        Self::Unreadable { parameter, text: text.to_owned(), at: at + 1, what }
    }
}

impl Order {
    fn parse(text: &str) -> Result<Self, BadQuestion> {
        if text.trim().is_empty() {
            return Ok(Self { by: By::Name, descending: false });
        }
        let wrong = |wrong| BadQuestion::unreadable("order_by", text, wrong);
        let (path, direction) = words::read_path(text).map_err(wrong)?;
        let descending = match direction.to_ascii_lowercase().as_str() {
            "" | "asc" => false,
            "desc" => true,
            _ => {
                let at = text.trim_end().chars().count() - direction.chars().count();
                return Err(wrong((at, "`asc`, `desc` or nothing was expected".to_owned())));
            }
        };
        let by = match path.as_slice() {
            [name] if name == "name" => By::Name,
            [name] if name == "version" => By::Version,
            [name] if name == "created" => By::Created,
            _ => By::Tag(Path::of(path)),
        };
        Ok(Self { by, descending })
    }

    fn rank(&self, (name, number): &Key, version: &Version) -> Rank {
        match &self.by {
            By::Name if !self.descending => Rank::Missing,
            By::Name => Rank::Text((**name).to_owned()),
            By::Version => Rank::whole(i64::try_from(*number).unwrap_or(i64::MAX)),
            By::Created => Rank::whole(version.created),
            By::Tag(path) => match path.rank(version) {
                // There is one zero.
                Some(Literal::Number(number)) => Rank::Number(number + 0.0),
                Some(Literal::Text(text)) => Rank::Text(text.chars().take(ORDERED_BY).collect()),
                Some(Literal::Bool(_)) | None => Rank::Missing,
            },
        }
    }
}

impl Rank {
    /// Versions and times in milliseconds are far below where a double leaves out whole numbers.
    fn whole(number: i64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        Self::Number(number as f64)
    }

    /// Numbers before texts.
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
            (Self::Missing, Self::Missing) => Ordering::Equal,
            (Self::Missing, _) => Ordering::Greater,
            (_, Self::Missing) => Ordering::Less,
        }
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let missing = |rank: &Rank| matches!(rank, Rank::Missing);
        let ranked = self.rank.order(&other.rank);
        let turned = self.descending && !missing(&self.rank) && !missing(&other.rank);
        let ranked = if turned { ranked.reverse() } else { ranked };
        ranked.then_with(|| self.key.cmp(&other.key))
    }
}

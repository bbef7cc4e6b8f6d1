//! The filters that the index answers, read strictly: whatever else there is goes to MLflow.
//!
//! What MLflow makes of a filter is in `utils/search_utils.py` (`SearchModelUtils`, `SearchModelVersionUtils`) and
//! `store/model_registry/sqlalchemy_store.py`. A text in quotes without quotes and backslashes in it is read alike by its
//! parser and by this one.

use super::Kind;
use super::rows::{Hasher, PROMPT};

/// What rows must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter<'a> {
    /// Prompts alone, and not all but prompts.
    pub(super) prompts: bool,
    /// Of the model with each of these names.
    pub(super) names: Vec<&'a str>,
    pub(super) likes: Vec<Like<'a>>,
    /// Rows have all of these keys.
    pub(super) keys: Vec<u64>,
}

/// A pattern that names must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Like<'a> {
    pattern: &'a str,
    any_case: bool,
}

/// Each clause is looked at for each row: a filter of more bytes goes to MLflow, and counts against the caller's rate.
const LONGEST: usize = 1_024;

/// Names of tags that MLflow's parser takes for words of its own unless they are quoted (`sqlparse/keywords.py`; each of
/// its words was tried).
const WORDS: [&str; 6] = ["as", "case", "from", "in", "using", "values"];

impl<'a> Filter<'a> {
    /// What a filter says, if it is one of those that are answered.
    pub(super) fn read(kind: Kind, text: &'a str, hasher: &Hasher) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (mut filter, mut about_prompts) = (Self::default(), 0);
        let mut rest = text;
        while !rest.is_empty() {
            let (key, after) = key(rest)?;
            let (comparator, after) = comparator(after)?;
            let (value, after) = value(after)?;
            match (key, comparator) {
                (Key::Name, Comparator::Equal) => filter.names.push(value),
                (Key::Name, Comparator::Like) => filter.likes.push(Like::new(value, false)?),
                (Key::Name, Comparator::ILike) => filter.likes.push(Like::new(value, true)?),
                (Key::Run, Comparator::Equal) if kind == Kind::Versions && !value.is_empty() => {
                    filter.keys.push(hasher.run(value));
                }
                (Key::Tag(PROMPT), comparator) => {
                    filter.prompts = prompts(comparator, value)?;
                    about_prompts += 1;
                }
                // An empty value may stand for none, and of a tag there is no telling.
                (Key::Tag(key), Comparator::Equal) if !value.is_empty() => {
                    filter.keys.push(hasher.tag(key, value));
                }
                (Key::Run | Key::Tag(_) | Key::Name, _) => return None,
            }
            rest = and(after)?;
        }
        // Of several MLflow goes by the first one alone.
        (about_prompts < 2).then_some(filter)
    }

    /// Whether a text is compared with one of MLflow's.
    pub(super) fn compares(&self) -> bool {
        !(self.names.is_empty() && self.likes.is_empty() && self.keys.is_empty())
    }

    pub(super) fn has_more_than_names(&self) -> bool {
        !(self.likes.is_empty() && self.keys.is_empty())
    }

    pub(super) fn folds_case(&self) -> bool {
        self.likes.iter().any(|like| like.any_case)
    }

    /// Whether a row is what is asked for, names that are asked for by themselves left aside.
    pub(super) fn holds(&self, name: &str, keys: &[u64]) -> bool {
        self.keys.iter().all(|key| keys.contains(key)) && self.likes.iter().all(|like| like.matches(name))
    }
}

#[derive(Clone, Copy)]
enum Key<'a> {
    Name,
    Run,
    Tag(&'a str),
}

#[derive(Clone, Copy)]
enum Comparator {
    Equal,
    Unequal,
    Like,
    ILike,
}

/// `_update_query_to_exclude_prompts` and `_is_querying_prompt` of `sqlalchemy_store.py`.
fn prompts(comparator: Comparator, value: &str) -> Option<bool> {
    match (comparator, value) {
        (Comparator::Equal, "true") => Some(true),
        (Comparator::Equal, "false") | (Comparator::Unequal, "true") => Some(false),
        (Comparator::Equal | Comparator::Unequal | Comparator::Like | Comparator::ILike, _) => None,
    }
}

fn key(text: &str) -> Option<(Key<'_>, &str)> {
    let prefixed = text.strip_prefix("tags.").or_else(|| text.strip_prefix("tag."));
    let Some(tag) = prefixed else {
        let end = text.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_')?;
        let (word, rest) = text.split_at_checked(end)?;
        return match word {
            "name" => Some((Key::Name, rest)),
            "run_id" => Some((Key::Run, rest)),
            _ => None,
        };
    };
    if let Some(quoted) = tag.strip_prefix('`') {
        let (key, rest) = quoted.split_once('`')?;
        let plain = !key.is_empty() && !key.contains(['\'', '"', '\\']) && !key.contains(char::is_control);
        return plain.then_some((Key::Tag(key), rest));
    }
    let end = tag.find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '_' | '.'))?;
    let (key, rest) = tag.split_at_checked(end)?;
    let is_word = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && !WORDS.iter().any(|word| part.eq_ignore_ascii_case(word))
    };
    key.split('.').all(is_word).then_some((Key::Tag(key), rest))
}

fn comparator(text: &str) -> Option<(Comparator, &str)> {
    let bare = text.trim_start_matches(' ');
    if let Some(rest) = bare.strip_prefix('=') {
        return Some((Comparator::Equal, rest));
    }
    if let Some(rest) = bare.strip_prefix("!=") {
        return Some((Comparator::Unequal, rest));
    }
    let (word, rest) = bare.split_once(' ').filter(|_| bare.len() < text.len())?;
    match word.to_ascii_uppercase().as_str() {
        "LIKE" => Some((Comparator::Like, rest)),
        "ILIKE" => Some((Comparator::ILike, rest)),
        _ => None,
    }
}

/// A text in quotes of one kind, in which there is none of either and nothing that anybody takes for an escape.
fn value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ');
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (value, rest) = text.strip_prefix(quote)?.split_once(quote)?;
    let plain = !value.contains(['\'', '"', '\\', '`']) && !value.contains(char::is_control);
    // Two quotes side by side are one quote to SQL.
    (plain && !rest.starts_with(['\'', '"'])).then_some((value, rest))
}

/// What comes after the next AND; nothing at all at the end.
fn and(text: &str) -> Option<&str> {
    if text.is_empty() {
        return Some(text);
    }
    let (word, rest) = text.strip_prefix(' ')?.trim_start_matches(' ').split_once(' ')?;
    let rest = rest.trim_start_matches(' ');
    (word.eq_ignore_ascii_case("and") && !rest.is_empty()).then_some(rest)
}

impl<'a> Like<'a> {
    pub(super) fn new(pattern: &'a str, any_case: bool) -> Option<Self> {
        (pattern.is_ascii() && !pattern.contains('\\')).then_some(Self { pattern, any_case })
    }

    /// SQL's `LIKE` without an escape, letter by letter.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut text) = (self.pattern.chars(), name.chars());
        // Where to go on if what follows the last `%` does not match: with one letter more in it.
        let mut back: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let before = text.clone();
            match pattern.next() {
                Some('%') => {
                    back = Some((pattern.clone(), before));
                    continue;
                }
                Some(wanted) if text.next().is_some_and(|letter| self.same(wanted, letter)) => continue,
                None if text.as_str().is_empty() => return true,
                Some(_) | None => {}
            }
            let Some((after, from)) = &mut back else { return false };
            if from.next().is_none() {
                return false;
            }
            (pattern, text) = (after.clone(), from.clone());
        }
    }

    fn same(&self, wanted: char, letter: char) -> bool {
        wanted == '_' || wanted == letter || (self.any_case && wanted.eq_ignore_ascii_case(&letter))
    }
}

/// Whether databases may disagree on how a name looks in another case, to somebody who asks in ASCII: of all other letters
/// these alone have a form in ASCII.
pub(super) fn folds_oddly(name: &str) -> bool {
    name.contains(['\u{130}', '\u{131}', '\u{17f}', '\u{212a}'])
}

#[cfg(test)]
mod tests;

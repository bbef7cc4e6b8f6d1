//! What was written is asked for again: the models that were named, and as much of each as was written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::try_join_all;
use parking_lot::RwLock;

use crate::cache::news::{Scope, Touched};

use super::Kind;
use super::pages::{Asker, ReadError, Reading};
use super::place::Places;
use super::rows::{Hasher, Row};
use super::shelf::{Shelf, Spot, Which};

/// So many models, and about so many letters of their names, are asked for in one question.
const TOGETHER: usize = 30;
const LETTERS: usize = 4_000;
/// So many questions are asked at once.
const AT_ONCE: usize = 4;
/// Of one model so many versions are asked for one by one.
const ONE_BY_ONE: usize = 20;

/// A change of what is known.
#[derive(Debug)]
pub(super) enum Step {
    Gone(Box<str>),
    Is(Row),
    Comes(Row, bool, Spot),
    Versions(Box<str>, Which, bool, Vec<Row>),
}

/// How much of a model is to be asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    all: bool,
    versions: BTreeSet<u32>,
}

/// Asks again.
pub(super) struct Again<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) hasher: &'a Hasher,
    pub(super) shelf: &'a RwLock<Shelf>,
}

/// A filter's text for a name, where its letters mean themselves to MLflow's parsers: one reads SQL, the other lists as
/// Python does (`utils/search_utils.py` `_parse_list_from_sql_token`).
pub(super) fn quoted(name: &str) -> Option<String> {
    let odd = |letter: char| matches!(letter, '\'' | '"' | '\\' | '`') || letter.is_control();
    (!name.contains(odd)).then(|| format!("'{name}'"))
}

/// Puts changes in place; false where one has no place.
#[must_use]
pub(super) fn apply(shelf: &mut Shelf, steps: Vec<Step>) -> bool {
    steps.into_iter().all(|step| match step {
        Step::Gone(name) => {
            shelf.remove(&name);
            true
        }
        Step::Is(row) => {
            shelf.replace(row);
            true
        }
        Step::Comes(row, prompt, spot) => shelf.place(row, prompt, &spot),
        Step::Versions(name, which, prompt, found) => shelf.versions(&name, which, prompt, found),
    })
}

impl Again<'_> {
    /// What has become of what was written.
    pub(super) async fn ask(&self, touched: Vec<Touched>) -> Result<Vec<Step>, ReadError> {
        let mut parts: BTreeMap<Box<str>, Part> = BTreeMap::new();
        for Touched { model, scope } in touched {
            let part = parts.entry(model).or_default();
            match scope {
                Scope::Row => {}
                Scope::Version(number) => drop(part.versions.insert(number)),
                Scope::All => part.all = true,
            }
        }
        let names: Vec<Box<str>> = parts.keys().cloned().collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let mut found = self.models(&names, false).await?;
        let missing: Vec<&str> =
            names.iter().copied().filter(|name| !found.iter().any(|(row, _)| *row.name == **name)).collect();
        found.extend(self.models(&missing, true).await?);
        let mut steps = self.sort_out(&names, found, &mut parts).await?;
        let gone: HashSet<Box<str>> = (steps.iter())
            .filter_map(|step| if let Step::Gone(name) = step { Some(name.clone()) } else { None })
            .filter(|name| {
                !steps.iter().any(|step| matches!(step, Step::Comes(row, ..) if *row.name == **name))
            })
            .collect();
        parts.retain(|name, _| !gone.contains(name));
        steps.extend(self.versions(&parts).await?);
        Ok(steps)
    }

    fn reading<'r>(&'r self, kind: Kind, prompt: bool, known: &'r super::pages::Known<'r>) -> Reading<'r> {
        Reading { asker: self.asker, hasher: self.hasher, known, kind, prompt }
    }

    /// The rows of models, in the order of their names.
    async fn models(&self, names: &[&str], prompt: bool) -> Result<Vec<(Row, bool)>, ReadError> {
        let mut found = Vec::new();
        let mut rest = names;
        while !rest.is_empty() {
            let mut letters = 0;
            let fits = |name: &&&str| {
                letters += name.len() + 4;
                letters < LETTERS
            };
            let count = rest.iter().take(TOGETHER).take_while(fits).count().max(1);
            let (some, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            rest = others;
            let rows = self.of_names(some, prompt).await?;
            let asked = |row: &Row| some.contains(&&*row.name);
            found.extend(rows.into_iter().filter(asked).map(|row| (row, prompt)));
        }
        Ok(found)
    }

    /// The rows of models that are named in one question.
    pub(super) async fn of_names(&self, names: &[&str], prompt: bool) -> Result<Vec<Row>, ReadError> {
        let texts: Option<Vec<String>> = names.iter().map(|name| quoted(name)).collect();
        let filter = format!("name IN ({})", texts.ok_or(ReadError::NoPlace)?.join(", "));
        let known = |name: &str, version| self.shelf.read().known(name, version);
        self.reading(Kind::Models, prompt, &known).all(&filter, "name ASC").await
    }

    /// What has become of models, and which of them is to be looked at as a whole.
    async fn sort_out(
        &self,
        names: &[&str],
        found: Vec<(Row, bool)>,
        parts: &mut BTreeMap<Box<str>, Part>,
    ) -> Result<Vec<Step>, ReadError> {
        let mut steps = Vec::new();
        let mut new: Vec<(Row, bool)> = Vec::new();
        let there: HashSet<Arc<str>> = found.iter().map(|(row, _)| Arc::clone(&row.name)).collect();
        for name in names.iter().filter(|name| !there.contains(**name)) {
            steps.push(Step::Gone((*name).into()));
        }
        for (row, prompt) in found {
            let before = self.shelf.read().model(&row.name);
            match before {
                Some((was_prompt, created)) if was_prompt == prompt => {
                    if created != row.created
                        && let Some(part) = parts.get_mut(&*row.name)
                    {
                        part.all = true;
                    }
                    steps.push(Step::Is(row));
                }
                _ => {
                    if before.is_some() {
                        steps.push(Step::Gone((&*row.name).into()));
                    }
                    if let Some(part) = parts.get_mut(&*row.name) {
                        part.all = true;
                    }
                    new.push((row, prompt));
                }
            }
        }
        steps.extend(self.placed(new, &steps).await?);
        Ok(steps)
    }

    /// Models that are new, each with its place.
    async fn placed(&self, new: Vec<(Row, bool)>, steps: &[Step]) -> Result<Vec<Step>, ReadError> {
        let gone = |name: &str| steps.iter().any(|step| matches!(step, Step::Gone(gone) if **gone == *name));
        let mut placed = Vec::new();
        for prompt in [false, true] {
            let mut rows: HashMap<Arc<str>, Row> = HashMap::new();
            let those = new.iter().filter(|(_, is_prompt)| *is_prompt == prompt);
            rows.extend(those.map(|(row, _)| (Arc::clone(&row.name), row.clone())));
            if rows.is_empty() {
                continue;
            }
            let mut places = Places::new(&self.shelf.read(), prompt, gone);
            for name in rows.keys() {
                places.find(self, name).await?;
            }
            let spots = places.spots();
            placed.extend(
                spots
                    .into_iter()
                    .filter_map(|(name, spot)| Some(Step::Comes(rows.remove(&name)?, prompt, spot))),
            );
        }
        Ok(placed)
    }

    async fn versions(&self, parts: &BTreeMap<Box<str>, Part>) -> Result<Vec<Step>, ReadError> {
        let mut asked: Vec<(&str, Which)> = Vec::new();
        for (name, part) in parts {
            let whole = part.all || part.versions.len() > ONE_BY_ONE || {
                // Which of a prompt's versions are listed depends on all of them.
                !part.versions.is_empty() && self.shelf.read().has_prompts(name)
            };
            if whole {
                asked.push((name, Which::All));
            } else {
                asked.extend(part.versions.iter().map(|number| (&**name, Which::Number(*number))));
            }
        }
        let mut steps = Vec::new();
        for some in asked.chunks(AT_ONCE) {
            let questions = some.iter().map(|(name, which)| self.version(name, *which));
            steps.extend(try_join_all(questions).await?);
        }
        Ok(steps)
    }

    async fn version(&self, name: &str, which: Which) -> Result<Step, ReadError> {
        let known = |name: &str, version| self.shelf.read().known(name, version);
        let named = format!("name = {}", quoted(name).ok_or(ReadError::NoPlace)?);
        let filter = match which {
            Which::All => named.clone(),
            Which::Number(number) => format!("{named} AND version_number = {number}"),
        };
        let ask = async |prompt, filter: &str| {
            let mut rows =
                self.reading(Kind::Versions, prompt, &known).all(filter, "version_number ASC").await?;
            rows.retain(|row| *row.name == *name);
            Ok::<_, ReadError>(rows)
        };
        let found = ask(false, &filter).await?;
        if !found.is_empty() {
            return Ok(Step::Versions(name.into(), which, false, found));
        }
        // There are none, or the model has a version that is a prompt's: then all that are none are hidden.
        let found = ask(true, &filter).await?;
        match which {
            Which::Number(_) if !found.is_empty() => {
                Ok(Step::Versions(name.into(), Which::All, true, ask(true, &named).await?))
            }
            Which::Number(_) | Which::All => Ok(Step::Versions(name.into(), which, true, found)),
        }
    }
}

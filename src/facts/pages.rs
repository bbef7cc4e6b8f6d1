//! Reading what is in MLflow's registry, page by page, while its rows move.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::upstream::{SaidAt, Upstream, UpstreamError};

use super::{FactError, Facts, query};

/// A row that MLflow has shown.
pub trait Row {
    /// Whether it is of the same model, or the same version, as another.
    fn is(&self, other: &Self) -> bool;
    /// When it was changed, by MLflow's clock.
    fn updated(&self) -> i64;
}

/// One of MLflow's two searches of the registry.
#[derive(Clone, Copy, Debug)]
pub struct List {
    path: &'static str,
    /// An order in which rows seldom move.
    steady: &'static str,
    /// The most of the first page of what is new: where there are no more, it is all there is. Models come with their
    /// latest versions, which takes MLflow 1.5 ms each.
    few: usize,
}

/// `registered-models/search`
pub const MODELS: List =
    List { path: "/api/2.0/mlflow/registered-models/search", steady: "name ASC", few: 10 };
/// `model-versions/search`
pub const VERSIONS: List =
    List { path: "/api/2.0/mlflow/model-versions/search", steady: "creation_timestamp ASC", few: 100 };

/// The most of a page that MLflow is asked for.
const PAGE: usize = 1000;
/// Where a page is too large, one of a so much smaller number of rows is asked for.
const SMALLER: usize = 8;
/// Rows that two pages of the whole list have in common: one that is still where it was shows that nothing has moved.
const OVERLAP: usize = 10;
/// The whole list is begun anew so often when rows move while it is read; then it is taken as it is. What is missing is
/// found when it is looked for.
const ATTEMPTS: usize = 3;
/// How long a change of a row may take until others see it, in milliseconds: MLflow takes its time before it commits.
const SLACK: i64 = 15_000;

/// When MLflow was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// By MLflow's clock, in milliseconds since 1970, where it says.
    theirs: Option<i64>,
    /// By ours, which is never set.
    ours: Instant,
}

impl Asked {
    fn now(theirs: Option<SaidAt>, ours: Instant) -> Self {
        Self { theirs: theirs.map(|SaidAt(at)| at.as_millisecond()), ours }
    }

    /// By MLflow's clock, the time after which everything has happened that was done since `before`, however that clock was
    /// set meanwhile. Without its time everything counts.
    fn since(self, before: Self) -> i64 {
        let (Some(then), Some(now)) = (before.theirs, self.theirs) else { return i64::MIN };
        let elapsed = self.ours.saturating_duration_since(before.ours).as_millis();
        let begun = now.saturating_sub(i64::try_from(elapsed).unwrap_or(i64::MAX));
        then.min(begun).saturating_sub(SLACK)
    }
}

/// MLflow's searches leave out every prompt, unless they are asked for just these
/// (`store/model_registry/sqlalchemy_store.py` `_update_query_to_exclude_prompts`). So they are asked twice.
const PROMPTS: &str = "tags.`mlflow.prompt.is_prompt` = 'true'";

/// Rows that MLflow has shown.
pub struct Shown<R> {
    /// The rows.
    pub rows: Vec<R>,
    /// Whether these are all that there are.
    pub all: bool,
    /// When the latest of them was changed, by MLflow's clock.
    pub latest: Option<i64>,
    /// When MLflow was asked.
    pub asked: Asked,
}

impl<R> Shown<R> {
    fn with(mut self, prompts: Self) -> Self {
        self.rows.extend(prompts.rows);
        self.all &= prompts.all;
        self.latest = self.latest.max(prompts.latest);
        self
    }
}

/// A search that MLflow is asked, and what is kept of its rows.
pub struct Reader<'a, K> {
    /// Who asks.
    pub facts: &'a Facts,
    /// Whom.
    pub mlflow: &'a Upstream,
    /// Which list.
    pub list: List,
    /// Makes of each row what is kept of it.
    pub keep: K,
}

impl<K> Reader<'_, K> {
    /// Every row that passes one of MLflow's filters, an empty one for all.
    ///
    /// # Errors
    /// MLflow could not be asked, or not understood.
    pub async fn all<W: DeserializeOwned, R: Row>(&self, filter: &str) -> Result<Shown<R>, FactError>
    where
        K: Fn(W) -> R,
    {
        let [models, prompts] = both(filter);
        let (models, prompts) = tokio::try_join!(self.whole(&models), self.whole(&prompts))?;
        Ok(models.with(prompts))
    }

    /// Rows that were changed since MLflow was asked `before`, or not long before that, and some more; all of them where
    /// they are few.
    ///
    /// # Errors
    /// As [`Reader::all`].
    pub async fn changed<W: DeserializeOwned, R: Row>(&self, before: Asked) -> Result<Shown<R>, FactError>
    where
        K: Fn(W) -> R,
    {
        let (models, prompts) = tokio::try_join!(self.latest("", before), self.latest(PROMPTS, before))?;
        Ok(models.with(prompts))
    }

    /// Rows that pass a filter, the latest first, prompts too.
    ///
    /// # Errors
    /// As [`Reader::all`].
    pub async fn few<W: DeserializeOwned, R: Row>(&self, filter: &str) -> Result<Vec<R>, FactError>
    where
        K: Fn(W) -> R,
    {
        let now = Asked::now(None, Instant::now());
        let [models, prompts] = both(filter);
        let (models, prompts) = tokio::try_join!(self.latest(&models, now), self.latest(&prompts, now))?;
        Ok(models.with(prompts).rows)
    }

    async fn whole<W: DeserializeOwned, R: Row>(&self, filter: &str) -> Result<Shown<R>, FactError>
    where
        K: Fn(W) -> R,
    {
        let (mut attempt, mut size) = (1, PAGE);
        'anew: loop {
            let mut rows: Vec<R> = Vec::new();
            let (mut asked, mut all) = (None, true);
            loop {
                let at = rows.len().saturating_sub(OVERLAP.min(size / 2));
                let now = Instant::now();
                let Some((page, said_at)) = self.page(filter, self.list.steady, size, at).await? else {
                    size = (size / SMALLER).max(1);
                    continue;
                };
                let asked = *asked.get_or_insert(Asked::now(said_at, now));
                let moved = !rows.iter().skip(at).zip(&page).all(|(known, found)| known.is(found))
                    || page.len() < rows.len() - at;
                if moved && attempt < ATTEMPTS {
                    attempt += 1;
                    continue 'anew;
                }
                all &= !moved;
                let full = page.len() == size;
                rows.truncate(at);
                rows.extend(page);
                if !full {
                    let latest = rows.iter().map(Row::updated).max();
                    return Ok(Shown { rows, all, latest, asked });
                }
            }
        }
    }

    async fn latest<W: DeserializeOwned, R: Row>(
        &self,
        filter: &str,
        before: Asked,
    ) -> Result<Shown<R>, FactError>
    where
        K: Fn(W) -> R,
    {
        let (mut rows, mut size, mut asked): (Vec<R>, _, _) = (Vec::new(), self.list.few, None);
        let mut most = PAGE;
        loop {
            let now = Instant::now();
            let page = self.page(filter, "last_updated_timestamp DESC", size, rows.len()).await?;
            let Some((page, said_at)) = page else {
                size = (size / SMALLER).max(1);
                most = size;
                continue;
            };
            let asked = *asked.get_or_insert(Asked::now(said_at, now));
            let since = asked.since(before);
            let full = page.len() == size;
            let reached = page.last().is_some_and(|row| row.updated() < since);
            rows.extend(page);
            if reached || !full {
                let latest = rows.first().map(Row::updated);
                return Ok(Shown { rows, all: !full, latest, asked });
            }
            size = most;
        }
    }

    /// One page, or nothing where it was larger than what is read of an answer and fewer rows would be smaller.
    async fn page<W: DeserializeOwned, R>(
        &self,
        filter: &str,
        order: &str,
        size: usize,
        offset: usize,
    ) -> Result<Option<(Vec<R>, Option<SaidAt>)>, FactError>
    where
        K: Fn(W) -> R,
    {
        #[derive(Deserialize)]
        struct Answer<W> {
            #[serde(default = "Vec::new", alias = "registered_models", alias = "model_versions")]
            rows: Vec<W>,
        }
        let (most, token) = (size.to_string(), token(offset));
        let mut pairs = vec![("max_results", most.as_str()), ("order_by", order)];
        if !filter.is_empty() {
            pairs.push(("filter", filter));
        }
        if offset > 0 {
            pairs.push(("page_token", &token));
        }
        let path = query(self.list.path, &pairs);
        let answered: Result<(Answer<W>, _), FactError> = self.facts.ask_and_when(self.mlflow, &path).await;
        match answered {
            Ok((answer, at)) => Ok(Some((answer.rows.into_iter().map(&self.keep).collect(), at))),
            Err(FactError::Upstream(UpstreamError::ResponseTooLarge { .. })) if size > 1 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A filter as it stands and the same for prompts.
pub fn both(filter: &str) -> [String; 2] {
    let prompts = if filter.is_empty() { PROMPTS.to_owned() } else { format!("{filter} AND {PROMPTS}") };
    [filter.to_owned(), prompts]
}

/// MLflow's page token for an offset (`utils/search_utils.py` `create_page_token`).
fn token(offset: usize) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{{\"offset\": {offset}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missed_when_mlflows_clock_is_set() {
        let start = Instant::now();
        let asked = |seconds: i64, elapsed: u64| Asked {
            theirs: Some(seconds * 1000),
            ours: start + std::time::Duration::from_secs(elapsed),
        };
        let before = asked(10_000, 0);
        for (now, expected, why) in [
            (asked(10_060, 60), 10_000, "it ran as ours did"),
            (asked(13_060, 60), 10_000, "it was set forward"),
            (asked(7_060, 60), 7_000, "it was set back"),
        ] {
            assert_eq!(now.since(before), expected * 1000 - SLACK, "{why}");
        }
        assert_eq!(Asked { theirs: None, ours: start }.since(before), i64::MIN);
    }

    #[test]
    fn mlflows_token_is_an_offset() {
        assert_eq!(token(2), "eyJvZmZzZXQiOiAyfQ==");
    }
}

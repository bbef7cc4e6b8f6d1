//! Reading registered versions from MLflow: all of them once, and then those that changed since.

use serde::Deserialize;
use tokio::time::Instant;

use crate::facts::{FactError, Facts, Holder, query};
use crate::govern::sources::{self, Source};
use crate::upstream::{SaidAt, Upstream};

use super::index::{Index, Registration};

/// A version as MLflow's search shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) creation_timestamp: i64,
    #[serde(default)]
    pub(super) last_updated_timestamp: i64,
    #[serde(default)]
    pub(super) source: String,
    pub(super) run_id: Option<String>,
}

/// The most of a page that MLflow is asked for.
const PAGE: usize = 1000;
/// The most of the first page of what is new: where there are no more, it is all there is.
const FEW: usize = 100;
/// Rows that two pages of the whole list have in common: one that is still where it was shows that nothing has moved.
const OVERLAP: usize = 10;
/// The whole list is begun anew so often when rows move while it is read; then it is taken as it is. What is missing is
/// found when it is looked for.
const ATTEMPTS: usize = 3;
/// How long a change of a version may take until others see it, in milliseconds: MLflow takes its time before it commits.
const SLACK: i64 = 15_000;

/// When MLflow was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
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

/// MLflow's search leaves out every version of a model that has one with the prompt's tag, unless it is asked for just
/// these (`store/model_registry/sqlalchemy_store.py` `_update_query_to_exclude_prompts`). So it is asked twice.
const FILTERS: [&str; 2] = ["", "tags.`mlflow.prompt.is_prompt` = 'true'"];

/// Versions that MLflow has shown.
pub(super) struct Shown {
    pub(super) rows: Vec<Row>,
    /// Whether these are all that there are.
    pub(super) all: bool,
    /// When the latest of them was changed, by MLflow's clock.
    pub(super) latest: Option<i64>,
    pub(super) asked: Asked,
}

impl Shown {
    fn with(mut self, prompts: Self) -> Self {
        self.rows.extend(prompts.rows);
        self.all &= prompts.all;
        self.latest = self.latest.max(prompts.latest);
        self
    }
}

/// Every version that MLflow has.
pub(super) async fn all(facts: &Facts, mlflow: &Upstream) -> Result<Shown, FactError> {
    let [models, prompts] = FILTERS.map(|filter| whole(facts, mlflow, filter));
    let (models, prompts) = tokio::try_join!(models, prompts)?;
    Ok(models.with(prompts))
}

/// Versions that were changed since MLflow was asked `before`, or not long before that, and some more; all of them where
/// they are few.
pub(super) async fn changed(facts: &Facts, mlflow: &Upstream, before: Asked) -> Result<Shown, FactError> {
    let [models, prompts] = FILTERS.map(|filter| latest(facts, mlflow, filter, before));
    let (models, prompts) = tokio::try_join!(models, prompts)?;
    Ok(models.with(prompts))
}

/// Versions of these runs and logged models, by their ids, whenever they were registered.
pub(super) async fn of(facts: &Facts, mlflow: &Upstream, ids: &[&str]) -> Result<Vec<Row>, FactError> {
    let by_id = |id: &&str| [format!("source_path LIKE '%{id}%'"), format!("run_id = '{id}'")];
    let filters = ids.iter().filter(|id| sources::is_id(id)).flat_map(by_id);
    let [_, prompts] = FILTERS;
    let filters: Vec<String> =
        filters.flat_map(|filter| [format!("{filter} AND {prompts}"), filter]).collect();
    let now = Asked::now(None, Instant::now());
    let asked = filters.iter().map(|filter| latest(facts, mlflow, filter, now));
    let shown = futures_util::future::try_join_all(asked).await?;
    Ok(shown.into_iter().flat_map(|shown| shown.rows).collect())
}

async fn whole(facts: &Facts, mlflow: &Upstream, filter: &str) -> Result<Shown, FactError> {
    let mut attempt = 1;
    'anew: loop {
        let mut rows: Vec<Row> = Vec::new();
        let mut asked = None;
        loop {
            let at = rows.len().saturating_sub(OVERLAP);
            let now = Instant::now();
            let (page, said_at) = page(facts, mlflow, filter, "creation_timestamp ASC", PAGE, at).await?;
            let asked = *asked.get_or_insert(Asked::now(said_at, now));
            let same =
                |(known, found): (&Row, &Row)| (&known.name, &known.version) == (&found.name, &found.version);
            let moved = !rows.iter().skip(at).zip(&page).all(same) || page.len() < rows.len() - at;
            if moved && attempt < ATTEMPTS {
                attempt += 1;
                continue 'anew;
            }
            let full = page.len() == PAGE;
            rows.truncate(at);
            rows.extend(page);
            if !full {
                let latest = rows.iter().map(|row| row.last_updated_timestamp).max();
                return Ok(Shown { rows, all: !moved, latest, asked });
            }
        }
    }
}

async fn latest(facts: &Facts, mlflow: &Upstream, filter: &str, before: Asked) -> Result<Shown, FactError> {
    let (mut rows, mut size, mut asked): (Vec<Row>, _, _) = (Vec::new(), FEW, None);
    loop {
        let now = Instant::now();
        let (page, said_at) =
            page(facts, mlflow, filter, "last_updated_timestamp DESC", size, rows.len()).await?;
        let asked = *asked.get_or_insert(Asked::now(said_at, now));
        let since = asked.since(before);
        let full = page.len() == size;
        let reached = page.last().is_some_and(|row| row.last_updated_timestamp < since);
        rows.extend(page);
        if reached || !full {
            let latest = rows.first().map(|row| row.last_updated_timestamp);
            return Ok(Shown { rows, all: !full, latest, asked });
        }
        size = PAGE;
    }
}

async fn page(
    facts: &Facts,
    mlflow: &Upstream,
    filter: &str,
    order: &str,
    size: usize,
    offset: usize,
) -> Result<(Vec<Row>, Option<SaidAt>), FactError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        model_versions: Vec<Row>,
    }
    let (size, token) = (size.to_string(), token(offset));
    let mut pairs = vec![("max_results", size.as_str()), ("order_by", order)];
    if !filter.is_empty() {
        pairs.push(("filter", filter));
    }
    if offset > 0 {
        pairs.push(("page_token", &token));
    }
    let path = query("/api/2.0/mlflow/model-versions/search", &pairs);
    let (answer, at): (Answer, _) = facts.ask_and_when(mlflow, &path).await?;
    Ok((answer.model_versions, at))
}

/// So many pages of an experiment's runs, and of its logged models, are looked at before it is deleted.
const MOST_PAGES: usize = 100;

/// The runs and logged models of an experiment, and where their files are.
pub(super) async fn holders(
    facts: &Facts,
    mlflow: &Upstream,
    experiment: &str,
) -> Result<Vec<(Holder, String)>, FactError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        runs: Vec<Of<RunInfo>>,
        #[serde(default)]
        models: Vec<Of<ModelInfo>>,
        next_page_token: Option<String>,
    }
    #[derive(Deserialize)]
    struct Of<I> {
        info: I,
    }
    #[derive(Deserialize)]
    struct RunInfo {
        run_id: String,
        #[serde(default)]
        artifact_uri: String,
    }
    #[derive(Deserialize)]
    struct ModelInfo {
        model_id: String,
        #[serde(default)]
        artifact_uri: String,
    }
    let mut found = Vec::new();
    for (path, size) in [("runs/search", PAGE), ("logged-models/search", 100)] {
        let (mut pages, mut token) = (0, None);
        loop {
            // Logged models have no `run_view_type`; MLflow leaves out what it does not know.
            let asked = serde_json::json!({ "experiment_ids": [experiment], "max_results": size,
                "run_view_type": "ALL", "page_token": token });
            let answer: Answer =
                facts.search(mlflow, &format!("/api/2.0/mlflow/{path}"), asked.to_string()).await?;
            let models = answer.models.into_iter().map(|model| model.info);
            found.extend(
                answer.runs.into_iter().map(|run| (Holder::Run(run.info.run_id), run.info.artifact_uri)),
            );
            found.extend(models.map(|model| (Holder::LoggedModel(model.model_id), model.artifact_uri)));
            let Some(next) = answer.next_page_token.filter(|next| !next.is_empty()) else { break };
            pages += 1;
            if pages == MOST_PAGES {
                return Err(FactError::TooMany);
            }
            token = Some(next);
        }
    }
    Ok(found)
}

/// MLflow's page token for an offset (`utils/search_utils.py` `create_page_token`).
fn token(offset: usize) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{{\"offset\": {offset}}}"))
}

/// What a row says of a version's files, which never change. A copy of a version has the files that this one had when the copy was made:
/// MLflow alone knows, unless that version is still there.
pub(super) async fn registration(
    facts: &Facts,
    mlflow: &Upstream,
    row: &Row,
    known: impl Fn(&str, u64) -> Option<Registration> + Send,
    seen: Instant,
) -> Result<Option<Registration>, FactError> {
    let Ok(version) = row.version.parse() else { return Ok(None) };
    let former = known(&row.name, version).filter(|former| former.created == row.creation_timestamp);
    let mut area = former.map_or_else(|| sources::area(&row.source), |former| former.area);
    if let Source::Version(_) = area {
        let original = copied(&row.source).and_then(|(name, version)| known(name, version));
        area = match original.filter(|original| original.created <= row.creation_timestamp) {
            Some(original) => original.area,
            None => match files_of(facts, mlflow, &row.name, &row.version).await? {
                Some(place) => sources::area(&place),
                None => return Ok(None),
            },
        };
    }
    Ok(Some(Registration {
        model: row.name.as_str().into(),
        version,
        created: row.creation_timestamp,
        run: row.run_id.clone().filter(|run| !run.is_empty()),
        area,
        seen,
    }))
}

/// `models:/NAME/VERSION`, as MLflow writes a copy's source.
fn copied(source: &str) -> Option<(&str, u64)> {
    let (name, version) = source.strip_prefix("models:/")?.rsplit_once('/')?;
    Some((name, version.parse().ok()?))
}

async fn files_of(
    facts: &Facts,
    mlflow: &Upstream,
    model: &str,
    version: &str,
) -> Result<Option<String>, FactError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        artifact_uri: String,
    }
    let pairs = [("name", model), ("version", version)];
    let path = query("/api/2.0/mlflow/model-versions/get-download-uri", &pairs);
    let answer: Option<Answer> = facts.if_there(mlflow, &path).await?;
    Ok(answer.map(|answer| answer.artifact_uri))
}

/// Puts rows into the index, the earliest first, so that a copy finds its original.
pub(super) async fn take_in(
    facts: &Facts,
    mlflow: &Upstream,
    mut rows: Vec<Row>,
    index: &parking_lot::RwLock<Index>,
    seen: Instant,
) -> Result<(), FactError> {
    rows.sort_by_key(|row| row.creation_timestamp);
    for row in rows {
        let known = |model: &str, version| index.read().get(model, version).cloned();
        let found = registration(facts, mlflow, &row, known, seen).await?;
        if let Some(registration) = found.filter(|found| found.area != Source::Prompt) {
            index.write().insert(registration);
        }
    }
    Ok(())
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

    #[test]
    fn a_copy_names_a_version() {
        for (source, expected) in [
            ("models:/a/1", Some(("a", 1))),
            ("models:/a@b/12", Some(("a@b", 12))),
            ("models:/m-0f", None),
            ("models:/a/Production", None),
            ("runs:/a/1", None),
        ] {
            assert_eq!(copied(source), expected, "{source}");
        }
    }
}

//! Reading registered versions from MLflow: all of them once, and then those that changed since.

use serde::Deserialize;
use tokio::time::Instant;

use crate::facts::pages::{self, Asked, Reader, Shown, VERSIONS};
use crate::facts::{FactError, Facts, Holder, query};
use crate::govern::sources::{self, Source};
use crate::upstream::Upstream;

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

impl pages::Row for Row {
    fn is(&self, other: &Self) -> bool {
        (&self.name, &self.version) == (&other.name, &other.version)
    }

    fn updated(&self) -> i64 {
        self.last_updated_timestamp
    }
}

fn reader<'a>(facts: &'a Facts, mlflow: &'a Upstream) -> Reader<'a, impl Fn(Row) -> Row> {
    Reader { facts, mlflow, list: VERSIONS, keep: |row: Row| row }
}

/// Every version that MLflow has.
pub(super) async fn all(facts: &Facts, mlflow: &Upstream) -> Result<Shown<Row>, FactError> {
    reader(facts, mlflow).all("").await
}

/// Versions that were changed since MLflow was asked `before`, or not long before that, and some more; all of them where
/// they are few.
pub(super) async fn changed(
    facts: &Facts,
    mlflow: &Upstream,
    before: Asked,
) -> Result<Shown<Row>, FactError> {
    reader(facts, mlflow).changed(before).await
}

/// Versions of these runs and logged models, by their ids, whenever they were registered.
pub(super) async fn of(facts: &Facts, mlflow: &Upstream, ids: &[&str]) -> Result<Vec<Row>, FactError> {
    let by_id = |id: &&str| [format!("source_path LIKE '%{id}%'"), format!("run_id = '{id}'")];
    let filters: Vec<String> = ids.iter().filter(|id| sources::is_id(id)).flat_map(by_id).collect();
    let reader = reader(facts, mlflow);
    let shown = futures_util::future::try_join_all(filters.iter().map(|filter| reader.few(filter))).await?;
    Ok(shown.into_iter().flatten().collect())
}

/// The most of a page that MLflow is asked for.
const PAGE: usize = 1000;
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

//! Where the files of one version are.

use serde::Deserialize;

use crate::facts::{FactError, Facts, Holder};
use crate::govern::sources::{self, Source};
use crate::upstream::Upstream;

use super::{Ownership, Registration, Wanted};

/// The most pages of a run's experiment's logged models that are looked through.
const MOST_PAGES: usize = 100;

impl Ownership {
    /// Where a version's files may be. There are two places for `runs:/RUN/NAME`: the run's folder of that name, and its
    /// logged model (`store/artifact/runs_artifact_repo.py`). None for a prompt, and for a version that MLflow does not have.
    ///
    /// # Errors
    /// As [`Ownership::catch_up`].
    pub async fn places(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        model: &str,
        version: u64,
    ) -> Result<Vec<Wanted>, FactError> {
        self.catch_up(facts, mlflow).await?;
        let found = self.index.read().get(model, version).cloned();
        match found {
            Some(found) => self.places_of(facts, mlflow, &found).await,
            None => Ok(Vec::new()),
        }
    }

    /// The same for a version that is known.
    ///
    /// # Errors
    /// As [`Ownership::catch_up`].
    pub async fn places_of(
        &self,
        facts: &Facts,
        mlflow: &Upstream,
        found: &Registration,
    ) -> Result<Vec<Wanted>, FactError> {
        Ok(match &found.area {
            Source::Prompt | Source::Version(_) => Vec::new(),
            Source::LoggedModel(files) => {
                held(facts, mlflow, Holder::LoggedModel(files.id.clone()), &files.path)
                    .await?
                    .into_iter()
                    .collect()
            }
            Source::Run(files) => {
                let run = held(facts, mlflow, Holder::Run(files.id.clone()), &files.path).await?;
                let (name, below) = files.path.split_once('/').unwrap_or((&files.path, ""));
                let named = match &run {
                    Some(_) if !name.is_empty() => named(facts, mlflow, &files.id, name).await?,
                    Some(_) | None => None,
                };
                let model = match named {
                    Some(id) => held(facts, mlflow, Holder::LoggedModel(id), below).await?,
                    None => None,
                };
                run.into_iter().chain(model).collect()
            }
            Source::Place(place) => vec![place_of(facts, mlflow, found, place).await?],
        })
    }
}

async fn held(
    facts: &Facts,
    mlflow: &Upstream,
    holder: Holder,
    path: &str,
) -> Result<Option<Wanted>, FactError> {
    let held = facts.held(mlflow, &holder).await?;
    Ok(held.map(|held| Wanted::of(holder, &held, path)))
}

/// A place in a store, as the run's that the version names where it lies among that run's files.
async fn place_of(
    facts: &Facts,
    mlflow: &Upstream,
    found: &Registration,
    place: &str,
) -> Result<Wanted, FactError> {
    if let Some(run) = found.run.as_deref().filter(|run| sources::is_id(run)) {
        let holder = Holder::Run(run.to_owned());
        if let Some(held) = facts.held(mlflow, &holder).await?
            && let Some(path) = sources::below_root(place, &held.root)
        {
            return Ok(Wanted::of(holder, &held, &path));
        }
    }
    let plain = sources::plain(place);
    let (root, path) = match plain.strip_prefix("mlflow-artifacts:/") {
        Some(path) => ("mlflow-artifacts:/".to_owned(), path.to_owned()),
        None => (plain, String::new()),
    };
    Ok(Wanted { holder: None, root, run: None, name: None, path })
}

/// The run's logged model of a name.
async fn named(facts: &Facts, mlflow: &Upstream, run: &str, name: &str) -> Result<Option<String>, FactError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        models: Vec<Model>,
        next_page_token: Option<String>,
    }
    #[derive(Deserialize)]
    struct Model {
        info: Info,
    }
    #[derive(Deserialize)]
    struct Info {
        model_id: String,
        name: Option<String>,
        source_run_id: Option<String>,
    }
    let Some(held) = facts.held(mlflow, &Holder::Run(run.to_owned())).await? else { return Ok(None) };
    let mut token: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let asked = serde_json::json!({ "experiment_ids": [held.experiment], "max_results": 100, "page_token": token,
            "filter": format!("source_run_id = '{run}'") });
        let answer: Answer =
            facts.search(mlflow, "/api/2.0/mlflow/logged-models/search", asked.to_string()).await?;
        let mut models = answer.models.into_iter().map(|model| model.info);
        if let Some(model) = models
            .find(|model| model.name.as_deref() == Some(name) && model.source_run_id.as_deref() == Some(run))
        {
            return Ok(Some(model.model_id));
        }
        match answer.next_page_token.filter(|next| !next.is_empty()) {
            Some(next) => token = Some(next),
            None => return Ok(None),
        }
    }
    Err(FactError::TooMany)
}

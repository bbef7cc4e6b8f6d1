//! What is in Production is not deleted, nor does its model lose its name; and what is deleted is told to the state store.

use serde::Deserialize;
use tracing::warn;

use crate::facts::{FactError, query};
use crate::govern::Mode;
use crate::ownership::Holding;
use crate::reject::Rejection;
use crate::route::message::Message;
use crate::stage::Stage;
use crate::stages::Known;
use crate::store::{StoreError, VersionId};

use super::Gate;

impl Gate {
    /// A version, or a model, that is to be deleted. Nobody changes its stage meanwhile.
    pub(super) async fn is_not_in_service(
        &self,
        path: &str,
        message: &Message,
        holding: &mut Holding,
    ) -> Result<(), Rejection> {
        let Some(model) = message.text("name").filter(|_| self.rules != Mode::Off) else { return Ok(()) };
        let found = match (path, message.text("version")) {
            ("model-versions/delete", Some(version)) => {
                holding.add(self.alone_with(model, version).await);
                self.version_not_in_service(model, version).await
            }
            _ => {
                holding.add(self.alone_with_all(model).await);
                self.model_not_in_service(model).await
            }
        };
        self.as_the_mode_has_it(found)
    }

    /// A model that is renamed. One that is created has no name to lose.
    pub(super) async fn keeps_its_name(
        &self,
        message: &Message,
        holding: &mut Holding,
    ) -> Result<(), Rejection> {
        match (message.text("name"), message.text("new_name")) {
            (Some(model), Some(name)) if model != name && self.rules != Mode::Off => {
                holding.add(self.alone_with_all(model).await);
                let found = self.model_not_in_service(model).await;
                self.as_the_mode_has_it(found)
            }
            (_, _) => Ok(()),
        }
    }

    pub(super) async fn version_not_in_service(&self, model: &str, version: &str) -> Result<(), Rejection> {
        let Some(found) = self.facts.version(&self.mlflow, model, version).await? else { return Ok(()) };
        let Ok(number) = version.parse::<u64>() else { return Ok(()) };
        let refused = || Err(Rejection::InProduction(model.to_owned(), number));
        if is_production(&found.stage) {
            return refused();
        }
        let Some(id) = self.version_id(model, number, found.created).await? else { return Ok(()) };
        let known = || self.stages.of(model, number, found.created).is_some();
        let stand = self.answered(self.store.stands(&id).await, known)?.flatten();
        let enters = self.answered(self.store.unfinished().await, known)?.unwrap_or_default();
        let enters = enters.iter().any(|begun| begun.what.id == id && begun.what.to == Stage::Production);
        if enters || stand.is_some_and(|stand| stand.stage == Stage::Production) { refused() } else { Ok(()) }
    }

    pub(super) async fn model_not_in_service(&self, model: &str) -> Result<(), Rejection> {
        let known = || !self.stages.of_model(model).is_empty();
        self.answered(self.stages.refresh(&self.store).await, known)?;
        let begun = self.answered(self.store.unfinished().await, known)?.unwrap_or_default();
        let enter =
            begun.iter().filter(|begun| begun.what.id.model == model && begun.what.to == Stage::Production);
        let enter = enter.map(|begun| (begun.what.id.version, begun.what.id.created));
        let stand = self.stages.of_model(model).into_iter();
        let stand = stand.filter(|(_, known)| known.stage == Stage::Production);
        let stand = stand.map(|(version, Known { created, .. })| (version, created));
        for (version, created) in stand.chain(enter) {
            let found = self.facts.version(&self.mlflow, model, &version.to_string()).await?;
            // It may have been deleted past us.
            if found.is_some_and(|found| found.created == created) {
                return Err(Rejection::InProduction(model.to_owned(), version));
            }
        }
        match self.in_mlflows_production(model).await? {
            Some(version) => Err(Rejection::InProduction(model.to_owned(), version)),
            None => Ok(()),
        }
    }

    /// What the state store says, or nothing where it does not answer and has nothing to say: it was read, and the version
    /// was not in it.
    fn answered<A>(
        &self,
        said: Result<A, StoreError>,
        known: impl Fn() -> bool,
    ) -> Result<Option<A>, StoreError> {
        match said {
            Ok(said) => Ok(Some(said)),
            Err(error) if known() || !self.stages.is_seen(None) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// A version of the model that MLflow has in Production: it tells the latest of each stage.
    async fn in_mlflows_production(&self, model: &str) -> Result<Option<u64>, FactError> {
        #[derive(Deserialize)]
        struct Answer {
            registered_model: Model,
        }
        #[derive(Deserialize)]
        struct Model {
            #[serde(default)]
            latest_versions: Vec<Latest>,
        }
        #[derive(Deserialize)]
        struct Latest {
            version: String,
            #[serde(default)]
            current_stage: String,
        }
        let path = query("/api/2.0/mlflow/registered-models/get", &[("name", model)]);
        let answer: Option<Answer> = self.facts.if_there(&self.mlflow, &path).await?;
        let latest = answer.map(|answer| answer.registered_model.latest_versions).unwrap_or_default();
        let mut latest = latest.into_iter();
        Ok(latest
            .find(|latest| is_production(&latest.current_stage))
            .and_then(|latest| latest.version.parse().ok()))
    }

    /// What was deleted is told to the state store; what was done to it stays there. What cannot be told is of no harm: a
    /// version that is made later is another.
    pub(super) async fn is_gone(&self, path: &str, message: &Message) {
        let Some(model) = message.text("name") else { return };
        let one = message.text("version").and_then(|version| version.parse::<u64>().ok());
        let mut gone = self.stages.of_model(model);
        match path {
            "model-versions/delete" => gone.retain(|(version, _)| Some(*version) == one),
            "registered-models/delete" => {}
            _ => return,
        }
        for (version, Known { model_created, created, .. }) in gone {
            let id = VersionId { model: model.to_owned(), model_created, version, created };
            match self.store.gone(&id, self.clock.now()).await {
                Ok(stand) => stand.iter().for_each(|stand| self.stages.learn(stand)),
                Err(error) => warn!(model, version, %error, "that a version is gone is not written down"),
            }
        }
    }
}

fn is_production(stage: &str) -> bool {
    Stage::named(stage) == Some(Stage::Production)
}

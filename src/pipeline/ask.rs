//! Decisions that need a fact of MLflow's: the experiment of a run, the stage that is left, whose files a source names.

use std::sync::Arc;

use crate::authz::{Denied, Permit, PolicySet};
use crate::facts::{FactError, Whose};
use crate::govern::Broken;
use crate::govern::sources::{self, Files, Registered, Source};
use crate::operation::{Demand, Object, Permission, house_stage};
use crate::principal::Principal;
use crate::reject::Rejection;
use crate::route::Operation;
use crate::route::demand::{Pending, Unknown, experiment};
use crate::route::message::Message;
use crate::route::table::Need;

use super::Gate;

impl Gate {
    /// Decides everything that the operation demands, first what the request itself names.
    pub(super) async fn permit(
        &self,
        policy: Arc<PolicySet>,
        who: Arc<Principal>,
        operation: &Operation,
    ) -> Result<Permit, Rejection> {
        let demands = &operation.demands;
        let needs = operation.found.row.needs;
        if needs == [Need::SignedIn] {
            return Ok(self.authz.welcome(policy, who));
        }
        let tells_apart = policy.distinguishes_experiments();
        let (at_once, later): (Vec<_>, Vec<_>) = demands
            .pending
            .iter()
            .partition(|pending| !tells_apart && !matches!(pending.unknown, Unknown::StageLeft(..)));
        let mut everywhere: Vec<Permission> = at_once.iter().map(|pending| pending.permission).collect();
        everywhere.sort_unstable();
        everywhere.dedup();
        let mut first = demands.at_once.clone();
        first.extend(
            everywhere.into_iter().map(|permission| Demand::new(permission, Object::EveryExperiment)),
        );
        let (same_policy, same_who) = (Arc::clone(&policy), Arc::clone(&who));
        let decided = if first.is_empty() {
            self.authz.decide(policy, who, self.found_out(later).await?)
        } else {
            let permit = self.authz.decide(policy, who, first)?;
            permit.and(self.found_out(later).await?)
        };
        decided.map_err(|found| self.untold(same_policy, same_who, found))
    }

    /// A refusal about an experiment that was found out is told as one about a run that MLflow does not have: else whoever
    /// may ask could learn which runs there are, and where.
    fn untold(&self, policy: Arc<PolicySet>, who: Arc<Principal>, found: Denied) -> Rejection {
        let Some(Demand { permission, object: Object::Experiment(_) }) = found.demand() else {
            return found.into();
        };
        let anywhere = Demand::new(*permission, Object::EveryExperiment);
        match self.authz.decide(policy, who, vec![anywhere]) {
            Err(shown) => Rejection::Untold { shown, found: Box::new(found) },
            Ok(_) => found.into(),
        }
    }

    async fn found_out(&self, pending: Vec<&Pending>) -> Result<Vec<Demand>, FactError> {
        let mut demands = Vec::new();
        for Pending { permission, unknown } in pending {
            let object = match unknown {
                Unknown::Run(id) => self.experiment_of(Whose::Run(id)).await?,
                Unknown::LoggedModel(id) => self.experiment_of(Whose::LoggedModel(id)).await?,
                Unknown::Trace(id) => self.experiment_of(Whose::Trace(id)).await?,
                Unknown::StageLeft(model, version) => {
                    match self.facts.stage(&self.mlflow, model, version).await? {
                        Some(stage) => {
                            Object::Stage(model.as_str().into(), house_stage(&stage).unwrap_or(&stage).into())
                        }
                        None => continue,
                    }
                }
            };
            let demand = Demand::new(*permission, object);
            if !demands.contains(&demand) {
                demands.push(demand);
            }
        }
        Ok(demands)
    }

    /// What MLflow does not have is no experiment's: only who may do it everywhere hears MLflow say so.
    async fn experiment_of(&self, whose: Whose<'_>) -> Result<Object, FactError> {
        let id = self.facts.experiment(&self.mlflow, &whose).await?;
        Ok(id.as_deref().map_or(Object::EveryExperiment, experiment))
    }

    /// Whether the caller may register the files that a new version's source names.
    pub(super) async fn source(&self, permit: Permit, message: &Message) -> Result<Permit, Rejection> {
        match sources::read(message)? {
            Source::Prompt => match message.text("name") {
                Some(name) if self.facts.is_prompt(&self.mlflow, name).await? == Some(false) => {
                    Err(Broken::NoPrompt.into())
                }
                _ => Ok(permit),
            },
            Source::Version(model) => {
                let demand = Demand::new(Permission::ModelRead, Object::Model(model.into()));
                permit.and(vec![demand]).map_err(|_| Broken::SourceNotReadable.into())
            }
            Source::Run(files) => self.run_files(permit, files).await,
            Source::LoggedModel(files) => self.logged_model_files(permit, message, files).await,
            Source::Place(place) => self.place(permit, message, &place).await,
        }
    }

    async fn run_files(&self, permit: Permit, files: Files) -> Result<Permit, Rejection> {
        let run = self.facts.run(&self.mlflow, &files.id).await?.ok_or(Broken::SourceNotReadable)?;
        let permit = self.readable_experiment(permit, &run.experiment)?;
        let id = &files.id;
        let mut registered = self.facts.versions(&self.mlflow, &format!("run_id = '{id}'")).await?;
        registered.extend(
            self.facts.versions(&self.mlflow, &format!("source_path LIKE '%{id}/artifacts%'")).await?,
        );
        may_register(permit, &Source::Run(files), &run.root, &registered)
    }

    /// The versions are looked for by the logged model's id and by its run. What its tag says is heard as well, but anyone
    /// who writes to the experiment may have written it: it can only refuse.
    async fn logged_model_files(
        &self,
        permit: Permit,
        message: &Message,
        files: Files,
    ) -> Result<Permit, Rejection> {
        let model =
            self.facts.logged_model(&self.mlflow, &files.id).await?.ok_or(Broken::SourceNotReadable)?;
        let permit = self.readable_experiment(permit, &model.experiment)?;
        if message.text("run_id").is_some_and(|run| model.run.as_deref() != Some(run)) {
            return Err(Broken::Source("`run_id` is not the run that its logged model came from").into());
        }
        let by_id = format!("source_path LIKE '%{}%'", files.id);
        let mut registered = self.facts.versions(&self.mlflow, &by_id).await?;
        if let Some(run) = model.run.filter(|run| run.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            registered.extend(self.facts.versions(&self.mlflow, &format!("run_id = '{run}'")).await?);
        }
        registered.extend(model.models.into_iter().map(|model| Registered { model, source: None }));
        may_register(permit, &Source::LoggedModel(files), &model.root, &registered)
    }

    /// A place in a store must lie inside the artifact root of the logged model or run that the request names: MLflow takes
    /// `s3:` and unknown schemes with no owner at all (`handlers.py` `_validate_source_model`).
    async fn place(&self, permit: Permit, message: &Message, place: &str) -> Result<Permit, Rejection> {
        let foreign =
            Broken::Source("it lies in none of the run's or logged model's files that the request names");
        if let Some(id) = message.text("model_id") {
            let known = sources::is_logged_model(id);
            let model = if known { self.facts.logged_model(&self.mlflow, id).await? } else { None };
            return match model.and_then(|model| sources::below_root(place, &model.root)) {
                Some(path) => {
                    self.logged_model_files(permit, message, Files { id: id.to_owned(), path }).await
                }
                None => Err(foreign.into()),
            };
        }
        if let Some(id) = message.text("run_id").filter(|id| sources::is_id(id)) {
            let run = self.facts.run(&self.mlflow, id).await?;
            if let Some(path) = run.and_then(|run| sources::below_root(place, &run.root)) {
                return self.run_files(permit, Files { id: id.to_owned(), path }).await;
            }
        }
        Err(foreign.into())
    }

    fn readable_experiment(&self, permit: Permit, id: &str) -> Result<Permit, Rejection> {
        let demand = Demand::new(Permission::TrackingRead, experiment(id));
        permit.and(vec![demand]).map_err(|_| Broken::SourceNotReadable.into())
    }
}

fn may_register(
    permit: Permit,
    wanted: &Source,
    root: &str,
    registered: &[Registered],
) -> Result<Permit, Rejection> {
    let readable = |model: &str| permit.covers(Permission::ModelRead, &Object::Model(model.into()));
    sources::may_register(wanted, root, registered, readable)?;
    Ok(permit)
}

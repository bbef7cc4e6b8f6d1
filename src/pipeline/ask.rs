//! Decisions that need a fact of MLflow's: the experiment of a run, the stage that is left, whose files a source names.

use std::sync::Arc;

use crate::authz::{Denied, Permit, PolicySet};
use crate::facts::FactError;
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
        let mut first = demands.at_once.clone();
        for pending in at_once {
            let demand = Demand::new(pending.permission, Object::EveryExperiment);
            if !first.contains(&demand) {
                first.push(demand);
            }
        }
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
                Unknown::Run(id) => of(self.facts.experiment_of_run(&self.mlflow, id).await?.as_deref()),
                Unknown::LoggedModel(id) => {
                    of(self.facts.experiment_of_logged_model(&self.mlflow, id).await?.as_deref())
                }
                Unknown::Trace(id) => of(self.facts.experiment_of_trace(&self.mlflow, id).await?.as_deref()),
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

    /// Whether the caller may register the files that a new version's source names.
    pub(super) async fn source(&self, permit: Permit, message: &Message) -> Result<Permit, Rejection> {
        match sources::read(message)? {
            Source::Prompt => Ok(permit),
            Source::Version(model) => {
                let demand = Demand::new(Permission::ModelRead, Object::Model(model.into()));
                permit.and(vec![demand]).map_err(|_| Broken::SourceNotReadable.into())
            }
            Source::Run(files) => self.run_files(permit, files).await,
            Source::LoggedModel(files) => self.logged_model_files(permit, files).await,
            Source::Place(place) => self.place(permit, message, &place).await,
        }
    }

    async fn run_files(&self, permit: Permit, files: Files) -> Result<Permit, Rejection> {
        let run = self.facts.run(&self.mlflow, &files.id).await?.ok_or(Broken::SourceNotReadable)?;
        let permit = self.readable_experiment(permit, &run.experiment)?;
        let registered = self.registered(&files.id, Some(&files.id)).await?;
        may_register(permit, &Source::Run(files), &registered)
    }

    async fn logged_model_files(&self, permit: Permit, files: Files) -> Result<Permit, Rejection> {
        let model =
            self.facts.logged_model(&self.mlflow, &files.id).await?.ok_or(Broken::SourceNotReadable)?;
        let permit = self.readable_experiment(permit, &model.experiment)?;
        let registered = self.registered(&files.id, model.run.as_deref()).await?;
        may_register(permit, &Source::LoggedModel(files), &registered)
    }

    /// Every version whose source names `id`, or that came from `run`. MLflow's tag `mlflow.modelVersions` is not asked:
    /// whoever may write the logged model may write it.
    async fn registered(&self, id: &str, run: Option<&str>) -> Result<Vec<Registered>, FactError> {
        let mut found = self.facts.versions(&self.mlflow, &format!("source_path LIKE '%{id}%'")).await?;
        if let Some(run) = run.filter(|run| sources::is_id(run)) {
            found.extend(self.facts.versions(&self.mlflow, &format!("run_id = '{run}'")).await?);
        }
        Ok(found)
    }

    /// A place in a store must lie inside the artifact root of the run or logged model that the request names: MLflow takes
    /// `s3:` and unknown schemes with no owner at all (`handlers.py` `_validate_source_model`).
    async fn place(&self, permit: Permit, message: &Message, place: &str) -> Result<Permit, Rejection> {
        let foreign =
            Broken::Source("it lies in none of the run's or logged model's files that the request names");
        if let Some(id) = message.text("model_id").filter(|id| sources::is_logged_model(id)) {
            let model = self.facts.logged_model(&self.mlflow, id).await?;
            if let Some(path) = model.and_then(|model| sources::below_root(place, &model.root)) {
                return self.logged_model_files(permit, Files { id: id.to_owned(), path }).await;
            }
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

fn may_register(permit: Permit, wanted: &Source, registered: &[Registered]) -> Result<Permit, Rejection> {
    let readable = |model: &str| permit.covers(Permission::ModelRead, &Object::Model(model.into()));
    sources::may_register(wanted, registered, readable)?;
    Ok(permit)
}

/// A run that MLflow does not have is no experiment's: only who may do it everywhere hears MLflow say so.
fn of(id: Option<&str>) -> Object {
    id.map_or(Object::EveryExperiment, experiment)
}

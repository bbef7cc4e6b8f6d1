//! Decisions that need a fact of MLflow's: the experiment of a run, the stage that is left, whose files a source names.

use std::sync::Arc;

use crate::authz::{Denied, Permit, PolicySet};
use crate::facts::{FactError, Held, Holder, Whose};
use crate::govern::Broken;
use crate::govern::sources::{self, Files, Source};
use crate::operation::{Demand, Object, Permission};
use crate::ownership::{Holding, PATIENCE, Wanted};
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
        holding: &mut Holding,
    ) -> Result<Permit, Rejection> {
        let demands = &operation.demands;
        let needs = operation.found.row.needs;
        if needs == [Need::SignedIn] {
            return Ok(self.authz.welcome(policy, who));
        }
        let tells_apart = policy.distinguishes_experiments();
        let (files, pending): (Vec<_>, Vec<_>) =
            demands.pending.iter().partition(|pending| matches!(pending.unknown, Unknown::Files(..)));
        let (at_once, later): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .partition(|pending| !tells_apart && !matches!(pending.unknown, Unknown::StageLeft(..)));
        let mut everywhere: Vec<Permission> = at_once.iter().map(|pending| pending.permission).collect();
        everywhere.sort_unstable();
        everywhere.dedup();
        let mut first = demands.at_once.clone();
        first.extend(
            everywhere.into_iter().map(|permission| Demand::new(permission, Object::EveryExperiment)),
        );
        let (same_policy, same_who) = (Arc::clone(&policy), Arc::clone(&who));
        let decided = match (first.is_empty(), later.is_empty(), files.is_empty()) {
            (true, true, false) => Ok(self.authz.welcome(policy, who)),
            (true, _, _) => self.authz.decide(policy, who, self.found_out(later).await?),
            (false, _, _) => self.authz.decide(policy, who, first)?.and(self.found_out(later).await?),
        };
        let mut permit = decided.map_err(|found| self.untold(same_policy, same_who, found))?;
        for Pending { permission, unknown } in files {
            if let Unknown::Files(address, deed) = unknown {
                permit = self.files(permit, *permission, address, *deed, holding).await?;
            }
        }
        Ok(permit)
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
                    match self.facts.version(&self.mlflow, model, version).await? {
                        Some(found) => {
                            let stage = self.where_stands(model, version, &found);
                            Object::Stage(model.as_str().into(), stage.as_str().into())
                        }
                        None => continue,
                    }
                }
                Unknown::Files(..) => continue,
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

    /// Whether the caller may register the files that a new version's source names. Nobody changes them meanwhile.
    pub(super) async fn source(
        &self,
        permit: Permit,
        message: &Message,
        holding: &mut Holding,
    ) -> Result<Permit, Rejection> {
        match sources::read(message)? {
            Source::Prompt => match message.text("name") {
                Some(name) if self.facts.is_prompt(&self.mlflow, name).await? == Some(false) => {
                    Err(Broken::NoPrompt.into())
                }
                _ => Ok(permit),
            },
            Source::Version(model) => {
                let demand = Demand::new(Permission::ModelRead, Object::Model(model.into()));
                permit.and(vec![demand]).map_err(|found| Rejection::HiddenSource(Box::new(found)))
            }
            Source::Run(files) => self.run_files(permit, files, holding).await,
            Source::LoggedModel(files) => self.logged_model_files(permit, message, files, holding).await,
            Source::Place(place) => self.place(permit, message, &place, holding).await,
        }
    }

    async fn run_files(
        &self,
        permit: Permit,
        files: Files,
        holding: &mut Holding,
    ) -> Result<Permit, Rejection> {
        let (permit, wanted) = self.source_of(permit, Holder::Run(files.id), &files.path, holding).await?;
        self.may_register(&permit, &wanted)?;
        for model in self.ownership.by_another_name(&self.facts, &self.mlflow, &wanted).await? {
            self.may_register(&permit, &model)?;
        }
        Ok(permit)
    }

    async fn logged_model_files(
        &self,
        permit: Permit,
        message: &Message,
        files: Files,
        holding: &mut Holding,
    ) -> Result<Permit, Rejection> {
        let holder = Holder::LoggedModel(files.id);
        let (permit, wanted) = self.source_of(permit, holder, &files.path, holding).await?;
        if message.text("run_id").is_some_and(|run| wanted.run.as_deref() != Some(run)) {
            return Err(Broken::Source("`run_id` is not the run that its logged model came from").into());
        }
        self.may_register(&permit, &wanted)?;
        Ok(permit)
    }

    /// The files of a source in an experiment that the caller may read. Behind their doors the caller is alone, and
    /// whatever was registered of them before is known.
    async fn source_of(
        &self,
        permit: Permit,
        holder: Holder,
        path: &str,
        holding: &mut Holding,
    ) -> Result<(Permit, Wanted), Rejection> {
        let held = self.facts.held(&self.mlflow, &holder).await?.ok_or(Broken::SourceNotReadable)?;
        let permit = Self::readable_experiment(permit, &held)?;
        let (Holder::Run(id) | Holder::LoggedModel(id)) = &holder;
        *holding = Holding::Alone(self.ownership.doors.have_alone(&[id], PATIENCE).await);
        self.ownership.catch_up(&self.facts, &self.mlflow).await?;
        Ok((permit, Wanted::of(holder, &held, path)))
    }

    /// Files that no version has are their experiment's, which has been decided. Of files that versions have, one version
    /// with all of them must be readable.
    fn may_register(&self, permit: &Permit, wanted: &Wanted) -> Result<(), Rejection> {
        let registered = self.ownership.known(wanted);
        if registered.is_empty() {
            return Ok(());
        }
        let mut refused = Rejection::from(Broken::SourceNotReadable);
        for overlap in registered.iter().filter(|overlap| overlap.zone.of_all) {
            let model = Object::Model((&*overlap.registration.model).into());
            match permit.also(&[Demand::new(Permission::ModelRead, model)]) {
                Ok(()) => return Ok(()),
                Err(found) => refused = Rejection::HiddenSource(Box::new(found)),
            }
        }
        Err(refused)
    }

    /// A place in a store must lie inside the artifact root of the logged model or run that the request names, or where the
    /// house allows it: MLflow takes `s3:` and unknown schemes with no owner at all (`handlers.py` `_validate_source_model`).
    async fn place(
        &self,
        permit: Permit,
        message: &Message,
        place: &str,
        holding: &mut Holding,
    ) -> Result<Permit, Rejection> {
        let foreign =
            Broken::Source("it lies in none of the run's or logged model's files that the request names");
        if let Some(id) = message.text("model_id") {
            let holder = sources::is_logged_model(id).then(|| Holder::LoggedModel(id.to_owned()));
            return match self.path_below(place, holder).await? {
                Some(path) => {
                    let files = Files { id: id.to_owned(), path };
                    self.logged_model_files(permit, message, files, holding).await
                }
                None => Err(foreign.into()),
            };
        }
        if let Some(id) = message.text("run_id").filter(|id| sources::is_id(id))
            && let Some(path) = self.path_below(place, Some(Holder::Run(id.to_owned()))).await?
        {
            return self.run_files(permit, Files { id: id.to_owned(), path }, holding).await;
        }
        if !permit.rules().sources.iter().any(|prefix| place.starts_with(prefix.as_str())) {
            return Err(foreign.into());
        }
        let root = sources::plain(place);
        *holding = Holding::Alone(self.ownership.doors.have_alone(&[&root], PATIENCE).await);
        self.ownership.catch_up(&self.facts, &self.mlflow).await?;
        self.may_register(
            &permit,
            &Wanted { holder: None, root, run: None, name: None, path: String::new() },
        )?;
        Ok(permit)
    }

    async fn path_below(&self, place: &str, holder: Option<Holder>) -> Result<Option<String>, FactError> {
        let Some(holder) = holder else { return Ok(None) };
        let held = self.facts.held(&self.mlflow, &holder).await?;
        Ok(held.and_then(|held| sources::below_root(place, &held.root)))
    }

    fn readable_experiment(permit: Permit, held: &Held) -> Result<Permit, Rejection> {
        let demand = Demand::new(Permission::TrackingRead, experiment(&held.experiment));
        permit.and(vec![demand]).map_err(|found| Rejection::HiddenSource(Box::new(found)))
    }
}

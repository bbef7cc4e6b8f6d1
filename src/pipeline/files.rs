//! Whose files a request is about, and whether the caller may do to them what it does (DESIGN section 7, "Whose files").

use std::time::Duration;

use crate::authz::Permit;
use crate::facts::{FactError, Holder};
use crate::govern::sources::plain;
use crate::operation::{Demand, Object, Permission};
use crate::ownership::{Holding, Overlap, Place, Reach, TRUSTED, Wanted, owners};
use crate::reject::Rejection;
use crate::route::demand::{Address, experiment};
use crate::route::table::Deed;

use super::Gate;

impl Gate {
    /// Decides what is done to files. What is refused here is told in one sentence, whoever they belong to.
    pub(super) async fn files(
        &self,
        permit: Permit,
        permission: Permission,
        address: &Address,
        deed: Deed,
        holding: &mut Holding,
    ) -> Result<Permit, Rejection> {
        let permit = without_asking(permit, permission, deed)?;
        let place = Place::find(&self.facts, &self.mlflow, address).await?;
        if deed.changes() {
            *holding = self.enters(&place, deed).await;
        }
        let user = permit.principal().user.clone();
        let theirs = |experiment_id: Option<&str>| {
            Demand::new(permission, experiment_id.map_or(Object::EveryExperiment, experiment))
        };
        let refused = |found| Rejection::NotTheirs { principal: user.clone(), found: Box::new(found) };
        // What is in an experiment is looked for only for those to whom the experiment is open.
        let permit = match &place {
            Place::Experiment(id) => permit.and(vec![theirs(Some(id))]).map_err(refused)?,
            Place::Held(..) | Place::Loose(..) | Place::Above | Place::Nowhere => permit,
        };
        let admin = || vec![Demand::new(Permission::Admin, Object::Server)];
        let readable = |model: &str| permit.covers(Permission::ModelRead, &Object::Model(model.into()));
        let writable = |model: &str| permit.covers(Permission::ModelWrite, &Object::Model(model.into()));
        let closed = place.clone();
        let demands = match (place, deed) {
            (Place::Held(wanted, id), Deed::Read | Deed::List) | (Place::Loose(wanted, id), Deed::Read) => {
                self.reader(&wanted, readable).await?.unwrap_or_else(|| vec![theirs(id.as_deref())])
            }
            (Place::Held(wanted, id), Deed::Write | Deed::Delete)
            | (Place::Loose(wanted, id), Deed::Write) => {
                let mut demands = vec![theirs(id.as_deref())];
                demands.extend(self.writers(&wanted, false, writable).await?);
                demands
            }
            (Place::Held(wanted, id), Deed::Retire) => {
                let mut demands = vec![theirs(id.as_deref())];
                demands.extend(self.writers(&wanted, false, &writable).await?);
                for also in self.ownership.by_another_name(&self.facts, &self.mlflow, &wanted).await? {
                    demands.extend(self.writers(&also, true, &writable).await?);
                }
                demands
            }
            (Place::Experiment(id), _) => {
                let mut demands = Vec::new();
                self.ownership.catch_up(&self.facts, &self.mlflow).await?;
                for wanted in self.ownership.in_experiment(&self.facts, &self.mlflow, &id).await? {
                    demands.extend(self.writers(&wanted, true, &writable).await?);
                }
                demands
            }
            (Place::Above, _)
            | (Place::Loose(..), Deed::List | Deed::Delete | Deed::Retire | Deed::Restore) => admin(),
            (Place::Held(..) | Place::Nowhere, Deed::Restore) => Vec::new(),
            (Place::Nowhere, _) => vec![theirs(None)],
        };
        let permit = permit.and(demands).map_err(refused)?;
        if deed.changes() {
            self.open_bytes(&permit, &closed, address, deed).await?;
        }
        Ok(permit)
    }

    /// Whoever changes files is known to those who register or close them, from here to the answer.
    async fn enters(&self, place: &Place, deed: Deed) -> Holding {
        let ids = match place {
            Place::Held(wanted, _) => doors(wanted),
            Place::Loose(..) | Place::Above | Place::Experiment(_) | Place::Nowhere => Vec::new(),
        };
        let inside = self.ownership.doors.enter(&ids).await;
        Holding::Inside(inside, self.ownership.underway.begin(reach(place, deed)))
    }

    /// Nobody changes the files of a version that has left `Development`, whatever they may otherwise.
    async fn open_bytes(
        &self,
        permit: &Permit,
        place: &Place,
        address: &Address,
        deed: Deed,
    ) -> Result<(), Rejection> {
        match place {
            Place::Held(wanted, _) => {
                let mut all = vec![wanted.clone()];
                if matches!(deed, Deed::Retire | Deed::Restore) {
                    self.ownership.catch_up(&self.facts, &self.mlflow).await?;
                    all.extend(self.ownership.by_another_name(&self.facts, &self.mlflow, wanted).await?);
                }
                self.none_is_frozen(permit, &all).await
            }
            Place::Loose(wanted, _) if deed == Deed::Write => {
                self.none_is_frozen(permit, std::slice::from_ref(wanted)).await
            }
            Place::Experiment(id) => {
                let all = self.ownership.in_experiment(&self.facts, &self.mlflow, id).await?;
                self.none_is_frozen(permit, &all).await
            }
            Place::Loose(..) | Place::Above => match address {
                Address::Store(path) => {
                    self.none_is_frozen_below(permit, &plain(&format!("mlflow-artifacts:/{path}"))).await
                }
                Address::Run(..) | Address::LoggedModel(..) | Address::Experiment(_) => Ok(()),
            },
            Place::Nowhere => Ok(()),
        }
    }

    /// What reading demands of files that are registered: the model of one version that has them all, one that the caller
    /// may read where there is one. Nothing where no version has them.
    async fn reader(
        &self,
        wanted: &Wanted,
        readable: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Option<Vec<Demand>>, FactError> {
        let demand = |overlap: &Overlap| {
            let model = Object::Model((&*overlap.registration.model).into());
            Some(vec![Demand::new(Permission::ModelRead, model)])
        };
        let (mut caught_up, mut looked_again) = (false, false);
        for _ in 0..ROUNDS {
            let mut registered = self.ownership.known(wanted);
            registered.retain(|overlap| overlap.zone.of_all);
            let mut gone = false;
            for overlap in registered.iter().filter(|overlap| readable(&overlap.registration.model)) {
                if self.stands(overlap, TRUSTED).await? {
                    return Ok(demand(overlap));
                }
                gone = true;
            }
            if !caught_up {
                self.ownership.catch_up(&self.facts, &self.mlflow).await?;
                caught_up = true;
                continue;
            }
            if !looked_again && !registered.is_empty() {
                self.ownership.look_again(&self.facts, &self.mlflow, wanted).await?;
                looked_again = true;
                continue;
            }
            for overlap in &registered {
                if self.stands(overlap, NOW).await? {
                    return Ok(demand(overlap));
                }
                gone = true;
            }
            if !gone {
                return Ok(None);
            }
            caught_up = false;
        }
        Err(FactError::Unsettled)
    }

    /// What changing files demands of their owners: to write to the model of each. MLflow is always asked what is new: an
    /// earlier version than the one that is known may be back.
    async fn writers(
        &self,
        wanted: &Wanted,
        mut caught_up: bool,
        writable: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Vec<Demand>, FactError> {
        let mut looked_again = false;
        for _ in 0..ROUNDS {
            if !caught_up {
                self.ownership.catch_up(&self.facts, &self.mlflow).await?;
                caught_up = true;
            }
            let registered = self.ownership.known(wanted);
            let owners = owners(&registered, wanted);
            if !looked_again && !owners.iter().all(|owner| writable(&owner.model)) {
                self.ownership.look_again(&self.facts, &self.mlflow, wanted).await?;
                looked_again = true;
                continue;
            }
            let mut gone = false;
            let mut demands = Vec::new();
            for owner in owners {
                let trusted = if writable(&owner.model) { TRUSTED } else { NOW };
                gone |= !self.ownership.stands(&self.facts, &self.mlflow, owner, trusted).await?;
                let object = Object::Model((&*owner.model).into());
                demands.push(Demand::new(Permission::ModelWrite, object));
            }
            if !gone {
                return Ok(demands);
            }
            caught_up = false;
        }
        Err(FactError::Unsettled)
    }

    async fn stands(&self, overlap: &Overlap, trusted: Duration) -> Result<bool, FactError> {
        self.ownership.stands(&self.facts, &self.mlflow, &overlap.registration, trusted).await
    }
}

/// Who may not do it to any file is refused before MLflow is asked. What is written must be open by its experiment, too.
fn without_asking(permit: Permit, permission: Permission, deed: Deed) -> Result<Permit, Rejection> {
    let by_model = match deed {
        Deed::Read | Deed::List => permit.covers(Permission::ModelRead, &Object::SomeModel),
        Deed::Write | Deed::Delete | Deed::Retire | Deed::Restore => false,
    };
    if by_model || permit.tells_experiments_apart() || permit.covers(permission, &Object::EveryExperiment) {
        return Ok(permit);
    }
    Ok(permit.and(vec![Demand::new(permission, Object::EveryExperiment)])?)
}

/// So often versions may turn out to be gone while one request is decided.
const ROUNDS: usize = 32;

/// A refusal is never by what MLflow said a while ago.
const NOW: Duration = Duration::ZERO;

/// What a change of files may touch, before it is looked closer.
fn reach(place: &Place, deed: Deed) -> Reach {
    match (place, deed) {
        (Place::Held(wanted, _), _) | (Place::Loose(wanted, _), Deed::Write) => Reach::Files(wanted.clone()),
        (Place::Loose(..) | Place::Above | Place::Experiment(_) | Place::Nowhere, _) => Reach::Anything,
    }
}

/// Behind which doors the files are: a run's registration may be about its logged model's files.
fn doors(wanted: &Wanted) -> Vec<&str> {
    let id = wanted.holder.iter().map(|holder| match holder {
        Holder::Run(id) | Holder::LoggedModel(id) => id.as_str(),
    });
    id.chain(wanted.run.as_deref()).collect()
}

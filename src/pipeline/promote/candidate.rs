//! A version that is to be promoted, as MLflow and the state store know it.

use std::sync::Arc;

use crate::authz::Permit;
use crate::facts::Version;
use crate::govern::tags;
use crate::principal::{ModelAccess, Principal, RoleName, TokenId, UserId};
use crate::reject::Rejection;
use crate::stage::Stage;
use crate::store::{Origin, Person, Stand, VersionId};

use super::super::Gate;
use super::super::rules::STAGE_TAG;

/// The tag that says who made a version.
pub(in super::super) const AUTHOR_TAG: &str = "sekisho.author";

/// A version, and where it stands.
pub(in super::super) struct Candidate {
    /// Which one, of which incarnation of its model.
    pub id: VersionId,
    /// What MLflow says of it.
    pub found: Version,
    /// Where it stands.
    pub stand: Stand,
}

impl Candidate {
    /// Who made it, where that is known.
    pub(super) fn author(&self) -> Option<&str> {
        self.found.tags.get(AUTHOR_TAG).map(String::as_str)
    }

    /// Whether it is a prompt's, and these are not held to the rules of stages.
    pub(super) fn is_free_of_stages(&self, permit: &Permit) -> bool {
        tags::are_a_prompts(&self.found.tags) && !permit.rules().stages.prompts()
    }
}

impl Gate {
    /// A version and where it stands. One that the store does not know is taken in as MLflow shows it.
    pub(in super::super) async fn candidate(
        &self,
        model: &str,
        version: u64,
    ) -> Result<Candidate, Rejection> {
        let missing = || Rejection::NoVersion(model.to_owned(), version);
        let found = self.facts.version(&self.mlflow, model, &version.to_string()).await?;
        let found = found.ok_or_else(missing)?;
        let id = self.version_id(model, version, found.created).await?.ok_or_else(missing)?;
        let stand = match self.store.stands(&id).await? {
            Some(stand) => stand,
            None => {
                let stage = Stage::believed(found.tags.get(STAGE_TAG).map(String::as_str), &found.stage);
                let origin = if stage == Stage::Development { Origin::Registered } else { Origin::Imported };
                self.store.take_in(&id, stage, origin, self.clock.now()).await?
            }
        };
        self.stages.learn(&stand);
        Ok(Candidate { id, found, stand })
    }
}

/// Somebody, as they are kept.
pub(in super::super) fn person(who: &Principal) -> Person {
    Person {
        user: who.user.as_str().to_owned(),
        roles: who.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        models: who.models.entries().map(str::to_owned).collect(),
    }
}

/// Somebody who was kept, to decide again what they may do.
pub(super) fn principal(kept: &Person) -> Option<Arc<Principal>> {
    Some(Arc::new(Principal {
        user: UserId::new(&kept.user)?,
        roles: kept.roles.iter().filter_map(|role| RoleName::new(role)).collect(),
        models: ModelAccess::new(kept.models.iter().map(String::as_str)),
        token: TokenId::new("kept")?,
    }))
}

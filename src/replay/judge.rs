//! Other policies, asked what they would decide.

use std::sync::Arc;

use super::said::{Undecided, Who};
use crate::audit::asked;
use crate::authz::{Authorizer, Denied, Mode, PolicySet, Reason, Settings, Trouble, in_force};
use crate::operation::{Demand, Object};
use crate::principal::{ModelAccess, Principal};

/// Policies, and how they are meant.
#[derive(Debug)]
pub(super) struct Judge {
    authorizer: Authorizer,
    pub(super) policies: Arc<PolicySet>,
}

/// What they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub allowed: bool,
    pub rows: Vec<String>,
    pub why: Option<String>,
}

impl Judge {
    pub(super) fn new(policies: PolicySet, require_model_access: bool) -> Self {
        let (_writer, reader) = in_force(policies);
        let settings = Settings { require_model_access, mode: Mode::Enforce };
        let authorizer = Authorizer::new(reader, settings);
        let policies = authorizer.current();
        Self { authorizer, policies }
    }

    /// Decides for `principal`, who is `who`, what these texts demand.
    pub(super) fn decide(
        &self,
        principal: &Arc<Principal>,
        who: &Who,
        demands: &[String],
    ) -> Result<Verdict, Undecided> {
        if asked::is_cut(demands) {
            return Err(Undecided::Cut);
        }
        let read: Option<Vec<Demand>> = demands.iter().map(|demand| asked::read(demand)).collect();
        let demands = read.ok_or(Undecided::Unreadable)?;
        if !asked::is_digest(&who.access) {
            return self.ask(Arc::clone(principal), demands);
        }
        // Nobody knows which models the token opens. It may not matter.
        let opening = |models: &[&str]| {
            let models = ModelAccess::new(models.iter().copied());
            self.ask(Arc::new(Principal { models, ..Principal::clone(principal) }), demands.clone())
        };
        let (all, none) = (opening(&["*"])?, opening(&[])?);
        if all.allowed == none.allowed { Ok(all) } else { Err(Undecided::Digest) }
    }

    fn ask(&self, principal: Arc<Principal>, demands: Vec<Demand>) -> Result<Verdict, Undecided> {
        match self.authorizer.decide(Arc::clone(&self.policies), principal, demands) {
            Ok(permit) => {
                let rows = permit.rows().iter().map(ToString::to_string).collect();
                Ok(Verdict { allowed: true, rows, why: None })
            }
            Err(denied) => self.refused(&denied),
        }
    }

    fn refused(&self, denied: &Denied) -> Result<Verdict, Undecided> {
        let object = denied.demand().map(|demand| &demand.object);
        // Policies that did not tell experiments apart were asked of all of them, whichever it was about.
        if object == Some(&Object::EveryExperiment) && self.policies.distinguishes_experiments() {
            return Err(Undecided::Experiment);
        }
        let rows = match denied.reason() {
            Reason::Policy(decision) if decision.trouble == Some(Trouble::EngineFailed) => {
                return Err(Undecided::Engine);
            }
            Reason::Policy(decision) => decision.rows.iter().map(ToString::to_string).collect(),
            Reason::ModelAccess | Reason::NothingDemanded => Vec::new(),
        };
        Ok(Verdict { allowed: false, rows, why: Some(denied.to_string()) })
    }
}

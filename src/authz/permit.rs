//! Proof that something was allowed, which goes along with the request.

use std::sync::Arc;

use parking_lot::Mutex;

use super::folder::PolicyVersion;
use super::policy::PolicySet;
use super::rows::RowId;
use super::{Denied, Mode, Settings, needs_no_claim};
use crate::operation::{Demand, Object, Permission};
use crate::principal::Principal;
use crate::rules::Rules;

/// What was demanded and allowed while a request was performed; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Later(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    demands: Vec<Demand>,
    observed: Option<Denied>,
}

impl Later {
    /// All of it, in its order.
    #[must_use]
    pub fn demands(&self) -> Vec<Demand> {
        self.0.lock().demands.clone()
    }

    /// The first of it that would have been refused, were the mode not [`Mode::Observe`].
    #[must_use]
    pub fn observed(&self) -> Option<Denied> {
        self.0.lock().observed.clone()
    }
}

/// Proof that policy and claim allowed these demands to this principal, under one policy version.
///
/// Only this room can make one, and nobody can make a second out of it:
///
/// ```compile_fail,E0451
/// # use std::sync::Arc;
/// # use sekisho::{authz::{Permit, PolicySet, Settings}, principal::Principal};
/// fn forge(principal: Arc<Principal>, settings: Settings, policy: Arc<PolicySet>) -> Permit {
///     Permit { principal, demands: vec![], settings, policy, rows: vec![], observed: None, later: Default::default() }
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn copies<T: Clone>() {}
/// copies::<sekisho::authz::Permit>();
/// ```
#[derive(Debug)]
#[must_use = "a permit that is dropped lets nothing through"]
pub struct Permit {
    pub(super) principal: Arc<Principal>,
    pub(super) demands: Vec<Demand>,
    pub(super) settings: Settings,
    pub(super) policy: Arc<PolicySet>,
    pub(super) rows: Vec<RowId>,
    pub(super) observed: Option<Denied>,
    pub(super) later: Later,
}

impl Permit {
    /// Who was allowed.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Who was allowed and under which policy, the very same that were asked for.
    #[must_use]
    pub fn held(&self) -> (&Arc<Principal>, &Arc<PolicySet>) {
        (&self.principal, &self.policy)
    }

    /// What was allowed.
    #[must_use]
    pub fn demands(&self) -> &[Demand] {
        &self.demands
    }

    /// The version of the policy that allowed it.
    #[must_use]
    pub fn policy(&self) -> &PolicyVersion {
        self.policy.version()
    }

    /// The house rules of the same version.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        self.policy.rules()
    }

    /// The rows that allowed it, each once, in the order of the file.
    #[must_use]
    pub fn rows(&self) -> Vec<RowId> {
        let mut rows = self.rows.clone();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// What would have been refused, were the mode not [`Mode::Observe`].
    #[must_use]
    pub fn observed(&self) -> Option<&Denied> {
        self.observed.as_ref()
    }

    /// Adds demands that were found out later, decided under the same policy.
    ///
    /// # Errors
    /// [`Denied`] for the first demand that is refused; the permit is gone then.
    pub fn and(mut self, more: Vec<Demand>) -> Result<Self, Denied> {
        self.extend(more)?;
        Ok(self)
    }

    /// Whether the same principal also has `permission` on `object` under the same policy: what a list's rows are kept by.
    #[must_use]
    pub fn covers(&self, permission: Permission, object: &Object) -> bool {
        match self.settings.judge(&self.policy, &self.principal, permission, object) {
            Ok(_) => true,
            Err(reason) => self.settings.only_observes(permission, &reason),
        }
    }

    /// What is demanded by [`Permit::also`], from now on too.
    #[must_use]
    pub fn later(&self) -> Later {
        self.later.clone()
    }

    /// Decides further demands for the same principal under the same policy. They are not added, and are told of by
    /// [`Permit::later`].
    ///
    /// # Errors
    /// [`Denied`] for the first demand that is refused.
    pub fn also(&self, demands: &[Demand]) -> Result<(), Denied> {
        let mut observed = None;
        for demand in demands {
            if let Err(reason) =
                self.settings.judge(&self.policy, &self.principal, demand.permission, &demand.object)
            {
                let let_through = self.settings.only_observes(demand.permission, &reason);
                let (principal, policy) = (self.principal.user.clone(), self.policy().clone());
                let denied = Denied { principal, demand: Some(demand.clone()), reason, policy };
                if !let_through {
                    return Err(denied);
                }
                observed.get_or_insert(denied);
            }
        }
        let mut later = self.later.0.lock();
        later.demands.extend_from_slice(demands);
        later.observed = later.observed.take().or(observed);
        Ok(())
    }

    /// Whether the principal also has `permission` on `object`, where the request rests on that: it is told of like
    /// [`Permit::also`], and not like [`Permit::covers`].
    #[must_use]
    pub fn rests_on(&self, permission: Permission, object: Object) -> bool {
        self.also(&[Demand::new(permission, object)]).is_ok()
    }

    /// Whether the same policy allows this to somebody else, as their token was when they were here.
    #[must_use]
    pub fn allows(&self, who: &Principal, permission: Permission, object: &Object) -> bool {
        self.settings.judge(&self.policy, who, permission, object).is_ok()
    }

    /// Whether somebody else has a role, by their token or by the same policy's rows.
    #[must_use]
    pub fn gives_role(&self, who: &Principal, role: &str) -> bool {
        self.policy.has_role(who, role)
    }

    /// Whether the policy speaks of particular experiments, so that what holds for one need not hold for another.
    #[must_use]
    pub fn tells_experiments_apart(&self) -> bool {
        self.policy.distinguishes_experiments()
    }

    /// The only models of which the principal may see any: those that the token names one by one. Nothing where it names
    /// patterns, or where the principal needs no claim.
    #[must_use]
    pub fn named_models(&self) -> Option<Vec<&str>> {
        let bound = self.settings.require_model_access
            && self.settings.mode == Mode::Enforce
            && !needs_no_claim(&self.policy, &self.principal);
        let entries = || self.principal.models.entries();
        (bound && !entries().any(|entry| entry.contains('*'))).then(|| entries().collect())
    }

    pub(super) fn extend(&mut self, demands: Vec<Demand>) -> Result<(), Denied> {
        for demand in demands {
            match self.settings.judge(&self.policy, &self.principal, demand.permission, &demand.object) {
                Ok(decision) => self.rows.extend(decision.rows.iter()),
                Err(reason) => {
                    let observed = self.settings.only_observes(demand.permission, &reason);
                    let (principal, policy) = (self.principal.user.clone(), self.policy().clone());
                    let denied = Denied { principal, demand: Some(demand.clone()), reason, policy };
                    if !observed {
                        return Err(denied);
                    }
                    self.observed.get_or_insert(denied);
                }
            }
            self.demands.push(demand);
        }
        Ok(())
    }
}

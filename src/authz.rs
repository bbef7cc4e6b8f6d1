//! May this caller do this? The only place where a [`Permit`] is made.
//!
//! Policies (`model.conf`, `policy.csv`, `decisions.tsv`) say what a role may do; the token says to which models.
//! Both are needed. House rules lie in the same folder and come with each permit. casbin decides; an index hands it only the rows that can matter, and decisions are remembered.

mod contract;
mod engine;
mod folder;
mod index;
mod links;
mod object;
mod policy;
mod rows;
mod staffing;
pub mod watch;

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch as latest;

pub use folder::PolicyVersion;
pub use object::{NotAnObject, parse_object};
pub use policy::{Decision, PolicySet, Trouble};
pub use rows::{POLICY_FILE, RowId};

use crate::operation::{Demand, Object, Permission};
use crate::principal::{Principal, UserId};
use crate::rules::Rules;

/// Proof that policy and claim allowed these demands to this principal, under one policy version.
///
/// Only this room can make one, and nobody can make a second out of it:
///
/// ```compile_fail,E0451
/// # use std::sync::Arc;
/// # use sekisho::{authz::{Permit, PolicySet, Settings}, principal::Principal};
/// fn forge(principal: Arc<Principal>, settings: Settings, policy: Arc<PolicySet>) -> Permit {
///     Permit { principal, demands: vec![], settings, policy, rows: vec![], observed: None }
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
    principal: Arc<Principal>,
    demands: Vec<Demand>,
    settings: Settings,
    policy: Arc<PolicySet>,
    rows: Vec<RowId>,
    observed: Option<Denied>,
}

impl Permit {
    /// Who was allowed.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
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

    /// Decides further demands for the same principal under the same policy, without adding them.
    ///
    /// # Errors
    /// [`Denied`] for the first demand that is refused.
    pub fn also(&self, demands: &[Demand]) -> Result<(), Denied> {
        for demand in demands {
            if let Err(reason) =
                self.settings.judge(&self.policy, &self.principal, demand.permission, &demand.object)
                && !self.settings.only_observes(demand.permission, &reason)
            {
                let (principal, policy) = (self.principal.user.clone(), self.policy().clone());
                return Err(Denied { principal, demand: Some(demand.clone()), reason, policy });
            }
        }
        Ok(())
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

    fn extend(&mut self, demands: Vec<Demand>) -> Result<(), Denied> {
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

/// A demand that was refused. Its text is the sentence that the caller is shown.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{principal} may not {}: {reason}", Demanded(.demand.as_ref()))]
pub struct Denied {
    principal: UserId,
    demand: Option<Demand>,
    reason: Reason,
    policy: PolicyVersion,
}

impl Denied {
    /// What was refused; nothing if nothing was demanded.
    #[must_use]
    pub fn demand(&self) -> Option<&Demand> {
        self.demand.as_ref()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Under which policy.
    #[must_use]
    pub fn policy(&self) -> &PolicyVersion {
        &self.policy
    }
}

/// Why a demand was refused.
#[derive(Clone, Debug)]
pub enum Reason {
    /// The policies say so, or say nothing.
    Policy(Decision),
    /// The policies allow it; the token does not name the model.
    ModelAccess,
    /// An operation that demands nothing has not been understood.
    NothingDemanded,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(decision) => f.write_str(&decision.why()),
            Self::ModelAccess => f.write_str("the token's model_access does not name it"),
            Self::NothingDemanded => f.write_str("the operation demands no permission"),
        }
    }
}

/// Whether refusals hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Enforce,
    /// What a role could be given is let through, and the permit says what would have been refused.
    Observe,
}

/// How this room is set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether a token must name the models it opens (`auth.require_model_access`).
    pub require_model_access: bool,
    /// Whether refusals hold (`auth.mode`).
    pub mode: Mode,
}

impl Settings {
    fn judge(
        self,
        policy: &PolicySet,
        who: &Principal,
        permission: Permission,
        object: &Object,
    ) -> Result<Decision, Reason> {
        let decision = policy.decide_on(who, permission, object);
        if !decision.allowed {
            return Err(Reason::Policy(decision));
        }
        match object.model() {
            Some(model) if self.require_model_access && !opens(policy, who, model) => {
                Err(Reason::ModelAccess)
            }
            _ => Ok(decision),
        }
    }

    /// Whether a refusal is let through: only one that a policy row or a claim could turn, and never what only an
    /// administrator or a reviewer has.
    fn only_observes(self, permission: Permission, reason: &Reason) -> bool {
        let could_be_given = match reason {
            Reason::Policy(decision) => decision.trouble.is_none(),
            Reason::ModelAccess => true,
            Reason::NothingDemanded => false,
        };
        let closed = matches!(permission, Permission::Admin | Permission::AuditRead);
        self.mode == Mode::Observe && could_be_given && !closed
    }
}

/// Decides.
#[derive(Clone, Debug)]
pub struct Authorizer {
    reader: PolicyReader,
    settings: Settings,
}

impl Authorizer {
    /// Decides by whatever policy `reader` has in force.
    #[must_use]
    pub fn new(reader: PolicyReader, settings: Settings) -> Self {
        Self { reader, settings }
    }

    /// The policy in force. A request takes it once and decides by it throughout.
    #[must_use]
    pub fn current(&self) -> Arc<PolicySet> {
        self.reader.current()
    }

    /// Decides everything that an operation demands.
    ///
    /// # Errors
    /// [`Denied`] for the first demand that is refused, or if there are no demands at all.
    pub fn decide(
        &self,
        policy: Arc<PolicySet>,
        who: Arc<Principal>,
        demands: Vec<Demand>,
    ) -> Result<Permit, Denied> {
        if demands.is_empty() {
            let (principal, policy) = (who.user.clone(), policy.version().clone());
            return Err(Denied { principal, demand: None, reason: Reason::NothingDemanded, policy });
        }
        let mut permit = self.welcome(policy, who);
        permit.extend(demands)?;
        Ok(permit)
    }

    /// A permit for what any verified principal may do: nothing is demanded.
    pub fn welcome(&self, policy: Arc<PolicySet>, who: Arc<Principal>) -> Permit {
        Permit {
            principal: who,
            demands: Vec::new(),
            settings: self.settings,
            policy,
            rows: Vec::new(),
            observed: None,
        }
    }
}

/// Puts policies in force. Only who watches the folder holds it.
#[derive(Debug)]
pub struct PolicyWriter(latest::Sender<Arc<PolicySet>>);

impl PolicyWriter {
    /// From now on new requests decide by `next`; those under way keep what they took.
    pub fn put_in_force(&self, next: PolicySet) {
        self.0.send_replace(Arc::new(next));
    }
}

/// Sees the policy in force, and cannot change it.
#[derive(Clone, Debug)]
pub struct PolicyReader(latest::Receiver<Arc<PolicySet>>);

impl PolicyReader {
    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<PolicySet> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits for the next policy; nothing when there can be none any more.
    pub async fn changed(&mut self) -> Option<Arc<PolicySet>> {
        self.0.changed().await.ok()?;
        Some(Arc::clone(&self.0.borrow_and_update()))
    }
}

/// Puts the first policy in force; there is never a time without one.
#[must_use]
pub fn in_force(first: PolicySet) -> (PolicyWriter, PolicyReader) {
    let (writer, reader) = latest::channel(Arc::new(first));
    (PolicyWriter(writer), PolicyReader(reader))
}

/// Whether the token opens the model, or the caller needs no claim (DESIGN section 5).
fn opens(policy: &PolicySet, who: &Principal, model: &str) -> bool {
    who.models.covers(model) || needs_no_claim(policy, who)
}

fn needs_no_claim(policy: &PolicySet, who: &Principal) -> bool {
    policy.has_role(who, "admin") || policy.has_role(who, "auditor")
}

struct Demanded<'a>(Option<&'a Demand>);

impl fmt::Display for Demanded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(demand) => demand.fmt(f),
            None => f.write_str("do this"),
        }
    }
}

#[cfg(test)]
mod tests;

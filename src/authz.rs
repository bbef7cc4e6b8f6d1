//! May this caller do this? The only place where a [`Permit`] is made.
//!
//! Policies (`model.conf`, `policy.csv`, `decisions.tsv`) say what a role may do; the token says to which models.
//! Both are needed. House rules lie in the same folder and come with each permit. casbin decides; an index hands it only the rows that can matter, and decisions are remembered.

mod access;
mod contract;
mod engine;
mod folder;
mod index;
pub mod kept;
mod links;
mod object;
mod permit;
mod policy;
mod rights;
mod rows;
mod staffing;
pub mod watch;

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch as latest;

pub use access::{Access, Otherwise, access};
pub use folder::PolicyVersion;
pub use object::{NotAnObject, parse_object, told};
pub use permit::{Later, Permit};
pub use policy::{Decision, PolicySet, Trouble};
pub use rights::Rights;
pub use rows::{POLICY_FILE, RowId};

use crate::operation::{Demand, Object, Permission};
use crate::principal::{Principal, UserId};

/// A demand that was refused. Its text is the sentence that the caller is shown.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{reason}", refusal_of(.principal.as_str(), Demanded(.demand.as_ref())))]
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
            later: Later::default(),
        }
    }
}

/// Puts policies in force. Only who watches the folder holds it.
#[derive(Debug)]
pub struct PolicyWriter(latest::Sender<Arc<PolicySet>>);

impl PolicyWriter {
    /// From now on new requests decide by `next`; those under way keep what they took.
    pub fn put_in_force(&self, next: impl Into<Arc<PolicySet>>) {
        self.0.send_replace(next.into());
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

/// The roles that need no claim.
const CLAIMLESS: [&str; 2] = ["admin", "auditor"];

fn needs_no_claim(policy: &PolicySet, who: &Principal) -> bool {
    CLAIMLESS.iter().any(|name| policy.has_role(who, name))
}

/// How the sentence of a refusal by the policies begins: who reads the record tells it from others by that.
pub fn refusal_of(principal: &str, demanded: impl fmt::Display) -> String {
    format!("{principal} may not {demanded}: ")
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

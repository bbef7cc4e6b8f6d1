//! What a line says of a decision, and why it may not be enough to make it again.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use crate::audit::asked;
use crate::authz::refusal_of;
use crate::principal::{ModelAccess, Principal, RoleName, TokenId, UserId};
use crate::record::line::{Decision, Kind, Outcome};
use crate::record::writer::LOST;

/// As much of a line as decisions need.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub time: Timestamp,
    pub kind: Kind,
    #[serde(default)]
    pub principal: Option<String>,
    #[serde(default)]
    pub roles: Vec<String>,
    #[serde(default)]
    pub access: Vec<String>,
    #[serde(default)]
    pub operation: Option<String>,
    #[serde(default)]
    pub object: Option<String>,
    #[serde(default)]
    pub demands: Vec<String>,
    #[serde(default)]
    pub decision: Option<Decision>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub policy: Option<String>,
    #[serde(default)]
    pub outcome: Option<Outcome>,
    #[serde(default)]
    pub count: Option<u64>,
}

/// Who asked, as the record tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub principal: String,
    pub roles: Vec<String>,
    pub access: Vec<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Was {
    /// The policies allowed it.
    Allowed,
    /// They refused it.
    Refused,
    /// They refused it, or something else that was asked with it, and it was let through (`auth.mode`).
    Observed,
    /// They allowed it, and something else refused or ended it.
    Stopped,
}

/// What was decided, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Came {
    pub was: Was,
    /// Of writes that began.
    pub outcome: Option<Outcome>,
}

impl Was {
    /// The word that is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Observed => "observed",
            Self::Stopped => "stopped",
        }
    }
}

/// Why a decision cannot be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Undecided {
    /// Of sekisho itself.
    Own,
    /// Lines that could not be written: reads, refusals and what became of writes.
    Lost,
    /// Lines of which there is no file.
    Missing,
    /// Of a write that is about to be done, whose outcome is decided.
    Intent,
    /// Nobody was known.
    Nobody,
    /// The policies were not asked.
    Unasked,
    /// They allowed it, and something else refused or ended it.
    Elsewhere,
    /// Nothing was demanded.
    NothingDemanded,
    /// A counted read without its object.
    LeftOut,
    /// There were more demands than are told.
    Cut,
    /// The token's models are told by their digest.
    Digest,
    /// Experiments were not told apart, and are now.
    Experiment,
    /// Not a line, or in words that are not known.
    Unreadable,
    /// casbin failed.
    Engine,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "lines of sekisho itself",
            Self::Lost => "lines that could not be written",
            Self::Missing => "lines of which there is no file",
            Self::Intent => "lines of writes that have another one with their outcome",
            Self::Nobody => "nobody was known",
            Self::Unasked => "refused before the policies were asked",
            Self::Elsewhere => "the policies allowed it, and something else refused or ended it",
            Self::NothingDemanded => "nothing was demanded",
            Self::LeftOut => "counted reads whose object was left out",
            Self::Cut => "more was demanded than a line tells",
            Self::Digest => "the token's models are told by their digest",
            Self::Experiment => "which experiment it was about is not told",
            Self::Unreadable => "not in words that are known",
            Self::Engine => "the policy engine failed",
        })
    }
}

impl Undecided {
    /// The word that programs read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Lost => "lost",
            Self::Missing => "missing",
            Self::Intent => "intent",
            Self::Nobody => "nobody",
            Self::Unasked => "unasked",
            Self::Elsewhere => "elsewhere",
            Self::NothingDemanded => "nothing_demanded",
            Self::LeftOut => "left_out",
            Self::Cut => "cut",
            Self::Digest => "digest",
            Self::Experiment => "experiment",
            Self::Unreadable => "unreadable",
            Self::Engine => "engine",
        }
    }

    /// Whether no decision is missing for it.
    #[must_use]
    pub const fn is_no_decision(self) -> bool {
        match self {
            Self::Own
            | Self::Intent
            | Self::Nobody
            | Self::Unasked
            | Self::Elsewhere
            | Self::NothingDemanded => true,
            Self::Lost
            | Self::Missing
            | Self::LeftOut
            | Self::Cut
            | Self::Digest
            | Self::Experiment
            | Self::Unreadable
            | Self::Engine => false,
        }
    }
}

impl Said {
    /// For how many it stands.
    pub(super) fn times(&self) -> u64 {
        let counts = self.kind == Kind::Reads || self.operation.as_deref() == Some(LOST);
        self.count.filter(|_| counts).unwrap_or(1)
    }

    /// Who asked for what, and what was decided.
    pub(super) fn sort(self) -> Result<(Who, Vec<String>, Came), Undecided> {
        match self.kind {
            Kind::System if self.operation.as_deref() == Some(LOST) => return Err(Undecided::Lost),
            Kind::System | Kind::Head => return Err(Undecided::Own),
            Kind::Intent => return Err(Undecided::Intent),
            // It has what was demanded on the way, too.
            Kind::Read | Kind::Reads | Kind::Refusal | Kind::Outcome => {}
        }
        let principal = self.principal.ok_or(Undecided::Nobody)?;
        if self.policy.is_none() {
            return Err(Undecided::Unasked);
        }
        let reason = self.reason.as_deref().unwrap_or_default();
        let Some(operation) = self.operation else { return Err(Undecided::NothingDemanded) };
        let Some(object) = self.object else { return Err(Undecided::LeftOut) };
        let first = format!("{operation} {object}");
        let begins = |demanded: &str| reason.starts_with(&refusal_of(&principal, demanded));
        let by_policies = || match refusal_of(&principal, &operation).strip_suffix(": ") {
            // What is too long for a line is whole in the sentence.
            Some(begin) if asked::is_told_by_digest(&object) => {
                reason.strip_prefix(begin).is_some_and(|rest| rest.starts_with(' '))
            }
            // Sentences tell an object by its own text, also where lines must not (`authz::told`).
            Some(_) | None => begins(&first) || begins(&first.replacen("::", ":", 1)),
        };
        let was = match self.decision {
            Some(Decision::Deny) if by_policies() => Was::Refused,
            Some(Decision::Deny) => Was::Stopped,
            // A write whose caller went before it began.
            Some(Decision::Allow) if self.kind == Kind::Refusal => Was::Stopped,
            Some(Decision::Allow) if asked::is_observed(reason) => Was::Observed,
            Some(Decision::Allow) => Was::Allowed,
            None => return Err(Undecided::Unreadable),
        };
        let mut demands = Vec::with_capacity(1 + self.demands.len());
        demands.push(first);
        demands.extend(self.demands);
        let who = Who { principal, roles: self.roles, access: self.access };
        Ok((who, demands, Came { was, outcome: self.outcome }))
    }
}

impl Who {
    /// The same, as who asks the policies; nothing if that could be nobody.
    pub(super) fn principal(&self) -> Option<Principal> {
        Some(Principal {
            user: UserId::new(&self.principal)?,
            roles: self.roles.iter().map(|role| RoleName::new(role)).collect::<Option<_>>()?,
            models: ModelAccess::new(self.access.iter().map(String::as_str)),
            token: TokenId::new("replay")?,
        })
    }
}

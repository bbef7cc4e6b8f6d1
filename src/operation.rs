//! What a request wants to do, in the words that policy rows use.

use std::fmt;

/// What a role may be given (DESIGN section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// See models, versions, tags, lists.
    MetadataRead,
    /// Change descriptions and tags.
    MetadataWrite,
    /// Download a version's artifacts.
    ModelRead,
    /// Create or rename a model, create a version.
    ModelWrite,
    /// Delete a model or a version.
    ModelDelete,
    /// Set or delete an alias.
    ModelDeploy,
    /// Ask for a stage transition, or make one.
    StageTransition,
    /// Approve or reject one.
    StageApprove,
    /// Report test results.
    EvidenceWrite,
    /// See experiments, runs, traces, logged models and their files.
    TrackingRead,
    /// Create and change them.
    TrackingWrite,
    /// Delete them.
    TrackingDelete,
    /// Users, webhooks, gateway, policies, tokens, whatever runs code or fetches addresses.
    Admin,
    /// Read the record.
    AuditRead,
}

impl Permission {
    /// Every permission, in the order of DESIGN's table.
    pub const ALL: [Self; 14] = [
        Self::MetadataRead,
        Self::MetadataWrite,
        Self::ModelRead,
        Self::ModelWrite,
        Self::ModelDelete,
        Self::ModelDeploy,
        Self::StageTransition,
        Self::StageApprove,
        Self::EvidenceWrite,
        Self::TrackingRead,
        Self::TrackingWrite,
        Self::TrackingDelete,
        Self::Admin,
        Self::AuditRead,
    ];

    /// The word that policy rows, answers and records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetadataRead => "metadata_read",
            Self::MetadataWrite => "metadata_write",
            Self::ModelRead => "model_read",
            Self::ModelWrite => "model_write",
            Self::ModelDelete => "model_delete",
            Self::ModelDeploy => "model_deploy",
            Self::StageTransition => "stage_transition",
            Self::StageApprove => "stage_approve",
            Self::EvidenceWrite => "evidence_write",
            Self::TrackingRead => "tracking_read",
            Self::TrackingWrite => "tracking_write",
            Self::TrackingDelete => "tracking_delete",
            Self::Admin => "admin",
            Self::AuditRead => "audit_read",
        }
    }

    /// The permission of that word; case counts.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == word)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operation acts on, as a policy row's object names it.
///
/// MLflow forbids `/` and `:` in model names (`utils/validation.py`), which keeps these texts unambiguous.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// `model:<name>`
    Model(Box<str>),
    /// `model:<name>/stage/<Stage>`
    Stage(Box<str>, Box<str>),
    /// `model:<name>/alias/<alias>`
    Alias(Box<str>, Box<str>),
    /// `model:<name>/tag/<key>`
    Tag(Box<str>, Box<str>),
    /// `experiment:<id>`
    Experiment(Box<str>),
    /// `model:?`: a list, whose rows are decided one by one; allowed if any row allows the permission on any model.
    SomeModel,
    /// `experiment:?`: an experiment that could not be told, or many; allowed only if it is allowed on all of them:
    /// an allowing row must say `experiment:*`, and a denying row for any experiment counts.
    EveryExperiment,
    /// `server`
    Server,
}

impl Object {
    /// The model that the object is or belongs to.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Model(name) | Self::Stage(name, _) | Self::Alias(name, _) | Self::Tag(name, _) => {
                Some(name)
            }
            Self::Experiment(_) | Self::SomeModel | Self::EveryExperiment | Self::Server => None,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(name) => write!(f, "model:{name}"),
            Self::Stage(name, stage) => write!(f, "model:{name}/stage/{stage}"),
            Self::Alias(name, alias) => write!(f, "model:{name}/alias/{alias}"),
            Self::Tag(name, key) => write!(f, "model:{name}/tag/{key}"),
            Self::Experiment(id) => write!(f, "experiment:{id}"),
            Self::SomeModel => f.write_str("model:?"),
            Self::EveryExperiment => f.write_str("experiment:?"),
            Self::Server => f.write_str("server"),
        }
    }
}

/// Whether an operation changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It changes nothing, whatever its method.
    Read,
    /// It changes something, or cannot be told not to.
    Write,
}

impl Access {
    /// `read` or `write`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// One permission on one object. An operation is allowed when all its demands are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// What is asked for.
    pub permission: Permission,
    /// On what.
    pub object: Object,
}

impl Demand {
    /// `permission` on `object`.
    #[must_use]
    pub fn new(permission: Permission, object: Object) -> Self {
        Self { permission, object }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.permission, self.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_permissions_are_one_to_one() {
        for permission in Permission::ALL {
            assert_eq!(Permission::from_word(permission.as_str()), Some(permission));
        }
        assert_eq!(Permission::from_word("Admin"), None);
    }
}

//! House rules on a request that the policy allows: what a rule looks at, and its sentence when it refuses.
//!
//! Rules do no I/O. What a rule must know of MLflow is found out by the pipeline and handed in.

pub mod mentions;
pub mod sizes;
pub mod sources;
pub mod tags;

use crate::stage::Stage;

/// A rule that a request breaks. Display is the sentence for the caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Broken {
    /// A tag that sekisho alone writes.
    #[error("the tag `{0}` is written by sekisho alone")]
    ProtectedTag(String),
    /// The tag that makes a registered model a prompt.
    #[error("the tag `mlflow.prompt.is_prompt` is set when a prompt is created and never changed")]
    PromptTag,
    /// A prompt's version under a registered model that is no prompt: MLflow's search would hide all its versions.
    #[error("a version of a registered model that is no prompt cannot be a prompt's")]
    NoPrompt,
    /// A tag that MLflow keeps up to date by itself.
    #[error("the tag `{0}` is kept by MLflow itself")]
    KeptByMlflow(String),
    /// A search by what the answer would not show.
    #[error("versions and prompts in tags cannot be searched for")]
    HiddenTag,
    /// An address that would open files to whoever holds it, past every rule.
    #[error("addresses that open files without sekisho are not handed out here (`artifacts.presigned`)")]
    Presigned,
    /// The name that a registered model is to have.
    #[error("the name is against the naming rules: {0}")]
    Name(String),
    /// A name that people would take for another's. Says nothing about which.
    #[error("a registered model exists whose name looks like `{0}`: choose one that nobody takes for it")]
    LookAlike(String),
    /// A version does not say of itself what it must.
    #[error("the version does not say all that it must: {0}")]
    Metadata(String),
    /// A transition, an alias or a deletion that the rules of stages do not let pass yet.
    #[error("{0}")]
    Stage(String),
    /// A version's files are not what they must be.
    #[error("the version cannot be promoted: {0}")]
    Bytes(String),
    /// What a test said of a version that is not there yet.
    #[error(
        "`{0}` cannot come with a new version, for a test's result is about bytes: set the tag when it is made"
    )]
    EvidenceTooEarly(String),
    /// Who asked for a transition may make it no more.
    #[error("{0} asked for this transition and may not make it any more: somebody else must ask")]
    AskerMayNot(String),
    /// Nobody approves what they asked for themselves, however they spell their name.
    #[error("nobody approves their own request")]
    OwnRequest,
    /// Only who asked takes a request back.
    #[error("only who made a request, or an administrator, takes it back")]
    NotTheirRequest,
    /// Only who made a comment changes it.
    #[error("only who made a comment changes it; an administrator may delete it")]
    NotTheirComment,
    /// A version would no longer say of itself what it must.
    #[error("without this tag the version would not say all that it must: {0}")]
    Incomplete(String),
    /// More than a model or version may say of itself.
    #[error("this is too much: {0}")]
    TooMuch(&'static str),
    /// A source whose files cannot be told.
    #[error("`source` is refused: {0}")]
    Source(&'static str),
    /// A source whose files belong to a model that the caller may not read. Says nothing about which, or whether any.
    #[error("`source` names files that this principal may not read")]
    SourceNotReadable,
}

impl Broken {
    /// That no rule leads from one stage to the other.
    #[must_use]
    pub fn no_way(from: Stage, to: Stage, reachable: &[Stage]) -> Self {
        let reachable: Vec<&str> = reachable.iter().map(|stage| stage.as_str()).collect();
        let reachable = if reachable.is_empty() { "none".to_owned() } else { reachable.join(", ") };
        let what =
            format!("no rule leads from {from} to {to}; stages that can be reached from {from}: {reachable}");
        Self::Stage(what)
    }

    /// The rule's own word, for the record; nothing for what is no house rule and always holds.
    #[must_use]
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Name(_) | Self::LookAlike(_) => Some("names"),
            Self::Metadata(_) | Self::Incomplete(_) => Some("metadata"),
            Self::Stage(_) | Self::EvidenceTooEarly(_) => Some("stages"),
            Self::Bytes(_) => Some("digest"),
            Self::AskerMayNot(_)
            | Self::OwnRequest
            | Self::NotTheirRequest
            | Self::NotTheirComment
            | Self::ProtectedTag(_)
            | Self::PromptTag
            | Self::NoPrompt
            | Self::KeptByMlflow(_)
            | Self::HiddenTag
            | Self::Presigned
            | Self::TooMuch(_)
            | Self::Source(_)
            | Self::SourceNotReadable => None,
        }
    }
}

/// How house rules are meant (`rules.mode`). Access control, sources and protected tags are never off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What breaks a rule is refused.
    #[default]
    Enforce,
    /// It is told about and passes.
    Warn,
    /// Nobody looks.
    Off,
}

//! What is wrong with a request that is not read.

use super::artifact_path;
use super::json::JsonError;
use super::message::MessageError;
use super::target::TargetError;
use crate::stage::Stage;

/// Why a request is not one that sekisho and MLflow read alike.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misread {
    /// No row for method and path.
    #[error("no such endpoint: {0}")]
    NoRoute(String),
    /// The request target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The JSON body.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The parameters.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A parameter that decides is not there.
    #[error("missing value for required parameter `{0}`")]
    Missing(&'static str),
    /// A model's name that MLflow refuses too, in its words (`utils/validation.py`).
    #[error("Invalid model name '{0}'. Names cannot contain '/' or ':'.")]
    ModelName(String),
    /// A model's name that MLflow would take, and that no list or record could show as it is.
    #[error("`{0}` is no model name: it must not hold control characters, nor be `.` or `..`")]
    UnshowableName(&'static str),
    /// A version is a positive whole number.
    #[error("`version` must be a positive whole number without sign, zeros in front or blanks")]
    Version,
    /// A stage that there is not, in MLflow's words (`entities/model_registry/model_version_stages.py`).
    #[error("Invalid Model Version stage: {stage}. Value must be one of None, {all}.", stage = .0, all = Stage::NAMES.join(", "))]
    Stage(String),
    /// A stage that the house does not have.
    #[error("`{0}` is no stage; the stages are {names}", names = crate::stage::Stage::NAMES.join(", "))]
    NoStage(String),
    /// Older versions are archived only where a stage is for one (MLflow answers others with 500).
    #[error("`archive_existing_versions` is for the stages Staging and Production")]
    Archives,
    /// What became of requests that are to be listed.
    #[error("`state` is `open`, `done`, `rejected`, `withdrawn` or `void`")]
    State,
    /// What a test said as a tag.
    #[error("the value of an `evidence.` tag is `passed` or `failed`")]
    Evidence,
    /// A parameter that is no number.
    #[error("`{0}` must be a whole number")]
    Number(&'static str),
    /// A parameter that is no time.
    #[error("`{0}` must be a time such as 2026-01-31T09:00:00Z")]
    Time(&'static str),
    /// A parameter that is none of some words.
    #[error("`{0}` is one of {1}")]
    Word(&'static str, &'static str),
    /// A page of a size that is not given.
    #[error("`max_results` must be from 1 to {0}")]
    PageSize(usize),
    /// A page token that was not given out.
    #[error("`page_token` is not one that this search gave out")]
    PageToken,
    /// A parameter that is empty, too long or holds what cannot be shown.
    #[error("`{0}` must be a plain text of at most {1} characters")]
    Text(&'static str, usize),
    /// A parameter of sekisho's own that is none: what it was meant to narrow would not be.
    #[error("the request has a parameter that this endpoint does not know")]
    Unknown,
    /// Path and parameters name different things.
    #[error("the path and the parameter `{0}` name different things")]
    Disagree(String),
    /// An artifact path with more than one meaning.
    #[error("`{0}`: {1}")]
    ArtifactPath(String, artifact_path::ArtifactPathError),
    /// A model whose versions cannot be searched for.
    #[error("versions of a model of this name cannot be registered with an `idempotency_key`")]
    NoKey,
    /// A body where there is none to be read.
    #[error("this request has no body")]
    Body,
    /// Parameters in the query of a request that is read from its body.
    #[error("the parameter `{0}` belongs into the JSON body")]
    InQuery(String),
    /// Parameters in the query and others in the body.
    #[error("the query and the body name different things: leave one of them out")]
    QueryAndBody,
    /// A name that is twice in the query.
    #[error("`{0}` is twice in the query")]
    Doubled(String),
    /// Not JSON by its content type.
    #[error("the Content-Type must be application/json")]
    ContentType,
    /// A header is missing, unreadable or there twice.
    #[error("the header `{0}` must be there once")]
    Header(&'static str),
    /// A body in a coding that is not read here.
    #[error("`chunked` is the only `Transfer-Encoding` that is read here")]
    Coding,
    /// A workspace is named; sekisho guards servers without workspaces.
    #[error("workspaces are not served here: leave out the header `x-mlflow-workspace`")]
    Workspace,
    /// A page of another site asks a browser to change something here.
    #[error("a page of another site may not change anything here")]
    CrossSite,
    /// A browser asks for a page whose origin is not named.
    #[error("pages of `{0}` may not call here: `server.cors_origins` does not name it")]
    Preflight(String),
    /// More objects than are decided for one request.
    #[error("the request names more than {0} objects")]
    TooManyObjects(usize),
    /// OTLP spans that cannot be looked at, or that say what only MLflow may say.
    #[error("spans: {0}")]
    Spans(&'static str),
    /// A GraphQL document that is not one of the web page's.
    #[error("GraphQL: {0}")]
    Graphql(&'static str),
}

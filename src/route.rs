//! What does this request do? Read exactly as MLflow would read it, or not at all.
//!
//! [`find()`] looks at method and path alone, so that an unknown route costs nothing; [`read()`] reads the parameters that
//! the row describes; [`mod@write`] puts down what was understood. The caller's own bytes of path, query and JSON go no
//! further than this room.

pub mod artifact_path;
pub mod coverage;
pub mod cross_site;
pub mod demand;
mod find;
pub mod graphql;
pub mod json;
pub mod message;
pub mod schema;
mod spans;
pub mod table;
pub mod target;
mod words;
pub mod write;

use std::fmt;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, Method, Uri, Version, header};

use crate::operation::Access;
use crate::stage::Stage;

pub use find::Found;

use demand::Demands;
use graphql::Asked;
use json::JsonError;
use message::{Message, MessageError};
use schema::Schema;
use table::Form;
use target::{Path, Query, TargetError};

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

/// What a request does, and everything that was read of it.
#[derive(Debug)]
pub struct Operation {
    /// The row, and what the path holds.
    pub found: Found,
    /// The parameters.
    pub parameters: Parameters,
    /// What it demands.
    pub demands: Demands,
}

/// Parameters by the row's [`Form`].
pub enum Parameters {
    /// None.
    None,
    /// MLflow's message.
    Message(Message),
    /// Free pairs and free JSON, written anew.
    Free(Query, Option<String>),
    /// A file that streams; it is not read.
    Upload,
    /// A small file and the message in the query.
    SmallFile(Message, Bytes),
    /// OTLP spans, in which nothing decides.
    Spans(Bytes),
    /// A GraphQL document.
    Graphql(Asked),
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Upload => f.write_str("Upload"),
            Self::Message(message) | Self::SmallFile(message, _) => message.fmt(f),
            Self::Free(query, _) => query.fmt(f),
            Self::Spans(_) => f.write_str("Spans"),
            Self::Graphql(asked) => asked.fmt(f),
        }
    }
}

impl Operation {
    /// What it says; nothing where it has no message.
    #[must_use]
    pub fn says(&self) -> &Message {
        self.message().unwrap_or(&message::NOTHING)
    }

    /// The message, where there is one.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match &self.parameters {
            Parameters::Message(message) | Parameters::SmallFile(message, _) => Some(message),
            Parameters::None
            | Parameters::Free(..)
            | Parameters::Upload
            | Parameters::Spans(_)
            | Parameters::Graphql(_) => None,
        }
    }

    /// Whether it changes anything.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.found.row.access == Access::Write
    }
}

/// The row for a request's method and path, below `static_prefix` or without it.
pub fn find(
    method: &Method,
    uri: &Uri,
    is_http2: bool,
    static_prefix: Option<&str>,
) -> Result<Found, Misread> {
    let path = Path::read(uri, is_http2)?;
    let below = static_prefix.and_then(|prefix| path.below(prefix));
    let found = find::find(method, below.as_ref().unwrap_or(&path));
    found.ok_or_else(|| Misread::NoRoute(format!("{} {}", shortened(method.as_str()), shown(uri.path()))))
}

/// Reads a request's parameters. `body` is what was sent, or nothing for a row whose file streams.
pub fn read(found: Found, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Result<Operation, Misread> {
    refuse_workspace(headers)?;
    let query = Query::read(uri.query())?;
    if let Form::Graphql = found.row.form {
        json_content_type(headers, &found, &body)?;
        if found.row.reads_query() {
            return Err(Misread::Graphql("documents are sent by POST"));
        }
        let (asked, demands) = graphql::read(&body)?;
        return Ok(Operation { found, parameters: Parameters::Graphql(asked), demands });
    }
    let parameters = parameters(&found, query, headers, body)?;
    let message = match &parameters {
        Parameters::Message(message) | Parameters::SmallFile(message, _) => message,
        Parameters::None
        | Parameters::Free(..)
        | Parameters::Upload
        | Parameters::Spans(_)
        | Parameters::Graphql(_) => &message::NOTHING,
    };
    if found.row.base == table::Base::Own && message.dropped > 0 {
        return Err(Misread::Unknown);
    }
    agree(&found, message)?;
    let demands = demand::of(&demand::Parts { found: &found, message, headers })?;
    Ok(Operation { found, parameters, demands })
}

fn parameters(found: &Found, query: Query, headers: &HeaderMap, body: Bytes) -> Result<Parameters, Misread> {
    Ok(match found.row.form {
        Form::Nothing => Parameters::None,
        Form::Upload => Parameters::Upload,
        Form::Spans | Form::Graphql => Parameters::Spans(spans::read(headers, body)?),
        Form::SmallFile(name) => Parameters::SmallFile(Message::of_query(schema(name)?, &query)?, body),
        Form::Message(name) if found.row.reads_query() => {
            Parameters::Message(Message::of_query(schema(name)?, &query)?)
        }
        Form::Message(name) => {
            let schema = schema(name)?;
            let asked = query.pairs().find(|(name, _)| schema.field_by_any_name(name).is_some());
            if let Some((name, _)) = asked.filter(|_| !found.row.or_in_query) {
                return Err(Misread::InQuery(shortened(name)));
            }
            json_content_type(headers, found, &body)?;
            let written = Message::of_json(schema, &body)?;
            if asked.is_none() {
                return Ok(Parameters::Message(written));
            }
            let asked = Message::of_query(schema, &query)?;
            if !written.is_empty() && !written.says_what(&asked) {
                return Err(Misread::QueryAndBody);
            }
            Parameters::Message(asked)
        }
        Form::Free => {
            if let Some(name) = query.doubled() {
                return Err(Misread::Doubled(shortened(name)));
            }
            json_content_type(headers, found, &body)?;
            let mut written = String::new();
            let body =
                json::Raw::of_body(&body)?.map(|raw| raw.rewrite(&mut written, json::DEEPEST)).transpose()?;
            Parameters::Free(query, body.map(|()| written))
        }
    })
}

fn schema(name: &'static str) -> Result<&'static Schema, Misread> {
    Schema::named(name).ok_or(Misread::Missing(name))
}

/// MLflow asks for the type on POST and PUT alone (`server/validation.py`) and parses any; here a body that is not
/// declared as JSON is no JSON.
fn json_content_type(headers: &HeaderMap, found: &Found, body: &Bytes) -> Result<(), Misread> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (None, None) if body.is_empty() || found.row.verb == table::Verb::Delete => Ok(()),
        (Some(_), None) if body.is_empty() => Ok(()),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| Misread::ContentType)?;
            let (kind, rest) = text.split_once(';').unwrap_or((text, ""));
            let rest = rest.trim().to_ascii_lowercase();
            let utf8 = rest.is_empty()
                || matches!(rest.as_str(), "charset=utf-8" | "charset=\"utf-8\"" | "charset=utf8");
            let json = kind.trim().eq_ignore_ascii_case("application/json");
            if json && utf8 { Ok(()) } else { Err(Misread::ContentType) }
        }
        _ => Err(Misread::ContentType),
    }
}

/// MLflow reads some objects from the path and some from a parameter of the same name; they must be one.
fn agree(found: &Found, message: &Message) -> Result<(), Misread> {
    for (name, text) in found.params() {
        if message.has(name) && message.text(name) != Some(text) {
            return Err(Misread::Disagree(name.to_owned()));
        }
    }
    for name in ["path", "artifact_path", "artifact_file_path", "artifact_directory_path"] {
        if let Some(path) = found.param(name).or(message.text(name)) {
            artifact_path::check(path).map_err(|error| Misread::ArtifactPath(name.to_owned(), error))?;
        }
    }
    let plain = |text: &str| {
        text.len() <= 18
            && !text.starts_with('0')
            && !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let counts = COUNTING.iter().any(|start| found.row.path.starts_with(start));
    let ours = found.row.base == table::Base::Own && found.param("version").is_some_and(|text| !plain(text));
    if message
        .text("comment")
        .is_some_and(|text| text.contains('\0') || text.chars().count() > LONGEST_COMMENT)
    {
        return Err(Misread::Text("comment", LONGEST_COMMENT));
    }
    if ours || (counts && message.has("version") && !message.text("version").is_some_and(plain)) {
        return Err(Misread::Version);
    }
    Ok(())
}

/// What the paths begin with below which `version` is a version's number.
const COUNTING: [&str; 5] =
    ["model-versions/", "registered-models/", "comments/", "databricks/", "transition-requests/"];

/// Characters of a comment (Databricks' own limit).
const LONGEST_COMMENT: usize = 65_535;

/// HTTP/1.1 names its host once (RFC 9112 section 3.2); which of two a later reader would take, nobody knows. HTTP/2 names
/// it in `:authority`, and a `Host` beside that must say the same (RFC 9113 section 8.3.1).
pub fn refuse_hosts(headers: &HeaderMap, uri: &Uri, version: Version) -> Result<(), Misread> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let authority = uri.authority().map(Authority::as_str).filter(|_| version == Version::HTTP_2);
    let sound = match (hosts.next(), hosts.next()) {
        (Some(host), None) => authority.is_none_or(|authority| host.as_bytes() == authority.as_bytes()),
        (None, _) => version != Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    if sound { Ok(()) } else { Err(Misread::Header("host")) }
}

/// `chunked` is the one coding there is: MLflow would see what any other made of a body (RFC 9112 section 6.1).
pub fn refuse_codings(headers: &HeaderMap) -> Result<(), Misread> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Misread::Coding),
    }
}

/// A non-empty workspace selects another tenant (`server/fastapi_app.py`), in whose names nothing here was decided.
fn refuse_workspace(headers: &HeaderMap) -> Result<(), Misread> {
    let named =
        headers.get_all("x-mlflow-workspace").iter().any(|value| !value.as_bytes().trim_ascii().is_empty());
    if named { Err(Misread::Workspace) } else { Ok(()) }
}

/// A path without segments that are longer than any route's or id's: somebody may have put a token there.
fn shown(path: &str) -> String {
    let segment =
        |segment: &str| if segment.len() > LONGEST_SHOWN { "…".to_owned() } else { segment.to_owned() };
    shortened(&path.split('/').map(segment).collect::<Vec<_>>().join("/"))
}

/// A JWT's shortest part that is worth anything, its signature, has 43 characters; ids have 35 at most.
const LONGEST_SHOWN: usize = 40;

fn shortened(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests;

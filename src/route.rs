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
mod misread;
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

pub use find::Found;
pub use misread::Misread;

use demand::Demands;
use graphql::Asked;
use message::Message;
use schema::Schema;
use table::Form;
use target::{Path, Query};

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
pub fn refuse_workspace(headers: &HeaderMap) -> Result<(), Misread> {
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

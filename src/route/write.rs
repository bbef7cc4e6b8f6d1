//! What goes on to MLflow: our own serialisation of what was understood, and headers that we chose.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::table::Form;
use super::{Operation, Parameters};
use crate::secret::without_query;

/// A request as MLflow will see it.
pub struct Forward {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path_and_query: String,
    /// The body.
    pub body: ForwardBody,
    /// Its type, where there is one.
    pub content_type: Option<HeaderValue>,
}

/// The body of a [`Forward`].
pub enum ForwardBody {
    /// None.
    Empty,
    /// These bytes, with their length.
    Bytes(Bytes),
    /// The caller's file, as it comes.
    Stream,
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = without_query(&self.path_and_query);
        f.debug_struct("Forward").field("method", &self.method).field("path", &path).finish_non_exhaustive()
    }
}

/// Writes an operation down.
#[must_use]
pub fn forward(operation: &Operation, headers: &HeaderMap, static_prefix: Option<&str>) -> Forward {
    let found = &operation.found;
    let mut path = found.write_path();
    if let Some(prefix) = static_prefix.filter(|_| found.row.below_static_prefix) {
        path.insert_str(0, prefix);
    }
    let json = HeaderValue::from_static("application/json");
    let sent_type = || headers.get(header::CONTENT_TYPE).cloned();
    let (query, body, content_type) = match &operation.parameters {
        Parameters::None => (String::new(), ForwardBody::Empty, None),
        Parameters::Message(message) if found.row.reads_query() => {
            (message.to_query(), ForwardBody::Empty, None)
        }
        Parameters::Message(message) => {
            (String::new(), ForwardBody::Bytes(message.to_json().into()), Some(json))
        }
        Parameters::Free(query, body) => {
            let mut out = form_urlencoded::Serializer::new(String::new());
            query.pairs().for_each(|(name, value)| {
                out.append_pair(name, value);
            });
            match body {
                Some(body) => (out.finish(), ForwardBody::Bytes(body.clone().into()), Some(json)),
                None => (out.finish(), ForwardBody::Empty, None),
            }
        }
        Parameters::Upload => (String::new(), ForwardBody::Stream, sent_type()),
        Parameters::SmallFile(message, bytes) => {
            (message.to_query(), ForwardBody::Bytes(bytes.clone()), sent_type())
        }
        Parameters::Spans(bytes) => (String::new(), ForwardBody::Bytes(bytes.clone()), sent_type()),
        Parameters::Graphql(asked) => {
            (String::new(), ForwardBody::Bytes(asked.body.clone().into()), Some(json))
        }
    };
    if !query.is_empty() {
        path.push('?');
        path.push_str(&query);
    }
    let method = if found.head { Method::HEAD } else { found.row.verb.method() };
    Forward { method, path_and_query: path, body, content_type }
}

/// The caller's headers that may go on. Everything else stays here: credentials, cookies, `Origin`, forwarded-for and
/// identity headers in every spelling, and whatever the connection used for itself.
const PASSED: [HeaderName; 8] = [
    header::ACCEPT,
    header::USER_AGENT,
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    HeaderName::from_static("x-mlflow-client-version"),
    HeaderName::from_static("tracestate"),
];

const SPANS_PASSED: [HeaderName; 2] = [
    HeaderName::from_static(super::demand::EXPERIMENT_HEADER),
    HeaderName::from_static(super::demand::RUN_HEADER),
];

/// The headers for MLflow. `peer` is the caller's true address: MLflow trusts who it believes to be local
/// (`server/assistant/api.py`), and everybody behind a sidecar would be.
#[must_use]
pub fn headers(operation: &Operation, forward: &Forward, sent: &HeaderMap, peer: IpAddr) -> HeaderMap {
    let spans = operation.found.row.form == Form::Spans;
    let mut chosen = HeaderMap::new();
    for name in PASSED.iter().chain(SPANS_PASSED.iter().filter(|_| spans)) {
        let mut values = sent.get_all(name).iter();
        if let (Some(value), None) = (values.next(), values.next()) {
            chosen.insert(name.clone(), value.clone());
        }
    }
    if let Some(content_type) = &forward.content_type {
        chosen.insert(header::CONTENT_TYPE, content_type.clone());
    }
    if let Ok(peer) = HeaderValue::try_from(peer.to_canonical().to_string()) {
        chosen.insert(HeaderName::from_static("x-forwarded-for"), peer);
    }
    chosen
}

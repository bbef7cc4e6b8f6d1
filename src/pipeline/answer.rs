//! The last rooms: what of MLflow's answer the caller may see, and how a refusal looks.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use tracing::warn;

use crate::audit::Trail;
use crate::authz::Permit;
use crate::filter::{self, Seen, Unreadable};
use crate::ids::{RequestId, X_REQUEST_ID};
use crate::limit::Slot;
use crate::listen::{Outbound, boxed, empty, full};
use crate::operation::{Object, Permission};
use crate::principal::Principal;
use crate::reject::Rejection;
use crate::route::json::JsonError;
use crate::route::table::Answer;
use crate::route::{Operation, Parameters};
use crate::upstream::{self, Reply};

/// MLflow's answer without what the permit does not cover. Errors of MLflow's pass unchanged.
pub(super) async fn filtered(
    response: Response<Reply>,
    operation: &Operation,
    permit: &Permit,
    ceiling: usize,
    slot: &mut Slot,
) -> Result<Response<Outbound>, Rejection> {
    let seen = |model: &str| permit.covers(Permission::MetadataRead, &Object::Model(model.into()));
    let (mut parts, body) = response.into_parts();
    let answer = operation.found.row.answer;
    if answer == Answer::File {
        filter::as_data(&mut parts.headers);
    }
    if !parts.status.is_success() {
        return Ok(Response::from_parts(parts, boxed(body)));
    }
    let keep: fn(&[u8], Seen<'_>) -> Result<Bytes, Unreadable> = match answer {
        Answer::File if holds_spans(operation) => filter::mentions,
        Answer::AsIs | Answer::File | Answer::Ours(_) => return Ok(Response::from_parts(parts, boxed(body))),
        Answer::Mentions => filter::mentions,
        Answer::Graphql => filter::graphql,
        Answer::Stages | Answer::Latest => return Ok(Response::from_parts(parts, boxed(body))),
        // `lists` puts these together; one that comes here shows nothing.
        Answer::RegisteredModels | Answer::ModelVersions => |_, _| Ok(Bytes::from_static(b"{}")),
    };
    if parts.status != StatusCode::OK {
        // Part of an answer cannot be filtered; it was not asked for.
        return Err(Unreadable::from(JsonError::NotAnObject).into());
    }
    let body = upstream::collect_held(body, ceiling, slot).await?;
    let kept = keep(&body, &seen)?;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::ETAG);
    Ok(Response::from_parts(parts, full(kept)))
}

/// Headers that ask for part of an answer, or for none if it has not changed.
const CONDITIONS: [HeaderName; 4] =
    [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// Takes from a request's headers what would keep its answer from being read whole, where it must be.
pub(super) fn ask_for_the_whole(headers: &mut HeaderMap, operation: &Operation) {
    let whole = match operation.found.row.answer {
        Answer::AsIs | Answer::Ours(_) => false,
        Answer::File => holds_spans(operation),
        Answer::RegisteredModels
        | Answer::ModelVersions
        | Answer::Stages
        | Answer::Latest
        | Answer::Mentions
        | Answer::Graphql => true,
    };
    if whole {
        ask_for_the_whole_of(headers);
    }
}

/// The same, for an answer that is kept.
pub(super) fn ask_for_the_whole_of(headers: &mut HeaderMap) {
    for name in &CONDITIONS {
        headers.remove(name);
    }
}

/// Whether a file is a trace's spans as JSON, and not what was attached to them (`handlers.py` `get_trace_artifact_handler`).
fn holds_spans(operation: &Operation) -> bool {
    let attached = operation.message().is_some_and(|message| message.has("path"));
    operation.found.row.path == "get-trace-artifact" && !attached
}

/// The body of a write's answer without what the permit does not cover. The write is done: what cannot be read is left out,
/// and is no failure.
pub(super) fn filtered_write(body: Bytes, answer: Answer, permit: &Permit) -> Bytes {
    let seen = |model: &str| permit.covers(Permission::MetadataRead, &Object::Model(model.into()));
    match answer {
        Answer::Mentions => filter::mentions(&body, &seen).unwrap_or_else(|_| Bytes::from_static(b"{}")),
        Answer::AsIs
        | Answer::File
        | Answer::Ours(_)
        | Answer::RegisteredModels
        | Answer::ModelVersions
        | Answer::Stages
        | Answer::Latest
        | Answer::Graphql => body,
    }
}

/// What every answer has.
pub(super) fn finish(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(X_REQUEST_ID, id.header_value());
}

/// The root field of a GraphQL request.
pub(super) fn root_of(operation: &Operation) -> Option<String> {
    match &operation.parameters {
        Parameters::Graphql(asked) => Some(asked.root.clone()),
        Parameters::None
        | Parameters::Message(_)
        | Parameters::Free(..)
        | Parameters::Upload
        | Parameters::SmallFile(..)
        | Parameters::Spans(_) => None,
    }
}

/// The answer to a refusal, told about as one.
pub(super) fn refuse(
    rejection: &Rejection,
    mut trail: Trail,
    graphql: Option<&str>,
    head: bool,
) -> Response<Outbound> {
    if let Rejection::Denied(denied) = rejection {
        trail.note_denied(denied);
    }
    if let Rejection::Untold { found, .. }
    | Rejection::NotTheirs { found, .. }
    | Rejection::HiddenSource(found) = rejection
    {
        trail.note_denied(found);
    }
    trail.note_refusal(rejection.detail());
    let response = said(rejection, trail, graphql);
    if head { response.map(|_| empty()) } else { response }
}

/// The answer to what went wrong after it was allowed.
pub(super) fn fail(rejection: &Rejection, mut trail: Trail, graphql: Option<&str>) -> Response<Outbound> {
    trail.note_failure(rejection.detail());
    said(rejection, trail, graphql)
}

/// The answer to what a write of our own came to: a refusal, or what went wrong.
pub(super) fn end(rejection: &Rejection, trail: Trail) -> Response<Outbound> {
    if rejection.is_failure() { fail(rejection, trail, None) } else { refuse(rejection, trail, None, false) }
}

fn said(rejection: &Rejection, trail: Trail, graphql: Option<&str>) -> Response<Outbound> {
    if rejection.is_failure() {
        warn!(id = %trail.id(), reason = rejection.detail(), "request failed");
    }
    let response = rejection.answer(trail.id(), graphql);
    trail.close(response.status());
    response
}

/// Who is signed in, in the form that the web page asks an auth app for.
pub(super) fn who_am_i(principal: &Principal) -> Bytes {
    let user = serde_json::json!({ "id": 1, "username": principal.user.as_str(), "is_admin": false });
    serde_json::json!({ "user": user, "is_basic_auth": false }).to_string().into()
}

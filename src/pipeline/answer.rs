//! The last rooms: what of MLflow's answer the caller may see, and how a refusal looks.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tracing::warn;

use crate::audit::Trail;
use crate::authz::Permit;
use crate::filter;
use crate::ids::{RequestId, X_REQUEST_ID};
use crate::limit::Slot;
use crate::listen::{Outbound, boxed, empty, full};
use crate::operation::{Object, Permission};
use crate::principal::Principal;
use crate::reject::Rejection;
use crate::route::table::Answer;
use crate::route::{Operation, Parameters};
use crate::upstream::{self, Reply};

/// MLflow's answer without what the permit does not cover. Errors of MLflow's pass unchanged.
pub(super) async fn filtered(
    response: Response<Reply>,
    answer: Answer,
    permit: &Permit,
    ceiling: usize,
    slot: &mut Slot,
) -> Result<Response<Outbound>, Rejection> {
    let seen = |model: &str| permit.covers(Permission::MetadataRead, &Object::Model(model.into()));
    let (mut parts, body) = response.into_parts();
    if answer == Answer::File {
        filter::as_data(&mut parts.headers);
    }
    if parts.status != StatusCode::OK {
        return Ok(Response::from_parts(parts, boxed(body)));
    }
    let list = match answer {
        Answer::AsIs | Answer::File | Answer::WhoAmI => return Ok(Response::from_parts(parts, boxed(body))),
        Answer::RegisteredModels => Some("registered_models"),
        Answer::ModelVersions => Some("model_versions"),
        Answer::LoggedModels | Answer::Graphql => None,
    };
    let body = upstream::collect_held(body, ceiling, slot).await?;
    let kept = match list {
        Some(list) => filter::rows(&body, list, &seen)?,
        None if answer == Answer::LoggedModels => filter::logged_models(&body, &seen)?,
        None => filter::graphql(&body, &seen)?,
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::ETAG);
    Ok(Response::from_parts(parts, full(kept)))
}

/// The body of a write's answer without what the permit does not cover. The write is done: what cannot be read is left out,
/// and is no failure.
pub(super) fn filtered_write(body: Bytes, answer: Answer, permit: &Permit) -> Bytes {
    let seen = |model: &str| permit.covers(Permission::MetadataRead, &Object::Model(model.into()));
    match answer {
        Answer::LoggedModels => {
            filter::logged_models(&body, &seen).unwrap_or_else(|_| Bytes::from_static(b"{}"))
        }
        Answer::AsIs
        | Answer::File
        | Answer::WhoAmI
        | Answer::RegisteredModels
        | Answer::ModelVersions
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
    if let Rejection::Untold { found, .. } = rejection {
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

fn said(rejection: &Rejection, trail: Trail, graphql: Option<&str>) -> Response<Outbound> {
    if rejection.is_failure() {
        warn!(id = %trail.id(), reason = rejection.detail(), "request failed");
    }
    let response = rejection.answer(trail.id(), graphql);
    trail.close(response.status());
    response
}

/// Who is signed in, in the form that the web page asks an auth app for.
pub(super) fn who_am_i(principal: &Principal, trail: Trail) -> Response<Outbound> {
    let user = serde_json::json!({ "id": 1, "username": principal.user.as_str(), "is_admin": false });
    let body = serde_json::json!({ "user": user, "is_basic_auth": false });
    let mut response = Response::new(full(body.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    finish(response.headers_mut(), trail.id());
    trail.close(StatusCode::OK);
    response
}

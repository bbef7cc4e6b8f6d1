//! What was allowed is done: reads while the caller waits, writes in a task that nobody's hanging up ends.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Response, StatusCode};
use tracing::error;

use crate::audit::{Outcome, Told, Trail};
use crate::listen::{Outbound, boxed, full};
use crate::reject::Rejection;
use crate::route::table::Answer;
use crate::route::write::{self, ForwardBody};
use crate::upstream::{self, Order, OrderBody, Reply, UpstreamError};

use super::{Gate, Passed, answer};

/// The most of an answer that is kept in memory to be filtered, or to be held for a caller who may have gone.
const ANSWER: usize = 64 * 1024 * 1024;

impl Gate {
    pub(super) async fn perform(self: Arc<Self>, passed: Passed, trail: Trail) -> Response<Outbound> {
        if passed.operation.found.row.answer == Answer::WhoAmI {
            return answer::who_am_i(passed.permit.principal(), trail);
        }
        if !passed.operation.is_write() {
            return self.read(passed, trail).await;
        }
        let id = trail.id().clone();
        let drain = self.drain.clone();
        match drain.spawn(async move { self.write(passed, trail).await }).await {
            Ok(response) => response,
            Err(failed) => {
                error!(%id, %failed, "the task of a write broke");
                Rejection::Adrift(UpstreamError::Unanswered(failed.into())).answer(&id, None)
            }
        }
    }

    async fn read(&self, passed: Passed, mut trail: Trail) -> Response<Outbound> {
        let head = passed.operation.found.head;
        let graphql = answer::root_of(&passed.operation);
        let Passed { slot, operation, permit, parts, stream, peer } = passed;
        let order = self.order(&operation, &parts, stream, peer.addr.ip(), trail.id());
        let answered = match self.mlflow.send(order).await {
            Ok(response) => {
                trail.note_upstream(response.status());
                answer::filtered(response, operation.found.row.answer, &permit, ANSWER).await
            }
            Err(error) => Err(error.into()),
        };
        match answered {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                answer::finish(&mut parts.headers, trail.id());
                if head {
                    trail.close(parts.status);
                    return Response::from_parts(parts, boxed(slot.until_end_of(body)));
                }
                let status = parts.status;
                Response::from_parts(parts, boxed(Told::new(slot.until_end_of(body), trail, status)))
            }
            Err(rejection) => answer::fail(&rejection, trail, graphql.as_deref()),
        }
    }

    /// From here on the caller may go: the write ends, and is told about.
    async fn write(&self, passed: Passed, mut trail: Trail) -> Response<Outbound> {
        let Passed { slot, operation, permit: _permit, parts, stream, peer } = passed;
        let order = self.order(&operation, &parts, stream, peer.addr.ip(), trail.id());
        let done = match self.mlflow.send(order).await {
            Ok(response) => {
                trail.note_upstream(response.status());
                whole(response).await
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                let status = parts.status;
                trail.note_outcome(outcome(status));
                answer::finish(&mut parts.headers, trail.id());
                trail.close(status);
                Response::from_parts(parts, boxed(slot.until_end_of(body)))
            }
            Err(error) => {
                let unknown = !matches!(error, UpstreamError::NotSent(_) | UpstreamError::Unwritable(_));
                trail.note_outcome(if unknown { Outcome::Unknown } else { Outcome::NotApplied });
                let rejection = match error {
                    UpstreamError::NotSent(_)
                    | UpstreamError::Unwritable(_)
                    | UpstreamError::CallerBroke(_) => error.into(),
                    UpstreamError::Unanswered(_)
                    | UpstreamError::ResponseTooLarge { .. }
                    | UpstreamError::CutShort(_) => Rejection::Adrift(error),
                };
                answer::fail(&rejection, trail, None)
            }
        }
    }

    fn order(
        &self,
        operation: &crate::route::Operation,
        parts: &http::request::Parts,
        stream: Option<crate::listen::Inbound>,
        peer: std::net::IpAddr,
        id: &crate::ids::RequestId,
    ) -> Order {
        let forward = write::forward(operation, &parts.headers, self.static_prefix.as_deref());
        let mut headers = write::headers(operation, &forward, &parts.headers, peer);
        headers.insert(crate::ids::X_REQUEST_ID, id.header_value());
        headers.insert(HeaderName::from_static("traceparent"), traceparent(&parts.headers));
        let repeatable = matches!(forward.method, http::Method::GET | http::Method::HEAD);
        let body = match (forward.body, stream) {
            (ForwardBody::Bytes(bytes), _) => OrderBody::Bytes(bytes),
            (ForwardBody::Stream, Some(stream)) => {
                let length = http_body::Body::size_hint(&stream).exact();
                OrderBody::stream(stream, length)
            }
            (ForwardBody::Empty | ForwardBody::Stream, _) => OrderBody::Empty,
        };
        Order { method: forward.method, path_and_query: forward.path_and_query, headers, body, repeatable }
    }
}

async fn whole(response: Response<Reply>) -> Result<Response<Outbound>, UpstreamError> {
    let (parts, body) = response.into_parts();
    let body = upstream::collect(body, ANSWER).await?;
    Ok(Response::from_parts(parts, full(body)))
}

/// MLflow answers 2xx when it has done it, 4xx when it has not, and 5xx when nobody knows.
fn outcome(status: StatusCode) -> Outcome {
    if status.is_success() {
        Outcome::Applied
    } else if status.is_client_error() {
        Outcome::NotApplied
    } else {
        Outcome::Unknown
    }
}

/// The caller's W3C trace context where it is sound (`traceparent`, version 00), else a new one.
fn traceparent(headers: &http::HeaderMap) -> HeaderValue {
    let mut sent = headers.get_all("traceparent").iter();
    match (sent.next(), sent.next()) {
        (Some(value), None) if value.to_str().is_ok_and(is_traceparent) => value.clone(),
        _ => {
            // A UUID's first half is never zero and as random as a span's id has to be.
            let trace = uuid::Uuid::new_v4().simple().to_string();
            let span = trace.get(..16).unwrap_or("0000000000000001");
            HeaderValue::try_from(format!("00-{trace}-{span}-00"))
                .unwrap_or_else(|_| HeaderValue::from_static(""))
        }
    }
}

fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let zeros = |part: &str| part.bytes().all(|byte| byte == b'0');
    match text.split('-').collect::<Vec<_>>().as_slice() {
        ["00", trace, span, flags] => {
            hex(trace, 32) && hex(span, 16) && hex(flags, 2) && !zeros(trace) && !zeros(span)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_trace_context_is_kept() {
        for (text, sound) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false),
            ("", false),
        ] {
            assert_eq!(is_traceparent(text), sound, "{text}");
        }
        let made = traceparent(&http::HeaderMap::new());
        assert!(made.to_str().is_ok_and(is_traceparent), "{made:?}");
    }
}

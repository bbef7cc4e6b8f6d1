//! What was allowed is done: reads while the caller waits, writes in a task that nobody's hanging up ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tracing::{error, warn};

use crate::aftermath;
use crate::audit::{Outcome, Trail};
use crate::cache::generations::Change;
use crate::digest::Wish;
use crate::govern::Mode;
use crate::limit::Fare;
use crate::listen::{Outbound, boxed, full};
use crate::ownership::Holding;
use crate::reject::Rejection;
use crate::route::Operation;
use crate::route::table::{Answer, Rule};
use crate::route::write::{self, ForwardBody};
use crate::upstream::{self, Order, OrderBody, Reply, UpstreamError};

use super::touched::{self, Touch};
use super::upload::{Far, Upload, endable};
use super::{Gate, Passed, answer};

/// For so long an address may be used that was handed out for an upload (an hour, botocore's own default; MLflow's is 15
/// minutes).
const HANDED_OUT: Duration = Duration::from_secs(60 * 60);

/// The most of an answer that is kept in memory to be filtered, or to be held for a caller who may have gone.
pub(super) const ANSWER: usize = 16 * 1024 * 1024;

impl Gate {
    pub(super) async fn perform(
        self: Arc<Self>,
        passed: Passed,
        mut trail: Trail,
        fare: Option<Fare>,
    ) -> Response<Outbound> {
        let row = passed.operation.found.row;
        if !passed.operation.is_write() {
            return if let Answer::Ours(which) = row.answer {
                self.ours(which, passed, trail).await
            } else {
                self.read(passed, trail, fare).await
            };
        }
        let id = trail.id().clone();
        let drain = self.drain.clone();
        let moves = row.rule == Rule::Transition && self.rules != Mode::Off;
        let deed = async move {
            // From here on the task goes on, whoever hangs up.
            trail.note_change(self.change(&passed.operation).await);
            if let Err(error) = trail.intend().await {
                return answer::refuse(&error.into(), trail, None, false);
            }
            if let Answer::Ours(which) = row.answer {
                self.ours(which, passed, trail).await
            } else if moves {
                self.transition(passed, trail).await
            } else {
                self.write(passed, trail).await
            }
        };
        match drain.spawn(deed).await {
            Ok(response) => response,
            Err(failed) => {
                error!(%id, %failed, "the task of a write broke");
                Rejection::Adrift(UpstreamError::Unanswered(failed.into())).answer(&id, None)
            }
        }
    }

    /// From here on the caller may go: the write ends, and is told about.
    async fn write(&self, passed: Passed, mut trail: Trail) -> Response<Outbound> {
        if let Err(rejection) = self.doubt_digests(&passed.holding).await {
            trail.note_outcome(Outcome::NotApplied);
            return answer::fail(&rejection, trail, None);
        }
        if let Err(rejection) = self.keep_evidence(&passed, &mut trail).await {
            return answer::end(&rejection, trail);
        }
        let departure = match self.departs(&passed.operation).await {
            Ok(departure) => departure,
            Err(rejection) => {
                trail.note_outcome(Outcome::NotApplied);
                return answer::end(&rejection, trail);
            }
        };
        let change = match touched::by(&passed.operation) {
            Touch::Nothing => None,
            Touch::Models(models, scope) => {
                let change = self.cache.change(models);
                change.is_of(scope);
                Some(change)
            }
            Touch::Any => Some(self.cache.change_of_any()),
        };
        let response = self.write_on(passed, change.as_ref(), trail).await;
        if let Some(change) = change {
            change.end().await;
        }
        if let Some(departure) = departure {
            departure.end().await;
        }
        response
    }

    async fn write_on(
        &self,
        passed: Passed,
        change: Option<&Change>,
        mut trail: Trail,
    ) -> Response<Outbound> {
        let Passed { mut slot, operation, permit, parts, stream, peer, holding } = passed;
        let begun = self.clock.now();
        let unsettled = || change.into_iter().for_each(Change::is_unsettled);
        let (stream, far) = stream.map(endable).unzip();
        let order = self.order(&operation, &parts, stream, peer.addr.ip(), trail.id());
        let sent = async {
            let response = self.mlflow.send(order).await?;
            trail.note_upstream(response.status());
            whole(response).await
        };
        let done = tokio::select! {
            done = sent => done,
            () = ended(&holding, far) => {
                unsettled();
                trail.note_outcome(Outcome::Unknown);
                return answer::fail(&Rejection::CutOff, trail, None);
            }
        };
        match self.or_found(done, &operation, begun).await {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                let status = parts.status;
                if status.is_server_error() {
                    unsettled();
                    self.may_be_done(&operation);
                }
                if status.is_success() {
                    self.done(&operation, &body, change, holding).await;
                    self.follow_evidence(&operation, &permit).await;
                }
                slot.hold_anyway(body.len());
                let body = if status.is_success() {
                    parts.headers.remove(CONTENT_LENGTH);
                    let body = answer::filtered_write(body, operation.found.row.answer, &permit);
                    full(self.shown_write(&operation, body, &slot).await)
                } else {
                    full(body)
                };
                trail.note_outcome(outcome(status));
                answer::finish(&mut parts.headers, trail.id());
                trail.close(status);
                Response::from_parts(parts, boxed(slot.until_end_of(body)))
            }
            Err(rejection) => {
                let untouched = matches!(
                    rejection,
                    Rejection::Upstream(UpstreamError::NotSent(_) | UpstreamError::Unwritable(_))
                );
                change.into_iter().for_each(if untouched {
                    Change::was_not_sent
                } else {
                    Change::is_unsettled
                });
                self.may_be_done(&operation);
                trail.note_outcome(if untouched { Outcome::NotApplied } else { Outcome::Unknown });
                answer::fail(&rejection, trail, None)
            }
        }
    }

    /// Of a write that may have been done the registry hears, and looks.
    fn may_be_done(&self, operation: &Operation) {
        if let Some(message) = operation.message() {
            self.registry.heard(operation.found.row.path, message);
        }
    }

    /// What a write that was done means for what is remembered.
    async fn done(
        &self,
        operation: &Operation,
        answer: &Bytes,
        change: Option<&Change>,
        mut holding: Holding,
    ) {
        if let (Some(change), Some(scope)) = (change, touched::scope_of_answer(operation, answer)) {
            change.is_of(scope);
        }
        if operation.found.row.rule == Rule::Presigned {
            holding.linger(HANDED_OUT);
        }
        let attests = self.rules != Mode::Off;
        // Somebody may have read the files meanwhile, as they were.
        if let Err(error) = self.doubt_digests(&holding).await {
            warn!(
                error = error.detail(),
                "a digest of files that were changed is kept until it is taken anew"
            );
        }
        for overlap in holding
            .changed()
            .filter(|_| attests)
            .map(|wanted| self.ownership.known(wanted))
            .unwrap_or_default()
        {
            self.digests.want(&overlap.registration.model, overlap.registration.version, Wish::Replace);
            self.readings.changed(&overlap.registration.model, overlap.registration.version);
        }
        let Some(message) = operation.message() else { return };
        let path = operation.found.row.path;
        self.ownership.heard(path, message);
        self.registry.heard(path, message);
        self.is_gone(path, message).await;
        let name = message.text("name").unwrap_or_default();
        match (path, message.text("new_name")) {
            ("model-versions/create", _) if attests => {
                touched::made(answer)
                    .into_iter()
                    .for_each(|version| self.digests.want(name, version, Wish::Take));
            }
            ("registered-models/rename", Some(new_name)) if new_name != name => {
                self.digests.renamed(name, new_name);
                self.renamed(name, new_name).await;
                self.readings.renamed(name);
            }
            _ => {}
        }
    }

    /// What was kept of a model's versions goes with it. What cannot be moved is found out anew.
    async fn renamed(&self, name: &str, new_name: &str) {
        let created = self.facts.model_created(&self.mlflow, new_name).await;
        let moved = match created {
            Ok(Some(created)) => {
                let moved = self.store.renamed(name, created, new_name).await;
                // So that it is known here at once where its versions stand.
                let read = match moved {
                    Ok(()) => self.stages.refresh(&self.store).await,
                    Err(error) => Err(error),
                };
                read.map_err(|error| error.to_string())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = moved {
            warn!(name, new_name, error, "what was kept of a renamed model is taken anew");
        }
    }

    /// MLflow's answer to a write; where it was lost, what MLflow shows of it, else that nobody knows.
    async fn or_found(
        &self,
        answered: Result<Response<Bytes>, UpstreamError>,
        operation: &Operation,
        begun: jiff::Timestamp,
    ) -> Result<Response<Bytes>, Rejection> {
        let error = match answered {
            Err(error) if may_have_happened(&error) => error,
            other => return Ok(other?),
        };
        let found = aftermath::find_out(&self.facts, &self.mlflow, operation, begun, None).await;
        let mut response = Response::new(found.ok_or(Rejection::Adrift(error))?);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    pub(super) fn order(
        &self,
        operation: &Operation,
        parts: &http::request::Parts,
        stream: Option<Upload<crate::listen::Inbound>>,
        peer: std::net::IpAddr,
        id: &crate::ids::RequestId,
    ) -> Order {
        let forward = write::forward(operation, &parts.headers, self.static_prefix.as_deref());
        let mut headers = write::headers(operation, &forward, &parts.headers, peer);
        headers.insert(crate::ids::X_REQUEST_ID, id.header_value());
        headers.insert(HeaderName::from_static("traceparent"), traceparent(&parts.headers));
        let repeatable = !operation.is_write();
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

/// Ends an upload that has to end, where MLflow is not given all of it yet.
async fn ended(holding: &Holding, far: Option<Far>) {
    if let Some(far) = far {
        holding.cut().await;
        if far.end() {
            return;
        }
    }
    std::future::pending().await
}

async fn whole(response: Response<Reply>) -> Result<Response<Bytes>, UpstreamError> {
    let (parts, body) = response.into_parts();
    let body = upstream::collect(body, ANSWER).await?;
    Ok(Response::from_parts(parts, body))
}

/// Whether MLflow had the request, and the caller is not the one who broke it off.
fn may_have_happened(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Unanswered(_)
        | UpstreamError::ResponseTooLarge { .. }
        | UpstreamError::CutShort(_)
        | UpstreamError::NoRoom(_) => true,
        UpstreamError::NotSent(_) | UpstreamError::CallerBroke(_) | UpstreamError::Unwritable(_) => false,
    }
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

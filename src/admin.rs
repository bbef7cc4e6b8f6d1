//! Health, on a listener of its own: alive, and ready or waiting for what.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::authn::Authenticator;
use crate::authz::watch::Standing;
use crate::listen::{Inbound, Outbound, full};
use crate::ready::Ready;

/// What `/readyz` looks at.
#[derive(Clone)]
pub struct Health {
    /// Who is not ready yet.
    pub ready: Ready,
    /// Whether the newest policies are in force.
    pub standing: Standing,
    /// Whether keys to verify tokens with are here.
    pub authn: Arc<Authenticator>,
    /// Said loudly: refusals are only recorded.
    pub observing: bool,
}

impl Health {
    /// Answers `GET /healthz` and `GET /readyz`, and nothing else.
    #[must_use]
    pub fn answer(&self, request: &Request<Inbound>) -> Response<Outbound> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/healthz") => {
                json(StatusCode::OK, &serde_json::json!({ "alive": true }))
            }
            (&Method::GET | &Method::HEAD, "/readyz") => self.readiness(),
            _ => {
                json(StatusCode::NOT_FOUND, &serde_json::json!({ "error": "here are /healthz and /readyz" }))
            }
        }
    }

    fn readiness(&self) -> Response<Outbound> {
        let mut waiting = self.ready.waiting();
        waiting.extend(self.authn.waiting_for());
        let mut notes: Vec<String> =
            self.ready.blamed().into_iter().map(|(what, reason)| format!("{what}: {reason}")).collect();
        for mistake in self.standing.mistakes().iter().flat_map(|mistakes| mistakes.iter()) {
            notes.push(format!("policies not taken, the old ones are in force: {mistake}"));
        }
        if let Some(why) = self.standing.unkept() {
            notes.push(format!("policies in force and not kept beside the record: {why}"));
        }
        if self.observing {
            notes.push("auth.mode is observe: refusals are recorded, not made".to_owned());
        }
        let ready = waiting.is_empty();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &serde_json::json!({ "ready": ready, "waiting_for": waiting, "notes": notes }))
    }
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Outbound> {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

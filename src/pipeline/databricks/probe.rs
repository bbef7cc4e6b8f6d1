//! The one thing that a client of Databricks' asks before it has a credential to show.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::audit::Trail;
use crate::listen::{Outbound, full};
use crate::reject::Rejection;
use crate::route;

use super::super::{Gate, Sent, answer};

/// Where Databricks tells of a workspace. An empty object tells nothing, and ends the question.
const CONFIG: &str = "/.well-known/databricks-config";

impl Gate {
    /// Whether a request is the probe. Its path is taken in one spelling alone.
    pub(in super::super) fn is_probe(&self, request: &Request<Sent>) -> bool {
        let path = request.uri().path();
        let below = self.static_prefix.as_deref().and_then(|prefix| path.strip_prefix(prefix));
        request.method() == Method::GET && (path == CONFIG || below == Some(CONFIG))
    }

    /// Answers it, without a credential.
    pub(in super::super) fn probe(&self, request: &Request<Sent>, mut trail: Trail) -> Response<Outbound> {
        trail.note_route(CONFIG.to_owned());
        if let Err(misread) = route::refuse_hosts(request.headers(), request.uri(), request.version()) {
            return answer::refuse(&Rejection::from(misread), trail, None, false);
        }
        trail.note_open("the probe with which a client of Databricks' begins");
        let mut response = Response::new(full("{}"));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer::finish(headers, trail.id());
        trail.close(StatusCode::OK);
        response
    }
}

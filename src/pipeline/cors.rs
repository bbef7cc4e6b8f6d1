//! Preflights: answered here, without a credential, and never by MLflow.

use http::{Request, Response, StatusCode};

use super::{Gate, Sent, answer};
use crate::audit::Trail;
use crate::listen::{Outbound, empty};
use crate::reject::Rejection;
use crate::route;

impl Gate {
    pub(super) fn preflight(&self, request: &Request<Sent>, mut trail: Trail) -> Response<Outbound> {
        let asked = request.headers();
        let allowed = route::refuse_hosts(asked, request.uri(), request.version())
            .and_then(|()| self.origins.preflight(asked));
        let headers = match allowed {
            Ok(headers) => headers,
            Err(misread) => return answer::refuse(&Rejection::from(misread), trail, None, false),
        };
        trail.note_open("a preflight of an origin that is named");
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.headers_mut() = headers;
        answer::finish(response.headers_mut(), trail.id());
        trail.close(StatusCode::NO_CONTENT);
        response
    }
}

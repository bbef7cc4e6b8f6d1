//! A request's body, read as far as its row asks for.

use bytes::Bytes;
use http_body::Body as _;

use crate::limit::{self, Slot};
use crate::listen::Inbound;
use crate::reject::Rejection;
use crate::route::table::Form;
use crate::route::{Found, Misread};

/// A request's body.
pub(super) enum Sent {
    /// As it comes.
    Coming(Inbound),
    /// Part of another request, which was read.
    Whole(Bytes),
}

impl Sent {
    /// Whether there is none.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::Coming(body) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }
}

/// The body of a request, whole; or as it comes, for a row whose file streams.
pub(super) async fn take_body(
    found: &Found,
    body: Sent,
    slot: &mut Slot,
) -> Result<(Bytes, Option<Inbound>), Rejection> {
    let body = match body {
        Sent::Coming(body) => body,
        Sent::Whole(bytes) => return Ok((bytes, None)),
    };
    match found.row.form {
        Form::Upload => Ok((Bytes::new(), Some(body))),
        Form::SmallFile(_) => Ok((limit::read_json_body(body, SMALL_FILE, slot).await?, None)),
        Form::Nothing => without_body(&body),
        Form::Message(_) | Form::Free | Form::Graphql if found.row.reads_query() => without_body(&body),
        Form::Message(_) | Form::Free | Form::Graphql | Form::Spans => {
            Ok((limit::read_json_body(body, limit::JSON_BODY, slot).await?, None))
        }
    }
}

/// MLflow reads the body of a GET that has no query (`handlers.py` `_get_request_message`); here it must have none.
fn without_body(body: &Inbound) -> Result<(Bytes, Option<Inbound>), Rejection> {
    if body.is_end_stream() { Ok((Bytes::new(), None)) } else { Err(Misread::Body.into()) }
}

/// The most that MLflow takes in one `upload-artifact` (`handlers.py` `upload_artifact_handler`).
const SMALL_FILE: usize = 10 * 1024 * 1024;

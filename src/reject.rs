//! Every refusal and failure as an answer: one table from what went wrong to status, code and sentence.
//!
//! MLflow's Python client repeats 408, 429 and 5xx for minutes and then loses the sentence
//! (`mlflow/utils/rest_utils.py`), so a refusal is never one of these.

use http::{HeaderValue, Response, StatusCode, header};

use crate::audit::JournalError;
use crate::authn::Unauthenticated;
use crate::authz::Denied;
use crate::facts::FactError;
use crate::filter::Unreadable;
use crate::govern::Broken;
use crate::ids::{RequestId, X_REQUEST_ID};
use crate::limit::{BodyError, OverLimit};
use crate::listen::{Outbound, full};
use crate::lists::ListError;
use crate::principal::UserId;
use crate::registry::{BadQuestion, SearchError};
use crate::route::Misread;
use crate::store::StoreError;
use crate::upstream::UpstreamError;

/// Why a request is not answered by MLflow.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// Too much at once.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// It could not be told about.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nobody that is known.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// Not a request that two readers read alike.
    #[error(transparent)]
    Misread(#[from] Misread),
    /// Its body did not come, or was too much.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The policy.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The policy, about something that the caller did not name.
    #[error("{shown}")]
    Untold {
        /// What the caller is told.
        shown: Denied,
        /// What it was about, for the line of the request.
        found: Box<Denied>,
    },
    /// The policy, about files: the sentence does not say whose they are, or whether they are anybody's.
    #[error("{principal} may not do this: these files are in no run or model that is open to this principal")]
    NotTheirs {
        /// Who was refused.
        principal: UserId,
        /// What it was about, for the line of the request.
        found: Box<Denied>,
    },
    /// An upload that was under way when its files were registered.
    #[error("the upload was ended because its files are being registered")]
    CutOff,
    /// A house rule.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// A rule needs the state store, and it did not answer. Nothing was sent on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// MLflow could not be asked what had to be known first. Nothing was sent on.
    #[error(transparent)]
    Fact(#[from] FactError),
    /// MLflow did not answer, and nothing was changed.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A write was sent and nobody knows what became of it.
    #[error("mlflow did not say what became of this write; look before you repeat it")]
    Adrift(#[source] UpstreamError),
    /// A page of a list.
    #[error(transparent)]
    List(#[from] ListError),
    /// MLflow has no such version, in its words (`store/model_registry/sqlalchemy_store.py`).
    #[error("Model Version (name={0}, version={1}) not found")]
    NoVersion(String, u64),
    /// A question to sekisho's own search.
    #[error(transparent)]
    Question(#[from] BadQuestion),
    /// It could not be answered.
    #[error(transparent)]
    Search(SearchError),
    /// MLflow's answer could not be filtered.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// What the caller is told.
struct Face {
    status: StatusCode,
    code: &'static str,
    retry_after: Option<u64>,
}

const fn face(status: StatusCode, code: &'static str) -> Face {
    Face { status, code, retry_after: None }
}

/// Long enough for an MLflow that restarts; the Python client then gives up after 14 s instead of four minutes.
const SOON: Option<u64> = Some(2);

fn too_much(over: &OverLimit) -> Face {
    let (status, code) = match over {
        OverLimit::InFlight => (StatusCode::SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE"),
        OverLimit::Share(_) | OverLimit::Rate { .. } | OverLimit::Large => {
            (StatusCode::TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED")
        }
    };
    Face { status, code, retry_after: Some(over.retry_after()) }
}

/// What the request itself could be written otherwise to hold is 400.
fn face_of_rule(broken: &Broken) -> Face {
    match broken {
        Broken::Source(_)
        | Broken::HiddenTag
        | Broken::Name(_)
        | Broken::LookAlike(_)
        | Broken::Metadata(_)
        | Broken::TooMuch(_)
        | Broken::Incomplete(_) => face(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE"),
        Broken::ProtectedTag(_)
        | Broken::PromptTag
        | Broken::NoPrompt
        | Broken::KeptByMlflow(_)
        | Broken::Presigned
        | Broken::SourceNotReadable => face(StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
    }
}

impl Rejection {
    fn face(&self) -> Face {
        let unavailable = Face {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "TEMPORARILY_UNAVAILABLE",
            retry_after: SOON,
        };
        match self {
            Self::OverLimit(over) | Self::Body(BodyError::NoRoom(over)) => too_much(over),
            Self::Journal(_) => unavailable,
            Self::Unauthenticated(_) => face(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::Misread(Misread::NoRoute(_)) => face(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND"),
            Self::Misread(Misread::CrossSite | Misread::Preflight(_)) => {
                face(StatusCode::FORBIDDEN, "PERMISSION_DENIED")
            }
            Self::Misread(_) | Self::Body(_) => face(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE"),
            Self::Broken(broken) => face_of_rule(broken),
            Self::Question(_) | Self::Search(SearchError::Question(_)) => {
                face(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE")
            }
            Self::Denied(_) | Self::Untold { .. } | Self::NotTheirs { .. } => {
                face(StatusCode::FORBIDDEN, "PERMISSION_DENIED")
            }
            Self::Store(_) => face(StatusCode::FAILED_DEPENDENCY, "TEMPORARILY_UNAVAILABLE"),
            Self::Fact(FactError::TooMany) => face(StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            Self::Fact(FactError::Status(status)) if status.is_client_error() => {
                face(StatusCode::FORBIDDEN, "PERMISSION_DENIED")
            }
            Self::Fact(
                FactError::Upstream(_)
                | FactError::Status(_)
                | FactError::Unreadable(_)
                | FactError::Unsettled,
            ) => unavailable,
            Self::Upstream(error) | Self::List(ListError::Upstream(error)) => match error {
                UpstreamError::NoRoom(over) => too_much(over),
                UpstreamError::NotSent(_) | UpstreamError::Unanswered(_) | UpstreamError::CutShort(_) => {
                    unavailable
                }
                UpstreamError::CallerBroke(_)
                | UpstreamError::Unwritable(_)
                | UpstreamError::ResponseTooLarge { .. } => {
                    face(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE")
                }
            },
            Self::List(ListError::Token(_) | ListError::MaxResults { .. } | ListError::Escape) => {
                face(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE")
            }
            Self::List(ListError::Key(_)) => unavailable,
            Self::List(ListError::Status(_) | ListError::Unreadable(_)) => {
                face(StatusCode::BAD_GATEWAY, "INTERNAL_ERROR")
            }
            Self::NoVersion(..) => face(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST"),
            Self::Search(SearchError::Fact(_) | SearchError::Key(_)) => unavailable,
            Self::Adrift(_) | Self::CutOff => face(StatusCode::CONFLICT, "ABORTED"),
            Self::Unreadable(_) => face(StatusCode::BAD_GATEWAY, "INTERNAL_ERROR"),
        }
    }

    /// The whole story, for the line of the request and the log.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Upstream(error)
            | Self::Adrift(error)
            | Self::Fact(FactError::Upstream(error))
            | Self::List(ListError::Upstream(error)) => error.detail(),
            Self::List(
                ListError::Token(_)
                | ListError::MaxResults { .. }
                | ListError::Escape
                | ListError::Status(_)
                | ListError::Unreadable(_)
                | ListError::Key(_),
            ) => self.to_string(),
            Self::Store(error) => error.detail(),
            Self::Untold { found, .. } | Self::NotTheirs { found, .. } => found.to_string(),
            Self::OverLimit(_)
            | Self::NoVersion(..)
            | Self::Question(_)
            | Self::Search(_)
            | Self::Journal(_)
            | Self::Unauthenticated(_)
            | Self::Misread(_)
            | Self::Body(_)
            | Self::Denied(_)
            | Self::Broken(_)
            | Self::CutOff
            | Self::Unreadable(_) => self.to_string(),
            Self::Fact(
                FactError::Status(_) | FactError::Unreadable(_) | FactError::Unsettled | FactError::TooMany,
            ) => self.to_string(),
        }
    }

    /// Whether it is our doing or MLflow's, and worth a line in the log.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        let status = self.face().status;
        status.is_server_error() || matches!(status, StatusCode::CONFLICT | StatusCode::FAILED_DEPENDENCY)
    }

    /// The answer, in MLflow's form. `graphql` is the root field of a GraphQL request, whose page shows the reason only
    /// where it comes with 200 and `errors`.
    #[must_use]
    pub fn answer(&self, id: &RequestId, graphql: Option<&str>) -> Response<Outbound> {
        let Face { status, code, retry_after } = self.face();
        let sentence = match self {
            Self::Adrift(_) => format!("{self} (request {id})"),
            Self::OverLimit(_)
            | Self::Journal(_)
            | Self::Unauthenticated(_)
            | Self::Misread(_)
            | Self::Body(_)
            | Self::Denied(_)
            | Self::Untold { .. }
            | Self::NotTheirs { .. }
            | Self::Broken(_)
            | Self::CutOff
            | Self::Store(_)
            | Self::Fact(_)
            | Self::List(_)
            | Self::NoVersion(..)
            | Self::Question(_)
            | Self::Search(_)
            | Self::Upstream(_)
            | Self::Unreadable(_) => self.to_string(),
        };
        let refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST);
        let (status, body) = match graphql.filter(|_| refused) {
            Some(root) => {
                let data =
                    if root.is_empty() { serde_json::Value::Null } else { serde_json::json!({ root: null }) };
                (StatusCode::OK, serde_json::json!({ "data": data, "errors": [sentence] }))
            }
            None => (status, serde_json::json!({ "error_code": code, "message": sentence })),
        };
        let mut response = Response::new(full(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(X_REQUEST_ID, id.header_value());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if status == StatusCode::UNAUTHORIZED {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sekisho\""));
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"sekisho\", charset=\"UTF-8\""),
            );
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self, Self::Body(_)) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_state_store_that_is_away_is_424_and_named() {
        let rejection = Rejection::from(StoreError::Waiting(Kind::Postgres));
        assert!(rejection.is_failure(), "it is worth a line in the log");
        let answer = rejection.answer(&RequestId::kept_or_new(None), None);
        assert_eq!(
            (answer.status(), answer.headers().get(header::RETRY_AFTER)),
            (StatusCode::FAILED_DEPENDENCY, None)
        );
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let sentence = "the state store (PostgreSQL) cannot be used at the moment";
        assert_eq!(body, serde_json::json!({ "error_code": "TEMPORARILY_UNAVAILABLE", "message": sentence }));
    }
}

//! Every refusal and failure as an answer: one table from what went wrong to status, code and sentence.
//!
//! MLflow's Python client repeats 408, 429 and 5xx for minutes and then loses the sentence
//! (`mlflow/utils/rest_utils.py`), so a refusal is never one of these.

use http::{HeaderValue, Response, StatusCode, header};

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
use crate::record::Unrecorded;
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
    /// A write could not be told about before it was done.
    #[error("writes are refused for now: {0}")]
    Unrecorded(#[from] Unrecorded),
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
    /// The policy, about the files that a source names: the sentence does not say whether there are any.
    #[error("{}", Broken::SourceNotReadable)]
    HiddenSource(Box<Denied>),
    /// An upload that was under way when its files were registered.
    #[error("the upload was ended because its files are being registered or closed")]
    CutOff,
    /// Files of a version that has left `Development`; which one, for those who may see it.
    #[error("nobody changes these files: they are those of {}", .0.as_deref().unwrap_or("a version past Development"))]
    Frozen(Option<String>),
    /// A version in Production, or a model that has one, is not deleted, nor renamed.
    #[error("version {1} of {0} is in Production: archive it first")]
    InProduction(String, u64),
    /// Somebody has not ended to write the files of a version, which were to be closed.
    #[error("files of version {1} of {0} are still being written: ask again when that has ended")]
    StillWritten(String, u64),
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
    /// There is no such request for a transition, or none that the caller may see.
    #[error("there is no request {0}")]
    NoRequest(i64),
    /// There is none of these, or none that the caller may see.
    #[error("there is no such {0}")]
    NoSuch(&'static str),
    /// A part of Databricks' registry that is not served.
    #[error("{0}")]
    Off(&'static str),
    /// Somebody else changed the version at the same moment.
    #[error("somebody else changes this version at this moment; look where it stands before you repeat this")]
    Overtaken,
    /// The same batch, by its idempotency key, is under way.
    #[error("a batch with this idempotency key is under way: repeat it when that has ended")]
    SameBatch,
    /// A transition was begun and could not be written to the end.
    #[error("the transition was begun and mlflow does not answer; it will be ended by itself")]
    HalfWritten(#[source] FactError),
    /// A transition was made, and a version that it was to take the place of still stands there.
    #[error("the version stands there now, and version {version} could not be archived: {error}")]
    NotArchived {
        /// Which one.
        version: u64,
        /// Why.
        error: Box<Rejection>,
    },
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
        | Broken::EvidenceTooEarly(_)
        | Broken::Incomplete(_) => face(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE"),
        Broken::ProtectedTag(_)
        | Broken::PromptTag
        | Broken::NoPrompt
        | Broken::KeptByMlflow(_)
        | Broken::Stage(_)
        | Broken::Bytes(_)
        | Broken::AskerMayNot(_)
        | Broken::OwnRequest
        | Broken::NotTheirRequest
        | Broken::NotTheirComment
        | Broken::Presigned
        | Broken::SourceNotReadable => face(StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
    }
}

/// A question of ours that MLflow refuses is the caller's to mend; one that it does not answer is nobody's.
fn face_of_fact(error: &FactError) -> Face {
    match error {
        FactError::TooMany => face(StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        FactError::Status(status) if status.is_client_error() => {
            face(StatusCode::FORBIDDEN, "PERMISSION_DENIED")
        }
        FactError::Upstream(_) | FactError::Status(_) | FactError::Unreadable(_) | FactError::Unsettled => {
            UNAVAILABLE
        }
    }
}

/// MLflow, or what is asked of it, is away.
const UNAVAILABLE: Face =
    Face { status: StatusCode::SERVICE_UNAVAILABLE, code: "TEMPORARILY_UNAVAILABLE", retry_after: SOON };

impl Rejection {
    fn face(&self) -> Face {
        match self {
            Self::OverLimit(over) | Self::Body(BodyError::NoRoom(over)) => too_much(over),
            Self::Unrecorded(_) => face(StatusCode::INSUFFICIENT_STORAGE, "RESOURCE_EXHAUSTED"),
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
            Self::Denied(_)
            | Self::Untold { .. }
            | Self::NotTheirs { .. }
            | Self::HiddenSource(_)
            | Self::Frozen(_)
            | Self::InProduction(..) => face(StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            Self::Store(_) => face(StatusCode::FAILED_DEPENDENCY, "TEMPORARILY_UNAVAILABLE"),
            Self::Fact(error) => face_of_fact(error),
            Self::Upstream(error) | Self::List(ListError::Upstream(error)) => match error {
                UpstreamError::NoRoom(over) => too_much(over),
                UpstreamError::NotSent(_) | UpstreamError::Unanswered(_) | UpstreamError::CutShort(_) => {
                    UNAVAILABLE
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
            Self::List(ListError::Key(_)) => UNAVAILABLE,
            Self::List(ListError::Status(_) | ListError::Unreadable(_)) => {
                face(StatusCode::BAD_GATEWAY, "INTERNAL_ERROR")
            }
            Self::NoVersion(..) | Self::NoRequest(_) | Self::NoSuch(_) => {
                face(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST")
            }
            Self::Off(_) => face(StatusCode::NOT_FOUND, "FEATURE_DISABLED"),
            Self::Search(SearchError::Fact(_) | SearchError::Key(_)) => UNAVAILABLE,
            Self::Adrift(_)
            | Self::CutOff
            | Self::StillWritten(..)
            | Self::Overtaken
            | Self::SameBatch
            | Self::HalfWritten(_)
            | Self::NotArchived { .. } => face(StatusCode::CONFLICT, "ABORTED"),
            Self::Unreadable(_) => face(StatusCode::BAD_GATEWAY, "INTERNAL_ERROR"),
        }
    }

    /// The status that a caller is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.face().status
    }

    /// MLflow's `error_code` for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.face().code
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
            Self::Untold { found, .. } | Self::NotTheirs { found, .. } | Self::HiddenSource(found) => {
                found.to_string()
            }
            Self::OverLimit(_)
            | Self::NoVersion(..)
            | Self::NoRequest(_)
            | Self::NoSuch(_)
            | Self::Off(_)
            | Self::Overtaken
            | Self::SameBatch
            | Self::HalfWritten(_)
            | Self::NotArchived { .. }
            | Self::Question(_)
            | Self::Search(_)
            | Self::Unrecorded(_)
            | Self::Unauthenticated(_)
            | Self::Misread(_)
            | Self::Body(_)
            | Self::Denied(_)
            | Self::Broken(_)
            | Self::CutOff
            | Self::Frozen(_)
            | Self::InProduction(..)
            | Self::StillWritten(..)
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
        let mut sentence = self.to_string();
        if let Self::Adrift(_) = self {
            sentence.push_str(&format!(" (request {id})"));
        }
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

//! How far a request to MLflow came.

use std::error::Error as _;

use crate::limit::OverLimit;
use crate::listen::BoxError;

use super::ReplyError;

/// How far a request came. `Display` names no address; [`UpstreamError::detail`] does, for the log.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Not a byte of it reached MLflow.
    #[error("mlflow cannot be reached")]
    NotSent(#[source] BoxError),
    /// It was sent, or may have been, and no answer came.
    #[error("mlflow did not answer")]
    Unanswered(#[source] BoxError),
    /// The caller's own body broke off, stalled, or was not as long as announced. MLflow saw part of it.
    #[error("the request's body broke off")]
    CallerBroke(#[source] BoxError),
    /// The order is no HTTP request: the path is too long, for one.
    #[error("the request cannot be written as one for mlflow")]
    Unwritable(#[source] BoxError),
    /// The answer is larger than what [`collect`](super::collect) was allowed to keep.
    #[error("mlflow's answer is larger than {ceiling} bytes")]
    ResponseTooLarge {
        /// The ceiling in bytes.
        ceiling: usize,
    },
    /// The answer may be well, but there is no room for it now.
    #[error(transparent)]
    NoRoom(#[from] OverLimit),
    /// The answer's head came and its body broke off.
    #[error("mlflow's answer broke off")]
    CutShort(#[source] ReplyError),
}

impl UpstreamError {
    /// The same for others who wait for the same answer.
    #[must_use]
    pub fn to_others(&self) -> Self {
        let cause = || self.detail().into();
        match self {
            Self::NotSent(_) => Self::NotSent(cause()),
            Self::Unwritable(_) => Self::Unwritable(cause()),
            Self::ResponseTooLarge { ceiling } => Self::ResponseTooLarge { ceiling: *ceiling },
            Self::NoRoom(_) => Self::NoRoom(OverLimit::Large),
            Self::Unanswered(_) | Self::CallerBroke(_) | Self::CutShort(_) => Self::Unanswered(cause()),
        }
    }

    /// The whole chain of causes, addresses included: for the log, never for a caller.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut said = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            said = format!("{said}: {error}");
            cause = error.source();
        }
        said
    }
}

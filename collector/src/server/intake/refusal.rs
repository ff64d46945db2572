//! Error answers. Their text is for the caller; the cause goes to the log.

use crate::store::StoreError;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pingtong_cli::chain;
use serde::{Deserialize, Serialize};

/// An error answer: its status and its text.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: String,
}

/// The JSON body of every error answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RefusalBody {
    /// What is wrong and what to do.
    pub(crate) error: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    pub(crate) fn unauthorised() -> Self {
        let error = "the credential is not valid here; enroll the agent again with \"pingtong enroll\"";
        Self::new(StatusCode::UNAUTHORIZED, error)
    }

    pub(crate) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        tracing::error!(error = %chain(&error), "the store refused");
        let text = match status {
            StatusCode::INSUFFICIENT_STORAGE => {
                "the collector's disk is full; nothing was kept, keep it and send it again"
            }
            _ => "the collector cannot use its store now; nothing was kept, keep it and send it again",
        };
        Self::new(status, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(RefusalBody { error: self.error })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_other_trouble_and_says_that_nothing_was_kept() {
        let full = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
        let refusal = Refusal::from(StoreError::of("keep reports")(full));
        assert_eq!(refusal.status, StatusCode::INSUFFICIENT_STORAGE);
        assert!(refusal.error.contains("nothing was kept"));
        assert_eq!(Refusal::from(StoreError::Closed).status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

//! An error of the API: HTTP status, the vendor's code, and a message.
//!
//! Whatever reads parameters, checks a call or carries it out answers with one; `wire` writes it as JSON.

use serde_json::Value;

/// An error as the API answers it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    /// `AccessDeniedDetail` of RAM denials.
    pub(super) denied: Option<Value>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), denied: None }
    }
}

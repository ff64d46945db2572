//! An error of the API: HTTP status, the vendor's code, and a message.
//!
//! Whatever reads parameters, checks a call or carries it out answers with one; `wire` writes it as JSON.

use serde_json::Value;

/// An error as the API answers it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cloud) struct Refusal {
    pub(in crate::cloud) status: u16,
    pub(in crate::cloud) code: String,
    pub(in crate::cloud) message: String,
    /// `AccessDeniedDetail` of RAM denials.
    pub(in crate::cloud) denied: Option<Value>,
}

impl Refusal {
    pub(in crate::cloud) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), denied: None }
    }
}

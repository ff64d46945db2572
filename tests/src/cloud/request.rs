//! A request to the OpenAPI endpoint, decoded but not yet trusted.
//!
//! `wire` builds it from HTTP. It holds what authentication, the call and its record need of the transport, and knows
//! the places where the two signature forms put the action and the version.

use super::params::Params;
use axum::{body::Bytes, http::HeaderMap};
use std::{collections::BTreeMap, net::IpAddr};

/// A request, decoded but not yet trusted.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    /// The request id, which the answer repeats.
    pub(super) id: String,
    /// The source address, if the server provides it.
    pub(super) source: Option<IpAddr>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Query and form together.
    pub(super) params: Params,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The action: a header in ACS3, a parameter in RPC.
    pub(super) fn action(&self) -> Option<&str> {
        self.header("x-acs-action").or_else(|| self.params.get("Action"))
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.header("x-acs-version").or_else(|| self.params.get("Version"))
    }
}

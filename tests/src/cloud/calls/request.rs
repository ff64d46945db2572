//! A request to the OpenAPI endpoint, decoded but not yet trusted.
//!
//! `wire` builds it from HTTP. It holds what authentication, the call and its record need of the transport, and knows
//! the places where the two signature forms put the action and the version.

use crate::cloud::calls::params::Params;
use axum::{body::Bytes, http::HeaderMap};
use std::{collections::BTreeMap, net::IpAddr};

/// A request, decoded but not yet trusted.
pub(in crate::cloud) struct Request {
    pub(in crate::cloud) method: String,
    pub(in crate::cloud) path: String,
    pub(in crate::cloud) query: BTreeMap<String, String>,
    /// The request id, which the answer repeats.
    pub(in crate::cloud) id: String,
    /// The source address, if the server provides it.
    pub(in crate::cloud) source: Option<IpAddr>,
    pub(in crate::cloud) headers: HeaderMap,
    pub(in crate::cloud) body: Bytes,
    /// Query and form together.
    pub(in crate::cloud) params: Params,
}

impl Request {
    pub(in crate::cloud) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The action: a header in ACS3, a parameter in RPC.
    pub(in crate::cloud) fn action(&self) -> Option<&str> {
        self.header("x-acs-action").or_else(|| self.params.get("Action"))
    }

    pub(in crate::cloud) fn version(&self) -> Option<&str> {
        self.header("x-acs-version").or_else(|| self.params.get("Version"))
    }
}

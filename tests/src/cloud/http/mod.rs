//! The OpenAPI endpoint and what it serves.

pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod signature;
pub(crate) mod wire;

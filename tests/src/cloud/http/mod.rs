//! Calls of the OpenAPI: signatures, their check, and a client.

pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod signature;

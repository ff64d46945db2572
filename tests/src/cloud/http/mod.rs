//! The OpenAPI endpoint and what it serves.

pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod meter;
pub(crate) mod page;
pub(crate) mod params;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod service;
pub(crate) mod signature;
pub(crate) mod wire;

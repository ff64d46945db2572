//! Objects of an account that decide which packets pass.

pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod instance;
pub(crate) mod interconnect;
pub(crate) mod network;
pub(crate) mod route;

//! What every call stands on: keys, endpoints, HTTP, the two signature forms on the wire, and rows of answers.

pub(crate) mod access_key;
pub(crate) mod clock;
pub(crate) mod endpoint;
pub(crate) mod http;
pub(crate) mod row;
pub(crate) mod wire;

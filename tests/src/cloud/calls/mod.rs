//! What calls are made of: requests, their parameters, pages of answers, refusals, and the counters behind metrics.

pub(crate) mod meter;
pub(crate) mod page;
pub(crate) mod params;
pub(crate) mod refusal;
pub(crate) mod request;

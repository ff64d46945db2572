//! Ring 2: start from the healthy tutorial, break one thing, expect exactly these causes.
//!
//! The builder creates the tutorial's configuration and derives the observations on the wire from a list of faults, so
//! that a case states only what is broken and what must be blamed.

pub(crate) mod answer;
mod cases;
mod changes;
mod composed;
pub(crate) mod configuration;
mod facts;
pub(crate) mod flows;
mod guests;
mod refuted;
pub(crate) mod rules;
mod summary;
mod whole_filter;
pub(crate) mod wire;
pub(crate) mod world;

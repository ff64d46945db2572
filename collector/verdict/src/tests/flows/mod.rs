//! Paths of single flows, and where they end.

pub(crate) mod estates;
pub(crate) mod inside;
pub(crate) mod path_stops;
pub(crate) mod paths;
pub(crate) mod points;
pub(crate) mod ways;

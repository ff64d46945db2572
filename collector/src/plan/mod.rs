//! Which pairs there are, whom each agent probes, and how much its probes may take.

pub(crate) mod budget;
pub(crate) mod roster;

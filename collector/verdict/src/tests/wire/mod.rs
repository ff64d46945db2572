//! What was seen of packets.

pub(crate) mod arrivals;
pub(crate) mod counts;
pub(crate) mod impaired;
pub(crate) mod loads;
pub(crate) mod losses;
pub(crate) mod observed;
pub(crate) mod own_loads;
pub(crate) mod partial;
pub(crate) mod ports;
pub(crate) mod quality;
pub(crate) mod sizes;
pub(crate) mod usual_times;

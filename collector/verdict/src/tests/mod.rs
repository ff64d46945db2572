//! Ring 2: start from the healthy tutorial, break one thing, expect exactly these causes.
//!
//! The builder makes the tutorial's configuration and derives what the wire would show from a fault list, so that a case
//! says what is broken and what must be blamed, and nothing else.

mod cases;
mod changes;
mod composed;
mod counts;
mod customs;
mod guests;
mod house;
mod impaired;
pub(crate) mod links;
mod names;
mod onset;
mod onset_when;
mod partial;
mod path_stops;
pub(crate) mod paths;
mod properties;
mod quality;
mod redacted;
mod repairs;
mod sizes;
mod stages;
mod third;
pub(crate) mod transit;
mod transit_choice;
pub(crate) mod world;

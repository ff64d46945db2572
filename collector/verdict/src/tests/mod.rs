//! Ring 2: start from the healthy tutorial, break one thing, expect exactly these causes.
//!
//! The builder makes the tutorial's configuration and derives what the wire would show from a fault list, so that a case
//! says what is broken and what must be blamed, and nothing else.

mod cases;
mod composed;
mod counts;
mod guests;
mod house;
mod links;
mod onset;
mod partial;
mod ports;
mod properties;
mod quality;
mod redacted;
mod repairs;
mod third;
mod transit;
pub(crate) mod world;

//! Ring 2: start from the healthy tutorial, break one thing, expect exactly these causes.
//!
//! The builder makes the tutorial's configuration and derives what the wire would show from a fault list, so that a case
//! says what is broken and what must be blamed, and nothing else.

mod arrivals;
mod cases;
mod changes;
mod checklist;
mod composed;
mod counts;
mod edits;
mod estates;
mod facts;
mod gateways;
mod guests;
mod house;
mod inside;
mod joins;
pub(crate) mod links;
mod meant;
mod next;
mod observed;
mod onset;
mod partial;
mod path_stops;
pub(crate) mod paths;
mod peerings;
mod ports;
mod properties;
mod quality;
mod redacted;
mod repairs;
mod third;
mod told;
pub(crate) mod transit;
mod unread;
mod ways;
pub(crate) mod world;

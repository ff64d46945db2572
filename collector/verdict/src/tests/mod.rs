//! Ring 2: start from the healthy tutorial, break one thing, expect exactly these causes.
//!
//! The builder creates the tutorial's configuration and derives the observations on the wire from a list of faults, so
//! that a case states only what is broken and what must be blamed.

mod arrivals;
mod asks;
mod bundles;
mod cases;
mod changes;
mod checklist;
mod composed;
mod counts;
mod customs;
mod estates;
mod facts;
mod gateways;
mod groups;
mod guests;
mod house;
mod hubs;
mod impaired;
mod inside;
mod joins;
pub(crate) mod links;
mod loads;
mod losses;
mod meant;
mod names;
mod next;
mod observed;
mod onset;
mod onset_when;
mod open;
mod own_loads;
mod partial;
mod path_stops;
pub(crate) mod paths;
mod peerings;
mod points;
mod ports;
mod properties;
mod quality;
mod redacted;
mod refuted;
mod repairs;
mod routes;
pub(crate) mod rules;
mod sizes;
mod stages;
mod stops;
mod third;
mod told;
pub(crate) mod transit;
mod transit_choice;
mod unread;
mod ways;
pub(crate) mod world;

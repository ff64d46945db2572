//! The project's tests that need more than one crate: the house itself, and the lab end to end.

mod house;
mod scenarios;

//! The project's tests that need more than one crate: the structure of the code base, and the lab end to end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests say why by failing")]
#![allow(clippy::disallowed_methods, reason = "a test reads its environment and owns its tasks")]

mod circles;
mod differential;
mod documents;
mod help;
mod house;
mod interop;
mod large;
mod probe;
mod scenarios;
mod sdk;
mod tutorial;
mod untouched;
mod words;

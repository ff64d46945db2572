//! The mass machine under a virtual clock: what other pingers got wrong, traces against a naive model, and its pace.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod lies;
mod pace;
mod traces;
mod world;

//! Mass probing under a virtual clock: bugs of other pingers, traces against a naive model, and its pace.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod lies;
mod pace;
mod traces;
mod world;

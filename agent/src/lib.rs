//! The agent of pingtong: the I/O layer around the sans-IO prober.
//!
//! It probes the addresses that both its plan and its allow list name, records which probes of other agents arrive,
//! reads its own host and its own account's configuration, and reports all that to the collector. It draws no
//! conclusions and changes nothing.

mod backoff;
mod bpf;
pub mod check;
pub mod cli;
pub mod clock;
pub mod doctor;
pub mod engine;
pub mod facts;
pub mod ping;
pub mod ports;
pub mod privilege;
pub mod probing;
pub mod render;
pub mod run;
pub mod settings;
pub mod snapshot;
pub mod uplink;

pub use pingtong_cli::{Exit, Lang, chain};

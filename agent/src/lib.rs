//! The agent of pingtong: the I/O shell around the sans-IO prober.
//!
//! It probes the addresses that its plan and its allow list agree on, records which probes of other agents arrive,
//! reads its own host and its own account's configuration, and reports all that to the collector. It judges nothing and
//! changes nothing.

pub mod cli;
pub mod clock;
pub mod collector;
pub mod doctor;
pub mod engine;
pub mod facts;
pub mod oneshot;
pub mod ping;
pub mod port_echo;
pub mod port_probing;
pub mod port_tap;
pub mod privilege;
pub mod probing;
pub mod render;
pub mod run;
pub mod settings;
pub mod snapshot;
pub mod spool;

mod alarm;
mod backoff;
mod bpf;
pub mod check_extras;
mod fresh;
mod hop_check;
mod lang;
mod load_check;
mod outbox;
mod path_size_check;
mod path_sizes;
mod plan_load;
mod plan_watch;
mod port_check;
mod port_sockets;
mod targets;
mod uplink;

pub use lang::Lang;
pub use uplink::chain;

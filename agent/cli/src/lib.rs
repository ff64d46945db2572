//! What the programs `pingtong` and `pingtong-agent` share with their user.
//!
//! Code map: [`environment`] reads the locale, the log filter and the wish for no colour; [`help`] parses a command line
//! and shows its help in one language, [`refusal`] does so for mistakes on it; [`Exit`] defines the exit codes;
//! [`chain`] prints an error with its causes; [`document`] reads TOML and reports every mistake at once; [`log`] starts
//! the log; [`wrapped`] wraps text.
//!
//! Boundary: nothing here knows a network, an account or a collector.

pub mod document;
pub mod environment;
mod errors;
mod exit;
pub mod help;
pub mod log;
mod refusal;
mod wrap;

pub use errors::chain;
pub use exit::Exit;
pub use log::LogFormat;
pub use pingtong_evidence::Lang;
pub use wrap::wrapped;

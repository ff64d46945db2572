//! The collector of pingtong and its commands.
//!
//! Code map: [`settings`] reads `collector.toml`; `document` reads TOML with every mistake at once; `data_dir` holds
//! certificate and tokens; [`store`] keeps evidence, `keeper` owns its threads; `roster` derives pairs and plans;
//! `board` is what handlers share; `intake` is the HTTP interface; `gathering` follows one request for fresh evidence;
//! `grants` reads accounts that grant a role; `judge` builds the verdict engine's question; `watch` looks at every pair steadily; `run` owns the server;
//! `offline` makes questions from saved snapshots; `client`, `bundle`, `enroll`, `snapshot`, `policy`, `cli` are the commands;
//! `bench` measures the verdict engine against worlds of declared truth; `render` is the only module that prints.
//!
//! Absences: nothing but `clock` reads the clock, nothing but `settings` the environment, nothing but `render` prints,
//! nothing here decides a verdict (`pingtong-verdict` does), nothing but `grants` and `snapshot` calls the cloud, and only to read.

mod audit;
pub mod bench;
mod board;
mod budget;
mod bundle;
pub mod cli;
mod client;
mod clock;
mod credential;
mod data_dir;
mod document;
mod enroll;
mod gathering;
mod grants;
mod history;
mod intake;
mod judge;
mod keeper;
mod metrics;
mod offline;
mod policy;
mod render;
mod roster;
mod run;
pub mod settings;
mod snapshot;
pub mod store;
mod watch;

pub use document::{Mistake, Mistakes};

//! The collector of pingtong and its commands.
//!
//! Code map: [`settings`] reads `collector.toml`; `data_dir`
//! holds certificate and tokens, `credential` handles secrets; [`store`] keeps evidence, `keeper` owns its threads;
//! `plan` derives pairs (`roster`) and what their probes may take (`budget`); `server` is `serve`: what handlers share,
//! the HTTP interface (`intake`), one request for fresh evidence (`gathering`), accounts that grant a role (`grants`),
//! the periodic look at every pair (`watch`), `metrics`; `evidence` builds the verdict engine's question and adds the
//! past to it; [`commands`] are the commands; `render` is the only module that prints.
//!
//! Boundaries: only `clock` reads the wall clock, only `settings` reads the environment, and only `render` prints. No
//! module here decides a verdict (`pingtong-verdict` does). Only `server::grants` and `commands::snapshot` call the cloud, and only to
//! read.

mod clock;
pub mod commands;
mod credential;
mod data_dir;
mod evidence;
mod keeper;
mod plan;
mod render;
mod server;
pub mod settings;
pub mod store;

pub use pingtong_cli::document::{Mistake, Mistakes};

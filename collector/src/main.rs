//! The binary `pingtong`: parses the arguments, starts the log, runs the command, and returns its exit code.

use pingtong::commands::{self, Cli};
use pingtong_cli::{Exit, help, log};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (cli, lang) = match help::parse::<Cli>() {
        Ok(parsed) => parsed,
        Err(exit) => return exit.into(),
    };
    log::start(cli.log_format, "warn,pingtong=info");
    if let Err(error) = pingtong_cloud::keep_out_of_core_dumps() {
        tracing::warn!(%error, "a crash may leave credentials in a core dump: set the limit on core files to 0");
    }
    // One provider for server and client; a second call finds it already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(commands::run(cli, lang)),
        Err(error) => Err((Exit::Failure, anyhow::Error::new(error).context("cannot start the run time"))),
    };
    let exit = outcome.unwrap_or_else(|(exit, error)| {
        commands::complain(&error, lang);
        exit
    });
    exit.into()
}

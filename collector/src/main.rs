//! The binary `pingtong`: parses the arguments, starts the log, runs the command, and returns its exit code.

use clap::Parser;
use pingtong::{
    commands::{self, Cli, Exit, LogFormat},
    settings,
};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
            // If even that cannot be written, there is nothing left to report.
            let _ = error.print();
            return ExitCode::from(code as u8);
        }
    };
    start_log(cli.log_format);
    if let Err(error) = pingtong_cloud::keep_out_of_core_dumps() {
        tracing::warn!(%error, "a crash may leave credentials in a core dump: set the limit on core files to 0");
    }
    // One provider for server and client; a second call finds it already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => Err((Exit::Failure, anyhow::Error::new(error).context("cannot start the run time"))),
    };
    let exit = outcome.unwrap_or_else(|(exit, error)| {
        commands::complain(&error);
        exit
    });
    ExitCode::from(exit as u8)
}

fn start_log(format: LogFormat) {
    let filter = settings::log_filter().unwrap_or_else(|| "warn,pingtong=info".to_owned());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn,pingtong=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}

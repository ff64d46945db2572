//! The log on standard error. Its language is English.

use crate::environment;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people. / 供人阅读
    Text,
    /// One object per line. / 每行一个 JSON 对象
    Json,
}

/// Starts the log, with the filter of the environment or else `filter`. A filter of the environment that cannot be
/// parsed is ignored with a warning.
///
/// # Panics
/// If called twice.
pub fn start(format: LogFormat, filter: &str) {
    let wanted = environment::log_filter().map(EnvFilter::try_new).transpose();
    let colour = std::io::stderr().is_terminal() && !environment::no_colour();
    let (wanted, error) = match wanted {
        Ok(wanted) => (wanted, None),
        Err(error) => (None, Some(error)),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(wanted.unwrap_or_else(|| EnvFilter::new(filter)))
        .with_writer(std::io::stderr)
        .with_ansi(colour);
    match format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.with_target(false).init(),
    }
    if let Some(error) = error {
        tracing::warn!(%error, "the log filter of the environment is ignored");
    }
}

//! User-facing output on standard output, in both languages.
//!
//! All results are printed here, except the documents of `snapshot` and the man pages and completions of
//! `ping/help.rs`, which write to standard output themselves. Remarks go to standard error. This module only formats;
//! it measures nothing.

use std::io::{self, Write as _};

/// Prints a text, followed by a line feed.
///
/// # Errors
/// Fails if standard output is closed.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
}

/// Prints a remark beside the result, on standard error.
#[expect(clippy::print_stderr, reason = "standard output is the result's")]
pub fn aside(text: &str) {
    eprintln!("{text}");
}

/// Prints text unchanged and flushes it: many lines, or a frame of a live table.
///
/// # Errors
/// Fails if standard output is closed.
pub fn frame(frame: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(frame.as_bytes())?;
    out.flush()
}

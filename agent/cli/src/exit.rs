//! Exit codes, the same for both programs.

use std::process::ExitCode;

/// Exit code of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything holds or answered, or the command did its job.
    Fine = 0,
    /// Something is broken or degraded or did not answer; or an expectation fails, a forbid leaks, a flow is stopped.
    Bad = 1,
    /// No result is bad, but one is undecided, unknown or incomplete.
    Undecided = 2,
    /// The usage or the configuration is wrong.
    Usage = 64,
    /// The program itself failed.
    Failure = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

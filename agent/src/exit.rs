//! How a command ends: its exit code, and a mistake of the user's.

/// Exit codes, as `agent/README.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything answered.
    Healthy = 0,
    /// Something did not answer.
    Broken = 1,
    /// Nothing could be determined.
    Undecided = 2,
}

/// A mistake on the command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

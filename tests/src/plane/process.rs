//! What the lab's processes have in common: the file that they run, and that each is killed when its parent dies.
//!
//! The sandbox and the machines of instances start this program again for their stages. The processes of a lab know
//! each other by numbers that differ outside it; those are read in the outer `/proc`.

use anyhow::{Context, Result};
use nix::sys::{prctl, signal::Signal};

/// This program's file, even if it has been replaced by another build.
pub(super) const SELF: &str = "/proc/self/exe";
/// The `/proc` of the process that started the lab, as mounted in the lab. Instances must not see it.
pub(super) const OUTSIDE_PROC: &str = "/run/outside-proc";

/// Makes the kernel kill this process when its parent dies.
pub(super) fn die_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to be killed with the parent")
}

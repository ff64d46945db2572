//! Locates the binaries under test: in the directory of the lab's own binary, built by the same cargo.

use crate::settings;
use anyhow::{Context, Result, bail};
use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The unmodified binaries that run in the lab.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Path of `pingtong`.
    pub collector: PathBuf,
    /// Path of `pingtong-agent`.
    pub agent: PathBuf,
}

impl Programs {
    /// Finds the programs beside this one. Under `cargo run` (which builds only the lab) they are built first, so that
    /// the binaries match the sources.
    ///
    /// # Errors
    /// Fails if they are missing or cannot be built; the error names the command that builds them.
    pub fn find(cargo: Option<&Path>) -> Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let mut dir = own.parent().unwrap_or(Path::new(".")).to_owned();
        if dir.ends_with("deps") {
            dir.pop();
        }
        if let Some(cargo) = cargo {
            build(cargo, &dir)?;
            start_again_if_replaced(&own)?;
        }
        let found = Self { collector: dir.join("pingtong"), agent: dir.join("pingtong-agent") };
        for program in [&found.collector, &found.agent] {
            if !program.is_file() {
                bail!("{} is missing; build it with \"cargo build --workspace\"", program.display());
            }
        }
        Ok(found)
    }
}

/// Cargo may have rebuilt this very program. The running program has then lost its file, which the sandbox and the
/// guests' commands start again by name. In that case the new file takes over, with the same arguments.
fn start_again_if_replaced(own: &Path) -> Result<()> {
    let now = std::fs::read_link("/proc/self/exe").context("cannot tell where this program is")?;
    if now == own {
        return Ok(());
    }
    let error = Command::new(own).args(std::env::args_os().skip(1)).env_remove("CARGO").exec();
    Err(error).with_context(|| format!("cannot start {} again after it was rebuilt", own.display()))
}

fn build(cargo: &Path, beside: &Path) -> Result<()> {
    let mut command = Command::new(cargo);
    // The lab itself is included, so that the three are built with the same features as the lab alone was.
    command.args(["build", "-p", "pingtong-lab", "-p", "pingtong", "-p", "pingtong-agent", "--bins"]);
    if beside.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = beside.parent() {
        command.arg("--target-dir").arg(target);
    }
    for name in settings::of_the_running_package() {
        command.env_remove(name);
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    command.arg("--manifest-path").arg(manifest).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().context("cannot run cargo to build pingtong and pingtong-agent")?;
    if !status.success() {
        bail!("cargo could not build pingtong and pingtong-agent; its message is above");
    }
    Ok(())
}

//! The programs that are measured: `pingtong-agent ping`, fping and ping. Builds their command lines and parses the
//! counts, rates and processor times from their output.

use super::measure::{Ran, run};
use crate::plane::Namespace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    ffi::OsStr,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

/// One run of `pingtong-agent ping`.
#[derive(Debug, Clone)]
pub(super) struct Order<'a> {
    /// File of target addresses, one per line.
    pub targets: &'a Path,
    /// Probes per target.
    pub count: u32,
    /// Milliseconds between two probes to one target.
    pub period_ms: &'a str,
    /// Probes per second over all targets; 0 is unlimited.
    pub rate: u32,
    /// Milliseconds until a probe counts as lost.
    pub timeout_ms: u32,
    /// Further arguments.
    pub more: &'a [&'a str],
}

/// Result of a run of `pingtong-agent ping`.
#[derive(Debug)]
pub(super) struct Told {
    pub ran: Ran,
    /// The object under `summary` of the last line.
    pub summary: Value,
}

impl Told {
    /// A count in the summary.
    pub(super) fn count(&self, name: &str) -> Result<u64> {
        self.summary[name].as_u64().with_context(|| format!("the summary has no count \"{name}\": {}", self.summary))
    }

    /// Probes per second, measured by the sender itself.
    pub(super) fn rate(&self) -> Result<f64> {
        self.summary["rate_pps"].as_f64().with_context(|| format!("the summary has no rate: {}", self.summary))
    }
}

/// Path of the agent's binary.
#[derive(Debug, Clone)]
pub(super) struct Agent(pub PathBuf);

impl Agent {
    /// Runs `pingtong-agent ping` with JSON output.
    pub(super) fn ping(&self, namespace: &Namespace, order: &Order<'_>) -> Result<Told> {
        run_and_read(namespace, Command::new(&self.0), order)
    }

    /// The same without the capability for raw sockets, so that the agent uses surge-ping. `None` if `setpriv`, which
    /// drops the capability, is not installed.
    pub(super) fn portable(&self, namespace: &Namespace, order: &Order<'_>) -> Result<Option<Told>> {
        if !installed("setpriv") {
            return Ok(None);
        }
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]).arg(&self.0);
        let told = run_and_read(namespace, command, order)?;
        if told.summary["engine"] != "portable" {
            bail!("the portable engine was not chosen: {}", told.summary);
        }
        Ok(Some(told))
    }

    /// Command that watches arrivals until it is interrupted.
    pub(super) fn observe(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.args(["ping", "--json", "--observe"]);
        command
    }
}

fn run_and_read(namespace: &Namespace, mut command: Command, order: &Order<'_>) -> Result<Told> {
    command.args(["ping", "--json", "--targets"]).arg(order.targets);
    command.args(["--count", &order.count.to_string(), "--period", order.period_ms]);
    command.args(["--rate", &order.rate.to_string(), "--timeout", &order.timeout_ms.to_string()]);
    command.args(order.more);
    let ran = run(namespace, command)?;
    let summary = last_summary(&ran)?;
    Ok(Told { ran, summary })
}

fn last_summary(ran: &Ran) -> Result<Value> {
    let last = ran.stdout.lines().last().unwrap_or_default();
    let line: Value = serde_json::from_str(last)
        .with_context(|| format!("pingtong-agent ping ended with {}: {}", ran.status, ran.stderr.trim()))?;
    if line["schema"] != 1 || !line["summary"].is_object() {
        bail!("the last line is no summary: {last}");
    }
    Ok(line["summary"].clone())
}

/// Runs fping at full rate. Returns its rate and its processor time per probe in microseconds; `None` if it is not
/// installed.
pub(super) fn fping(namespace: &Namespace, targets: &Path, probes_each: u32) -> Result<Option<(f64, f64)>> {
    if !installed("fping") {
        return Ok(None);
    }
    let mut command = Command::new("fping");
    command.args(["-q", "-c", &probes_each.to_string(), "-p", "10", "-i", "0", "-f"]).arg(targets);
    let ran = run(namespace, command)?;
    // fping prints one line per target on standard error: "172.16.0.1 : xmt/rcv/%loss = 60/60/0%, min/avg/max = …".
    let sent: u64 =
        ran.stderr.lines().filter_map(|line| line.split(" = ").nth(1)?.split('/').next()?.parse::<u64>().ok()).sum();
    if sent == 0 {
        bail!("fping sent nothing: {}", ran.stderr.lines().next().unwrap_or_default());
    }
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
    let sent = sent as f64;
    Ok(Some((sent / ran.seconds, ran.cpu_seconds * 1e6 / sent)))
}

/// Runs the flood ping of iputils against one target. Returns its rate and its processor time per probe in
/// microseconds; `None` if it is not installed or fails.
pub(super) fn ping(namespace: &Namespace, target: Ipv4Addr, probes: u32) -> Result<Option<(f64, f64)>> {
    if !installed("ping") {
        return Ok(None);
    }
    let mut command = Command::new("ping");
    command.args(["-q", "-f", "-c", &probes.to_string(), &target.to_string()]);
    let ran = run(namespace, command)?;
    let sent = f64::from(probes);
    Ok(ran.status.success().then_some((sent / ran.seconds, ran.cpu_seconds * 1e6 / sent)))
}

/// Whether a program is in `PATH`.
pub(super) fn installed(program: impl AsRef<OsStr>) -> bool {
    let name = program.as_ref();
    let path = crate::plane::guest_path();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// Writes the first `count` host addresses of a block to a file and returns them.
pub(super) fn write_targets(file: &Path, block: ipnet::Ipv4Net, count: usize) -> Result<Vec<Ipv4Addr>> {
    let first = u32::from(block.network()) + 1;
    let targets: Vec<Ipv4Addr> = (first..).take(count).map(Ipv4Addr::from).collect();
    let lines: Vec<String> = targets.iter().map(Ipv4Addr::to_string).collect();
    std::fs::write(file, lines.join("\n")).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(targets)
}

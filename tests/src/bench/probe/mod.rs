//! `pingtong-lab bench probe`: compares the probe engine with the kernel's own limit, fping, `ping` and a packet
//! capture.
//!
//! Every target for a figure is set in this module. Rates and costs are ratios within one round, and the result is the
//! median over the rounds, because machines are shared. Counts are compared with the kernel's counters. A figure that
//! could not be measured because a program is missing is `None`, and its target is not met.

mod capture;
mod direction;
mod flood;
mod loss;
mod measure;
mod pinger;
mod rate;
mod road;
mod times;
mod watch;

pub use direction::Directions;
pub use loss::Trial;
pub use rate::Rate;
pub use times::{Pacing, Times};
pub use watch::{Idle, Observer};

use crate::programs::Programs;
use anyhow::{Context, Result};
use pinger::Agent;
use road::Road;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Numbers of targets for which rates are measured.
const TARGETS: [usize; 4] = [1, 100, 1_000, 10_000];
/// Rates at which pacing is measured, in probes per second.
const PACES: [u32; 2] = [1_000, 10_000];
const PACED_SECONDS: u32 = 5;

/// Size of the benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rounds per rate.
    pub rounds: usize,
    /// Total number of probes whose losses are checked.
    pub probes: u64,
    /// Number of runs that determine the direction of loss.
    pub directions: usize,
    /// How long an idle agent is observed, in seconds.
    pub idle_seconds: u64,
    /// Seed of the random numbers.
    pub seed: u64,
}

/// All figures, with their targets.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u8,
    rates: Vec<Rate>,
    losses: Vec<Trial>,
    times: Times,
    pacing: Vec<Pacing>,
    directions: Directions,
    observer: Observer,
    idle: Idle,
    /// Size of the agent's binary from the `dist` profile; `None` if that was not built.
    binary_mib: Option<f64>,
    targets: Vec<Target>,
}

impl Report {
    /// The targets, each with the measured value.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Descriptions of all counts that were not exact.
    pub fn misses(&self) -> impl Iterator<Item = String> {
        let counts =
            self.losses.iter().filter(|trial| trial.miscounts > 0).map(|trial| {
                format!("{}: {} replies delivered, {} counted", trial.name, trial.delivered, trial.counted)
            });
        counts.chain(self.directions.misses.iter().cloned())
    }

    /// Whether every target is met.
    pub fn met(&self) -> bool {
        self.targets.iter().all(|target| target.met)
    }
}

/// A limit for one figure.
#[derive(Debug, Serialize)]
pub struct Target {
    /// The figure that is limited.
    pub what: String,
    /// The measured value; `None` if it could not be measured.
    pub value: Option<f64>,
    /// The limit that `value` must keep.
    pub limit: f64,
    /// Whether it is met.
    pub met: bool,
}

impl Target {
    fn at_most(what: impl Into<String>, value: Option<f64>, limit: f64) -> Self {
        Self { what: what.into(), value, limit, met: value.is_some_and(|value| value <= limit) }
    }

    fn at_least(what: impl Into<String>, value: Option<f64>, limit: f64) -> Self {
        Self { what: what.into(), value, limit, met: value.is_some_and(|value| value >= limit) }
    }
}

/// Measures everything. Must be called inside the sandbox.
///
/// # Errors
/// Fails if the namespaces and links of the benchmark cannot be set up, or if a program cannot be run or its output
/// cannot be read.
pub async fn run(size: Size, programs: &Programs, directory: &Path) -> Result<Report> {
    let agent = Agent(programs.agent.clone());
    let road = Road::lay().context("cannot lay the roads")?;
    let rates = TARGETS
        .iter()
        .map(|targets| rate::measure(&road, &agent, directory, *targets, size.rounds))
        .collect::<Result<Vec<_>>>()?;
    let losses = loss::measure(&road, &agent, directory, size.probes)?;
    let times = times::measure(&road, &agent, directory, size.rounds)?;
    let paces = PACES.iter().map(|rate| times::pace(&road, &agent, directory, *rate, PACED_SECONDS, size.rounds));
    let pacing = paces.collect::<Result<Vec<_>>>()?;
    let directions = direction::measure(&road, &agent, directory, size.directions, size.seed)?;
    let observer = watch::observer(&road, &agent, size.rounds)?;
    drop(road);
    let idle = watch::idle(programs, size.idle_seconds).await?;
    let binary_mib = distributed(&programs.agent).and_then(|file| mib_of(&file));
    let mut report =
        Report { schema: 1, rates, losses, times, pacing, directions, observer, idle, binary_mib, targets: vec![] };
    report.targets = targets(&report);
    Ok(report)
}

/// Path of the agent's `dist` build, which cargo keeps next to the builds of other profiles. The file need not exist.
fn distributed(agent: &Path) -> Option<PathBuf> {
    Some(agent.parent()?.parent()?.join("dist").join(agent.file_name()?))
}

fn mib_of(file: &Path) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    Some(std::fs::metadata(file).ok()?.len() as f64 / f64::from(1 << 20))
}

#[expect(clippy::cast_precision_loss, reason = "counts of some millions")]
fn targets(report: &Report) -> Vec<Target> {
    let mut all = vec![];
    for rate in &report.rates {
        let with = format!("with {} targets", rate.targets);
        // The requirement names 1, 100 and 10,000 targets; 1,000 is where fping performs best.
        if rate.targets == 1_000 {
            all.push(Target::at_least(format!("rate of fping's {with}"), rate.of_fping, 1.8));
            all.push(Target::at_most(format!("cost of fping's {with}"), rate.cpu_of_fping, 0.6));
            continue;
        }
        all.push(Target::at_least(format!("rate of the kernel's limit {with}"), Some(rate.of_kernel), 0.90));
        all.push(Target::at_most(format!("cost of the floor {with}"), Some(rate.cpu_of_floor), 1.15));
        let stamped = Some(rate.cpu_of_floor_stamped);
        all.push(Target::at_most(format!("cost of the floor {with}, departures stamped"), stamped, 1.30));
    }
    let misses = report.losses.iter().map(|trial| trial.miscounts).sum::<u64>()
        + report.rates.iter().map(|rate| rate.false_losses).sum::<u64>();
    all.push(Target::at_most("replies miscounted", Some(misses as f64), 0.0));
    let times = &report.times;
    all.push(Target::at_most("RTT error p99.9 (us)", Some(times.p999_us), 5.0));
    all.push(Target::at_most("RTT error, worst (us)", Some(times.worst_us), 500.0));
    all.push(Target::at_most("RTTs below the wire's", Some(times.below_far_end as f64), 0.0));
    for rate in PACES {
        let pacing = report.pacing.iter().find(|pacing| pacing.rate == rate);
        all.push(Target::at_most(format!("pacing error at {rate}/s"), pacing.map(|pacing| pacing.error), 0.005));
        all.push(Target::at_most(format!("burst at {rate}/s (ms)"), pacing.map(|pacing| pacing.burst_ms), 3.0));
    }
    let slow = report.pacing.iter().find(|pacing| pacing.rate == 1_000);
    all.push(Target::at_most("cost at 1,000/s (us a probe)", slow.map(|pacing| pacing.cpu_us), 15.0));
    let inexact = report.directions.runs - report.directions.exact;
    all.push(Target::at_most("runs with a wrong direction of loss", Some(inexact as f64), 0.0));
    all.push(Target::at_most("cost of an arrival (us)", Some(report.observer.cpu_us), 1.5));
    all.push(Target::at_most("idle agent, memory (MiB)", Some(report.idle.rss_kib as f64 / 1024.0), 12.0));
    all.push(Target::at_most("idle agent, share of a core", Some(report.idle.of_core), 0.002));
    let memory = |targets| report.rates.iter().find(|rate| rate.targets == targets).map(|rate| rate.rss_kib / 1024.0);
    let more = memory(10_000).zip(memory(1)).map(|(many, one)| many - one);
    all.push(Target::at_most("memory of 10,000 targets more than of one (MiB)", more, 4.0));
    all.push(Target::at_most("size of the agent's binary (MiB)", report.binary_mib, 10.0));
    all
}

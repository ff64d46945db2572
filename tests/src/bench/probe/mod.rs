//! `pingtong-lab bench probe`: the probe engine beside the kernel's own limit, fping, `ping` and a packet capture.
//!
//! Every figure has its target here. Rates and costs are ratios taken within one round and the median over rounds, for
//! machines are shared; counts are held against counters of the kernel. What could not be measured, for want of a
//! program, is none and its target is not met.

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

/// Targets that rates are measured with.
const TARGETS: [usize; 4] = [1, 100, 1_000, 10_000];
/// Rates that pacing is measured at, in probes a second.
const PACES: [u32; 2] = [1_000, 10_000];
const PACED_SECONDS: u32 = 5;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rounds of each rate.
    pub rounds: usize,
    /// Probes whose losses are accounted for, in all.
    pub probes: u64,
    /// Runs in which the direction of loss is found.
    pub directions: usize,
    /// Seconds for which an idle agent is watched.
    pub idle_seconds: u64,
    /// Seed of what is drawn.
    pub seed: u64,
}

/// All figures.
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
    /// Of the `dist` profile; none when that was not built.
    binary_mib: Option<f64>,
    targets: Vec<Target>,
}

impl Report {
    /// The targets.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// What was not exact, in words.
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

/// One target.
#[derive(Debug, Serialize)]
pub struct Target {
    /// Of what.
    pub what: String,
    /// What was measured; none when it could not be.
    pub value: Option<f64>,
    /// The limit.
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

/// Measures everything. To be called inside the sandbox.
///
/// # Errors
/// That the roads could not be laid, or that a program did not do what it was told.
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

/// The agent as it is given out, which cargo keeps beside the other profiles' builds; whether it was built or not.
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
        // 1, 100 and 10,000 are asked for; 1,000 are where fping is at its best.
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

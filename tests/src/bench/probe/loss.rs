//! Checks that every reply that the kernel delivered was counted exactly once. The reference is the kernel's own
//! counter of replies.
//!
//! A missing reply is a false loss; an extra reply is what makes other pingers report 120 % received. Both count here
//! as miscounts. If fping runs at the same time, the replies to its requests are subtracted from the kernel's count.

use super::{
    measure::Running,
    pinger::{Agent, Order, installed, write_targets},
    road::{NEAR, Road, SHAPED, replies_in, requests_in},
};
use crate::desired::Shape;
use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use serde::Serialize;
use std::{path::Path, process::Command};

/// Number of targets of a burst.
const BURST: usize = 32_768;

/// Result of one trial.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// The condition that this trial tests.
    pub name: &'static str,
    /// Probes sent.
    pub sent: u64,
    /// Replies to them that the kernel delivered.
    pub delivered: u64,
    /// Replies that the prober counted: in time, late and duplicate.
    pub counted: u64,
    /// Absolute difference between `delivered` and `counted`: probes reported lost although their reply was delivered,
    /// or replies counted that never arrived.
    pub miscounts: u64,
    /// Packets that the prober reports as its own drops.
    pub own_drops: u64,
}

struct Case<'a> {
    name: &'static str,
    block: Ipv4Net,
    targets: usize,
    count: u32,
    rate: u32,
    timeout_ms: u32,
    shape: Option<Shape>,
    beside: Option<&'a str>,
}

/// Runs all trials; together they send at least `probes` probes.
pub(super) fn measure(road: &Road, agent: &Agent, directory: &Path, probes: u64) -> Result<Vec<Trial>> {
    let plain = Shape::default();
    // The fabric is a userspace thread and slow; its share grows with `probes`, up to 100,000 probes per trial.
    let each = u32::try_from((probes / 10_000).clamp(100, 1_000))?;
    let shaped = |name, shape| Case {
        name,
        block: SHAPED,
        targets: 100,
        count: each,
        rate: 5_000,
        timeout_ms: 1_000,
        shape: Some(shape),
        beside: None,
    };
    let near = |name, targets, count| Case {
        name,
        block: NEAR,
        targets,
        count,
        rate: 0,
        timeout_ms: 1_000,
        shape: None,
        beside: None,
    };
    let mut cases = vec![
        near("one burst to 32,768 targets", BURST, 1),
        shaped("answers delayed by 5 ms", Shape { delay_ms: 5.0, ..plain }),
        shaped("every twentieth packet twice", Shape { duplicate: 0.05, ..plain }),
        shaped("answers overtaken", Shape { delay_ms: 2.0, jitter_ms: 4.0, reorder: 0.1, ..plain }),
        shaped("every twentieth lost each way", Shape { loss: 0.05, delay_ms: 1.0, ..plain }),
        Case {
            timeout_ms: 8,
            ..shaped("answers later than the time-out", Shape { delay_ms: 1.0, jitter_ms: 12.0, ..plain })
        },
    ];
    if installed("fping") {
        cases.push(Case { beside: Some("fping"), ..near("fping to the same targets beside", 1_000, 100) });
    }
    let so_far: u64 = cases.iter().map(|case| case.targets as u64 * u64::from(case.count)).sum();
    // The sequence number on the wire has 16 bits; the remaining probes wrap it several times.
    let wraps = u32::try_from(probes.saturating_sub(so_far).max(200_000))?;
    cases.push(near("one target, the sequence number wraps", 1, wraps));
    cases.iter().map(|case| try_out(road, agent, directory, case).with_context(|| case.name)).collect()
}

fn try_out(road: &Road, agent: &Agent, directory: &Path, case: &Case<'_>) -> Result<Trial> {
    let file = directory.join("targets-loss");
    write_targets(&file, case.block, case.targets)?;
    if let Some(shape) = case.shape {
        road.shape(shape);
    }
    let (before, asked_before) = (replies_in(&road.here)?, requests_in(&road.there)?);
    let beside = case.beside.map(|program| {
        let mut command = Command::new(program);
        command.args(["-c", "20", "-p", "100", "-t", "10000", "-i", "0", "-f"]).arg(&file);
        Running::start(&road.here, command)
    });
    let order = Order {
        targets: &file,
        count: case.count,
        period_ms: "0",
        rate: case.rate,
        timeout_ms: case.timeout_ms,
        more: &[],
    };
    let told = agent.ping(&road.here, &order)?;
    // The requests that arrived at the targets but were not sent by the agent are fping's, and all of them were
    // answered. fping's own count is not used: it sometimes misses some.
    let others = match beside.transpose()? {
        Some(running) => {
            running.finish()?;
            (requests_in(&road.there)? - asked_before).saturating_sub(told.count("sent")?)
        }
        None => 0,
    };
    if case.shape.is_some() {
        road.shape(Shape::default());
    }
    let delivered = (replies_in(&road.here)? - before).saturating_sub(others);
    let counted = told.count("received")? + told.count("late")? + told.count("duplicates")?;
    Ok(Trial {
        name: case.name,
        sent: told.count("sent")?,
        delivered,
        counted,
        miscounts: delivered.abs_diff(counted),
        own_drops: told.count("own_drops")?,
    })
}

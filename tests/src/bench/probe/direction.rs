//! Checks in which direction packets were lost: the counts at both ends against the counters of the rules that dropped
//! the packets.
//!
//! The prober knows what it sent and what came back; the observer at the far end knows what arrived. Forward loss is
//! sent minus arrived, return loss is arrived minus received; both must be exact to the packet.

use super::{
    measure::Running,
    pinger::{Agent, Order, write_targets},
    road::{ROUTED, Road},
};
use anyhow::{Context, Result, bail};
use pingtong_worlds::random::Random;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// Probes of one run.
const PROBES: u32 = 2_000;
/// Targets of one run.
const TARGETS: usize = 20;
/// Rates to try, in probes per second; 0 is unlimited.
const RATES: [u32; 4] = [2_000, 10_000, 50_000, 0];

/// Results of all runs.
#[derive(Debug, Serialize)]
pub struct Directions {
    /// Number of runs.
    pub runs: usize,
    /// Runs in which the losses counted in both directions equal the counters of the dropping rules.
    pub exact: usize,
    /// Runs in which the targets' own firewall dropped the echo requests that arrived.
    pub refused_by_guest: usize,
    /// Packets dropped by the rules, over all runs.
    pub dropped: u64,
    /// Runs in which the prober or the observer reported that it dropped packets itself.
    pub not_attributable: usize,
    /// Descriptions of the first runs that were not exact.
    pub misses: Vec<String>,
}

/// Maximum number of runs described in `Directions::misses`.
const MISSES_MAX: usize = 10;

pub(super) fn measure(road: &Road, agent: &Agent, directory: &Path, runs: usize, seed: u64) -> Result<Directions> {
    let file = directory.join("targets-direction");
    write_targets(&file, ROUTED, TARGETS)?;
    let mut random = Random::new(seed);
    let mut found =
        Directions { runs, exact: 0, refused_by_guest: 0, dropped: 0, not_attributable: 0, misses: Vec::new() };
    for run in 0..runs {
        let guest = run % 5 == 4;
        let mut share = || u32::try_from(random.below(3) * random.below(60_000)).unwrap_or(0);
        let (forward, back) = (share(), share());
        road.lose(forward, back)?;
        road.guest_refuses(guest)?;
        let rate = RATES[run % RATES.len()];
        let told = one(road, agent, &file, rate)?;
        let lost = road.lost()?;
        found.dropped += lost.0 + lost.1;
        found.refused_by_guest += usize::from(guest);
        if told.own_drops > 0 {
            found.not_attributable += 1;
        }
        let forward_seen = told.sent - told.arrived;
        let back_seen = if guest { 0 } else { told.arrived.saturating_sub(told.received) };
        let right = (forward_seen, back_seen) == lost && (!guest || (told.received == 0 && told.accepted == 0));
        if right {
            found.exact += 1;
        } else if found.misses.len() < MISSES_MAX {
            found.misses.push(format!(
                "run {run}, {rate}/s, guest refuses: {guest}: dropped {lost:?}, seen ({forward_seen}, {back_seen}), {told:?}"
            ));
        }
    }
    road.guest_refuses(false)?;
    road.lose(0, 0)?;
    Ok(found)
}

#[derive(Debug)]
struct Seen {
    sent: u64,
    received: u64,
    arrived: u64,
    accepted: u64,
    own_drops: u64,
}

fn one(road: &Road, agent: &Agent, file: &Path, rate: u32) -> Result<Seen> {
    let observer = Running::start(&road.there, agent.observe())?;
    observer.until_watching()?;
    let count = PROBES / u32::try_from(TARGETS)?;
    let order = Order { targets: file, count, period_ms: "0", rate, timeout_ms: 300, more: &[] };
    let told = agent.ping(&road.here, &order)?;
    let arrivals = Arrivals::read(&observer.interrupt()?)?;
    Ok(Seen {
        sent: told.count("sent")?,
        received: told.count("received")? + told.count("late")?,
        arrived: arrivals.on_wire,
        accepted: arrivals.accepted,
        own_drops: told.count("own_drops")? + arrivals.own_drops,
    })
}

/// Totals over all sources that `--observe` printed.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    pub on_wire: u64,
    pub accepted: u64,
    pub own_drops: u64,
}

impl Arrivals {
    pub(super) fn read(output: &str) -> Result<Self> {
        let mut all = Self::default();
        let mut lines = 0;
        for line in output.lines() {
            let value: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            if let Some(summary) = value["summary"]["arrivals"].as_object() {
                let count = |name: &str| summary.get(name).and_then(Value::as_u64).unwrap_or_default();
                all = Self { on_wire: count("on_wire"), accepted: count("accepted"), own_drops: count("own_drops") };
                lines += 1;
            }
        }
        if lines == 0 {
            bail!("the observer printed no summary of arrivals: {output}");
        }
        Ok(all)
    }
}

//! The differential test: draws networks and faults, makes them through the API, and compares what the verdict engine
//! predicts for every pair and direction with what real packets do, between joined VPCs, inside one VPC, and between
//! others.
//!
//! A seed is one network: as drawn, then several times with up to three faults, each a *case*. The engine reads the
//! cloud through the product's own client; the kernel forwards the packets. A disagreement is tried again with a longer
//! wait and then reduced to a minimal network. `SEMANTICS.md` decides which of the two is right.
#![expect(clippy::disallowed_methods, reason = "a shell of the lab: it measures")]

pub mod draw;
pub mod fault;
mod ground;
mod predict;
pub mod shrink;
mod wire;

use crate::{
    plane::{Plane, PlaneOptions},
    topology::Topology,
};
use anyhow::{Context, Result};
use fault::Fault;
use ground::Ground;
use pingtong_evidence::Protocol;
use pingtong_verdict::Cut;
use pingtong_worlds::random::Random;
use predict::Flow;
use serde::Serialize;
use shrink::Case;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use wire::Wire;

/// Cases per seed: the first is the network as drawn, the others have faults.
pub const CASES_PER_SEED: u64 = 10;
/// After this time without a packet, no more packets are expected.
const QUIET: Duration = Duration::from_millis(25);
/// The same, when a disagreement is tried again.
const PATIENT: Duration = Duration::from_millis(500);
/// How many disagreements are reduced and shown; one mistake usually shows in many cases.
const SHOWN_MAX: usize = 3;

/// Which cases to try.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The first seed.
    pub seed: u64,
    /// Number of cases, over as many seeds as necessary.
    pub cases: u64,
}

/// A flow for which prediction and packets disagree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The flow in text form.
    pub flow: String,
    /// Full names of the source and target instances.
    #[serde(skip)]
    hosts: [String; 2],
    /// Name of the engine that made the prediction.
    pub by: &'static str,
    /// Where packets must be lost according to the prediction.
    pub predicted: Cut,
    /// Where packets were lost.
    pub observed: Cut,
}

/// A case that disagrees, reduced as far as possible.
#[derive(Debug, Clone, Serialize)]
pub struct Disagreement {
    /// Seed of the network.
    pub seed: u64,
    /// Number of the case within the seed, from 0.
    pub case: u64,
    /// The differences in the whole network.
    pub found: Vec<Difference>,
    /// The differences in the reduced network.
    pub left: Vec<Difference>,
    /// The reduced network, in the format of topologies.
    pub topology: String,
    /// The calls of its faults, in the format of scenarios.
    pub calls: String,
    /// The command that reproduces the disagreement.
    pub again: String,
}

/// Result of a differential test.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The first seed.
    pub seed: u64,
    /// Number of networks.
    pub networks: u64,
    /// Number of cases.
    pub cases: u64,
    /// Number of flows tried, over all cases.
    pub flows: u64,
    /// Number of predictions for them, over both engines.
    pub predictions: u64,
    /// Number of flows, by where they were lost.
    pub cuts: BTreeMap<&'static str, u64>,
    /// Number of faults made, by description.
    pub faults: BTreeMap<&'static str, u64>,
    /// Number of faults that the cloud refused.
    pub refused: u64,
    /// Number of cases that disagree.
    pub disagreeing: u64,
    /// The first of them, reduced.
    pub disagreements: Vec<Disagreement>,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Tries cases until `cases` of them are done.
///
/// # Errors
/// Fails if the lab fails.
pub async fn run(options: Options) -> Result<Report> {
    let begun = Instant::now();
    crate::estate::loopback_up().context("cannot bring up the lab's own loopback")?;
    let plane = Arc::new(Plane::boot(PlaneOptions { seed: 1 }).context("cannot make the lab's networks")?);
    let mut report = Report { seed: options.seed, ..Report::default() };
    let mut seed = options.seed;
    while report.cases < options.cases {
        let left = (options.cases - report.cases).min(CASES_PER_SEED);
        one_seed(&plane, seed, left, &mut report).await.with_context(|| format!("seed {seed}"))?;
        seed = seed.wrapping_add(1);
    }
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// Draws the network of a seed and the services that are tried in it.
fn drawn(seed: u64) -> (Random, Topology, Vec<(Protocol, u16)>) {
    let mut random = Random::new(seed);
    let topology = draw::topology(&mut random);
    let mut services = vec![];
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        services.extend(random.pick(&draw::PORTS).map(|port| (protocol, *port)));
    }
    (random, topology, services)
}

async fn one_seed(plane: &Arc<Plane>, seed: u64, cases: u64, report: &mut Report) -> Result<()> {
    let (mut random, topology, services) = drawn(seed);
    let mut ground = Ground::stand(plane, topology.clone()).await?;
    let mut wire = Wire::open(&ground)?;
    let flows = predict::flows(&ground, &services)?;
    report.networks += 1;
    for case in 0..cases {
        let faults = if case == 0 { vec![] } else { fault::faults(&mut random, &topology) };
        let mut made = vec![];
        for fault in faults {
            if ground.make(&fault).await? {
                *report.faults.entry(fault.what).or_default() += 1;
                made.push(fault);
            } else {
                report.refused += 1;
            }
        }
        let found = differences(&ground, &mut wire, &flows, report).await?;
        report.cases += 1;
        if !found.is_empty() {
            report.disagreeing += 1;
            if report.disagreements.len() < SHOWN_MAX {
                let whole = Case { topology: topology.clone(), faults: made };
                let small = small(plane, whole, &services, &found).await?;
                report.disagreements.push(shown(seed, case, found, small));
                ground = Ground::stand(plane, topology.clone()).await?;
                wire = Wire::open(&ground)?;
                continue;
            }
        }
        ground.heal().await?;
    }
    Ok(())
}

/// Where prediction and packets disagree in the current state of the network.
async fn differences(ground: &Ground, wire: &mut Wire, flows: &[Flow], report: &mut Report) -> Result<Vec<Difference>> {
    let snapshots = ground.snapshots().await;
    let predicted = predict::cuts(ground, flows, &snapshots)?;
    let observed = wire.try_all(flows, QUIET)?;
    report.flows += u64::try_from(flows.len()).unwrap_or(u64::MAX);
    report.predictions += predicted.iter().map(|said| u64::try_from(said.len()).unwrap_or(0)).sum::<u64>();
    for sighting in &observed {
        *report.cuts.entry(sighting.cut().as_str()).or_default() += 1;
    }
    let disagree = |at: usize, cut: Cut| predicted[at].iter().any(|said| !agree(said.cut, cut));
    let doubtful: Vec<usize> = (0..flows.len()).filter(|at| disagree(*at, observed[*at].cut())).collect();
    if doubtful.is_empty() {
        return Ok(vec![]);
    }
    let again: Vec<Flow> = doubtful.iter().map(|at| flows[*at].clone()).collect();
    let observed = wire.try_all(&again, PATIENT)?;
    let mut found = vec![];
    for (at, sighting) in doubtful.into_iter().zip(observed) {
        let (flow, observed) = (&flows[at], sighting.cut());
        for said in predicted[at].iter().filter(|said| !agree(said.cut, observed)) {
            let hosts = [flow.from.clone(), flow.to.clone()];
            found.push(Difference { flow: flow.shown(), hosts, by: said.by, predicted: said.cut, observed });
        }
    }
    Ok(found)
}

/// A packet that the sending host itself refuses is not explained by the configuration, but it too is lost before the
/// target.
fn agree(predicted: Cut, observed: Cut) -> bool {
    predicted == observed || (predicted == Cut::S1 && observed == Cut::S0)
}

/// The kinds of disagreement: engine, predicted and observed cut point.
fn kinds(found: &[Difference]) -> Vec<(&'static str, Cut, Cut)> {
    found.iter().map(|difference| (difference.by, difference.predicted, difference.observed)).collect()
}

async fn small(
    plane: &Arc<Plane>,
    whole: Case,
    services: &[(Protocol, u16)],
    found: &[Difference],
) -> Result<(Case, Vec<Difference>)> {
    let wanted = kinds(found);
    let hosts = found.first().map_or(["", ""], |first| first.hosts.each_ref().map(String::as_str));
    let small = shrink::smallest(whole, hosts, |case| {
        let wanted = wanted.clone();
        async move {
            // A case that cannot be built does not disagree.
            let left = built(plane, &case, services).await.unwrap_or_default();
            kinds(&left).iter().any(|kind| wanted.contains(kind))
        }
    })
    .await;
    let left = built(plane, &small, services).await?;
    Ok((small, left))
}

async fn built(plane: &Arc<Plane>, case: &Case, services: &[(Protocol, u16)]) -> Result<Vec<Difference>> {
    let mut ground = Ground::stand(plane, case.topology.clone()).await?;
    for fault in &case.faults {
        if !ground.make(fault).await? {
            return Ok(vec![]);
        }
    }
    let mut wire = Wire::open(&ground)?;
    let flows = predict::flows(&ground, services)?;
    differences(&ground, &mut wire, &flows, &mut Report::default()).await
}

fn shown(seed: u64, case: u64, found: Vec<Difference>, (small, left): (Case, Vec<Difference>)) -> Disagreement {
    #[derive(Serialize)]
    struct Steps<'a> {
        #[serde(rename = "do")]
        calls: Vec<&'a fault::FaultCall>,
    }
    let calls: Vec<&fault::FaultCall> = small.faults.iter().flat_map(|fault: &Fault| &fault.calls).collect();
    Disagreement {
        seed,
        case,
        found,
        left,
        topology: toml::to_string(&small.topology).unwrap_or_default(),
        calls: toml::to_string(&Steps { calls }).unwrap_or_default(),
        again: format!("pingtong-lab differential --seed {seed} --cases {}", case + 1),
    }
}

//! Walks and audits over a whole generated estate.
//!
//! Walks are of random flows between random hosts of joined VPCs, so that nothing of one is at hand for the next. The audit decides
//! one expectation for each link, all hosts of one VPC to all of the other, spread over the machine's cores; then one rule of
//! one group changes, and all is asked again.

use super::workers::on_all_cores;
use crate::clock::timed;
use pingtong_evidence::{EndpointSet, Expectation, Known, PortRange, Protocol, Snapshot};
use pingtong_verdict::{Ask, Auditor, Estate, ExpectationState, Flow, HostRef, Lang, Outcome};
use pingtong_worlds::{
    estate::{Shape, estate},
    random::Random,
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Mutex, time::Duration};

/// Flows walked in one second on one core that are wanted.
pub(super) const WALKS_PER_SECOND_MIN: f64 = 1_000_000.0;
/// Pairs of hosts that the audit must be about.
pub(super) const AUDIT_PAIRS_MIN: u64 = 1_000_000;
/// Seconds that it may take on two cores.
pub(super) const AUDIT_SECONDS_MAX: f64 = 10.0;
/// Milliseconds that asking again after one changed rule may take.
pub(super) const REAUDIT_MS_MAX: f64 = 50.0;
/// Measurements of which the best counts: whatever else the machine does only slows one down.
const TRIES: usize = 3;

/// Figures of an estate.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct EstateSpeed {
    /// VPCs.
    pub vpcs: u32,
    /// Hosts.
    pub hosts: usize,
    /// Seconds to compile it.
    pub compile_seconds: f64,
    /// Flows walked, there and back, in a second on one core.
    pub walks_per_second: f64,
    /// Ordered pairs of hosts that the audit decided.
    pub audit_pairs: u64,
    /// Seconds that it took.
    pub audit_seconds: f64,
    /// Milliseconds to take in one changed rule and to ask everything again.
    pub reaudit_ms: f64,
    /// Whether walks and audits found the sound estate sound, and the changed rule no less.
    pub sound: bool,
}

/// Measures one estate.
pub(super) fn speed(seed: u64, shape: Shape, walks: usize) -> EstateSpeed {
    let snapshots = estate(shape, seed);
    let (mut compiled, compiling) = timed(|| Estate::new(snapshots.clone(), &[]));
    let flows = flows(&compiled, seed, walks);
    let mut best = Duration::MAX;
    let mut delivered = 0;
    for _ in 0..TRIES {
        let (count, took) = timed(|| flows.iter().filter(|flow| arrives(&compiled, flow)).count());
        best = best.min(took);
        delivered = count;
    }
    let asks = asks(&compiled);
    let parts: Vec<(Mutex<Auditor>, &[Ask])> =
        asks.chunks(asks.len().div_ceil(2).max(1)).map(|part| (Mutex::default(), part)).collect();
    let ((audit_pairs, sound), auditing) = timed(|| audit(&compiled, &parts));
    let changed = one_rule_less(&snapshots);
    let (again, reauditing) = timed(|| {
        if let Some(snapshot) = changed {
            compiled.refresh(snapshot);
        }
        audit(&compiled, &parts)
    });
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let walks_per_second = flows.len() as f64 / best.as_secs_f64().max(f64::EPSILON);
    EstateSpeed {
        vpcs: shape.vpcs,
        hosts: compiled.hosts().count(),
        compile_seconds: compiling.as_secs_f64(),
        walks_per_second,
        audit_pairs,
        audit_seconds: auditing.as_secs_f64(),
        reaudit_ms: reauditing.as_secs_f64() * 1_000.0,
        sound: sound && again == (audit_pairs, true) && delivered == flows.len(),
    }
}

fn arrives(estate: &Estate, flow: &Flow) -> bool {
    estate.walk(flow).is_some_and(|told| told.request == Outcome::Delivered && told.reply == Outcome::Delivered)
}

/// Random flows between hosts of joined VPCs.
fn flows(estate: &Estate, seed: u64, count: usize) -> Vec<Flow> {
    let mut random = Random::new(seed);
    let mut by_vpc: BTreeMap<_, Vec<HostRef>> = BTreeMap::new();
    for host in estate.hosts() {
        by_vpc.entry(estate.vpc(host)).or_default().push(host);
    }
    let hosts = |vpc| by_vpc.get(&Some(vpc)).map_or(&[][..], Vec::as_slice);
    let links: Vec<_> = estate.links().map(|link| [&link.initiator.vpc, &link.acceptor.vpc].map(hosts)).collect();
    let mut flows = vec![];
    while flows.len() < count && !links.is_empty() {
        let Some([a, b]) = random.pick(&links).copied() else { break };
        let (from, to) = if random.percent(50) { (a, b) } else { (b, a) };
        let (Some(source), Some(destination)) = (random.pick(from), random.pick(to)) else { break };
        let port = u16::try_from(random.below(1 << 16)).ok();
        flows.push(Flow { source: *source, destination: *destination, protocol: Protocol::Tcp, port });
    }
    flows
}

fn asks(estate: &Estate) -> Vec<Ask> {
    let whole = |link: &pingtong_evidence::Link| Ask {
        expectation: Expectation {
            from: EndpointSet::Vpc(link.initiator.vpc.clone()),
            to: EndpointSet::Vpc(link.acceptor.vpc.clone()),
            protocol: Protocol::Tcp,
            ports: PortRange::new(443, 443),
        },
        link: Some(link.clone()),
    };
    estate.links().map(whole).collect()
}

/// Pairs decided, and whether every expectation holds.
fn audit(estate: &Estate, parts: &[(Mutex<Auditor>, &[Ask])]) -> (u64, bool) {
    let answers = on_all_cores(parts, |(auditor, asks)| {
        // A worker that panicked ends the whole measurement, so that no lock is ever poisoned.
        let Ok(mut auditor) = auditor.lock() else { return (0, false) };
        let audit = auditor.audit(estate, asks, &[], Lang::En);
        let pairs: u64 = audit.expectations.iter().map(|answer| answer.pairs).sum();
        (pairs, audit.expectations.iter().all(|answer| answer.state == ExpectationState::Holds))
    });
    answers.into_iter().fold((0, true), |(pairs, holds), (more, hold)| (pairs + more, holds && hold))
}

/// The first place's snapshot without the last rule of its first group, which no flow needs.
fn one_rule_less(snapshots: &[Snapshot]) -> Option<Snapshot> {
    let mut snapshot = snapshots.first()?.clone();
    if let Known::Known(groups) = &mut snapshot.security_groups
        && let Known::Known(rules) = &mut groups.first_mut()?.rules
    {
        rules.pop();
    }
    Some(snapshot)
}

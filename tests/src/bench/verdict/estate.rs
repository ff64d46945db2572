//! Benchmark of flow walks and audits over a whole generated estate.
//!
//! Walks follow random flows between random hosts of joined VPCs, so that one walk leaves nothing in the caches for the
//! next. The audit decides one expectation per link: all hosts of one VPC to all hosts of the other. It runs in two
//! parts, on up to two cores. Then one rule of one security group changes and the audit runs again.

use super::timed;
use super::workers::on_all_cores;
use pingtong_evidence::{EndpointSet, Expectation, Known, PortRange, Protocol, Snapshot};
use pingtong_verdict::{Ask, Auditor, Estate, ExpectationState, Flow, HostRef, Lang, Outcome};
use pingtong_worlds::{
    estate::{Shape, estate},
    random::Random,
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Mutex, time::Duration};

/// Target: minimum number of flows walked per second on one core.
pub(super) const WALKS_PER_SECOND_MIN: f64 = 1_000_000.0;
/// Target: minimum number of host pairs that the audit decides.
pub(super) const AUDIT_PAIRS_MIN: u64 = 1_000_000;
/// Target: maximum duration of the audit in seconds, on two cores.
pub(super) const AUDIT_SECONDS_MAX: f64 = 10.0;
/// Target: maximum milliseconds for a repeated audit after one changed rule.
pub(super) const REAUDIT_MS_MAX: f64 = 50.0;
/// Number of measurements of the walks. The fastest counts, because other work on the machine only slows them down.
const TRIES: usize = 3;

/// Benchmark figures of one estate.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct EstateSpeed {
    /// Number of VPCs.
    pub vpcs: u32,
    /// Number of hosts.
    pub hosts: usize,
    /// Seconds to compile the estate from its snapshots.
    pub compile_seconds: f64,
    /// Number of flows walked per second on one core, request and reply.
    pub walks_per_second: f64,
    /// Number of ordered host pairs that the audit decided.
    pub audit_pairs: u64,
    /// Duration of the audit in seconds.
    pub audit_seconds: f64,
    /// Milliseconds to apply one changed rule and to audit everything again.
    pub reaudit_ms: f64,
    /// Whether every walk was delivered and every expectation held, for the audits before and after the rule change.
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

/// Returns the number of pairs decided, and whether every expectation holds.
fn audit(estate: &Estate, parts: &[(Mutex<Auditor>, &[Ask])]) -> (u64, bool) {
    let answers = on_all_cores(parts, |(auditor, asks)| {
        // A panic in a worker ends the whole measurement, so the lock is never poisoned here.
        let Ok(mut auditor) = auditor.lock() else { return (0, false) };
        let audit = auditor.audit(estate, asks, &[], Lang::En);
        let pairs: u64 = audit.expectations.iter().map(|answer| answer.pairs).sum();
        (pairs, audit.expectations.iter().all(|answer| answer.state == ExpectationState::Holds))
    });
    answers.into_iter().fold((0, true), |(pairs, holds), (more, hold)| (pairs + more, holds && hold))
}

/// The first snapshot without the last rule of its first security group. No flow depends on that rule.
fn one_rule_less(snapshots: &[Snapshot]) -> Option<Snapshot> {
    let mut snapshot = snapshots.first()?.clone();
    if let Known::Known(groups) = &mut snapshot.security_groups
        && let Known::Known(rules) = &mut groups.first_mut()?.rules
    {
        rules.pop();
    }
    Some(snapshot)
}

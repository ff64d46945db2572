//! Whether packets are lost because the bandwidth of the connection is used up: `bandwidth-saturated`.
//!
//! Packet loss comes first: without loss in a direction, nothing is blamed. The loss is attributed to the bandwidth if
//! any of these holds:
//! 1. CloudMonitor counts packets that the bandwidth limit of the sending side's router interface dropped, at the time
//!    of the probes or within [`METRIC_LAG`] before it, because the service is minutes behind.
//! 2. That interface sent, or the far one received, at least [`FULL_PERCENT`] of the bandwidth at that time.
//! 3. A queue is seen to fill: round-trip times climb smoothly within a round, by at least [`QUEUE_MIN`] and to at
//!    least three times the shortest, and stay high.
//! 4. A standing queue exists: even the shortest round-trip time is at least [`QUEUE_STANDS`] above the usual one, and
//!    the traffic of the hosts or of the interfaces takes at least [`SIZEABLE_PERCENT`] of the bandwidth. Without that
//!    traffic, a longer path that also loses packets looks the same.
//!
//! The blamed object is the initiator's interface, because its specification applies to both ends
//! (`SEMANTICS.md` §3.1.1). Loss without any of these signs stays attributed to the fabric; if metrics could not
//! be read, this code is added as a suspect. VPC peering connections and transit routers have no such metrics here and
//! are never blamed.

use crate::{
    code::CauseCode,
    finding::{Doubt, Finding, Note, Stops},
    fix::Fix,
    lang::{Both, both},
    model::Model,
    observe::Seen,
    quality::means::{Changes, Facts},
    stage::Stage,
    verdict::ObjectKind,
    walk::hops,
};
use pingtong_evidence::{
    Direction, LinkKind, LinkMetric, LinkMetricKind, MetricPoint, Pair, RouterInterface, Side, Timestamp,
};
use std::{collections::BTreeMap, time::Duration};

/// Maximum delay of a measurement: CloudMonitor is minutes behind.
const METRIC_LAG: Duration = Duration::from_mins(3);
/// Share of the bandwidth in percent, averaged over a minute, from which short peaks exceed the bandwidth.
const FULL_PERCENT: u64 = 90;
/// Share of the bandwidth in percent below which the hosts' own traffic does not queue anywhere. A burst of probes and
/// reports reaches a third of the smallest connection that is sold.
const SIZEABLE_PERCENT: u64 = 75;
/// Minimum climb of round-trip times within one round that indicates a queue rather than the path.
const QUEUE_MIN: Duration = Duration::from_millis(20);
/// Minimum excess over the usual round-trip time that indicates a standing queue.
const QUEUE_STANDS: Duration = Duration::from_millis(30);
/// While a queue fills, round-trip times change little from one probe to the next: by at most an eighth of the whole
/// climb.
const SMOOTH_PART: u32 = 8;
const BITS_PER_MEGABIT: u64 = 1_000_000;
const MILLI: u64 = 1_000;

/// Result of the bandwidth check: findings, suspects, and whether any loss is attributed to the bandwidth.
pub(crate) struct Bandwidth {
    pub(crate) findings: Vec<Finding>,
    pub(crate) doubts: Vec<Doubt>,
    pub(crate) saturated: bool,
}

/// Replaces loss findings of the fabric by one bandwidth finding, for the directions in which the bandwidth is shown to
/// be used up.
pub(crate) fn instead(
    model: &Model,
    pair: &Pair,
    facts: &Facts,
    seen: &Seen,
    changes: &Changes,
    losses: Vec<Finding>,
) -> Bandwidth {
    let mut kept = vec![];
    let mut full: BTreeMap<Direction, Vec<Note>> = BTreeMap::new();
    let interface =
        (model.link.kind == LinkKind::RouterInterface).then(|| interface_id(model, Side::Initiator)).flatten();
    for loss in losses {
        match loss
            .direction
            .zip(interface.as_ref())
            .and_then(|(way, _)| Some((way, proof(model, pair, facts, way, seen, changes)?)))
        {
            Some((way, proof)) => full.entry(way).or_default().extend([proof].into_iter().chain(loss.evidence)),
            None => kept.push(loss),
        }
    }
    let doubts = if kept.is_empty() || interface.is_none() { vec![] } else { suspicion(model) };
    let saturated = !full.is_empty();
    let direction = full.first_key_value().map(|(way, _)| *way);
    if let (Some(way), Some(id)) = (direction, interface) {
        let stops = Stops::Some(way);
        kept.push(Finding {
            code: CauseCode::BandwidthSaturated,
            side: Side::Initiator,
            direction: (full.len() == 1).then_some(way),
            object: model.object(Side::Initiator, ObjectKind::RouterInterface, id),
            stops,
            points: stops.at(Stage::Connection),
            evidence: full.into_values().flatten().collect(),
            fix: Fix::Manual,
        });
    }
    Bandwidth { findings: kept, doubts, saturated }
}

/// The suspect `bandwidth-saturated` if a side's router interface metrics, which would decide, were not read.
fn suspicion(model: &Model) -> Vec<Doubt> {
    let unread = |side: &Side| model.snapshot(*side).is_none_or(|snapshot| snapshot.link_metrics.known().is_none());
    let open = Side::BOTH.iter().find(|side| unread(side));
    let doubt = |side: &Side| Doubt {
        codes: [CauseCode::BandwidthSaturated].into(),
        side: Some(*side),
        decided_by: Both::new(
            "the metrics of the router interface (CloudMonitor: RateLimitDropPps and bandwidth) at the time of the loss",
            "丢包时刻路由器接口的监控指标（云监控：RateLimitDropPps 与带宽）",
        ),
    };
    open.map(doubt).into_iter().collect()
}

fn interface_id(model: &Model, side: Side) -> Option<String> {
    if let Some((_, id)) = hops(model).get(side) {
        return Some(id.clone());
    }
    let far = interface(model, side.opposite())?;
    far.opposite_interface.as_ref().map(ToString::to_string)
}

fn interface(model: &Model, side: Side) -> Option<&RouterInterface> {
    let hops = hops(model);
    let (_, id) = hops.get(side)?;
    model.snapshot(side)?.router_interfaces.known()?.iter().find(|ri| ri.id.as_str() == id)
}

/// Bandwidth in bits per second that the specification of the initiator's interface grants, else that of the
/// acceptor's.
pub(crate) fn granted(model: &Model) -> Option<u64> {
    let mbps = interface(model, Side::Initiator).and_then(|ri| ri.bandwidth_mbps).filter(|mbps| *mbps > 0);
    let far = || interface(model, Side::Acceptor).and_then(|ri| ri.bandwidth_mbps).filter(|mbps| *mbps > 0);
    mbps.or_else(far)?.checked_mul(BITS_PER_MEGABIT)
}

fn proof(model: &Model, pair: &Pair, facts: &Facts, way: Direction, seen: &Seen, changes: &Changes) -> Option<Note> {
    let first = seen.values().filter_map(|seen| seen.first).min()?;
    let last = seen.values().filter_map(|seen| seen.latest).max()?;
    let (near, far) = (way.source(), way.destination());
    let at = |side, kind| greatest(model, side, kind, first, last);
    if let Some(drops) = at(near, LinkMetricKind::RateLimitDropPps).filter(|drops| *drops > 0) {
        let (id, each) = (interface_id(model, near)?, decimal(drops));
        return Some(noted(
            model,
            near,
            both!(
                "the bandwidth limit of {id} dropped up to {each} packets a second at that time",
                "当时 {id} 的带宽限制每秒丢弃了多达 {each} 个报文"
            ),
        ));
    }
    let carried = [at(near, LinkMetricKind::SentBitsPerSecond), at(far, LinkMetricKind::ReceivedBitsPerSecond)];
    let carried = carried.into_iter().flatten().max().map(|milli| milli / MILLI);
    let share = carried.zip(granted(model)).map(|(bits, granted)| bits.saturating_mul(100) / granted.max(1));
    if let Some(percent) = share.filter(|percent| *percent >= FULL_PERCENT) {
        return Some(noted(
            model,
            near,
            both!("{percent} % of the bandwidth was in use at that time", "当时带宽使用率为 {percent} %"),
        ));
    }
    let own = own_traffic(pair, facts, way).zip(granted(model));
    let busy = own.map(|(bits, granted)| bits.saturating_mul(100) / granted.max(1));
    queue(changes, busy.max(share))
}

/// The greatest value of a metric of one side's interface around the time of the probes, in thousandths of the metric's
/// unit.
fn greatest(model: &Model, side: Side, kind: LinkMetricKind, first: Timestamp, last: Timestamp) -> Option<u64> {
    let id = interface_id(model, side)?;
    let metrics = Side::BOTH.into_iter().filter_map(|at| model.snapshot(at)?.link_metrics.known()).flatten();
    let about = |metric: &LinkMetric, point: &MetricPoint| {
        // It is not known whether a point's time is the beginning or the end of its period.
        let period = Duration::from_secs(metric.period_s.into());
        let ends = point.at.plus(period);
        ends.plus(METRIC_LAG) >= first && point.at <= last.plus(period)
    };
    metrics
        .filter(|metric| metric.kind == kind && metric.interface.as_str() == id)
        .flat_map(|metric| metric.points.iter().filter(move |point| about(metric, point)))
        .filter_map(|point| match kind {
            LinkMetricKind::RateLimitDropPps => point.maximum_milli.or(point.average_milli),
            // The bandwidth is granted over time: a peak within the period does not mean that all of it was used.
            LinkMetricKind::ReceivedBitsPerSecond | LinkMetricKind::SentBitsPerSecond => point.average_milli,
        })
        .max()
}

/// Evidence of a queue in the round-trip times of either flow: packets of both flows travel in each direction.
fn queue(changes: &Changes, busy_percent: Option<u64>) -> Option<Note> {
    changes.values().find_map(|change| {
        let now = change.now;
        let climb = now.high.saturating_sub(now.low);
        let stays_up = now.middle.saturating_sub(now.low) * 2 >= climb;
        if climb >= QUEUE_MIN && now.high >= now.low * 3 && now.jitter * SMOOTH_PART <= climb && stays_up {
            let (low, high) = (millis(now.low), millis(now.high));
            return Some(Note::plain(both!(
                "a queue fills while packets are lost: round-trip times climb from {low} to {high} ms",
                "丢包的同时队列在增长：往返时延从 {low} 毫秒升至 {high} 毫秒"
            )));
        }
        let (usual, busy) = (change.usual?, busy_percent?);
        let stands = now.low.saturating_sub(usual.middle) >= QUEUE_STANDS && busy >= SIZEABLE_PERCENT;
        stands.then(|| {
            let (before, low) = (millis(usual.middle), millis(now.low));
            Note::plain(both!(
                "a queue stands while packets are lost: round-trip times are never below {low} ms and were {before} ms; the hosts' own traffic is {busy} % of the bandwidth",
                "丢包的同时存在排队：往返时延始终不低于 {low} 毫秒，而平时为 {before} 毫秒；两端主机自身流量为带宽的 {busy} %"
            ))
        })
    })
}

/// Traffic of the pair's own hosts in this direction, in bits per second: the larger of what the source sent and what
/// the destination received; `None` if neither is known.
fn own_traffic(pair: &Pair, facts: &Facts, way: Direction) -> Option<u64> {
    let load = |side: Side| facts.get(pair.endpoint(side).agent.as_ref()?)?.load.known();
    let sent = load(way.source()).map(|load| load.sent_bits_per_s);
    let received = load(way.destination()).map(|load| load.received_bits_per_s);
    sent.into_iter().chain(received).max()
}

fn noted(model: &Model, side: Side, text: Both) -> Note {
    Note {
        object: interface_id(model, side),
        account: Some(model.link.side(side).account.clone()),
        ..Note::plain(text)
    }
}

/// Milliseconds with one decimal.
pub(crate) fn millis(time: Duration) -> String {
    decimal(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// Thousandths as a number with one decimal.
fn decimal(milli: u64) -> String {
    format!("{}.{}", milli / MILLI, milli % MILLI / 100)
}

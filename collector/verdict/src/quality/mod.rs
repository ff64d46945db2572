//! What impairs a pair whose packets pass: loss, bandwidth, delay, packet size, overloaded hosts. It does not explain
//! total loss of a flow.
//!
//! Order of the rules: loss in a direction that passes packets is attributed to the fabric if both of its ends were
//! observed without drops of their own, and at least [`LOST_MIN`] packets and a share of [`LOSS_RATE_MIN`] of those
//! sent are missing. Other pairs of the link may clear the segment (module `shared`), the loss may depend on the flow
//! (module `per_flow`), or the bandwidth may explain it (module `bandwidth`); otherwise it stays attributed to the
//! fabric. If no loss is attributed to the bandwidth, round-trip times are compared with the usual ones (module
//! `latency`). Packet sizes (module `path_size`) and packets that die inside a host (module `host_load`) are checked
//! separately.

pub(crate) mod bandwidth;
pub(crate) mod host_load;
pub(crate) mod latency;
pub(crate) mod means;
pub(crate) mod own_load;
pub(crate) mod path_size;
pub(crate) mod per_flow;
pub(crate) mod shared;
pub(crate) mod usual;

use crate::{
    code::CauseCode,
    finding::{Doubt, Finding, Note, Stops},
    fix::Fix,
    lang::both,
    model::Model,
    observe::{LOSS_RATE_MIN, LOST_MIN, Leg, Seen, observe_pair},
    stage::Stage,
    verdict::ObjectKind,
    walk::link_ends,
    wilson::LossRate,
};
use bandwidth::Bandwidth;
use means::{Excess, Means};
use pingtong_evidence::{Direction, Pair, Side};
use shared::{Count, Word};

/// Minimum number of packets of another pair for that pair to clear anything.
const CLEARS_MIN: u64 = 100;

/// Result of all quality checks.
pub(crate) struct Quality {
    pub(crate) findings: Vec<Finding>,
    /// Suspects: causes that fit but are not proven.
    pub(crate) doubts: Vec<Doubt>,
    /// Losses that do not count because pingtong's own probes were too many: the causes that they may have had.
    pub(crate) set_aside: Vec<Doubt>,
}

/// Runs all quality checks. `standing` are the findings made before.
pub(crate) fn assess(means: &Means<'_>, standing: &[Finding]) -> Quality {
    let Means { model, question, facts, seen, changes, excesses } = means;
    let (mut findings, mut doubts, mut set_aside) = (vec![], vec![], vec![]);
    let mut take = |shown: host_load::Shown, findings: &mut Vec<Finding>| match shown {
        Ok(finding) => findings.push(finding),
        Err(doubt) => doubts.push(doubt),
    };
    for shown in host_load::inside(means, standing) {
        take(shown, &mut findings);
    }
    let mut losses = vec![];
    for direction in Direction::BOTH {
        let Some((loss, leg)) = loss(model, direction, seen, standing) else { continue };
        let by_flow =
            seen.get(&direction).and_then(|seen| per_flow::dead_next_hops(model, question.pair, direction, seen));
        match by_flow {
            Some(Ok(note)) => {
                losses.push(Finding { evidence: loss.evidence.into_iter().chain([note]).collect(), ..loss });
                continue;
            }
            Some(Err(doubt)) => {
                take(Err(doubt), &mut findings);
                continue;
            }
            None => {}
        }
        if let Some(excess) = excesses.get(&direction) {
            set_aside.push(overloaded(direction, leg, *excess));
            continue;
        }
        match of_one_host(means, direction, leg) {
            (Some(side), count) => take(one_host(means, side, direction, count), &mut findings),
            (None, count) => losses.push(with_others(loss, count)),
        }
    }
    // If nobody observed the far end, the loss cannot be assigned to a direction.
    for (flow, observed) in seen.iter().filter(|(_, observed)| observed.lossy() && observed.request.is_none()) {
        let excess = excesses.values().next();
        let leg = Leg { of: observed.sent, passed: observed.received };
        set_aside.extend(excess.map(|excess| overloaded(*flow, leg, *excess)));
    }
    let Bandwidth { findings: losses, doubts: suspicion, saturated } =
        bandwidth::instead(model, question.pair, facts, seen, changes, losses);
    findings.extend(losses);
    doubts.extend(suspicion);
    if !saturated
        && excesses.is_empty()
        && let Some(shift) = latency::finding(model, changes)
    {
        match slow_host(means) {
            (Some(side), count) => match one_host(means, side, Direction::Forward, count) {
                Ok(finding) => findings.push(finding),
                Err(doubt) => {
                    doubts.push(Doubt { codes: [CauseCode::HostOverload, CauseCode::LatencyShift].into(), ..doubt });
                }
            },
            (None, count) => findings.push(with_others(shift, count)),
        }
    }
    if excesses.is_empty() {
        findings.extend(path_size::size_limits(means));
    }
    // Several rules may find the same host; it is one cause.
    let mut said: Vec<_> = vec![];
    findings.retain(|finding| {
        let new = !said.contains(&finding.key());
        said.push(finding.key());
        new
    });
    Quality { findings, doubts, set_aside }
}

/// Losses that pingtong's own probes may have caused, because they exceeded their budget on the link.
fn overloaded(direction: Direction, leg: Leg, excess: Excess) -> Doubt {
    let (lost, of) = (leg.lost(), leg.of);
    let percent = excess.own.saturating_mul(100) / excess.bandwidth.max(1);
    let way = if direction == Direction::Forward { "正向" } else { "反向" };
    Doubt {
        codes: [CauseCode::BandwidthSaturated, CauseCode::LossInFabric].into(),
        side: None,
        decided_by: both!(
            "{lost} of {of} packets were lost {direction} while pingtong's own probes took {percent} % of the bandwidth, more than their budget: that decides nothing; verify again",
            "{way} {of} 个报文中丢失 {lost} 个，但当时 pingtong 自身的探测占用了带宽的 {percent} %，超出预算，不能据此下结论；请重新验证"
        ),
    }
}

/// Packets that travel in one direction: requests of one flow and replies of the other.
fn leg(seen: &Seen, direction: Direction, guest_refuses: bool) -> Leg {
    let usable = |leg: Option<Leg>| leg.filter(|leg| leg.passed > 0).unwrap_or_default();
    let requests = usable(seen.get(&direction).and_then(|seen| seen.request));
    // Replies that the receiving guest refuses are not lost on the network path. If that guest's interface is observed,
    // the counts show this already.
    let unseen = seen.get(&direction.reverse()).is_none_or(|seen| seen.home.is_none());
    let replies = if guest_refuses && unseen {
        Leg::default()
    } else {
        usable(seen.get(&direction.reverse()).filter(|seen| seen.own_drops == 0).and_then(|seen| seen.reply))
    };
    Leg { of: requests.of + replies.of, passed: requests.passed + replies.passed }
}

/// Packets of the flows of one direction of which some pass.
fn passing_flows(seen: &Seen, direction: Direction) -> Leg {
    let requests = seen.get(&direction).into_iter().flat_map(|seen| &seen.flows).map(|flow| flow.leg);
    let replies = seen.get(&direction.reverse()).into_iter().flat_map(|seen| &seen.answered_flows).copied();
    let passing = requests.chain(replies).filter(|leg| leg.passed > 0);
    passing.fold(Leg::default(), |sum, leg| Leg { of: sum.of + leg.of, passed: sum.passed + leg.passed })
}

/// Loss in a direction that passes packets: the finding and the counts behind it.
fn loss(model: &Model, direction: Direction, seen: &Seen, standing: &[Finding]) -> Option<(Finding, Leg)> {
    let receiver = direction.destination();
    let guest_refuses =
        standing.iter().any(|f| matches!(f.stops, Stops::Arrivals(side) | Stops::Replies(side) if side == receiver))
            || seen.get(&direction).and_then(|seen| seen.accept).is_some_and(|leg| leg.lost() > 0);
    let is_some = |f: &&Finding| matches!(f.stops, Stops::Some(d) if d == direction);
    // Flows that take the dead one of several next hops lose everything; the others show what else loses packets.
    let beside_leg = standing.iter().filter(is_some).any(|f| f.code == CauseCode::EcmpLegDead);
    let leg = if beside_leg { passing_flows(seen, direction) } else { leg(seen, direction, guest_refuses) };
    let (of, lost) = (leg.of, leg.lost());
    let rate = LossRate::new(lost, of)?;
    // A guest's own rate limit drops packets that arrived; the packets counted here never arrived.
    let other = |f: &Finding| ![CauseCode::GuestRateLimit, CauseCode::EcmpLegDead].contains(&f.code);
    let known = standing.iter().filter(is_some).any(other);
    if known || lost < LOST_MIN || rate.rate < LOSS_RATE_MIN {
        return None;
    }
    let interval = rate.text();
    let way = if direction == Direction::Forward { "正向" } else { "反向" };
    let text = both!(
        "{lost} of {of} packets that left one host {direction} never reached the other: {interval}, 95 % interval",
        "{way}离开一端的 {of} 个报文中有 {lost} 个没有到达另一端：{interval}，95 % 置信区间"
    );
    let stops = Stops::Some(direction);
    let finding = Finding {
        code: CauseCode::LossInFabric,
        side: Side::Initiator,
        direction: Some(direction),
        object: model.object(Side::Initiator, ObjectKind::Segment, link_ends(model)),
        stops,
        points: stops.at(Stage::Connection),
        evidence: vec![Note::plain(text)],
        fix: Fix::Manual,
    };
    Some((finding, leg))
}

/// The side whose host alone loses packets, according to other pairs of the link.
fn of_one_host(means: &Means<'_>, direction: Direction, own: Leg) -> (Option<Side>, Count) {
    let Some(low) = LossRate::new(own.lost(), own.of).map(|rate| rate.low) else { return (None, Count::default()) };
    let word = |pair: &Pair| {
        let seen: Seen = Direction::BOTH
            .into_iter()
            .map(|flow| (flow, observe_pair(means.question, pair, flow, means.facts)))
            .collect();
        let refuses = seen.get(&direction).and_then(|seen| seen.accept).is_some_and(|leg| leg.lost() > 0);
        let leg = leg(&seen, direction, refuses);
        match LossRate::new(leg.lost(), leg.of) {
            Some(rate) if rate.lost >= LOST_MIN && rate.rate >= LOSS_RATE_MIN => Word::Impaired,
            Some(rate) if rate.of >= CLEARS_MIN && rate.high < low => Word::Clean,
            _ => Word::Nothing,
        }
    };
    by_others(means, word)
}

/// The side whose host alone is slow, according to other pairs of the link.
fn slow_host(means: &Means<'_>) -> (Option<Side>, Count) {
    let word = |pair: &Pair| {
        let flows = Direction::BOTH.into_iter().filter_map(|flow| usual::change_of(means.question, pair, flow));
        let known: Vec<bool> =
            flows.filter(|change| change.usual.is_some()).map(|change| latency::shift(&change).is_some()).collect();
        match (known.is_empty(), known.iter().all(|shifted| *shifted), known.iter().any(|shifted| *shifted)) {
            (false, true, _) => Word::Impaired,
            (false, _, false) => Word::Clean,
            _ => Word::Nothing,
        }
    };
    by_others(means, word)
}

fn by_others(means: &Means<'_>, word: impl Fn(&Pair) -> Word) -> (Option<Side>, Count) {
    let pair = means.question.pair;
    let others: Vec<(&Pair, Word)> = means
        .question
        .peers
        .iter()
        .copied()
        .filter(|other| other.id != pair.id && other.link.id == pair.link.id)
        .map(|other| (other, word(other)))
        .collect();
    shared::host_alone(pair, &others)
}

fn one_host(means: &Means<'_>, side: Side, direction: Direction, count: Count) -> host_load::Shown {
    let address = means.question.pair.endpoint(side).address;
    let (impaired, clean) = (count.impaired + 1, count.clean);
    let text = both!(
        "of the link's pairs, {impaired} with {address} are impaired and {clean} others are not",
        "该连接上与 {address} 有关的 {impaired} 对主机受影响，其余 {clean} 对正常"
    );
    host_load::overload(means, side, Some(direction), text, host_load::strained)
}

/// Adds the counts of other pairs of the link to the evidence.
fn with_others(mut finding: Finding, count: Count) -> Finding {
    let Count { impaired, clean } = count;
    if impaired + clean > 0 {
        finding.evidence.push(Note::plain(both!(
            "of the link's other pairs, {impaired} are impaired in the same way and {clean} are not",
            "该连接的其他主机对中，{impaired} 对同样受影响，{clean} 对正常"
        )));
    }
    finding
}

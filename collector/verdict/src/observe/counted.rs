//! What the far kernel's own counters say of requests that the far agent did not report.
//!
//! An agent may miss packets, and its reports may be lost. The kernel counts every echo request that its IP stack
//! receives, from whomever, so that a small count refutes that ours arrived, while a large one may come from others.
//! Only for ICMP over IPv4: there are no such counters for ports.

use super::belongs;
use crate::question::{HealthReport, Question};
use pingtong_evidence::{
    AgentId, ArrivalRound, ClockFact, Direction, EchoCount, HostFacts, Known, Pair, ProbeRound, Protocol, SequenceSet,
    Timestamp,
};
use std::collections::BTreeMap;

/// Whether the kernel's counters agree with what the far agent reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Counted {
    /// There are no counters that cover the requests, or what they count may be somebody else's.
    #[default]
    Unknown,
    /// The kernel received next to nothing beyond what was reported.
    Agrees,
    /// The kernel received about as many requests as were not reported.
    Contradicts,
}

/// Of the requests not reported, the share in percent up to which others in the kernel's count do not matter, and from
/// which they may be ours.
const OTHERS_PERCENT_MAX: u64 = 10;
const OURS_PERCENT_MIN: u64 = 50;

/// Time within which an agent has surely reported what it saw arrive: its ledger reports a part after 250 ms without
/// packets, and an upload takes some time.
const REPORTED_AFTER_MS: i64 = 1_000;

pub(super) fn of(
    question: &Question<'_>,
    pair: &Pair,
    flow: Direction,
    facts: &BTreeMap<AgentId, HostFacts>,
) -> Counted {
    let of_end = |direction: Direction| {
        let agent = pair.endpoint(direction.source()).agent.as_ref()?;
        Some((agent, facts.get(agent)))
    };
    let Some((observer, far)) = of_end(flow.reverse()) else { return Counted::Unknown };
    let near = of_end(flow).and_then(|(_, facts)| facts);
    if pair.protocol != Protocol::Icmp || !pair.endpoint(flow.destination()).address.is_ipv4() {
        return Counted::Unknown;
    }
    let parts: Vec<&ArrivalRound> = question.arrivals.iter().copied().filter(|p| p.observer == *observer).collect();
    let rounds = question.probes.iter().copied().filter(|round| belongs(round, pair, flow) && !round.sent.is_empty());
    let clocks = Clocks::of(near, far);
    // Only what was counted while the same request was answered: steady rounds and earlier requests are in other counts.
    let answers = |health: &&&HealthReport| {
        let tag = health.health.fresh_done.as_ref();
        health.agent == *observer && tag.is_some() && question.probes.iter().any(|round| round.request.as_ref() == tag)
    };
    let counts = question.healths.iter().filter(answers).filter_map(|health| health.health.echoes);
    let rounds: Vec<(&ProbeRound, u64)> = rounds.map(|round| (round, unreported(round, &parts))).collect();
    let all: u64 = rounds.iter().map(|(_, missing)| missing).sum();
    if all == 0 {
        return Counted::Agrees;
    }
    let judged = counts.filter_map(|count| {
        let within = rounds.iter().filter(|(round, _)| clocks.cover(&count, round));
        let missing: u64 = within.map(|(_, missing)| missing).sum();
        let reported = parts.iter().filter(|part| part.first_at >= count.since && part.last_at <= count.until);
        let others = count.requests.saturating_sub(reported.map(|part| accepted(part)).sum());
        (missing * 2 >= all).then(|| compare(others, missing))
    });
    let mut judged: Vec<Counted> = judged.collect();
    if judged.contains(&Counted::Contradicts) {
        return Counted::Contradicts;
    }
    // Totals since the host started contain what happened before: only a small one says something.
    let total = far.and_then(|facts| facts.counters.known()).map(|counters| counters.in_echos);
    let others = total.map(|total| total.saturating_sub(parts.iter().map(|part| accepted(part)).sum()));
    judged.extend(others.map(|others| compare(others, all)).filter(|counted| *counted == Counted::Agrees));
    judged.into_iter().find(|counted| *counted == Counted::Agrees).unwrap_or_default()
}

fn compare(others: u64, missing: u64) -> Counted {
    if others * 100 < missing * OTHERS_PERCENT_MAX {
        Counted::Agrees
    } else if others * 100 >= missing * OURS_PERCENT_MIN {
        Counted::Contradicts
    } else {
        Counted::Unknown
    }
}

/// Requests of a round that the observer did not report, whether they were answered or not.
fn unreported(round: &ProbeRound, parts: &[&ArrivalRound]) -> u64 {
    let of_round = parts.iter().filter(|part| part.key == round.key);
    let seen = of_round.fold(SequenceSet::new(), |all, part| {
        let sets = [&part.on_wire, &part.accepted, &part.replied].into_iter().filter_map(Known::known);
        sets.fold(all, |all, set| all.union(set))
    });
    let left = round.departed.known().map_or_else(|| round.sent.clone(), |left| left.intersection(&round.sent));
    left.missing_from(&seen)
}

/// Requests that the observer saw its kernel accept.
fn accepted(part: &ArrivalRound) -> u64 {
    part.accepted.known().map_or(0, SequenceSet::len)
}

fn by_collector(at: Timestamp, clock: &ClockFact) -> i64 {
    at.as_millis().saturating_sub(clock.offset_ms)
}

/// The clocks of both hosts, relative to the collector's: of the one that sends requests and of the one that gets them.
pub(super) struct Clocks {
    near: Option<ClockFact>,
    far: Option<ClockFact>,
}

impl Clocks {
    pub(super) fn of(near: Option<&HostFacts>, far: Option<&HostFacts>) -> Self {
        let clock = |facts: Option<&HostFacts>| facts.and_then(|facts| facts.clock.known()).copied();
        Self { near: clock(near), far: clock(far) }
    }

    /// Whether a time by the clock of the far host is so long after the end of a round that what arrived of the round has
    /// been reported before.
    pub(super) fn is_after(&self, at: Timestamp, round: &ProbeRound) -> bool {
        let (Some(near), Some(far)) = (self.near, self.far) else { return false };
        let error = near.error_ms.saturating_abs().saturating_add(far.error_ms.saturating_abs());
        let ended = by_collector(round.ended_at, &near).saturating_add(error).saturating_add(REPORTED_AFTER_MS);
        by_collector(at, &far) > ended
    }

    /// Whether all probes of a round were surely sent, by the sender's clock, within the time counted by the observer's.
    fn cover(&self, count: &EchoCount, round: &ProbeRound) -> bool {
        let (Some(near), Some(far)) = (self.near, self.far) else { return false };
        let error = near.error_ms.saturating_abs().saturating_add(far.error_ms.saturating_abs());
        let sending = round.sending_ms.and_then(|sending| {
            let after = sending.checked_add(round.held_ms.unwrap_or_default())?;
            round.started_at.as_millis().checked_add_unsigned(after).map(Timestamp::from_millis)
        });
        let from = by_collector(round.started_at, &near).saturating_sub(error);
        let to = by_collector(sending.unwrap_or(round.ended_at), &near).saturating_add(error);
        by_collector(count.since, &far) <= from && to <= by_collector(count.until, &far)
    }
}

//! Edges: a moment from which on the probes of a flow meet something else than before.
//!
//! Losses that all lie on one side of one moment are no share of packets that a path loses: something changed then. The
//! probes before the edge say nothing about the present, and the moment says when to look for what changed.
//!
//! A round has an edge if two rates, one before and one after, explain its answers better than one rate does, by more than
//! [`GAIN_MIN`] after the choice of the moment among all probes is paid for, and the two are nearly all and nothing.
//! Knows nothing about causes.

use crate::guest_filter::{Asked, Filter, Packets};
use pingtong_evidence::{AgentId, HostFacts, Known, Pair, ProbeRound, SequenceSet, Side, Timestamp};
use std::collections::BTreeMap;

/// Minimum gain in log-likelihood: the odds of an edge against one rate are then about 400 to 1.
const GAIN_MIN: f64 = 6.0;
/// Minimum share that is answered on one side of an edge; on the other side nothing is.
const ALIVE_MIN: f64 = 0.9;

/// An edge in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    /// About when, by the clock of the sender.
    pub(crate) at: Timestamp,
    /// Number of the first probe after it.
    from: u32,
    /// Whether probes were answered before it, and not after it; otherwise the reverse.
    pub(crate) dies: bool,
}

/// Maximum difference between the moments that two rounds of one flow show of one change, in milliseconds.
const SAME_MS: u128 = 500;

/// The latest edge in the rounds of one flow, with its round. Edges at several moments are no change: what every round
/// meets after so many probes is a rate.
pub(super) fn latest<'r>(rounds: impl Iterator<Item = &'r ProbeRound>) -> Option<(&'r ProbeRound, Edge)> {
    let rounds: Vec<&ProbeRound> = rounds.collect();
    let edges: Vec<_> = rounds.iter().filter_map(|round| Some((*round, edge(round)?))).collect();
    let (of, last) = edges.iter().max_by_key(|(_, edge)| edge.at).copied()?;
    let same = |edge: &Edge| last.at.since(edge.at).as_millis() <= SAME_MS;
    // The rounds before it and after it meet what it says: one that a full queue or a rate cuts short says nothing.
    let agrees = |round: &&ProbeRound| {
        let is_alive = if round.ended_at <= last.at {
            last.dies
        } else if round.started_at >= last.at {
            !last.dies
        } else {
            return true;
        };
        let answered = answered(round);
        let rate = share(answered.iter().filter(|answered| **answered).count(), answered.len());
        if is_alive { rate >= ALIVE_MIN } else { rate <= 0.0 }
    };
    let is_one = edges.iter().all(|(_, edge)| same(edge)) && rounds.iter().all(agrees);
    is_one.then_some((of, last))
}

/// Whether each probe of a round was answered, in the order in which they were sent.
fn answered(round: &ProbeRound) -> Vec<bool> {
    let received = round.replied.union(&round.late);
    numbers(&round.sent).map(|number| received.contains(number)).collect()
}

/// Whether a rule of either host holds packets of the pair to a rate: it lets a burst pass and stops what follows.
pub(super) fn is_rated(pair: &Pair, facts: &BTreeMap<AgentId, HostFacts>) -> bool {
    let kinds = [Asked::Requests, Asked::Replies, Asked::Sent, Asked::Answers];
    Side::BOTH.into_iter().any(|side| {
        let of_host = pair.endpoint(side).agent.as_ref().and_then(|agent| facts.get(agent)).and_then(Filter::of);
        of_host
            .is_some_and(|filter| kinds.iter().any(|kind| filter.limiting(&Packets::of(pair, side), *kind).is_some()))
    })
}

/// The edge of a round, if it has one. Ports that are closed show none: refusals are sent at a limited rate.
fn edge(round: &ProbeRound) -> Option<Edge> {
    if round.ports.as_ref().is_some_and(|ports| !ports.closed.is_empty()) {
        return None;
    }
    let sent: Vec<u32> = numbers(&round.sent).collect();
    let answered = answered(round);
    let all = answered.iter().filter(|answered| **answered).count();
    let whole = log_likelihood(all, sent.len());
    let mut best: Option<(f64, usize, usize)> = None;
    let mut before = 0;
    for (at, is_answered) in answered.iter().enumerate() {
        if at > 0 {
            let gain = log_likelihood(before, at) + log_likelihood(all - before, sent.len() - at) - whole;
            if best.is_none_or(|(most, _, _)| gain > most) {
                best = Some((gain, at, before));
            }
        }
        before += usize::from(*is_answered);
    }
    let (gain, at, before) = best?;
    let (first, second) = (share(before, at), share(all - before, sent.len() - at));
    let is_sharp = first.max(second) >= ALIVE_MIN && first.min(second) <= 0.0;
    #[expect(clippy::cast_precision_loss, reason = "rounds have few probes")]
    let paid = (sent.len() as f64).ln();
    let from = *sent.get(at)?;
    (is_sharp && gain - paid >= GAIN_MIN).then(|| Edge { at: sent_at(round, from), from, dies: first > second })
}

/// When a probe was due.
fn sent_at(round: &ProbeRound, number: u32) -> Timestamp {
    let whole = u64::try_from(round.ended_at.since(round.started_at).as_millis()).unwrap_or(u64::MAX);
    let sending = round.sending_ms.unwrap_or(whole);
    let after = sending.saturating_mul(number.into()) / u64::from(round.planned.max(1));
    let after = after.saturating_add(round.held_ms.unwrap_or_default());
    Timestamp::from_millis(round.started_at.as_millis().saturating_add_unsigned(after))
}

/// The part of a round after an edge.
pub(super) fn after(round: &ProbeRound, edge: Edge) -> ProbeRound {
    let kept = |set: &SequenceSet| -> SequenceSet { numbers(set).filter(|number| *number >= edge.from).collect() };
    let known = |set: &Known<SequenceSet>| match set {
        Known::Known(set) => Known::Known(kept(set)),
        Known::Unknown(why) => Known::Unknown(why.clone()),
    };
    let mut part = round.clone();
    (part.sent, part.replied, part.late) = (kept(&round.sent), kept(&round.replied), kept(&round.late));
    (part.departed, part.replied_on_wire) = (known(&round.departed), known(&round.replied_on_wire));
    for errors in &mut part.send_errors {
        errors.probes = kept(&errors.probes);
    }
    part.send_errors.retain(|errors| !errors.probes.is_empty());
    part
}

fn numbers(set: &SequenceSet) -> impl Iterator<Item = u32> + '_ {
    set.ranges().iter().flat_map(|(first, last)| *first..=*last)
}

#[expect(clippy::cast_precision_loss, reason = "rounds have few probes")]
fn share(of: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { of as f64 / all as f64 }
}

/// Log-likelihood of a number of answers under the rate that fits it best.
#[expect(clippy::cast_precision_loss, reason = "rounds have few probes")]
fn log_likelihood(answered: usize, of: usize) -> f64 {
    let term = |count: usize| if count == 0 { 0.0 } else { count as f64 * share(count, of).ln() };
    term(answered) + term(of - answered)
}

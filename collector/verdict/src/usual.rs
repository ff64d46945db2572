//! What round-trip times of a flow are usual, from rounds before those that are judged.
//!
//! The lower quartile of what earlier rounds showed: a flow that was slow for most of the time on record still has its
//! usual time found, and one slow or lucky round moves nothing. Fewer than [`ROUNDS_MIN`] rounds are no custom. Rounds of
//! another size and those whose prober dropped packets of its own are left out.

use crate::question::Question;
use pingtong_evidence::{Direction, Pair, ProbeRound};
use std::time::Duration;

/// Earlier rounds below which nothing is usual.
const ROUNDS_MIN: usize = 3;

/// Round-trip times of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// Of the shortest of each round.
    pub(crate) low: Duration,
    /// Of the middle of each round.
    pub(crate) middle: Duration,
    /// Of the 95th percentile of each round.
    pub(crate) high: Duration,
    /// Of the mean difference of neighbours.
    pub(crate) jitter: Duration,
    pub(crate) rounds: usize,
}

impl Times {
    /// Of these rounds, at the given quarter of their order: 1 the lower quartile, 2 the median.
    fn of<'r>(rounds: impl Iterator<Item = &'r ProbeRound>, quarter: usize) -> Option<Self> {
        let all: Vec<_> =
            rounds.filter(|round| round.is_plain() && round.own_drops == 0).filter_map(|round| round.rtt).collect();
        let at = |pick: fn(&pingtong_evidence::RttSummary) -> u64| {
            let mut values: Vec<u64> = all.iter().map(pick).collect();
            values.sort_unstable();
            values.get((values.len().saturating_sub(1)) * quarter / 4).map(|nanos| Duration::from_nanos(*nanos))
        };
        Some(Self {
            low: at(|rtt| rtt.min.0)?,
            middle: at(|rtt| rtt.p50.0)?,
            high: at(|rtt| rtt.p95.0)?,
            jitter: at(|rtt| rtt.jitter.0)?,
            rounds: all.len(),
        })
    }
}

/// What was usual before, and what is now; none where there is no custom or no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) usual: Option<Times>,
    pub(crate) now: Times,
}

/// Of one flow.
pub(crate) fn change(question: &Question, flow: Direction) -> Option<Change> {
    change_of(question, &question.pair, flow)
}

/// Of one flow of any pair that the question has evidence of.
pub(crate) fn change_of(question: &Question, pair: &Pair, flow: Direction) -> Option<Change> {
    let (from, to) = (pair.endpoint(flow.source()), pair.endpoint(flow.destination()));
    let of_flow = |round: &&ProbeRound| {
        round.pair == pair.id
            && round.protocol == pair.protocol
            && round.target == to.address
            && from.agent.as_ref().is_none_or(|agent| *agent == round.key.agent)
    };
    let usual = Times::of(question.earlier.iter().filter(of_flow), 1).filter(|times| times.rounds >= ROUNDS_MIN);
    let now = Times::of(question.probes.iter().filter(of_flow), 2)?;
    Some(Change { usual, now })
}

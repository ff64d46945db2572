//! Which round-trip times are usual for a flow, from rounds before the judged ones.
//!
//! The baseline is the lower quartile of the earlier rounds: it finds the usual time even of a flow that was slow for
//! most of the recorded time, and one slow round does not move it. With three or four rounds it is the smallest value;
//! from five rounds on, one lucky round does not move it either. Fewer than [`ROUNDS_MIN`] rounds are too few for a
//! baseline. Rounds of size searches and loads, and rounds whose prober dropped packets of its own, are left out.

use crate::question::Question;
use pingtong_evidence::{Direction, Pair, ProbeRound};
use std::time::Duration;

/// Minimum number of earlier rounds for a baseline.
const ROUNDS_MIN: usize = 3;

/// Round-trip times of a flow: each value is a quartile over its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// Over the shortest time of each round.
    pub(crate) low: Duration,
    /// Over the median of each round.
    pub(crate) middle: Duration,
    /// Over the 95th percentile of each round.
    pub(crate) high: Duration,
    /// Over the mean difference between consecutive probes of each round.
    pub(crate) jitter: Duration,
    pub(crate) rounds: usize,
}

impl Times {
    /// The values over these rounds at a quartile: 1 is the lower quartile, 2 the median.
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

/// Usual and current round-trip times of a flow; `usual` is `None` if there are too few earlier rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) usual: Option<Times>,
    pub(crate) now: Times,
}

/// The change of one flow of the pair; `None` if no current round has round-trip times.
pub(crate) fn change(question: &Question<'_>, flow: Direction) -> Option<Change> {
    change_of(question, question.pair, flow)
}

/// The same for one flow of any pair that the question has evidence of.
pub(crate) fn change_of(question: &Question<'_>, pair: &Pair, flow: Direction) -> Option<Change> {
    let (from, to) = (pair.endpoint(flow.source()), pair.endpoint(flow.destination()));
    let of_flow = |round: &&ProbeRound| {
        round.pair == pair.id
            && round.protocol == pair.protocol
            && round.target == to.address
            && from.agent.as_ref().is_none_or(|agent| *agent == round.key.agent)
    };
    let usual =
        Times::of(question.earlier.iter().copied().filter(of_flow), 1).filter(|times| times.rounds >= ROUNDS_MIN);
    let now = Times::of(question.probes.iter().copied().filter(of_flow), 2)?;
    Some(Change { usual, now })
}

//! Evidence from the store about the past. For a pair that is dead now: the rounds back to when it last worked, and the
//! configuration and host facts around the time when it broke. For any pair: sampled rounds as the baseline. Decides
//! nothing: the verdict engine finds the trigger and compares current values with the baseline.
//!
//! The past of a dead pair is read only if every judged round of a sender is unanswered. If the latest rounds do not
//! reach back to a time when the pair worked, the history of verdicts shows when that was.

use crate::store::{LinkEvidence, Store, StoreError};
use pingtong_evidence::{AgentId, LinkId, Pair, ProbeRound, Side, Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// Number of latest rounds of one sender to look back over: more than a minute of steady probing.
const ROUNDS_MAX: u32 = 64;
/// Maximum number of snapshots of the same VPCs around the time when a pair broke.
const READINGS_MAX: u32 = 16;
/// A break is recorded within the evidence window of one look. Rounds are read back from this long after the record, so
/// that they cover the break and show the pair working before it.
const NOTED_WITHIN: Duration = Duration::from_mins(2);

/// The first baseline sample is taken this long ago; each further sample is 1.5 times as far back as the one before.
const SAMPLE_FIRST: Duration = Duration::from_secs(1);
/// The baseline reaches back at most this long: twenty-nine samples.
const SAMPLE_LAST: Duration = Duration::from_hours(24);
/// Length of one sample: it covers the steady round of every sender, which comes once a second.
const SAMPLE: Duration = Duration::from_millis(1_500);

/// The interval in which a pair broke: from the last answered round to the first unanswered round after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Break {
    last_good: Timestamp,
    first_bad: Timestamp,
}

/// Adds the history of the pairs that are dead in `evidence`.
pub(crate) fn add<'p>(
    store: &Store,
    pairs: impl Iterator<Item = &'p Pair>,
    evidence: &mut LinkEvidence,
) -> Result<(), StoreError> {
    let mut breaks = vec![];
    let mut agents = BTreeSet::new();
    for pair in pairs {
        for side in Side::BOTH {
            let Some(agent) = pair.endpoint(side).agent.as_ref() else { continue };
            if let Some(since) = dead_since(evidence, pair, agent) {
                let rounds = rounds_back(store, pair, agent, since)?;
                breaks.extend(broke(&rounds, since));
                agents.extend(Side::BOTH.into_iter().filter_map(|side| pair.endpoint(side).agent.clone()));
                evidence.earlier.extend(rounds);
            }
        }
    }
    let from = breaks.iter().map(|at| at.last_good).min();
    let to = breaks.iter().map(|at| at.first_bad).max();
    let Some((from, to)) = from.zip(to) else { return Ok(()) };
    let mut readings = vec![];
    for chosen in &evidence.snapshots {
        let around = store.snapshots_around(chosen, (from, to), READINGS_MAX)?;
        readings.extend(around.into_iter().filter(|read| *read != *chosen));
    }
    evidence.snapshots.extend(readings);
    for agent in &agents {
        let around = store.hosts_around(agent, from, to)?;
        let new = around.into_iter().filter(|facts| !evidence.hosts.contains(facts)).collect::<Vec<_>>();
        evidence.hosts.extend(new);
    }
    Ok(())
}

/// Samples earlier rounds of a link as the baseline. The further back, the sparser the samples, so that both a change
/// of a minute ago and a change of an hour ago have enough rounds on either side.
pub(crate) fn usual(store: &Store, link: &LinkId, before: Timestamp) -> Result<Vec<ProbeRound>, StoreError> {
    let mut rounds = vec![];
    let mut back = SAMPLE_FIRST;
    while back <= SAMPLE_LAST {
        let at = before.as_millis().saturating_sub(i64::try_from(back.as_millis()).unwrap_or(i64::MAX));
        let sampled = store.rounds_up_to(link, Timestamp::from_millis(at), SAMPLE)?;
        rounds.extend(sampled.into_iter().filter(|round| round.is_plain() && round.rtt.is_some()));
        back = back * 3 / 2;
    }
    rounds.sort();
    rounds.dedup();
    Ok(rounds)
}

/// When the first judged round of a link began; `None` if there are no rounds.
pub(crate) fn began(evidence: &LinkEvidence) -> Option<Timestamp> {
    evidence.probes.iter().map(|round| round.started_at).min()
}

/// Whether every probe was answered. A round that is answered in part may have run while the pair broke.
fn is_whole(round: &ProbeRound) -> bool {
    round.sent.missing_from(&round.replied.union(&round.late)) == 0
}

fn is_answered(round: &ProbeRound) -> bool {
    !round.replied.is_empty() || !round.late.is_empty()
}

/// When the first judged round of a sender began, if none of its rounds was answered.
fn dead_since(evidence: &LinkEvidence, pair: &Pair, agent: &AgentId) -> Option<Timestamp> {
    let of_sender = |round: &&ProbeRound| round.pair == pair.id && round.key.agent == *agent && round.is_plain();
    let judged = || evidence.probes.iter().filter(of_sender);
    let dead = judged().all(|round| !is_answered(round));
    judged().map(|round| round.started_at).min().filter(|_| dead)
}

fn rounds_back(store: &Store, pair: &Pair, agent: &AgentId, since: Timestamp) -> Result<Vec<ProbeRound>, StoreError> {
    let (link, id) = (&pair.link.id, &pair.id);
    let latest = store.rounds_before(link, id, agent, since, ROUNDS_MAX)?;
    if latest.iter().any(is_answered) {
        return Ok(latest);
    }
    let Some(noted) = store.broke_at(link, id)? else { return Ok(latest) };
    let after = noted.plus(NOTED_WITHIN).min(since);
    store.rounds_before(link, id, agent, after, ROUNDS_MAX * 4)
}

fn broke(rounds: &[ProbeRound], since: Timestamp) -> Option<Break> {
    let answered = rounds.iter().filter(|round| is_answered(round));
    let last_good = answered.map(|round| if is_whole(round) { round.ended_at } else { round.started_at }).max()?;
    // A packet that is lost because of its size, or during a load, says nothing about the pair.
    let bad = rounds.iter().filter(|round| !is_answered(round) && round.is_plain()).map(|round| round.started_at);
    let first_bad = bad.filter(|at| *at >= last_good).min().unwrap_or(since);
    Some(Break { last_good, first_bad })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Incoming;
    use pingtong_evidence::{Report, ReportBody, ReportId, RoundPurpose, SequenceSet};
    use serde_json::json;

    fn round(number: u64, started: i64, answered: bool) -> ProbeRound {
        let mut round: ProbeRound = serde_json::from_value(json!({
            "key": {"agent": "a", "round": number}, "pair": "p1/x", "target": "10.0.0.2", "protocol": "icmp",
            "started_at": started, "ended_at": started + 900, "payload_bytes": 56, "planned": 10, "sent": [[0, 9]],
            "replied": []
        }))
        .unwrap();
        if answered {
            round.replied = SequenceSet::first(10);
        }
        round
    }

    #[test]
    fn the_break_lies_between_the_last_answered_round_and_the_first_unanswered_one_after_it() {
        let at = Timestamp::from_millis;
        let rounds = [round(1, 1_000, true), round(2, 2_000, false), round(3, 3_000, true), round(4, 4_000, false)];
        assert_eq!(broke(&rounds, at(9_000)), Some(Break { last_good: at(3_900), first_bad: at(4_000) }));
        assert_eq!(broke(&rounds[..3], at(9_000)), Some(Break { last_good: at(3_900), first_bad: at(9_000) }));
        assert_eq!(broke(&rounds[1..2], at(9_000)), None);
        let mut partly = round(5, 5_000, true);
        partly.replied = SequenceSet::first(3);
        let during = [round(3, 3_000, true), partly, round(6, 6_000, false)];
        assert_eq!(broke(&during, at(9_000)), Some(Break { last_good: at(5_000), first_bad: at(6_000) }));
    }

    #[test]
    fn what_was_usual_is_sampled_back_over_a_day_and_searches_are_left_out() {
        let mut store = Store::open(std::path::Path::new(":memory:")).unwrap();
        let (link, agent) = (LinkId::parse("p1").unwrap(), AgentId::parse("a").unwrap());
        let now = 100_000_000_000_i64;
        let rtt = json!({"samples": 10, "min": 1, "mean": 1, "p50": 1, "p95": 1, "p99": 1, "max": 1, "jitter": 0, "kernel_timestamps": true});
        for (number, back_s) in (0_u64..).zip([0_i64, 1, 2, 3, 60, 3_600, 80_000, 200_000]) {
            let ended = now - back_s * 1_000;
            let mut kept = round(number, ended - 900, true);
            kept.rtt = Some(serde_json::from_value(rtt.clone()).unwrap());
            if back_s == 3 {
                kept.purpose = RoundPurpose::PathSize;
            }
            let at = Timestamp::from_millis(ended);
            let id = ReportId::parse(&format!("r{number}")).unwrap();
            let report = Report { id, at, body: ReportBody::Probe(Box::new(kept)) };
            store.keep(&agent, &[Incoming::new(report, Some(link.clone()))], at).unwrap();
        }
        let found = usual(&store, &link, Timestamp::from_millis(now)).unwrap();
        let back: Vec<i64> = found.iter().map(|round| (now - round.started_at.as_millis() - 900) / 1_000).collect();
        assert!(back.contains(&1) && back.contains(&2), "{back:?}");
        assert!(!back.contains(&0) && !back.contains(&3) && !back.contains(&200_000), "{back:?}");
    }
}

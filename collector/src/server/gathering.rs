//! One request for fresh evidence: which agents were asked, which are done, and whether every probe is accounted for.
//!
//! Pure: the caller passes in reports and times. The request is complete when every agent asked has reported that it is
//! done and, in addition, every probe that was sent was seen arriving or the grace time for late parts of arrivals has
//! passed. Times are milliseconds since the request began.

use pingtong_evidence::{AgentId, Known, ReportBody, RequestTag, RoundKey, SequenceSet};
use std::collections::{BTreeMap, BTreeSet};

/// Grace time in milliseconds: agents flush arrivals at most 300 ms after they go quiet; the rest is for transit.
pub(crate) const GRACE_MS: u64 = 500;
/// Maximum number of rounds tracked in one request; for any further round the grace time alone decides.
const ROUNDS_MAX: usize = 20_000;

/// The state of one request.
#[derive(Debug, Clone)]
pub(crate) struct Gathering {
    tag: RequestTag,
    asked: BTreeSet<AgentId>,
    done: BTreeSet<AgentId>,
    heard: BTreeSet<AgentId>,
    /// Rounds whose target has an agent that can see the probes arrive.
    rounds: BTreeMap<RoundKey, Sent>,
    seen: BTreeMap<RoundKey, Seen>,
    all_done_at_ms: Option<u64>,
}

/// A round as its sender knows it.
#[derive(Debug, Clone)]
struct Sent {
    sent: SequenceSet,
    received: SequenceSet,
}

/// A round as the probed end knows it.
#[derive(Debug, Clone, Default)]
struct Seen {
    arrived: SequenceSet,
    answered: SequenceSet,
}

impl Gathering {
    /// Begins a request to these agents.
    pub(crate) fn new(tag: RequestTag, asked: BTreeSet<AgentId>) -> Self {
        let all_done_at_ms = asked.is_empty().then_some(0);
        let (done, heard) = (BTreeSet::new(), BTreeSet::new());
        Self { tag, asked, done, heard, rounds: BTreeMap::new(), seen: BTreeMap::new(), all_done_at_ms }
    }

    /// Records a stored report. `observed` says whether an agent runs at the target of a probe round.
    pub(crate) fn note(&mut self, now_ms: u64, agent: &AgentId, body: &ReportBody, observed: bool) {
        if !self.asked.contains(agent) {
            return;
        }
        match body {
            ReportBody::Probe(round) if round.request.as_ref() == Some(&self.tag) => {
                self.heard.insert(agent.clone());
                if observed && self.rounds.len() < ROUNDS_MAX {
                    let known = Sent { sent: round.sent.clone(), received: round.replied.union(&round.late) };
                    self.rounds.insert(round.key.clone(), known);
                }
            }
            ReportBody::Arrival(part) if self.asked.contains(&part.key.agent) && self.seen.len() < ROUNDS_MAX => {
                let seen = self.seen.entry(part.key.clone()).or_default();
                if let Known::Known(arrived) = &part.on_wire {
                    seen.arrived = seen.arrived.union(arrived);
                }
                if let Known::Known(answered) = &part.replied {
                    seen.answered = seen.answered.union(answered);
                }
                for (_, answered) in &part.replied_elsewhere {
                    seen.answered = seen.answered.union(answered);
                }
            }
            ReportBody::Host(facts) if facts.request.as_ref() == Some(&self.tag) => {
                self.heard.insert(agent.clone());
            }
            ReportBody::Snapshot(snapshot) if snapshot.request.as_ref() == Some(&self.tag) => {
                self.heard.insert(agent.clone());
            }
            ReportBody::Health(health) if health.fresh_done.as_ref() == Some(&self.tag) => {
                self.heard.insert(agent.clone());
                self.done.insert(agent.clone());
                if self.done.len() == self.asked.len() {
                    self.all_done_at_ms.get_or_insert(now_ms);
                }
            }
            _ => {}
        }
    }

    /// When to check again; `None` if there is nothing more to wait for.
    pub(crate) fn next_deadline_ms(&self, now_ms: u64, deadline_ms: u64) -> Option<u64> {
        let until = match self.all_done_at_ms {
            Some(_) if self.is_accounted_for() => return None,
            Some(at) => deadline_ms.min(at.saturating_add(GRACE_MS)),
            None => deadline_ms,
        };
        (now_ms < until).then_some(until)
    }

    /// Agents asked that have sent no report for this request.
    pub(crate) fn silent(&self) -> Vec<AgentId> {
        self.asked.difference(&self.heard).cloned().collect()
    }

    /// The tag of the request.
    pub(crate) fn tag(&self) -> &RequestTag {
        &self.tag
    }

    fn is_accounted_for(&self) -> bool {
        self.rounds.iter().all(|(key, round)| {
            self.seen.get(key).is_some_and(|seen| {
                round.sent.missing_from(&seen.arrived) == 0 && round.received.missing_from(&seen.answered) == 0
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{AgentHealth, ArrivalRound, ProbeRound};
    use serde_json::json;

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).unwrap()
    }

    fn probe(from: &str, sent: u32) -> ReportBody {
        let round: ProbeRound = serde_json::from_value(json!({
            "key": {"agent": from, "round": 7}, "pair": "p", "target": "10.0.0.2", "protocol": "icmp", "request": "t",
            "started_at": 0, "ended_at": 1, "payload_bytes": 56, "planned": sent, "sent": [[0, sent - 1]], "replied": []
        }))
        .unwrap();
        ReportBody::Probe(Box::new(round))
    }

    fn arrival(observer: &str, from: &str, last: u32) -> ReportBody {
        let part: ArrivalRound = serde_json::from_value(json!({
            "observer": observer, "key": {"agent": from, "round": 7}, "from": "10.0.0.1", "to": "10.0.0.2", "first_at": 0,
            "last_at": 1, "on_wire": {"known": [[0, last]]}, "accepted": {"known": []}, "replied": {"known": []}
        }))
        .unwrap();
        ReportBody::Arrival(part)
    }

    fn done(tag: &str) -> ReportBody {
        ReportBody::Health(AgentHealth { fresh_done: Some(RequestTag::parse(tag).unwrap()), ..AgentHealth::default() })
    }

    fn asked() -> Gathering {
        Gathering::new(RequestTag::parse("t").unwrap(), BTreeSet::from([agent("a"), agent("b")]))
    }

    #[test]
    fn ends_at_once_when_every_probe_is_accounted_for() {
        let mut gathering = asked();
        gathering.note(10, &agent("a"), &probe("a", 4), true);
        gathering.note(11, &agent("a"), &done("t"), false);
        gathering.note(12, &agent("b"), &done("t"), false);
        assert_eq!(gathering.next_deadline_ms(12, 4000), Some(512), "arrivals may still come");
        gathering.note(13, &agent("b"), &arrival("b", "a", 3), false);
        assert_eq!(gathering.next_deadline_ms(13, 4000), None);
        assert!(gathering.silent().is_empty());
    }

    #[test]
    fn waits_for_a_silent_agent_until_the_deadline_and_names_it() {
        let mut gathering = asked();
        gathering.note(11, &agent("a"), &done("t"), false);
        gathering.note(12, &agent("b"), &done("an-older-tag"), false);
        assert_eq!(gathering.next_deadline_ms(20, 4000), Some(4000));
        assert_eq!(gathering.next_deadline_ms(4000, 4000), None);
        assert_eq!(gathering.silent(), [agent("b")]);
    }

    #[test]
    fn lost_probes_cost_the_grace_time_only() {
        let mut gathering = asked();
        gathering.note(10, &agent("a"), &probe("a", 4), true);
        gathering.note(100, &agent("a"), &done("t"), false);
        gathering.note(200, &agent("b"), &done("t"), false);
        assert_eq!(gathering.next_deadline_ms(300, 4000), Some(700));
        assert_eq!(gathering.next_deadline_ms(700, 4000), None);
    }

    #[test]
    fn strangers_do_not_count() {
        let mut gathering = asked();
        gathering.note(1, &agent("c"), &done("t"), false);
        assert_eq!(gathering.silent().len(), 2);
    }
}

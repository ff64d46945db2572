//! Matches arrivals of connections with the rounds of TCP probes that they belong to, in whichever order both are
//! reported.
//!
//! A SYN carries no mark of its round. The far agent therefore reports source ports, and only the collector knows both
//! ends. A match is stored as an ordinary arrival of the round. Round and arrival match if they happened within a
//! minute by the agents' clocks, or were stored within a minute by the collector's clock: the first holds if a report
//! is late, the second if a clock is wrong. If both are the case, the arrivals stay apart from their round, which then
//! looks as if no agent had observed it.

use super::{
    StoreError,
    arrivals::{keep_row, keep_whole},
    bodies,
};
use pingtong_evidence::{ConnectionArrivals, ProbeRound, Protocol, RoundId, RoundKind, Timestamp};
use rusqlite::{Transaction, params};

/// Milliseconds within which a source port identifies one connection: kernels hand out source ports in turn.
const TOGETHER_MS: i64 = 60_000;

/// After a round was stored: matches the connections that are already stored.
pub(super) fn of_kept_round(db: &Transaction<'_>, round: &ProbeRound, now: i64) -> Result<(), StoreError> {
    if round.protocol != Protocol::Tcp {
        return Ok(());
    }
    let number = |ms: i64| RoundId::new(RoundKind::Connections, Timestamp::from_millis(ms), 0).signed();
    let from = number(round.started_at.as_millis().saturating_sub(TOGETHER_MS));
    let to = number(round.ended_at.as_millis().saturating_add(TOGETHER_MS));
    let known: Vec<ConnectionArrivals> = bodies(
        db,
        "arrivals of connections",
        "SELECT body FROM arrival WHERE agent = ?1 AND round < 0 AND (round BETWEEN ?2 AND ?3 OR kept_at >= ?4)",
        params![round.key.agent.as_str(), from, to, now.saturating_sub(TOGETHER_MS)],
    )?;
    known.iter().filter_map(|part| part.of_round(round)).try_for_each(|part| keep_whole(db, &part, now))
}

/// Stores arrivals of connections, whose JSON is `body`, and matches the rounds that are already stored.
pub(super) fn keep(db: &Transaction<'_>, part: &ConnectionArrivals, body: &str, now: i64) -> Result<(), StoreError> {
    let seen = part.seen();
    keep_row(db, seen, body, now)?;
    let known: Vec<ProbeRound> = bodies(
        db,
        "probe round",
        &format!(
            "SELECT body FROM probe WHERE agent = ?1 AND round >= {}
             AND (started_at BETWEEN ?2 AND ?3 OR kept_at >= ?4)",
            // A literal, so that the partial index applies.
            RoundId::new(RoundKind::Ports, Timestamp::from_millis(0), 0).signed()
        ),
        params![
            seen.key.agent.as_str(),
            seen.first_at.as_millis().saturating_sub(TOGETHER_MS),
            seen.last_at.as_millis().saturating_add(TOGETHER_MS),
            now.saturating_sub(TOGETHER_MS),
        ],
    )?;
    known.iter().filter_map(|round| part.of_round(round)).try_for_each(|part| keep_whole(db, &part, now))
}

#[cfg(test)]
mod tests {
    use super::super::{Incoming, LinkEvidence, Store};
    use super::*;
    use pingtong_evidence::{AgentId, Known, LinkId, Report, ReportBody, RequestTag, SequenceSet, Timestamp};
    use serde_json::{Value, json};
    use std::{collections::BTreeSet, path::Path};

    fn incoming(id: &str, body: &Value) -> Incoming {
        let report: Report = serde_json::from_value(json!({"id": id, "at": 5, "body": body})).unwrap();
        let link = matches!(report.body, ReportBody::Probe(_)).then(|| LinkId::parse("p1").unwrap());
        Incoming::new(report, link)
    }

    fn round(number: u64, at: i64) -> Value {
        json!({"probe": {
            "key": {"agent": "a", "round": (1u64 << 62) + number}, "pair": "p1/x", "target": "10.0.0.2", "protocol": "tcp",
            "request": "t", "started_at": at, "ended_at": at + 1_000, "payload_bytes": 0, "planned": 2, "sent": [[0, 1]],
            "replied": [], "ports": {"port": 443, "source_ports": [40_000, 40_002]}
        }})
    }

    fn part(at: i64, port: u32) -> Value {
        json!({"connections": {
            "observer": "b", "key": {"agent": "a", "round": RoundId::new(RoundKind::Connections, Timestamp::from_millis(at), 0)},
            "port": 443, "from": "10.0.0.1", "to": "10.0.0.2", "first_at": at, "last_at": at + 200, "interface": "eth0",
            "on_wire": {"known": [[port, port]]}, "accepted": {"unknown": "not_asked"}, "replied": {"known": []}
        }})
    }

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).unwrap()
    }

    fn keep(store: &mut Store, from: &str, id: &str, body: &Value, now: i64) {
        store.keep(&agent(from), &[incoming(id, body)], Timestamp::from_millis(now)).unwrap();
    }

    fn evidence(store: &Store) -> LinkEvidence {
        let (link, tag) = (LinkId::parse("p1").unwrap(), RequestTag::parse("t").unwrap());
        store.evidence_of_request(&link, &tag, &BTreeSet::from([agent("a"), agent("b")])).unwrap()
    }

    fn arrived(store: &Store) -> Vec<(u64, Known<SequenceSet>)> {
        evidence(store).arrivals.into_iter().map(|part| (part.key.round.bits(), part.on_wire)).collect()
    }

    #[test]
    fn whichever_end_reports_first_they_are_put_together() {
        for probe_first in [true, false] {
            let mut store = Store::open(Path::new(":memory:")).unwrap();
            let reports = [("a", round(1, 100_000)), ("b", part(100_100, 40_002)), ("b", part(100_900, 40_000))];
            let mut order: Vec<usize> = vec![0, 1, 2];
            if !probe_first {
                order.reverse();
            }
            for at in order {
                keep(&mut store, reports[at].0, &at.to_string(), &reports[at].1, 101_000);
            }
            assert_eq!(arrived(&store), [((1 << 62) + 1, Known::Known(SequenceSet::first(2)))], "{probe_first}");
        }
    }

    #[test]
    fn a_late_report_and_a_wrong_clock_are_each_overcome_and_another_time_is_another_connection() {
        let hour = 3_600_000;
        // First the far agent's reports are an hour late; then its clock is an hour wrong; then both.
        for (at, kept, together) in
            [(100_100, 100_000 + hour, true), (100_100 + hour, 101_000, true), (100_100 + hour, 100_000 + hour, false)]
        {
            let mut store = Store::open(Path::new(":memory:")).unwrap();
            keep(&mut store, "a", "1", &round(1, 100_000), 101_000);
            keep(&mut store, "b", "2", &part(at, 40_000), kept);
            assert_eq!(arrived(&store).len(), usize::from(together), "{at} kept at {kept}");
        }
    }

    #[test]
    fn raw_arrivals_of_connections_are_kept_for_minutes_and_what_was_put_together_as_long_as_its_round() {
        let mut store = Store::open(Path::new(":memory:")).unwrap();
        keep(&mut store, "a", "1", &round(1, 100_000), 101_000);
        keep(&mut store, "b", "2", &part(100_100, 40_000), 101_000);
        let gone = store.forget(Timestamp::from_millis(101_000 + 20 * 60_000)).unwrap();
        assert_eq!((gone, arrived(&store).len()), (1, 1));
        let _ = store.forget(Timestamp::from_millis(101_000 + 3 * 3_600_000)).unwrap();
        assert_eq!(arrived(&store).len(), 1, "evidence of a request stays together");
    }
}

//! Stores reports, and reads evidence back.
//!
//! A report counts once: its ID and its content are stored in one transaction. Parts of one round's arrivals are merged
//! as they come. If one part could not observe, the merged arrival could not either, since a missing part would look
//! like loss.

use super::{
    Store, StoreError,
    arrivals::keep_whole,
    bodies, connections,
    hosts::keep_facts,
    snapshots::{self, keep_snapshot},
};
use pingtong_evidence::{
    AgentId, ArrivalRound, HostFacts, LinkId, LinkSide, PairId, ProbeRound, Report, ReportBody, RequestTag, Snapshot,
    Timestamp,
};
use pingtong_verdict::{HealthReport, Probing};
use rusqlite::{OptionalExtension, Transaction, params};
use std::{collections::BTreeSet, sync::Arc};

/// A report that passed validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The report of the agent.
    pub report: Report,
    /// The link of a probe round's pair; `None` for other reports.
    pub link: Option<LinkId>,
    /// JSON of what the report's body carries, as it came.
    pub text: Box<str>,
}

#[cfg(test)]
impl Incoming {
    /// A report as if it came from an agent.
    pub(crate) fn new(report: Report, link: Option<LinkId>) -> Self {
        let body = serde_json::to_value(&report.body).unwrap();
        let text = body.as_object().unwrap().values().next().unwrap().to_string();
        Self { report, link, text: text.into() }
    }
}

/// What the store has about one link.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LinkEvidence {
    /// Rounds as their senders saw them.
    pub probes: Vec<ProbeRound>,
    /// Rounds before those in `probes`: to find when the current state began, and as the baseline.
    pub earlier: Vec<ProbeRound>,
    /// The same rounds as the probed ends saw them.
    pub arrivals: Vec<ArrivalRound>,
    /// Host facts.
    pub hosts: Vec<HostFacts>,
    /// Configuration snapshots.
    pub snapshots: Vec<Arc<Snapshot>>,
    /// Latest health report of each agent.
    pub healths: Vec<HealthReport>,
    /// How much of the link the probes used.
    pub probing: Option<Probing>,
}

impl Store {
    /// Stores a batch of one agent, all or nothing. Returns how many of it were not stored before.
    ///
    /// # Errors
    /// If a report cannot be serialised or the store cannot be written; then nothing of the batch is stored.
    pub fn keep(&mut self, agent: &AgentId, batch: &[Incoming], now: Timestamp) -> Result<usize, StoreError> {
        let fail = StoreError::of("keep reports");
        let mut fresh = 0;
        let transaction = self.connection.transaction().map_err(&fail)?;
        for incoming in batch {
            let id = &incoming.report.id;
            let news = transaction
                .prepare_cached("INSERT OR IGNORE INTO report (agent, id, kept_at) VALUES (?1, ?2, ?3)")
                .and_then(|mut insert| insert.execute(params![agent.as_str(), id.as_str(), now.as_millis()]))
                .map_err(&fail)?;
            fresh += news;
            if news > 0 {
                keep_body(&transaction, agent, incoming, now)?;
            }
        }
        transaction.commit().map_err(&fail)?;
        Ok(fresh)
    }

    /// Everything with this request tag that concerns one link, and the latest health of its agents.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn evidence_of_request(
        &self,
        link: &LinkId,
        tag: &RequestTag,
        agents: &BTreeSet<AgentId>,
    ) -> Result<LinkEvidence, StoreError> {
        let db = &self.connection;
        let (link, tag) = (link.as_str(), tag.as_str());
        let probes = bodies(db, "probe round", "SELECT body FROM probe WHERE request = ?2 AND link = ?1", [link, tag])?;
        let arrivals = bodies(
            db,
            "arrival round",
            "SELECT a.body FROM probe p JOIN arrival a ON a.agent = p.agent AND a.round = p.round
             WHERE p.request = ?2 AND p.link = ?1",
            [link, tag],
        )?;
        let hosts = self.hosts("SELECT body FROM host WHERE request = ?1 ORDER BY at", [tag])?;
        let snapshots = self.snapshots("WHERE request = ?1 ORDER BY taken_at", [tag])?;
        let hosts = hosts.into_iter().filter(|facts| agents.contains(&facts.agent)).collect();
        Ok(LinkEvidence {
            probes,
            arrivals,
            hosts,
            snapshots,
            healths: self.healths(agents)?,
            ..LinkEvidence::default()
        })
    }

    /// Evidence of a link that was stored from `since` to `until`, the latest host facts of its agents, and the latest
    /// snapshots that cover the VPCs of its sides: several, since more than one reader may take them. Rounds that began more
    /// than a minute before `since` are left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn evidence_of_window(
        &self,
        link: &LinkId,
        agents: &BTreeSet<AgentId>,
        sides: &[LinkSide],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<LinkEvidence, StoreError> {
        let db = &self.connection;
        let window = params![link.as_str(), since.as_millis(), until.as_millis()];
        let probes = bodies(
            db,
            "probe round",
            "SELECT body FROM probe WHERE link = ?1 AND kept_at BETWEEN ?2 AND ?3 AND started_at >= ?2 - 60000",
            window,
        )?;
        let arrivals = bodies(
            db,
            "arrival round",
            "SELECT a.body FROM probe p JOIN arrival a ON a.agent = p.agent AND a.round = p.round
             WHERE p.link = ?1 AND p.kept_at BETWEEN ?2 AND ?3 AND p.started_at >= ?2 - 60000",
            window,
        )?;
        let mut hosts = vec![];
        for agent in agents {
            let latest = "SELECT body FROM host WHERE agent = ?1 ORDER BY at DESC LIMIT 1";
            hosts.extend(self.hosts(latest, [agent.as_str()])?);
        }
        let mut snapshots = vec![];
        for side in sides {
            let latest = until.plus(std::time::Duration::from_mins(1));
            snapshots.extend(self.snapshots_of(side, latest, snapshots::READERS_MAX)?);
        }
        Ok(LinkEvidence {
            probes,
            arrivals,
            hosts,
            snapshots,
            healths: self.healths(agents)?,
            ..LinkEvidence::default()
        })
    }

    /// Adds a link's searches for the largest packet that were stored from `since` to `until` and are not in `evidence`
    /// yet: they are less frequent than other rounds.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn add_searches(
        &self,
        link: &LinkId,
        since: Timestamp,
        until: Timestamp,
        evidence: &mut LinkEvidence,
    ) -> Result<(), StoreError> {
        let window = params![link.as_str(), since.as_millis(), until.as_millis()];
        let probes = "SELECT body FROM probe WHERE link = ?1 AND kept_at BETWEEN ?2 AND ?3
             AND json_extract(body, '$.dont_fragment')";
        let arrivals = "SELECT a.body FROM probe p JOIN arrival a ON a.agent = p.agent AND a.round = p.round
             WHERE p.link = ?1 AND p.kept_at BETWEEN ?2 AND ?3 AND json_extract(p.body, '$.dont_fragment')";
        let probes: Vec<ProbeRound> = bodies(&self.connection, "probe round", probes, window)?;
        let known: BTreeSet<_> = evidence.probes.iter().map(|round| round.key.clone()).collect();
        let arrivals: Vec<ArrivalRound> = bodies(&self.connection, "arrival round", arrivals, window)?;
        evidence.arrivals.extend(arrivals.into_iter().filter(|part| !known.contains(&part.key)));
        evidence.probes.extend(probes.into_iter().filter(|round| !known.contains(&round.key)));
        Ok(())
    }

    /// The latest rounds of one sender of a pair that began before a time, newest first, including searches for the
    /// largest packet.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn rounds_before(
        &self,
        link: &LinkId,
        pair: &PairId,
        agent: &AgentId,
        before: Timestamp,
        count: u32,
    ) -> Result<Vec<ProbeRound>, StoreError> {
        bodies(
            &self.connection,
            "probe round",
            "SELECT body FROM probe WHERE link = ?1 AND pair = ?2 AND agent = ?3 AND started_at < ?4
             ORDER BY round DESC LIMIT ?5",
            params![link.as_str(), pair.as_str(), agent.as_str(), before.as_millis(), count],
        )
    }

    /// Rounds of a link that were stored up to a time, and at most `within` before it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn rounds_up_to(
        &self,
        link: &LinkId,
        at: Timestamp,
        within: std::time::Duration,
    ) -> Result<Vec<ProbeRound>, StoreError> {
        let until = at.as_millis();
        let since = until.saturating_sub(i64::try_from(within.as_millis()).unwrap_or(i64::MAX));
        bodies(
            &self.connection,
            "probe round",
            "SELECT body FROM probe WHERE link = ?1 AND kept_at BETWEEN ?2 AND ?3",
            params![link.as_str(), since, until],
        )
    }

    /// Facts of a host around a period: the latest before it and the first after it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn hosts_around(&self, agent: &AgentId, from: Timestamp, to: Timestamp) -> Result<Vec<HostFacts>, StoreError> {
        let before = "SELECT body FROM host WHERE agent = ?1 AND at <= ?2 ORDER BY at DESC LIMIT 1";
        let after = "SELECT body FROM host WHERE agent = ?1 AND at >= ?2 ORDER BY at LIMIT 1";
        let mut found = self.hosts(before, params![agent.as_str(), from.as_millis()])?;
        found.extend(self.hosts(after, params![agent.as_str(), to.as_millis()])?);
        Ok(found)
    }

    fn healths(&self, agents: &BTreeSet<AgentId>) -> Result<Vec<HealthReport>, StoreError> {
        let fail = StoreError::of("read kept evidence");
        let mut statement =
            self.connection.prepare_cached("SELECT at, body FROM health WHERE agent = ?1").map_err(&fail)?;
        let mut healths = vec![];
        for agent in agents {
            let row: Option<(i64, String)> = statement
                .query_row([agent.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
                .map_err(&fail)?;
            let Some((at, body)) = row else { continue };
            let health =
                serde_json::from_str(&body).map_err(|source| StoreError::Body { what: "agent health", source })?;
            healths.push(HealthReport { agent: agent.clone(), at: Timestamp::from_millis(at), health });
        }
        Ok(healths)
    }
}

fn keep_body(db: &Transaction<'_>, agent: &AgentId, incoming: &Incoming, now: Timestamp) -> Result<(), StoreError> {
    let fail = StoreError::of("keep a report");
    let (now, body) = (now.as_millis(), &*incoming.text);
    let written = match &incoming.report.body {
        ReportBody::Probe(round) => {
            let link = incoming.link.as_ref().map_or("", LinkId::as_str);
            db.prepare_cached(
                "INSERT OR IGNORE INTO probe (link, pair, agent, round, request, started_at, kept_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    link,
                    round.pair.as_str(),
                    round.key.agent.as_str(),
                    round.key.round.signed(),
                    round.request.as_ref().map(RequestTag::as_str),
                    round.started_at.as_millis(),
                    now,
                    body,
                ])
            })
        }
        ReportBody::Arrival(part) => return keep_whole(db, part, now),
        ReportBody::Connections(part) => return connections::keep(db, part, body, now),
        ReportBody::Host(facts) => return keep_facts(db, agent, facts, body, now),
        ReportBody::Snapshot(snapshot) => return keep_snapshot(db, snapshot, body, now),
        ReportBody::Health(_) => db
            .prepare_cached(
                "INSERT INTO health (agent, at, kept_at, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (agent) DO UPDATE SET at = ?2, kept_at = ?3, body = ?4 WHERE ?2 >= at",
            )
            .and_then(|mut insert| {
                let at = incoming.report.at.as_millis();
                insert.execute(params![agent.as_str(), at, now, body])
            }),
    };
    written.map(drop).map_err(fail)?;
    match &incoming.report.body {
        ReportBody::Probe(round) => connections::of_kept_round(db, round, now),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{Known, ReportId, SequenceSet};
    use serde_json::{Value, json};
    use std::path::Path;

    fn store() -> Store {
        Store::open(Path::new(":memory:")).unwrap()
    }

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).unwrap()
    }

    fn link() -> LinkId {
        LinkId::parse("p1").unwrap()
    }

    fn incoming(id: &str, body: &Value) -> Incoming {
        let report: Report = serde_json::from_value(json!({"id": id, "at": 5, "body": body})).unwrap();
        let link = matches!(report.body, ReportBody::Probe(_)).then(link);
        Incoming::new(report, link)
    }

    fn probe(round: u64, request: Option<&str>) -> Value {
        json!({"probe": {
            "key": {"agent": "a", "round": round}, "pair": "p1/x", "target": "10.0.0.2", "protocol": "icmp", "request": request,
            "started_at": 1000, "ended_at": 2000, "payload_bytes": 56, "planned": 10, "sent": [[0, 9]], "replied": []
        }})
    }

    fn arrival(round: u64, on_wire: &Value) -> Value {
        json!({"arrival": {
            "observer": "b", "key": {"agent": "a", "round": round}, "from": "10.0.0.1", "to": "10.0.0.2", "first_at": 1,
            "last_at": 2, "on_wire": on_wire, "accepted": {"known": []}, "replied": {"known": []}, "own_drops": 1
        }})
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn of_request(store: &Store, tag: &str) -> LinkEvidence {
        store
            .evidence_of_request(&link(), &RequestTag::parse(tag).unwrap(), &BTreeSet::from([agent("a"), agent("b")]))
            .unwrap()
    }

    #[test]
    fn parts_are_united_and_a_resent_part_counts_once() {
        let mut store = store();
        // Round numbers use all 64 bits.
        let round = u64::MAX - 1;
        store.keep(&agent("a"), &[incoming("1", &probe(round, Some("t")))], at(10)).unwrap();
        let first = incoming("2", &arrival(round, &json!({"known": [[0, 4]]})));
        let second = incoming("3", &arrival(round, &json!({"known": [[5, 8]]})));
        for (batch, fresh) in [([first.clone(), second], 2), ([first.clone(), first], 0)] {
            assert_eq!(store.keep(&agent("b"), &batch, at(11)).unwrap(), fresh);
        }
        let evidence = of_request(&store, "t");
        assert_eq!((evidence.probes.len(), evidence.arrivals.len()), (1, 1));
        assert_eq!(evidence.arrivals[0].on_wire, Known::Known(SequenceSet::first(9)));
        assert_eq!(evidence.arrivals[0].own_drops, 2);
        assert_eq!(of_request(&store, "other"), LinkEvidence::default());
    }

    #[test]
    fn one_agents_report_id_does_not_shadow_anothers() {
        let mut store = store();
        for name in ["a", "b"] {
            let health = json!({"health": {"reports_dropped": 7, "probes_not_sent": 0, "loop_lag_ms_max": 0}});
            store.keep(&agent(name), &[incoming("same", &health)], at(1)).unwrap();
        }
        assert_eq!(of_request(&store, "t").healths.len(), 2);
    }

    #[test]
    fn a_part_that_could_not_look_makes_the_union_unknown() {
        let mut store = store();
        store.keep(&agent("a"), &[incoming("1", &probe(1, Some("t")))], at(10)).unwrap();
        let parts = [
            incoming("2", &arrival(1, &json!({"known": [[0, 4]]}))),
            incoming("3", &arrival(1, &json!({"unknown": "not_asked"}))),
        ];
        store.keep(&agent("b"), &parts, at(11)).unwrap();
        assert!(of_request(&store, "t").arrivals[0].on_wire.known().is_none());
    }

    #[test]
    fn a_window_holds_what_came_in_it_and_the_latest_readings() {
        let mut store = store();
        for (id, round, ms) in [("1", 1, 1_000), ("2", 2, 5_000), ("3", 3, 9_000)] {
            store.keep(&agent("a"), &[incoming(id, &probe(round, None))], at(ms)).unwrap();
        }
        let window = store.evidence_of_window(&link(), &BTreeSet::new(), &[], at(4_000), at(8_000)).unwrap();
        assert_eq!(window.probes.iter().map(|round| round.key.round.bits()).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_is_too_old_goes_and_what_was_asked_for_stays_longer() {
        let mut store = store();
        store.keep(&agent("a"), &[incoming("1", &probe(1, None)), incoming("2", &probe(2, Some("t")))], at(0)).unwrap();
        store.keep(&agent("b"), &[incoming("3", &arrival(2, &json!({"known": []})))], at(0)).unwrap();
        store.forget(at(3 * 3_600_000)).unwrap();
        let evidence = of_request(&store, "t");
        assert_eq!((evidence.probes.len(), evidence.arrivals.len()), (1, 1));
        assert!(store.evidence_of_window(&link(), &BTreeSet::new(), &[], at(0), at(1)).unwrap().probes.len() == 1);
        store.forget(at(8 * 24 * 3_600_000)).unwrap();
        assert_eq!(of_request(&store, "t"), LinkEvidence::default());
        assert!(store.report_ids().unwrap().is_empty());
    }

    #[test]
    fn a_full_disk_keeps_nothing_of_the_batch_and_loses_nothing_of_before() {
        let mut store = store();
        store.keep(&agent("a"), &[incoming("before", &probe(1, None))], at(1)).unwrap();
        store.limit_pages(1);
        let large: Vec<Incoming> = (0..2000).map(|n| incoming(&format!("r{n}"), &probe(n, None))).collect();
        let error = store.keep(&agent("a"), &large, at(2)).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert_eq!(store.report_ids().unwrap().iter().map(ReportId::as_str).collect::<Vec<_>>(), ["before"]);
    }
}

//! Decides whether an agent may report what it reports. Pure.
//!
//! Rules. 1. An agent reports only for itself and for its credential's account. 2. A probe round belongs to a pair of
//! the roster. The agent is one end of the pair, and the round's target is the other end. 3. An arrival belongs to a
//! round of an agent that shares a pair with the observer. 4. No set of probes is larger than what was sent. A
//! rejection is permanent: there is no report that merely came too early, since the plans are made here.

use crate::{plan::roster::Roster, settings::ExpectedLink, store::Incoming};
use pingtong_evidence::{
    AccountId, AgentId, ArrivalRound, LinkId, PairId, ProbeRound, Protocol, Rejected, Report, ReportBody, ReportId,
    SCHEMA, SequenceSet, Side, Snapshot, Timestamp,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::BTreeSet, net::IpAddr};

/// Maximum number of reports in one request.
const REPORTS_MAX: usize = 10_000;

/// A batch whose reports are not parsed yet: an unreadable report must not spoil the others.
#[derive(Debug, Deserialize)]
pub(crate) struct RawBatch<'a> {
    schema: u32,
    agent: AgentId,
    account: AccountId,
    #[serde(borrow)]
    reports: Vec<&'a RawValue>,
}

/// A report whose content is not parsed yet.
#[derive(Debug, Deserialize)]
struct RawReport<'a> {
    at: Timestamp,
    #[serde(borrow)]
    body: RawBody<'a>,
}

/// As [`ReportBody`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawBody<'a> {
    #[serde(borrow)]
    Probe(&'a RawValue),
    #[serde(borrow)]
    Arrival(&'a RawValue),
    #[serde(borrow)]
    Connections(&'a RawValue),
    #[serde(borrow)]
    Host(&'a RawValue),
    #[serde(borrow)]
    Snapshot(&'a RawValue),
    #[serde(borrow)]
    Health(&'a RawValue),
}

impl<'a> RawBody<'a> {
    fn text(&self) -> &'a str {
        match self {
            Self::Probe(text)
            | Self::Arrival(text)
            | Self::Connections(text)
            | Self::Host(text)
            | Self::Snapshot(text)
            | Self::Health(text) => text.get(),
        }
    }

    fn parse(&self) -> Result<ReportBody, serde_json::Error> {
        let text = self.text();
        Ok(match self {
            Self::Probe(_) => ReportBody::Probe(serde_json::from_str(text)?),
            Self::Arrival(_) => arrival(text)?,
            Self::Connections(_) => ReportBody::Connections(serde_json::from_str(text)?),
            Self::Host(_) => ReportBody::Host(serde_json::from_str(text)?),
            Self::Snapshot(_) => ReportBody::Snapshot(serde_json::from_str(text)?),
            Self::Health(_) => ReportBody::Health(serde_json::from_str(text)?),
        })
    }
}

/// Why a report, or a whole batch, is never accepted. The text is for the log of the agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("reports of schema {0} are not understood, only {SCHEMA}; install a matching agent")]
    BatchSchema(u32),
    #[error("the batch is signed as \"{signed}\" but the credential is \"{credential}\"'s")]
    BatchAgent { signed: AgentId, credential: AgentId },
    #[error("the batch is of account {0} but \"{1}\" was enrolled for {2}; enroll it for its own account")]
    BatchAccount(AccountId, AgentId, AccountId),
    #[error("{0} reports in one batch; at most {REPORTS_MAX} are taken")]
    BatchSize(usize),
    #[error("a report has no usable id")]
    NoId,
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("schema {0} is not understood, only {SCHEMA}")]
    Schema(u32),
    #[error("host facts of \"{0}\", not of its own")]
    HostOfAnother(AgentId),
    #[error("a snapshot of account {0}, but the credential is for {1}")]
    SnapshotOfAnother(AccountId, AccountId),
    #[error("account {account} is on no link of the settings; accepted: {}", accepted.join(", "))]
    SnapshotOfNoLink { account: AccountId, accepted: Vec<String> },
    #[error("the {0} ends before it starts")]
    Backwards(&'static str),
    #[error("a round of \"{0}\", not of its own")]
    RoundOfAnother(AgentId),
    #[error("no pair \"{0}\" is in the plan")]
    NoPair(PairId),
    #[error("the agent is no end of pair \"{0}\"")]
    NoEnd(PairId),
    #[error("the round went to {0} by {1}, the pair is another")]
    PairOfAnother(IpAddr, Protocol),
    #[error("the round's port is not the pair's")]
    PortOfAnother,
    #[error("probes are answered that were not sent, or sent that were not planned")]
    MoreThanSent,
    #[error("probes are refused or resent that were not sent")]
    MorePortsThanSent,
    #[error("there are more source ports than probes")]
    SourcePorts,
    #[error("arrivals seen by \"{0}\", not by itself")]
    ArrivalsOfAnother(AgentId),
    #[error("no pair joins the observer and \"{0}\"")]
    NoSharedPair(AgentId),
}

/// The accepted and the rejected reports of a batch.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    pub(crate) accepted: Vec<Incoming>,
    pub(crate) rejected: Vec<Rejected>,
}

/// Arrivals of a round. An agent of an earlier version reports connections so as well, with their port.
fn arrival(text: &str) -> Result<ReportBody, serde_json::Error> {
    #[derive(Deserialize)]
    struct Head {
        port: Option<u16>,
    }
    match serde_json::from_str::<Head>(text)?.port {
        Some(_) => serde_json::from_str(text).map(ReportBody::Connections),
        None => serde_json::from_str(text).map(ReportBody::Arrival),
    }
}

/// Sorts the reports of a batch; an error rejects the batch as a whole.
pub(crate) fn sort(
    batch: RawBatch<'_>,
    agent: &AgentId,
    account: &AccountId,
    roster: &Roster,
) -> Result<Sorted, Rejection> {
    if batch.schema != SCHEMA {
        return Err(Rejection::BatchSchema(batch.schema));
    }
    if &batch.agent != agent {
        return Err(Rejection::BatchAgent { signed: batch.agent, credential: agent.clone() });
    }
    if &batch.account != account {
        return Err(Rejection::BatchAccount(batch.account, agent.clone(), account.clone()));
    }
    if batch.reports.len() > REPORTS_MAX {
        return Err(Rejection::BatchSize(batch.reports.len()));
    }
    let mut sorted = Sorted::default();
    for text in batch.reports {
        #[derive(Deserialize)]
        struct Named {
            id: ReportId,
        }
        let named = serde_json::from_str::<Named>(text.get());
        let Ok(Named { id }) = named else { return Err(Rejection::NoId) };
        match check(text, &id, agent, account, roster) {
            Ok(incoming) => sorted.accepted.push(incoming),
            Err(why) => sorted.rejected.push(Rejected { id, why: why.to_string() }),
        }
    }
    Ok(sorted)
}

fn check(
    text: &RawValue,
    id: &ReportId,
    agent: &AgentId,
    account: &AccountId,
    roster: &Roster,
) -> Result<Incoming, Rejection> {
    let unreadable = |error: serde_json::Error| Rejection::Unreadable(error.to_string());
    let RawReport { at, body: raw } = serde_json::from_str(text.get()).map_err(unreadable)?;
    let body = raw.parse().map_err(unreadable)?;
    let link = link_of(&body, agent, account, roster)?;
    Ok(Incoming { report: Report { id: id.clone(), at, body }, link, text: raw.text().into() })
}

/// The link that a report belongs to, if it belongs to one; an error rejects the report.
fn link_of(
    body: &ReportBody,
    agent: &AgentId,
    account: &AccountId,
    roster: &Roster,
) -> Result<Option<LinkId>, Rejection> {
    match body {
        ReportBody::Probe(round) => probe_link(round, agent, roster).map(Some),
        ReportBody::Arrival(part) => shares_pair(part, agent, roster).map(|()| None),
        ReportBody::Connections(part) => shares_pair(part.seen(), agent, roster).map(|()| None),
        ReportBody::Host(facts) if &facts.agent != agent => Err(Rejection::HostOfAnother(facts.agent.clone())),
        ReportBody::Host(facts) => right_schema(facts.schema).map(|()| None),
        ReportBody::Snapshot(snapshot) if &snapshot.account != account => {
            Err(Rejection::SnapshotOfAnother(snapshot.account.clone(), account.clone()))
        }
        ReportBody::Snapshot(snapshot) => sound(snapshot).map(|()| None),
        ReportBody::Health(_) => Ok(None),
    }
}

/// Whether a snapshot that an operator hands over may be stored: its account must be on a link.
pub(crate) fn handed_over(snapshot: &Snapshot, links: &[ExpectedLink]) -> Result<(), Rejection> {
    sound(snapshot)?;
    let sides = || links.iter().flat_map(|expected| Side::BOTH.map(|side| expected.link.side(side)));
    if sides().any(|side| side.account == snapshot.account) {
        return Ok(());
    }
    let accepted: BTreeSet<String> = sides().map(|side| side.account.to_string()).collect();
    Err(Rejection::SnapshotOfNoLink { account: snapshot.account.clone(), accepted: accepted.into_iter().collect() })
}

fn sound(snapshot: &Snapshot) -> Result<(), Rejection> {
    right_schema(snapshot.schema)?;
    if snapshot.taken_at > snapshot.finished_at {
        return Err(Rejection::Backwards("snapshot"));
    }
    Ok(())
}

fn right_schema(schema: u32) -> Result<(), Rejection> {
    if schema == SCHEMA { Ok(()) } else { Err(Rejection::Schema(schema)) }
}

fn probe_link(round: &ProbeRound, agent: &AgentId, roster: &Roster) -> Result<LinkId, Rejection> {
    if &round.key.agent != agent {
        return Err(Rejection::RoundOfAnother(round.key.agent.clone()));
    }
    let pair = roster.pairs.get(&round.pair).ok_or_else(|| Rejection::NoPair(round.pair.clone()))?;
    let own = Side::BOTH.into_iter().find(|&side| pair.endpoint(side).agent.as_ref() == Some(agent));
    let own = own.ok_or_else(|| Rejection::NoEnd(round.pair.clone()))?;
    let peer = pair.endpoint(own.opposite());
    if peer.address != round.target || round.protocol != pair.protocol {
        return Err(Rejection::PairOfAnother(round.target, round.protocol));
    }
    if round.started_at > round.ended_at {
        return Err(Rejection::Backwards("round"));
    }
    let within = |set: &SequenceSet, all: &SequenceSet| set.missing_from(all) == 0;
    let planned = SequenceSet::first(round.planned);
    if !within(&round.sent, &planned) || !within(&round.replied, &round.sent) || !within(&round.late, &round.sent) {
        return Err(Rejection::MoreThanSent);
    }
    match (&round.ports, pair.port) {
        (Some(ports), Some(port)) if ports.port == port => {
            if !within(&ports.closed, &round.replied) || !within(&ports.resent, &round.sent) {
                return Err(Rejection::MorePortsThanSent);
            }
            if ports.source_ports.len() > usize::try_from(round.planned).unwrap_or(usize::MAX) {
                return Err(Rejection::SourcePorts);
            }
        }
        (None, None) => {}
        _ => return Err(Rejection::PortOfAnother),
    }
    Ok(pair.link.id.clone())
}

fn shares_pair(part: &ArrivalRound, agent: &AgentId, roster: &Roster) -> Result<(), Rejection> {
    if &part.observer != agent {
        return Err(Rejection::ArrivalsOfAnother(part.observer.clone()));
    }
    let shared = roster.pairs.values().any(|pair| {
        Side::BOTH.into_iter().any(|side| {
            pair.endpoint(side).agent.as_ref() == Some(agent)
                && pair.endpoint(side.opposite()).agent.as_ref() == Some(&part.key.agent)
        })
    });
    if shared { Ok(()) } else { Err(Rejection::NoSharedPair(part.key.agent.clone())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::Pair;
    use serde_json::{Value, json};

    fn roster() -> Roster {
        let pair: Pair = serde_json::from_value(json!({
            "id": "p1/x", "link": {"id": "p1", "kind": "router-interface",
                "initiator": {"account": "1", "region": "r", "vpc": "vpc-a"},
                "acceptor": {"account": "2", "region": "r", "vpc": "vpc-b"}},
            "initiator": {"address": "10.0.0.1", "agent": "a"}, "acceptor": {"address": "10.0.0.2", "agent": "b"},
            "protocol": "icmp", "opened_by": "initiator"
        }))
        .unwrap();
        Roster { pairs: [(PairId::parse("p1/x").unwrap(), pair)].into(), ..Roster::default() }
    }

    fn probe(change: &[(&str, Value)]) -> Value {
        let mut round = json!({
            "key": {"agent": "a", "round": 1}, "pair": "p1/x", "target": "10.0.0.2", "protocol": "icmp",
            "started_at": 1, "ended_at": 2, "payload_bytes": 56, "planned": 10, "sent": [[0, 9]], "replied": [[0, 9]]
        });
        for (key, value) in change {
            round[*key] = value.clone();
        }
        json!({"probe": round})
    }

    fn arrival(observer: &str, from: &str) -> Value {
        json!({"arrival": {
            "observer": observer, "key": {"agent": from, "round": 1}, "from": "10.0.0.2", "to": "10.0.0.1", "first_at": 1,
            "last_at": 2, "on_wire": {"known": []}, "accepted": {"known": []}, "replied": {"known": []}
        }})
    }

    /// Result for one report of agent a of account 1: `None` if it is accepted, otherwise the reason.
    fn why_rejected(body: &Value) -> Option<String> {
        let batch = json!({"schema": 1, "agent": "a", "account": "1", "reports": [{"id": "r", "at": 1, "body": body}]});
        let batch = batch.to_string();
        let batch = serde_json::from_str(&batch).unwrap();
        let sorted = sort(batch, &AgentId::parse("a").unwrap(), &AccountId::parse("1").unwrap(), &roster()).unwrap();
        assert_eq!(sorted.accepted.len() + sorted.rejected.len(), 1);
        sorted.rejected.into_iter().next().map(|rejected| rejected.why)
    }

    #[test]
    fn a_round_of_a_port_is_of_the_pairs_port_and_its_ends_are_of_probes_sent() {
        let mut roster = roster();
        for pair in roster.pairs.values_mut() {
            (pair.protocol, pair.port) = (Protocol::Tcp, Some(443));
        }
        let agent = AgentId::parse("a").unwrap();
        let why = |ports: Value| {
            let body = probe(&[("protocol", json!("tcp")), ("ports", ports), ("replied", json!([[0, 4]]))]);
            let round: ProbeRound = serde_json::from_value(body["probe"].clone()).unwrap();
            probe_link(&round, &agent, &roster).err().map(|why| why.to_string())
        };
        assert_eq!(why(json!({"port": 443, "closed": [[0, 4]], "resent": [[5, 9]], "source_ports": [1, 2]})), None);
        for (ports, words) in [
            (Value::Null, "not the pair's"),
            (json!({"port": 80}), "not the pair's"),
            (json!({"port": 443, "closed": [[0, 5]]}), "not sent"),
            (json!({"port": 443, "resent": [[9, 10]]}), "not sent"),
            (json!({"port": 443, "source_ports": vec![1; 11]}), "more source ports"),
        ] {
            assert!(why(ports.clone()).is_some_and(|why| why.contains(words)), "{ports}");
        }
    }

    #[test]
    fn an_agent_speaks_for_itself_its_account_and_its_pairs_only() {
        assert_eq!(why_rejected(&probe(&[])), None);
        assert_eq!(why_rejected(&arrival("a", "b")), None);
        for (body, why) in [
            (probe(&[("key", json!({"agent": "b", "round": 1}))]), "not of its own"),
            (probe(&[("pair", json!("p2"))]), "no pair \"p2\""),
            (probe(&[("target", json!("10.0.0.9"))]), "the pair is another"),
            (probe(&[("protocol", json!("tcp"))]), "the pair is another"),
            (probe(&[("replied", json!([[0, 10]]))]), "were not sent"),
            (probe(&[("planned", json!(9))]), "were not sent"),
            (probe(&[("ended_at", json!(0))]), "ends before it starts"),
            (probe(&[("ports", json!({"port": 443}))]), "not the pair's"),
            (arrival("b", "a"), "not by itself"),
            (arrival("a", "stranger"), "no pair joins"),
            (
                json!({"snapshot": {"schema": 1, "account": "2", "region": "r", "taken_at": 1, "finished_at": 1}}),
                "account 2",
            ),
            (
                json!({"snapshot": {"schema": 9, "account": "1", "region": "r", "taken_at": 1, "finished_at": 1}}),
                "schema 9",
            ),
            (
                json!({"snapshot": {"schema": 1, "account": "1", "region": "r", "taken_at": 2, "finished_at": 1}}),
                "ends before it starts",
            ),
            (json!({"probe": {}}), "cannot be read"),
        ] {
            let given = why_rejected(&body);
            assert!(given.as_ref().is_some_and(|given| given.contains(why)), "{body}: {given:?}, expected {why}");
        }
    }
}

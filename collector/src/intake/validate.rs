//! Whether an agent may say what it says. Pure.
//!
//! Rules. 1. An agent speaks for itself and for its credential's account only. 2. A probe round belongs to a pair of the
//! roster that the agent is an end of, and its target is the other end. 3. An arrival is of a round of an agent that shares
//! a pair with the observer. 4. No set of probes is larger than what was sent. A refused report is refused for good; one
//! that merely came too early does not exist, since plans are made here.

use crate::{roster::Roster, store::Incoming};
use pingtong_evidence::{
    AccountId, AgentId, ArrivalRound, LinkId, ProbeRound, Rejected, Report, ReportBody, ReportId, SCHEMA, SequenceSet, Side,
};
use serde::Deserialize;
use serde_json::Value;

/// Reports of one request.
const REPORTS_MAX: usize = 10_000;

/// A batch whose reports are not read yet: one that cannot be read must not spoil the others.
#[derive(Debug, Deserialize)]
pub(crate) struct RawBatch {
    schema: u32,
    agent: AgentId,
    account: AccountId,
    reports: Vec<Value>,
}

/// What may be kept of a batch, and what not.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    pub(crate) accepted: Vec<Incoming>,
    pub(crate) rejected: Vec<Rejected>,
}

/// Sorts a batch; an error refuses it as a whole.
pub(crate) fn sort(batch: RawBatch, agent: &AgentId, account: &AccountId, roster: &Roster) -> Result<Sorted, String> {
    if batch.schema != SCHEMA {
        return Err(format!("reports of schema {} are not understood, only {SCHEMA}; install a matching agent", batch.schema));
    }
    if &batch.agent != agent {
        return Err(format!("the batch is signed as \"{}\" but the credential is \"{agent}\"'s", batch.agent));
    }
    if &batch.account != account {
        return Err(format!(
            "the batch speaks for account {} but \"{agent}\" was enrolled for {account}; enroll it for its own account",
            batch.account
        ));
    }
    if batch.reports.len() > REPORTS_MAX {
        return Err(format!("{} reports in one batch; at most {REPORTS_MAX} are taken", batch.reports.len()));
    }
    let mut sorted = Sorted::default();
    for value in batch.reports {
        let id = value.get("id").and_then(Value::as_str).and_then(|id| ReportId::parse(id).ok());
        let Some(id) = id else { return Err("a report has no usable id".to_owned()) };
        let checked = serde_json::from_value::<Report>(value)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|report| link_of(&report.body, agent, account, roster).map(|link| Incoming { report, link }));
        match checked {
            Ok(incoming) => sorted.accepted.push(incoming),
            Err(why) => sorted.rejected.push(Rejected { id, why }),
        }
    }
    Ok(sorted)
}

/// The link that a report belongs to, when it belongs to one; an error refuses it.
fn link_of(body: &ReportBody, agent: &AgentId, account: &AccountId, roster: &Roster) -> Result<Option<LinkId>, String> {
    match body {
        ReportBody::Probe(round) => probe_link(round, agent, roster).map(Some),
        ReportBody::Arrival(part) => arrival_shares_pair(part, agent, roster).map(|()| None),
        ReportBody::Host(facts) if &facts.agent != agent => Err(format!("host facts of \"{}\", not of its own", facts.agent)),
        ReportBody::Host(facts) => right_schema(facts.schema).map(|()| None),
        ReportBody::Snapshot(snapshot) if &snapshot.account != account => {
            Err(format!("a snapshot of account {}, but the credential is for {account}", snapshot.account))
        }
        ReportBody::Snapshot(snapshot) => right_schema(snapshot.schema).map(|()| None),
        ReportBody::Health(_) => Ok(None),
    }
}

fn right_schema(schema: u32) -> Result<(), String> {
    if schema == SCHEMA { Ok(()) } else { Err(format!("schema {schema} is not understood, only {SCHEMA}")) }
}

fn probe_link(round: &ProbeRound, agent: &AgentId, roster: &Roster) -> Result<LinkId, String> {
    if &round.key.agent != agent {
        return Err(format!("a round of \"{}\", not of its own", round.key.agent));
    }
    let pair = roster.pairs.get(&round.pair).ok_or_else(|| format!("no pair \"{}\" is in the plan", round.pair))?;
    let own = Side::BOTH.into_iter().find(|&side| pair.endpoint(side).agent.as_ref() == Some(agent));
    let own = own.ok_or_else(|| format!("the agent is no end of pair \"{}\"", round.pair))?;
    let peer = pair.endpoint(own.opposite());
    if peer.address != round.target || round.protocol != pair.protocol {
        return Err(format!("the round went to {} by {}, the pair is another", round.target, round.protocol));
    }
    if round.started_at > round.ended_at {
        return Err("the round ends before it starts".to_owned());
    }
    let within = |set: &SequenceSet, all: &SequenceSet| set.missing_from(all) == 0;
    let planned = SequenceSet::first(round.planned);
    if !within(&round.sent, &planned) || !within(&round.replied, &round.sent) || !within(&round.late, &round.sent) {
        return Err("probes are answered that were not sent, or sent that were not planned".to_owned());
    }
    Ok(pair.link.id.clone())
}

fn arrival_shares_pair(part: &ArrivalRound, agent: &AgentId, roster: &Roster) -> Result<(), String> {
    if &part.observer != agent {
        return Err(format!("arrivals seen by \"{}\", not by itself", part.observer));
    }
    let shared = roster.pairs.values().any(|pair| {
        Side::BOTH.into_iter().any(|side| {
            pair.endpoint(side).agent.as_ref() == Some(agent)
                && pair.endpoint(side.opposite()).agent.as_ref() == Some(&part.key.agent)
        })
    });
    if shared { Ok(()) } else { Err(format!("no pair joins the observer and \"{}\"", part.key.agent)) }
}

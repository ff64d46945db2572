//! Changes about the time of the probes: of the configuration, which may not be in effect yet (`SEMANTICS.md` §1.3.5), and
//! edges, at which the probes themselves met something else than before.
//!
//! Such a change does not hide what probes observed. It is reported with its time, and what would be blamed only because
//! the configuration explains nothing stays open: the change may be what explains it. So does what was read before an edge,
//! because it may describe what was before.

use crate::{
    code::CauseCode,
    finding::Finding,
    lang::{Both, both},
    model::Model,
    observe::{Change, Leg, Observed, Seen, change_in},
    onset::change::changes,
    question::Question,
    verdict::{Answered, Changed},
};
use pingtong_evidence::{AccountId, AgentId, Direction, HostFacts, ProbeRound, Snapshot, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Time within which what is read may still be what was before a change: clocks differ, and an API answers from what it
/// had.
const READS_LATE: Duration = Duration::from_secs(1);
/// Time before the judged rounds within which a change is reported.
const RECENT: Duration = Duration::from_secs(15);

/// A change about the time of the probes.
pub(crate) struct Settling {
    /// How long ago it was, and when it will have settled.
    pub(crate) text: Both,
    /// The accounts whose configuration changed.
    accounts: BTreeSet<AccountId>,
    /// When the probes last met a change.
    edge: Option<Timestamp>,
}

impl Settling {
    /// Whether the change, still on its way, may be what a finding is blamed on. What the configuration explains in no
    /// other way may be any change; that it says the opposite of what is observed, only one in the same account.
    pub(crate) fn may_explain(&self, model: &Model, finding: &Finding) -> bool {
        if let Some(edge) = self.edge {
            let sources = finding.evidence.iter().filter_map(|note| note.source.as_ref());
            let read_at = sources.map(|source| source.at).filter(|at| at.as_millis() > 0).min();
            return read_at.is_none_or(|at| at < edge.plus(READS_LATE));
        }
        match finding.code {
            CauseCode::FabricFault | CauseCode::LossInFabric => true,
            CauseCode::ModelContradicted => self.accounts.contains(&model.link.side(finding.side).account),
            _ => false,
        }
    }
}

/// What confirms a verdict on probes that were sent while a change was settling.
pub(crate) fn settled() -> Both {
    Both::new("a verdict on probes sent after the change has settled", "变更生效稳定后再次验证")
}

/// The changes that the probes of the judged rounds met in their middle, the earliest first.
pub(crate) fn edges(question: &Question<'_>, facts: &BTreeMap<AgentId, HostFacts>, seen: &Seen) -> Vec<Changed> {
    let of_flow = |(flow, observed): (&Direction, &Observed)| Some(changed(question, facts, *flow, observed.edge?));
    let mut all: Vec<Changed> = seen.iter().filter_map(of_flow).collect();
    all.sort_by_key(|changed| changed.at);
    all
}

/// The same for rounds shortly before the judged ones: a verification that met a change has probed again.
pub(crate) fn earlier_edges(question: &Question<'_>, facts: &BTreeMap<AgentId, HostFacts>) -> Vec<Changed> {
    let Some(first) = question.probes.iter().map(|round| round.started_at).min() else { return vec![] };
    let recent = |round: &&ProbeRound| round.ended_at <= first && first.since(round.ended_at) < RECENT;
    let rounds: Vec<&ProbeRound> = question.earlier.iter().copied().filter(recent).collect();
    let of_flow = |flow| Some(changed(question, facts, flow, change_in(question.pair, flow, &rounds, facts)?));
    let mut all: Vec<Changed> = Direction::BOTH.into_iter().filter_map(of_flow).collect();
    all.sort_by_key(|changed| changed.at);
    all
}

fn changed(
    question: &Question<'_>,
    facts: &BTreeMap<AgentId, HostFacts>,
    direction: Direction,
    change: Change,
) -> Changed {
    let sender = question.pair.endpoint(direction.source()).agent.as_ref().and_then(|agent| facts.get(agent));
    let offset_ms = sender.and_then(|facts| facts.clock.known()).map_or(0, |clock| clock.offset_ms);
    let at = Timestamp::from_millis(change.edge.at.as_millis().saturating_sub(offset_ms));
    let answered = |leg: Leg| Answered { sent: leg.of, received: leg.passed };
    Changed { direction, at, before: answered(change.before), after: answered(change.after) }
}

fn of_edges(edges: &[Changed]) -> Option<Settling> {
    let last = edges.last()?;
    let Changed { direction, at, before, after } = last;
    let (sent, received, then_sent, then_received) = (before.sent, before.received, after.sent, after.received);
    let way = if *direction == Direction::Forward { "正向" } else { "反向" };
    let text = both!(
        "something changed at {at}, {direction}: of {sent} probes before it {received} were answered, of {then_sent} after it {then_received}; what was read earlier may describe what was before",
        "{at} 时{way}发生了变化：此前 {sent} 个探测有 {received} 个应答，此后 {then_sent} 个有 {then_received} 个；更早读取的信息可能是变化之前的"
    );
    Some(Settling { text, accounts: BTreeSet::new(), edge: Some(*at) })
}

/// Describes a change of the configuration during the probes, or so shortly before them that it may not be in effect
/// yet; `None` if there was none. What the probes observed stands; what it is blamed on may not.
pub(crate) fn settling(question: &Question<'_>, seen: &Seen, edges: &[Changed]) -> Option<Settling> {
    of_edges(edges).or_else(|| of_configuration(question, seen))
}

fn of_configuration(question: &Question<'_>, seen: &Seen) -> Option<Settling> {
    if question.settle_ms == 0 {
        return None;
    }
    let first = seen.values().filter_map(|seen| seen.first).min()?.as_millis();
    let last = seen.values().filter_map(|seen| seen.latest).max()?.as_millis();
    let from = first.saturating_sub(i64::try_from(question.settle_ms).unwrap_or(i64::MAX));
    let mut previous: Vec<&Snapshot> = vec![];
    let mut found: Option<Settling> = None;
    for snapshot in question.snapshots() {
        // A difference to a reading of other VPCs is no change.
        let before = previous.iter().rposition(|before| before.same_scope(snapshot)).map(|at| previous.remove(at));
        previous.push(snapshot);
        if let Some(before) = before {
            // The change happened at some time between the two readings.
            let overlaps = snapshot.finished_at.as_millis() >= from && before.taken_at.as_millis() <= last;
            if overlaps && !changes(before, snapshot).is_empty() {
                let account = &snapshot.account;
                let ago = question.asked_at.since(snapshot.finished_at).as_secs();
                let left = (question.settle_ms / 1000).saturating_sub(ago);
                let text = both!(
                    "the configuration of account {account} changed {ago} s ago; what is observed is confirmed in {left} s",
                    "账号 {account} 的配置在 {ago} 秒前有变更；观测结果将在 {left} 秒后得到确认"
                );
                let mut accounts = found.map(|found| found.accounts).unwrap_or_default();
                accounts.insert(account.clone());
                found = Some(Settling { text, accounts, edge: None });
            }
        }
    }
    found
}

//! Whether loss goes by flow: some flows lose everything and others nothing, at the same time (`ecmp-leg-dead` on the wire).
//!
//! Each round of probes is a flow of its own, and equipment that has several ways for a destination chooses by flow
//! (`network-semantics.md` F36). Rules: 1. Every observed flow is dead or whole, and there are both. 2. A dead flow and a whole
//! one run at the same time: an outage that came or went would part them by time instead. Where the route table in effect has
//! several next hops, one of them is dead, and which cannot be told by flows: it is a suspect. Where it has one, the fabric
//! itself has several ways and loses by flow, which its evidence says.

use crate::{
    code::CauseCode,
    correlate::Doubt,
    finding::Note,
    lang::{Both, both},
    model::Model,
    observe::{FlowSeen, Observed},
    walk::{Host, best_route},
};
use pingtong_evidence::{Direction, Known, Pair};

/// Packets of a flow below which it is neither dead nor whole.
const FLOW_MIN: u64 = 5;

/// Of the flows, those that lose all; none where loss does not go by flow.
pub(crate) fn split(observed: &Observed) -> Option<(usize, usize)> {
    let flows: Vec<&FlowSeen> = observed.flows.iter().filter(|flow| flow.leg.of >= FLOW_MIN).collect();
    let dead: Vec<_> = flows.iter().filter(|flow| flow.leg.passed == 0).collect();
    let whole: Vec<_> = flows.iter().filter(|flow| flow.leg.lost() == 0).collect();
    let at_once = dead.iter().any(|one| whole.iter().any(|other| one.began < other.ended && other.began < one.ended));
    (at_once && dead.len() + whole.len() == flows.len()).then_some((dead.len(), flows.len()))
}

/// What it says where loss goes by flow: evidence for the fabric, or a suspect in its stead.
pub(crate) fn told(
    model: &Model,
    pair: &Pair,
    direction: Direction,
    observed: &Observed,
) -> Option<Result<Note, Doubt>> {
    let (dead, of) = split(observed)?;
    if next_hops(model, pair, direction) < 2 {
        return Some(Ok(Note::plain(both!(
            "loss goes by flow: {dead} of {of} flows lose everything, the others nothing",
            "丢包与流有关：{of} 条流中有 {dead} 条全部丢失，其余毫无丢包"
        ))));
    }
    Some(Err(Doubt {
        codes: [CauseCode::EcmpLegDead].into(),
        side: Some(direction.source()),
        decided_by: Both::new(
            "the state of every next hop of the route, and of what lies behind it",
            "该路由每个下一跳及其后端的状态",
        ),
    }))
}

/// Next hops of the entry that decides for this direction; one where it cannot be told.
fn next_hops(model: &Model, pair: &Pair, direction: Direction) -> usize {
    let (side, to) = (direction.source(), pair.endpoint(direction.destination()).address);
    let table = Host::find(model, side, pair.endpoint(side).address)
        .vswitch
        .and_then(|vswitch| if let Known::Known(table) = model.table_of(side, &vswitch.id) { table } else { None });
    let entries = table.and_then(|table| table.entries.known());
    entries.and_then(|entries| best_route(entries, to)).map_or(1, |(_, entry)| entry.next_hops.len())
}

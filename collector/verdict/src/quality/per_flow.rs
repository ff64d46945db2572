//! Whether loss depends on the flow: some flows lose everything and others nothing, at the same time (`ecmp-leg-dead`
//! as seen on the wire).
//!
//! Each round of probes is a separate flow, and equipment that has several paths to a destination selects one by flow
//! (`SEMANTICS.md` §2.3.4). Rules:
//! 1. Every observed flow is dead or whole, and there are both.
//! 2. A dead flow and a whole one run at the same time: an outage that began or ended would separate them in time
//!    instead.
//!
//! If the route in effect has several next hops, one of them is dead. Flows do not show which one, so it is a suspect.
//! If it has one next hop, the fabric itself uses several paths and loses packets by flow; the evidence of its finding
//! says so.

use crate::{
    code::CauseCode,
    finding::{Doubt, Note},
    lang::{Both, both},
    model::Model,
    observe::{FlowSeen, Observed},
    walk::{Host, best_route},
};
use pingtong_evidence::{Direction, Known, Pair};

/// Minimum number of packets of a flow to call it dead or whole.
const FLOW_MIN: u64 = 5;

/// Number of dead flows and of all counted flows; `None` if loss does not depend on the flow.
pub(crate) fn split(observed: &Observed) -> Option<(usize, usize)> {
    let flows: Vec<&FlowSeen> = observed.flows.iter().filter(|flow| flow.leg.of >= FLOW_MIN).collect();
    let dead: Vec<_> = flows.iter().filter(|flow| flow.leg.passed == 0).collect();
    let whole: Vec<_> = flows.iter().filter(|flow| flow.leg.lost() == 0).collect();
    let at_once = dead.iter().any(|one| whole.iter().any(|other| one.began < other.ended && other.began < one.ended));
    (at_once && dead.len() + whole.len() == flows.len()).then_some((dead.len(), flows.len()))
}

/// If loss depends on the flow: evidence for the fabric's finding, or a suspect that replaces it.
pub(crate) fn dead_next_hops(
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

/// Number of next hops of the route entry that decides for this direction; 1 if it is not known.
fn next_hops(model: &Model, pair: &Pair, direction: Direction) -> usize {
    let (side, to) = (direction.source(), pair.endpoint(direction.destination()).address);
    let table = Host::find(model, side, pair.endpoint(side).address)
        .vswitch
        .and_then(|vswitch| if let Known::Known(table) = model.table_of(side, &vswitch.id) { table } else { None });
    let entries = table.and_then(|table| table.entries.known());
    entries.and_then(|entries| best_route(entries, to)).map_or(1, |(_, entry)| entry.next_hops.len())
}

//! Whether the two VPCs' blocks overlap so that a packet for the peer never leaves its own VPC.
//!
//! A vSwitch's system route is longer than any route to the peer may be, so it wins (`network-semantics.md` §2, F32).
//! Blamed once per link, on the initiator's VPC, when both sides swallow each other's packets, or one does and the VPCs
//! were planned over each other: their primary blocks overlap. One side's vSwitch in a block that was added later is no
//! plan that fails but an entry that shadows the route to the peer (F31): the route look-up says so. Overlap that
//! touches neither address is no fault of this pair.

use crate::{
    code::CauseCode,
    finding::{Finding, Stops, Walk},
    lang::both,
    model::Model,
    repair::Fix,
    verdict::ObjectKind,
};
use pingtong_evidence::{Pair, Side};

fn primaries_overlap(model: &Model) -> bool {
    let primary = |side| model.vpc(side).map(|vpc| vpc.cidr);
    primary(Side::Initiator).zip(primary(Side::Acceptor)).is_some_and(|(a, b)| a.overlaps(&b))
}

/// The sides whose own vSwitch swallows what the pair's host there sends because the two VPCs' blocks overlap. What the
/// other side sends goes its way.
pub(crate) fn judge(model: &Model, pair: &Pair, walk: &mut Walk) -> Vec<Side> {
    let (initiator, acceptor) = (&model.link.initiator.vpc, &model.link.acceptor.vpc);
    let (ours, theirs) = (model.blocks(Side::Initiator), model.blocks(Side::Acceptor));
    let overlap = ours.iter().find_map(|a| theirs.iter().find(|b| a.overlaps(b)).map(|b| (a, b)));
    let mut evidence = vec![];
    if let Some((a, b)) = overlap {
        for (side, id, block) in [(Side::Initiator, initiator, a), (Side::Acceptor, acceptor, b)] {
            let provenance = model.vpc(side).map(|v| v.provenance).unwrap_or_default();
            let text = both!("{id} has the block {block}", "{id} 的网段为 {block}");
            evidence.push(model.note(side, id.as_str(), provenance, text));
        }
    }
    let swallows = |side: Side| model.vswitch_of(side, pair.endpoint(side.opposite()).address);
    let mut swallowed: Vec<Side> = Side::BOTH.into_iter().filter(|side| swallows(*side).is_some()).collect();
    if swallowed.len() < Side::BOTH.len() && !primaries_overlap(model) {
        swallowed.clear();
    }
    for &side in &swallowed {
        let far = pair.endpoint(side.opposite()).address;
        if let Some(vswitch) = swallows(side) {
            let (id, cidr) = (&vswitch.id, vswitch.cidr);
            let text = both!(
                "the peer's address {far} lies in this side's own vSwitch {id} ({cidr}); its system route wins",
                "对端地址 {far} 落在本端交换机 {id}（{cidr}）内，系统路由优先"
            );
            evidence.push(model.note(side, id.as_str(), vswitch.provenance, text));
        }
    }
    let stops = match swallowed.as_slice() {
        [] => None,
        [side] => Some(Stops::Packets(side.sends())),
        _ => Some(Stops::Link),
    };
    if let Some(stops) = stops {
        walk.blame(Finding {
            code: CauseCode::CidrOverlap,
            side: Side::Initiator,
            direction: None,
            object: model.object(Side::Initiator, ObjectKind::Vpc, initiator.as_str()),
            stops,
            evidence,
            fix: Fix::Manual,
        });
    } else {
        for note in evidence {
            walk.pass(0, Side::Initiator, note);
        }
        if overlap.is_none() && !ours.is_empty() && !theirs.is_empty() {
            for (side, blocks) in [(Side::Initiator, &ours), (Side::Acceptor, &theirs)] {
                let id = &model.link.side(side).vpc;
                let list = blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let provenance = model.vpc(side).map(|v| v.provenance).unwrap_or_default();
                walk.pass(
                    0,
                    side,
                    model.note(side, id.as_str(), provenance, both!("{id} has {list}", "{id} 的网段：{list}")),
                );
            }
        }
    }
    swallowed
}

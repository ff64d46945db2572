//! Whether the two VPCs' blocks overlap so that a packet for the peer never leaves its own VPC.
//!
//! The system route of a vSwitch is more specific than any route to the peer can be, so it wins (`SEMANTICS.md`
//! §2.2.7). The overlap is blamed once per link, on the initiator's VPC, if both sides capture each other's packets,
//! or if one side does and the primary blocks of the VPCs overlap, which means that the address plan is wrong. A
//! vSwitch of one side in a block that was added later is not a wrong address plan but an entry that shadows the route
//! to the peer (§2.2.7); the route look-up reports it. An overlap that contains neither address is not a fault of this
//! pair.

use crate::{
    code::CauseCode,
    finding::{Finding, Stops, Walk},
    fix::Fix,
    lang::both,
    model::Model,
    stage::Stage,
    verdict::ObjectKind,
};
use pingtong_evidence::{Pair, Side};

fn primaries_overlap(model: &Model) -> bool {
    let primary = |side| model.vpc(side).map(|vpc| vpc.cidr);
    primary(Side::Initiator).zip(primary(Side::Acceptor)).is_some_and(|(a, b)| a.overlaps(&b))
}

/// Judges the overlap. Returns the sides whose own vSwitch captures what the pair's host there sends, because the two
/// VPCs' blocks overlap. Packets from the other side are not affected.
pub(crate) fn find_overlaps(model: &Model, pair: &Pair, walk: &mut Walk) -> Vec<Side> {
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
            points: stops.at(Stage::Route),
            evidence,
            fix: Fix::Manual,
        });
    } else {
        for note in evidence {
            walk.pass(Stops::Link.at(Stage::Route), 0, Side::Initiator, note);
        }
        if overlap.is_none() && !ours.is_empty() && !theirs.is_empty() {
            for (side, blocks) in [(Side::Initiator, &ours), (Side::Acceptor, &theirs)] {
                let id = &model.link.side(side).vpc;
                let list = blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let provenance = model.vpc(side).map(|v| v.provenance).unwrap_or_default();
                walk.pass(
                    Stops::Packets(side.sends()).at(Stage::Route),
                    0,
                    side,
                    model.note(side, id.as_str(), provenance, both!("{id} has {list}", "{id} 的网段：{list}")),
                );
            }
        }
    }
    swallowed
}

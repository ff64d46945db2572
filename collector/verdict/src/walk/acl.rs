//! What the network ACL of a vSwitch does to a packet: stateless, in list order, the first match decides.
//!
//! No ACL bound, or an empty list, filters nothing; a list without a match drops (`SEMANTICS.md` §4). Both
//! directions match the destination port. Facts: DescribeNetworkAcls, DescribeNetworkAclAttributes.

use super::{Host, Packet, host::blind_because, ports_match, protocol_matches};
use crate::{
    code::CauseCode,
    finding::{Finding, Stops, Walk},
    fix::Fix,
    lang::both,
    model::Model,
    stage::{PacketKind, Stage},
    verdict::ObjectKind,
};
use pingtong_evidence::{AclEntry, Known, NetworkAcl, Policy, Protocol, Side, VSwitch};

/// The entry that decides, with its index in the list; `None` if no entry matches.
fn first_match<'a>(entries: &'a [AclEntry], packet: &Packet, side: Side) -> Option<(usize, &'a AclEntry)> {
    entries.iter().enumerate().find(|(_, entry)| {
        serves(entry, packet.protocol, packet.destination_port) && entry.peer.contains(packet.far(side))
    })
}

/// Whether an entry matches this protocol and destination port.
pub(crate) fn serves(entry: &AclEntry, protocol: Protocol, destination_port: Option<u16>) -> bool {
    protocol_matches(entry.protocol, protocol) && ports_match(entry.ports, destination_port)
}

/// The ACL bound to a vSwitch: the one that the vSwitch names or, if it names none, the one that lists the vSwitch.
pub(crate) fn bound_to<'a>(acls: &'a [NetworkAcl], vswitch: &VSwitch) -> Option<&'a NetworkAcl> {
    acls.iter().find(|acl| match &vswitch.network_acl {
        Some(id) => acl.id == *id,
        None => acl.vswitches.contains(&vswitch.id),
    })
}

/// Judges the ACL of the sender's or of the receiver's vSwitch, whichever `stage` is.
pub(crate) fn check_acl(model: &Model, packet: &Packet, stage: Stage, walk: &mut Walk) {
    let (side, ingress) = (stage.side(packet.direction), stage == Stage::IngressAcl);
    let code = if ingress { CauseCode::NaclIngressBlocked } else { CauseCode::NaclEgressBlocked };
    let stops = if packet.destination_port.is_none() {
        Stops::Packets(packet.direction)
    } else if packet.kind == PacketKind::Reply {
        Stops::Responses(packet.direction)
    } else {
        Stops::Requests(packet.direction)
    };
    let mut blind = |why| {
        let what = ("the network ACLs", "网络ACL");
        walk.blind(blind_because(model, side, stops.at(stage), why, what, vec![stops], vec![code]));
    };
    let Some(snapshot) = model.snapshot(side) else { return blind(None) };
    let Some(vswitch) = Host::find(model, side, packet.near(side)).vswitch else {
        if let Known::Unknown(why) = &snapshot.vswitches {
            blind(Some(why));
        }
        return;
    };
    let acls = match &snapshot.network_acls {
        Known::Known(acls) => acls,
        Known::Unknown(_) if vswitch.network_acl.is_none() => return,
        Known::Unknown(why) => return blind(Some(why)),
    };
    let Some(acl) = bound_to(acls, vswitch) else { return };
    let entries = match acl.entries(ingress) {
        Known::Known(entries) => entries,
        Known::Unknown(why) => return blind(Some(why)),
    };
    let way = if ingress { ("ingress", "入方向") } else { ("egress", "出方向") };
    let ((en, zh), id, service, far) = (way, &acl.id, packet.service(), packet.far(side));
    let decided = first_match(entries, packet, side);
    let (object, at, text) = match decided {
        None if entries.is_empty() => {
            return walk.pass(
                packet.at(stage),
                6,
                side,
                model.note(
                    side,
                    id.as_str(),
                    acl.provenance,
                    both!("{id} has no {en} entries and filters nothing", "{id} 没有{zh}规则，不过滤"),
                ),
            );
        }
        Some((at, entry)) if entry.policy == Policy::Accept => {
            let n = at + 1;
            return walk.pass(
                packet.at(stage),
                6,
                side,
                model.note(
                    side,
                    id.as_str(),
                    acl.provenance,
                    both!(
                        "{id} {en} entry {n} accepts {service} with {far}",
                        "{id} {zh}第 {n} 条放行与 {far} 的 {service}"
                    ),
                ),
            );
        }
        Some((at, entry)) => {
            let (n, peer) = (at + 1, entry.peer);
            let object = match &entry.id {
                Some(entry) => model.object(side, ObjectKind::NetworkAclEntry, entry.as_str()),
                None => model.object(side, ObjectKind::NetworkAcl, id.as_str()),
            };
            let text = both!(
                "{id} {en} entry {n} drops {service} with {far} (its block is {peer})",
                "{id} {zh}第 {n} 条丢弃与 {far} 的 {service}（该条网段 {peer}）"
            );
            (object, at, text)
        }
        None => {
            let text = both!(
                "no {en} entry of {id} matches {service} with {far}; what matches nothing is dropped",
                "{id} 的{zh}规则没有一条匹配与 {far} 的 {service}，未匹配即丢弃"
            );
            (model.object(side, ObjectKind::NetworkAcl, id.as_str()), entries.len(), text)
        }
    };
    walk.blame(Finding {
        code,
        side,
        direction: Some(packet.direction),
        evidence: vec![model.note(side, &object.id, acl.provenance, text)],
        object,
        stops,
        points: stops.at(stage),
        fix: Fix::AclAccept {
            acl: id.clone(),
            ingress,
            at,
            protocol: packet.protocol,
            port: packet.destination_port.filter(|_| packet.kind == PacketKind::Request),
            peer: model.block_of(side.opposite(), far),
        },
    });
}

//! Where the route table in effect for the sender's vSwitch sends a packet.
//!
//! Longest prefix over every entry that forwards, system routes of vSwitches included; a tie goes to the system route.
//! The look-up is per direction, in the sender's VPC: the far side delivers by its own vSwitch route. Facts:
//! DescribeRouteTableList, DescribeRouteEntryList, DescribeVSwitches (`SEMANTICS.md` §2).

use super::{
    Hops, Host, Packet,
    host::blind_because,
    third::{self, Third},
};
use crate::{
    code::CauseCode,
    finding::{Blind, Finding, Stops, Walk},
    fix::Fix,
    lang::{Both, both},
    model::Model,
    stage::Stage,
    verdict::{Object, ObjectKind},
};
use pingtong_evidence::{
    AssociateType, Cidr, Known, NextHop, RouteEntry, RouteKind, RouteStatus, RouteTable, Side, VSwitch,
};
use std::net::IpAddr;

struct LookUp<'a> {
    model: &'a Model,
    side: Side,
    to: IpAddr,
    table: &'a RouteTable,
    entries: &'a [RouteEntry],
    hops: &'a Hops,
}

impl LookUp<'_> {
    fn leads_to_link(&self, entry: &RouteEntry) -> bool {
        entry.next_hops.iter().any(|hop| self.is_link(hop))
    }

    fn is_link(&self, hop: &NextHop) -> bool {
        self.hops.is_link(self.side, hop)
    }

    fn best(&self) -> Option<&RouteEntry> {
        best_route(self.entries, self.to).map(|(_, entry)| entry)
    }

    /// The most specific entry to the link that covers the address, whatever its state.
    fn right(&self) -> Option<&RouteEntry> {
        let covers = |e: &&RouteEntry| e.destination.contains(self.to) && self.leads_to_link(e);
        self.entries.iter().filter(covers).max_by_key(|e| e.destination.prefix_length())
    }

    /// The vSwitch of the sender's own VPC that the address lies in.
    fn own_vswitch(&self) -> Option<&VSwitch> {
        self.model.vswitch_of(self.side, self.to)
    }

    fn object(&self, entry: &RouteEntry) -> Object {
        match &entry.id {
            Some(id) => self.model.object(self.side, ObjectKind::RouteEntry, id.as_str()),
            None => self.model.object(self.side, ObjectKind::RouteTable, self.table.id.as_str()),
        }
    }

    fn create(&self, destination: Cidr) -> Fix {
        Fix::CreateRoute { table: self.table.id.clone(), destination }
    }

    /// Whether an entry is correct as it is, for a block of the peer's VPC that does not contain the address.
    fn serves_another_block(&self, entry: &RouteEntry) -> bool {
        self.model
            .blocks(self.side.opposite())
            .iter()
            .any(|block| !block.contains(self.to) && entry.destination.covers(block))
    }

    fn peer_block(&self) -> Cidr {
        self.model.block_of(self.side.opposite(), self.to)
    }
}

/// The entry that decides for an address, with its index in the table.
pub(crate) fn best_route(entries: &[RouteEntry], to: IpAddr) -> Option<(usize, &RouteEntry)> {
    let forwards = |e: &RouteEntry| e.destination.contains(to) && e.status == RouteStatus::Available;
    let rank = |e: &RouteEntry| (e.destination.prefix_length(), e.kind == RouteKind::System);
    entries.iter().enumerate().filter(|(_, e)| forwards(e)).max_by_key(|(_, e)| rank(e))
}

/// What keeps an entry that leads to the link from carrying all of its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadLeg<'a> {
    /// One of several next hops carries nothing to the peer.
    Dead(&'a NextHop),
    /// The cloud marks the only next hop as unusable.
    Disabled,
    /// Of several next hops none is known to be dead, and some could not be read.
    Unread,
}

/// Finds what is wrong with the next hops of the entry `best`; `None` if nothing is.
///
/// A fault of the link's own next hop, which `link` recognises, belongs to the connection and is blamed there.
pub(crate) fn bad_leg<'a>(
    model: &Model,
    side: Side,
    best: &'a RouteEntry,
    link: impl Fn(&NextHop) -> bool,
) -> Option<BadLeg<'a>> {
    if let [_, _, ..] = best.next_hops.as_slice() {
        let (own, peer) = (&model.link.side(side).vpc, &model.link.side(side.opposite()).vpc);
        let astray = |hop: &NextHop| third::leads_into(model, own, hop).is_some_and(|vpc| vpc != peer);
        let legs = || best.next_hops.iter().map(|hop| (hop, Hops::carries(model, side, hop)));
        let bad = legs().find(|(hop, carries)| !link(hop) && (*carries == Some(false) || astray(hop)));
        let unread = || legs().any(|(_, carries)| carries.is_none()).then_some(BadLeg::Unread);
        return bad.map(|(hop, _)| BadLeg::Dead(hop)).or_else(unread);
    }
    let hop = best.next_hops.first()?;
    // A hop disabled because its interface is not in use is that interface's fault, not the route's.
    (hop.enabled == Some(false) && Hops::carries(model, side, hop) != Some(false)).then_some(BadLeg::Disabled)
}

/// Describes a route, such as `10.0.0.0/8 → RouterInterface ri-1`.
pub(crate) fn route_text(entry: &RouteEntry) -> String {
    format!("{} → {}", entry.destination, hops_text(entry))
}

fn hops_text(entry: &RouteEntry) -> String {
    let one = |hop: &NextHop| format!("{:?} {}", hop.kind, hop.id).trim_end().to_owned();
    entry.next_hops.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(crate) fn look_up(model: &Model, packet: &Packet, hops: &Hops, walk: &mut Walk) {
    let side = packet.direction.source();
    let stops = Stops::Packets(packet.direction);
    let hides = vec![CauseCode::RouteMissing, CauseCode::RouteWrongNextHop, CauseCode::RouteWrongCidr];
    let mut blind = |why| {
        let what = ("the route tables", "路由表");
        walk.blind(blind_because(model, side, stops.at(Stage::Route), why, what, vec![stops], hides.clone()));
    };
    let Some(snapshot) = model.snapshot(side) else { return blind(None) };
    let Some(vswitch) = Host::find(model, side, packet.source).vswitch else {
        if let Known::Unknown(why) = &snapshot.vswitches {
            blind(Some(why));
        }
        return;
    };
    let table = match model.table_of(side, &vswitch.id) {
        Known::Known(Some(table)) => table,
        Known::Known(None) => return blind(None),
        Known::Unknown(why) => return blind(Some(&why)),
    };
    let entries = match &table.entries {
        Known::Known(entries) => entries,
        Known::Unknown(why) => return blind(Some(why)),
    };
    let look = LookUp { model, side, to: packet.destination, table, entries, hops };
    if hops.unseen(side) && look.best().is_some_and(|best| best.kind != RouteKind::System) {
        // It is not known which next hop is the link's, whether or not packets are seen to pass the connection.
        return walk.blind(unseen_hop(model, snapshot, side, stops));
    }
    let leads = |best: &RouteEntry| look.own_vswitch().is_none() && look.leads_to_link(best);
    if look
        .best()
        .is_some_and(|best| leads(best) && bad_leg(model, side, best, |hop| look.is_link(hop)) == Some(BadLeg::Unread))
    {
        let what = ("the router interfaces", "路由器接口");
        let why = snapshot.router_interfaces.why_unknown();
        let (points, hides) = (stops.at(Stage::Route), vec![CauseCode::EcmpLegDead]);
        return walk.blind(blind_because(model, side, points, why, what, vec![stops], hides));
    }
    let outcomes = match (look.own_vswitch(), look.best()) {
        // Packets that a vSwitch of the VPC itself captures would need a route to the link all the same.
        (Some(own), _) if look.right().is_none() => vec![swallowed(&look, own), nowhere(&look)],
        (Some(own), _) => vec![swallowed(&look, own)],
        (None, Some(best)) if look.leads_to_link(best) => match dead_leg(&look, best) {
            Some(outcome) => vec![outcome],
            None => return passed(&look, packet, best, vswitch, walk),
        },
        (None, Some(best)) => vec![elsewhere(&look, best)],
        (None, None) => vec![nowhere(&look)],
    };
    for outcome in outcomes {
        blame(&look, packet, vswitch, outcome, walk);
    }
}

type Outcome = (CauseCode, Object, Both, Fix);

fn blame(look: &LookUp<'_>, packet: &Packet, vswitch: &VSwitch, outcome: Outcome, walk: &mut Walk) {
    let (code, object, text, fix) = outcome;
    let (model, side, id, table_id) = (look.model, look.side, &vswitch.id, &look.table.id);
    let in_effect = both!("the table in effect for {id} is {table_id}", "{id} 生效的路由表是 {table_id}");
    let entry = look.entries.iter().find(|e| e.id.as_ref().is_some_and(|id| id.as_str() == object.id));
    let provenance = entry.map_or(look.table.provenance, |e| e.provenance);
    let stops = match code {
        CauseCode::EcmpLegDead => Stops::Some(packet.direction),
        _ => Stops::Packets(packet.direction),
    };
    walk.blame(Finding {
        code,
        side,
        direction: Some(packet.direction),
        evidence: vec![
            model.note(side, &object.id, provenance, text),
            model.note(side, id.as_str(), vswitch.provenance, in_effect),
        ],
        object,
        stops,
        points: stops.at(Stage::Route),
        fix,
    });
}

fn passed(look: &LookUp<'_>, packet: &Packet, best: &RouteEntry, vswitch: &VSwitch, walk: &mut Walk) {
    let (table, destination, hops, to, id) = (&look.table.id, best.destination, hops_text(best), look.to, &vswitch.id);
    walk.pass(
        packet.at(Stage::Route),
        5,
        look.side,
        look.model.note(
            look.side,
            table.as_str(),
            best.provenance,
            both!(
                "{table} (in effect for {id}) sends {to} by {destination} to {hops}",
                "{table}（{id} 生效）按 {destination} 将 {to} 发往 {hops}"
            ),
        ),
    );
}

/// Blames an entry that leads to the link and to a dead next hop as well, or by a next hop that the cloud marks as
/// unusable.
fn dead_leg(look: &LookUp<'_>, best: &RouteEntry) -> Option<Outcome> {
    let (destination, hops) = (best.destination, hops_text(best));
    match bad_leg(look.model, look.side, best, |hop| look.is_link(hop))? {
        BadLeg::Dead(dead) => {
            let id = &dead.id;
            let text = both!(
                "{destination} is spread over {hops}; {id} carries nothing to the peer",
                "{destination} 分摊到 {hops}，其中 {id} 不向对端转发"
            );
            let object = look.model.object(look.side, ObjectKind::RouterInterface, id.clone());
            let fix = match best.kind {
                RouteKind::Custom => Fix::DeleteRoute { table: look.table.id.clone(), entry: best.clone() },
                _ => Fix::Manual,
            };
            Some((CauseCode::EcmpLegDead, object, text, fix))
        }
        BadLeg::Disabled => {
            let text = both!(
                "{destination} leads to {hops}, which the cloud holds unusable (Enabled=0)",
                "{destination} 的下一跳 {hops} 被标记为不可用（Enabled=0）"
            );
            Some((CauseCode::RouteNotAvailable, look.object(best), text, Fix::Manual))
        }
        BadLeg::Unread => None,
    }
}

/// Blames the best entry, which does not lead to the link.
fn elsewhere(look: &LookUp<'_>, best: &RouteEntry) -> Outcome {
    let (destination, hops, to) = (best.destination, hops_text(best), look.to);
    let right = look.right();
    let pending = right
        .filter(|e| e.status != RouteStatus::Available && e.destination.prefix_length() >= destination.prefix_length());
    if let Some(entry) = pending {
        return not_available(look, entry);
    }
    let removable = best.kind == RouteKind::Custom;
    let narrower = look
        .model
        .vswitch_of(look.side.opposite(), to)
        .map(|v| v.cidr)
        .filter(|block| block.prefix_length() > destination.prefix_length())
        .unwrap_or_else(|| Cidr::host(to));
    let delete = || Fix::DeleteRoute { table: look.table.id.clone(), entry: best.clone() };
    if let Some(covering) = right {
        let wider = covering.destination;
        let text = both!(
            "{destination} to {hops} is more specific than {wider} to the link and wins for {to}",
            "{destination}（下一跳 {hops}）比指向对端的 {wider} 更精确，{to} 按它转发"
        );
        let fix = if removable { delete() } else { look.create(narrower) };
        return (CauseCode::RouteShadowed, look.object(best), text, fix);
    }
    let peer = look.peer_block();
    let fix = if destination.prefix_length() < peer.prefix_length() {
        look.create(peer)
    } else if removable {
        delete()
    } else {
        look.create(narrower)
    };
    let (code, object, text) = wrong_way(look, best);
    (code, object, text, fix)
}

/// Blames an entry that leads over another connection than the link, or to no connection at all.
fn wrong_way(look: &LookUp<'_>, best: &RouteEntry) -> (CauseCode, Object, Both) {
    let (destination, hops, to) = (best.destination, hops_text(best), look.to);
    match third::after(look.model, look.side, best, to) {
        Some(Third::Back { vpc, view, table, entry }) => {
            let back = entry.destination;
            let text = both!(
                "{destination} leads to {hops} into {vpc}, whose entry {back} sends {to} back: a loop",
                "{destination} 经 {hops} 通向 {vpc}，而后者的条目 {back} 又把 {to} 送回，形成环路"
            );
            let (kind, id) = match &entry.id {
                Some(id) => (ObjectKind::RouteEntry, id.to_string()),
                None => (ObjectKind::RouteTable, table.id.to_string()),
            };
            let object = Object { kind, id, account: view.account.clone(), region: view.region.clone() };
            (CauseCode::RouteLoop, object, text)
        }
        Some(Third::Between { vpc }) => {
            let text = both!(
                "{destination} leads to {hops} into {vpc}; connections pass nothing on to a third VPC",
                "{destination} 经 {hops} 通向 {vpc}；对等连接不会把流量转发给第三个专有网络"
            );
            (CauseCode::RouteNotTransitive, look.object(best), text)
        }
        None => {
            let text = both!(
                "{destination} decides for {to} and leads to {hops}, which is not this link",
                "{to} 命中 {destination}，下一跳为 {hops}，不是本连接"
            );
            (CauseCode::RouteWrongNextHop, look.object(best), text)
        }
    }
}

/// The address is in a vSwitch of the sender's own VPC, whose system route is more specific than any route to the peer
/// can be.
fn swallowed(look: &LookUp<'_>, own: &VSwitch) -> Outcome {
    let (id, cidr, to) = (&own.id, own.cidr, look.to);
    let entry = look.entries.iter().find(|e| e.kind == RouteKind::System && e.destination == cidr);
    let table = || look.model.object(look.side, ObjectKind::RouteTable, look.table.id.as_str());
    let text = both!(
        "{cidr} is this VPC's own vSwitch {id}: {to} is looked for inside and never sent to the link",
        "{cidr} 是本专有网络自己的交换机 {id}：到 {to} 的报文在本地查找，不会发往对端"
    );
    // The cloud accepts no route within the block of a vSwitch, so only the vSwitch can be changed.
    (CauseCode::RouteShadowed, entry.map_or_else(table, |entry| look.object(entry)), text, Fix::Manual)
}

fn not_available(look: &LookUp<'_>, entry: &RouteEntry) -> Outcome {
    let (destination, status) = (entry.destination, format!("{:?}", entry.status));
    let text = both!(
        "{destination} leads to the link but its state is {status}; only available routes forward",
        "{destination} 指向对端，但状态为 {status}；只有可用的路由才转发"
    );
    (CauseCode::RouteNotAvailable, look.object(entry), text, Fix::Manual)
}

/// No available entry covers the address.
fn nowhere(look: &LookUp<'_>) -> Outcome {
    let (to, id) = (look.to, &look.table.id);
    let fix = look.create(look.peer_block());
    let pending = look.entries.iter().find(|e| e.destination.contains(to) && look.leads_to_link(e));
    if let Some(entry) = pending {
        return not_available(look, entry);
    }
    let missing = look
        .entries
        .iter()
        .filter(|e| e.kind == RouteKind::Custom && look.leads_to_link(e) && !look.serves_another_block(e))
        .max_by_key(|e| (common_bits(e.destination.network(), to), e.destination.prefix_length()));
    if let Some(entry) = missing {
        let destination = entry.destination;
        let text = both!(
            "the entry to the link is for {destination}, which does not cover {to}; nothing else does",
            "指向对端的条目目标网段为 {destination}，不包含 {to}，也没有其他条目包含"
        );
        return (CauseCode::RouteWrongCidr, look.object(entry), text, fix);
    }
    let table = look.model.object(look.side, ObjectKind::RouteTable, id.as_str());
    let vpc = &look.model.link.side(look.side).vpc;
    let others = look.model.snapshot(look.side).and_then(|s| s.route_tables.known());
    let elsewhere = others.into_iter().flatten().find(|other| {
        other.vpc == *vpc
            && other.id != *id
            && other.associate_type == AssociateType::VSwitch
            && other
                .entries
                .known()
                .is_some_and(|entries| entries.iter().any(|e| e.destination.contains(to) && look.leads_to_link(e)))
    });
    if let Some(other) = elsewhere {
        let other = &other.id;
        let text = both!(
            "the route to {to} is in {other}, but {id} is the table in effect",
            "到 {to} 的路由在 {other} 中，而生效的是 {id}"
        );
        return (CauseCode::RouteWrongTable, table, text, fix);
    }
    let text = both!("{id} has no entry that covers {to}", "{id} 中没有包含 {to} 的条目");
    (CauseCode::RouteMissing, table, text, fix)
}

fn common_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

/// The blind spot of an entry that leads to a connection, if it was not read whether that is the link.
fn unseen_hop(model: &Model, snapshot: &pingtong_evidence::Snapshot, side: Side, stops: Stops) -> Blind {
    use pingtong_evidence::LinkKind;
    let (why, what) = match model.link.kind {
        LinkKind::RouterInterface => {
            (snapshot.router_interfaces.why_unknown(), ("the router interfaces", "路由器接口"))
        }
        LinkKind::VpcPeering => (snapshot.vpc_peerings.why_unknown(), ("the VPC peering connections", "VPC对等连接")),
        LinkKind::TransitRouter => {
            (snapshot.transit_attachments.why_unknown(), ("the transit router attachments", "转发路由器连接"))
        }
    };
    blind_because(model, side, stops.at(Stage::Route), why, what, vec![stops], vec![CauseCode::RouteWrongNextHop])
}

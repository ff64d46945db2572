//! Whether both VPCs are attached to transit routers, and whether these routers pass a packet from one to the other.
//!
//! For each direction, starting at the sender's attachment: the route table associated with it, longest prefix match, a
//! static route before a propagated one; then the attachment that the route leads to and, over a connection between
//! regions, the same at the router there. A stage that stops the packet does not hide the later ones: the walk
//! continues on the path that the packet should have taken. An account sees its own transit routers: the tables of a
//! router are read from the snapshot that shows them, and nothing is concluded if no snapshot does. Facts:
//! ListTransitRouterVpcAttachments, …PeerAttachments, …RouteTables, …RouteTableAssociations, …RouteTablePropagations,
//! …RouteEntries (`API.md` §8.6).

use super::{Hops, Packet, at_connection, host::blind_because};
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
    AttachmentId, Known, LinkKind, NextHopKind, Provenance, RegionId, Side, Snapshot, TransitAttachment,
    TransitPeering, TransitRoute, TransitRouteTable, TransitRouterId, WhyUnknown,
};
use std::{cmp::Reverse, collections::BTreeSet};

/// Provenance of evidence that no call of the side's own snapshot returned.
const ELSEWHERE: Provenance = Provenance(u32::MAX);

const ROUTE_CODES: [CauseCode; 4] =
    [CauseCode::RouteMissing, CauseCode::RouteWrongNextHop, CauseCode::RouteNotAvailable, CauseCode::PeeringNotActive];

fn attachments(model: &Model) -> impl Iterator<Item = &TransitAttachment> {
    model.snapshots().filter_map(|s| s.transit_attachments.known()).flatten()
}

fn peerings(model: &Model) -> impl Iterator<Item = &TransitPeering> {
    model.snapshots().filter_map(|s| s.transit_peerings.known()).flatten()
}

/// The transit router at the other end of a connection between regions; `None` if `from` is at neither end.
fn across<'a>(peering: &'a TransitPeering, from: &TransitRouterId) -> Option<&'a TransitRouterId> {
    match [&peering.transit_router, &peering.peer_transit_router] {
        [one, other] if one == from => Some(other),
        [one, other] if other == from => Some(one),
        _ => None,
    }
}

/// Whether a route of the side's VPC leads to an attachment, or to the attachment `id` if it is given.
fn routed(model: &Model, side: Side, id: Option<&AttachmentId>) -> bool {
    let vpc = &model.link.side(side).vpc;
    let tables = model.snapshot(side).and_then(|s| s.route_tables.known()).into_iter().flatten();
    let entries = tables.filter(|t| t.vpc == *vpc).filter_map(|t| t.entries.known()).flatten();
    entries
        .flat_map(|entry| &entry.next_hops)
        .any(|hop| hop.kind == NextHopKind::Attachment && id.is_none_or(|id| id.as_str() == hop.id))
}

/// Selects the attachment of the side's VPC that is meant for the peer: first one at a router that the peer's VPC is
/// attached to, directly or over a connection between regions, then one that routes name, then one that is attached.
fn choose(model: &Model, side: Side) -> Option<&TransitAttachment> {
    let of = |side: Side| attachments(model).filter(move |a| a.vpc == model.link.side(side).vpc);
    let near_peer = |a: &TransitAttachment| {
        of(side.opposite()).any(|peer| {
            let joined = |p: &TransitPeering| across(p, &a.transit_router) == Some(&peer.transit_router);
            peer.transit_router == a.transit_router || peerings(model).any(joined)
        })
    };
    of(side).max_by_key(|a| (near_peer(a), routed(model, side, Some(&a.id)), a.attached, Reverse(&a.id)))
}

/// Judges the attachments of both VPCs and returns them as next hops of their routes.
pub(super) fn attached(model: &Model, walk: &mut Walk) -> Hops {
    let mut hops = Hops::default();
    for side in Side::BOTH {
        let vpc = &model.link.side(side).vpc;
        if let Some(attachment) = choose(model, side) {
            let (id, router) = (&attachment.id, &attachment.transit_router);
            hops.set(side, NextHopKind::Attachment, id.to_string());
            if attachment.attached {
                let text = both!("{id} attaches {vpc} to {router}", "{id} 将 {vpc} 连接到 {router}");
                let step = if side == Side::Initiator { 1 } else { 2 };
                walk.pass(at_connection(), step, side, model.note(side, id.as_str(), ELSEWHERE, text));
            } else {
                let text = both!("the attachment {id} is not attached", "连接 {id} 未处于已连接状态");
                inactive(model, side, ObjectKind::TransitAttachment, id.as_str(), text, walk);
            }
            continue;
        }
        if unseen(model, side) {
            hops.unsee(side);
            let hides = vec![CauseCode::PeeringNotActive];
            walk.blind(unread_attachments(model, side, Stage::Connection, Stops::Link, hides));
        } else {
            let text = both!("{vpc} is attached to no transit router", "{vpc} 没有连接到转发路由器");
            inactive(model, side, ObjectKind::Vpc, vpc.as_str(), text, walk);
        }
    }
    hops
}

/// Whether the side's VPC may have an attachment that no listing shows. A route to an attachment shows that there is
/// one, whatever the listing lets this account see.
fn unseen(model: &Model, side: Side) -> bool {
    choose(model, side).is_none()
        && (routed(model, side, None) || model.snapshot(side).is_none_or(|s| s.transit_attachments.known().is_none()))
}

fn unread_attachments(model: &Model, side: Side, stage: Stage, stops: Stops, hides: Vec<CauseCode>) -> Blind {
    let why = model.snapshot(side).and_then(|s| s.transit_attachments.why_unknown());
    let what = ("the transit router attachments", "转发路由器连接");
    blind_because(model, side, stops.at(stage), why, what, vec![stops], hides)
}

fn inactive(model: &Model, side: Side, kind: ObjectKind, id: &str, text: Both, walk: &mut Walk) {
    walk.blame(Finding {
        code: CauseCode::PeeringNotActive,
        side,
        direction: None,
        object: model.object(side, kind, id),
        stops: Stops::Link,
        points: at_connection(),
        evidence: vec![model.note(side, id, ELSEWHERE, text)],
        fix: Fix::Manual,
    });
}

/// Route look-up in one transit router.
struct LookUp<'a> {
    model: &'a Model,
    packet: &'a Packet,
    router: &'a TransitRouterId,
    /// The snapshot that shows the router's tables: that of its owner.
    view: &'a Snapshot,
    tables: &'a [TransitRouteTable],
}

fn delete(table: &TransitRouteTable, route: &TransitRoute) -> Fix {
    Fix::DeleteTransitRoute { table: table.id.clone(), route: route.clone() }
}

/// The next router on the path, and the attachment by which the packet enters it.
type Onwards<'a> = (&'a TransitRouterId, &'a AttachmentId);

pub(crate) fn forward(model: &Model, packet: &Packet, walk: &mut Walk) {
    if model.link.kind != LinkKind::TransitRouter {
        return;
    }
    let stops = Stops::Packets(packet.direction);
    for side in Side::BOTH.into_iter().filter(|side| unseen(model, *side)) {
        walk.blind(unread_attachments(model, side, Stage::Transit, stops, ROUTE_CODES.to_vec()));
    }
    // Without an attachment the connection is already blamed.
    let Some(start) = choose(model, packet.direction.source()) else { return };
    let mut at: Onwards<'_> = (&start.transit_router, &start.id);
    let mut been = BTreeSet::from([at.0]);
    loop {
        let Some(look) = LookUp::at(model, packet, at.0) else {
            return walk.blind(unseen_tables(model, packet));
        };
        let Some((table, next)) = look.follow(at.1, walk) else { return };
        if !been.insert(next.0) {
            return look.send_back(table, walk);
        }
        at = next;
    }
}

/// The blind spot if no snapshot shows the tables of a router on the path: its owner denies access, or was not read at
/// all.
fn unseen_tables(model: &Model, packet: &Packet) -> Blind {
    let why = |side| model.snapshot(side).and_then(|s| s.transit_route_tables.why_unknown());
    let refuses = |side: &Side| matches!(why(*side), Some(WhyUnknown::Denied { .. }));
    let side = (Side::BOTH.into_iter().find(refuses))
        .or_else(|| Side::BOTH.into_iter().find(|side| model.snapshot(*side).is_none()))
        .unwrap_or(packet.direction.source());
    let what = ("the route tables of the transit router", "转发路由器的路由表");
    // Packets of the other direction cross the same router.
    let points = Stops::Link.at(Stage::Transit);
    blind_because(model, side, points, why(side), what, vec![Stops::Packets(packet.direction)], ROUTE_CODES.to_vec())
}

impl<'a> LookUp<'a> {
    fn at(model: &'a Model, packet: &'a Packet, router: &'a TransitRouterId) -> Option<Self> {
        model.snapshots().find_map(|view| {
            let tables = view.transit_route_tables.known()?;
            tables.iter().any(|t| t.transit_router == *router).then_some(Self { model, packet, router, view, tables })
        })
    }

    /// The side whose account owns the router and must act; the initiator if neither account does.
    fn side(&self) -> Side {
        let owns = |side: &Side| self.model.link.side(*side).account == self.view.account;
        let sender = self.packet.direction.source();
        [sender, sender.opposite()].into_iter().find(owns).unwrap_or(Side::Initiator)
    }

    fn region(&self) -> RegionId {
        let mut by_vpc = attachments(self.model).filter(|a| a.transit_router == *self.router);
        let by_peering = || {
            peerings(self.model).find_map(|p| {
                [(&p.transit_router, &p.region), (&p.peer_transit_router, &p.peer_region)]
                    .into_iter()
                    .find(|(router, _)| *router == self.router)
                    .map(|(_, region)| region.clone())
            })
        };
        let region = by_vpc.find_map(|a| a.vpc_region.clone()).or_else(by_peering);
        region.unwrap_or_else(|| self.view.region.clone())
    }

    fn own_tables(&self) -> impl Iterator<Item = &'a TransitRouteTable> {
        self.tables.iter().filter(|t| t.transit_router == *self.router)
    }

    /// Looks the packet up and returns the deciding table and the next router; `None` if the packet has arrived, is
    /// stopped, or cannot be followed.
    fn follow(&self, by: &AttachmentId, walk: &mut Walk) -> Option<(&'a TransitRouteTable, Onwards<'a>)> {
        let associated = self.own_tables().find(|t| t.associations.known().is_some_and(|all| all.contains(by)));
        if let Some(table) = associated {
            let (id, side) = (&table.id, self.side());
            let text = both!("what comes in by {by} is looked up in {id}", "由 {by} 进入的报文查询 {id}");
            let note = self.model.note(side, id.as_str(), self.provenance(table), text);
            walk.pass(self.packet.at(Stage::Transit), 3, side, note);
        }
        let table = associated.or_else(|| self.unassociated(by, walk))?;
        let routes = match &table.routes {
            Known::Known(routes) => routes,
            Known::Unknown(why) => {
                let what = ("the routes of the transit router", "转发路由器的路由条目");
                walk.blind(self.unread(Some(why), what));
                return None;
            }
        };
        let covering = || routes.iter().filter(|r| r.destination.contains(self.packet.destination));
        let next = if let Some(best) = self.best(routes) {
            self.onwards(table, best, walk)
        } else {
            self.nowhere(table, covering().next(), walk);
            self.presumed(walk)
        };
        next.map(|next| (table, next))
    }

    /// The route that decides: the longest active prefix, static before propagated.
    fn best(&self, routes: &'a [TransitRoute]) -> Option<&'a TransitRoute> {
        let covering = routes.iter().filter(|r| r.active && r.destination.contains(self.packet.destination));
        covering.max_by_key(|r| (r.destination.prefix_length(), !r.propagated))
    }

    /// Blames a table that sends the packet to a router that it has already passed.
    fn send_back(&self, table: &'a TransitRouteTable, walk: &mut Walk) {
        let (id, to) = (&table.id, self.packet.destination);
        let text = both!("{id} sends {to} back to where it came from", "{id} 将 {to} 送回来处，形成环路");
        let best = table.routes.known().and_then(|routes| self.best(routes));
        let fix = match best {
            Some(written) if !written.propagated => delete(table, written),
            _ => self.create(table),
        };
        self.blame(CauseCode::RouteLoop, table, text, fix, walk);
    }

    /// Follows the deciding route; blames it if it does not lead to the peer. Returns the next router.
    fn onwards(&self, table: &TransitRouteTable, best: &TransitRoute, walk: &mut Walk) -> Option<Onwards<'a>> {
        let (id, destination, to) = (&table.id, best.destination, self.packet.destination);
        let Some(via) = &best.attachment else {
            let text =
                both!("{id} drops {to}: {destination} is a black hole", "{id} 丢弃 {to}：{destination} 为黑洞路由");
            let fix = if best.propagated { Fix::Manual } else { delete(table, best) };
            self.blame(CauseCode::RouteWrongNextHop, table, text, fix, walk);
            return self.presumed(walk);
        };
        let peer = choose(self.model, self.packet.direction.destination());
        if peer.is_some_and(|a| a.id == *via) {
            let text = both!("{id} sends {to} by {destination} to {via}", "{id} 按 {destination} 将 {to} 发往 {via}");
            let note = self.model.note(self.side(), id.as_str(), self.provenance(table), text);
            walk.pass(self.packet.at(Stage::Transit), 4, self.side(), note);
            return None;
        }
        let peering = peerings(self.model).find(|p| p.id == *via && across(p, self.router).is_some());
        if let Some(peering) = peering {
            return self.over(peering, walk);
        }
        let other = attachments(self.model).any(|a| a.id == *via);
        if peer.is_none() && !other {
            // The peer's attachment was not read: this may be it.
            return None;
        }
        if let (Known::Unknown(why), false) = (&self.view.transit_peerings, other) {
            let what = ("the connections between transit routers", "转发路由器的跨地域连接");
            walk.blind(self.unread(Some(why), what));
            return None;
        }
        let text = both!(
            "{destination} decides for {to} in {id} and leads to {via}, which is not the peer's",
            "{to} 在 {id} 中命中 {destination}，下一跳为 {via}，不是对端"
        );
        let fix = if best.propagated { self.create(table) } else { delete(table, best) };
        self.blame(CauseCode::RouteWrongNextHop, table, text, fix, walk);
        self.presumed(walk)
    }

    /// Follows a connection between regions; blames it if it is not attached.
    fn over(&self, peering: &'a TransitPeering, walk: &mut Walk) -> Option<Onwards<'a>> {
        if !peering.attached {
            let id = &peering.id;
            let text = both!("the connection {id} between regions is not attached", "跨地域连接 {id} 未处于已连接状态");
            let object = (ObjectKind::TransitAttachment, id.as_str());
            let found = self.finding(CauseCode::PeeringNotActive, object, text, Fix::Manual);
            let object = Object { region: peering.region.clone(), ..found.object };
            let (stops, points) = (Stops::Link, Stops::Link.at(Stage::Transit));
            walk.blame(Finding { object, direction: None, stops, points, ..found });
        }
        across(peering, self.router).map(|router| (router, &peering.id))
    }

    /// The path that the packet should have taken: over the connection to the router that the peer's VPC is attached
    /// to.
    fn presumed(&self, walk: &mut Walk) -> Option<Onwards<'a>> {
        let peer = choose(self.model, self.packet.direction.destination())?;
        let joined = peerings(self.model).find(|p| across(p, self.router) == Some(&peer.transit_router))?;
        if peer.transit_router == *self.router { None } else { self.over(joined, walk) }
    }

    /// Blames an attachment that no route table is associated with. Returns the router's table if there is exactly one.
    fn unassociated(&self, by: &AttachmentId, walk: &mut Walk) -> Option<&'a TransitRouteTable> {
        if let Some(why) = self.own_tables().find_map(|t| t.associations.why_unknown()) {
            let what = ("the associations of the transit router's route tables", "转发路由器路由表的关联转发");
            walk.blind(self.unread(Some(why), what));
            return None;
        }
        let router = self.router;
        let text = both!(
            "no route table of {router} is associated with {by}: what comes in by it is dropped",
            "{router} 没有路由表与 {by} 建立关联转发，由它进入的报文被丢弃"
        );
        // The owner must choose one of several tables.
        let mut tables = self.own_tables();
        let only = tables.next().filter(|_| tables.next().is_none());
        let fix =
            only.map_or(Fix::Manual, |only| Fix::AssociateTransit { table: only.id.clone(), attachment: by.clone() });
        walk.blame(self.finding(CauseCode::RouteMissing, (ObjectKind::TransitAttachment, by.as_str()), text, fix));
        only
    }

    fn nowhere(&self, table: &TransitRouteTable, pending: Option<&TransitRoute>, walk: &mut Walk) {
        let (id, to) = (&table.id, self.packet.destination);
        if let Some(destination) = pending.map(|route| route.destination) {
            let text = both!(
                "{destination} in {id} covers {to} but is not active",
                "{id} 中的 {destination} 包含 {to}，但未生效"
            );
            return self.blame(CauseCode::RouteNotAvailable, table, text, Fix::Manual, walk);
        }
        let fix = self.create(table);
        let text = match (&fix, &table.propagations) {
            (Fix::CreateTransitRoute { attachment, .. }, Known::Known(all)) if !all.contains(attachment) => both!(
                "{id} of the transit router has no route that covers {to}, and does not learn from {attachment}",
                "转发路由器的 {id} 中没有包含 {to} 的路由，也没有对 {attachment} 开启路由学习"
            ),
            _ => both!(
                "{id} of the transit router has no route that covers {to}",
                "转发路由器的 {id} 中没有包含 {to} 的路由"
            ),
        };
        self.blame(CauseCode::RouteMissing, table, text, fix, walk);
    }

    /// The fix that adds a route to the peer's block: to the peer's attachment, or to the connection to the router that
    /// it is at.
    fn create(&self, table: &TransitRouteTable) -> Fix {
        let side = self.packet.direction.destination();
        let Some(peer) = choose(self.model, side) else { return Fix::Manual };
        let joined = || peerings(self.model).find(|p| across(p, self.router) == Some(&peer.transit_router));
        let attachment = if peer.transit_router == *self.router { Some(&peer.id) } else { joined().map(|p| &p.id) };
        let destination = self.model.block_of(side, self.packet.destination);
        attachment.cloned().map_or(Fix::Manual, |attachment| Fix::CreateTransitRoute {
            table: table.id.clone(),
            destination,
            attachment,
        })
    }

    /// Provenance refers to the sources of the side's own snapshot only.
    fn provenance(&self, table: &TransitRouteTable) -> Provenance {
        let own = self.model.snapshot(self.side()).is_some_and(|own| std::ptr::eq(own, self.view));
        if own { table.provenance } else { ELSEWHERE }
    }

    fn unread(&self, why: Option<&WhyUnknown>, what: (&str, &str)) -> Blind {
        let stops = Stops::Packets(self.packet.direction);
        let (side, points) = (self.side(), stops.at(Stage::Transit));
        blind_because(self.model, side, points, why, what, vec![stops], ROUTE_CODES.to_vec())
    }

    fn blame(&self, code: CauseCode, table: &TransitRouteTable, text: Both, fix: Fix, walk: &mut Walk) {
        walk.blame(self.finding(code, (ObjectKind::RouteTable, table.id.as_str()), text, fix));
    }

    fn finding(&self, code: CauseCode, (kind, id): (ObjectKind, &str), text: Both, fix: Fix) -> Finding {
        let provenance = self.own_tables().find(|t| t.id.as_str() == id).map_or(ELSEWHERE, |t| self.provenance(t));
        let stops = Stops::Packets(self.packet.direction);
        Finding {
            code,
            side: self.side(),
            direction: Some(self.packet.direction),
            object: Object { kind, id: id.to_owned(), account: self.view.account.clone(), region: self.region() },
            stops,
            points: stops.at(Stage::Transit),
            evidence: vec![self.model.note(self.side(), id, provenance, text)],
            fix,
        }
    }
}

//! Which VPCs of an estate are connected, by what, and whether the connection works.
//!
//! Links are those that the caller names, and those that the configuration itself shows: router interfaces that name
//! each other, VPC peering connections, and attachments to the same or to connected transit routers. `walk::connection`
//! is called once for each link to judge whether it works and by which next hops routes lead to it. `walk::transit` is
//! called once for each block of destinations that the tables of the transit routers distinguish, to judge what they do
//! with a packet.

use super::{
    filter::Say,
    place::Place,
    span::{Cells, Span, address},
};
use crate::{
    finding::Stops,
    model::Model,
    stage::PacketKind,
    walk::{self, Hops, Packet},
};
use pingtong_evidence::{
    AccountId, Direction, Known, Link, LinkId, LinkKind, LinkSide, Protocol, RegionId, RouterInterface,
    RouterInterfaceRole, RouterKind, Side, Snapshot, TransitRouterId, VpcId,
};
use std::collections::{BTreeMap, BTreeSet};

/// Total number of links from which no more links over transit routers are added. A transit router connects every two
/// VPCs; beyond this number the caller must name the links that matter.
pub(crate) const TRANSIT_LINKS_MAX: usize = 4_096;

/// A link and the judgement about it.
#[derive(Debug)]
pub(crate) struct Joint {
    pub(crate) link: Link,
    pub(crate) hops: Hops,
    pub(crate) say: Say,
    /// Decision of the transit routers by destination address, for each direction: 0 pass, 1 stop, 2 unknown. `None`
    /// for links of other kinds.
    transit: Option<[Cells; 2]>,
}

impl Joint {
    pub(crate) fn transit(&self, direction: Direction, to: u32) -> Say {
        let Some([forward, back]) = &self.transit else { return Say::Pass(0) };
        let cells = if direction == Direction::Forward { forward } else { back };
        match cells.at(to) {
            0 => Say::Pass(0),
            1 => Say::Stop(0),
            _ => Say::Unknown,
        }
    }

    /// Judges a link; `snapshots` are those that a walk over it would use.
    pub(crate) fn compile(link: Link, snapshots: &[&Snapshot]) -> (Self, Model) {
        let model = Model::new(&link, snapshots.iter().copied());
        let (hops, found) = walk::connection(&model);
        let say = if found.findings.iter().any(|finding| finding.stops == Stops::Link) {
            Say::Stop(0)
        } else if found.blinds.iter().any(|blind| blind.stops.contains(&Stops::Link)) {
            Say::Unknown
        } else {
            Say::Pass(0)
        };
        let transit = (link.kind == LinkKind::TransitRouter).then(|| Direction::BOTH.map(|to| in_transit(&model, to)));
        (Self { link, hops, say, transit }, model)
    }
}

fn in_transit(model: &Model, direction: Direction) -> Cells {
    let tables = model.snapshots().filter_map(|snapshot| snapshot.transit_route_tables.known()).flatten();
    let routes = tables.filter_map(|table| table.routes.known()).flatten();
    let spans: Vec<Span> = routes.filter_map(|route| Span::of(&route.destination)).collect();
    Cells::cut(spans, |to| {
        let packet = Packet {
            direction,
            source: address(0),
            destination: address(to),
            protocol: Protocol::Icmp,
            source_port: None,
            destination_port: None,
            kind: PacketKind::Request,
        };
        let found = walk::in_transit(model, &packet);
        match (found.findings.is_empty(), found.blinds.is_empty()) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 0,
        }
    })
}

/// The snapshots that can show a link: those of its two sides, or all of them for a transit router, which a third
/// account may own. With `wires_only`, only the parts that show how VPCs are connected, except for transit routers.
pub(crate) fn views<'p>(link: &Link, places: &'p [Place], wires_only: bool) -> Vec<&'p Snapshot> {
    let wires_only = wires_only && link.kind != LinkKind::TransitRouter;
    let of_side = |place: &&Place| Side::BOTH.into_iter().any(|side| place.is_of(link.side(side)));
    let view = |place: &'p Place| if wires_only { &place.wires } else { place.snapshot() };
    places.iter().filter(|place| link.kind == LinkKind::TransitRouter || of_side(place)).map(view).collect()
}

/// Account and region of each VPC.
type Whereabouts = BTreeMap<VpcId, (AccountId, RegionId)>;

/// The given links, then those that the configuration shows between other VPCs or of another kind, and the number of
/// links left out.
pub(crate) fn find(places: &[Place], given: &[Link]) -> (Vec<Link>, usize) {
    let mut whereabouts = Whereabouts::new();
    for place in places {
        let at = (place.snapshot().account.clone(), place.snapshot().region.clone());
        for vpc in place.vpcs() {
            whereabouts.entry(vpc).or_insert_with(|| at.clone());
        }
    }
    let mut found = Found { whereabouts, links: given.to_vec(), joined: BTreeSet::new() };
    for link in given {
        let key = key(link.kind, &link.initiator.vpc, &link.acceptor.vpc);
        found.joined.insert(key);
    }
    found.router_interfaces(places);
    found.peerings(places);
    let left_out = found.transit(places);
    (found.links, left_out)
}

fn key(kind: LinkKind, one: &VpcId, other: &VpcId) -> (LinkKind, VpcId, VpcId) {
    if one <= other { (kind, one.clone(), other.clone()) } else { (kind, other.clone(), one.clone()) }
}

struct Found {
    whereabouts: Whereabouts,
    links: Vec<Link>,
    joined: BTreeSet<(LinkKind, VpcId, VpcId)>,
}

impl Found {
    /// Adds a link, unless both ends are one VPC or a link of this kind already joins them.
    fn add(&mut self, kind: LinkKind, name: &str, initiator: LinkSide, acceptor: LinkSide) {
        if initiator.vpc == acceptor.vpc || !self.joined.insert(key(kind, &initiator.vpc, &acceptor.vpc)) {
            return;
        }
        if let Ok(id) = LinkId::parse(name) {
            self.links.push(Link { id, kind, initiator, acceptor });
        }
    }

    fn side(&self, vpc: &VpcId, told: Option<(&AccountId, &RegionId)>) -> Option<LinkSide> {
        let known = self.whereabouts.get(vpc).map(|(account, region)| (account, region));
        let (account, region) = known.or(told)?;
        Some(LinkSide { account: account.clone(), region: region.clone(), vpc: vpc.clone() })
    }

    fn router_interfaces(&mut self, places: &[Place]) {
        let all: Vec<&RouterInterface> = interfaces(places).collect();
        let routers = routers(places);
        let vpc_of = |ri: &RouterInterface| ri.vpc.clone().or_else(|| routers.get(ri.router.as_str()).cloned());
        let by_id: BTreeMap<&str, &RouterInterface> = all.iter().map(|ri| (ri.id.as_str(), *ri)).collect();
        for ri in &all {
            let Some(near) = vpc_of(ri).and_then(|vpc| self.side(&vpc, None)) else { continue };
            let opposite = ri.opposite_interface.as_ref().and_then(|id| by_id.get(id.as_str()));
            let Some(vpc) = opposite.and_then(|other| vpc_of(other)).or_else(|| ri.opposite_vpc.clone()) else {
                continue;
            };
            let told = ri.opposite_owner.as_ref().zip(ri.opposite_region.as_ref());
            let Some(far) = self.side(&vpc, told) else { continue };
            let (a, b) = if ri.role == RouterInterfaceRole::Initiating { (near, far) } else { (far, near) };
            let name = format!("{}~{}", a.vpc, b.vpc);
            self.add(LinkKind::RouterInterface, &name, a, b);
        }
    }

    fn peerings(&mut self, places: &[Place]) {
        for peering in places.iter().filter_map(|place| place.snapshot().vpc_peerings.known()).flatten() {
            let asking = self.side(&peering.vpc, Some((&peering.owner, &peering.region)));
            let accepting =
                self.side(&peering.accepting_vpc, Some((&peering.accepting_owner, &peering.accepting_region)));
            if let (Some(asking), Some(accepting)) = (asking, accepting) {
                self.add(LinkKind::VpcPeering, peering.id.as_str(), asking, accepting);
            }
        }
    }

    /// Adds a link for every two VPCs whose transit routers are the same or connected. Returns the number of links left
    /// out.
    fn transit(&mut self, places: &[Place]) -> usize {
        let mut at: BTreeMap<&VpcId, &TransitRouterId> = BTreeMap::new();
        for attachment in places.iter().filter_map(|place| place.snapshot().transit_attachments.known()).flatten() {
            at.entry(&attachment.vpc).or_insert(&attachment.transit_router);
        }
        let network = networks(places);
        let mut left_out = 0;
        let attached: Vec<(&VpcId, &TransitRouterId)> = at.into_iter().collect();
        for (index, (one, router)) in attached.iter().enumerate() {
            let near = network.get(router).unwrap_or(router);
            for (other, router) in attached.iter().skip(index + 1) {
                if near != network.get(router).unwrap_or(router) {
                    continue;
                }
                if self.links.len() >= TRANSIT_LINKS_MAX {
                    left_out += 1;
                } else if let (Some(a), Some(b)) = (self.side(one, None), self.side(other, None)) {
                    self.add(LinkKind::TransitRouter, &format!("{one}~{other}"), a, b);
                }
            }
        }
        left_out
    }
}

fn interfaces(places: &[Place]) -> impl Iterator<Item = &RouterInterface> {
    let all = places.iter().filter_map(|place| place.snapshot().router_interfaces.known()).flatten();
    all.filter(|ri| ri.router_kind == RouterKind::VRouter)
}

/// Maps each router to its VPC.
fn routers(places: &[Place]) -> BTreeMap<String, VpcId> {
    let vpcs = places.iter().filter_map(|place| match &place.snapshot().vpcs {
        Known::Known(vpcs) => Some(vpcs),
        Known::Unknown(_) => None,
    });
    vpcs.flatten().filter_map(|vpc| Some((vpc.router.as_ref()?.to_string(), vpc.id.clone()))).collect()
}

/// Maps each transit router to the least one of those that it is connected to, directly or not.
fn networks(places: &[Place]) -> BTreeMap<&TransitRouterId, &TransitRouterId> {
    let peerings: Vec<_> =
        places.iter().filter_map(|place| place.snapshot().transit_peerings.known()).flatten().collect();
    let mut least: BTreeMap<&TransitRouterId, &TransitRouterId> = BTreeMap::new();
    // Each pass carries the least id one connection further; there are no more passes than connections.
    for _ in 0..=peerings.len() {
        let mut changed = false;
        for peering in &peerings {
            let (a, b) = (&peering.transit_router, &peering.peer_transit_router);
            let low = *(least.get(a).unwrap_or(&a)).min(least.get(b).unwrap_or(&b));
            for router in [a, b] {
                changed |= least.insert(router, low) != Some(low);
            }
        }
        if !changed {
            break;
        }
    }
    least
}

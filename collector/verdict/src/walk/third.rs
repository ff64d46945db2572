//! Where a route leads that uses another connection than the link: into a third VPC.
//!
//! Router interfaces and VPC peering connections are not transitive (`SEMANTICS.md` §2.3): a packet that arrives
//! in a third VPC but is addressed elsewhere is lost there. Decides whether the peer is behind the third VPC, over a
//! connection or an expected link, and whether the third VPC's own table sends the packet back. Knows only third VPCs
//! that some snapshot shows. Facts: DescribeRouterInterfaces, ListVpcPeerConnections, DescribeRouteEntryList.

use crate::model::Model;
use pingtong_evidence::{
    Known, NextHop, NextHopKind, RouteEntry, RouteStatus, RouteTable, RouteTableKind, RouterInterface, Side, Snapshot,
    VpcId,
};
use std::net::IpAddr;

/// What becomes of a packet in the third VPC.
#[derive(Debug, Clone, Copy)]
pub(super) enum Third<'a> {
    /// Its table sends the packet back to where it came from.
    Back { vpc: &'a VpcId, view: &'a Snapshot, table: &'a RouteTable, entry: &'a RouteEntry },
    /// The peer is behind it, over a connection that is not this link.
    Between { vpc: &'a VpcId },
}

/// The VPC at the far end of a router interface, as its own description or that of its opposite says.
fn beyond<'a>(model: &'a Model, ri: &'a RouterInterface) -> Option<&'a VpcId> {
    let opposite = || {
        let all = model.snapshots().filter_map(|s| s.router_interfaces.known()).flatten();
        all.into_iter().find(|other| Some(&other.id) == ri.opposite_interface.as_ref())?.vpc.as_ref()
    };
    ri.opposite_vpc.as_ref().or_else(opposite)
}

/// The VPC that a next hop of a table in `from` leads into.
pub(super) fn leads_into<'a>(model: &'a Model, from: &VpcId, hop: &NextHop) -> Option<&'a VpcId> {
    match hop.kind {
        NextHopKind::RouterInterface => {
            let mut all = model.snapshots().filter_map(|s| s.router_interfaces.known()).flatten();
            beyond(model, all.find(|ri| ri.id.as_str() == hop.id)?)
        }
        NextHopKind::VpcPeering => {
            let mut all = model.snapshots().filter_map(|s| s.vpc_peerings.known()).flatten();
            let peering = all.find(|peering| peering.id.as_str() == hop.id)?;
            Some(if peering.vpc == *from { &peering.accepting_vpc } else { &peering.vpc })
        }
        _ => None,
    }
}

/// Whether two VPCs are joined by a connection that some snapshot shows, or by a link that is expected.
pub(super) fn joined(model: &Model, one: &VpcId, other: &VpcId) -> bool {
    let same =
        |a: Option<&VpcId>, b: Option<&VpcId>| (a, b) == (Some(one), Some(other)) || (a, b) == (Some(other), Some(one));
    let interfaces = model.snapshots().filter_map(|s| s.router_interfaces.known()).flatten();
    let mut peerings = model.snapshots().filter_map(|s| s.vpc_peerings.known()).flatten();
    interfaces.into_iter().any(|ri| same(ri.vpc.as_ref(), beyond(model, ri)))
        || peerings.any(|p| same(Some(&p.vpc), Some(&p.accepting_vpc)))
        || model.elsewhere.iter().any(|pair| same(Some(&pair.link.initiator.vpc), Some(&pair.link.acceptor.vpc)))
}

/// The entry that decides in a VPC's system table; `None` if no snapshot shows the table or no entry covers the
/// address.
fn deciding<'a>(model: &'a Model, vpc: &VpcId, to: IpAddr) -> Option<(&'a Snapshot, &'a RouteTable, &'a RouteEntry)> {
    model.snapshots().find_map(|view| {
        let tables = view.route_tables.known()?;
        let table = tables.iter().find(|table| table.vpc == *vpc && table.kind == RouteTableKind::System)?;
        let Known::Known(entries) = &table.entries else { return None };
        let covering = entries.iter().filter(|e| e.destination.contains(to) && e.status == RouteStatus::Available);
        Some((view, table, covering.max_by_key(|e| e.destination.prefix_length())?))
    })
}

/// What becomes of packets that an entry of the side's VPC sends over a connection other than the link.
pub(super) fn after<'a>(model: &'a Model, side: Side, entry: &RouteEntry, to: IpAddr) -> Option<Third<'a>> {
    let (own, peer) = (&model.link.side(side).vpc, &model.link.side(side.opposite()).vpc);
    let vpc = entry.next_hops.iter().find_map(|hop| leads_into(model, own, hop))?;
    if vpc == own || vpc == peer {
        return None;
    }
    let onwards = deciding(model, vpc, to);
    if let Some((view, table, entry)) = onwards
        && entry.next_hops.iter().any(|hop| leads_into(model, vpc, hop) == Some(own))
    {
        return Some(Third::Back { vpc, view, table, entry });
    }
    joined(model, vpc, peer).then_some(Third::Between { vpc })
}

//! Faults of connections and hosts: connections that are frozen, deleted, not accepted or misrouted, and stopped
//! instances.

use super::{Draw, Fault, call, in_vpc, named};
use crate::topology::PeeringKind;

pub(super) fn broken(draw: &mut Draw<'_>) -> Option<Fault> {
    let topology = draw.topology;
    let peering = draw.random.pick(&topology.peerings)?;
    let side = if draw.percent(50) { "initiator" } else { "acceptor" };
    let end = if side == "initiator" { &peering.initiator } else { &peering.acceptor };
    let vpc = topology.vpc(end.get_ref())?;
    let id = named(&format!("{}.{side}", peering.name.get_ref()));
    let calls = match peering.kind {
        PeeringKind::RouterInterface => {
            let freeze = call(vpc, "vpc:DeactivateRouterInterface", [("RouterInterfaceId", id.clone())]);
            let thaw = call(vpc, "vpc:ActivateRouterInterface", [("RouterInterfaceId", id)]);
            if draw.percent(85) { vec![freeze] } else { vec![freeze, thaw] }
        }
        PeeringKind::VpcPeering => {
            vec![call(vpc, "vpcpeer:DeleteVpcPeerConnection", [("InstanceId", id), ("Force", "true".into())])]
        }
        PeeringKind::TransitRouter => {
            let table = named(&format!("{}.{side}.route_table", peering.name.get_ref()));
            let with = [("TransitRouterRouteTableId", table), ("TransitRouterAttachmentId", id)];
            let action = if draw.percent(50) {
                "cbn:DissociateTransitRouterAttachmentFromRouteTable"
            } else {
                "cbn:DisableTransitRouterRouteTablePropagation"
            };
            let owner = topology.vpc(peering.initiator.get_ref())?;
            let mut one = call(owner, action, with);
            one.with.insert("RegionId".into(), vpc.region.clone());
            vec![one]
        }
    };
    Some(Fault { what: "a connection is broken", calls })
}

/// Deletes the router interface at one end, after the routes that lead to it. Other kinds of connection do not apply.
pub(super) fn removed(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let (kind, id) = way.hop.clone();
    if kind != "RouterInterface" {
        return None;
    }
    let mut tables = vec![in_vpc(way.vpc, "route_table")];
    tables.extend(way.vpc.route_tables.iter().map(|table| in_vpc(way.vpc, table.name.get_ref())));
    let mut calls = vec![];
    for table in tables {
        for block in way.peer.cidrs() {
            let with = [
                ("RouteTableId", table.clone()),
                ("DestinationCidrBlock", block.to_owned()),
                ("NextHopId", id.clone()),
            ];
            calls.push(call(way.vpc, "vpc:DeleteRouteEntry", with));
        }
    }
    for action in ["vpc:DeactivateRouterInterface", "vpc:DeleteRouterInterface"] {
        calls.push(call(way.vpc, action, [("RouterInterfaceId", id.clone())]));
    }
    Some(Fault { what: "a router interface is deleted", calls })
}

/// Deletes a connection between VPCs and requests it again without accepting it; in 60 % of the draws a route to the
/// peer is created again.
pub(super) fn asked_again(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let (kind, id) = way.hop.clone();
    if kind != "VpcPeer" {
        return None;
    }
    let gone = call(way.vpc, "vpcpeer:DeleteVpcPeerConnection", [("InstanceId", id), ("Force", "true".to_owned())]);
    let with = [
        ("VpcId", named(way.vpc.name.get_ref())),
        ("AcceptingAliUid", named(&format!("{}.id", way.peer.account()))),
        ("AcceptingRegionId", way.peer.region.clone()),
        ("AcceptingVpcId", named(way.peer.name.get_ref())),
    ];
    let mut again = call(way.vpc, "vpcpeer:CreateVpcPeerConnection", with);
    again.save.insert("made".into(), "Response.InstanceId".into());
    let mut calls = vec![gone, again];
    if draw.percent(60) {
        let mut route = super::routes::create(&way, &draw.block_of(way.peer), ("VpcPeer", named("made")));
        route.with.insert("RouteTableId".into(), in_vpc(way.vpc, "route_table"));
        calls.push(route);
    }
    Some(Fault { what: "a connection waits to be accepted", calls })
}

/// Adds a route to a transit router that drops a part of what it should forward, or sends it to one fixed side, which
/// may be the wrong one.
pub(super) fn black_hole(draw: &mut Draw<'_>) -> Option<Fault> {
    let topology = draw.topology;
    let peering = topology.peerings.iter().find(|peering| peering.kind == PeeringKind::TransitRouter)?;
    let ends = [(&peering.initiator, "initiator"), (&peering.acceptor, "acceptor")];
    let (at, side) = *draw.random.pick(&ends)?;
    let (of, _) = *draw.random.pick(&ends)?;
    let (here, owner) = (topology.vpc(at.get_ref())?, topology.vpc(peering.initiator.get_ref())?);
    let target = topology.vpc(of.get_ref())?;
    // Learned routes have the blocks of vSwitches as destinations; a static route with the same block takes precedence.
    let part = match draw.random.below(4) {
        0 => draw.part_of(target)?,
        1 => draw.block_of(target),
        _ => draw.random.pick(&target.vswitches)?.cidr.get_ref().clone(),
    };
    let name = peering.name.get_ref();
    let with = [
        ("TransitRouterRouteTableId", named(&format!("{name}.{side}.route_table"))),
        ("TransitRouterRouteEntryDestinationCidrBlock", part),
    ];
    let mut one = call(owner, "cbn:CreateTransitRouterRouteEntry", with);
    one.with.insert("RegionId".into(), here.region.clone());
    if draw.percent(50) {
        one.with.insert("TransitRouterRouteEntryNextHopType".into(), "BlackHole".into());
    } else {
        one.with.insert("TransitRouterRouteEntryNextHopType".into(), "Attachment".into());
        one.with.insert("TransitRouterRouteEntryNextHopId".into(), named(&format!("{name}.{side}")));
    }
    Some(Fault { what: "a transit router has another route", calls: vec![one] })
}

pub(super) fn instance_stopped(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, instance) = draw.instance()?;
    let with = [("InstanceId", named(&instance.full_name(vpc)))];
    Some(Fault { what: "an instance is stopped", calls: vec![call(vpc, "ecs:StopInstance", with)] })
}

/// Adds a secondary address. No guest configures it on its own, so it changes nothing for the primary address.
pub(super) fn address_added(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, instance) = draw.instance()?;
    let with = [
        ("NetworkInterfaceId", named(&format!("{}.eni", instance.full_name(vpc)))),
        ("SecondaryPrivateIpAddressCount", "1".to_owned()),
    ];
    Some(Fault {
        what: "an interface has one more address",
        calls: vec![call(vpc, "ecs:AssignPrivateIpAddresses", with)],
    })
}

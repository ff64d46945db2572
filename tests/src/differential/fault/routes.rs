//! Faults of routes: missing, too narrow, with another next hop, in another table, or overridden by a vSwitch of the
//! same VPC.

use super::{Draw, Fault, FaultCall, Way, call, in_vpc, named};
use crate::differential::draw::overlap;
use ipnet::Ipv4Net;

fn delete(way: &Way<'_>, destination: &str) -> FaultCall {
    let with = [
        ("RouteTableId", way.table.clone()),
        ("DestinationCidrBlock", destination.to_owned()),
        ("NextHopId", way.hop.1.clone()),
    ];
    call(way.vpc, "vpc:DeleteRouteEntry", with)
}

pub(super) fn create(way: &Way<'_>, destination: &str, (kind, id): (&str, String)) -> FaultCall {
    let with = [
        ("RouteTableId", way.table.clone()),
        ("DestinationCidrBlock", destination.to_owned()),
        ("NextHopType", kind.to_owned()),
        ("NextHopId", id),
    ];
    call(way.vpc, "vpc:CreateRouteEntry", with)
}

pub(super) fn deleted(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let block = draw.block_of(way.peer);
    Some(Fault { what: "a route is deleted", calls: vec![delete(&way, &block)] })
}

pub(super) fn narrowed(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let (block, part) = (draw.block_of(way.peer), draw.part_of(way.peer)?);
    let calls = vec![delete(&way, &block), create(&way, &part, way.hop.clone())];
    Some(Fault { what: "a route covers a part only", calls })
}

pub(super) fn to_neighbour(draw: &mut Draw<'_>) -> Option<Fault> {
    let (way, other) = (draw.way()?, draw.way()?);
    let part = if draw.percent(50) { draw.part_of(way.peer)? } else { draw.block_of(way.peer) };
    let mut calls = vec![];
    if draw.percent(50) {
        calls.push(delete(&way, &part));
    }
    calls.push(create(&way, &part, other.hop.clone()));
    (other.vpc.name == way.vpc.name).then_some(Fault { what: "a route leads into another connection", calls })
}

pub(super) fn to_instance(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let host = draw.random.pick(&way.vpc.instances)?;
    let id = named(&host.full_name(way.vpc));
    let part = draw.part_of(way.peer)?;
    Some(Fault {
        what: "a route leads to an instance that forwards nothing",
        calls: vec![create(&way, &part, ("Instance", id))],
    })
}

pub(super) fn elsewhere(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let block: Ipv4Net = draw.block_of(way.peer).parse().ok()?;
    let wider = block.supernet()?;
    let calls = if draw.percent(50) {
        vec![delete(&way, &block.to_string()), create(&way, &wider.to_string(), way.hop.clone())]
    } else {
        vec![create(&way, "0.0.0.0/0", way.hop.clone()), delete(&way, &block.to_string())]
    };
    Some(Fault { what: "a wider route stands in", calls })
}

pub(super) fn table_bound(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, vswitch) = draw.vswitch()?;
    let bind = |verb: &str, table: &str| {
        let with = [("RouteTableId", in_vpc(vpc, table)), ("VSwitchId", in_vpc(vpc, vswitch.name.get_ref()))];
        call(vpc, &format!("vpc:{verb}RouteTable"), with)
    };
    if draw.percent(40) {
        // A new table, which has none of the tutorial's routes.
        let with = [("VpcId", named(vpc.name.get_ref())), ("RouteTableName", "empty".to_owned())];
        let mut made = call(vpc, "vpc:CreateRouteTable", with);
        made.save.insert("made".into(), "Response.RouteTableId".into());
        let mut bound = bind("Associate", "route_table");
        bound.with.insert("RouteTableId".into(), named("made"));
        return Some(Fault { what: "a vSwitch gets a table without routes", calls: vec![made, bound] });
    }
    let other = draw.random.pick(&vpc.route_tables)?.name.get_ref();
    let calls = match &vswitch.route_table {
        Some(own) if own.get_ref() == other => vec![bind("Unassociate", other)],
        Some(own) => vec![bind("Unassociate", own.get_ref()), bind("Associate", other)],
        None => vec![bind("Associate", other)],
    };
    Some(Fault { what: "a vSwitch has another table", calls })
}

/// Creates a vSwitch of the same VPC inside the peer's block: its system route captures the traffic to that part.
pub(super) fn vswitch_over_peer(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let over: Ipv4Net = draw.random.pick(&way.peer.vswitches)?.cidr.get_ref().parse().ok()?;
    if way.vpc.cidrs().filter_map(|block| block.parse().ok()).any(|own: Ipv4Net| overlap(own, over)) {
        return None;
    }
    let vpc_id = named(way.vpc.name.get_ref());
    let block = [("VpcId", vpc_id.clone()), ("SecondaryCidrBlock", over.to_string())];
    let vswitch = [
        ("VpcId", vpc_id),
        ("VSwitchName", "over".to_owned()),
        ("ZoneId", format!("{}-b", way.vpc.region)),
        ("CidrBlock", over.to_string()),
    ];
    let calls = vec![call(way.vpc, "vpc:AssociateVpcCidrBlock", block), call(way.vpc, "vpc:CreateVSwitch", vswitch)];
    Some(Fault { what: "a vSwitch lies over the peer's", calls })
}

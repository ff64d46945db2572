//! Faults of routes (step 5) and of the VPCs' blocks (`SEMANTICS.md` §7.3).
#![expect(clippy::unnecessary_wraps, reason = "every fault has one signature; some worlds cannot have some faults")]

use super::Expected;
use crate::{
    draw::{ACCOUNTS, REGIONS, entry, interface, slice},
    world::{World, list, list_mut, named},
};
use pingtong_evidence::{
    AssociateType, Cidr, Known, NextHop, NextHopKind, Provenance, RouteEntry, RouteStatus, RouteTable, RouteTableKind,
    RouterInterfaceStatus, Side, VSwitch,
};

/// The entry in the route table in effect that leads to the peer's address through the link's router interface.
fn to_peer(world: &mut World, side: Side) -> Option<&mut RouteEntry> {
    let (table, far, own) =
        (world.names(side).table.clone(), world.address(side.opposite()), world.names(side).interface.clone());
    list_mut(&mut world.table_mut(side, &table)?.entries)
        .iter_mut()
        .find(|entry| entry.destination.contains(far) && entry.next_hops.iter().any(|hop| hop.id == own))
}

fn edit(
    world: &mut World,
    side: Side,
    code: &'static str,
    with: impl FnOnce(&mut RouteEntry),
) -> Option<Vec<Expected>> {
    let found = to_peer(world, side)?;
    with(found);
    let id = found.id.as_ref()?.to_string();
    Some(vec![Expected::by_config(code, side, id).towards(side.sends())])
}

/// Removes the routes to the peer's address from every route table except `kept`.
fn remove(world: &mut World, side: Side, kept: Option<&str>) {
    let (far, own) = (world.address(side.opposite()), world.names(side).interface.clone());
    let leads = |entry: &RouteEntry| entry.destination.contains(far) && entry.next_hops.iter().any(|hop| hop.id == own);
    for table in list_mut(&mut world.config_mut(side).route_tables) {
        if kept != Some(table.id.as_str()) {
            list_mut(&mut table.entries).retain(|entry| !leads(entry));
        }
    }
}

pub(super) fn missing(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    // If a route to another CIDR block of the peer remained, a missing route could not be distinguished from a wrong
    // CIDR block.
    let own = world.names(side).interface.clone();
    remove(world, side, None);
    for table in list_mut(&mut world.config_mut(side).route_tables) {
        list_mut(&mut table.entries).retain(|entry| entry.next_hops.iter().all(|hop| hop.id != own));
    }
    Some(vec![Expected::by_config("route-missing", side, world.names(side).table.clone()).towards(side.sends())])
}

pub(super) fn missing_one_block(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    if world.vpc(side.opposite())?.secondary_cidrs.is_empty() {
        return None;
    }
    remove(world, side, None);
    Some(vec![Expected::by_config("route-missing", side, world.names(side).table.clone()).towards(side.sends())])
}

pub(super) fn wrong_cidr(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let (far, block) = (world.address(side.opposite()), world.block(side.opposite()));
    let narrow = (8..12).map(|n| slice(block, n)).find(|part| !part.contains(far))?;
    edit(world, side, "route-wrong-cidr", |entry| entry.destination = narrow)
}

pub(super) fn to_instance(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let other = format!("i-{}-other", world.names(side).letter);
    edit(world, side, "route-wrong-next-hop", |entry| {
        entry.next_hops = vec![NextHop { kind: NextHopKind::Instance, id: other, enabled: None, weight: None }];
    })
}

/// A further router interface of this side, connected to a third account.
fn further_interface(world: &mut World, side: Side, id: &str) {
    let x = world.names(side).letter;
    let (router, vpc) = (format!("vrt-{x}"), world.names(side).vpc.clone());
    // Another one on each side: a third VPC that is joined with both would make the routes lead to the peer through it.
    let (far_interface, far_router) = (format!("ri-far-{x}"), format!("vrt-far-{x}"));
    let far = [far_interface.as_str(), far_router.as_str(), ACCOUNTS[2], REGIONS[2]];
    let mut ri = interface(id, side, &router, &vpc, far);
    ri.opposite_vpc = Some(named(&format!("vpc-far-{x}")));
    list_mut(&mut world.config_mut(side).router_interfaces).push(ri);
}

pub(super) fn to_other_interface(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = format!("ri-{}-other", world.names(side).letter);
    further_interface(world, side, &id);
    edit(world, side, "route-wrong-next-hop", |entry| {
        entry.next_hops = vec![NextHop { kind: NextHopKind::RouterInterface, id, enabled: None, weight: None }];
    })
}

pub(super) fn wrong_table(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let (vpc, vswitch, letter) =
        (world.names(side).vpc.clone(), world.names(side).vswitch.clone(), world.names(side).letter);
    if world.names(side).table == world.names(side).system_table {
        // A custom table is bound to the host's vSwitch, and nobody has added a route to the peer to it.
        let id = format!("vtb-{letter}-fresh");
        let local: Vec<RouteEntry> = list(&world.config(side).vswitches)
            .iter()
            .enumerate()
            .map(|(n, v)| entry(&format!("rte-{id}-local{n}"), v.cidr, NextHopKind::Local, ""))
            .collect();
        let table = RouteTable {
            id: named(&id),
            vpc: named(&vpc),
            kind: RouteTableKind::Custom,
            associate_type: AssociateType::VSwitch,
            vswitches: vec![named(&vswitch)],
            entries: Known::Known(local),
            provenance: Provenance(0),
        };
        let tables = list_mut(&mut world.config_mut(side).route_tables);
        for table in tables.iter_mut() {
            table.vswitches.retain(|v| v.as_str() != vswitch);
        }
        tables.push(table);
        let bound = list_mut(&mut world.config_mut(side).vswitches).iter_mut().find(|v| v.id.as_str() == vswitch)?;
        bound.route_table = Some(named(&id));
        world.names[crate::world::at(side)].table.clone_from(&id);
        return Some(vec![Expected::by_config("route-wrong-table", side, id).towards(side.sends())]);
    }
    let (system, own) = (world.names(side).system_table.clone(), world.names(side).interface.clone());
    let block = world.block(side.opposite());
    let kept = list_mut(&mut world.table_mut(side, &system)?.entries);
    if !kept.iter().any(|entry| entry.destination == block) {
        kept.push(entry(&format!("rte-{system}-late"), block, NextHopKind::RouterInterface, &own));
    }
    let table = world.names(side).table.clone();
    remove(world, side, Some(&system));
    let rest = list_mut(&mut world.table_mut(side, &table)?.entries);
    rest.retain(|entry| entry.next_hops.iter().all(|hop| hop.id != own));
    Some(vec![Expected::by_config("route-wrong-table", side, table).towards(side.sends())])
}

pub(super) fn shadowed(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let x = world.names(side).letter;
    let (narrow, id) = (world.vswitch(side.opposite())?.cidr, format!("rte-{x}-shadow"));
    let route = entry(&id, narrow, NextHopKind::Instance, &format!("i-{x}-other"));
    let table = world.names(side).table.clone();
    list_mut(&mut world.table_mut(side, &table)?.entries).push(route);
    Some(vec![Expected::by_config("route-shadowed", side, id).towards(side.sends())])
}

/// The VPC gets a secondary CIDR block inside the peer's block, with a vSwitch of the same CIDR block as that of the
/// peer's host.
pub(super) fn shadowed_by_vswitch(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let x = world.names(side).letter;
    let narrow = world.vswitch(side.opposite())?.cidr;
    let block: Cidr = Cidr::around(narrow.network(), 20);
    let (vpc, system, id) =
        (world.names(side).vpc.clone(), world.names(side).system_table.clone(), format!("rte-{x}-swallows"));
    list_mut(&mut world.config_mut(side).vpcs).iter_mut().find(|v| v.id.as_str() == vpc)?.secondary_cidrs.push(block);
    list_mut(&mut world.config_mut(side).vswitches).push(VSwitch {
        id: named(&format!("vsw-{x}-late")),
        vpc: named(&vpc),
        zone: None,
        cidr: narrow,
        route_table: Some(named(&system)),
        network_acl: None,
        provenance: Provenance(0),
    });
    let table = world.names(side).table.clone();
    for found in list_mut(&mut world.config_mut(side).route_tables).iter_mut().filter(|t| t.vpc.as_str() == vpc) {
        let id = if found.id.as_str() == table { id.clone() } else { format!("{id}-{}", found.id) };
        list_mut(&mut found.entries).push(entry(&id, narrow, NextHopKind::Local, ""));
    }
    Some(vec![Expected::by_config("route-shadowed", side, id).towards(side.sends())])
}

pub(super) fn pending(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    edit(world, side, "route-not-available", |entry| entry.status = RouteStatus::Pending)
}

pub(super) fn disabled(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    edit(world, side, "route-not-available", |entry| {
        entry.next_hops.iter_mut().for_each(|hop| hop.enabled = Some(false));
    })
}

pub(super) fn dead_leg(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = format!("ri-{}-leg", world.names(side).letter);
    further_interface(world, side, &id);
    let legs = list_mut(&mut world.config_mut(side).router_interfaces);
    legs.iter_mut().find(|ri| ri.id.as_str() == id)?.status = RouterInterfaceStatus::Inactive;
    let hop = NextHop { kind: NextHopKind::RouterInterface, id: id.clone(), enabled: None, weight: None };
    edit(world, side, "ecmp-leg-dead", |entry| entry.next_hops.push(hop))?;
    Some(vec![Expected::by_config("ecmp-leg-dead", side, id).towards(side.sends())])
}

/// The world must be drawn with the same CIDR block for both VPCs.
pub(super) fn overlap(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let one = world.block(Side::Initiator) == world.block(Side::Acceptor);
    one.then(|| vec![Expected::by_config("cidr-overlap", side, world.names(side).vpc.clone())])
}

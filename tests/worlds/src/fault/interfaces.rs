//! Faults of the connection: steps 1 to 4 (`SEMANTICS.md` §7.2).
#![expect(clippy::unnecessary_wraps, reason = "every fault has one signature; some worlds cannot have some faults")]

use super::Expected;
use crate::{
    draw::{ACCOUNTS, REGIONS},
    world::{World, list_mut, named},
};
use pingtong_evidence::{BusinessStatus, RouterInterface, RouterInterfaceRole, RouterInterfaceStatus, Side};

/// Makes both router interfaces ones that were never connected.
fn disconnect(world: &mut World) {
    for side in Side::BOTH {
        if let Some(ri) = world.interface_mut(side) {
            (ri.status, ri.connected_at) = (RouterInterfaceStatus::Idle, None);
        }
    }
}

fn edit(
    world: &mut World,
    side: Side,
    code: &'static str,
    with: impl FnOnce(&mut RouterInterface),
) -> Option<Vec<Expected>> {
    let ri = world.interface_mut(side)?;
    with(ri);
    let id = ri.id.to_string();
    Some(vec![Expected::by_config(code, side, id)])
}

/// Removes the routes to the link's router interface, because the cloud allows no route to an interface that does not
/// exist. Returns the cause that must be blamed for this.
fn drop_routes(world: &mut World, side: Side) -> Expected {
    let (id, vpc) = (world.names(side).interface.clone(), world.names(side).vpc.clone());
    for table in list_mut(&mut world.config_mut(side).route_tables).iter_mut().filter(|t| t.vpc.as_str() == vpc) {
        list_mut(&mut table.entries).retain(|entry| entry.next_hops.iter().all(|hop| hop.id != id));
    }
    let table = world.names(side).table.clone();
    Expected::by_config("route-missing", side, table).towards(side.sends())
}

pub(super) fn missing(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    let id = world.names(side).interface.clone();
    list_mut(&mut world.config_mut(side).router_interfaces).retain(|ri| ri.id.as_str() != id);
    let route = drop_routes(world, side);
    Some(vec![Expected::by_config("ri-missing", side, world.names(side).vpc.clone()), route])
}

pub(super) fn wrong_region(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    edit(world, side, "ri-wrong-region", |ri| ri.opposite_region = Some(named(REGIONS[2])))
}

pub(super) fn wrong_vpc(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let x = world.names(side).letter;
    let (router, vpc) = (format!("vrt-{x}-sandbox"), format!("vpc-{x}-sandbox"));
    if let Some(peer) = world.interface_mut(side.opposite()) {
        peer.opposite_router = Some(named(&router));
    }
    let route = drop_routes(world, side);
    let mut causes = edit(world, side, "ri-wrong-vpc", |ri| {
        (ri.router, ri.vpc) = (named(&router), Some(named(&vpc)));
    })?;
    causes.push(route);
    Some(causes)
}

pub(super) fn role_conflict(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    edit(world, side, "ri-role-conflict", |ri| {
        ri.role = match side {
            Side::Initiator => RouterInterfaceRole::Accepting,
            Side::Acceptor => RouterInterfaceRole::Initiating,
        };
    })
}

pub(super) fn opposite_unset(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    edit(world, side, "ri-opposite-unset", |ri| {
        (ri.opposite_interface, ri.opposite_owner, ri.opposite_router, ri.opposite_router_kind) =
            (None, None, None, None);
    })
}

pub(super) fn wrong_opposite_id(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    edit(world, side, "ri-opposite-mismatch", |ri| ri.opposite_interface = Some(named("ri-mistyped")))
}

pub(super) fn wrong_owner(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    edit(world, side, "ri-opposite-mismatch", |ri| ri.opposite_owner = Some(named(ACCOUNTS[2])))
}

pub(super) fn own_router(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    edit(world, side, "ri-opposite-mismatch", |ri| ri.opposite_router = Some(ri.router.clone()))
}

pub(super) fn not_connected(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    edit(world, side, "ri-not-connected", |_| {})
}

pub(super) fn connecting(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    disconnect(world);
    let id = world.names(side.opposite()).interface.clone();
    world.interface_mut(side.opposite())?.status = RouterInterfaceStatus::AcceptingConnecting;
    let mut causes = edit(world, side, "ri-connecting", |ri| ri.status = RouterInterfaceStatus::Connecting)?;
    // Both ends wait for the same event, so either may be blamed.
    for cause in &mut causes {
        cause.objects.push(id.clone());
    }
    Some(causes)
}

pub(super) fn inactive(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    edit(world, side, "ri-inactive", |ri| ri.status = RouterInterfaceStatus::Inactive)
}

pub(super) fn financial_lock(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    edit(world, side, "ri-financial-locked", |ri| ri.business_status = BusinessStatus::FinancialLocked)
}

pub(super) fn security_lock(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    edit(world, side, "ri-security-locked", |ri| ri.business_status = BusinessStatus::SecurityLocked)
}

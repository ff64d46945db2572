//! Routes into a third VPC: connections are not transitive, and some third VPCs send packets back.

use crate::tests::world::*;
use pingtong_evidence::*;

const I: Side = Side::Initiator;

/// Adds a router interface of account A that joins `vpc` to `far`.
pub(in crate::tests) fn interface(world: &mut World, name: &str, vpc: &str, far: &str) {
    let mut ri = world.interface(I).clone();
    (ri.id, ri.vpc, ri.opposite_vpc) = (id(name), Some(id(vpc)), Some(id(far)));
    (ri.router, ri.opposite_interface) = (id(&format!("vrt-of-{vpc}")), Some(id(&format!("{name}-far"))));
    known(&mut world.snapshot(I).router_interfaces).push(ri);
}

/// The initiator's route leads to a hub instead of the link.
pub(in crate::tests) fn by_the_hub() -> World {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    interface(&mut world, "ri-to-hub", "vpc-a", "vpc-hub");
    let router = world.interface(I).router.clone();
    known(&mut world.snapshot(I).router_interfaces)[1].router = router;
    interface(&mut world, "ri-hub-to-a", "vpc-hub", "vpc-a");
    world.entries(I)[1].next_hops[0].id = "ri-to-hub".into();
    world
}

/// Adds the hub's system route table, which sends the peer's block to `hop`.
pub(in crate::tests) fn hub_table(world: &mut World, hop: &str) {
    let mut table = world.table(I).clone();
    (table.id, table.vpc, table.vswitches) = (id("vtb-hub"), id("vpc-hub"), vec![]);
    table.entries = Known::Known(vec![entry("rte-hub", "172.16.0.0/16", NextHopKind::RouterInterface, hop)]);
    known(&mut world.snapshot(I).route_tables).push(table);
}

#[test]
fn a_route_into_a_vpc_that_has_the_peer_behind_it_is_not_transitive() {
    let mut world = by_the_hub();
    interface(&mut world, "ri-hub-to-b", "vpc-hub", "vpc-b");
    hub_table(&mut world, "ri-hub-to-b");
    let verdict = world.verdict();
    assert_eq!(blamed_ways(&verdict), ["route-not-transitive initiator rte-peer-a forward"]);
    assert!(verdict.repairs.proven, "{:#?}", verdict.repairs);
}

#[test]
fn a_third_vpc_that_sends_it_back_makes_a_loop() {
    let mut world = by_the_hub();
    interface(&mut world, "ri-hub-to-b", "vpc-hub", "vpc-b");
    hub_table(&mut world, "ri-hub-to-a");
    let verdict = world.verdict();
    assert_eq!(blamed_ways(&verdict), ["route-loop initiator rte-hub forward"]);
    assert!(verdict.repairs.proven, "{:#?}", verdict.repairs);
}

#[test]
fn a_third_vpc_that_has_nothing_to_do_with_the_peer_is_a_wrong_next_hop() {
    let mut world = by_the_hub();
    hub_table(&mut world, "ri-elsewhere");
    let verdict = world.verdict();
    assert_eq!(blamed_ways(&verdict), ["route-wrong-next-hop initiator rte-peer-a forward"]);
}

/// A next hop that leads into another VPC carries nothing to the peer, however healthy its interface is.
#[test]
fn a_leg_that_leads_into_a_third_vpc_is_dead_for_the_peer() {
    let mut world = by_the_hub();
    // All packets between two addresses may use the dead next hop.
    world.wire(Wire::S1, Wire::S5);
    let both = ["ri-a", "ri-to-hub"].map(|hop| entry("x", "172.16.0.0/16", NextHopKind::RouterInterface, hop));
    world.entries(I)[1].next_hops = both.into_iter().flat_map(|entry| entry.next_hops).collect();
    let verdict = world.verdict();
    assert_eq!(blamed_ways(&verdict), ["ecmp-leg-dead initiator ri-to-hub forward"]);
    assert!(verdict.repairs.proven && verdict.repairs.set.len() == 2, "{:#?}", verdict.repairs);
    // What it does not explain is loss in a flow of which packets pass.
    world.wire(Wire::LosesRequests(20), Wire::Through);
    let causes = ["ecmp-leg-dead initiator ri-to-hub forward", "loss-in-fabric initiator ri-a~ri-b forward"];
    assert_eq!(blamed_ways(&world.verdict()), causes);
}

/// Without a direct connection, both sides use the VPC between them: its interfaces are in the right place.
#[test]
fn an_interface_of_a_vpc_between_the_two_is_not_misplaced() {
    const C: Side = Side::Acceptor;
    let mut world = by_the_hub();
    world.wire(Wire::S1, Wire::S1);
    interface(&mut world, "ri-hub-to-b", "vpc-hub", "vpc-b");
    let own = known(&mut world.snapshot(I).router_interfaces);
    own.retain(|ri| ri.id.as_str() != "ri-a");
    for ri in own.iter_mut().filter(|ri| ri.id.as_str() == "ri-hub-to-b") {
        ri.opposite_interface = Some(id("ri-b"));
    }
    let far = world.interface(C);
    (far.opposite_interface, far.opposite_vpc) = (Some(id("ri-hub-to-b")), Some(id("vpc-hub")));
    far.opposite_router = Some(id("vrt-of-vpc-hub"));
    assert_eq!(
        blamed_ways(&world.verdict()),
        [
            "ri-missing initiator vpc-a both",
            "ri-missing acceptor vpc-b both",
            "route-not-transitive initiator rte-peer-a forward",
            "route-not-transitive acceptor rte-peer-b return",
        ]
    );
}

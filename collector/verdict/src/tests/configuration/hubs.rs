//! Third networks and third routers: which attachment is the intended one, what lies between, and where a hub sends a
//! packet.

use crate::Verdict;
use crate::tests::{
    configuration::transit::{self, learned, routes, tables},
    summary,
    world::*,
};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn requests_lost(change: impl FnOnce(&mut World)) -> Verdict {
    let mut world = transit::healthy();
    world.wire(Wire::S1, Wire::S5);
    change(&mut world);
    world.verdict()
}

/// Adds another attachment of the initiator's network, at this router; its name sorts before that of the intended one.
fn second(world: &mut World, router: &str) {
    let mut other = transit::attachment(I);
    (other.id, other.transit_router) = (id("tr-attach-0"), id(router));
    known(&mut world.snapshot(I).transit_attachments).push(other);
}

#[test]
fn of_several_attachments_the_one_meant_is_at_a_router_that_the_peers_is_joined_to() {
    let verdict = requests_lost(|world| {
        second(world, "tr-alone");
        world.entries(I)[1].next_hops[0].id = "tr-attach-0".into();
    });
    assert_eq!(summary::blamed(&verdict), ["route-wrong-next-hop initiator rte-peer-a"]);
    let modify = "--NewNextHopType Attachment --NewNextHopId tr-attach-a";
    assert!(summary::commands(&verdict)[0].ends_with(modify), "{:?}", summary::commands(&verdict));
}

#[test]
fn of_two_at_one_router_the_one_that_routes_name_is_meant() {
    let mut world = transit::healthy();
    second(&mut world, "tr-a");
    assert_eq!(summary::blamed(&world.verdict()), Vec::<String>::new());
    let unrouted = requests_lost(|world| {
        second(world, "tr-a");
        world.entries(I).truncate(1);
    });
    assert_eq!(
        summary::blamed(&unrouted)[0],
        "route-missing initiator tr-attach-0",
        "the first, which no table serves"
    );
}

#[test]
fn one_router_for_both_needs_no_connection_beside_another_that_has_one() {
    let mut world = transit::healthy();
    known(&mut world.snapshot(C).transit_attachments)[0].transit_router = id("tr-a");
    second(&mut world, "tr-c");
    let all = tables(&mut world);
    all.truncate(1);
    known(&mut all[0].associations).push(id("tr-attach-b"));
    all[0].routes =
        Known::Known(vec![learned("192.168.1.0/24", "tr-attach-a"), learned("172.16.1.0/24", "tr-attach-b")]);
    world.snapshot(I).transit_peerings = Known::Known(vec![]);
    assert_eq!(summary::blamed(&world.verdict()), Vec::<String>::new());
}

#[test]
fn a_missing_route_is_made_over_the_connection_between_these_two_routers() {
    let verdict = requests_lost(|world| {
        let mut other = transit::peering(I);
        (other.id, other.transit_router, other.peer_transit_router) = (id("tr-attach-y"), id("tr-b"), id("tr-y"));
        known(&mut world.snapshot(I).transit_peerings).insert(0, other);
        routes(world, I).truncate(1);
    });
    let command = summary::commands(&verdict).join(" ");
    assert!(command.ends_with("--TransitRouterRouteEntryNextHopId tr-attach-between"), "{command}");
}

#[test]
fn a_learned_loop_is_overlaid_and_a_written_one_deleted() {
    let calls = |propagated: bool| {
        let verdict = requests_lost(|world| {
            routes(world, C).push(TransitRoute { propagated, ..learned("172.16.1.0/28", "tr-attach-between") });
        });
        assert_eq!(summary::blamed(&verdict), ["route-loop initiator vtb-tr-b"]);
        verdict.repairs.set.iter().map(|repair| repair.cli[2].clone()).collect::<Vec<_>>()
    };
    assert_eq!(calls(false), ["DeleteTransitRouterRouteEntry"]);
    assert!(!calls(true).contains(&"DeleteTransitRouterRouteEntry".to_owned()), "the cloud writes it again");
}

/// Connects the two routers through a third one in another region.
fn over_a_third(world: &mut World) {
    let join = |name: &str, near: (&str, &str), far: (&str, &str)| TransitPeering {
        id: id(name),
        transit_router: id(near.0),
        region: id(near.1),
        peer_transit_router: id(far.0),
        peer_region: id(far.1),
        ..transit::peering(I)
    };
    let (a, m, b) = (("tr-a", "cn-qingdao"), ("tr-m", "cn-hangzhou"), ("tr-b", "cn-beijing"));
    let (first, last) = ("tr-attach-am", "tr-attach-mb");
    world.snapshot(I).transit_peerings = Known::Known(vec![join(first, a, m), join(last, m, b)]);
    let mut middle = tables(world)[0].clone();
    (middle.id, middle.transit_router) = (id("vtb-tr-m"), id("tr-m"));
    middle.associations = Known::Known(vec![id(first), id(last)]);
    middle.routes = Known::Known(vec![learned("192.168.1.0/24", first), learned("172.16.1.0/24", last)]);
    for (at, own) in [(0, first), (1, last)] {
        let table = &mut tables(world)[at];
        known(&mut table.associations)[1] = id(own);
        known(&mut table.routes)[1].attachment = Some(id(own));
    }
    tables(world).push(middle);
}

#[test]
fn a_router_without_networks_of_its_own_is_blamed_in_its_own_region() {
    let mut world = transit::healthy();
    over_a_third(&mut world);
    assert_eq!(summary::blamed(&world.verdict()), Vec::<String>::new());
    world.wire(Wire::S1, Wire::S5);
    known(&mut tables(&mut world)[2].routes).truncate(1);
    let verdict = world.verdict();
    assert_eq!(summary::blamed(&verdict), ["route-missing initiator vtb-tr-m"]);
    assert_eq!(verdict.causes[0].object.region.as_str(), "cn-hangzhou");
}

#[test]
fn a_transit_table_is_told_from_the_call_that_read_it() {
    let verdict = requests_lost(|world| {
        let second = Source { api: "cbn:Second".into(), request_id: "req-2".into(), at: at(200) };
        world.snapshot(I).sources.push(second);
        tables(world)[1].provenance = Provenance(1);
        routes(world, C).retain(|route| route.destination == cidr("192.168.1.0/24"));
    });
    let line = &verdict.causes[0].evidence[0];
    assert_eq!((line.object.as_deref(), line.request_id.as_deref()), (Some("vtb-tr-b"), Some("req-2")));
}

/// The initiator's route leads over a peering connection to a hub, which another peering connection joins to the peer.
fn by_peering(asked_by_hub: bool, hub_entries: Vec<RouteEntry>) -> Vec<String> {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    let peering = |name: &str, near: &str, far: &str| VpcPeering {
        id: id(name),
        status: VpcPeeringStatus::Activated,
        business_status: BusinessStatus::Normal,
        bandwidth_mbps: None,
        owner: id(A),
        region: id("cn-qingdao"),
        vpc: id(near),
        accepting_owner: id(A),
        accepting_region: id("cn-qingdao"),
        accepting_vpc: id(far),
        provenance: Provenance(0),
    };
    let (near, far) = if asked_by_hub { ("vpc-hub", "vpc-a") } else { ("vpc-a", "vpc-hub") };
    let all = vec![
        peering("pcc-other", "vpc-x", "vpc-y"),
        peering("pcc-hub", near, far),
        peering("pcc-on", "vpc-hub", "vpc-b"),
    ];
    world.snapshot(I).vpc_peerings = Known::Known(all);
    let hop = &mut world.entries(I)[1].next_hops[0];
    (hop.kind, hop.id) = (NextHopKind::VpcPeering, "pcc-hub".into());
    let mut table = world.table(I).clone();
    (table.id, table.vpc, table.vswitches) = (id("vtb-hub"), id("vpc-hub"), vec![]);
    table.entries = Known::Known(hub_entries);
    known(&mut world.snapshot(I).route_tables).push(table);
    summary::blamed(&world.verdict())
}

#[test]
fn a_hub_behind_a_peering_connection_passes_nothing_on_or_sends_it_back() {
    let on = |name: &str, block: &str, hop: &str| entry(name, block, NextHopKind::VpcPeering, hop);
    let forth = || on("rte-on", "172.16.0.0/16", "pcc-on");
    let back = |block: &str| on("rte-back", block, "pcc-hub");
    for asked_by_hub in [false, true] {
        let blamed = |entries| by_peering(asked_by_hub, entries);
        let not_transitive = ["route-not-transitive initiator rte-peer-a"];
        assert_eq!(blamed(vec![forth()]), not_transitive);
        assert_eq!(blamed(vec![back("172.16.0.0/16")]), ["route-loop initiator rte-back"]);
        assert_eq!(blamed(vec![forth(), back("10.0.0.0/8")]), not_transitive, "what it sends back is something else");
        assert_eq!(blamed(vec![back("10.0.0.0/24")]), not_transitive);
        let pending = RouteEntry { status: RouteStatus::Pending, ..back("172.16.1.0/24") };
        assert_eq!(blamed(vec![pending, forth()]), not_transitive, "an entry that is not in force");
    }
}

#[test]
fn a_hub_is_known_by_the_interface_at_its_end_where_the_near_one_does_not_name_it() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    let interface = |world: &mut World, name: &str, vpc: &str, opposite: &str| {
        let mut ri = world.interface(I).clone();
        (ri.id, ri.vpc, ri.router) = (id(name), Some(id(vpc)), id(&format!("vrt-of-{vpc}")));
        (ri.opposite_interface, ri.opposite_vpc) = (Some(id(opposite)), None);
        known(&mut world.snapshot(I).router_interfaces).push(ri);
    };
    interface(&mut world, "ri-to-hub", "vpc-a", "ri-hub");
    interface(&mut world, "ri-hub", "vpc-hub", "ri-to-hub");
    world.entries(I)[1].next_hops[0].id = "ri-to-hub".into();
    let mut table = world.table(I).clone();
    (table.id, table.vpc, table.vswitches) = (id("vtb-hub"), id("vpc-hub"), vec![]);
    table.entries = Known::Known(vec![entry("rte-hub", "172.16.0.0/16", NextHopKind::RouterInterface, "ri-hub")]);
    known(&mut world.snapshot(I).route_tables).push(table);
    assert_eq!(summary::blamed(&world.verdict()), ["route-loop initiator rte-hub"]);
}

//! Estates: which hosts and links snapshots show, and what a walk between hosts concludes.

use crate::tests::{
    configuration::transit,
    flows::ways::{estate, host, neighbour},
    world::*,
};
use crate::{Estate, Flow, Outcome, Stage};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn pings(estate: &Estate, from: &str, to: &str) -> [Outcome; 2] {
    let (source, destination) = (host(estate, from), host(estate, to));
    let told = estate.walk(&Flow { source, destination, protocol: Protocol::Icmp, port: None }).unwrap();
    [told.request, told.reply]
}

fn ping(world: &World) -> [Outcome; 2] {
    pings(&estate(world), "192.168.1.10", "172.16.1.10")
}

#[test]
fn hosts_are_found_by_address_and_by_instance_the_primary_address_first() {
    let mut world = World::healthy();
    neighbour(&mut world, C, 20);
    let snapshot = world.snapshot(C);
    known(&mut snapshot.enis)[0].addresses.push(ip("172.16.1.4"));
    let mut second = known(&mut snapshot.enis)[0].clone();
    (second.id, second.primary, second.addresses) = (id("eni-second"), false, vec![ip("172.16.1.3")]);
    known(&mut snapshot.enis).push(second);
    let estate = estate(&world);
    let addresses = |hosts: Vec<crate::HostRef>| -> Vec<String> {
        hosts.into_iter().map(|host| estate.address(host).unwrap().to_string()).collect()
    };
    assert_eq!(addresses(estate.hosts_at(ip("172.16.1.20"))), ["172.16.1.20"]);
    assert_eq!(addresses(estate.hosts_at(ip("172.16.1.21"))), Vec::<String>::new());
    assert_eq!(addresses(estate.hosts_of_instance("i-b")), ["172.16.1.10", "172.16.1.3", "172.16.1.4"]);
    assert_eq!(addresses(estate.hosts_of_instance("i-b-20")), ["172.16.1.20"]);
    assert_eq!(addresses(estate.hosts_of_instance("i-none")), Vec::<String>::new());
    let mut unread = World::healthy();
    unread.snapshot(C).enis = Known::default();
    known(&mut unread.snapshot(C).instances)[0].addresses = vec![ip("172.16.1.10"), ip("172.16.1.3")];
    let estate = crate::tests::flows::ways::estate(&unread);
    let of_instance = estate.hosts_of_instance("i-b");
    assert_eq!(estate.address(of_instance[0]), Some(ip("172.16.1.10")), "the first that the instance tells");
}

#[test]
fn what_stops_a_packet_is_named_by_its_place_unless_it_is_a_default() {
    assert_eq!(ping(&World::healthy()), [Outcome::Delivered; 2]);
    let mut closed = World::healthy();
    closed.rules(C).clear();
    assert_eq!(ping(&closed)[0], Outcome::Stopped { stage: Stage::IngressGroup, by: None });
    let mut dropping = World::healthy();
    let drop = rule("sgr-d", Policy::Drop, 1, RuleProtocol::All, RulePeer::Any);
    dropping.rules(C).push(drop);
    assert_eq!(ping(&dropping)[0], Outcome::Stopped { stage: Stage::IngressGroup, by: Some(0) }, "the first tried");
    let mut unrouted = World::healthy();
    unrouted.entries(I)[1].destination = cidr("172.17.0.0/16");
    assert_eq!(ping(&unrouted)[0], Outcome::Stopped { stage: Stage::Route, by: None });
    unrouted.entries(I)[0].destination = cidr("172.16.0.0/15");
    assert_eq!(ping(&unrouted)[0], Outcome::Stopped { stage: Stage::Route, by: Some(0) });
}

#[test]
fn where_no_connection_was_read_a_written_route_is_unknown_and_the_networks_own_is_not() {
    let mut world = World::healthy();
    for side in Side::BOTH {
        world.snapshot(side).router_interfaces = Known::default();
    }
    assert_eq!(ping(&world)[0], Outcome::Unknown { stage: Stage::Route });
    world.entries(I)[1].kind = RouteKind::System;
    assert_eq!(ping(&world)[0], Outcome::Stopped { stage: Stage::Route, by: Some(1) });
}

#[test]
fn an_interface_without_an_instance_is_up_and_belongs_to_its_vswitchs_network() {
    let mut world = World::healthy();
    let eni = &mut known(&mut world.snapshot(C).enis)[0];
    (eni.instance, eni.vpc) = (None, None);
    known(&mut world.snapshot(C).instances).clear();
    assert_eq!(ping(&world), [Outcome::Delivered; 2]);
    world.snapshot(C).instances = Known::default();
    assert_eq!(ping(&world)[0], Outcome::Unknown { stage: Stage::Destination });
}

#[test]
fn the_newest_snapshot_of_a_place_counts_in_whatever_order() {
    let closed = {
        let mut world = World::healthy();
        world.rules(C).clear();
        world.snapshot(C).clone()
    };
    for (age_ms, stopped) in [(-1_000, false), (1_000, true)] {
        for first in [false, true] {
            let mut world = World::healthy();
            let mut other = closed.clone();
            other.taken_at = at(age_ms);
            let place = if first { 0 } else { 2 };
            world.case.snapshots.insert(place, other);
            assert_eq!(matches!(ping(&world)[0], Outcome::Stopped { .. }), stopped, "{age_ms} {first}");
        }
    }
}

fn links(snapshots: &[Snapshot]) -> Vec<String> {
    let estate = Estate::new(snapshots.to_vec(), &[]);
    let ends = |link: &Link| format!("{:?} {} {}", link.kind, link.initiator.vpc, link.acceptor.vpc);
    estate.links().map(ends).collect()
}

#[test]
fn interfaces_show_the_link_between_their_networks_once() {
    let mut world = World::healthy();
    assert_eq!(links(&world.case.snapshots), ["RouterInterface vpc-a vpc-b"]);
    for side in Side::BOTH {
        let ri = world.interface(side);
        (ri.vpc, ri.opposite_vpc) = (None, None);
    }
    assert_eq!(links(&world.case.snapshots), ["RouterInterface vpc-a vpc-b"], "by their routers");
    let mut turned = World::healthy();
    turned.interface(I).role = RouterInterfaceRole::Accepting;
    turned.interface(C).role = RouterInterfaceRole::Initiating;
    assert_eq!(links(&turned.case.snapshots), ["RouterInterface vpc-b vpc-a"]);
    let mut leased = World::healthy();
    for side in Side::BOTH {
        leased.interface(side).router_kind = RouterKind::Vbr;
    }
    assert_eq!(links(&leased.case.snapshots), Vec::<String>::new(), "a leased line's joins no two networks");
}

#[test]
fn peerings_and_attachments_show_their_links() {
    let mut world = World::healthy();
    for side in Side::BOTH {
        world.snapshot(side).router_interfaces = Known::Known(vec![]);
    }
    world.snapshot(I).vpc_peerings = Known::Known(vec![VpcPeering {
        id: id("pcc-1"),
        status: VpcPeeringStatus::Activated,
        business_status: BusinessStatus::Normal,
        bandwidth_mbps: None,
        owner: id(B),
        region: id("cn-beijing"),
        vpc: id("vpc-b"),
        accepting_owner: id(A),
        accepting_region: id("cn-qingdao"),
        accepting_vpc: id("vpc-a"),
        provenance: Provenance(0),
    }]);
    assert_eq!(links(&world.case.snapshots), ["VpcPeering vpc-b vpc-a"]);
    let mut routed = transit::healthy();
    for side in Side::BOTH {
        routed.snapshot(side).router_interfaces = Known::Known(vec![]);
    }
    assert_eq!(links(&routed.case.snapshots), ["TransitRouter vpc-a vpc-b"]);
    routed.snapshot(I).transit_peerings = Known::Known(vec![]);
    assert_eq!(links(&routed.case.snapshots), Vec::<String>::new(), "two routers that nothing joins");
}

#[test]
fn routers_that_are_joined_over_several_others_join_their_networks() {
    let mut world = transit::healthy();
    let one = known(&mut world.snapshot(I).transit_peerings)[0].clone();
    let peering = |(near, far): (&str, &str)| TransitPeering {
        id: id(&format!("tr-attach-{near}-{far}")),
        transit_router: id(near),
        peer_transit_router: id(far),
        ..one.clone()
    };
    for side in Side::BOTH {
        world.snapshot(side).router_interfaces = Known::Known(vec![]);
    }
    for (far, chain) in [
        ("tr-b", [("tr-y", "tr-b"), ("tr-x", "tr-y"), ("tr-a", "tr-x")]),
        ("tr-d", [("tr-d", "tr-c"), ("tr-c", "tr-b"), ("tr-b", "tr-a")]),
    ] {
        known(&mut world.snapshot(C).transit_attachments)[0].transit_router = id(far);
        for turned in [false, true] {
            let mut all = chain.map(peering).to_vec();
            if turned {
                all.reverse();
            }
            world.snapshot(I).transit_peerings = Known::Known(all);
            assert_eq!(links(&world.case.snapshots), ["TransitRouter vpc-a vpc-b"], "{chain:?} turned: {turned}");
        }
    }
}

#[test]
fn a_given_link_outlives_a_newer_snapshot() {
    let mut world = World::healthy();
    let mut estate = estate(&world);
    let snapshot = world.snapshot(C);
    (snapshot.taken_at, snapshot.router_interfaces) = (at(9_000), Known::Known(vec![]));
    estate.refresh(snapshot.clone());
    let first = world.snapshot(I);
    (first.taken_at, first.router_interfaces) = (at(9_000), Known::Known(vec![]));
    estate.refresh(first.clone());
    let ids: Vec<_> = estate.links().map(|link| link.id.to_string()).collect();
    assert_eq!(ids, ["peering1"]);
}

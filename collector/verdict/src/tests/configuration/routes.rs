//! Which route decides, which of several wrong routes is named, and the narrowest entry that repairs it.

use crate::tests::{summary, world::*};
use crate::{Verdict, walk};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

/// The verdict after a change, if the initiator's requests die on the way out.
fn lost(change: impl FnOnce(&mut World)) -> Verdict {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    change(&mut world);
    world.verdict()
}

fn blamed(change: impl FnOnce(&mut World)) -> Vec<String> {
    summary::blamed(&lost(change))
}

#[test]
fn of_two_entries_for_one_block_the_networks_own_decides() {
    let to = ip("172.16.1.10");
    let system = RouteEntry {
        kind: RouteKind::System,
        ..entry("rte-system", "172.16.0.0/16", NextHopKind::NatGateway, "ngw-1")
    };
    let custom = entry("rte-custom", "172.16.0.0/16", NextHopKind::RouterInterface, "ri-a");
    for (entries, at) in [(vec![system.clone(), custom.clone()], 0), (vec![custom, system], 1)] {
        assert_eq!(walk::best_route(&entries, to).map(|(at, _)| at), Some(at));
    }
}

#[test]
fn a_longer_entry_to_the_link_that_is_not_in_force_is_what_is_missing() {
    let with = |destination: &str, pending: &str| {
        blamed(|world| {
            let right = &mut world.entries(I)[1];
            (right.status, right.destination) = (RouteStatus::Pending, cidr(pending));
            world.entries(I).push(entry("rte-x", destination, NextHopKind::NatGateway, "ngw-1"));
        })
    };
    assert_eq!(with("172.16.0.0/12", "172.16.0.0/16"), ["route-not-available initiator rte-peer-a"]);
    assert_eq!(with("172.16.1.0/24", "172.16.0.0/16"), ["route-shadowed initiator rte-x"]);
    // A shorter entry that is in force is shadowed.
    let shadowed = blamed(|world| {
        world.entries(I).push(entry("rte-x", "172.16.1.0/24", NextHopKind::NatGateway, "ngw-1"));
    });
    assert_eq!(shadowed, ["route-shadowed initiator rte-x"]);
}

#[test]
fn what_nobody_can_remove_is_overlaid_by_the_narrowest_block_that_wins() {
    let overlaid = |destination: &str| {
        let verdict = lost(|world| {
            let learned = entry("rte-x", destination, NextHopKind::NatGateway, "ngw-1");
            world.entries(I).push(RouteEntry { kind: RouteKind::Bgp, ..learned });
        });
        assert_eq!(summary::blamed(&verdict), ["route-shadowed initiator rte-x"]);
        summary::commands(&verdict)
    };
    let create = |destination: &str| {
        vec![format!(
            "aliyun vpc CreateRouteEntry --RegionId cn-qingdao --RouteTableId vtb-a --DestinationCidrBlock {destination} \
             --NextHopType RouterInterface --NextHopId ri-a"
        )]
    };
    assert_eq!(overlaid("172.16.0.0/20"), create("172.16.1.0/24"));
    assert_eq!(overlaid("172.16.1.0/24"), create("172.16.1.10/32"));
    assert_eq!(overlaid("172.16.1.0/28"), create("172.16.1.10/32"));
}

#[test]
fn an_entry_wider_than_the_peers_network_stays_and_one_for_it_is_replaced() {
    let calls = |destination: &str| {
        let verdict = lost(|world| {
            let wrong = &mut world.entries(I)[1];
            (wrong.destination, wrong.next_hops[0].kind) = (cidr(destination), NextHopKind::NatGateway);
        });
        assert_eq!(summary::blamed(&verdict), ["route-wrong-next-hop initiator rte-peer-a"]);
        verdict.repairs.set.into_iter().map(|repair| repair.cli[2].clone()).collect::<Vec<_>>()
    };
    assert_eq!(calls("172.16.0.0/12"), ["CreateRouteEntry"]);
    assert_eq!(calls("172.16.0.0/16"), ["ModifyRouteEntry"]);
    assert_eq!(calls("172.16.1.0/24"), ["ModifyRouteEntry"]);
}

#[test]
fn the_entry_that_misses_the_peer_is_the_nearest_one_to_the_link() {
    let to_link = |name: &str, block: &str| entry(name, block, NextHopKind::RouterInterface, "ri-a");
    let missing = |entries: Vec<RouteEntry>| {
        blamed(move |world| {
            world.entries(I).truncate(1);
            world.entries(I).extend(entries);
        })
    };
    let (near, far) = (to_link("rte-near", "172.17.0.0/16"), to_link("rte-far", "10.0.0.0/16"));
    for entries in [vec![near.clone(), far.clone()], vec![far, near.clone()]] {
        assert_eq!(missing(entries), ["route-wrong-cidr initiator rte-near"]);
    }
    let none = ["route-missing initiator vtb-a"];
    let elsewhere = entry("rte-nat", "172.17.0.0/16", NextHopKind::NatGateway, "ngw-1");
    assert_eq!(missing(vec![elsewhere]), none, "it leads to no link");
    let learned = RouteEntry { kind: RouteKind::Cen, ..near };
    assert_eq!(missing(vec![learned]), none, "nobody wrote it");
}

#[test]
fn an_entry_for_another_block_of_the_peers_is_right_and_one_for_none_is_not() {
    let for_block = |destination: &str| {
        blamed(|world| {
            known(&mut world.snapshot(C).vpcs)[0].secondary_cidrs.push(cidr("10.120.0.0/20"));
            world.entries(I)[1].destination = cidr(destination);
        })
    };
    assert_eq!(for_block("10.120.0.0/16"), ["route-missing initiator vtb-a"]);
    assert_eq!(for_block("10.120.0.0/24"), ["route-wrong-cidr initiator rte-peer-a"]);
    assert_eq!(for_block("172.17.0.0/16"), ["route-wrong-cidr initiator rte-peer-a"]);
}

#[test]
fn addresses_of_the_sixth_version_are_as_near_as_their_bits() {
    let mut world = World::healthy();
    world.case.pair.acceptor.address = ip("2408:4005:300::10");
    let to_link = |name: &str, block: &str| entry(name, block, NextHopKind::RouterInterface, "ri-a");
    world.entries(I).truncate(1);
    world.entries(I).push(to_link("rte-near", "2408:4005:301::/64"));
    world.entries(I).push(to_link("rte-four", "172.16.0.0/16"));
    world.entries(I).push(to_link("rte-far", "fd00:1::/64"));
    world.entries(I).push(to_link("rte-low", "100:1::/64"));
    let model = world.case.question().model();
    let found = walk::walk(&model, &world.case.pair, &[]).findings;
    let wrong: Vec<_> = found
        .iter()
        .filter(|finding| finding.side == I && finding.code.as_str().starts_with("route-"))
        .map(|finding| format!("{} {}", finding.code, finding.object.id))
        .collect();
    assert_eq!(wrong, ["route-wrong-cidr rte-near"]);
}

#[test]
fn the_route_stands_in_the_wrong_table_only_where_it_would_serve_this_very_network() {
    type Make = fn(&mut RouteTable);
    let makes: [(&str, Make, &str); 5] = [
        ("as it should be", |_| {}, "route-wrong-table"),
        ("of another network", |table| table.vpc = id("vpc-b"), "route-missing"),
        ("of a gateway", |table| table.associate_type = AssociateType::Gateway, "route-missing"),
        ("for another block", |table| known(&mut table.entries)[1].destination = cidr("10.0.0.0/8"), "route-missing"),
        ("to another hop", |table| known(&mut table.entries)[1].next_hops[0].id = "ri-q".into(), "route-missing"),
    ];
    for (what, make, code) in makes {
        let found = blamed(|world| {
            let mut other = world.table(I).clone();
            (other.id, other.kind, other.vswitches) = (id("vtb-other"), RouteTableKind::Custom, vec![]);
            make(&mut other);
            known(&mut world.snapshot(I).route_tables).push(other);
            world.entries(I).truncate(1);
        });
        assert_eq!(found, [format!("{code} initiator vtb-a")], "{what}");
    }
}

#[test]
fn a_route_is_told_from_the_call_that_read_it() {
    let verdict = lost(|world| {
        let snapshot = world.snapshot(I);
        let second = Source { api: "vpc:Second".into(), request_id: "req-2".into(), at: at(200) };
        snapshot.sources.push(second);
        let entry = &mut world.entries(I)[1];
        (entry.provenance, entry.destination) = (Provenance(1), cidr("172.17.0.0/16"));
    });
    let line = &verdict.causes[0].evidence[0];
    assert_eq!((line.object.as_deref(), line.request_id.as_deref()), (Some("rte-peer-a"), Some("req-2")));
    assert_eq!(line.api.as_deref(), Some("vpc:Second"));
    assert_eq!(verdict.causes[0].evidence[1].request_id.as_deref(), Some("req-a"), "the vSwitch by its own");
}

#[test]
fn what_the_own_vswitch_swallows_is_told_though_legs_could_not_be_read() {
    let found = blamed(|world| {
        world.snapshot(I).router_interfaces = Known::default();
        let hop = NextHop { kind: NextHopKind::RouterInterface, id: "ri-q".into(), enabled: None, weight: None };
        world.entries(I)[1].next_hops.push(hop);
        let mut own = known(&mut world.snapshot(I).vswitches)[0].clone();
        (own.id, own.cidr) = (id("vsw-own"), cidr("172.16.1.0/24"));
        known(&mut world.snapshot(I).vswitches).push(own);
    });
    assert_eq!(found, ["route-shadowed initiator vtb-a"]);
}

#[test]
fn networks_overlap_where_each_swallows_the_others_packets_whatever_their_first_blocks() {
    let over = |world: &mut World, side: Side, block: &str| {
        let snapshot = world.snapshot(side);
        known(&mut snapshot.vpcs)[0].secondary_cidrs.push(cidr(block));
        let mut own = known(&mut snapshot.vswitches)[0].clone();
        (own.id, own.cidr) = (id("vsw-own"), cidr(block));
        known(&mut snapshot.vswitches).push(own);
    };
    let both = lost(|world| {
        over(world, I, "172.16.1.0/24");
        over(world, C, "192.168.1.0/24");
        world.wire(Wire::S1, Wire::S1);
    });
    assert_eq!(summary::blamed(&both), ["cidr-overlap initiator vpc-a"]);
    // Overlapping blocks that do not concern the pair are reported and stop nothing.
    let mut beside = World::healthy();
    for side in Side::BOTH {
        known(&mut beside.snapshot(side).vpcs)[0].secondary_cidrs.push(cidr("10.0.0.0/16"));
    }
    let lines: Vec<_> = beside.verdict().steps[0].evidence.iter().map(|line| line.text.clone()).collect();
    assert_eq!(lines, ["vpc-a has the block 10.0.0.0/16", "vpc-b has the block 10.0.0.0/16"]);
}

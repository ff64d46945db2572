//! Single stages of the walk on which a verdict is based: entries by number, texts of gaps, third VPCs, overlaps.

use crate::tests::{configuration::links::peered, world::*};
use crate::{Lang, walk::walk};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

/// The stages that the walk found to pass, in English.
fn passes(world: &World) -> Vec<String> {
    let model = world.case.question().model();
    walk(&model, &world.case.pair, &[]).passes.iter().map(|pass| pass.note.text.get(Lang::En)).collect()
}

fn said(world: &World, text: &str) -> bool {
    passes(world).iter().any(|line| line == text)
}

#[test]
fn acl_entries_are_told_by_their_number_from_one() {
    let mut world = World::healthy();
    let entry = |name, policy, protocol| acl_entry(name, policy, protocol, "0.0.0.0/0");
    let entries = vec![
        entry("nae-1", Policy::Drop, RuleProtocol::Udp),
        entry("nae-2", Policy::Drop, RuleProtocol::Gre),
        entry("nae-3", Policy::Accept, RuleProtocol::Icmp),
    ];
    world.acl(C, true, entries);
    assert!(said(&world, "nacl-b ingress entry 3 accepts icmp with 192.168.1.10"), "{:#?}", passes(&world));
    let acls = known(&mut world.snapshot(C).network_acls);
    known(&mut acls[0].ingress)[2].policy = Policy::Drop;
    world.wire(Wire::S1, Wire::S5);
    let text = &world.verdict().causes[0].evidence[0].text;
    assert_eq!(text, "nacl-b ingress entry 3 drops icmp with 192.168.1.10 (its block is 0.0.0.0/0)");
}

#[test]
fn an_acl_lets_a_port_in_and_answers_at_any_port_back() {
    let fix = |side: Side| {
        let mut world = World::healthy();
        (world.case.pair.protocol, world.case.pair.port) = (Protocol::Tcp, Some(443));
        let web = rule("sgr-web", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Any);
        world.rules(C).push(SecurityRule { ports: PortRange::new(443, 443).unwrap(), ..web });
        world.acl(side, true, vec![acl_entry("nae-no", Policy::Drop, RuleProtocol::Tcp, "0.0.0.0/0")]);
        world.case.probes.clear();
        world.case.arrivals.clear();
        world.verdict().repairs.set[0].cli.join(" ")
    };
    let [request, reply] = [fix(C), fix(I)];
    assert!(request.contains("--IngressAclEntries.1.Port 443/443"), "{request}");
    assert!(reply.contains("--IngressAclEntries.1.Port 1/65535"), "{reply}");
}

#[test]
fn what_is_not_permitted_is_closed_by_what_the_reading_says() {
    let mut world = World::healthy();
    let (what, closes_with) = ("reading interfaces".to_owned(), "allow it in the settings".to_owned());
    world.snapshot(C).enis = Known::Unknown(WhyUnknown::NotPermitted { what, closes_with });
    let gaps = world.verdict().gaps;
    assert!(gaps.iter().any(|gap| gap.closes_with == "allow it in the settings"), "{gaps:?}");
}

#[test]
fn a_rule_for_the_whole_world_is_no_mistaken_attempt_at_the_peer() {
    for read in [true, false] {
        let mut world = World::healthy();
        world.wire(Wire::S1, Wire::Through);
        *world.rules(C) =
            vec![rule("sgr-world", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Cidr(cidr("0.0.0.0/0")))];
        if !read {
            world.snapshot(C).vpcs = Known::default();
        }
        assert_eq!(blamed_ways(&world.verdict()), ["sg-ingress-missing acceptor sg-b forward"], "{read}");
    }
}

/// Both VPCs have secondary blocks with vSwitches that contain the other side's host.
#[test]
fn vswitches_that_swallow_both_hosts_are_an_overlap_whatever_the_primary_blocks() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S1);
    for side in Side::BOTH {
        let far = World::side(side.opposite());
        known(&mut world.snapshot(side).vpcs)[0].secondary_cidrs = vec![cidr(far.3)];
        let mut vswitch = known(&mut world.snapshot(side).vswitches)[0].clone();
        (vswitch.id, vswitch.cidr) = (id(&format!("vsw-over-{side}")), Cidr::around(ip(far.4), 25));
        known(&mut world.snapshot(side).vswitches).push(vswitch);
    }
    assert_eq!(blamed_ways(&world.verdict()), ["cidr-overlap initiator vpc-a both"]);
}

#[test]
fn blocks_are_told_apart_only_where_both_are_known() {
    let mut world = World::healthy();
    let told = |world: &World, vpc: &str| passes(world).iter().any(|line| line.starts_with(&format!("{vpc} has")));
    assert!(said(&world, "vpc-a has 192.168.0.0/16") && said(&world, "vpc-b has 172.16.0.0/16"));
    world.snapshot(C).vpcs = Known::default();
    assert!(!told(&world, "vpc-a") && !told(&world, "vpc-b"));
    let mut world = World::healthy();
    world.snapshot(I).vpcs = Known::default();
    assert!(!told(&world, "vpc-a") && !told(&world, "vpc-b"));
}

/// A peering connection of account A between two VPCs.
fn peering(name: &str, vpc: &str, accepting: &str) -> VpcPeering {
    let mut world = World::healthy();
    peered(&mut world, VpcPeeringStatus::Activated);
    let model = known(&mut world.snapshot(I).vpc_peerings)[0].clone();
    VpcPeering { id: id(name), vpc: id(vpc), accepting_vpc: id(accepting), ..model }
}

/// The initiator's route leads over a peering connection into a hub, whose table leads on to `hop`.
fn by_peerings(peerings: &[(&str, &str, &str)], hop: &str, status: RouteStatus) -> Vec<String> {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    let all = peerings.iter().map(|(name, vpc, accepting)| peering(name, vpc, accepting));
    world.snapshot(I).vpc_peerings = Known::Known(all.collect());
    let first = &mut world.entries(I)[1].next_hops[0];
    (first.kind, first.id) = (NextHopKind::VpcPeering, "pcc-1".into());
    let mut table = world.table(I).clone();
    (table.id, table.vpc, table.vswitches) = (id("vtb-hub"), id("vpc-hub"), vec![]);
    let onwards = entry("rte-hub", "172.16.0.0/16", NextHopKind::VpcPeering, hop);
    table.entries = Known::Known(vec![RouteEntry { status, ..onwards }]);
    known(&mut world.snapshot(I).route_tables).push(table);
    blamed_ways(&world.verdict())
}

#[test]
fn a_peering_connection_into_a_third_vpc_is_followed_from_either_end() {
    let not_on = ["route-not-transitive initiator rte-peer-a forward"];
    let back = ["route-loop initiator rte-hub forward"];
    let available = RouteStatus::Available;
    for to_hub in [("pcc-1", "vpc-a", "vpc-hub"), ("pcc-1", "vpc-hub", "vpc-a")] {
        for to_peer in [("pcc-2", "vpc-hub", "vpc-b"), ("pcc-2", "vpc-b", "vpc-hub")] {
            let both = [("pcc-0", "vpc-x", "vpc-y"), to_hub, to_peer];
            assert_eq!(by_peerings(&both, "pcc-2", available), not_on, "{both:?}");
            assert_eq!(by_peerings(&both, "pcc-1", available), back, "{both:?}");
            assert_eq!(by_peerings(&both, "pcc-1", RouteStatus::Pending), not_on, "no route sends it back yet");
        }
    }
    let alone = [("pcc-1", "vpc-a", "vpc-hub")];
    let wrong = ["route-wrong-next-hop initiator rte-peer-a forward"];
    assert_eq!(by_peerings(&alone, "pcc-9", available), wrong, "the hub has nothing to do with the peer");
    let around = [("pcc-1", "vpc-a", "vpc-a")];
    assert_eq!(by_peerings(&around, "pcc-1", available), wrong, "a connection of a VPC with itself is no third one");
}

#[test]
fn an_interface_leads_where_its_opposite_stands_when_it_does_not_say_so_itself() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    let own = world.interface(I).clone();
    let ri = |name: &str, vpc: &str, router: &str, opposite: &str| RouterInterface {
        id: id(name),
        vpc: Some(id(vpc)),
        router: id(router),
        opposite_vpc: None,
        opposite_interface: Some(id(opposite)),
        ..own.clone()
    };
    let added = [
        ri("ri-to-hub", "vpc-a", "vrt-a", "ri-of-hub"),
        ri("ri-elsewhere", "vpc-x", "vrt-x", "ri-nobody"),
        ri("ri-of-hub", "vpc-hub", "vrt-hub", "ri-to-hub"),
        RouterInterface { opposite_vpc: Some(id("vpc-b")), ..ri("ri-on", "vpc-hub", "vrt-hub", "ri-far") },
    ];
    known(&mut world.snapshot(I).router_interfaces).extend(added);
    world.entries(I)[1].next_hops[0].id = "ri-to-hub".into();
    assert_eq!(blamed_ways(&world.verdict()), ["route-not-transitive initiator rte-peer-a forward"]);
}

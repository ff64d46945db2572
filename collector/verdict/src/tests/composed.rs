//! Faults hidden behind other faults: each is named, and none explains packets that it does not stop.

use super::{
    rules::{ECHO_REPLY, ECHO_REQUEST, icmp, l4proto},
    world::*,
};
use crate::Verdict;
use pingtong_evidence::*;

const A_SIDE: Side = Side::Initiator;
const B_SIDE: Side = Side::Acceptor;

fn blamed(verdict: &Verdict) -> Vec<String> {
    let one = |cause: &crate::Cause| {
        let way = cause.direction.map_or_else(String::new, |direction| format!(" {direction}"));
        format!("{} {} {}{way}", cause.code, cause.side, cause.object.id)
    };
    verdict.causes.iter().map(one).collect()
}

/// The guest's packet filter drops ICMP messages of one type.
fn guard(world: &mut World, side: Side, hook: FirewallHook, message: u64) {
    world.refuse(side, hook, Some(1), Some(4));
    world.restate(side, vec![l4proto(1), icmp(message)]);
}

fn contain(world: &mut World, side: Side) {
    world.facts(side).container = Known::Known(Container::Yes);
    let card = InterfaceFact {
        name: "eth0".into(),
        kind: InterfaceKind::Card,
        up: true,
        mtu: 1500,
        mac: "02:42:00:00:00:02".into(),
        addresses: vec![(ip("172.29.0.2"), cidr("172.29.0.0/24"))],
    };
    world.facts(side).interfaces = Known::Known(vec![card]);
}

#[test]
fn a_rule_against_replies_is_named_though_none_gets_so_far() {
    let mut world = World::healthy();
    world.entries(B_SIDE).retain(|entry| entry.kind == RouteKind::System);
    guard(&mut world, A_SIDE, FirewallHook::Input, ECHO_REPLY);
    world.wire(Wire::S5, Wire::S1);
    for round in &mut world.case.probes {
        round.replied_on_wire = Known::Known(SequenceSet::new());
    }
    assert_eq!(
        blamed(&world.verdict()),
        ["route-missing acceptor vtb-b return", "guest-firewall initiator i-a return"]
    );
}

#[test]
fn a_rule_against_sending_replies_is_refuted_by_replies_alone() {
    let mut world = World::healthy();
    world.entries(A_SIDE).retain(|entry| entry.kind == RouteKind::System);
    guard(&mut world, B_SIDE, FirewallHook::Output, ECHO_REPLY);
    world.wire(Wire::S1, Wire::S5);
    let rule = "guest-firewall acceptor i-b return".to_owned();
    assert_eq!(blamed(&world.verdict()), ["route-missing initiator vtb-a forward".to_owned(), rule]);
}

#[test]
fn requests_that_never_arrive_are_not_explained_by_what_stops_replies() {
    let mut world = World::healthy();
    guard(&mut world, A_SIDE, FirewallHook::Output, ECHO_REPLY);
    world.wire(Wire::S1, Wire::S3);
    assert_eq!(
        blamed(&world.verdict()),
        ["guest-firewall initiator i-a forward", "fabric-fault initiator ri-a~ri-b forward"]
    );
}

#[test]
fn a_container_is_blamed_where_its_own_packets_die_unexplained() {
    let mut world = World::healthy();
    contain(&mut world, A_SIDE);
    world.wire(Wire::S1, Wire::Through);
    world.case.arrivals.retain(|part| part.observer.as_str() != "agent-a");
    assert_eq!(blamed(&world.verdict()), ["agent-in-container initiator i-a forward"]);
}

#[test]
fn a_container_that_does_no_harm_is_not_blamed() {
    let mut world = World::healthy();
    contain(&mut world, A_SIDE);
    world.case.arrivals.retain(|part| part.observer.as_str() != "agent-a");
    assert!(blamed(&world.verdict()).is_empty());
    world.rules(A_SIDE).clear();
    world.wire(Wire::Through, Wire::S1);
    assert_eq!(blamed(&world.verdict()), ["sg-ingress-missing initiator sg-a return"]);
}

#[test]
fn a_host_under_another_address_goes_on_sending() {
    let mut world = World::healthy();
    for eni in known(&mut world.snapshot(A_SIDE).enis) {
        eni.addresses = vec![ip("192.168.1.77")];
    }
    for instance in known(&mut world.snapshot(A_SIDE).instances) {
        instance.addresses = vec![ip("192.168.1.77")];
    }
    world.wire(Wire::Through, Wire::S1);
    assert_eq!(blamed(&world.verdict()), ["ip-not-on-eni initiator 192.168.1.10"]);
}

#[test]
fn an_address_that_the_guest_lacks_explains_that_its_stack_sees_nothing() {
    let mut world = World::healthy();
    for interface in known(&mut world.facts(B_SIDE).interfaces) {
        interface.addresses = vec![(ip("172.16.1.77"), cidr("172.16.1.0/24"))];
    }
    world.wire(Wire::S2, Wire::Through);
    assert_eq!(blamed(&world.verdict()), ["ip-not-on-eni acceptor 172.16.1.10 forward"]);
}

#[test]
fn a_prefix_list_with_the_peer_is_meant_for_the_peer() {
    let mut world = World::healthy();
    let list: PrefixListId = id("pl-b");
    world.snapshot(B_SIDE).prefix_lists = Known::Known(vec![PrefixList {
        id: list.clone(),
        entries: Known::Known(vec![cidr("192.168.0.0/16")]),
        provenance: Provenance(0),
    }]);
    *world.rules(B_SIDE) = vec![rule("sgr-b", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::PrefixList(list))];
    world.wire(Wire::S1, Wire::Through);
    assert_eq!(blamed(&world.verdict()), ["sg-wrong-protocol acceptor sgr-b forward"]);
}

#[test]
fn the_links_own_leg_is_the_connections_fault_and_the_other_leg_is_named() {
    let mut world = World::healthy();
    for side in Side::BOTH {
        world.interface(side).opposite_status = Some(RouterInterfaceStatus::Inactive);
        world.interface(side).status = RouterInterfaceStatus::Inactive;
    }
    let mut leg = world.interface(A_SIDE).clone();
    leg.id = id("ri-leg");
    leg.opposite_vpc = Some(id("vpc-far"));
    leg.opposite_interface = Some(id("ri-far"));
    known(&mut world.snapshot(A_SIDE).router_interfaces).push(leg);
    for entry in world.entries(A_SIDE).iter_mut().filter(|entry| entry.kind == RouteKind::Custom) {
        entry.next_hops.push(NextHop {
            kind: NextHopKind::RouterInterface,
            id: "ri-leg".into(),
            enabled: None,
            weight: None,
        });
    }
    world.wire(Wire::S1, Wire::S1);
    let blamed = blamed(&world.verdict());
    assert!(blamed.contains(&"ecmp-leg-dead initiator ri-leg forward".to_owned()), "{blamed:?}");
    assert_eq!(blamed.len(), 3, "{blamed:?}");
}

#[test]
fn a_stranger_is_named_beside_what_only_drops() {
    let mut world = World::healthy();
    world.rules(B_SIDE).clear();
    world.wire(Wire::S1, Wire::Through);
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
        round.strangers = vec![StrangerReply { from: ip("172.16.1.10"), count: 400 }];
    }
    assert_eq!(
        blamed(&world.verdict()),
        ["sg-ingress-missing acceptor sg-b forward", "stranger-replied acceptor 172.16.1.10 forward"]
    );
}

#[test]
fn loss_on_the_way_is_told_beside_a_guests_own_limit() {
    let mut world = World::healthy();
    world.refuse(B_SIDE, FirewallHook::Input, Some(1), Some(5));
    world.limit(B_SIDE, true);
    world.wire(Wire::LosesRequests(7), Wire::Through);
    for part in world.case.arrivals.iter_mut().filter(|part| part.observer.as_str() == "agent-b") {
        let kept: SequenceSet = (0..SENT).filter(|n| n % 7 != 0 && n % 2 == 0).collect();
        (part.accepted, part.replied) = (Known::Known(kept.clone()), Known::Known(kept));
    }
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
        round.replied = (0..SENT).filter(|n| n % 7 != 0 && n % 2 == 0).collect();
    }
    assert_eq!(
        blamed(&world.verdict()),
        ["guest-rate-limit acceptor i-b forward", "loss-in-fabric initiator ri-a~ri-b forward"]
    );
}

#[test]
fn what_a_guest_refuses_at_its_interface_does_not_explain_what_never_came_there() {
    let mut world = World::healthy();
    guard(&mut world, B_SIDE, FirewallHook::Input, ECHO_REQUEST);
    world.wire(Wire::S1, Wire::S5);
    for round in &mut world.case.probes {
        round.replied_on_wire = Known::Known(SequenceSet::new());
    }
    assert_eq!(
        blamed(&world.verdict()),
        ["guest-firewall acceptor i-b forward", "fabric-fault initiator ri-a~ri-b forward"]
    );
}

#[test]
fn a_rule_for_the_own_network_is_no_rule_for_a_part_of_it_that_the_peer_has_too() {
    let mut world = World::healthy();
    known(&mut world.snapshot(B_SIDE).vpcs)[0].secondary_cidrs = vec![cidr("192.168.16.0/20")];
    *world.rules(A_SIDE) =
        vec![rule("sgr-a", Policy::Accept, 1, RuleProtocol::Icmp, RulePeer::Cidr(cidr("192.168.0.0/16")))];
    world.wire(Wire::Through, Wire::S1);
    assert_eq!(blamed(&world.verdict()), ["sg-wrong-cidr initiator sgr-a return"]);
}

#[test]
fn a_bridge_swallows_what_a_host_sends_from_another_address_too() {
    let mut world = World::healthy();
    for interface in known(&mut world.facts(A_SIDE).interfaces) {
        interface.addresses = vec![(ip("192.168.1.77"), cidr("192.168.1.0/24"))];
    }
    if let Known::Known(told) = &mut world.facts(A_SIDE).metadata {
        told.private_address = ip("192.168.1.77");
    }
    world.facts(A_SIDE).routes[0].outcome = Known::Known(RouteOutcome::Via {
        interface: "br-compose".into(),
        source: None,
        gateway: None,
        prefix: Some(cidr("172.16.0.0/20")),
    });
    world.wire(Wire::S1, Wire::S2);
    let blamed = blamed(&world.verdict());
    assert_eq!(blamed, ["ip-not-on-eni initiator 192.168.1.10 return", "guest-route-overlap initiator i-a forward"]);
}

#[test]
fn a_reverse_path_filter_is_told_beside_a_rule_that_explains_half() {
    let mut world = World::healthy();
    guard(&mut world, B_SIDE, FirewallHook::Input, ECHO_REQUEST);
    world.facts(B_SIDE).sysctls.strict_reverse_path = Known::Known(vec!["eth0".into()]);
    world.facts(B_SIDE).counters = Known::Known(IcmpCounters { reverse_path_drops: 800, ..IcmpCounters::default() });
    world.wire(Wire::S2, Wire::S5);
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-b") {
        round.replied_on_wire = Known::Known(SequenceSet::first(SENT));
    }
    assert_eq!(blamed(&world.verdict()), ["guest-firewall acceptor i-b forward", "guest-rp-filter acceptor i-b"]);
}

#[test]
fn enough_flows_without_a_loss_refute_a_dead_leg() {
    let mut world = World::healthy();
    let mut leg = world.interface(A_SIDE).clone();
    leg.id = id("ri-leg");
    leg.status = RouterInterfaceStatus::Inactive;
    leg.opposite_vpc = Some(id("vpc-far"));
    known(&mut world.snapshot(A_SIDE).router_interfaces).push(leg);
    let entries = world.entries(A_SIDE).iter_mut();
    for entry in entries.filter(|entry| entry.kind == RouteKind::Custom) {
        let hop = NextHop { kind: NextHopKind::RouterInterface, id: "ri-leg".into(), enabled: None, weight: None };
        entry.next_hops.push(hop);
    }
    assert_eq!(blamed(&world.verdict()), ["ecmp-leg-dead initiator ri-leg forward"], "two flows prove little");
    let (probes, arrivals) = (world.case.probes.clone(), world.case.arrivals.clone());
    for n in 1..4 {
        world.case.probes.extend(probes.iter().cloned().map(|mut round| {
            round.key.round = (round.key.round.bits() + n).into();
            round
        }));
        world.case.arrivals.extend(arrivals.iter().cloned().map(|mut part| {
            part.key.round = (part.key.round.bits() + n).into();
            part
        }));
    }
    assert_eq!(blamed(&world.verdict()), ["model-contradicted initiator ri-leg forward"]);
}

//! The repair set: it is as small as the smallest subset of the candidates that works, its order works, and each member
//! is needed.

use crate::tests::world::*;
use crate::{Repairs, smallest_repair_set};
use pingtong_evidence::*;
use pingtong_worlds::random::Random;

/// Maximum number of candidates for which every subset is tried.
const MOST: usize = 10;

fn cli(repairs: &Repairs) -> Vec<String> {
    repairs.set.iter().map(|repair| repair.cli.join(" ")).collect()
}

fn calls(repairs: &Repairs) -> Vec<String> {
    repairs.set.iter().map(|repair| repair.cli.get(2).cloned().unwrap_or_default()).collect()
}

#[test]
fn one_accepting_rule_stands_for_several_drop_rules() {
    let mut world = World::healthy();
    for (name, priority, protocol) in [("sgr-1", 5, RuleProtocol::Icmp), ("sgr-2", 7, RuleProtocol::All)] {
        let peer = RulePeer::Cidr(cidr("192.168.0.0/16"));
        world.rules(Side::Acceptor).push(rule(name, Policy::Drop, priority, protocol, peer));
    }
    for accept in world.rules(Side::Acceptor).iter_mut().filter(|rule| rule.policy == Policy::Accept) {
        accept.priority = 50;
    }
    world.wire(Wire::S1, Wire::Through);
    let repairs = world.verdict().repairs;
    assert_eq!(calls(&repairs), ["AuthorizeSecurityGroup"], "{:?}", cli(&repairs));
    assert!(repairs.minimal && repairs.proven);
}

#[test]
fn one_narrow_route_stands_for_several_that_shadow() {
    let mut world = World::healthy();
    let entries = world.entries(Side::Initiator);
    for (name, block) in [("rte-x", "172.16.0.0/20"), ("rte-y", "172.16.0.0/22")] {
        entries.push(entry(name, block, NextHopKind::Instance, "i-else"));
    }
    world.wire(Wire::S1, Wire::S5);
    let repairs = world.verdict().repairs;
    assert_eq!(calls(&repairs), ["CreateRouteEntry"], "{:?}", cli(&repairs));
    assert!(cli(&repairs)[0].contains("--DestinationCidrBlock 172.16.1.0/24"), "{:?}", cli(&repairs));
}

#[test]
fn a_single_shadowing_entry_is_removed_rather_than_overlaid() {
    let mut world = World::healthy();
    world.entries(Side::Initiator).push(entry("rte-x", "172.16.0.0/20", NextHopKind::Instance, "i-else"));
    world.wire(Wire::S1, Wire::S5);
    assert_eq!(calls(&world.verdict().repairs), ["DeleteRouteEntry"]);
}

/// Breaks one thing at a side, selected by the number `which`.
fn break_one(world: &mut World, side: Side, which: u64) {
    let peer_block = cidr(World::side(side.opposite()).3);
    match which {
        0 => world.entries(side).truncate(1),
        1 => world.rules(side).clear(),
        2 => {
            let peer = RulePeer::Cidr(peer_block);
            world.rules(side).insert(0, rule("sgr-drop-1", Policy::Drop, 1, RuleProtocol::Icmp, peer));
        }
        3 => {
            for accept in world.rules(side).iter_mut() {
                accept.priority = 90;
            }
            for (name, priority) in [("sgr-drop-2", 20), ("sgr-drop-3", 30)] {
                let peer = RulePeer::Cidr(peer_block);
                world.rules(side).push(rule(name, Policy::Drop, priority, RuleProtocol::All, peer));
            }
        }
        4 => {
            let far = cidr(World::side(side.opposite()).3);
            let inside = Cidr::around(far.network(), 18);
            world.entries(side).push(entry("rte-shadow", &inside.to_string(), NextHopKind::Instance, "i-else"));
            let deeper = Cidr::around(far.network(), 20);
            world.entries(side).push(entry("rte-shadow-2", &deeper.to_string(), NextHopKind::NatGateway, "ngw-1"));
        }
        5 => world.acl(side, true, vec![acl_entry("nae-1", Policy::Drop, RuleProtocol::Icmp, "0.0.0.0/0")]),
        6 => world.acl(side, false, vec![acl_entry("nae-2", Policy::Drop, RuleProtocol::All, "0.0.0.0/0")]),
        7 => world.interface(side).status = RouterInterfaceStatus::Inactive,
        8 => {
            for instance in known(&mut world.snapshot(side).instances).iter_mut() {
                instance.status = InstanceStatus::Stopped;
            }
        }
        9 => {
            for route in world.entries(side).iter_mut().filter(|route| route.kind == RouteKind::Custom) {
                route.next_hops[0] =
                    NextHop { kind: NextHopKind::NatGateway, id: "ngw-2".into(), enabled: None, weight: None };
            }
        }
        _ => world.group(side).kind = SecurityGroupKind::Enterprise,
    }
}

#[test]
fn no_subset_of_the_candidates_is_smaller() {
    let mut compared = 0;
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut world = World::healthy();
        for _ in 0..=random.below(4) {
            let side = if random.percent(50) { Side::Initiator } else { Side::Acceptor };
            if known(&mut world.snapshot(side).router_interfaces).is_empty() {
                continue;
            }
            break_one(&mut world, side, random.below(11));
        }
        world.wire(Wire::S1, Wire::S1);
        let repairs = world.verdict().repairs;
        if let Some(smallest) = smallest_repair_set(&world.case.question(), MOST) {
            compared += 1;
            let commands = repairs.set.iter().filter(|repair| !repair.cli.is_empty()).count();
            assert_eq!(commands, smallest, "seed {seed}: {:#?}", cli(&repairs));
            assert!(repairs.minimal, "seed {seed}");
        }
    }
    assert!(compared > 300, "only {compared} of 400 had at most {MOST} candidates");
}

/// Adds another host next to the pair's, in the same vSwitch and group.
fn neighbour(world: &mut World, side: Side, address: &str) {
    let mut eni = known(&mut world.snapshot(side).enis)[0].clone();
    (eni.id, eni.instance, eni.addresses) = (id(&format!("eni-{address}")), Some(id("i-neighbour")), vec![ip(address)]);
    known(&mut world.snapshot(side).enis).push(eni);
    let mut instance = known(&mut world.snapshot(side).instances)[0].clone();
    (instance.id, instance.addresses) = (id("i-neighbour"), vec![ip(address)]);
    known(&mut world.snapshot(side).instances).push(instance);
}

fn opened(repairs: &Repairs) -> Vec<String> {
    let told = |o: &crate::Opening| format!("{} > {} {} {}", o.source, o.destination, o.protocol, o.ports);
    repairs.opens.iter().map(told).collect()
}

#[test]
fn a_route_opens_what_its_table_carries_for_other_hosts() {
    let mut world = World::healthy();
    neighbour(&mut world, Side::Initiator, "192.168.1.11");
    world.entries(Side::Initiator).truncate(1);
    world.wire(Wire::S1, Wire::S5);
    // Requests of the other direction already arrived before; no rule accepts TCP.
    assert_eq!(opened(&world.verdict().repairs), ["192.168.1.11/32 > 172.16.1.10/32 icmp -1/-1"]);
    world.rules(Side::Acceptor).push(SecurityRule {
        ports: PortRange::new(22, 23).unwrap(),
        ..rule("sgr-ssh", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Cidr(cidr("192.168.1.0/28")))
    });
    let expected = ["192.168.1.10/31 > 172.16.1.10/32 tcp 22/23", "192.168.1.11/32 > 172.16.1.10/32 icmp -1/-1"]
        .map(str::to_owned);
    let opened: std::collections::BTreeSet<_> = opened(&world.verdict().repairs).into_iter().collect();
    assert_eq!(opened, expected.into_iter().collect());
}

#[test]
fn a_rule_opens_its_block_to_every_member_of_its_group() {
    let mut world = World::healthy();
    neighbour(&mut world, Side::Acceptor, "172.16.1.12");
    world.rules(Side::Acceptor).clear();
    world.wire(Wire::S1, Wire::Through);
    assert_eq!(opened(&world.verdict().repairs), ["192.168.0.0/16 > 172.16.1.8/29 icmp -1/-1"]);
    // A host outside the group stays closed: a block that includes it would claim too much.
    let mut outsider = known(&mut world.snapshot(Side::Acceptor).enis)[0].clone();
    (outsider.id, outsider.addresses, outsider.security_groups) =
        (id("eni-out"), vec![ip("172.16.1.11")], vec![id("sg-other")]);
    known(&mut world.snapshot(Side::Acceptor).enis).push(outsider);
    let members = ["192.168.0.0/16 > 172.16.1.10/32 icmp -1/-1", "192.168.0.0/16 > 172.16.1.12/32 icmp -1/-1"];
    assert_eq!(opened(&world.verdict().repairs), members);
}

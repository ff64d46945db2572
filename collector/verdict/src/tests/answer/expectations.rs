//! Expectations about sets that share hosts, about port ranges, and about addresses that no host has.

use crate::tests::{
    flows::ways::{estate, neighbour},
    world::*,
};
use crate::{Ask, Auditor, ExpectationAnswer, ExpectationState, Lang};
use pingtong_evidence::*;

const C: Side = Side::Acceptor;

fn ask(from: EndpointSet, to: EndpointSet, protocol: Protocol, ports: Option<(u16, u16)>) -> Ask {
    let ports = ports.and_then(|(first, last)| PortRange::new(first, last));
    Ask { expectation: Expectation { from, to, protocol, ports }, link: None }
}

fn answer(world: &World, ask: Ask) -> ExpectationAnswer {
    let mut audit = Auditor::default().audit(&estate(world), &[ask], &[], Lang::En);
    audit.expectations.remove(0)
}

fn instance(name: &str, address: &str) -> EndpointSet {
    EndpointSet::Instance { id: id(name), address: ip(address) }
}

/// The destination host is also one of the sources: it forms no pair with itself, but it does with the other hosts.
#[test]
fn a_host_among_those_that_ask_hides_no_cause_of_the_others() {
    let mut world = World::healthy();
    neighbour(&mut world, C, 20);
    world.group(C).inner_access = Known::Known(Policy::Drop);
    for to in ["172.16.1.10", "172.16.1.20"] {
        let name = if to == "172.16.1.10" { "i-b" } else { "i-b-20" };
        let ask = ask(EndpointSet::Vpc(id("vpc-b")), instance(name, to), Protocol::Tcp, Some((443, 443)));
        let answer = answer(&world, ask);
        assert_eq!((answer.state, answer.failing.len()), (ExpectationState::Fails, 1), "{to}: {answer:?}");
        let codes: Vec<_> = answer.failing[0].causes.iter().map(|cause| cause.code.as_str()).collect();
        assert_eq!(codes, ["sg-ingress-missing"], "{to}");
    }
}

#[test]
fn a_host_alone_with_itself_is_no_pair_that_could_fail() {
    let mut world = World::healthy();
    world.group(C).inner_access = Known::Known(Policy::Drop);
    let own = || instance("i-b", "172.16.1.10");
    let answer = answer(&world, ask(own(), own(), Protocol::Tcp, Some((443, 443))));
    assert_eq!((answer.state, answer.failing), (ExpectationState::Holds, vec![]));
}

#[test]
fn ranges_that_fail_are_told_apart_by_the_ports_between_them() {
    let mut world = World::healthy();
    let open = rule("sgr-web", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Any);
    world.rules(C).push(SecurityRule { ports: PortRange::new(80, 89).unwrap(), ..open });
    let (from, to) = (instance("i-a", "192.168.1.10"), instance("i-b", "172.16.1.10"));
    let answer = answer(&world, ask(from, to, Protocol::Tcp, Some((70, 99))));
    let mut ports: Vec<_> = answer.failing.iter().map(|f| f.flows.ports.map(|p| (p.first(), p.last()))).collect();
    ports.sort_unstable();
    assert_eq!(ports, [Some((70, 79)), Some((90, 99))]);
}

#[test]
fn ports_that_fail_alike_are_one_range_whatever_lets_them_pass_before() {
    let mut world = World::healthy();
    let entry = |name: &str, first, last| AclEntry {
        ports: PortRange::new(first, last).unwrap(),
        ..acl_entry(name, Policy::Accept, RuleProtocol::Tcp, "0.0.0.0/0")
    };
    world.acl(Side::Initiator, false, vec![entry("nae-1", 1, 84), entry("nae-2", 85, 65_535)]);
    let (from, to) = (instance("i-a", "192.168.1.10"), instance("i-b", "172.16.1.10"));
    let answer = answer(&world, ask(from, to, Protocol::Tcp, Some((70, 99))));
    let ports: Vec<_> = answer.failing.iter().map(|f| f.flows.ports.map(|p| (p.first(), p.last()))).collect();
    assert_eq!(ports, [Some((70, 99))]);
}

/// For an address that no host has, the other end determines the direction, whether or not the CIDR blocks of the
/// networks are known.
#[test]
fn an_address_that_no_host_has_is_missed_in_the_direction_of_the_flow() {
    let ghost = |from: &str, to: &str, blocks: bool| {
        let mut world = World::healthy();
        if !blocks {
            for side in Side::BOTH {
                world.snapshot(side).vpcs = Known::default();
            }
        }
        let link = Some(world.case.pair.link.clone());
        let ask = Ask { link, ..ask(instance("i-1", from), instance("i-2", to), Protocol::Tcp, Some((443, 443))) };
        let answer = answer(&world, ask);
        let failing = answer.failing.first().map(|part| part.flows.direction);
        failing.or(answer.unknown.first().map(|part| part.flows.direction)).unwrap_or_else(|| panic!("{answer:?}"))
    };
    for blocks in [true, false] {
        assert_eq!(ghost("192.168.1.10", "172.16.1.77", blocks), Some(Direction::Forward));
        assert_eq!(ghost("172.16.1.10", "192.168.1.77", blocks), Some(Direction::Return));
        assert_eq!(ghost("172.16.1.77", "192.168.1.10", blocks), Some(Direction::Return));
        assert_eq!(ghost("192.168.1.77", "172.16.1.10", blocks), Some(Direction::Forward));
    }
    assert_eq!(ghost("172.16.1.77", "192.168.1.77", true), Some(Direction::Return), "by their blocks");
}

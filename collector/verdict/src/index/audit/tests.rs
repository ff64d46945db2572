//! Whole answers about a small estate: what fails, what leaks, what is unknown, and what is remembered.

use super::*;
use crate::tests::world::*;
use pingtong_evidence::*;

mod memory;
mod unprobed;

const C: Side = Side::Acceptor;

/// Another host of a side, with a group of its own.
fn host(world: &mut World, side: Side, last: u8, group: &str) {
    let mut eni = known(&mut world.snapshot(side).enis)[0].clone();
    let address = World::side(side).4.replace(".1.10", &format!(".1.{last}"));
    (eni.id, eni.instance) = (id(&format!("eni-{last}")), Some(id(&format!("i-{last}"))));
    (eni.addresses, eni.security_groups) = (vec![ip(&address)], vec![id(group)]);
    let mut instance = known(&mut world.snapshot(side).instances)[0].clone();
    (instance.id, instance.addresses) = (id(&format!("i-{last}")), vec![ip(&address)]);
    known(&mut world.snapshot(side).enis).push(eni);
    known(&mut world.snapshot(side).instances).push(instance);
}

/// At the acceptor: .10, .11 and .13 accept ICMP, .12 accepts nothing, and access to the rules of .14 is denied.
fn estate() -> (World, Estate) {
    let mut world = World::healthy();
    let closed = SecurityGroup { id: id("sg-closed"), rules: Known::Known(vec![]), ..world.group(C).clone() };
    let (action, code, request_id) = ("ecs:Rules".into(), "Forbidden".into(), String::new());
    let why = WhyUnknown::Denied { action, code, request_id };
    let blind = SecurityGroup { id: id("sg-blind"), rules: Known::Unknown(why), ..world.group(C).clone() };
    known(&mut world.snapshot(C).security_groups).extend([closed, blind]);
    for (last, group) in [(11, "sg-b"), (12, "sg-closed"), (13, "sg-b"), (14, "sg-blind")] {
        host(&mut world, C, last, group);
    }
    let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
    (world, estate)
}

fn ask(world: &World, from: EndpointSet, to: EndpointSet, protocol: Protocol, ports: Option<(u16, u16)>) -> Ask {
    let ports = ports.and_then(|(first, last)| PortRange::new(first, last));
    Ask { expectation: Expectation { from, to, protocol, ports }, link: Some(world.case.pair.link.clone()) }
}

fn block(text: &str) -> EndpointSet {
    EndpointSet::Cidr(cidr(text))
}

fn blocks(blocks: &[AuditBlock]) -> String {
    let one =
        |b: &AuditBlock| format!("{} {}-{} ({})", b.vpc.as_ref().map_or("-", |v| v.as_str()), b.first, b.last, b.hosts);
    blocks.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn flows(flows: &AuditFlows) -> String {
    let AuditFlows { source, destination, ports, direction, .. } = flows;
    let ports = ports.map_or_else(String::new, |ports| format!(" {}-{}", ports.first(), ports.last()));
    let way = direction.map_or("inside".to_owned(), |way| way.to_string());
    format!("{} > {}{ports} {way}", blocks(source), blocks(destination))
}

fn failing(answer: &ExpectationAnswer) -> Vec<String> {
    let cause = |c: &AuditCause| {
        let side = c.side.map_or("-".to_owned(), |side| side.to_string());
        format!("{} {side} {}", c.code, c.object.id)
    };
    let line = |f: &Failing| {
        let causes: Vec<_> = f.causes.iter().map(cause).collect();
        format!("{}: {}", flows(&f.flows), causes.join(", "))
    };
    answer.failing.iter().map(line).collect()
}

fn unknown(parts: &[UnknownPart]) -> Vec<String> {
    let line = |u: &UnknownPart| {
        let gaps: Vec<_> = u.gaps.iter().map(|gap| format!("{} {}", gap.code, gap.what)).collect();
        format!("{}: {}", flows(&u.flows), gaps.join(", "))
    };
    parts.iter().map(line).collect()
}

fn leaking(answer: &ForbidAnswer) -> Vec<String> {
    let line = |l: &Leaking| {
        let by: Vec<_> = l.by.iter().map(|by| by.object.id.as_str()).collect();
        format!("{}: {}", flows(&l.flows), by.join(", "))
    };
    answer.leaking.iter().map(line).collect()
}

/// The answers to one question as an expectation and as a forbid, in English.
fn answers(estate: &Estate, ask: &Ask) -> (ExpectationAnswer, ForbidAnswer) {
    let asks = std::slice::from_ref(ask);
    let mut audit = Auditor::default().audit(estate, asks, asks, Lang::En);
    (audit.expectations.remove(0), audit.forbids.remove(0))
}

const REFUSED: &str =
    "config-denied the security group rules of account 1000000000000002: ecs:Rules was refused with Forbidden";

#[test]
fn an_expectation_of_icmp_is_decided_both_ways_and_a_forbid_one_way() {
    let (world, estate) = estate();
    let ask = ask(&world, block("192.168.0.0/16"), block("172.16.0.0/16"), Protocol::Icmp, None);
    let (expected, forbidden) = answers(&estate, &ask);
    assert_eq!((expected.state, expected.pairs), (ExpectationState::Fails, 5));
    let closed = "vpc-a 192.168.1.10-192.168.1.10 (1) > vpc-b 172.16.1.12-172.16.1.12 (1) forward";
    assert_eq!(failing(&expected), [format!("{closed}: sg-ingress-missing acceptor sg-closed")]);
    let there = "vpc-a 192.168.1.10-192.168.1.10 (1) > vpc-b 172.16.1.14-172.16.1.14 (1) forward";
    let back = "vpc-b 172.16.1.14-172.16.1.14 (1) > vpc-a 192.168.1.10-192.168.1.10 (1) return";
    assert_eq!(unknown(&expected.unknown), [format!("{there}: {REFUSED}"), format!("{back}: {REFUSED}")]);
    assert_eq!((forbidden.state, forbidden.pairs), (ForbidState::Leaks, 5));
    let open =
        "vpc-a 192.168.1.10-192.168.1.10 (1) > vpc-b 172.16.1.10-172.16.1.11 (2), vpc-b 172.16.1.13-172.16.1.13 (1)";
    assert_eq!(leaking(&forbidden), [format!("{open} forward: sg-a, rte-peer-a, ri-a, sgr-b")]);
    assert_eq!(unknown(&forbidden.unknown), [format!("{there}: {REFUSED}")]);
    // Asked in the other direction, the expectation is the same.
    let turned = Expectation { from: block("172.16.0.0/16"), to: block("192.168.0.0/16"), ..ask.expectation.clone() };
    let (turned, _) = answers(&estate, &Ask { expectation: turned, link: ask.link.clone() });
    assert_eq!((failing(&turned), turned.state), (failing(&expected), expected.state));
}

#[test]
fn ports_that_nothing_accepts_fail_and_hold_as_a_forbid() {
    let (world, estate) = estate();
    let ask = ask(
        &world,
        EndpointSet::VSwitch(id("vsw-b")),
        EndpointSet::VSwitch(id("vsw-a")),
        Protocol::Tcp,
        Some((22, 23)),
    );
    let (expected, forbidden) = answers(&estate, &ask);
    let line = |hosts: &str| {
        format!("{hosts} > vpc-a 192.168.1.10-192.168.1.10 (1) 22-23 return: sg-wrong-protocol initiator sgr-a")
    };
    let sources = [
        "vpc-b 172.16.1.10-172.16.1.11 (2), vpc-b 172.16.1.13-172.16.1.13 (1)",
        "vpc-b 172.16.1.12-172.16.1.12 (1)",
        "vpc-b 172.16.1.14-172.16.1.14 (1)",
    ];
    assert_eq!(failing(&expected), sources.map(line));
    assert_eq!((forbidden.state, forbidden.pairs, forbidden.leaking.len()), (ForbidState::Holds, 5, 0));
}

#[test]
fn inside_one_vpc_the_stage_that_stops_is_the_cause() {
    let (world, estate) = estate();
    let whole = || EndpointSet::Vpc(id("vpc-b"));
    let ask = Ask { link: None, ..ask(&world, whole(), whole(), Protocol::Tcp, Some((80, 80))) };
    let (expected, forbidden) = answers(&estate, &ask);
    let open = "vpc-b 172.16.1.10-172.16.1.11 (2), vpc-b 172.16.1.13-172.16.1.13 (1)";
    let [closed, blind] = [12, 14].map(|last| format!("vpc-b 172.16.1.{last}-172.16.1.{last} (1)"));
    let missing = "80-80 inside: sg-ingress-missing -";
    let stops = [
        format!("{open} > {closed} {missing} sg-closed"),
        format!("{closed} > {open} {missing} sg-b"),
        format!("{blind} > {open} {missing} sg-b"),
        format!("{blind} > {closed} {missing} sg-closed"),
    ];
    assert_eq!(failing(&expected), stops);
    let part = "80-80 inside: config-denied part of the configuration on the way";
    let hidden = [format!("{open} > {blind} {part}"), format!("{closed} > {blind} {part}")];
    assert_eq!(unknown(&expected.unknown), hidden);
    assert_eq!(unknown(&forbidden.unknown), hidden);
    assert_eq!(leaking(&forbidden), [format!("{open} > {open} 80-80 inside: sg-b, vpc-b, sg-b")]);
    assert_eq!((expected.pairs, forbidden.pairs), (25, 25));
}

fn named(name: &str, address: &str) -> EndpointSet {
    EndpointSet::Instance { id: id(name), address: ip(address) }
}

#[test]
fn a_named_instance_that_no_interface_has_fails_and_says_at_which_side() {
    let (world, estate) = estate();
    let (nobody, there) = (named("i-nobody", "172.16.1.99"), named("i-a", "192.168.1.10"));
    let alone = |from: &str, to: &str, way: &str, cause: &str| {
        format!("- {from}-{from} (1) > - {to}-{to} (1) {way}: ip-not-on-eni {cause}")
    };
    let forward = ask(&world, there.clone(), nobody.clone(), Protocol::Icmp, None);
    let (expected, forbidden) = answers(&estate, &forward);
    assert_eq!((expected.state, expected.pairs), (ExpectationState::Fails, 0));
    assert_eq!(failing(&expected), [alone("192.168.1.10", "172.16.1.99", "forward", "acceptor 172.16.1.99")]);
    assert_eq!(forbidden.state, ForbidState::Unknown);
    assert_eq!(
        unknown(&forbidden.unknown),
        [" >  inside: account-not-visible the snapshots show no host of i-nobody (172.16.1.99)"]
    );
    // The side is known by the host that is shown, or by the block of the VPC if none is.
    let (lost, far) = (named("i-lost", "192.168.1.99"), named("i-b", "172.16.1.10"));
    let cases = [
        (far.clone(), lost.clone(), "172.16.1.10", "192.168.1.99", "return", "initiator"),
        (lost.clone(), nobody.clone(), "192.168.1.99", "172.16.1.99", "forward", "acceptor"),
        (nobody.clone(), lost.clone(), "172.16.1.99", "192.168.1.99", "return", "initiator"),
    ];
    for (from, to, source, destination, way, side) in cases {
        let (expected, _) = answers(&estate, &ask(&world, from, to, Protocol::Icmp, None));
        assert_eq!(failing(&expected), [alone(source, destination, way, &format!("{side} {destination}"))]);
    }
}

#[test]
fn a_set_without_hosts_is_unknown() {
    let (world, estate) = estate();
    let sets: [(EndpointSet, &str); 4] = [
        (EndpointSet::VSwitch(id("vsw-none")), "vsw-none"),
        (EndpointSet::Vpc(id("vpc-none")), "vpc-none"),
        (block("10.0.0.0/8"), "10.0.0.0/8"),
        (EndpointSet::VSwitch(id("vsw-a")), ""),
    ];
    let [nowhere @ .., (shown, _)] = sets;
    for (set, name) in nowhere {
        for (from, to) in [(set.clone(), shown.clone()), (shown.clone(), set.clone())] {
            let (expected, forbidden) = answers(&estate, &ask(&world, from, to, Protocol::Udp, Some((53, 53))));
            assert_eq!((expected.state, forbidden.state), (ExpectationState::Unknown, ForbidState::Unknown));
            let told = format!(" >  53-53 inside: account-not-visible the snapshots show no host of {name}");
            assert_eq!((unknown(&expected.unknown), unknown(&forbidden.unknown)), (vec![told.clone()], vec![told]));
        }
    }
}

#[test]
fn an_address_that_moved_is_asked_of_whoever_has_it() {
    let (world, estate) = estate();
    let from = named("i-13", "172.16.1.11");
    let (expected, _) = answers(&estate, &ask(&world, from, named("i-a", "192.168.1.10"), Protocol::Icmp, None));
    assert_eq!((expected.state, expected.pairs), (ExpectationState::Holds, 1));
}

//! Which packets a cause stops, which filter rules match them, and which host a CIDR block is intended for.

use crate::tests::{
    rules::{block, cmp, equal, l4proto, match_on, refusing},
    world::*,
};
use crate::{
    CauseCode, ObjectKind,
    finding::{Finding, Note, Stops, Walk},
    fix::Fix,
    guest_filter::{Asked, Maybe, Packets, applies},
    lang::Both,
    stage::Stage,
    wilson::LossRate,
};
use pingtong_evidence::{
    packet_filter::{Comparison, Field, Statement, Value},
    *,
};

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;
const FORTH: Direction = Direction::Forward;
const BACK: Direction = Direction::Return;

#[test]
fn a_cause_stops_requests_replies_or_both_of_a_flow() {
    for (stops, forward, back) in [
        (Stops::Link, "both", "both"),
        (Stops::Host(C), "both", "both"),
        (Stops::Packets(FORTH), "request", "reply"),
        (Stops::Packets(BACK), "reply", "request"),
        (Stops::Requests(FORTH), "request", "neither"),
        (Stops::Requests(BACK), "neither", "request"),
        (Stops::Arrivals(C), "request", "reply"),
        (Stops::Arrivals(I), "reply", "request"),
        (Stops::Replies(I), "reply", "neither"),
        (Stops::Replies(C), "neither", "reply"),
        (Stops::Answers(C), "reply", "neither"),
        (Stops::Answers(I), "neither", "reply"),
        (Stops::Sending(I), "request", "reply"),
        (Stops::Sending(C), "reply", "request"),
        (Stops::Some(FORTH), "neither", "neither"),
    ] {
        for (flow, expect) in [(FORTH, forward), (BACK, back)] {
            let told = match (stops.request(flow), stops.reply(flow)) {
                (true, true) => "both",
                (true, false) => "request",
                (false, true) => "reply",
                (false, false) => "neither",
            };
            assert_eq!(told, expect, "{stops:?} {flow}");
            assert_eq!(stops.round_trip(flow), expect != "neither", "{stops:?} {flow}");
        }
    }
}

#[test]
fn a_cause_that_is_found_twice_is_one_with_all_its_evidence() {
    let world = World::healthy();
    let model = world.case.question().model();
    let found = |text: &str| Finding {
        code: CauseCode::RouteMissing,
        side: I,
        direction: None,
        object: model.object(I, ObjectKind::RouteTable, "vtb-a"),
        stops: Stops::Link,
        points: Stops::Link.at(Stage::Route),
        evidence: vec![Note::plain(Both::new(text, text))],
        fix: Fix::Manual,
    };
    let mut walk = Walk::default();
    for text in ["one", "two", "one"] {
        walk.blame(found(text));
    }
    let told: Vec<_> = walk.findings.iter().flat_map(|f| &f.evidence).map(|note| note.text.en.as_str()).collect();
    assert_eq!((walk.findings.len(), told), (1, vec!["one", "two"]));
}

fn asked(protocol: Protocol, bound: Option<u8>, statements: Vec<Statement>, asked: Asked) -> Maybe {
    let hook = match asked {
        Asked::Requests | Asked::Replies => FirewallHook::Input,
        Asked::Sent | Asked::Answers => FirewallHook::Output,
    };
    let rule = FirewallRule { protocol: bound, hook, ..refusing(statements) };
    applies(&rule, &Packets { service: (protocol, None), peer: ip("192.168.1.10"), own: ip("172.16.1.10") }, asked)
}

#[test]
fn a_rule_bound_to_a_protocol_speaks_of_no_other() {
    for (protocol, number) in [(Protocol::Icmp, 1), (Protocol::Tcp, 6), (Protocol::Udp, 17)] {
        for bound in [1, 6, 17] {
            let expect = if bound == number { Maybe::Surely } else { Maybe::No };
            assert_eq!(asked(protocol, Some(bound), vec![], Asked::Requests), expect, "{protocol} {bound}");
        }
    }
    let tcp = |statement| asked(Protocol::Tcp, Some(6), vec![statement], Asked::Requests);
    assert_eq!(tcp(l4proto(6)), Maybe::Surely);
    assert_eq!(tcp(cmp(Field::MetaL4proto, Comparison::Ne, 6)), Maybe::No);
    let icmp = |statement| asked(Protocol::Icmp, Some(1), vec![statement], Asked::Requests);
    assert_eq!(icmp(cmp(Field::MetaL4proto, Comparison::Ne, 6)), Maybe::Surely, "all but TCP is ICMP too");
    assert_eq!(icmp(l4proto(6)), Maybe::No);
    assert_eq!(icmp(equal(Field::TcpDestinationPort, 22)), Maybe::No);
    assert_eq!(icmp(equal(Field::UdpSourcePort, 53)), Maybe::No);
}

#[test]
fn addresses_of_a_rule_are_the_packets_own_ends() {
    let (own, peer) = ("172.16.1.10", "192.168.1.10");
    let equal = |field, address: &str| match_on(field, Comparison::Eq, Value::Address(ip(address)));
    let other = match_on(Field::IpDestination, Comparison::Ne, block("10.0.0.0/8"));
    for (statement, way, expect) in [
        (equal(Field::IpDestination, own), Asked::Requests, Maybe::Surely),
        (equal(Field::IpDestination, peer), Asked::Requests, Maybe::No),
        (equal(Field::IpSource, peer), Asked::Replies, Maybe::Surely),
        (equal(Field::IpDestination, peer), Asked::Sent, Maybe::Surely),
        (equal(Field::IpDestination, own), Asked::Sent, Maybe::No),
        (equal(Field::IpSource, own), Asked::Answers, Maybe::Surely),
        (other, Asked::Requests, Maybe::Surely),
    ] {
        assert_eq!(asked(Protocol::Icmp, Some(1), vec![statement.clone()], way), expect, "{statement} {way:?}");
    }
}

#[test]
fn a_block_is_meant_for_others_when_another_link_or_another_block_of_the_peers_needs_it() {
    let meant = |block: &str, change: &dyn Fn(&mut World)| {
        let mut world = World::healthy();
        change(&mut world);
        let mut model = world.case.question().model();
        model.elsewhere.clone_from(&world.case.elsewhere);
        model.meant_elsewhere(C, &cidr(block), ip("192.168.1.10"))
    };
    let with_link = |vpc: &str| {
        let vpc = vpc.to_owned();
        move |world: &mut World| {
            let mut pair = world.case.pair.clone();
            (pair.id, pair.link.initiator.vpc, pair.initiator.address) = (id("other"), id("vpc-x"), ip("10.9.0.1"));
            pair.link.acceptor.vpc = id(&vpc);
            world.case.elsewhere.push(pair);
        }
    };
    assert!(!meant("10.9.0.0/16", &|_| {}));
    assert!(meant("10.9.0.0/16", &with_link("vpc-b")));
    assert!(!meant("10.8.0.0/16", &with_link("vpc-b")), "its hosts are elsewhere");
    assert!(!meant("10.9.0.0/16", &with_link("vpc-y")), "it is another network's link");
    let second = |world: &mut World| known(&mut world.snapshot(I).vpcs)[0].secondary_cidrs.push(cidr("10.7.0.0/16"));
    assert!(meant("10.0.0.0/8", &second), "it covers another block of the peer's");
    assert!(!meant("10.7.1.0/24", &second), "a part of it");
    assert!(!meant("192.168.0.0/16", &second), "it is this peer's own");
    let shared = |world: &mut World| {
        second(world);
        known(&mut world.snapshot(C).vpcs)[0].secondary_cidrs.push(cidr("10.7.0.0/20"));
    };
    assert!(!meant("10.0.0.0/8", &shared), "what both have is never reached over the link");
}

#[test]
fn a_share_is_written_with_its_interval() {
    assert_eq!(LossRate::new(20, 800).unwrap().text(), "2.5 % (1.6 – 3.8 %)");
    assert_eq!(LossRate::new(0, 10).unwrap().text(), "0.0 % (0.0 – 27.8 %)");
}

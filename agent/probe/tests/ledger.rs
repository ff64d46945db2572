//! The arrival ledger under a virtual clock.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use pingtong_evidence::{AgentId, ArrivalRound, Known, Timestamp, WhyUnknown};
use pingtong_probe::{AgentHash, ArrivalLedger, Arrived, EchoKind, Heard, NonceKey, Now, Observers, Payload, Sighting};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const PROBER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 10));
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 1, 10));

fn now(millis: u64) -> Now {
    Now { mono: Duration::from_millis(millis), wall: Timestamp::from_millis(0).plus(Duration::from_millis(millis)) }
}

fn key() -> NonceKey {
    NonceKey::from_bytes([9; 32])
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn ledger(observers: Observers) -> ArrivalLedger {
    let mut ledger = ArrivalLedger::new(agent("B.ecs1"), observers, now(0));
    ledger.handle(now(0), Sighting::Plan { key: key(), senders: vec![agent("A.ecs1")] });
    ledger
}

fn both() -> Observers {
    Observers { wire: Ok(()), raw: Ok(()) }
}

fn payload(name: &str, sequence: u32) -> Vec<u8> {
    Payload { agent: AgentHash::of(&agent(name)), round: 77.into(), sequence }.encode(&key(), 56)
}

fn request(payload: &[u8]) -> Heard<'_> {
    Heard::Echo { kind: EchoKind::Request, from: PROBER, to: HERE, identifier: 1, sequence: 1, payload }
}

fn reply(payload: &[u8]) -> Heard<'_> {
    Heard::Echo { kind: EchoKind::Reply, from: HERE, to: PROBER, identifier: 1, sequence: 1, payload }
}

fn part(ledger: &mut ArrivalLedger, millis: u64) -> ArrivalRound {
    let due = ledger.poll(now(millis)).expect("a part is due");
    assert!(matches!(due, Arrived::Round(_)), "{due:?}");
    due.seen().clone()
}

#[test]
fn a_round_is_given_out_when_it_has_been_quiet() {
    let mut ledger = ledger(both());
    for sequence in 0..4 {
        let payload = payload("A.ecs1", sequence);
        ledger.handle(now(10), Sighting::Wire { packet: request(&payload), interface: "eth0", outgoing: false });
        if sequence < 3 {
            ledger.handle(now(10), Sighting::Raw { packet: request(&payload) });
        }
        if sequence < 2 {
            ledger.handle(now(11), Sighting::Wire { packet: reply(&payload), interface: "eth0", outgoing: true });
        }
    }
    assert_eq!(ledger.next_deadline(), Some(Duration::from_millis(261)).min(Some(Duration::from_millis(260))));
    assert!(ledger.poll(now(259)).is_none());
    let part = part(&mut ledger, 261);
    assert_eq!((part.key.agent, part.key.round, part.interface.as_str()), (agent("A.ecs1"), 77.into(), "eth0"));
    let len = |set: &Known<pingtong_evidence::SequenceSet>| set.known().map(pingtong_evidence::SequenceSet::len);
    assert_eq!((len(&part.on_wire), len(&part.accepted), len(&part.replied)), (Some(4), Some(3), Some(2)));
    assert!(part.replied_elsewhere.is_empty());
    assert!(ledger.poll(now(261)).is_none());
}

#[test]
fn a_long_round_comes_in_parts_of_a_second() {
    let mut ledger = ledger(both());
    let mut parts = vec![];
    for sequence in 0..400u32 {
        let at = u64::from(sequence) * 4;
        while let Some(part) = ledger.poll(now(at)) {
            parts.push(part);
        }
        let payload = payload("A.ecs1", sequence);
        ledger.handle(now(at), Sighting::Wire { packet: request(&payload), interface: "eth0", outgoing: false });
    }
    parts.extend(std::iter::from_fn(|| ledger.poll(now(10_000))));
    assert_eq!(parts.len(), 2);
    let total: u64 =
        parts.iter().filter_map(|part| part.seen().on_wire.known()).map(pingtong_evidence::SequenceSet::len).sum();
    assert_eq!(total, 400);
}

#[test]
fn replies_that_leave_elsewhere_are_named_and_a_bridge_is_not_elsewhere() {
    let mut ledger = ledger(both());
    let (bridged, astray) = (payload("A.ecs1", 1), payload("A.ecs1", 2));
    for payload in [&bridged, &astray] {
        ledger.handle(now(0), Sighting::Wire { packet: request(payload), interface: "eth0", outgoing: false });
        ledger.handle(now(0), Sighting::Wire { packet: request(payload), interface: "br0", outgoing: false });
    }
    for interface in ["br0", "eth0"] {
        ledger.handle(now(1), Sighting::Wire { packet: reply(&bridged), interface, outgoing: true });
    }
    ledger.handle(now(1), Sighting::Wire { packet: reply(&astray), interface: "tun0", outgoing: true });
    let part = part(&mut ledger, 300);
    assert_eq!(part.replied.known().map(pingtong_evidence::SequenceSet::len), Some(1));
    assert_eq!(part.replied_elsewhere.len(), 1);
    assert_eq!((part.replied_elsewhere[0].0.as_str(), part.replied_elsewhere[0].1.contains(2)), ("tun0", true));
}

#[test]
fn what_is_not_looked_at_is_unknown_and_not_empty() {
    let why = WhyUnknown::NotPermitted { what: String::from("a packet socket"), closes_with: String::from("setcap") };
    let mut ledger = ledger(Observers { wire: Err(why), raw: Ok(()) });
    let payload = payload("A.ecs1", 1);
    ledger.handle(now(0), Sighting::Raw { packet: request(&payload) });
    let part = part(&mut ledger, 300);
    assert!(part.on_wire.known().is_none() && part.replied.known().is_none() && part.accepted.known().is_some());
    assert_eq!(part.interface, "");
}

#[test]
fn strangers_and_forged_tags_leave_no_trace() {
    let mut ledger = ledger(both());
    let (stranger, mut forged) = (payload("X", 1), payload("A.ecs1", 1));
    forged[20] ^= 1;
    for payload in [&stranger, &forged, &vec![0; 56]] {
        ledger.handle(now(0), Sighting::Wire { packet: request(payload), interface: "eth0", outgoing: false });
    }
    assert_eq!(ledger.next_deadline(), None);
}

#[test]
fn own_drops_are_told_with_the_rounds_they_touch() {
    let mut ledger = ledger(both());
    let payload = payload("A.ecs1", 1);
    ledger.handle(now(0), Sighting::Raw { packet: request(&payload) });
    ledger.handle(now(1), Sighting::OwnDrops(5));
    assert_eq!(part(&mut ledger, 300).own_drops, 5);
}

#[test]
fn memory_is_bounded_whatever_arrives() {
    let mut ledger = ledger(both());
    for round in 0..10_000u64 {
        let payload =
            Payload { agent: AgentHash::of(&agent("A.ecs1")), round: round.into(), sequence: 0 }.encode(&key(), 56);
        ledger.handle(now(0), Sighting::Raw { packet: request(&payload) });
    }
    let mut given = 0;
    while ledger.poll(now(300)).is_some() {
        given += 1;
    }
    assert_eq!(given, 10_000, "what had to make room was given out, not lost");
}

#[test]
fn probes_that_come_before_the_plan_are_not_lost() {
    let mut ledger = ArrivalLedger::new(agent("B.ecs1"), both(), now(0));
    for sequence in 0..3 {
        let payload = payload("A.ecs1", sequence);
        ledger.handle(now(10), Sighting::Wire { packet: request(&payload), interface: "eth0", outgoing: false });
    }
    ledger.handle(now(20), Sighting::Plan { key: key(), senders: vec![agent("C.ecs1")] });
    assert!(ledger.poll(now(1_000)).is_none());
    ledger.handle(now(30), Sighting::Plan { key: key(), senders: vec![agent("A.ecs1")] });
    let late = payload("A.ecs1", 3);
    ledger.handle(now(31), Sighting::Wire { packet: request(&late), interface: "eth0", outgoing: false });
    let part = part(&mut ledger, 300);
    assert_eq!(part.on_wire.known().map(pingtong_evidence::SequenceSet::len), Some(4));
    assert_eq!(part.watching_ms, Some(10));
}

#[test]
fn it_tells_since_when_it_has_watched() {
    let mut ledger = ArrivalLedger::new(agent("B.ecs1"), both(), now(1_000));
    ledger.handle(now(1_040), Sighting::Plan { key: key(), senders: vec![agent("A.ecs1")] });
    let payload = payload("A.ecs1", 9);
    ledger.handle(now(1_050), Sighting::Raw { packet: request(&payload) });
    assert_eq!(part(&mut ledger, 1_400).watching_ms, Some(50));
}

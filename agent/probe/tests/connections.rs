//! Arrivals of connections in the ledger under a virtual clock: which agent's they are, under which number, and what is
//! reported if not all could be kept.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use pingtong_evidence::{AgentId, ArrivalRound, PlanArrival, Protocol, RoundKind, SequenceSet, Timestamp};
use pingtong_probe::{ArrivalLedger, Arrived, NonceKey, Now, Observers, Segment, Sighting};
use std::{net::SocketAddr, time::Duration};

fn now(millis: u64) -> Now {
    Now { mono: Duration::from_millis(millis), wall: Timestamp::from_millis(0).plus(Duration::from_millis(millis)) }
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn expected(port: u16) -> PlanArrival {
    let (from, to) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
    PlanArrival { agent: agent("A"), from, to, protocol: Protocol::Tcp, port }
}

fn ledger(ports: &[u16]) -> ArrivalLedger {
    let mut ledger = ArrivalLedger::new(agent("B"), Observers { wire: Ok(()), raw: Ok(()) }, now(0));
    ledger.handle(now(0), Sighting::Plan { key: NonceKey::from_bytes([9; 32]), senders: vec![agent("A")] });
    ledger.handle(now(100), Sighting::Connections(ports.iter().copied().map(expected).collect()));
    ledger
}

/// A SYN from a source port to 443, or the answer to it.
fn see(ledger: &mut ArrivalLedger, millis: u64, from: &str, source_port: u16, answer: bool, interface: &str) {
    let (far, near) = (SocketAddr::new(from.parse().unwrap(), source_port), "10.0.0.2:443".parse().unwrap());
    let (from, to) = if answer { (near, far) } else { (far, near) };
    let segment = Segment { answer, from, to };
    ledger.handle(now(millis), Sighting::Segment { segment, interface, outgoing: answer });
}

/// What is due, for port 443, with source ports in the sets.
fn parts(ledger: &mut ArrivalLedger, millis: u64) -> Vec<ArrivalRound> {
    let due = std::iter::from_fn(|| ledger.poll(now(millis)));
    due.map(|part| {
        assert!(matches!(&part, Arrived::Connections(part) if part.port() == 443), "{part:?}");
        part.seen().clone()
    })
    .collect()
}

fn ports(set: &pingtong_evidence::Known<SequenceSet>) -> Vec<(u32, u32)> {
    set.known().unwrap().ranges().to_vec()
}

#[test]
fn connections_that_the_plan_expects_are_told_by_their_source_ports_and_others_are_not() {
    let mut ledger = ledger(&[443]);
    for port in [40_000, 40_002] {
        see(&mut ledger, 1_000, "10.0.0.1", port, false, "eth0");
    }
    see(&mut ledger, 1_000, "10.0.0.1", 40_002, true, "eth0");
    see(&mut ledger, 1_001, "10.0.0.1", 40_000, true, "tun0");
    see(&mut ledger, 1_000, "10.0.0.9", 40_004, false, "eth0");
    let [part] = parts(&mut ledger, 1_500).try_into().unwrap();
    assert_eq!((part.key.agent.as_str(), part.interface.as_str()), ("A", "eth0"));
    assert_eq!(part.key.round.kind(), RoundKind::Connections, "no number of a round");
    assert_eq!(
        (ports(&part.on_wire), ports(&part.replied)),
        (vec![(40_000, 40_000), (40_002, 40_002)], vec![(40_002, 40_002)])
    );
    assert_eq!(part.replied_elsewhere[0].0, "tun0");
    assert_eq!(
        (part.watching_ms, part.accepted.known()),
        (Some(900), None),
        "since the plan came; echoes alone are heard"
    );
}

#[test]
fn each_part_has_a_number_of_its_own_and_a_plan_that_stays_is_no_interruption() {
    let mut ledger = ledger(&[443]);
    see(&mut ledger, 1_000, "10.0.0.1", 40_000, false, "eth0");
    let first = parts(&mut ledger, 1_500);
    ledger.handle(now(1_600), Sighting::Connections(vec![expected(443), expected(80)]));
    see(&mut ledger, 2_000, "10.0.0.1", 40_002, false, "eth0");
    see(&mut ledger, 2_001, "10.0.0.1", 40_004, false, "eth0");
    let second = parts(&mut ledger, 2_500);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first[0].key, second[0].key);
    assert_eq!((second[0].on_wire.known().unwrap().len(), second[0].watching_ms), (2, Some(1_900)));
    ledger.handle(now(2_600), Sighting::Connections(vec![]));
    see(&mut ledger, 3_000, "10.0.0.1", 40_006, false, "eth0");
    assert_eq!(parts(&mut ledger, 3_500), []);
}

#[test]
fn more_connections_than_are_kept_make_a_part_incomplete_and_not_the_probes_absent() {
    let mut ledger = ledger(&[443]);
    for port in 10_000..12_000 {
        see(&mut ledger, 1_000, "10.0.0.1", port, false, "eth0");
    }
    let [part] = parts(&mut ledger, 2_000).try_into().unwrap();
    assert_eq!((part.on_wire.known().unwrap().len(), part.own_drops), (1_024, 976));
}

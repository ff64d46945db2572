//! The prober of TCP and UDP probes under a virtual clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use pingtong_evidence::{AgentId, PairId, ProbeRound, Protocol, RoundId, SequenceSet, Timestamp};
use pingtong_probe::{
    AgentHash, NonceKey, Now, Payload, PortInput, PortOrder, PortOutput, PortProber, PortProberSettings, PortSend,
    Unsent, WhyUnsent,
};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

const MS: Duration = Duration::from_millis(1);
const START_MS: i64 = 1_700_000_000_000;

fn now(mono: Duration) -> Now {
    Now { mono, wall: Timestamp::from_millis(START_MS + i64::try_from(mono.as_millis()).unwrap()) }
}

fn key() -> NonceKey {
    NonceKey::from_bytes([7; 32])
}

fn target() -> IpAddr {
    "172.16.1.10".parse().unwrap()
}

fn router() -> IpAddr {
    "192.168.1.253".parse().unwrap()
}

fn machine(rate_pps_max: u32, open_max: usize) -> PortProber {
    PortProber::new(PortProberSettings {
        agent: AgentId::parse("A.ecs1").unwrap(),
        key: key(),
        rate_pps_max,
        open_max,
        started: now(Duration::ZERO),
    })
}

fn order(protocol: Protocol, probes: u32) -> PortOrder {
    PortOrder {
        pair: PairId::parse("p").unwrap(),
        target: target(),
        protocol,
        port: 443,
        probes,
        spacing: 10 * MS,
        timeout: 500 * MS,
        request: None,
    }
}

/// What the network does with one probe, and after how long.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered(Duration, bool),
    Closed(Duration, bool),
    Rejected(Duration),
    Errno(i32),
    NoRoom,
    Silent,
}

struct Ran {
    rounds: Vec<ProbeRound>,
    sends: Vec<(Duration, PortSend)>,
    given_up: Vec<(Duration, u32)>,
    most_open: usize,
}

/// Runs until the prober has nothing more to do. Bounded: each iteration advances the clock or takes an output.
fn drive(machine: &mut PortProber, mut fate: impl FnMut(&PortSend) -> Fate) -> Ran {
    let mut ran = Ran { rounds: vec![], sends: vec![], given_up: vec![], most_open: 0 };
    let mut coming: BTreeMap<(Duration, RoundId, u32), PortInput> = BTreeMap::new();
    let mut open = std::collections::BTreeSet::new();
    let mut at = Duration::ZERO;
    for _ in 0..100_000 {
        while let Some((&(due, round, sequence), _)) = coming.first_key_value().filter(|((due, ..), _)| *due <= at) {
            let input = coming.remove(&(due, round, sequence)).unwrap();
            open.remove(&(round, sequence));
            machine.handle(now(due), input);
        }
        match machine.poll(now(at)) {
            Some(PortOutput::Send(send)) => {
                let (round, sequence) = (send.round, send.sequence);
                open.insert((round, sequence));
                ran.most_open = ran.most_open.max(open.len());
                let source_port = 40_000 + u16::try_from(sequence).unwrap();
                let begun = PortInput::Begun { round, sequence, at, source_port };
                match fate(&send) {
                    Fate::Errno(errno) => {
                        open.remove(&(round, sequence));
                        machine.handle(
                            now(at),
                            PortInput::Unsent(Unsent { round, sequence, why: WhyUnsent::Refused(errno) }),
                        );
                    }
                    Fate::NoRoom => {
                        open.remove(&(round, sequence));
                        machine.handle(now(at), PortInput::Unsent(Unsent { round, sequence, why: WhyUnsent::NoRoom }));
                    }
                    Fate::Answered(took, resent) => {
                        machine.handle(now(at), begun);
                        let input = PortInput::Answered { round, sequence, took, by_kernel: true, resent };
                        coming.insert((at + took, round, sequence), input);
                    }
                    Fate::Closed(took, resent) => {
                        machine.handle(now(at), begun);
                        coming
                            .insert((at + took, round, sequence), PortInput::Closed { round, sequence, took, resent });
                    }
                    Fate::Rejected(took) => {
                        machine.handle(now(at), begun);
                        let input = PortInput::Rejected { round, sequence, from: router(), icmp_type: 3, code: 13 };
                        coming.insert((at + took, round, sequence), input);
                    }
                    Fate::Silent => machine.handle(now(at), begun),
                }
                ran.sends.push((at, send));
            }
            Some(PortOutput::GiveUp { round, sequence }) => {
                assert!(open.remove(&(round, sequence)), "given up twice, or after its end");
                coming.remove(&(at, round, sequence));
                ran.given_up.push((at, sequence));
            }
            Some(PortOutput::Closed(round)) => ran.rounds.push(round),
            None => {
                let next = coming.keys().map(|(due, ..)| *due).chain(machine.next_deadline()).min();
                match next {
                    Some(next) => at = next.max(at + Duration::from_nanos(1)),
                    None => return ran,
                }
            }
        }
    }
    panic!("the machine does not come to rest");
}

fn set(numbers: &[u32]) -> SequenceSet {
    numbers.iter().copied().collect()
}

#[test]
fn each_end_of_a_probe_has_its_own_place() {
    let mut machine = machine(10_000, 100);
    machine.handle(now(Duration::ZERO), PortInput::Start(order(Protocol::Tcp, 8)));
    let ran = drive(&mut machine, |send| match send.sequence {
        0 | 1 => Fate::Answered(3 * MS, false),
        2 => Fate::Closed(5 * MS, false),
        3 => Fate::Rejected(4 * MS),
        4 => Fate::Errno(101),
        5 => Fate::NoRoom,
        6 => Fate::Answered(400 * MS, true),
        _ => Fate::Silent,
    });
    let [round] = ran.rounds.as_slice() else { panic!("{:?}", ran.rounds) };
    let ports = round.ports.clone().unwrap();
    assert_eq!(round.sent, set(&[0, 1, 2, 3, 6, 7]));
    assert_eq!(round.replied, set(&[0, 1, 2]));
    assert_eq!((ports.port, ports.closed, ports.resent), (443, set(&[2]), set(&[6])));
    assert_eq!(ports.source_ports, [40_000, 40_001, 40_002, 40_003, 0, 0, 40_006, 40_007]);
    assert_eq!(round.icmp_errors.len(), 1);
    assert_eq!((round.icmp_errors[0].from, round.icmp_errors[0].code, round.icmp_errors[0].count), (router(), 13, 1));
    assert_eq!((round.send_errors[0].errno, &round.send_errors[0].probes), (101, &set(&[4])));
    let rtt = round.rtt.unwrap();
    assert_eq!((rtt.samples, rtt.min.0, rtt.max.0, rtt.kernel_timestamps), (3, 3_000_000, 5_000_000, false));
    assert_eq!(machine.not_sent(), 1);
    assert_eq!(ran.given_up, [(570 * MS, 7)]);
}

#[test]
fn an_answer_to_a_second_syn_does_not_hide_the_loss_of_the_first() {
    let mut machine = machine(10_000, 100);
    machine.handle(now(Duration::ZERO), PortInput::Start(PortOrder { timeout: 5_000 * MS, ..order(Protocol::Tcp, 4) }));
    let ran = drive(&mut machine, |send| match send.sequence {
        0 => Fate::Answered(1_003 * MS, true),
        1 => Fate::Closed(1_003 * MS, true),
        _ => Fate::Answered(3 * MS, false),
    });
    let round = &ran.rounds[0];
    assert_eq!((round.sent.len(), round.replied.len(), round.late.len()), (4, 2, 0));
    let ports = round.ports.as_ref().unwrap();
    assert_eq!((&ports.resent, ports.closed.len()), (&set(&[0, 1]), 0));
    assert_eq!(round.rtt.unwrap().max.0, 3_000_000);
}

#[test]
fn a_datagram_bears_the_tag_of_its_probe_and_a_syn_bears_nothing() {
    let mut machine = machine(10_000, 100);
    machine.handle(now(Duration::ZERO), PortInput::Start(order(Protocol::Udp, 2)));
    machine.handle(now(Duration::ZERO), PortInput::Start(order(Protocol::Tcp, 1)));
    let ran = drive(&mut machine, |_| Fate::Answered(MS, false));
    let mut seen = 0;
    for (_, send) in &ran.sends {
        if send.protocol == Protocol::Tcp {
            assert_eq!(send.payload, [0; 0]);
            continue;
        }
        let payload = Payload::parse(&send.payload, &key()).unwrap();
        let agent = AgentHash::of(&AgentId::parse("A.ecs1").unwrap());
        assert_eq!(payload, Payload { agent, round: send.round, sequence: send.sequence });
        seen += 1;
    }
    assert_eq!((seen, ran.rounds.len()), (2, 2));
    assert_ne!(ran.rounds[0].key, ran.rounds[1].key);
}

#[test]
fn sockets_are_bounded_and_what_finds_none_in_time_is_counted_as_not_sent() {
    let mut machine = machine(10_000, 3);
    machine.handle(now(Duration::ZERO), PortInput::Start(order(Protocol::Tcp, 200)));
    let ran = drive(&mut machine, |_| Fate::Silent);
    let round = &ran.rounds[0];
    assert_eq!(ran.most_open, 3);
    assert_eq!(round.sent.len() + machine.not_sent(), 200);
    assert!(machine.not_sent() > 100 && round.sent.len() >= 9, "{} {}", machine.not_sent(), round.sent.len());
    assert_eq!(ran.given_up.len() as u64, round.sent.len());
}

#[test]
fn late_wake_ups_delay_no_round_and_a_long_delay_is_made_up_gradually() {
    let spacing = Duration::from_micros(500);
    let mut machine = machine(100_000, 10_000);
    let order = PortOrder { spacing, ..order(Protocol::Udp, 1_000) };
    machine.handle(now(Duration::ZERO), PortInput::Start(order));
    let mut sent: Vec<Duration> = vec![];
    let mut at = Duration::ZERO;
    // Every timer fires two milliseconds late, and once a tenth of a second.
    while sent.len() < 1_000 && at < Duration::from_secs(2) {
        while let Some(output) = machine.poll(now(at)) {
            if matches!(output, PortOutput::Send(_)) {
                sent.push(at);
            }
        }
        let late = if sent.len() == 501 { 100 } else { 2 };
        let Some(next) = machine.next_deadline() else { break };
        at = next.max(at) + Duration::from_millis(late);
    }
    assert_eq!(sent.len(), 1_000, "until {at:?}, the last {:?}", sent.last());
    assert!(sent[999] < Duration::from_millis(560), "{:?}", sent[999]);
    let most = (0..1_000).map(|n| sent.iter().filter(|at| **at == sent[n]).count()).max();
    assert!(most <= Some(10), "{most:?} probes at once: three milliseconds' worth, and what the late timer left");
}

#[test]
fn the_rate_cap_holds_over_all_targets() {
    let mut machine = machine(100, 1_000);
    for _ in 0..3 {
        machine.handle(now(Duration::ZERO), PortInput::Start(order(Protocol::Tcp, 40)));
    }
    let ran = drive(&mut machine, |_| Fate::Answered(MS, false));
    for (n, (at, _)) in ran.sends.iter().enumerate() {
        assert!(*at >= MS * 10 * u32::try_from(n).unwrap(), "probe {n} at {at:?}");
    }
    assert_eq!(ran.rounds.len(), 3);
}

#[test]
fn an_end_that_comes_too_late_changes_nothing() {
    let mut machine = machine(10_000, 10);
    machine.handle(now(Duration::ZERO), PortInput::Start(order(Protocol::Tcp, 1)));
    let Some(PortOutput::Send(send)) = machine.poll(now(Duration::ZERO)) else { panic!() };
    let (round, sequence) = (send.round, send.sequence);
    machine.handle(now(Duration::ZERO), PortInput::Begun { round, sequence, at: Duration::ZERO, source_port: 1 });
    assert_eq!(machine.next_deadline(), Some(500 * MS));
    assert_eq!(machine.poll(now(500 * MS)), Some(PortOutput::GiveUp { round, sequence }));
    machine
        .handle(now(501 * MS), PortInput::Answered { round, sequence, took: 501 * MS, by_kernel: true, resent: false });
    let Some(PortOutput::Closed(closed)) = machine.poll(now(501 * MS)) else { panic!() };
    assert_eq!((closed.sent.len(), closed.replied.len(), closed.rtt), (1, 0, None));
    assert_eq!(machine.next_deadline(), None);
}

#[test]
fn what_is_cut_short_is_not_called_lost() {
    let mut machine = machine(10_000, 10);
    machine.handle(now(Duration::ZERO), PortInput::Start(order(Protocol::Tcp, 5)));
    let Some(PortOutput::Send(send)) = machine.poll(now(Duration::ZERO)) else { panic!() };
    let (round, sequence) = (send.round, send.sequence);
    machine.handle(now(Duration::ZERO), PortInput::Begun { round, sequence, at: Duration::ZERO, source_port: 1 });
    machine.handle(now(MS), PortInput::Finish);
    assert_eq!(machine.poll(now(MS)), Some(PortOutput::GiveUp { round, sequence }));
    let Some(PortOutput::Closed(closed)) = machine.poll(now(MS)) else { panic!() };
    assert_eq!((closed.planned, closed.sent.len(), closed.replied.len()), (1, 0, 0));
    assert_eq!(machine.poll(now(MS)), None);
}

//! Does the walk through a host predict what the kernel does?
//!
//! Draws rule sets, loads each with `nft` into the network namespace of a host, reads it back as the agent does, and sends
//! probes in both directions: ICMP echoes, TCP to an open and to a closed port, UDP, over IPv4 and IPv6. What leaves the
//! host and what reaches its sockets must be what the walk says, or the walk says *perhaps*. A disagreement is reduced to
//! the smallest rule set that shows it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test stops at what it did not expect, reads the environment and waits"
)]

mod draw;
#[path = "../road/mod.rs"]
mod road;
mod wire;

use draw::{Drawn, draw};
use pingtong_agent::facts;
use pingtong_evidence::{InterfaceFact, packet_filter::RuleSet};
use pingtong_guest::{
    Connection, End, Flow, Host, How, Lookup, Owner, Packet, Passage, Route, Routing, Transport, answer, receive, send,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};
use wire::{CLOSED, Kind, OPEN, Seen, Sent, UDP, Wire, predicted};

/// Seeds of the test, each a rule set.
const SEEDS: std::ops::Range<u64> = 0..2_000;
/// Number of pairs of namespaces, each with a thread.
const THREADS: u64 = 2;
/// Maximum share of probes whose fate the walk leaves open, in thousandths.
const PERHAPS_PERMILLE_MAX: u64 = 100;
/// Maximum share of seeds whose rules `nft` does not take, in thousandths.
const NOT_LOADED_PERMILLE_MAX: u64 = 200;
/// How long a packet may take from one namespace to the other, and how long when earlier tries disagreed: on a busy machine the
/// kernel leaves packets to a thread of its own, which waits for its turn. What the walk gets wrong stays wrong.
const PATIENCE: [Duration; 4] =
    [Duration::from_millis(4), Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(800)];
/// Time without packets after which those of earlier probes are over, and how long they may take.
const QUIET: Duration = Duration::from_millis(150);
const SETTLED: Duration = Duration::from_secs(3);

const SYN: u8 = 2;
const ACK: u8 = 16;
const SYN_ACK: u8 = 18;
const RST_ACK: u8 = 20;

struct Routes;

impl Routing for Routes {
    fn towards(&self, lookup: &Lookup<'_>) -> Route {
        let within = |block: &str| block.parse::<pingtong_evidence::Cidr>().unwrap().contains(lookup.destination);
        match () {
            () if within("10.9.0.0/24") || within("fd09::/64") => Route::Device("vb".into()),
            () if within("10.8.0.0/24") || within("fd08::/64") => Route::Device("vx".into()),
            () => Route::Refused,
        }
    }
}

/// One probe: from the peer or from the host, of a kind, over IPv4 or IPv6.
#[derive(Debug, Clone, Copy)]
struct Probe {
    from_peer: bool,
    kind: Kind,
    ipv4: bool,
}

fn probes() -> impl Iterator<Item = Probe> {
    let kinds = [Kind::Echo { sequence: 1 }, Kind::Tcp(OPEN), Kind::Tcp(CLOSED), Kind::Udp];
    [true, false].into_iter().flat_map(move |from_peer| {
        [true, false].into_iter().flat_map(move |ipv4| kinds.map(|kind| Probe { from_peer, kind, ipv4 }))
    })
}

fn address(ipv4: bool, number: u8) -> IpAddr {
    if ipv4 { IpAddr::from([10, 9, 0, number]) } else { format!("fd09::{number}").parse().unwrap() }
}

/// What is predicted of one probe.
struct Prediction {
    seen: Seen,
    /// The connection that a second packet of the same flow belongs to.
    after: Option<Connection>,
}

/// The walk leaves it open.
struct Open;

fn request(probe: Probe, port: u16) -> Packet {
    let (own, other) = if probe.from_peer { (1, 2) } else { (2, 1) };
    let transport = match probe.kind {
        Kind::Echo { sequence } => Transport::Echo { reply: false, id: Some(port), sequence: Some(sequence) },
        Kind::Tcp(to) => Transport::Tcp { source: Some(port), destination: Some(to), flags: SYN },
        Kind::Udp => Transport::Udp { source: Some(port), destination: Some(UDP) },
    };
    let payload_bytes = match probe.kind {
        Kind::Tcp(_) => None,
        Kind::Echo { .. } | Kind::Udp => Some(8),
    };
    let mut packet = Packet::new(address(probe.ipv4, own), address(probe.ipv4, other), transport);
    (packet.payload_bytes, packet.ttl) = (payload_bytes, Some(64));
    packet
}

/// What left by a passage: at most one packet. An error if it is not certain whether one did, and which.
fn left(passage: &Passage) -> Result<Option<Sent>, Open> {
    if passage.surely_ends() {
        return Ok(None);
    }
    match (passage.end(), &passage.packet) {
        (Some(End::Left(device) | End::Forwarded(device)), Some(packet)) => {
            predicted(device, packet).map(Some).ok_or(Open)
        }
        (Some(End::Delivered), _) => Ok(None),
        _ => Err(Open),
    }
}

fn flags(delivered: &Packet) -> u8 {
    match delivered.transport {
        Transport::Tcp { destination: Some(OPEN), .. } => SYN_ACK,
        _ => RST_ACK,
    }
}

/// Whether a socket of the host answers what it was delivered.
fn answers(delivered: &Packet) -> bool {
    match delivered.transport {
        Transport::Udp { destination, .. } => destination == Some(UDP),
        _ => true,
    }
}

fn predict(host: &Host<'_>, probe: Probe, port: u16, flow: Flow) -> Result<Prediction, Open> {
    let packet = request(probe, port);
    if probe.from_peer { predict_request(host, packet, flow) } else { predict_sent(host, packet, flow) }
}

fn predict_request(host: &Host<'_>, packet: Packet, flow: Flow) -> Result<Prediction, Open> {
    let exchange = answer(host, packet, "vb", flow, flags);
    let request = &exchange.request;
    let after = request.connection;
    let mut seen = Seen::default();
    match (request.end(), &request.packet) {
        (Some(End::Delivered), Some(delivered)) => {
            seen.delivered = true;
            if !answers(delivered) {
                // A closed port of UDP: the kernel refuses, and whether it knows the connection then is open.
                return Err(Open);
            }
            let reply = exchange.reply.as_ref().map_or(Ok(None), left)?;
            if reply.is_some() && flags(delivered) == SYN_ACK {
                // The peer's third segment may be rejected.
                let flow = after.map_or(Flow::First, |connection| Flow::Original(connection.after_a_reply()));
                let third = receive(host, with_flags(packet, ACK), "vb", flow);
                if rejects(&third) {
                    return Err(Open);
                }
            }
            seen.left.extend(reply);
        }
        (Some(End::Forwarded(_)), Some(leaving)) => {
            // The peer answers if it is asked, and by the host if the source is one of the host's.
            if is_peer(leaving.destination) && leaving.source.is_some_and(|source| host.owns(source)) {
                return Err(Open);
            }
            seen.left.extend(left(request)?);
        }
        (Some(End::Unknown), _) => return Err(Open),
        (Some(_), _) => {
            for refusal in &exchange.refusals {
                seen.left.extend(left(&refusal.passage)?);
            }
        }
        (None, _) if request.surely_ends() && exchange.refusals.is_empty() => {}
        (None, _) => return Err(Open),
    }
    Ok(Prediction { seen, after })
}

fn with_flags(packet: Packet, flags: u8) -> Packet {
    match packet.transport {
        Transport::Tcp { source, destination, .. } => {
            Packet { transport: Transport::Tcp { source, destination, flags }, ..packet }
        }
        _ => packet,
    }
}

fn rejects(passage: &Passage) -> bool {
    passage.stops().any(|(_, how)| matches!(how, How::Reject(_)))
}

fn is_peer(address: Option<IpAddr>) -> bool {
    let own = ["10.9.0.1", "10.8.0.1", "fd09::1", "fd08::1"].map(|own| own.parse::<IpAddr>().unwrap());
    address.is_some_and(|address| own.contains(&address))
}

fn predict_sent(host: &Host<'_>, packet: Packet, flow: Flow) -> Result<Prediction, Open> {
    let passage = send(host, packet, Owner::User(0), flow);
    let nothing = Prediction { seen: Seen::default(), after: None };
    if rejects(&passage) {
        // The error goes to the host itself: one of TCP counts as delivered if nothing drops it.
        let is_tcp = matches!(packet.transport, Transport::Tcp { .. });
        return if passage.surely_ends() && !is_tcp { Ok(nothing) } else { Err(Open) };
    }
    let (Some(sent), Some(leaving)) = (left(&passage)?, passage.packet) else {
        // It came back to the host itself, or to nobody.
        return if passage.end() == Some(&End::Delivered) { Err(Open) } else { Ok(nothing) };
    };
    let mut seen = Seen { delivered: false, left: [sent].into() };
    // The peer answers at its own addresses, and to whom it has a route to.
    let reply = leaving.answered(flags(&leaving));
    let back = reply.destination.filter(|to| is_peer(leaving.destination) && host.owns(*to));
    let Some(Route::Device(back)) = back.map(|to| Routes.towards(&Lookup::to(to))) else {
        return Ok(Prediction { seen, after: passage.connection });
    };
    if !answers(&leaving) {
        return Err(Open);
    }
    let arrived = receive(host, Packet { ttl: Some(64), ..reply }, &back, passage.flow_of_answer());
    match arrived.end() {
        _ if rejects(&arrived) => return Err(Open),
        Some(End::Delivered) => seen.delivered = true,
        Some(End::Forwarded(_) | End::Unknown) => return Err(Open),
        Some(_) => {}
        None if arrived.surely_ends() => {}
        None => return Err(Open),
    }
    // A handshake goes on with its third segment.
    if let (true, Some(delivered)) = (seen.delivered && flags(&leaving) == SYN_ACK, arrived.packet)
        && matches!(leaving.transport, Transport::Tcp { .. })
    {
        let flow = arrived.connection.map_or(Flow::Unknown, Flow::Original);
        seen.left.extend(left(&send(host, delivered.answered(ACK), Owner::User(0), flow))?);
    }
    Ok(Prediction { seen, after: arrived.connection.or(passage.connection) })
}

/// Waits until no packet of an earlier probe is on its way any more.
fn settle(wire: &Wire, probe: Probe) {
    let count = || wire.host.delivered(probe.kind, probe.ipv4, !probe.from_peer);
    let deadline = Instant::now() + SETTLED;
    let (mut last, mut since) = (count(), Instant::now());
    while since.elapsed() < QUIET && Instant::now() < deadline {
        std::thread::yield_now();
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// What the kernel does with one probe. Looks until it is what is expected, at most as long as the patience.
fn observe(wire: &mut Wire, probe: Probe, port: u16, expected: &Seen, patience: Duration) -> Seen {
    wire.close();
    if patience > PATIENCE[0] {
        settle(wire, probe);
    }
    wire.drain();
    let (own, other) = if probe.from_peer { (1, 2) } else { (2, 1) };
    let before = wire.host.delivered(probe.kind, probe.ipv4, !probe.from_peer);
    wire.probe(
        probe.from_peer,
        probe.kind,
        SocketAddr::new(address(probe.ipv4, own), port),
        address(probe.ipv4, other),
    );
    let deadline = Instant::now() + patience;
    let mut seen = Seen::default();
    loop {
        wire.answer_datagrams();
        seen.left.extend(wire.left(port));
        // The counter of TCP is of all connections; the host's own shows what it got.
        seen.delivered |= match (probe.kind, probe.from_peer) {
            (Kind::Tcp(_), false) => wire.is_answered(),
            _ => wire.host.delivered(probe.kind, probe.ipv4, !probe.from_peer) > before,
        };
        if Instant::now() >= deadline || (*expected == seen && seen.delivered && !seen.left.is_empty()) {
            return seen;
        }
        std::thread::yield_now();
    }
}

#[derive(Debug, Default)]
struct Counts {
    probes: u64,
    perhaps: u64,
    not_loaded: u64,
    /// Why rule sets were not loaded.
    refusals: Vec<String>,
    wrong: Vec<String>,
}

struct Trial<'w> {
    wire: &'w mut Wire,
    interfaces: Vec<InterfaceFact>,
    port: u16,
}

impl Trial<'_> {
    fn fresh_port(&mut self) -> u16 {
        self.port = if self.port >= 60_000 { 20_000 } else { self.port + 1 };
        self.port
    }

    /// Loads a rule set and reads it back.
    fn load(&mut self, drawn: &Drawn) -> Result<RuleSet, String> {
        self.wire.load(&drawn.script())?;
        Ok(self.wire.host.net.within(facts::rule_set).unwrap())
    }

    /// Every probe on which walk and kernel disagree.
    fn disagreements(&mut self, rules: &RuleSet, counts: &mut Counts) -> Vec<String> {
        let mut wrong = vec![];
        for probe in probes() {
            if let Some(why) = self.flow(rules, probe, counts) {
                wrong.push(why);
            }
        }
        wrong
    }

    fn flow(&mut self, rules: &RuleSet, probe: Probe, counts: &mut Counts) -> Option<String> {
        let mut why = None;
        for patience in PATIENCE {
            let port = self.fresh_port();
            let interfaces = self.interfaces.clone();
            let host = Host {
                rules,
                is_whole: true,
                interfaces: &interfaces,
                routing: &Routes,
                forwards: Some(true),
                settings: None,
                queues: Some(&[]),
            };
            let prediction = predict(&host, probe, port, Flow::First);
            counts.probes += 1;
            let Ok(Prediction { seen: expected, after }) = prediction else {
                counts.perhaps += 1;
                return None;
            };
            let seen = observe(self.wire, probe, port, &expected, patience);
            if seen != expected {
                why = Some(format!("{probe:?} from port {port}\n  predicted {expected:?}\n  seen      {seen:?}"));
                continue;
            }
            let (Kind::Echo { .. }, Some(connection)) = (probe.kind, after) else { return None };
            // The second packet of the flow.
            let connection =
                if expected.delivered && !expected.left.is_empty() { connection.after_a_reply() } else { return None };
            let again = Probe { kind: Kind::Echo { sequence: 2 }, ..probe };
            let prediction = predict(&host, again, port, Flow::Original(connection));
            counts.probes += 1;
            let Ok(Prediction { seen: expected, .. }) = prediction else {
                counts.perhaps += 1;
                return None;
            };
            let seen = observe(self.wire, again, port, &expected, patience);
            if seen == expected {
                return None;
            }
            why = Some(format!(
                "{again:?} from port {port}, second packet\n  predicted {expected:?}\n  seen      {seen:?}"
            ));
        }
        why
    }

    /// The smallest rule set that still shows a disagreement.
    fn shrink(&mut self, drawn: Drawn) -> (Drawn, Vec<String>) {
        let mut smallest = (drawn, vec![]);
        for _ in 0..100 {
            let found = smallest.0.smaller().into_iter().find_map(|less| {
                let rules = self.load(&less).ok()?;
                let wrong = self.disagreements(&rules, &mut Counts::default());
                (!wrong.is_empty()).then_some((less, wrong))
            });
            match found {
                Some(less) => smallest = less,
                None => break,
            }
        }
        smallest
    }
}

fn run(wire: &mut Wire, seeds: impl Iterator<Item = u64>) -> Counts {
    let facts = wire.host.net.within(|| facts::read(order(), pingtong_evidence::Timestamp::from_millis(0)));
    let interfaces = facts.interfaces.known().unwrap().clone();
    let mut trial = Trial { wire, interfaces, port: 20_000 };
    let mut counts = Counts::default();
    for seed in seeds {
        let drawn = draw(seed);
        let rules = match trial.load(&drawn) {
            Ok(rules) => rules,
            Err(why) => {
                counts.not_loaded += 1;
                counts.refusals.push(format!("seed {seed}: {why}"));
                continue;
            }
        };
        let wrong = trial.disagreements(&rules, &mut counts);
        if !wrong.is_empty() {
            let (smallest, less) = trial.shrink(drawn.clone());
            let wrong = if less.is_empty() { wrong } else { less };
            counts.wrong.push(format!(
                "seed {seed}, {} rules:\n{}{}",
                smallest.rules(),
                smallest.script(),
                wrong.join("\n")
            ));
            if counts.wrong.len() >= 5 {
                break;
            }
        }
    }
    counts
}

fn order() -> facts::FactsOrder {
    let unknown = || pingtong_evidence::Known::Unknown(pingtong_evidence::WhyUnknown::NotAsked);
    facts::FactsOrder {
        agent: pingtong_evidence::AgentId::parse("host").unwrap(),
        request: None,
        peers: vec![],
        metadata: unknown(),
        engine: pingtong_evidence::ProbeEngine::Raw,
        observes: vec![],
        watched_ports: vec![],
        clock: pingtong_evidence::Known::Unknown(pingtong_evidence::WhyUnknown::NotAsked),
        since: None,
        until: None,
    }
}

#[test]
fn the_walk_agrees_with_the_kernel() {
    let workers: Vec<_> = (0..THREADS)
        .map(|first| {
            std::thread::spawn(move || {
                let mut wire = match Wire::build() {
                    Ok(wire) => wire,
                    Err(why) => {
                        assert!(std::env::var_os("CI").is_none(), "namespaces and nft are needed here: {why}");
                        eprintln!("SKIPPED: {why}");
                        return None;
                    }
                };
                Some(run(
                    &mut wire,
                    SEEDS.skip(usize::try_from(first).unwrap()).step_by(usize::try_from(THREADS).unwrap()),
                ))
            })
        })
        .collect();
    let all: Option<Vec<Counts>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    let Some(all) = all else { return };
    let sum = |of: fn(&Counts) -> u64| all.iter().map(of).sum::<u64>();
    let (probes, perhaps, not_loaded) = (sum(|c| c.probes), sum(|c| c.perhaps), sum(|c| c.not_loaded));
    let wrong: BTreeSet<&String> = all.iter().flat_map(|counts| &counts.wrong).collect();
    eprintln!("{probes} probes, {perhaps} left open, {not_loaded} rule sets not loaded");
    assert!(wrong.is_empty(), "{}", wrong.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n\n"));
    assert!(perhaps * 1_000 <= probes * PERHAPS_PERMILLE_MAX, "{perhaps} of {probes} left open");
    let refusals: Vec<&str> = all.iter().flat_map(|counts| &counts.refusals).map(String::as_str).collect();
    assert!(
        not_loaded * 1_000 <= (SEEDS.end - SEEDS.start) * NOT_LOADED_PERMILLE_MAX,
        "{not_loaded} not loaded:\n{}",
        refusals.join("\n")
    );
}

//! Probes of ports in network namespaces: the UDP echo of the far agent, and what it sees of datagrams and SYNs.
//!
//! Questions: is a silent port split into probes that never arrived and probes that the guest did not answer? Do two
//! agents measure a UDP path on their own, where no service answers? Is the direction of loss then exact to the packet,
//! with the counters of the firewall that drops them as the truth?

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and reads the real clock where it measures"
)]

mod road;

use pingtong_agent::{
    clock::Clock,
    engine::{Engine, Sockets},
    ports::{echo::PortEcho, probing::PortProbing, tap::PortTap},
    probing::Probing,
};
use pingtong_evidence::{AgentId, ArrivalRound, Known, PairId, PlanArrival, ProbeRound, Protocol, SequenceSet};
use pingtong_probe::{AgentHash, Arrived, NonceKey, PortOrder, Sighting};
use road::{CHAIN, Net, Road, THERE, THERE_V6, dropping};
use std::{net::IpAddr, time::Duration};
use tokio::time::{Instant, timeout};

/// Longer than any part of a test takes.
const DEADLINE: Duration = Duration::from_secs(30);
const HERE: &str = "10.1.0.1";
const HERE_V6: &str = "fd01::1";
const PORT: u16 = 7_007;

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn key() -> NonceKey {
    NonceKey::from_bytes([7; 32])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The far agent: observes arriving probes and echoes them, driven as by the run loop.
struct Far {
    probing: Probing,
    tap: PortTap,
    echo: PortEcho,
    arrivals: Vec<Arrived>,
}

impl Far {
    fn new(net: &Net, protocol: Protocol, allowed: Vec<u16>) -> Self {
        let engine = Engine::start(net.within(Sockets::open));
        let mut probing = Probing::new(Clock::start(), engine, agent("there"), key(), 1_000);
        probing.plan(key(), vec![agent("here")], std::collections::BTreeMap::new());
        let expected =
            |from, to| PlanArrival { agent: agent("here"), from: ip(from), to: ip(to), protocol, port: PORT };
        let expected = [expected(HERE, THERE), expected(HERE_V6, THERE_V6)];
        let mut tap = net.within(PortTap::open).unwrap();
        probing.sight(Sighting::Connections(tap.look_for(&expected)));
        let mut echo = PortEcho::new(allowed).unwrap();
        // A socket belongs to the namespace of the thread that opens it.
        let echo = net.within({
            let handle = tokio::runtime::Handle::current();
            move || {
                let _inside = handle.enter();
                echo.plan(key(), &expected);
                assert_eq!(echo.failed(), Vec::<String>::new());
                echo
            }
        });
        Self { probing, tap, echo, arrivals: vec![] }
    }

    fn turn(&mut self) {
        self.echo.answer();
        let probing = &mut self.probing;
        self.tap.drain(AgentHash::of(&agent("there")), |sighting| probing.sight(sighting));
        self.arrivals.extend(self.probing.pump().arrivals);
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = self.echo.ready() => {}
            () = self.tap.ready() => {}
            () = self.probing.wait() => {}
        }
    }

    fn finish(&mut self) {
        self.turn();
        self.arrivals.extend(self.probing.finish().arrivals);
        assert!(self.arrivals.iter().all(|part| part.seen().own_drops == 0), "{:?}", self.arrivals);
    }

    fn seen(&self, part: impl Fn(&ArrivalRound) -> &Known<SequenceSet>) -> SequenceSet {
        let known = self.arrivals.iter().map(|arrival| part(arrival.seen()).known().expect("somebody looked"));
        known.fold(SequenceSet::new(), |all, set| all.union(set))
    }
}

/// Sends a round while the far end takes its turns.
async fn send(road: &Road, protocol: Protocol, probes: u32, spacing: Duration, far: &mut Far) -> ProbeRound {
    send_to(road, THERE, protocol, probes, spacing, far).await
}

async fn send_to(
    road: &Road,
    to: &str,
    protocol: Protocol,
    probes: u32,
    spacing: Duration,
    far: &mut Far,
) -> ProbeRound {
    let order = PortOrder {
        pair: PairId::parse("pair").unwrap(),
        target: ip(to),
        protocol,
        port: PORT,
        probes,
        spacing,
        timeout: Duration::from_millis(500),
        request: None,
    };
    let handle = tokio::runtime::Handle::current();
    let (told, mut round) = tokio::sync::oneshot::channel();
    // Every probe opens a socket, so that the whole prober must live in the sender's namespace.
    road.here.start(move || {
        let round = handle.block_on(async {
            let mut near = PortProbing::new(Clock::start(), agent("here"), key(), 100_000).unwrap();
            near.start(order);
            loop {
                if let Some(round) = near.pump().pop() {
                    return round;
                }
                near.wait().await;
            }
        });
        let _ = told.send(round);
    });
    let deadline = Instant::now() + DEADLINE;
    loop {
        far.turn();
        tokio::select! {
            round = &mut round => {
                far.finish();
                return round.unwrap();
            }
            waited = timeout(Duration::from_millis(100), far.wait()) => drop(waited),
        }
        assert!(Instant::now() < deadline, "the round does not end");
    }
}

/// Waits until a probe arrives: the kernel brings interfaces up some time after the command, and loses what is sent
/// until then.
async fn settle(road: &Road, protocol: Protocol) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut far = Far::new(&road.there, protocol, vec![]);
        send(road, protocol, 1, Duration::ZERO, &mut far).await;
        if !far.seen(|part| &part.on_wire).is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "no way to {THERE}");
    }
}

fn counted(road: &Road, name: &str) -> u64 {
    let text = road.router.run(&format!("nft list counter inet t {name}")).unwrap();
    text.split_whitespace().skip_while(|word| *word != "packets").nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn two_agents_measure_a_udp_path_by_themselves_and_loss_is_exact_to_the_packet() {
    let Some(road) = road::build() else { return };
    settle(&road, Protocol::Udp).await;
    let mut far = Far::new(&road.there, Protocol::Udp, vec![PORT]);
    let whole = send(&road, Protocol::Udp, 40, Duration::from_millis(2), &mut far).await;
    assert_eq!((whole.sent.len(), whole.replied.len()), (40, 40), "{whole:?}");
    assert_eq!(whole.ports.unwrap().closed.len(), 0, "echoed, not refused");
    drop(far);
    road.router.all(&format!(
        "{CHAIN} {{ type filter hook forward priority 0 ; }}
         nft add counter inet t out
         nft add counter inet t back
         nft add rule inet t c udp dport {PORT} numgen random mod 1000 < 100 counter name out drop
         nft add rule inet t c udp sport {PORT} numgen random mod 1000 < 50 counter name back drop"
    ));
    let mut far = Far::new(&road.there, Protocol::Udp, vec![PORT]);
    let round = send(&road, Protocol::Udp, 2_000, Duration::from_micros(500), &mut far).await;
    let (on_wire, replied) = (far.seen(|part| &part.on_wire), far.seen(|part| &part.replied));
    assert_eq!(round.sent.len(), 2_000, "{:?}", round.send_errors);
    assert_eq!((round.own_drops, on_wire.missing_from(&replied)), (0, 0));
    assert_eq!(round.sent.missing_from(&on_wire), counted(&road, "out"), "lost on the way out");
    assert_eq!(replied.missing_from(&round.replied.union(&round.late)), counted(&road, "back"), "lost on the way back");
    assert!(counted(&road, "out") > 0 && counted(&road, "back") > 0);
}

#[tokio::test]
async fn a_guest_that_drops_datagrams_is_told_from_a_path_that_does() {
    let Some(road) = road::build() else { return };
    settle(&road, Protocol::Udp).await;
    road.there.all(&dropping("input", &format!("udp dport {PORT}")));
    let mut far = Far::new(&road.there, Protocol::Udp, vec![PORT]);
    let round = send(&road, Protocol::Udp, 20, Duration::from_millis(2), &mut far).await;
    assert_eq!((round.sent.len(), round.replied.len()), (20, 0));
    assert_eq!((far.seen(|part| &part.on_wire).len(), far.seen(|part| &part.replied).len()), (20, 0));
}

/// Sends a round of connections; returns how many of them the far agent saw arrive, and saw answered.
async fn connect(road: &Road, to: &str) -> (ProbeRound, [u64; 2]) {
    let mut far = Far::new(&road.there, Protocol::Tcp, vec![]);
    let round = send_to(road, to, Protocol::Tcp, 20, Duration::from_millis(5), &mut far).await;
    let of_round = far.arrivals.iter().filter_map(|part| match part {
        Arrived::Connections(part) => part.of_round(&round),
        Arrived::Round(_) => None,
    });
    far.arrivals = of_round.map(Arrived::Round).collect();
    let counts = [far.seen(|part| &part.on_wire).len(), far.seen(|part| &part.replied).len()];
    (round, counts)
}

#[tokio::test]
async fn a_silent_tcp_port_is_split_into_never_arrived_and_arrived_without_an_answer() {
    let refusal = format!("tcp dport {PORT}");
    for (name, at_guest, at_router, expected) in [
        ("nothing", String::new(), String::new(), ([20, 20], 20)),
        ("input", dropping("input", &refusal), String::new(), ([20, 0], 0)),
        ("answers", dropping("output", &format!("tcp sport {PORT}")), String::new(), ([20, 0], 0)),
        ("path", String::new(), dropping("forward", &refusal), ([0, 0], 0)),
        ("way back", String::new(), dropping("forward", &format!("tcp sport {PORT}")), ([20, 20], 0)),
    ] {
        let Some(road) = road::build() else { return };
        settle(&road, Protocol::Tcp).await;
        road.there.all(&at_guest);
        road.router.all(&at_router);
        let (round, seen) = connect(&road, THERE).await;
        assert_eq!(round.sent.len(), 20, "{name}");
        assert_eq!((seen, round.replied.len()), expected, "{name}: arrived and answered there, answered here");
    }
}

#[tokio::test]
async fn connections_over_ipv6_are_seen_too_and_those_of_a_service_are_answered() {
    let Some(road) = road::build() else { return };
    settle(&road, Protocol::Tcp).await;
    let listener = road.there.within(|| std::net::TcpListener::bind((THERE_V6, PORT)).unwrap());
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (round, seen) = connect(&road, THERE_V6).await;
        if seen[0] == 20 {
            assert_eq!((seen[1], round.replied.len(), round.ports.unwrap().closed.len()), (20, 20, 0));
            break;
        }
        assert!(Instant::now() < deadline, "no way to {THERE_V6}");
    }
    drop(listener);
}

#[tokio::test]
async fn a_flood_of_connections_is_told_as_far_as_it_was_kept_and_the_rest_as_dropped() {
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket};
    const SYNS: u16 = 20_000;
    let Some(road) = road::build() else { return };
    settle(&road, Protocol::Tcp).await;
    let mut far = Far::new(&road.there, Protocol::Tcp, vec![]);
    let flood = road.here.within(|| {
        let kind = (SockType::Raw, SockFlag::empty(), SockProtocol::Tcp);
        socket(AddressFamily::Inet, kind.0, kind.1, kind.2).unwrap()
    });
    let to = SockaddrIn::new(10, 2, 0, 1, 0);
    for (number, source) in (10_000..10_000 + SYNS).enumerate() {
        let mut syn = [0; 20];
        syn[..2].copy_from_slice(&source.to_be_bytes());
        syn[2..4].copy_from_slice(&PORT.to_be_bytes());
        (syn[12], syn[13]) = (0x50, 2);
        // Its checksum is wrong, so that the host does not answer it.
        sendto(std::os::fd::AsRawFd::as_raw_fd(&flood), &syn, &to, MsgFlags::empty()).unwrap();
        if number % 512 == 0 {
            far.turn();
        }
    }
    let kept = |far: &Far| far.arrivals.iter().map(|part| part.seen().on_wire.known().unwrap().len()).sum::<u64>();
    let dropped = |far: &Far| far.arrivals.iter().map(|part| part.seen().own_drops).sum::<u64>();
    let deadline = Instant::now() + DEADLINE;
    while kept(&far) + dropped(&far) < SYNS.into() {
        assert!(Instant::now() < deadline, "{} kept and {} dropped", kept(&far), dropped(&far));
        let _ = timeout(Duration::from_millis(100), far.wait()).await;
        far.turn();
    }
    assert_eq!(kept(&far) + dropped(&far), u64::from(SYNS));
    assert!(kept(&far) > 0 && dropped(&far) > 0 && far.arrivals.len() < 100, "{} parts", far.arrivals.len());
}

//! The engine in network namespaces: what happens to probes that a guest refuses, and where probes are lost.
//!
//! Questions: are the cases "never arrived", "refused by the guest", "accepted but not answered" and "answered, but the
//! reply dropped" distinguished, for each way in which a guest can cause them? Is the direction of loss exact to the
//! packet, with the counters of the firewall that drops them as the truth? A sender, a router and a responder are
//! joined by veth pairs; nothing leaves this host. Where namespaces are not permitted, the test says so and passes,
//! except under `CI`, where it must run.

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
    probing::Probing,
};
use pingtong_evidence::{AgentId, ArrivalRound, Known, PairId, ProbeRound, RoundPurpose, SequenceSet};
use pingtong_probe::{NonceKey, RoundOrder, load_steps};
use road::{CHAIN, Net, Road, THERE, THERE_V6, dropping};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};
use tokio::time::{Instant, timeout};

/// Longer than any part of a test takes.
const DEADLINE: Duration = Duration::from_secs(30);
const PROBES: u32 = 20;

/// Waits until the responder is reachable: the kernel brings interfaces and IPv6 up some time after the command, and
/// loses what is sent until then.
async fn settle(road: &Road) {
    let deadline = Instant::now() + DEADLINE;
    for to in [THERE, THERE_V6] {
        while probe(road, to, 1, Duration::ZERO).await.round.replied.is_empty() {
            assert!(Instant::now() < deadline, "no way to {to}");
        }
    }
}

/// Builds the network; `None`, with the reason on standard error, if that is not possible. Fails under `CI`.
async fn road() -> Option<Road> {
    let road = road::build()?;
    settle(&road).await;
    Some(road)
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

/// Engine, ledger and prober of a whole agent, in a namespace.
fn probing(net: &Net, name: &str) -> Probing {
    let engine = Engine::start(net.within(Sockets::open));
    assert_eq!(engine.shortcomings(), [], "both sockets are needed");
    let key = NonceKey::from_bytes([7; 32]);
    let mut probing = Probing::new(Clock::start(), engine, agent(name), key.clone(), 100_000);
    probing.plan(key, vec![agent("here")], BTreeMap::new());
    probing
}

/// What both ends saw.
struct Seen {
    round: ProbeRound,
    arrivals: Vec<ArrivalRound>,
}

impl Seen {
    fn arrived(&self, part: impl Fn(&ArrivalRound) -> &Known<SequenceSet>) -> SequenceSet {
        let known = self.arrivals.iter().map(|arrival| part(arrival).known().expect("somebody looked"));
        known.fold(SequenceSet::new(), |all, set| all.union(set))
    }

    /// Numbers of probes seen on the responder's interface, accepted by it, answered by it, and answered for the
    /// sender.
    fn counts(&self) -> [u64; 4] {
        let on_wire = self.arrived(|arrival| &arrival.on_wire).len();
        let accepted = self.arrived(|arrival| &arrival.accepted).len();
        let replied = self.arrived(|arrival| &arrival.replied).len();
        [on_wire, accepted, replied, self.round.replied.len()]
    }
}

/// Sends a round and waits for the reports of both ends.
async fn probe(road: &Road, to: &str, probes: u32, spacing: Duration) -> Seen {
    let order = RoundOrder {
        pair: PairId::parse("pair").unwrap(),
        target: to.parse::<IpAddr>().unwrap(),
        probes,
        spacing,
        timeout: Duration::from_millis(500),
        payload_bytes: 56,
        purpose: RoundPurpose::Connectivity,
        bucket: None,
        request: None,
    };
    send(road, order).await
}

async fn send(road: &Road, order: RoundOrder) -> Seen {
    let (mut here, mut there) = (probing(&road.here, "here"), probing(&road.there, "there"));
    here.start(order);
    let (mut rounds, mut arrivals) = (vec![], vec![]);
    let deadline = Instant::now() + DEADLINE;
    while rounds.is_empty() {
        assert!(Instant::now() < deadline, "the round does not end");
        rounds.extend(here.pump().rounds);
        arrivals.extend(there.pump().arrivals.iter().map(|part| part.seen().clone()));
        if rounds.is_empty() {
            // There may be nothing that either end waits for, so that a timeout is not a failure.
            let _ = timeout(Duration::from_millis(100), async {
                tokio::select! { () = here.wait() => {}, () = there.wait() => {} }
            })
            .await;
        }
    }
    arrivals.extend(there.finish().arrivals.iter().map(|part| part.seen().clone()));
    assert!(arrivals.iter().all(|arrival| arrival.own_drops == 0), "the responder dropped sights: {arrivals:?}");
    assert_eq!(rounds[0].own_drops, 0);
    Seen { round: rounds.remove(0), arrivals }
}

/// Each fault: its name, commands that cause it at the responder, and the expected [`Seen::counts`].
fn wrongs() -> Vec<(&'static str, String, [u64; 4])> {
    let request = "icmp type echo-request";
    let card = "nft add table netdev t\n nft add chain netdev t c { type filter hook ingress device up0 priority 0 ; }";
    vec![
        ("nothing", String::new(), [20, 20, 20, 20]),
        ("no echo", "sysctl ipv4/icmp_echo_ignore_all 1".to_owned(), [20, 20, 0, 0]),
        ("input", dropping("input", request), [20, 0, 0, 0]),
        ("prerouting", dropping("prerouting", request), [20, 0, 0, 0]),
        ("ingress of the card", format!("{card}\n nft add rule netdev t c {request} drop"), [20, 0, 0, 0]),
        ("output", dropping("output", "icmp type echo-reply"), [20, 20, 0, 0]),
        (
            "reverse path",
            "ip route add 10.1.0.1/32 dev lo\n sysctl ipv4/conf/up0/rp_filter 1".to_owned(),
            [20, 0, 0, 0],
        ),
        ("no such address", "ip addr del 10.2.0.1/24 dev up0".to_owned(), [20, 0, 0, 0]),
        (
            "no way back",
            "sysctl ipv4/conf/all/rp_filter 0\n sysctl ipv4/conf/up0/rp_filter 0\n ip route add blackhole 10.1.0.1/32"
                .to_owned(),
            [20, 20, 0, 0],
        ),
    ]
}

#[tokio::test]
async fn every_way_of_refusing_shows_where_it_is() {
    for (name, commands, expected) in wrongs() {
        let Some(road) = road().await else { return };
        // The router must deliver the probes even if nothing answers for the address any more.
        let line = road.there.run("ip -br link show up0").unwrap();
        let card = line.split_whitespace().nth(2).unwrap();
        road.router.all(&format!("ip neigh replace {THERE} lladdr {card} dev r2 nud permanent"));
        road.there.all(&commands);
        let seen = probe(&road, THERE, PROBES, Duration::from_millis(5)).await;
        assert_eq!(seen.round.sent.len(), u64::from(PROBES), "{name}");
        assert_eq!(seen.counts(), expected, "{name}: on the wire, let in, reply left, answered");
        if let Some(rtt) = seen.round.rtt {
            assert!(rtt.kernel_timestamps && rtt.kernel_departures, "{name}: {rtt:?}");
        }
    }
}

#[tokio::test]
async fn over_ipv6_too() {
    let Some(road) = road().await else { return };
    let seen = probe(&road, THERE_V6, PROBES, Duration::from_millis(5)).await;
    assert_eq!(seen.counts(), [20, 20, 20, 20], "nothing is wrong");
    assert_eq!(seen.round.replied_on_wire.known().unwrap().len(), 20);
    assert!(seen.round.rtt.unwrap().kernel_departures);
    road.there.all(&dropping("input", "icmpv6 type echo-request"));
    let seen = probe(&road, THERE_V6, PROBES, Duration::from_millis(5)).await;
    assert_eq!(seen.counts(), [20, 0, 0, 0], "refused by the guest");
    road.router.all(&format!(
        "{CHAIN} {{ type filter hook forward priority 0 ; }}
         nft add rule inet t c icmpv6 type echo-request reject with icmpv6 type admin-prohibited"
    ));
    let seen = probe(&road, THERE_V6, PROBES, Duration::from_millis(5)).await;
    assert_eq!(seen.counts(), [0; 4], "refused by the router");
    let told = &seen.round.icmp_errors[..];
    let router: IpAddr = "fd01::fe".parse().unwrap();
    assert!(matches!(told, [error] if (error.from, error.icmp_type, error.code) == (router, 1, 1)), "{told:?}");
}

#[tokio::test]
async fn what_never_arrived_was_seen_by_nobody() {
    let Some(road) = road().await else { return };
    road.router.all(&dropping("forward", "icmp type echo-request"));
    let seen = probe(&road, THERE, PROBES, Duration::from_millis(5)).await;
    assert_eq!((seen.round.sent.len(), seen.counts()), (20, [0; 4]));
}

#[tokio::test]
async fn a_reply_that_the_senders_own_firewall_swallows_was_on_its_wire() {
    let Some(road) = road().await else { return };
    road.here.all(&format!(
        "{CHAIN} {{ type filter hook input priority 0 ; }}
         nft add rule inet t c icmp type echo-reply drop"
    ));
    let seen = probe(&road, THERE, PROBES, Duration::from_millis(5)).await;
    assert_eq!(seen.counts(), [20, 20, 20, 0]);
    assert_eq!(seen.round.replied_on_wire.known().unwrap().len(), 20);
}

#[tokio::test]
async fn a_refusal_of_the_own_kernel_is_told_by_its_number_and_stamps_stay_with_their_probes() {
    let Some(road) = road().await else { return };
    road.here.all(&format!(
        "{CHAIN} {{ type filter hook output priority 0 ; }}
         nft add rule inet t c icmp type echo-request numgen inc mod 3 0 drop"
    ));
    let seen = probe(&road, THERE, 300, Duration::from_micros(100)).await;
    // A batch that stops at a refusal continues there with a second try, which the firewall may let pass.
    let refused: u64 = seen.round.send_errors.iter().map(|error| error.probes.len()).sum();
    assert!(seen.round.send_errors.iter().all(|error| error.errno == libc::EPERM), "{:?}", seen.round.send_errors);
    assert_eq!(seen.round.sent.len() + refused, 300);
    assert_eq!(seen.counts(), [seen.round.sent.len(); 4], "what was sent came and was answered");
    let rtt = seen.round.rtt.unwrap();
    assert!(rtt.min.0 > 0 && rtt.max.0 < 400_000_000, "a stamp of another probe would show: {rtt:?}");
}

#[tokio::test]
async fn the_direction_of_loss_is_exact_to_the_packet() {
    let Some(road) = road().await else { return };
    road.router.all(&format!(
        "{CHAIN} {{ type filter hook forward priority 0 ; }}
         nft add counter inet t out
         nft add counter inet t back
         nft add rule inet t c icmp type echo-request numgen random mod 1000 < 50 counter name out drop
         nft add rule inet t c icmp type echo-reply numgen random mod 1000 < 20 counter name back drop"
    ));
    let probes = 20_000;
    let seen = probe(&road, THERE, probes, Duration::from_micros(100)).await;
    let counted = |name: &str| -> u64 {
        let text = road.router.run(&format!("nft list counter inet t {name}")).unwrap();
        text.split_whitespace().skip_while(|word| *word != "packets").nth(1).unwrap().parse().unwrap()
    };
    let [on_wire, accepted, replied, answered] = seen.counts();
    assert_eq!(seen.round.sent.len(), u64::from(probes));
    assert_eq!((accepted, replied), (on_wire, on_wire));
    assert_eq!(u64::from(probes) - on_wire, counted("out"), "lost on the way out");
    assert_eq!(on_wire - answered, counted("back"), "lost on the way back");
    assert!(counted("out") > 0 && counted("back") > 0);
}

#[tokio::test]
async fn a_load_tells_what_each_direction_carries() {
    let Some(road) = road().await else { return };
    road.router.all(&format!(
        "{CHAIN} {{ type filter hook forward priority 0 ; }}
         nft add counter inet t out
         nft add counter inet t back
         nft add rule inet t c icmp type echo-request ip length > 1000 limit rate over 240 kbytes/second burst 20 kbytes counter name out drop
         nft add rule inet t c icmp type echo-reply ip length > 1000 limit rate over 115 kbytes/second burst 20 kbytes counter name back drop"
    ));
    let step = load_steps(8, 3)[2];
    let seen = send(
        &road,
        RoundOrder {
            pair: PairId::parse("pair").unwrap(),
            target: THERE.parse().unwrap(),
            probes: step.probes,
            spacing: step.spacing,
            timeout: Duration::from_millis(500),
            payload_bytes: step.payload_bytes,
            purpose: RoundPurpose::Load { bits_per_s: step.bits_per_s },
            bucket: None,
            request: None,
        },
    )
    .await;
    let counted = |name: &str| -> u64 {
        let text = road.router.run(&format!("nft list counter inet t {name}")).unwrap();
        text.split_whitespace().skip_while(|word| *word != "packets").nth(1).unwrap().parse().unwrap()
    };
    let ([arrived, _, answered, received], sent) = (seen.counts(), seen.round.sent.len());
    assert_eq!((sent, seen.round.purpose), (step.probes.into(), RoundPurpose::Load { bits_per_s: 8_000_000 }));
    assert_eq!((sent - arrived, answered - received), (counted("out"), counted("back")), "each way its own loss");
    // The limits start with a second's worth plus the burst, so that 4 Mbit/s go out and 2 come back in this one
    // second.
    let kbit = |packets: u64| packets * 8_000 / sent;
    let took = seen.round.ended_at.since(seen.round.started_at);
    let text = format!("{arrived} arrived, {received} back of {sent} within {took:?}");
    assert!((3_500..5_000).contains(&kbit(arrived)) && (1_700..2_800).contains(&kbit(received)), "{text}");
}

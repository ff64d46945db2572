//! Impairments of pairs whose packets pass: packet size, bandwidth, delay.

use crate::tests::world::*;
use crate::{State, Verdict};
use pingtong_evidence::*;
use std::net::IpAddr;

const SEGMENT: &str = "ri-a~ri-b";

/// How the network path treats unfragmented packets of one direction.
#[derive(Debug, Clone, Copy)]
struct Path {
    /// Largest size in bytes that reaches the far interface.
    passes: u32,
    /// Sender of "fragmentation needed" for larger packets, if there is one.
    told_by: Option<&'static str>,
}

const WHOLE: Path = Path { passes: 1_500, told_by: None };

fn narrow(passes: u32) -> Path {
    Path { passes, told_by: None }
}

/// Adds a size search by one side: six packets of each size.
fn search(world: &mut World, flow: Direction, path: Path, observed: bool) {
    let pair = world.case.pair.clone();
    let (from, to) = (pair.endpoint(flow.source()), pair.endpoint(flow.destination()));
    let model = world.case.probes.iter().find(|round| round.target == to.address).unwrap().clone();
    for (n, size) in (0u64..).zip([84, 1_300, path.passes.min(1_500), (path.passes + 1).min(1_500), 1_500]) {
        let sent = SequenceSet::first(6);
        let passed = if size <= path.passes { sent.clone() } else { SequenceSet::new() };
        let told = path.told_by.filter(|_| size > path.passes);
        let key = RoundKey { round: (1_000 + n).into(), ..model.key.clone() };
        world.case.probes.push(ProbeRound {
            key: key.clone(),
            payload_bytes: size - 28,
            purpose: RoundPurpose::PathSize,
            planned: 6,
            sent,
            replied: passed.clone(),
            icmp_errors: told
                .map_or_else(Vec::new, |by| vec![IcmpError { from: ip(by), icmp_type: 3, code: 4, count: 6 }]),
            rtt: None,
            ..model.clone()
        });
        if observed && !passed.is_empty() {
            world.case.arrivals.push(ArrivalRound {
                observer: to.agent.clone().unwrap(),
                key,
                from: from.address,
                to: to.address,
                first_at: at(1_000),
                last_at: at(1_100),
                watching_ms: Some(60_000),
                interface: "eth0".into(),
                on_wire: Known::Known(passed.clone()),
                accepted: Known::Known(passed.clone()),
                replied: Known::Known(passed),
                replied_elsewhere: vec![],
                own_drops: 0,
            });
        }
    }
}

fn sized(forward: Path, back: Path) -> World {
    let mut world = World::healthy();
    search(&mut world, Direction::Forward, forward, true);
    search(&mut world, Direction::Return, back, true);
    world
}

fn causes(verdict: &Verdict) -> Vec<(String, String, Option<Direction>)> {
    verdict.causes.iter().map(|c| (c.code.to_string(), c.object.id.clone(), c.direction)).collect()
}

fn black_hole(direction: Option<Direction>) -> Vec<(String, String, Option<Direction>)> {
    vec![("mtu-black-hole".to_owned(), SEGMENT.to_owned(), direction)]
}

#[test]
fn packets_of_every_size_pass_and_nothing_is_blamed() {
    let verdict = sized(WHOLE, WHOLE).verdict();
    assert_eq!((verdict.state, causes(&verdict)), (State::Healthy, vec![]));
    let said = &verdict.steps[8].evidence;
    assert!(said.iter().any(|line| line.text.contains("1500 bytes pass unfragmented")), "{said:#?}");
}

#[test]
fn large_packets_that_vanish_are_blamed_with_the_size_and_the_direction() {
    for (forward, back, direction) in [
        (narrow(1_400), WHOLE, Some(Direction::Forward)),
        (WHOLE, narrow(1_400), Some(Direction::Return)),
        (narrow(1_400), narrow(1_400), None),
    ] {
        let verdict = sized(forward, back).verdict();
        assert_eq!((verdict.state, causes(&verdict)), (State::Degraded, black_hole(direction)));
        let said = &verdict.causes[0].evidence[0].text;
        assert!(said.contains("up to 1400 bytes") && said.contains("1401 bytes and more"), "{said}");
    }
    let verdict = sized(narrow(1_400), narrow(1_300)).verdict();
    assert_eq!(verdict.causes.len(), 2, "two sizes are two causes: {:#?}", verdict.causes);
}

#[test]
fn where_nobody_looked_the_direction_stays_open() {
    let mut world = World::healthy();
    search(&mut world, Direction::Forward, narrow(1_400), true);
    world.silence(Side::Acceptor);
    assert_eq!(causes(&world.verdict()), black_hole(None));
}

#[test]
fn fragmentation_needed_makes_it_no_fault_whoever_sends_it() {
    for by in ["192.168.1.253", "172.16.1.10", "192.168.1.10"] {
        let told = Path { passes: 1_400, told_by: Some(by) };
        let verdict = sized(told, WHOLE).verdict();
        assert_eq!((verdict.state, causes(&verdict)), (State::Healthy, vec![]), "{by}");
        assert!(verdict.steps[8].evidence.iter().any(|line| line.text.contains(by)), "{:#?}", verdict.steps[8]);
    }
}

#[test]
fn what_the_own_kernel_refuses_for_its_size_is_no_loss() {
    let mut world = sized(narrow(1_400), WHOLE);
    for round in world.case.probes.iter_mut().filter(|r| r.purpose == RoundPurpose::PathSize && r.payload_bytes > 1_372)
    {
        let probes = std::mem::take(&mut round.sent);
        round.send_errors = vec![SendErrors { errno: 90, probes }];
    }
    let verdict = world.verdict();
    assert_eq!((verdict.state, causes(&verdict)), (State::Healthy, vec![]));
}

#[test]
fn a_few_lost_packets_and_a_very_lossy_path_are_no_black_hole() {
    let mut few = sized(narrow(1_400), WHOLE);
    let dead: Vec<_> = few
        .case
        .probes
        .iter()
        .filter(|r| r.purpose == RoundPurpose::PathSize && r.payload_bytes > 1_372)
        .map(|r| r.key.round)
        .collect();
    few.case.probes.retain(|r| !dead.contains(&r.key.round) || r.key.round == dead[0]);
    for round in few.case.probes.iter_mut().filter(|r| r.key.round == dead[0] && r.purpose == RoundPurpose::PathSize) {
        round.sent = SequenceSet::first(5);
    }
    let lone = few.verdict();
    assert_eq!((lone.state, causes(&lone)), (State::Healthy, vec![]), "five dead packets");
    let mut lossy = World::healthy();
    lossy.wire(Wire::LosesRequests(2), Wire::Through);
    search(&mut lossy, Direction::Forward, narrow(1_400), true);
    let codes: Vec<String> = causes(&lossy.verdict()).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["loss-in-fabric"], "half of everything is lost, so twelve of one size may be");
}

#[test]
fn a_dead_pair_says_nothing_of_sizes() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    search(&mut world, Direction::Forward, narrow(83), true);
    let codes: Vec<String> = causes(&world.verdict()).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["fabric-fault"]);
}

/// A summary of round-trip times, given in tenths of a millisecond.
pub(in crate::tests) fn times(low: u64, middle: u64, high: u64, jitter: u64) -> RttSummary {
    let tenths = |n: u64| Nanos(n * 100_000);
    RttSummary {
        samples: 100,
        min: tenths(low),
        mean: tenths(middle),
        p50: tenths(middle),
        p95: tenths(high),
        p99: tenths(high),
        max: tenths(high),
        jitter: tenths(jitter),
        kernel_timestamps: true,
        kernel_departures: true,
    }
}

/// Sets the times of every judged round to `now` and adds `rounds` earlier rounds of each flow with the times `usual`.
pub(in crate::tests) fn timed(world: &mut World, now: RttSummary, usual: RttSummary, rounds: u64) {
    for round in world.case.probes.iter_mut().filter(|round| round.purpose != RoundPurpose::PathSize) {
        round.rtt = Some(now);
    }
    for round in world.case.probes.clone() {
        for n in 0..rounds {
            let key = RoundKey { round: n.into(), ..round.key.clone() };
            let before = i64::try_from((rounds - n) * 1_000).unwrap();
            let (started_at, ended_at) = (at(-before), at(900 - before));
            world.case.earlier.push(ProbeRound { key, started_at, ended_at, rtt: Some(usual), ..round.clone() });
        }
    }
}

pub(in crate::tests) fn metric(world: &mut World, side: Side, kind: LinkMetricKind, at_ms: i64, value: u64) {
    let metric = LinkMetric {
        interface: id(&format!("ri-{}", World::side(side).0)),
        kind,
        period_s: 60,
        points: vec![MetricPoint { at: at(at_ms), average_milli: Some(value * 1_000), maximum_milli: None }],
        provenance: Provenance(0),
    };
    let snapshot = world.snapshot(side);
    match &mut snapshot.link_metrics {
        Known::Known(all) => all.push(metric),
        Known::Unknown(_) => snapshot.link_metrics = Known::Known(vec![metric]),
    }
}

pub(in crate::tests) fn lossy() -> World {
    let mut world = World::healthy();
    world.wire(Wire::LosesRequests(20), Wire::Through);
    for side in Side::BOTH {
        world.interface(side).bandwidth_mbps = Some(2);
        world.snapshot(side).link_metrics = Known::Known(vec![]);
    }
    world
}

fn saturated() -> Vec<(String, String, Option<Direction>)> {
    vec![("bandwidth-saturated".to_owned(), "ri-a".to_owned(), Some(Direction::Forward))]
}

fn fabric_loss() -> Vec<(String, String, Option<Direction>)> {
    vec![("loss-in-fabric".to_owned(), SEGMENT.to_owned(), Some(Direction::Forward))]
}

#[test]
fn loss_at_the_time_of_rate_limit_drops_or_of_a_full_connection_is_the_bandwidths() {
    use LinkMetricKind::{RateLimitDropPps, ReceivedBitsPerSecond, SentBitsPerSecond};
    for (side, kind, at_ms, value, expect) in [
        (Side::Initiator, RateLimitDropPps, 0, 3, saturated()),
        (Side::Initiator, RateLimitDropPps, -150_000, 3, saturated()),
        (Side::Initiator, RateLimitDropPps, -900_000, 3, fabric_loss()),
        (Side::Initiator, RateLimitDropPps, 0, 0, fabric_loss()),
        (Side::Acceptor, RateLimitDropPps, 0, 3, fabric_loss()),
        (Side::Initiator, SentBitsPerSecond, 0, 1_900_000, saturated()),
        (Side::Initiator, SentBitsPerSecond, 0, 1_500_000, fabric_loss()),
        (Side::Acceptor, ReceivedBitsPerSecond, 0, 1_900_000, saturated()),
        (Side::Acceptor, SentBitsPerSecond, 0, 1_900_000, fabric_loss()),
    ] {
        let mut world = lossy();
        metric(&mut world, side, kind, at_ms, value);
        let verdict = world.verdict();
        assert_eq!((verdict.state, causes(&verdict)), (State::Degraded, expect), "{side} {kind:?} {at_ms} {value}");
    }
}

#[test]
fn a_full_connection_without_loss_and_loss_without_load_are_not_the_bandwidths() {
    let mut full = lossy();
    full.wire(Wire::Through, Wire::Through);
    metric(&mut full, Side::Initiator, LinkMetricKind::RateLimitDropPps, 0, 3);
    assert_eq!(full.verdict().state, State::Healthy);
    let plain = lossy().verdict();
    assert_eq!(causes(&plain), fabric_loss());
    assert!(plain.suspects.is_empty(), "the metrics were read and tell of no load: {:?}", plain.suspects);
    let mut unread = lossy();
    unread.snapshot(Side::Acceptor).link_metrics = Known::default();
    let suspects = unread.verdict().suspects;
    assert_eq!(suspects[0].codes, [crate::CauseCode::BandwidthSaturated]);
    assert_eq!(suspects[0].side, Some(Side::Acceptor));
}

#[test]
fn both_directions_full_are_one_cause() {
    let mut world = lossy();
    world.wire(Wire::LosesRequests(20), Wire::LosesRequests(20));
    for side in Side::BOTH {
        metric(&mut world, side, LinkMetricKind::RateLimitDropPps, 0, 3);
    }
    let expect = vec![("bandwidth-saturated".to_owned(), "ri-a".to_owned(), None)];
    assert_eq!(causes(&world.verdict()), expect);
}

#[test]
fn a_queue_that_fills_or_stands_while_packets_are_lost_is_the_bandwidths() {
    let calm = times(10, 11, 12, 0);
    for (what, now, expect) in [
        ("climbs smoothly", times(10, 1_500, 2_000, 10), saturated()),
        ("jumps about", times(10, 200, 450, 90), fabric_loss()),
        ("hardly climbs", times(10, 80, 150, 1), fabric_loss()),
    ] {
        let mut world = lossy();
        timed(&mut world, now, calm, 5);
        assert_eq!(causes(&world.verdict()), expect, "{what}");
    }
    for (bits, expect) in [(5_000_000, saturated()), (100_000, fabric_loss())] {
        let mut standing = lossy();
        timed(&mut standing, times(1_990, 2_000, 2_010, 5), calm, 5);
        standing.facts(Side::Initiator).load =
            Known::Known(LoadFact { over_ms: 400, sent_bits_per_s: bits, ..LoadFact::default() });
        let found = causes(&standing.verdict());
        assert!(found.contains(&expect[0]), "{bits} bit/s: {found:?}");
    }
    let mut noisy = lossy();
    timed(&mut noisy, times(8, 9, 1_000, 10), calm, 5);
    assert_eq!(causes(&noisy.verdict()), fabric_loss(), "one pause of a machine is no queue");
    let mut idle = lossy();
    metric(&mut idle, Side::Initiator, LinkMetricKind::SentBitsPerSecond, 0, 50_000);
    timed(&mut idle, times(800, 820, 850, 10), calm, 5);
    let mut both = fabric_loss();
    both.push(("latency-shift".to_owned(), SEGMENT.to_owned(), None));
    assert_eq!(causes(&idle.verdict()), both, "nobody sends, so nothing queues: the path is longer and lossy");
}

#[test]
fn round_trips_that_all_became_longer_are_a_shift() {
    let usual = times(300, 302, 305, 1);
    for (what, now, rounds, expect) in [
        ("twice as long", times(600, 603, 640, 2), 5, true),
        ("a fifth and 6 ms longer", times(365, 367, 370, 1), 5, true),
        ("1 ms longer", times(310, 312, 315, 1), 5, false),
        ("longer, but without custom", times(600, 603, 640, 2), 2, false),
        ("only slow in the middle", times(300, 500, 700, 90), 5, false),
        ("more spread than shift", times(400, 700, 900, 90), 5, false),
        ("shorter", times(100, 102, 105, 1), 5, false),
    ] {
        let mut world = World::healthy();
        timed(&mut world, now, usual, rounds);
        let verdict = world.verdict();
        let found = vec![("latency-shift".to_owned(), SEGMENT.to_owned(), None)];
        let expect = if expect { (State::Degraded, found) } else { (State::Healthy, vec![]) };
        assert_eq!((verdict.state, causes(&verdict)), expect, "{what}");
    }
}

#[test]
fn what_is_usual_is_not_moved_by_a_slow_round_nor_by_most_being_slow_by_now() {
    let (usual, slow) = (times(300, 302, 305, 1), times(600, 603, 640, 2));
    let mut one_slow = World::healthy();
    timed(&mut one_slow, usual, usual, 7);
    one_slow.case.earlier[3].rtt = Some(slow);
    assert_eq!(one_slow.verdict().state, State::Healthy);
    let mut late = World::healthy();
    timed(&mut late, slow, usual, 8);
    for round in late.case.earlier.iter_mut().filter(|round| round.key.round >= 3.into()) {
        round.rtt = Some(slow);
    }
    assert_eq!(causes(&late.verdict()).len(), 1, "five of eight earlier rounds are slow already");
    let mut one_way = World::healthy();
    timed(&mut one_way, slow, usual, 5);
    for round in one_way.case.probes.iter_mut().filter(|r| r.key.agent == id("agent-b")) {
        round.rtt = Some(usual);
    }
    assert_eq!(one_way.verdict().state, State::Healthy, "both flows travel both ways");
}

/// Adds a second pair of the same link with these observations on the wire. `other` is the side on which its host is a
/// different one.
pub(in crate::tests) fn with_pair(world: &mut World, name: &str, other: Side, forward: Wire, back: Wire) {
    let mut second = World::healthy();
    second.wire(forward, back);
    let mut pair = world.case.pair.clone();
    pair.id = id(name);
    let endpoint = match other {
        Side::Initiator => &mut pair.initiator,
        Side::Acceptor => &mut pair.acceptor,
    };
    let (had, agent) = (endpoint.address, endpoint.agent.clone());
    endpoint.address = ip(if other == Side::Initiator { "192.168.1.99" } else { "172.16.1.99" });
    endpoint.instance = Some(id(name));
    endpoint.agent = Some(id(&format!("agent-{name}")));
    let (now, renamed) = (endpoint.address, endpoint.agent.clone());
    let moved = |address: IpAddr| if address == had { now } else { address };
    let number = 100 + world.case.peers.len() as u64;
    let named = |who: &AgentId| if Some(who) == agent.as_ref() { renamed.clone().unwrap() } else { who.clone() };
    for mut round in second.case.probes {
        round.pair = id(name);
        round.target = moved(round.target);
        round.key = RoundKey { agent: named(&round.key.agent), round: number.into() };
        world.case.probes.push(round);
    }
    for mut part in second.case.arrivals {
        part.observer = named(&part.observer);
        part.key = RoundKey { agent: named(&part.key.agent), round: number.into() };
        (part.from, part.to) = (moved(part.from), moved(part.to));
        world.case.arrivals.push(part);
    }
    world.case.peers.push(pair);
}

pub(in crate::tests) fn strain(world: &mut World, side: Side, load: LoadFact) {
    world.facts(side).load = Known::Known(LoadFact { over_ms: 400, ..load });
}

const LOSES: (Wire, Wire) = (Wire::LosesRequests(20), Wire::Through);

#[test]
fn loss_that_other_pairs_share_is_the_segments_and_says_so() {
    let mut world = lossy();
    with_pair(&mut world, "x", Side::Initiator, LOSES.0, LOSES.1);
    with_pair(&mut world, "y", Side::Acceptor, LOSES.0, LOSES.1);
    let verdict = world.verdict();
    assert_eq!(causes(&verdict), fabric_loss());
    let said = &verdict.causes[0].evidence;
    assert!(said.iter().any(|line| line.text.contains("2 are impaired in the same way and 0 are not")), "{said:#?}");
}

#[test]
fn loss_of_one_host_alone_is_that_hosts_when_its_figures_agree() {
    for (strained, expect) in [(true, vec!["host-overload"]), (false, vec![])] {
        let mut world = lossy();
        // The initiator's host loses packets to both peers; another host does not lose packets to the same peer.
        with_pair(&mut world, "x", Side::Acceptor, LOSES.0, LOSES.1);
        with_pair(&mut world, "y", Side::Initiator, Wire::Through, Wire::Through);
        if strained {
            strain(&mut world, Side::Initiator, LoadFact { backlog_drops: 9, ..LoadFact::default() });
        }
        let verdict = world.verdict();
        let found: Vec<String> = verdict.causes.iter().map(|cause| cause.code.to_string()).collect();
        assert_eq!(found, expect);
        let suspected = verdict.suspects.iter().any(|s| s.codes.contains(&crate::CauseCode::HostOverload));
        assert_eq!(suspected, !strained, "{:#?}", verdict.suspects);
        if strained {
            let cause = &verdict.causes[0];
            assert_eq!((cause.side, cause.object.id.as_str()), (Side::Initiator, "i-a"));
            assert_eq!(verdict.state, State::Degraded);
        }
    }
}

#[test]
fn packets_that_die_inside_a_host_are_its_own_when_its_figures_agree() {
    for (load, blamed) in [
        (LoadFact { backlog_drops: 3, ..LoadFact::default() }, true),
        (LoadFact { waiting_permille: Some(600), ..LoadFact::default() }, false),
        (LoadFact { stolen_permille: 200, ..LoadFact::default() }, false),
        (LoadFact { busy_permille: 1_000, ..LoadFact::default() }, false),
    ] {
        let mut world = World::healthy();
        let kept: SequenceSet = (0..SENT).filter(|n| n % 10 != 0).collect();
        for part in world.case.arrivals.iter_mut().filter(|part| part.observer == id("agent-b")) {
            part.accepted = Known::Known(kept.clone());
            part.replied = Known::Known(kept.clone());
        }
        for round in world.case.probes.iter_mut().filter(|round| round.key.agent == id("agent-a")) {
            round.replied = kept.clone();
        }
        strain(&mut world, Side::Acceptor, load);
        let verdict = world.verdict();
        let found: Vec<_> = verdict.causes.iter().map(|c| (c.code.to_string(), c.object.id.as_str())).collect();
        let expect = if blamed { vec![("host-overload".to_owned(), "i-b")] } else { vec![] };
        assert_eq!((verdict.state, found), (State::Degraded, expect), "{load:?}");
        assert_eq!(verdict.suspects.is_empty(), blamed, "{:#?}", verdict.suspects);
    }
}

#[test]
fn a_strained_host_whose_packets_pass_is_no_fault() {
    let mut world = World::healthy();
    strain(&mut world, Side::Acceptor, LoadFact { backlog_drops: 3, busy_permille: 1_000, ..LoadFact::default() });
    assert_eq!((world.verdict().state, causes(&world.verdict())), (State::Healthy, vec![]));
}

#[test]
fn a_shift_towards_one_host_alone_is_not_the_segments() {
    let (usual, slow) = (times(300, 302, 305, 1), times(600, 603, 640, 2));
    let mut world = World::healthy();
    with_pair(&mut world, "x", Side::Acceptor, Wire::Through, Wire::Through);
    with_pair(&mut world, "y", Side::Initiator, Wire::Through, Wire::Through);
    timed(&mut world, slow, usual, 5);
    for round in world.case.probes.iter_mut().filter(|round| round.pair == id("y")) {
        round.rtt = Some(usual);
    }
    let verdict = world.verdict();
    assert_eq!(causes(&verdict), vec![]);
    assert!(verdict.suspects.iter().any(|s| s.codes.contains(&crate::CauseCode::LatencyShift)), "{verdict:#?}");
    strain(&mut world, Side::Initiator, LoadFact { stolen_permille: 300, ..LoadFact::default() });
    assert_eq!(causes(&world.verdict())[0].0, "host-overload");
}

/// Replaces the forward burst by four flows, simultaneous if `at_once` is set, of which the first `dead` lose all
/// requests.
fn flows(world: &mut World, dead: u64, at_once: bool) {
    let from_a = |agent: &AgentId| *agent == id("agent-a");
    let probe = world.case.probes.iter().find(|round| from_a(&round.key.agent)).unwrap().clone();
    let part = world.case.arrivals.iter().find(|part| from_a(&part.key.agent)).unwrap().clone();
    world.case.probes.retain(|round| !from_a(&round.key.agent));
    world.case.arrivals.retain(|part| !from_a(&part.key.agent));
    for n in 0..4u64 {
        let key = RoundKey { round: (50 + n).into(), ..probe.key.clone() };
        let later = if at_once { 0 } else { i64::try_from(n).unwrap() * 5_000 };
        let all = SequenceSet::first(100);
        let passed = if n < dead { SequenceSet::new() } else { all.clone() };
        world.case.probes.push(ProbeRound {
            key: key.clone(),
            started_at: at(1_000 + later),
            ended_at: at(3_600 + later),
            planned: 100,
            sent: all,
            replied: passed.clone(),
            ..probe.clone()
        });
        if !passed.is_empty() {
            world.case.arrivals.push(ArrivalRound {
                key,
                first_at: at(1_000 + later),
                last_at: at(2_600 + later),
                on_wire: Known::Known(passed.clone()),
                accepted: Known::Known(passed.clone()),
                replied: Known::Known(passed),
                ..part.clone()
            });
        }
    }
}

#[test]
fn loss_by_flow_is_told_from_random_loss_and_suspects_the_next_hops() {
    let mut one_hop = World::healthy();
    flows(&mut one_hop, 2, true);
    let verdict = one_hop.verdict();
    assert_eq!(causes(&verdict), fabric_loss());
    let said = &verdict.causes[0].evidence;
    assert!(said.iter().any(|line| line.text.contains("2 of 4 flows lose everything")), "{said:#?}");
    let mut apart = World::healthy();
    flows(&mut apart, 2, false);
    let said = &apart.verdict().causes[0].evidence;
    assert!(!said.iter().any(|line| line.text.contains("flows lose everything")), "an outage that ended: {said:#?}");
    let mut two_hops = World::healthy();
    flows(&mut two_hops, 2, true);
    let mut second = known(&mut two_hops.snapshot(Side::Initiator).router_interfaces)[0].clone();
    second.id = id("ri-a2");
    known(&mut two_hops.snapshot(Side::Initiator).router_interfaces).push(second);
    two_hops.entries(Side::Initiator)[1].next_hops.push(NextHop {
        kind: NextHopKind::RouterInterface,
        id: "ri-a2".into(),
        enabled: None,
        weight: None,
    });
    let verdict = two_hops.verdict();
    assert_eq!((verdict.state, causes(&verdict)), (State::Degraded, vec![]));
    assert!(verdict.suspects.iter().any(|s| s.codes == [crate::CauseCode::EcmpLegDead]), "{:#?}", verdict.suspects);
    let mut whole = World::healthy();
    flows(&mut whole, 0, true);
    assert_eq!(whole.verdict().state, State::Healthy);
}

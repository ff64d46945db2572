//! How rounds and arrival reports become counts: which pair they belong to, what a missing report proves, what is
//! summed.

use crate::tests::world::*;
use crate::{
    Cut, HealthReport,
    observe::{Leg, Observed, observe},
};
use pingtong_evidence::*;

const C: Side = Side::Acceptor;

fn seen(world: &World, flow: Direction) -> Observed {
    let facts = world.case.hosts.iter().map(|facts| (facts.agent.clone(), facts.clone())).collect();
    observe(&world.case.question(), flow, &facts)
}

fn forward(world: &World) -> Observed {
    seen(world, Direction::Forward)
}

fn round_of<'w>(world: &'w mut World, agent: &str) -> &'w mut ProbeRound {
    world.case.probes.iter_mut().find(|round| round.key.agent.as_str() == agent).unwrap()
}

fn part_of<'w>(world: &'w mut World, observer: &str) -> &'w mut ArrivalRound {
    world.case.arrivals.iter_mut().find(|part| part.observer.as_str() == observer).unwrap()
}

/// Adds a copy of the initiator's round under another number, and of the arrival report for it.
fn again(world: &mut World, number: u64) -> (&mut ProbeRound, &mut ArrivalRound) {
    let (mut round, mut part) = (round_of(world, "agent-a").clone(), part_of(world, "agent-b").clone());
    (round.key.round, part.key.round) = (number.into(), number.into());
    world.case.probes.push(round);
    world.case.arrivals.push(part);
    (world.case.probes.last_mut().unwrap(), world.case.arrivals.last_mut().unwrap())
}

#[test]
fn an_observer_that_cannot_see_the_address_proves_nothing_by_its_silence() {
    type Make = fn(&mut HostFacts);
    let away: Make =
        |facts| known(&mut facts.interfaces)[0].addresses = vec![(ip("172.29.0.2"), cidr("172.29.0.0/24"))];
    let contained: Make = |facts| facts.container = Known::Known(Container::Yes);
    let portable: Make = |facts| facts.engine = ProbeEngine::Portable;
    let unread: Make = |facts| facts.interfaces = Known::default();
    for (what, makes, proves) in [
        ("an agent on the host", &[] as &[Make], true),
        ("a container of its own network", &[contained, away], false),
        ("a container with the host's network", &[contained], true),
        ("a host that lacks the address", &[away], true),
        ("a container whose addresses are unknown", &[contained, unread], true),
        ("an agent that sees no packets", &[portable], false),
    ] {
        let mut world = World::healthy();
        world.wire(Wire::S1, Wire::Through);
        for make in makes {
            make(world.facts(C));
        }
        let seen = forward(&world);
        let expect = if proves { (Some(0), Cut::S1) } else { (None, Cut::Unanswered) };
        assert_eq!((seen.request.map(|leg| leg.passed), seen.cut.unwrap()), expect, "{what}");
    }
}

#[test]
fn a_part_that_says_nothing_of_the_wire_leaves_it_open() {
    let mut world = World::healthy();
    world.wire(Wire::S2, Wire::Through);
    let part = part_of(&mut world, "agent-b");
    (part.on_wire, part.accepted, part.replied) = (Known::default(), Known::default(), Known::default());
    let seen = forward(&world);
    assert_eq!((seen.request, seen.accept, seen.answer), (None, None, None));
    assert_eq!(seen.cut, Some(Cut::Unanswered));
}

#[test]
fn an_observer_that_dropped_packets_proves_presence_alone() {
    let mut world = World::healthy();
    world.wire(Wire::LosesRequests(10), Wire::Through);
    assert_eq!(forward(&world).request, Some(Leg { of: 400, passed: 360 }));
    part_of(&mut world, "agent-b").own_drops = 1;
    let seen = forward(&world);
    assert_eq!((seen.request, seen.flows.len()), (None, 0), "what it missed it may have dropped");
    let mut whole = World::healthy();
    part_of(&mut whole, "agent-b").own_drops = 1;
    assert_eq!(forward(&whole).request, Some(Leg { of: 400, passed: 400 }));
}

#[test]
fn a_host_that_answers_itself_has_no_replies_of_any_kind() {
    let mut world = World::healthy();
    let peer = ip(World::side(C).4);
    world.facts(Side::Initiator).routes[0] = RouteFact { to: peer, outcome: Known::Known(RouteOutcome::Own) };
    world.wire(Wire::S1, Wire::S1);
    let round = round_of(&mut world, "agent-a");
    (round.replied, round.late) = (spread(400, 300), spread(400, 200));
    round.replied_on_wire = Known::Known(spread(400, 200));
    let seen = forward(&world);
    assert_eq!((seen.sent, seen.received, seen.home), (400, 0, Some(Leg { of: 0, passed: 0 })));
    assert_eq!(seen.cut, Some(Cut::S1));
}

/// Half of a round was seen to arrive, the last packet at 1 500 ms; the rest may not have been reported yet.
fn half_reported() -> World {
    let mut world = World::healthy();
    world.wire(Wire::S5, Wire::S1);
    let half = SequenceSet::first(SENT / 2 + 1);
    let part = part_of(&mut world, "agent-b");
    (part.on_wire, part.accepted) = (Known::Known(half.clone()), Known::Known(half.clone()));
    (part.replied, part.last_at) = (Known::Known(half), at(1_500));
    world.facts(C).at = at(1_600);
    round_of(&mut world, "agent-b").ended_at = at(1_600);
    world
}

fn said(agent: &str, at_ms: i64) -> HealthReport {
    HealthReport { agent: id(agent), at: at(at_ms), health: AgentHealth::default() }
}

#[test]
fn what_an_observer_did_not_report_is_missing_once_it_has_spoken_late_enough() {
    let arrived = |world: &World| forward(world).request.map(|leg| leg.of);
    let world = half_reported();
    assert_eq!(arrived(&world), Some(201), "the rest may still be reported");
    // The missing 199 of 400 probes took 1 293 of 2 600 ms to send, and an agent reports within 300 ms of the last
    // packet.
    for (at_ms, of) in [(3_092, 201), (3_093, 400)] {
        let mut world = half_reported();
        world.case.healths.push(said("agent-b", at_ms));
        assert_eq!(arrived(&world), Some(of), "{at_ms}");
    }
    let mut other = half_reported();
    other.case.healths.push(said("agent-a", 9_000));
    assert_eq!(arrived(&other), Some(201), "another agent's word is none of this one's");
    let mut part = part_of(&mut other, "agent-b").clone();
    (part.observer, part.last_at, part.key.round) = (id("agent-a"), at(9_000), 70.into());
    other.case.arrivals.push(part);
    assert_eq!(arrived(&other), Some(201), "nor is what another one saw");
}

#[test]
fn rounds_of_other_pairs_protocols_targets_and_agents_are_none_of_this_pairs() {
    type Other = fn(&mut ProbeRound);
    let others: [Other; 4] = [
        |round| round.pair = id("pair2"),
        |round| round.protocol = Protocol::Tcp,
        |round| round.target = ip("172.16.1.99"),
        |round| round.key.agent = id("agent-x"),
    ];
    for other in others {
        let mut world = World::healthy();
        other(again(&mut world, 8).0);
        assert_eq!(forward(&world).sent, 400);
    }
    let mut world = World::healthy();
    again(&mut world, 8);
    assert_eq!(forward(&world).sent, 800);
}

#[test]
fn whole_packets_are_counted_by_their_size_and_not_among_the_others() {
    let mut world = World::healthy();
    for number in [8, 9] {
        let (round, _) = again(&mut world, number);
        (round.purpose, round.payload_bytes) = (RoundPurpose::PathSize, 1_372);
    }
    let seen = forward(&world);
    assert_eq!((seen.sent, seen.sizes.len()), (400, 1));
    let sized = &seen.sizes[&1_400];
    assert_eq!((sized.sent, sized.replied, sized.arrived), (800, 800, Some(800)));
    for number in [8, 9] {
        world.case.probes.iter_mut().find(|round| round.key.round == number.into()).unwrap().own_drops = 1;
    }
    assert!(forward(&world).sizes.is_empty(), "a prober that drops its own proves nothing of sizes");
}

#[test]
fn strangers_complaints_and_replies_by_other_interfaces_are_summed_by_who_and_where() {
    let error = |from: &str, (icmp_type, code): (u8, u8), count| IcmpError { from: ip(from), icmp_type, code, count };
    let mut world = World::healthy();
    let router = "192.168.1.253";
    let stranger = |count| vec![StrangerReply { from: ip("172.16.1.10"), count }];
    let part = part_of(&mut world, "agent-b");
    part.replied_elsewhere = vec![("br0".to_owned(), SequenceSet::first(3))];
    let (round, part) = again(&mut world, 8);
    (round.strangers, part.replied_elsewhere) = (stranger(3), vec![("br0".to_owned(), SequenceSet::first(4))]);
    // Neither a redirect nor a "fragmentation needed" counts as a complaint.
    round.icmp_errors = vec![error(router, (3, 1), 2), error(router, (5, 1), 7), error(router, (3, 4), 9)];
    let (round, _) = again(&mut world, 9);
    (round.strangers, round.icmp_errors) = (stranger(4), vec![error(router, (11, 0), 3)]);
    let seen = forward(&world);
    assert_eq!(seen.strangers.into_iter().collect::<Vec<_>>(), [(ip("172.16.1.10"), 7)]);
    assert_eq!(seen.complaints.into_iter().collect::<Vec<_>>(), [(ip(router), 5)]);
    assert_eq!(seen.elsewhere.into_iter().collect::<Vec<_>>(), [("br0".to_owned(), 10)]);
}

#[test]
fn replies_that_any_report_witnesses_are_not_called_unseen() {
    let mut world = World::healthy();
    again(&mut world, 8);
    world.case.arrivals.retain(|part| part.observer.as_str() != "agent-b" || part.key.round == 8.into());
    assert!(!forward(&world).unwitnessed(), "one of two rounds was seen");
    world.case.arrivals.retain(|part| part.observer.as_str() != "agent-b");
    assert!(forward(&world).unwitnessed(), "none was");
}

#[test]
fn the_latest_round_tells_the_time_in_whatever_order_they_come() {
    let times = |nanos: u64| RttSummary {
        samples: 1,
        min: Nanos(nanos),
        mean: Nanos(nanos),
        p50: Nanos(nanos),
        p95: Nanos(nanos),
        p99: Nanos(nanos),
        max: Nanos(nanos),
        jitter: Nanos(0),
        kernel_timestamps: true,
        kernel_departures: true,
    };
    let mut world = World::healthy();
    round_of(&mut world, "agent-a").rtt = Some(times(5));
    let (round, _) = again(&mut world, 8);
    (round.started_at, round.ended_at, round.rtt) = (at(4_000), at(6_600), Some(times(9)));
    let told = |world: &World| {
        let seen = forward(world);
        (seen.first, seen.latest, seen.rtt.map(|rtt| rtt.p50))
    };
    let expect = (Some(at(1_000)), Some(at(6_600)), Some(Nanos(9)));
    assert_eq!(told(&world), expect);
    world.case.probes.reverse();
    assert_eq!(told(&world), expect);
}

//! Incomplete evidence: observers that began late, reports not yet received, replies seen on the wire but not received
//! by the prober.

use crate::tests::{
    rules::{ECHO_REQUEST, equal, icmp, l4proto},
    world::*,
};
use crate::{CauseCode, Cut, State, StepState, Verdict};
use pingtong_evidence::{packet_filter::Field, *};

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn codes(verdict: &Verdict) -> Vec<String> {
    verdict.causes.iter().map(|cause| format!("{} {}", cause.code, cause.side)).collect()
}

/// The peer's round, and what the observer at `side` reports of it.
fn round_to(world: &mut World, side: Side) -> (&mut ProbeRound, &mut ArrivalRound) {
    let at = world.case.arrivals.iter().position(|part| part.to == ip(World::side(side).4)).unwrap();
    let key = world.case.arrivals[at].key.clone();
    let question = &mut world.case;
    let probe = question.probes.iter_mut().find(|round| round.key == key).unwrap();
    (probe, &mut question.arrivals[at])
}

fn only(part: &mut ArrivalRound, first: u32, last: u32) {
    let set: SequenceSet = (first..=last).collect();
    part.on_wire = Known::Known(set.clone());
    part.accepted = Known::Known(set.clone());
    part.replied = Known::Known(set);
}

#[test]
fn probes_from_before_the_observer_watched_are_not_lost() {
    for (watching_ms, lost) in [(Some(20), false), (None, false), (Some(60_000), true)] {
        let mut world = World::healthy();
        world.wire(Wire::S5, Wire::S1);
        world.entries(C).retain(|entry| entry.kind == RouteKind::System);
        let (_, part) = round_to(&mut world, C);
        only(part, 5, SENT - 1);
        part.watching_ms = watching_ms;
        let found = codes(&world.verdict());
        assert_eq!(found.contains(&"loss-in-fabric initiator".to_owned()), lost, "{watching_ms:?}: {found:?}");
    }
}

#[test]
fn arrivals_that_are_not_reported_yet_are_not_lost() {
    for (spoke_ms, lost) in [(1_700, false), (6_000, true)] {
        let mut world = World::healthy();
        world.wire(Wire::S5, Wire::S1);
        world.entries(C).retain(|entry| entry.kind == RouteKind::System);
        let (_, part) = round_to(&mut world, C);
        only(part, 0, SENT / 2);
        part.last_at = at(1_500);
        let observer = part.observer.clone();
        for facts in world.case.hosts.iter_mut().filter(|facts| facts.agent == observer) {
            facts.at = at(spoke_ms);
        }
        for round in world.case.probes.iter_mut().filter(|round| round.key.agent == observer) {
            round.ended_at = at(1_600);
        }
        let found = codes(&world.verdict());
        assert_eq!(found.contains(&"loss-in-fabric initiator".to_owned()), lost, "{spoke_ms}: {found:?}");
    }
}

#[test]
fn replies_seen_at_the_interface_and_not_received_are_refused_by_the_guest() {
    let mut world = World::healthy();
    world.wire(Wire::Through, Wire::S5);
    world.refuse(C, FirewallHook::Input, Some(1), Some(8));
    let (probe, _) = round_to(&mut world, I);
    probe.replied_on_wire = Known::Known(probe.sent.clone());
    let verdict = world.verdict();
    assert_eq!(codes(&verdict), ["guest-firewall acceptor"]);
    assert_eq!(verdict.directions.back.cut, Cut::S6);
    assert_eq!(verdict.repairs.set[0].guest.first().map(String::as_str), Some("nft"));
}

#[test]
fn a_host_that_has_the_peers_address_answers_itself_and_that_proves_nothing() {
    let mut world = World::healthy();
    world.wire(Wire::S2, Wire::Through);
    let (own, peer) = (ip(World::side(C).4), ip(World::side(I).4));
    let facts = world.facts(C);
    for route in facts.routes.iter_mut().filter(|route| route.to == peer) {
        route.outcome = Known::Known(RouteOutcome::Own);
    }
    known(&mut facts.interfaces)[0].addresses.push((peer, Cidr::host(peer)));
    world.case.arrivals.retain(|part| part.from != own);
    let verdict = world.verdict();
    assert_eq!(codes(&verdict), ["guest-route-overlap acceptor"]);
    assert_eq!((verdict.state, verdict.directions.back.cut), (State::Broken, Cut::S0));
}

#[test]
fn a_surely_refusing_rule_is_named_behind_a_closed_group() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::Through);
    world.rules(C).clear();
    world.refuse(C, FirewallHook::Input, Some(1), Some(8));
    world.restate(C, vec![equal(Field::MetaNfproto, 2), l4proto(1), icmp(ECHO_REQUEST)]);
    assert_eq!(codes(&world.verdict()), ["sg-ingress-missing acceptor", "guest-firewall acceptor"]);
}

#[test]
fn rules_at_both_hooks_of_a_guest_are_both_told() {
    let mut world = World::healthy();
    world.wire(Wire::S2, Wire::S0(1));
    world.refuse(C, FirewallHook::Input, Some(1), Some(8));
    let out = FirewallRule {
        hook: FirewallHook::Output,
        handle: Some(9),
        ..known(&mut world.facts(C).firewall).refusing[0].clone()
    };
    let firewall = known(&mut world.facts(C).firewall);
    firewall.refusing.push(out);
    firewall.rules = None;
    let verdict = world.verdict();
    assert_eq!(codes(&verdict), ["guest-firewall acceptor", "guest-firewall acceptor"]);
    assert!(!verdict.repairs.proven, "the agent reports no other rules");
    // Requests and replies, inbound and outbound.
    assert_eq!(verdict.repairs.set.len(), 4, "{:#?}", verdict.repairs.set);
}

#[test]
fn what_an_account_refuses_to_show_is_told_even_where_nothing_is_left_open() {
    let denied = |action: &str| WhyUnknown::Denied {
        action: action.into(),
        code: "Forbidden.RAM".into(),
        request_id: String::new(),
    };
    for action in ["vpc:DescribeVpcs", "vpc:DescribeRouterInterfaces", "vpc:DescribeNetworkAcls"] {
        let mut world = World::healthy();
        let why = denied(action);
        match action {
            "vpc:DescribeVpcs" => world.snapshot(C).vpcs = Known::Unknown(why),
            "vpc:DescribeRouterInterfaces" => world.snapshot(C).router_interfaces = Known::Unknown(why),
            _ => world.snapshot(C).network_acls = Known::Unknown(why),
        }
        let verdict = world.verdict();
        assert_eq!((verdict.state, codes(&verdict).len()), (State::Healthy, 0), "{action}");
        let gaps: Vec<_> = verdict.gaps.iter().map(|gap| (gap.code, gap.closes_with.contains(action))).collect();
        assert_eq!(gaps, [(GapCode::ConfigDenied, true)], "{action}");
    }
}

#[test]
fn a_configuration_from_before_the_packets_died_does_not_clear_itself_and_blames_no_fabric() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    assert_eq!(codes(&world.verdict()), ["fabric-fault initiator"]);
    let stale = &mut world.case.snapshots[1];
    (stale.taken_at, stale.finished_at) = (at(-60_000), at(-59_000));
    let verdict = world.verdict();
    assert_eq!(codes(&verdict), Vec::<String>::new());
    assert_eq!(verdict.state, State::Broken);
    let gaps: Vec<_> = verdict.gaps.iter().map(|gap| (gap.code, gap.side)).collect();
    assert_eq!(gaps, [(GapCode::ConfigStale, Some(Side::Acceptor))]);
    assert!(verdict.suspects.iter().any(|suspect| suspect.codes.contains(&CauseCode::RouteMissing)));
    // A fault that it does show is still reported.
    world.entries(Side::Acceptor).truncate(1);
    world.wire(Wire::S5, Wire::S1);
    assert_eq!(codes(&world.verdict()), ["route-missing acceptor"]);
}

#[test]
fn a_route_that_misses_the_link_is_blamed_where_only_the_peer_tells_of_the_interfaces() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    let denied =
        WhyUnknown::Denied { action: "a:B".to_owned(), code: "Forbidden.RAM".to_owned(), request_id: String::new() };
    world.snapshot(I).router_interfaces = Known::Unknown(denied);
    for entry in world.entries(I).iter_mut().filter(|entry| entry.kind == RouteKind::Custom) {
        entry.next_hops[0].id = "ri-other".to_owned();
    }
    assert_eq!(codes(&world.verdict()), ["route-wrong-next-hop initiator"]);
}

#[test]
fn a_step_that_nobody_could_look_at_is_unknown_and_one_that_cannot_have_begun_is_not_done() {
    let states = |w: &World| w.verdict().steps.iter().map(|step| step.state).collect::<Vec<_>>();
    let mut world = World::healthy();
    for side in Side::BOTH {
        known(&mut world.snapshot(side).router_interfaces).clear();
        world.entries(side).retain(|entry| entry.kind == RouteKind::System);
        world.rules(side).clear();
    }
    world.wire(Wire::S1, Wire::S1);
    assert_eq!(states(&world)[1..8], [StepState::NotDone; 7]);
    assert!(world.verdict().next_step.unwrap().contains("CreateRouterInterface"));
    world.case.snapshots.retain(|snapshot| snapshot.account.as_str() == A);
    let (unknown, undone) = (StepState::Unknown, StepState::NotDone);
    let seen_by_one = [unknown, undone, unknown, unknown, unknown, undone, undone, undone, unknown];
    assert_eq!(states(&world), seen_by_one);
}

#[test]
fn loss_that_nobody_could_split_degrades_from_three_packets_and_three_in_a_thousand() {
    let state = |sent: u32, lost: u32| {
        let mut world = World::healthy();
        world.case.arrivals.clear();
        for side in Side::BOTH {
            world.facts(side).engine = ProbeEngine::Portable;
        }
        for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
            (round.planned, round.sent) = (sent, SequenceSet::first(sent));
            round.replied = spread(sent, lost);
        }
        world.verdict().state
    };
    assert_eq!(state(400, 2), State::Healthy);
    assert_eq!(state(400, 3), State::Degraded);
    assert_eq!(state(1_001, 3), State::Healthy);
    assert_eq!(state(1_000, 3), State::Degraded);
}

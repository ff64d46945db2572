//! Configuration and host facts compared with the wire: what packets that pass refute, which lost packets remain
//! unexplained, and who is then suspected or blamed.

use super::{
    rules::{ECHO_REPLY, icmp},
    summary,
    world::*,
};
use crate::{CauseCode, Certainty, Cut, State};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn world(forward: Wire, back: Wire, change: impl FnOnce(&mut World)) -> World {
    let mut world = World::healthy();
    world.wire(forward, back);
    change(&mut world);
    world
}

fn blamed(forward: Wire, back: Wire, change: impl FnOnce(&mut World)) -> Vec<String> {
    summary::blamed(&world(forward, back, change).verdict())
}

fn stop(world: &mut World, side: Side) {
    known(&mut world.snapshot(side).instances)[0].status = InstanceStatus::Stopped;
}

#[test]
fn replies_that_come_back_refute_what_would_stop_them() {
    let found = blamed(Wire::S1, Wire::Through, |world| {
        world.entries(I).truncate(1);
        world.silence(I);
    });
    assert_eq!(found, ["model-contradicted initiator vtb-a"]);
}

#[test]
fn a_host_that_sends_or_answers_is_not_down() {
    let contradicted = ["model-contradicted acceptor i-b"];
    let sending = blamed(Wire::S1, Wire::S1, |world| stop(world, C));
    assert!(sending.contains(&contradicted[0].to_owned()), "it sent, though nothing came: {sending:?}");
    let answering = blamed(Wire::Through, Wire::Through, |world| {
        stop(world, C);
        world.silence(C);
    });
    assert_eq!(answering, contradicted);
    let silent = blamed(Wire::S1, Wire::S1, |world| {
        stop(world, C);
        world.silence(C);
    });
    assert_eq!(silent, ["instance-stopped acceptor i-b"]);
}

#[test]
fn what_configuration_and_guest_both_tell_is_one_cause_and_other_facts_stand_beside() {
    let moved = |world: &mut World| {
        for eni in known(&mut world.snapshot(C).enis) {
            eni.addresses = vec![ip("172.16.1.77")];
        }
        for instance in known(&mut world.snapshot(C).instances) {
            instance.addresses = vec![ip("172.16.1.77")];
        }
        known(&mut world.facts(C).interfaces)[0].addresses = vec![(ip("172.16.1.77"), cidr("172.16.1.0/24"))];
    };
    assert_eq!(blamed(Wire::S1, Wire::Through, moved), ["ip-not-on-eni acceptor 172.16.1.10"]);
    let beside = blamed(Wire::S1, Wire::S1, |world| {
        stop(world, C);
        world.facts(C).sysctls.echo_ignore_all = Known::Known(true);
        world.case.probes.retain(|round| round.key.agent.as_str() == "agent-a");
    });
    assert_eq!(beside, ["instance-stopped acceptor i-b", "guest-echo-ignored acceptor i-b"]);
}

/// One of two next hops is down, and all packets of eight flows, one per round, pass.
fn two_legs(change: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = World::healthy();
    let mut leg = world.interface(I).clone();
    (leg.id, leg.status) = (id("ri-leg"), RouterInterfaceStatus::Inactive);
    known(&mut world.snapshot(I).router_interfaces).push(leg);
    let hop = NextHop { kind: NextHopKind::RouterInterface, id: "ri-leg".into(), enabled: None, weight: None };
    world.entries(I)[1].next_hops.push(hop);
    let (probes, arrivals) = (world.case.probes.clone(), world.case.arrivals.clone());
    for number in 20..27 {
        for mut round in probes.clone() {
            round.key.round = number.into();
            world.case.probes.push(round);
        }
        for mut part in arrivals.clone() {
            part.key.round = number.into();
            world.case.arrivals.push(part);
        }
    }
    change(&mut world);
    summary::blamed(&world.verdict())
}

const DEAD_LEG: [&str; 1] = ["ecmp-leg-dead initiator ri-leg"];
const REFUTED: [&str; 1] = ["model-contradicted initiator ri-leg"];

#[test]
fn flows_refute_a_dead_leg_only_if_they_are_enough_and_whole() {
    assert_eq!(two_legs(|_| {}), REFUTED);
    assert_eq!(two_legs(|world| world.silence(C)), REFUTED, "eight of one direction, none of the other");
    let some_lost = two_legs(|world| {
        for round in &mut world.case.probes {
            round.replied = SequenceSet::first(SENT - 1);
        }
    });
    assert_eq!(some_lost, DEAD_LEG);
    let few = two_legs(|world| {
        world.silence(C);
        world.case.probes.retain(|round| round.key.round != 20.into());
    });
    assert_eq!(few, DEAD_LEG, "seven flows may all have taken the other leg");
}

#[test]
fn a_pair_that_is_whole_refutes_no_leg_while_another_pair_is_dead() {
    type Make = fn(&mut ProbeRound);
    let makes: [(&str, Make, bool); 5] = [
        ("dead", |_| {}, true),
        ("dead, by a prober that dropped packets", |round| round.own_drops = 1, false),
        ("answered", |round| round.replied = round.sent.clone(), false),
        ("answered late", |round| round.late = round.sent.clone(), false),
        ("never sent", |round| round.sent = SequenceSet::new(), false),
    ];
    for (what, make, dead) in makes {
        let found = two_legs(|world| {
            let mut other = world.case.probes[0].clone();
            (other.pair, other.key, other.target) =
                (id("pair2"), RoundKey { round: 90.into(), ..other.key }, ip("172.16.1.20"));
            other.replied = SequenceSet::new();
            make(&mut other);
            world.case.probes.push(other);
        });
        assert_eq!(found, if dead { DEAD_LEG } else { REFUTED }, "another pair is {what}");
    }
}

#[test]
fn a_cause_that_no_packet_speaks_of_is_supported_and_no_more() {
    let certainty = |change: fn(&mut World)| {
        let verdict = world(Wire::S1, Wire::S5, |world| {
            world.entries(I).truncate(1);
            change(world);
        })
        .verdict();
        verdict.causes.into_iter().map(|cause| (cause.code, cause.certainty)).collect::<Vec<_>>()
    };
    assert_eq!(certainty(|_| {}), [(CauseCode::RouteMissing, Certainty::Proven)]);
    let unprobed = certainty(|world| {
        world.case.probes.clear();
        world.case.arrivals.clear();
    });
    assert_eq!(unprobed, [(CauseCode::RouteMissing, Certainty::Supported)]);
}

#[test]
fn a_contradiction_tells_the_prediction_its_reason_and_what_was_seen() {
    let verdict = world(Wire::Through, Wire::Through, |world| world.rules(C).clear()).verdict();
    let lines: Vec<_> = verdict.causes[0].evidence.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        lines,
        [
            "the configuration predicts sg-ingress-missing; fresh probes pass all the same",
            "no ingress rule accepts icmp from 192.168.1.10; ingress is denied by default",
            "ingress rules on the interface, in order: -",
            "forward: sent 400, arrived 400, answered 400, received 400 (none: gets through)",
            "return: sent 400, arrived 400, answered 400, received 400 (none: gets through)",
        ]
    );
}

#[test]
fn what_stops_replies_does_not_explain_requests_that_never_arrive() {
    let found = blamed(Wire::S1, Wire::S1, |world| world.entries(C).truncate(1));
    assert_eq!(found, ["route-missing acceptor vtb-b", "fabric-fault initiator ri-a~ri-b"]);
}

#[test]
fn replies_that_never_came_to_the_interface_were_not_refused_there() {
    let found = blamed(Wire::S5, Wire::S1, |world| {
        world.refuse(I, FirewallHook::Input, Some(1), Some(4));
        world.restate(I, vec![icmp(ECHO_REPLY)]);
        for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
            round.replied_on_wire = Known::Known(SequenceSet::new());
        }
    });
    assert_eq!(found, ["guest-firewall initiator i-a", "fabric-fault initiator ri-a~ri-b"]);
}

#[test]
fn a_rule_bound_to_a_rate_does_not_explain_that_nothing_is_answered() {
    let world = world(Wire::S3, Wire::Through, |world| {
        world.refuse(C, FirewallHook::Input, Some(1), Some(4));
        world.limit(C, true);
        let part = world.case.arrivals.iter_mut().find(|part| part.observer.as_str() == "agent-b").unwrap();
        part.accepted = Known::Known(SequenceSet::first(300));
    });
    let verdict = world.verdict();
    assert_eq!(summary::blamed(&verdict), ["guest-rate-limit acceptor i-b"]);
    assert!(summary::suspected(&verdict)[0].contains("guest-echo-ignored"), "{:?}", summary::suspected(&verdict));
}

#[test]
fn packets_that_a_kernel_refuses_for_no_known_reason_are_the_senders() {
    let verdict = world(Wire::S0(105), Wire::Through, |_| {}).verdict();
    assert_eq!((verdict.state, verdict.directions.forward.cut), (State::Broken, Cut::S0));
    assert_eq!(summary::suspected(&verdict), ["guest-firewall guest-route-missing"]);
    let suspect = &verdict.suspects[0];
    assert_eq!((suspect.side, suspect.decided_by.as_str()), (Some(I), "the sender's host facts"));
}

#[test]
fn a_configuration_read_a_second_before_the_first_probe_or_later_clears_itself() {
    for (finished_ms, expect) in [(0, vec!["fabric-fault initiator ri-a~ri-b"]), (-1, vec![])] {
        let found = blamed(Wire::S1, Wire::S5, |world| {
            for side in Side::BOTH {
                world.snapshot(side).finished_at = at(finished_ms);
            }
        });
        assert_eq!(found, expect, "{finished_ms}");
    }
}

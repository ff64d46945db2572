//! Loss on the way: from how many packets it counts, where it is located with the help of other pairs of the link, and
//! which bandwidth applies.

use crate::tests::{
    summary,
    wire::quality::{lossy, metric, strain, timed, times, with_pair},
    world::*,
};
use crate::{Lang, Verdict, diagnose_in};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;
const LOST: &str = "loss-in-fabric initiator ri-a~ri-b";

fn round_of<'w>(world: &'w mut World, agent: &str) -> &'w mut ProbeRound {
    world.case.probes.iter_mut().find(|round| round.key.agent.as_str() == agent).unwrap()
}

fn part_of<'w>(world: &'w mut World, observer: &str) -> &'w mut ArrivalRound {
    world.case.arrivals.iter_mut().find(|part| part.observer.as_str() == observer).unwrap()
}

fn ways(verdict: &Verdict) -> Vec<(String, Option<Direction>)> {
    verdict.causes.iter().map(|cause| (cause.code.to_string(), cause.direction)).collect()
}

#[test]
fn replies_that_get_lost_are_lost_in_their_own_direction() {
    let mut world = World::healthy();
    round_of(&mut world, "agent-a").replied = (0..SENT).filter(|n| n % 20 != 0).collect();
    assert_eq!(ways(&world.verdict()), [("loss-in-fabric".to_owned(), Some(Direction::Return))]);
    let mut world = World::healthy();
    round_of(&mut world, "agent-b").replied = (0..SENT).filter(|n| n % 20 != 0).collect();
    assert_eq!(ways(&world.verdict()), [("loss-in-fabric".to_owned(), Some(Direction::Forward))]);
}

#[test]
fn replies_to_a_guest_that_refuses_some_of_what_arrives_are_not_called_lost_on_the_way() {
    let mut world = World::healthy();
    let kept: SequenceSet = (0..SENT).filter(|n| n % 4 != 0).collect();
    let part = part_of(&mut world, "agent-b");
    (part.accepted, part.replied) = (Known::Known(kept.clone()), Known::Known(kept.clone()));
    round_of(&mut world, "agent-a").replied = kept.clone();
    round_of(&mut world, "agent-b").replied = kept;
    assert!(!summary::blamed(&world.verdict()).contains(&LOST.to_owned()), "{:?}", summary::blamed(&world.verdict()));
}

#[test]
fn loss_counts_from_three_packets_and_three_in_a_thousand_of_both_flows() {
    // Besides its requests, the direction carries 400 replies of the other flow.
    for (sent, lost, counts) in [(400, 2, false), (400, 3, true), (600, 3, true), (601, 3, false), (601, 4, true)] {
        let mut world = World::healthy();
        let all = SequenceSet::first(sent);
        let kept = spread(sent, lost);
        let part = part_of(&mut world, "agent-b");
        (part.on_wire, part.accepted) = (Known::Known(kept.clone()), Known::Known(kept.clone()));
        part.replied = Known::Known(kept.clone());
        let round = round_of(&mut world, "agent-a");
        (round.planned, round.departed) = (sent, Known::Known(all.clone()));
        (round.sent, round.replied) = (all, kept);
        let expect: &[&str] = if counts { &[LOST] } else { &[] };
        assert_eq!(summary::blamed(&world.verdict()), expect, "{lost} of {sent}");
    }
}

#[test]
fn lost_packets_are_told_with_their_interval_in_the_readers_language() {
    let mut world = World::healthy();
    world.wire(Wire::LosesRequests(20), Wire::Through);
    let first = |lang| diagnose_in(&world.case.question(), lang).causes[0].evidence[0].text.clone();
    assert_eq!(
        first(Lang::En),
        "20 of 800 packets that left one host forward never reached the other: 2.5 % (1.6 – 3.8 %), 95 % interval"
    );
    assert_eq!(
        first(Lang::Zh),
        "正向离开一端的 800 个报文中有 20 个没有到达另一端：2.5 % (1.6 – 3.8 %)，95 % 置信区间"
    );
    let mut back = World::healthy();
    back.wire(Wire::Through, Wire::LosesRequests(20));
    assert!(diagnose_in(&back.case.question(), Lang::Zh).causes[0].evidence[0].text.starts_with("反向"));
}

/// The evidence lines about the other pairs of the link.
fn others(world: &World) -> Vec<String> {
    let lines = summary::why(&world.verdict(), "loss-in-fabric");
    lines.into_iter().filter(|line| line.contains("the link's other pairs")).collect()
}

fn counted(impaired: u32, clean: u32) -> Vec<String> {
    vec![format!("of the link's other pairs, {impaired} are impaired in the same way and {clean} are not")]
}

/// A lossy pair and another pair of its link, whose rounds and arrival reports are changed by `change` and `seen`.
fn beside(wire: Wire, change: impl Fn(&mut ProbeRound), seen: impl Fn(&mut ArrivalRound)) -> World {
    let mut world = lossy();
    with_pair(&mut world, "x", I, wire, Wire::Through);
    for endpoint in world.case.peers.iter_mut().map(|pair| &mut pair.acceptor) {
        endpoint.address = ip("172.16.1.98");
    }
    for round in world.case.probes.iter_mut().filter(|round| round.pair == id("x")) {
        if round.target == ip("172.16.1.10") {
            round.target = ip("172.16.1.98");
        }
        change(round);
    }
    for part in world.case.arrivals.iter_mut().filter(|part| part.key.round >= 100.into()) {
        for end in [&mut part.from, &mut part.to] {
            if *end == ip("172.16.1.10") {
                *end = ip("172.16.1.98");
            }
        }
        seen(part);
    }
    world
}

fn saw(part: &mut ArrivalRound, set: SequenceSet) {
    (part.on_wire, part.accepted, part.replied) =
        (Known::Known(set.clone()), Known::Known(set.clone()), Known::Known(set));
}

#[test]
fn another_pair_speaks_when_enough_of_it_was_seen() {
    assert_eq!(others(&lossy()), Vec::<String>::new(), "there is none");
    assert_eq!(others(&beside(Wire::LosesRequests(20), |_| {}, |_| {})), counted(1, 0));
    assert_eq!(others(&beside(Wire::Through, |_| {}, |_| {})), counted(0, 1));
    let few = |sent: u32, lost: u32| {
        beside(
            Wire::Through,
            |round| {
                let all = SequenceSet::first(sent);
                let whole = round.target != ip("172.16.1.98");
                round.replied = if whole { all.clone() } else { spread(sent, lost) };
                (round.planned, round.sent) = (sent, all);
            },
            |part| saw(part, spread(sent, if part.to == ip("172.16.1.98") { lost } else { 0 })),
        )
    };
    assert_eq!(others(&few(30, 0)), Vec::<String>::new(), "sixty packets clear nothing");
    assert_eq!(others(&few(100, 2)), Vec::<String>::new(), "two lost are no loss, and no proof of none");
    assert_eq!(others(&few(100, 3)), counted(1, 0));
}

#[test]
fn replies_to_another_pairs_guest_that_refuses_some_say_nothing_of_the_way() {
    let replies_lost = |refuses: bool| {
        let kept: SequenceSet = (0..SENT).filter(|n| n % 4 != 0).collect();
        let (received, accepted) = (kept.clone(), kept);
        beside(
            Wire::Through,
            move |round| {
                if refuses || round.target != ip("172.16.1.98") {
                    round.replied = received.clone();
                }
            },
            move |part| {
                if refuses && part.to == ip("172.16.1.98") {
                    (part.accepted, part.replied) = (Known::Known(accepted.clone()), Known::Known(accepted.clone()));
                }
            },
        )
    };
    assert_eq!(others(&replies_lost(true)), counted(0, 1), "its requests all came");
    assert_eq!(others(&replies_lost(false)), counted(1, 0), "its guest takes all that arrives");
}

#[test]
fn pairs_of_other_links_say_nothing_of_this_one() {
    let mut world = beside(Wire::LosesRequests(20), |_| {}, |_| {});
    world.case.peers[0].link.id = id("link-2");
    assert_eq!(others(&world), Vec::<String>::new());
    let mut own = lossy();
    let pair = own.case.pair.clone();
    own.case.peers.push(pair);
    assert_eq!(others(&own), Vec::<String>::new(), "nor does the pair itself");
}

#[test]
fn pairs_that_disagree_without_a_host_in_common_are_both_told() {
    let mut world = beside(Wire::LosesRequests(20), |_| {}, |_| {});
    with_pair(&mut world, "y", C, Wire::Through, Wire::Through);
    assert_eq!(others(&world), counted(1, 1));
}

#[test]
fn one_host_is_blamed_with_the_pairs_that_tell() {
    let mut world = lossy();
    with_pair(&mut world, "x", C, Wire::LosesRequests(20), Wire::Through);
    with_pair(&mut world, "y", I, Wire::Through, Wire::Through);
    strain(&mut world, I, LoadFact { backlog_drops: 9, ..LoadFact::default() });
    assert_eq!(
        summary::why(&world.verdict(), "host-overload")[0],
        "of the link's pairs, 2 with 192.168.1.10 are impaired and 1 others are not"
    );
}

#[test]
fn a_shift_that_other_pairs_share_says_so() {
    let mut world = World::healthy();
    with_pair(&mut world, "x", C, Wire::Through, Wire::Through);
    timed(&mut world, times(600, 603, 640, 2), times(300, 302, 305, 1), 5);
    let lines = summary::why(&world.verdict(), "latency-shift");
    assert_eq!(lines[2], counted(1, 0)[0], "{lines:?}");
}

#[test]
fn the_bandwidth_is_the_initiators_where_it_has_one_and_the_far_ends_else() {
    for (near, far, full) in [
        (Some(2), Some(100), true),
        (Some(100), Some(2), false),
        (Some(0), Some(2), true),
        (Some(0), Some(100), false),
        (None, Some(2), true),
        (None, Some(0), false),
        (None, None, false),
    ] {
        let mut world = lossy();
        (world.interface(I).bandwidth_mbps, world.interface(C).bandwidth_mbps) = (near, far);
        metric(&mut world, I, LinkMetricKind::SentBitsPerSecond, 0, 1_900_000);
        let expect = if full { "bandwidth-saturated initiator ri-a" } else { LOST };
        assert_eq!(summary::blamed(&world.verdict()), [expect], "{near:?} {far:?}");
        if full {
            let line = "95 % of the bandwidth was in use at that time";
            assert_eq!(summary::why(&world.verdict(), "bandwidth-saturated")[0], line);
        }
    }
}

//! Changes in the middle of a round: what holds after them counts, and nobody is blamed from what was read before.

use crate::{
    Changed, State,
    tests::{summary::blamed, world::*},
};
use pingtong_evidence::{packet_filter::*, *};

/// The tutorial, in which the requests of one side are not answered from one probe of the round on, or up to it.
fn changing(at: u32, dies: bool, seen: bool) -> World {
    let mut world = World::healthy();
    let kept: SequenceSet = (0..SENT).filter(|n| (*n < at) == dies).collect();
    for part in world.case.arrivals.iter_mut().filter(|part| part.observer.as_str() == "agent-b" && !seen) {
        (part.on_wire, part.accepted) = (Known::Known(kept.clone()), Known::Known(kept.clone()));
        part.replied = Known::Known(kept.clone());
    }
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
        round.replied = kept.clone();
        round.sending_ms = Some(1_600);
    }
    world
}

/// The readings of the world are of 2 000 ms; rounds begin at 1 000 ms and take 1 600 ms to send.
fn read_at(world: &mut World, ms: i64) {
    for side in Side::BOTH {
        let snapshot = world.snapshot(side);
        (snapshot.taken_at, snapshot.finished_at) = (at(ms), at(ms));
        for source in &mut snapshot.sources {
            source.at = at(ms);
        }
        world.facts(side).at = at(ms);
    }
}

fn changes(world: &World) -> Vec<(u64, u64, u64, u64)> {
    let of = |changed: &Changed| {
        let (before, after) = (changed.before, changed.after);
        (before.sent, before.received, after.sent, after.received)
    };
    world.verdict().changed.iter().map(of).collect()
}

#[test]
fn a_fault_that_begins_in_mid_test_breaks_the_pair_and_blames_nobody_from_older_readings() {
    let world = changing(150, true, false);
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Broken, vec![]));
    assert_eq!(changes(&world), [(150, 150, 250, 0)]);
    assert_eq!(verdict.changed[0].at, at(1_600), "the probe that was due then");
    assert!(!verdict.suspects.is_empty() || !verdict.gaps.is_empty());
    assert!(!verdict.repairs.proven);
}

#[test]
fn a_fault_that_ends_in_mid_test_leaves_a_healthy_pair() {
    let world = changing(150, false, false);
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Healthy, vec![]));
    assert_eq!(changes(&world), [(150, 0, 250, 250)]);
}

#[test]
fn a_route_that_was_read_missing_before_it_was_made_contradicts_nothing() {
    let mut world = changing(150, false, false);
    world.entries(Side::Initiator).truncate(1);
    read_at(&mut world, 900);
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Healthy, vec![]));
    // Read after the change, the same contradicts it.
    read_at(&mut world, 9_000);
    assert_eq!(blamed(&world.verdict()), ["model-contradicted initiator"]);
}

#[test]
fn what_was_read_after_the_change_is_blamed() {
    let mut world = changing(150, true, false);
    world.entries(Side::Initiator).truncate(1);
    read_at(&mut world, 9_000);
    assert_eq!(blamed(&world.verdict()), ["route-missing initiator"]);
}

#[test]
fn a_change_near_the_end_leaves_the_state_open() {
    let verdict = changing(SENT - 5, true, false).verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Undecided, vec![]));
    assert_eq!(verdict.changed.len(), 1);
}

#[test]
fn losses_spread_over_the_round_are_no_change() {
    let mut world = World::healthy();
    world.wire(Wire::LosesRequests(3), Wire::Through);
    assert_eq!((changes(&world), blamed(&world.verdict())), (vec![], vec!["loss-in-fabric initiator".to_owned()]));
}

#[test]
fn a_burst_that_a_rule_lets_pass_before_it_holds_back_the_rest_is_no_change() {
    let limit = Limit { unit: LimitUnit::Packets, rate: 1, per_seconds: 60, burst: 100, over: true };
    let drop = Statement::Verdict(pingtong_evidence::packet_filter::Verdict::Drop);
    let rules = vec![Rule {
        handle: 1,
        statements: vec![
            Statement::Match(Condition::equal(Field::MetaL4proto, 1)),
            Statement::Match(Condition::equal(Field::IcmpType, 8)),
            Statement::Limit(limit),
            drop,
        ],
    }];
    let hook = FirewallHook::Input;
    let base = BaseChain { kind: ChainKind::Filter, hook, priority: 0, policy: Policy::Accept, devices: vec![] };
    let chain = Chain { name: "c".into(), base: Some(base), rules };
    let table = Table { family: Family::Inet, name: "t".into(), dormant: false, chains: vec![chain], sets: vec![] };
    let mut world = changing(100, true, true);
    let rules = RuleSet { tables: vec![table], rules_omitted: 0 };
    world.facts(Side::Acceptor).firewall =
        Known::Known(FirewallFact { rules: Some(std::sync::Arc::new(rules)), ..FirewallFact::default() });
    let kept: SequenceSet = (0..100).collect();
    for part in world.case.arrivals.iter_mut().filter(|part| part.observer.as_str() == "agent-b") {
        (part.accepted, part.replied) = (Known::Known(kept.clone()), Known::Known(kept.clone()));
    }
    assert_eq!((changes(&world), blamed(&world.verdict())), (vec![], vec!["guest-rate-limit acceptor".to_owned()]));
}

#[test]
fn rounds_that_all_change_after_as_many_probes_meet_a_rate_and_no_change() {
    let mut world = changing(150, true, false);
    let again: Vec<ProbeRound> = world.case.probes.iter().filter(|r| r.key.agent.as_str() == "agent-a").cloned().collect();
    for mut round in again {
        round.key.round = 8.into();
        (round.started_at, round.ended_at) = (at(11_000), at(13_600));
        world.case.probes.push(round);
    }
    assert_eq!(changes(&world), []);
}

#[test]
fn a_verification_that_probed_again_still_says_when_it_changed() {
    let mut world = changing(150, true, false);
    let first = std::mem::take(&mut world.case.probes);
    world.wire(Wire::S1, Wire::Through);
    world.case.probes = World::healthy().case.probes;
    for round in &mut world.case.probes {
        (round.started_at, round.ended_at) = (at(11_000), at(13_600));
    }
    world.case.earlier = first;
    let verdict = world.verdict();
    assert_eq!(changes(&world), [(150, 150, 250, 0)]);
    assert_eq!(verdict.state, State::Healthy);
}

//! What impairs packets that pass: sizes.

use super::world::*;
use crate::{State, Verdict};
use pingtong_evidence::*;

const SEGMENT: &str = "ri-a~ri-b";

/// What the wire does to whole packets of one direction.
#[derive(Debug, Clone, Copy)]
struct Path {
    /// Largest that reaches the far interface.
    passes: u32,
    /// Who tells of larger ones, if anybody.
    told_by: Option<&'static str>,
}

const WHOLE: Path = Path { passes: 1_500, told_by: None };

fn narrow(passes: u32) -> Path {
    Path { passes, told_by: None }
}

/// A search of one side: six packets of each size.
fn search(world: &mut World, flow: Direction, path: Path, observed: bool) {
    let pair = world.question.pair.clone();
    let (from, to) = (pair.endpoint(flow.source()), pair.endpoint(flow.destination()));
    let model = world.question.probes.iter().find(|round| round.target == to.address).unwrap().clone();
    for (n, size) in (0u64..).zip([84, 1_300, path.passes.min(1_500), (path.passes + 1).min(1_500), 1_500]) {
        let sent = SequenceSet::first(6);
        let passed = if size <= path.passes { sent.clone() } else { SequenceSet::new() };
        let told = path.told_by.filter(|_| size > path.passes);
        let key = RoundKey { round: 1_000 + n, ..model.key.clone() };
        world.question.probes.push(ProbeRound {
            key: key.clone(),
            payload_bytes: size - 28,
            dont_fragment: true,
            planned: 6,
            sent,
            replied: passed.clone(),
            icmp_errors: told
                .map_or_else(Vec::new, |by| vec![IcmpError { from: ip(by), icmp_type: 3, code: 4, count: 6 }]),
            rtt: None,
            ..model.clone()
        });
        if observed && !passed.is_empty() {
            world.question.arrivals.push(ArrivalRound {
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
    for round in world.question.probes.iter_mut().filter(|r| r.dont_fragment && r.payload_bytes > 1_372) {
        let probes = std::mem::take(&mut round.sent);
        round.send_errors = vec![SendErrors { errno: 90, probes }];
    }
    let verdict = world.verdict();
    assert_eq!((verdict.state, causes(&verdict)), (State::Healthy, vec![]));
}

#[test]
fn a_few_lost_packets_and_a_very_lossy_path_are_no_black_hole() {
    let mut few = sized(narrow(1_400), WHOLE);
    let dead: Vec<u64> = few
        .question
        .probes
        .iter()
        .filter(|r| r.dont_fragment && r.payload_bytes > 1_372)
        .map(|r| r.key.round)
        .collect();
    few.question.probes.retain(|r| !dead.contains(&r.key.round) || r.key.round == dead[0]);
    for round in few.question.probes.iter_mut().filter(|r| r.key.round == dead[0] && r.dont_fragment) {
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

//! Conclusions from packets with the don't-fragment bit set, size by size: what passes, what dies, in which direction,
//! how many.

use crate::tests::world::*;
use crate::{
    Lang,
    observe::{Observed, SizeSeen},
    quality::{means::Means, path_size},
};
use pingtong_evidence::*;
use std::collections::BTreeMap;

const THERE: Direction = Direction::Forward;
const BACK: Direction = Direction::Return;

/// A size in bytes, and how many packets of it were sent, answered, and seen to arrive.
type Sized = (u32, u64, u64, Option<u64>);

/// A flow that is alive and lost no small packets.
fn observed(sizes: &[Sized]) -> Observed {
    let one = |&(size, sent, replied, arrived): &Sized| {
        (size, SizeSeen { sent, replied, arrived, told_by: std::collections::BTreeSet::new() })
    };
    let mut observed = Observed::default();
    (observed.rounds, observed.sent, observed.received) = (1, 400, 400);
    observed.sizes = sizes.iter().map(one).collect();
    observed
}

fn judged(world: &mut World, seen: &[(Direction, &[Sized])]) -> Vec<(Option<Direction>, Vec<String>)> {
    let question = &world.case.question();
    let model = question.model();
    let facts: BTreeMap<AgentId, HostFacts> =
        question.hosts.iter().map(|facts| (facts.agent.clone(), (*facts).clone())).collect();
    let seen = seen.iter().map(|(flow, sizes)| (*flow, observed(sizes))).collect();
    let (changes, excesses) = (BTreeMap::new(), BTreeMap::new());
    let means = Means { model: &model, question, facts: &facts, seen: &seen, changes: &changes, excesses: &excesses };
    let found = path_size::size_limits(&means);
    found.iter().map(|f| (f.direction, f.evidence.iter().map(|note| note.text.get(Lang::En)).collect())).collect()
}

fn told(seen: &[(Direction, &[Sized])]) -> Vec<(Option<Direction>, String)> {
    let found = judged(&mut World::healthy(), seen);
    found.into_iter().map(|(direction, mut texts)| (direction, texts.remove(0))).collect()
}

fn vanish(passes: u32, way: &str, dead: u64, dies: u32) -> String {
    format!(
        "packets of up to {passes} bytes pass{way}; all {dead} of {dies} bytes and more that may not be fragmented vanish, \
         and nobody sends \"fragmentation needed\""
    )
}

/// Requests of 1401 and 1500 bytes that never arrive.
const DIES_OUT: [Sized; 4] = [(84, 6, 6, Some(6)), (1400, 6, 6, Some(6)), (1401, 6, 0, Some(0)), (1500, 6, 0, Some(0))];
/// Requests of those sizes that arrive but are not answered.
const ANSWERS_DIE: [Sized; 4] =
    [(84, 6, 6, Some(6)), (1400, 6, 6, Some(6)), (1401, 6, 0, Some(6)), (1500, 6, 0, Some(6))];
const WHOLE: [Sized; 2] = [(84, 6, 6, Some(6)), (1500, 6, 6, Some(6))];

#[test]
fn requests_that_do_not_arrive_die_in_their_own_direction() {
    let dead = |way| vanish(1400, way, 12, 1401);
    assert_eq!(told(&[(THERE, &DIES_OUT), (BACK, &WHOLE)]), [(Some(THERE), dead(" forward"))]);
    assert_eq!(told(&[(THERE, &WHOLE), (BACK, &DIES_OUT)]), [(Some(BACK), dead(" on the return path"))]);
}

#[test]
fn answers_die_in_the_other_direction_unless_whole_packets_pass_there() {
    assert_eq!(told(&[(THERE, &ANSWERS_DIE)]), [(Some(BACK), vanish(1400, " on the return path", 12, 1401))]);
    let small: [Sized; 1] = [(84, 6, 6, Some(6))];
    assert_eq!(told(&[(THERE, &ANSWERS_DIE), (BACK, &small)]).len(), 1, "small ones say nothing of large ones");
    let few: [Sized; 2] = [(84, 6, 6, Some(6)), (1500, 3, 0, Some(0))];
    assert_eq!(told(&[(THERE, &ANSWERS_DIE), (BACK, &few)]).len(), 1, "nor do large ones that do not arrive");
    assert_eq!(told(&[(THERE, &ANSWERS_DIE), (BACK, &WHOLE)]), [], "whole packets of that direction pass");
    let arrive: [Sized; 2] = [(84, 6, 6, Some(6)), (1450, 6, 0, Some(6))];
    assert_eq!(told(&[(THERE, &ANSWERS_DIE), (BACK, &arrive)]).first().map(|(way, _)| *way), None, "they arrive");
    let answered: [Sized; 2] = [(84, 6, 6, None), (1450, 6, 6, None)];
    assert_eq!(told(&[(THERE, &ANSWERS_DIE), (BACK, &answered)]), [], "they are answered");
}

#[test]
fn of_two_limits_of_one_direction_the_smaller_counts() {
    // The answers of one flow and the requests of the other die in the same direction.
    let lower: [Sized; 3] = [(84, 6, 6, Some(6)), (1300, 6, 6, Some(6)), (1301, 9, 0, Some(0))];
    let expected = [(Some(BACK), vanish(1300, " on the return path", 9, 1301))];
    assert_eq!(told(&[(THERE, &ANSWERS_DIE), (BACK, &lower)]), expected);
    let expected = [(Some(THERE), vanish(1300, " forward", 9, 1301))];
    assert_eq!(told(&[(THERE, &lower), (BACK, &ANSWERS_DIE)]), expected, "whichever tells of it");
}

#[test]
fn one_limit_of_both_directions_is_one_cause_with_all_its_dead() {
    let more: [Sized; 3] = [(84, 6, 6, Some(6)), (1400, 6, 6, Some(6)), (1401, 7, 0, Some(0))];
    assert_eq!(told(&[(THERE, &DIES_OUT), (BACK, &more)]), [(None, vanish(1400, "", 19, 1401))]);
    let lower: [Sized; 3] = [(84, 6, 6, Some(6)), (1300, 6, 6, Some(6)), (1301, 7, 0, Some(0))];
    let ways: Vec<_> = told(&[(THERE, &DIES_OUT), (BACK, &lower)]).into_iter().map(|(way, _)| way).collect();
    assert_eq!(ways, [Some(THERE), Some(BACK)]);
}

#[test]
fn a_search_that_ended_early_agrees_with_a_limit_inside_its_range() {
    let early: [Sized; 3] = [(84, 6, 6, Some(6)), (1300, 3, 3, Some(3)), (1411, 7, 0, Some(0))];
    let expected = [(None, vanish(1300, "", 19, 1401))];
    assert_eq!(told(&[(THERE, &DIES_OUT), (BACK, &early)]), expected);
    assert_eq!(told(&[(THERE, &early), (BACK, &DIES_OUT)]), expected);
    // 1400 bytes pass one way and vanish the other way: these are two limits, however coarse the search.
    let lower: [Sized; 3] = [(84, 6, 6, Some(6)), (1300, 3, 3, Some(3)), (1400, 7, 0, Some(0))];
    assert_eq!(told(&[(THERE, &DIES_OUT), (BACK, &lower)]).len(), 2);
}

#[test]
fn where_nobody_looked_or_what_was_seen_differs_the_direction_stays_open() {
    let unseen: [Sized; 3] = [(84, 6, 6, None), (1400, 6, 6, None), (1500, 6, 0, None)];
    assert_eq!(told(&[(THERE, &unseen)]), [(None, vanish(1400, "", 6, 1500))]);
    let mixed: [Sized; 3] = [(1400, 6, 6, Some(6)), (1450, 6, 0, Some(0)), (1500, 6, 0, Some(6))];
    assert_eq!(told(&[(THERE, &mixed)]), [(None, vanish(1400, "", 12, 1450))]);
    // A limit with a known direction replaces the one with an open direction.
    assert_eq!(told(&[(THERE, &unseen), (BACK, &DIES_OUT)]).len(), 1);
}

#[test]
fn a_size_that_the_own_kernel_refused_was_not_sent_and_says_nothing() {
    let refused: [Sized; 4] = [(1400, 6, 6, Some(6)), (1450, 0, 0, None), (1480, 6, 0, Some(0)), (1500, 0, 0, None)];
    assert_eq!(told(&[(THERE, &refused)]), [(Some(THERE), vanish(1400, " forward", 6, 1480))]);
    let arrived: [Sized; 4] = [(1400, 6, 6, Some(6)), (1450, 0, 0, None), (1480, 6, 0, Some(6)), (1500, 0, 0, None)];
    assert_eq!(told(&[(THERE, &arrived)]), [(Some(BACK), vanish(1400, " on the return path", 6, 1480))]);
}

#[test]
fn fewer_than_six_dead_packets_are_no_black_hole() {
    let few: [Sized; 2] = [(1400, 6, 6, Some(6)), (1500, 5, 0, Some(0))];
    assert_eq!(told(&[(THERE, &few)]), []);
}

#[test]
fn a_card_that_carries_no_more_than_what_passes_is_told_with_its_host() {
    let texts = |world: &mut World| judged(world, &[(THERE, &DIES_OUT), (BACK, &WHOLE)]).remove(0).1;
    assert_eq!(texts(&mut World::healthy()).len(), 1, "whole cards are not worth a word");
    for (mtu, told) in [(1_400, true), (1_401, false), (1_280, true)] {
        let mut world = World::healthy();
        let cards = known(&mut world.facts(Side::Acceptor).interfaces);
        // Another network interface of the host does not count.
        cards.insert(0, InterfaceFact { name: "eth9".into(), mtu: 600, addresses: vec![], ..cards[0].clone() });
        cards[1].mtu = mtu;
        let line = format!("the network interface eth0 of 172.16.1.10 itself carries {mtu} bytes");
        let expected = if told { vec![line] } else { vec![] };
        assert_eq!(texts(&mut world)[1..], expected);
    }
}

#[test]
fn the_largest_whole_packet_that_was_answered_is_told_with_who_says_more_must_be_cut() {
    let line = |observed: &Observed, lang| path_size::largest(THERE, observed).map(|note| note.text.get(lang));
    let mut seen = observed(&[(84, 6, 6, None), (1400, 6, 1, None), (1450, 6, 0, None)]);
    assert_eq!(line(&seen, Lang::En).as_deref(), Some("forward: packets of 1400 bytes pass unfragmented"));
    assert_eq!(line(&seen, Lang::Zh).as_deref(), Some("正向：1400 字节的报文不分片即可通过"));
    let back = path_size::largest(BACK, &seen).map(|note| note.text.get(Lang::Zh));
    assert_eq!(back.as_deref(), Some("反向：1400 字节的报文不分片即可通过"));
    seen.sizes.get_mut(&1450).unwrap().told_by.insert(ip("192.168.1.253"));
    let told = "forward: packets of 1400 bytes pass unfragmented; 192.168.1.253 says of larger ones that they need fragmentation";
    assert_eq!(line(&seen, Lang::En).as_deref(), Some(told));
    assert_eq!(line(&observed(&[(1450, 6, 0, None)]), Lang::En), None);
}

/// Adds a size search on another pair of the link: sizes, and how many of six packets arrived and were answered.
fn searched_beside(world: &mut World, name: &str, sizes: &[(u32, u32)]) {
    let mut peer = world.case.pair.clone();
    peer.id = id(name);
    let small: Vec<ProbeRound> = world.case.probes.clone();
    for (n, (size, passed)) in (0_u64..).zip(sizes) {
        let key = RoundKey { agent: id("agent-a"), round: (5_000 + n).into() };
        let arrived = Known::Known(SequenceSet::first(*passed));
        let part = world.case.arrivals.iter().find(|part| part.key.agent.as_str() == "agent-a").unwrap().clone();
        world.case.probes.push(ProbeRound {
            payload_bytes: size - 28,
            purpose: RoundPurpose::PathSize,
            replied: SequenceSet::first(*passed),
            ..ProbeRound::unanswered(key.clone(), peer.id.clone(), peer.acceptor.address, 6)
        });
        let (on_wire, accepted) = (arrived.clone(), arrived.clone());
        world.case.arrivals.push(ArrivalRound { key, on_wire, accepted, replied: arrived, ..part });
    }
    for (n, round) in (0_u64..).zip(small) {
        let key = RoundKey { round: (6_000 + n).into(), ..round.key.clone() };
        world.case.probes.push(ProbeRound { key, pair: peer.id.clone(), ..round });
    }
    world.case.peers.push(peer);
}

#[test]
fn a_pair_without_a_search_of_its_own_is_told_of_its_links_boundary_where_all_searches_agree() {
    const HOLE: [(u32, u32); 3] = [(84, 6), (1_400, 6), (1_401, 0)];
    let codes = |world: &World| world.verdict().causes.into_iter().map(|cause| cause.code).collect::<Vec<_>>();
    let mut world = World::healthy();
    searched_beside(&mut world, "pair2", &HOLE);
    assert_eq!(codes(&world), [crate::CauseCode::MtuBlackHole]);
    // One search finds nothing wrong: the segment is fine, whatever is wrong with the other host.
    searched_beside(&mut world, "pair3", &[(84, 6), (1_500, 6)]);
    assert!(codes(&world).is_empty());
}

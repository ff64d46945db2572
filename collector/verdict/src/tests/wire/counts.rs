//! What a verdict counts: sums over rounds, losses by where they happened, cut points, and their texts.

use crate::tests::world::*;
use crate::{Cut, Lang, State, Verdict};
use pingtong_evidence::*;

fn lossless() -> World {
    World::healthy()
}

fn forward_round(world: &mut World) -> &mut ProbeRound {
    world.case.probes.iter_mut().find(|round| round.key.agent.as_str() == "agent-a").unwrap()
}

fn at_b(world: &mut World) -> &mut ArrivalRound {
    world.case.arrivals.iter_mut().find(|part| part.observer.as_str() == "agent-b").unwrap()
}

fn shares(verdict: &Verdict) -> [Option<u64>; 4] {
    let loss = verdict.directions.forward.loss;
    [loss.round_trip, loss.request, loss.host, loss.reply].map(|rate| rate.map(|rate| rate.lost))
}

#[test]
fn losses_are_told_by_where_they_happened() {
    let mut world = lossless();
    let without = |step: u32| -> SequenceSet { (0..SENT).filter(|n| n % step != 0).collect() };
    // 400 sent: 4 die on the way out, 16 in the host, 20 on the way back.
    let (arrived, answered) = (without(100), without(100).intersection(&without(20)));
    let received = answered.intersection(&without(10));
    let part = at_b(&mut world);
    (part.on_wire, part.accepted) = (Known::Known(arrived.clone()), Known::Known(arrived.clone()));
    part.replied = Known::Known(answered.clone());
    forward_round(&mut world).replied = received.clone();
    let verdict = world.verdict();
    let report = &verdict.directions.forward;
    assert_eq!((report.sent, report.arrived, report.answered, report.received), (400, Some(396), Some(380), 360));
    assert_eq!(shares(&verdict), [Some(40), Some(4), Some(16), Some(20)]);
    let whole = report.loss.round_trip.unwrap();
    assert!(whole.low < 0.1 && 0.1 < whole.high && (whole.rate - 0.1).abs() < 1e-9);
}

#[test]
fn rounds_are_summed() {
    let mut world = lossless();
    let once = world.verdict().directions.forward;
    let (mut round, mut part) = (forward_round(&mut world).clone(), at_b(&mut world).clone());
    (round.key.round, part.key.round) = (8.into(), 8.into());
    round.send_errors = vec![SendErrors { errno: 105, probes: SequenceSet::first(3) }];
    world.case.probes.push(round);
    world.case.arrivals.push(part);
    let twice = world.verdict().directions.forward;
    assert_eq!((twice.sent, twice.received), (2 * once.sent, 2 * once.received));
    assert_eq!((twice.arrived, twice.answered), (once.arrived.map(|n| 2 * n), once.answered.map(|n| 2 * n)));
    assert_eq!((once.send_errors, twice.send_errors), (0, 3));
}

#[test]
fn an_answer_that_left_by_both_interfaces_died_on_its_way_and_one_that_left_by_another_only_did_not() {
    let mut world = lossless();
    world.wire(Wire::S4, Wire::Through);
    assert_eq!(world.verdict().directions.forward.cut, Cut::S4);
    at_b(&mut world).replied = Known::Known(SequenceSet::first(5));
    assert_eq!(world.verdict().directions.forward.cut, Cut::S5);
    // If no reply left by any interface, a reply that was not seen to leave was not made.
    let part = at_b(&mut world);
    (part.replied, part.replied_elsewhere) = (Known::Known(SequenceSet::new()), vec![]);
    assert_eq!(world.verdict().directions.forward.cut, Cut::S3);
}

#[test]
fn states_and_cuts_have_words_in_both_languages() {
    let told = |state: State| (state.name(Lang::En), state.name(Lang::Zh));
    assert_eq!(told(State::Healthy), ("healthy", "健康"));
    assert_eq!(told(State::Degraded), ("degraded", "劣化"));
    assert_eq!(told(State::Broken), ("broken", "不通"));
    assert_eq!(told(State::Undecided), ("undecided", "无法判定"));
    assert_eq!([State::Healthy, State::Degraded, State::Broken, State::Undecided].map(State::exit_code), [0, 1, 1, 2]);
    let cuts =
        [Cut::None, Cut::S0, Cut::S1, Cut::S2, Cut::S3, Cut::S4, Cut::S5, Cut::S6, Cut::Unanswered, Cut::Unknown];
    let words: std::collections::BTreeSet<_> =
        cuts.into_iter().flat_map(|cut| [cut.as_str(), cut.name(Lang::En), cut.name(Lang::Zh)]).collect();
    assert_eq!(words.len(), 3 * cuts.len(), "no two cuts share a word");
}

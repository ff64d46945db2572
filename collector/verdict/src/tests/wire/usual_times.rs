//! Which round-trip times are usual for a flow, what they are now, and how an increase is reported.

use crate::tests::world::*;
use crate::{
    Lang,
    quality::{latency, usual},
};
use pingtong_evidence::*;
use std::collections::BTreeMap;

fn rtt(min: u64, p50: u64) -> RttSummary {
    let ms = |value: u64| Nanos(value * 1_000_000);
    RttSummary {
        samples: 400,
        kernel_timestamps: true,
        kernel_departures: true,
        min: ms(min),
        mean: ms(p50),
        p50: ms(p50),
        p95: ms(p50 + 1),
        p99: ms(p50 + 1),
        max: ms(p50 + 2),
        jitter: ms(1),
    }
}

/// Adds earlier rounds of the forward flow, each with its median round-trip time in milliseconds.
fn with_usual(world: &mut World, middles: &[u64]) {
    let model = world.case.probes[0].clone();
    for (n, middle) in (0u64..).zip(middles) {
        let key = RoundKey { round: (100 + n).into(), ..model.key.clone() };
        let round = ProbeRound { key, rtt: Some(rtt(*middle, *middle)), ..model.clone() };
        world.case.earlier.push(round);
    }
    world.case.probes[0].rtt = Some(rtt(50, 51));
}

type Spoil = fn(&mut ProbeRound);

fn usual_ms(world: &World) -> Option<u128> {
    usual::change(&world.case.question(), Direction::Forward).unwrap().usual.map(|times| times.middle.as_millis())
}

#[test]
fn what_is_usual_is_the_lower_quartile_of_the_flows_own_whole_rounds() {
    let mut world = World::healthy();
    with_usual(&mut world, &[20, 90, 30, 80, 10]);
    assert_eq!(usual_ms(&world), Some(20));
    with_usual(&mut world, &[1, 2, 3, 4]);
    assert_eq!(usual_ms(&world), Some(3), "the third of nine");
    let earlier = world.case.earlier.clone();
    let spoils: [Spoil; 6] = [
        |round| round.own_drops = 1,
        |round| round.purpose = RoundPurpose::PathSize,
        |round| round.protocol = Protocol::Tcp,
        |round| round.pair = id("another"),
        |round| round.target = ip("172.16.1.99"),
        |round| round.key.agent = id("agent-b"),
    ];
    for (n, spoil) in spoils.into_iter().enumerate() {
        let mut world = World::healthy();
        with_usual(&mut world, &[20, 30, 90]);
        let spoiled = earlier.iter().cloned().map(|mut round| {
            spoil(&mut round);
            round
        });
        world.case.earlier.extend(spoiled);
        assert_eq!(usual_ms(&world), Some(20), "{n}");
    }
    world.case.earlier.truncate(2);
    assert_eq!(usual_ms(&world), None, "two rounds are no custom");
}

#[test]
fn longer_round_trips_are_told_by_flow_with_the_custom() {
    let mut world = World::healthy();
    with_usual(&mut world, &[20, 30, 90, 10]);
    let model = world.case.question().model();
    let change = usual::change(&world.case.question(), Direction::Forward).unwrap();
    let told = |flow: Direction, lang: Lang| {
        let found = latency::finding(&model, &BTreeMap::from([(flow, change)])).unwrap();
        found.evidence[0].text.get(lang)
    };
    let en = "round trips take 51.0 ms, at least 50.0 ms; usual over 4 earlier rounds were 10.0 ms";
    assert_eq!(told(Direction::Forward, Lang::En), format!("forward: {en}"));
    assert!(told(Direction::Forward, Lang::Zh).starts_with("正向：往返时延为"));
    assert!(told(Direction::Return, Lang::Zh).starts_with("反向：往返时延为"));
}

#[test]
fn what_is_now_is_the_median_of_the_judged_rounds() {
    let mut world = World::healthy();
    let first = world.case.probes[0].clone();
    world.case.probes.clear();
    for (n, middle) in (0u64..).zip([90, 20, 70, 40, 60]) {
        let key = RoundKey { round: (200 + n).into(), ..first.key.clone() };
        world.case.probes.push(ProbeRound { key, rtt: Some(rtt(middle, middle)), ..first.clone() });
    }
    let now = usual::change(&world.case.question(), Direction::Forward).unwrap().now;
    assert_eq!((now.middle.as_millis(), now.rounds), (60, 5));
}

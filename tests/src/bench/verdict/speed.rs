//! Determinism and speed: the order of the evidence must not change a byte of the verdict, and a verdict must be fast.

use super::timed;
use super::{accuracy, matching::case_of, workers::on_all_cores};
use pingtong_evidence::Side;
use pingtong_verdict::{Case, diagnose};
use pingtong_worlds::{
    draw::{Wish, draw},
    fault::registry,
    random::Random,
    world::{GuestRule, Speaks},
};
use serde::Serialize;

/// Verdicts on the same evidence in two orders.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Determinism {
    /// Number of evidence sets.
    pub sets: usize,
    /// Number of evidence sets with the same verdict, byte for byte, in both orders.
    pub identical: usize,
}

/// Latency of one operation.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latency {
    /// Number of measurements.
    pub samples: usize,
    /// Median in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile in milliseconds.
    pub p99_ms: f64,
}

impl Latency {
    /// Computes the figures from single durations in milliseconds.
    pub(super) fn of(mut times_ms: Vec<f64>) -> Self {
        times_ms.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let place = (times_ms.len() * percent / 100).min(times_ms.len().saturating_sub(1));
            times_ms.get(place).copied().unwrap_or(0.0)
        };
        Self { samples: times_ms.len(), p50_ms: at(50), p99_ms: at(99) }
    }
}

fn shuffled(case: &Case, random: &mut Random) -> Case {
    let mut case = case.clone();
    random.shuffle(&mut case.snapshots);
    random.shuffle(&mut case.probes);
    random.shuffle(&mut case.arrivals);
    random.shuffle(&mut case.hosts);
    random.shuffle(&mut case.silent);
    random.shuffle(&mut case.healths);
    random.shuffle(&mut case.elsewhere);
    // A report that is sent twice counts as one report.
    case.arrivals.extend(case.arrivals.first().cloned());
    case.probes.extend(case.probes.last().cloned());
    case
}

/// Compares verdicts on the same evidence in another order and with repeated reports.
pub(super) fn determinism(seed: u64, sets: usize) -> Determinism {
    let faults = registry();
    let seeds: Vec<u64> = Random::seeds(seed).take(sets).collect();
    let same = on_all_cores(&seeds, |seed| {
        let mut random = Random::new(*seed);
        let three = std::iter::repeat_with(|| accuracy::triple(&mut random, &faults)).flatten().next();
        let broken = three.and_then(|three| accuracy::case(*seed, &three)).map(|(_, world, _)| world);
        let case = case_of(&broken.unwrap_or_else(|| draw(*seed, Wish::default())));
        let json = |case: &Case| serde_json::to_string(&diagnose(&case.question())).ok();
        let other = shuffled(&case, &mut random);
        let once = json(&case);
        once.is_some() && once == json(&other)
    });
    Determinism { sets, identical: same.into_iter().filter(|same| *same).count() }
}

/// Rules of the packet filter of each guest, as many as a host with many services has.
const GUEST_RULES: u64 = 500;

/// Measures whole verdicts on the tutorial's world, whose guests have long packet filters: healthy, and with each single
/// fault of the initiator's side, one after another.
pub(super) fn diagnose_latency(samples: usize) -> Latency {
    let mut world = draw(1, Wish { plain: true, overlap: false });
    for side in Side::BOTH {
        let rule = |handle: u64| GuestRule {
            inward: handle.is_multiple_of(2),
            speaks: Speaks::OtherService,
            handle,
            limited: false,
            spares: (false, false),
        };
        world.guest_mut(side).rules.extend((1_000..1_000 + GUEST_RULES).map(rule));
    }
    let faults = registry();
    let initiators = faults.iter().filter(|fault| fault.side == Side::Initiator);
    let broken =
        initiators.filter_map(|fault| pingtong_worlds::fault::broken(&world, &[fault]).map(|(world, _)| world));
    let cases: Vec<Case> = std::iter::once(world.clone()).chain(broken).map(|world| case_of(&world)).collect();
    let times = cases.iter().cycle().take(samples).map(|case| {
        let (_, took) = timed(|| diagnose(&case.question()));
        took.as_secs_f64() * 1e3
    });
    Latency::of(times.collect())
}

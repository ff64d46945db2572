//! Determinism and speed: the order of the evidence must not change a byte of the verdict, and a verdict must be fast.

use super::timed;
use super::{accuracy, matching::question, workers::on_all_cores};
use pingtong_evidence::Side;
use pingtong_verdict::{Question, diagnose};
use pingtong_worlds::{
    draw::{Wish, draw},
    fault::registry,
    random::Random,
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

fn shuffled(question: &Question, random: &mut Random) -> Question {
    let mut question = question.clone();
    random.shuffle(&mut question.snapshots);
    random.shuffle(&mut question.probes);
    random.shuffle(&mut question.arrivals);
    random.shuffle(&mut question.hosts);
    random.shuffle(&mut question.silent);
    random.shuffle(&mut question.healths);
    random.shuffle(&mut question.elsewhere);
    // A report that is sent twice counts as one report.
    question.arrivals.extend(question.arrivals.first().cloned());
    question.probes.extend(question.probes.last().cloned());
    question
}

/// Compares verdicts on the same evidence in another order and with repeated reports.
pub(super) fn determinism(seed: u64, sets: usize) -> Determinism {
    let faults = registry();
    let seeds: Vec<u64> = (seed..).take(sets).collect();
    let same = on_all_cores(&seeds, |seed| {
        let mut random = Random::new(*seed);
        let three = std::iter::repeat_with(|| accuracy::triple(&mut random, &faults)).flatten().next();
        let broken = three.and_then(|three| accuracy::case(*seed, &three)).map(|(_, world, _)| world);
        let question = question(&broken.unwrap_or_else(|| draw(*seed, Wish::default())));
        let json = |question: &Question| serde_json::to_string(&diagnose(question)).ok();
        let other = shuffled(&question, &mut random);
        let once = json(&question);
        once.is_some() && once == json(&other)
    });
    Determinism { sets, identical: same.into_iter().filter(|same| *same).count() }
}

/// Measures whole verdicts on the tutorial's world: healthy, and with each single fault of the initiator's side, one
/// after another.
pub(super) fn diagnose_latency(samples: usize) -> Latency {
    let world = draw(1, Wish { plain: true, overlap: false });
    let faults = registry();
    let initiators = faults.iter().filter(|fault| fault.side == Side::Initiator);
    let broken =
        initiators.filter_map(|fault| pingtong_worlds::fault::broken(&world, &[fault]).map(|(world, _)| world));
    let questions: Vec<Question> = std::iter::once(world.clone()).chain(broken).map(|world| question(&world)).collect();
    let times = questions.iter().cycle().take(samples).map(|question| {
        let (_, took) = timed(|| diagnose(question));
        took.as_secs_f64() * 1e3
    });
    Latency::of(times.collect())
}

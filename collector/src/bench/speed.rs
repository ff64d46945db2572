//! Order of evidence must change no byte, and a verdict must come at once.

use super::{accuracy, matching::question, workers::on_all_cores};
use crate::clock::timed;
use pingtong_evidence::Side;
use pingtong_verdict::{Question, diagnose};
use pingtong_worlds::{
    draw::{Wish, draw},
    fault::registry,
    random::Random,
};
use serde::Serialize;

/// Verdicts on shuffled evidence.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Determinism {
    /// Evidence sets.
    pub sets: usize,
    /// Of these, with one and the same verdict.
    pub identical: usize,
}

/// Times of one thing, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latency {
    /// How often it was done.
    pub samples: usize,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
}

impl Latency {
    /// From single times.
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
    // A report that is sent twice is one report.
    question.arrivals.extend(question.arrivals.first().cloned());
    question.probes.extend(question.probes.last().cloned());
    question
}

/// The same evidence in another order and with repetitions.
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

/// Whole verdicts on the tutorial: healthy, and with each single fault, one after another.
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

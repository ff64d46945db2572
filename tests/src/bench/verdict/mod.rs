//! `cargo lab bench verdict`: measures the verdict engine against synthetic networks whose true state is declared.
//!
//! The networks, their faults and the behaviour of packets come from `pingtong-worlds`, which shares no code with the
//! engine. This module holds the target of every figure. The same seed generates the same cases on every machine. The
//! module does not know how the figures are shown (`render`).

mod accuracy;
mod blame;
mod estate;
mod matching;
pub mod page;
mod proof;
mod repairs;
mod speed;
#[cfg(test)]
mod tests;
mod workers;

pub use accuracy::Accuracy;
pub use blame::{Blame, Lying};
pub use estate::EstateSpeed;
pub use matching::Miss;
pub use proof::Proof;
pub use repairs::{Failure, Repairs};
pub use speed::{Determinism, Latency};

use pingtong_worlds::estate::Shape;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Share of single faults that must be exact.
pub const SINGLES_RATE_MIN: f64 = 1.0;
/// Share of pairs of faults that must be exact.
pub const PAIRS_RATE_MIN: f64 = 0.99;
/// Minimum number of faults that the pairs are drawn from.
pub const FAULTS_MIN: usize = 40;
/// Share of triples that must be exact.
pub const TRIPLES_RATE_MIN: f64 = 0.97;
/// Number of causes that may be blamed in healthy networks.
pub const HEALTHY_CAUSES: usize = 0;
/// Number of fault causes that may be blamed in healthy networks with false evidence.
pub const LYING_CAUSES: usize = 0;
/// Maximum 99th percentile, in milliseconds, of a verdict with its search for repairs of up to three faults.
pub const REPAIRS_MS_P99_MAX: f64 = 50.0;
/// Maximum 99th percentile, in milliseconds, of a verdict on a pair of the tutorial's size with 500 rules in each guest.
pub const DIAGNOSE_MS_P99_MAX: f64 = 3.0;

/// How many cases each part of the benchmark runs.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Number of worlds in which every single fault is tried.
    worlds: u64,
    /// Every `pair_step`-th pair of faults is tried.
    pair_step: usize,
    triples: usize,
    healthy: usize,
    lying: usize,
    parts: usize,
    guests: usize,
    repairs: usize,
    shuffled: usize,
    timed: usize,
    estate: Shape,
    walks: usize,
}

impl Size {
    /// The size that the targets apply to.
    pub const FULL: Self = Self {
        worlds: 8,
        pair_step: 1,
        triples: 1_000,
        healthy: 10_000,
        lying: 10_000,
        parts: 10_000,
        guests: 10_000,
        repairs: 1_000,
        shuffled: 500,
        timed: 2_000,
        estate: Shape::LARGE,
        walks: 2_000_000,
    };
    /// A small size for a quick check.
    pub const QUICK: Self = Self {
        worlds: 1,
        pair_step: 19,
        triples: 60,
        healthy: 300,
        lying: 300,
        parts: 300,
        guests: 300,
        repairs: 60,
        shuffled: 20,
        timed: 100,
        estate: Shape { vpcs: 100, peerings: 50, ..Shape::LARGE },
        walks: 100_000,
    };
}

/// All figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of this format.
    pub schema: u32,
    /// The seed that all cases are drawn from.
    pub seed: u64,
    /// Accuracy on every fault alone.
    pub singles: Accuracy,
    /// Accuracy on every pair of faults that composes.
    pub pairs: Accuracy,
    /// Accuracy on three faults at once.
    pub triples: Accuracy,
    /// False blame on networks without a fault.
    pub healthy: Blame,
    /// False blame on healthy networks whose evidence is false or incomplete.
    pub lying: Lying,
    /// What is called proven on evidence of which parts are missing.
    pub parts: Proof,
    /// What is called proven if guests filter, rewrite, shape or run programs.
    pub guests: Proof,
    /// Results of the repairs, carried out as printed.
    pub repairs: Repairs,
    /// Verdicts on the same evidence in another order.
    pub determinism: Determinism,
    /// Latency of one verdict on a pair of the tutorial's size.
    pub diagnose: Latency,
    /// Speed of walks and audits over a whole estate.
    pub estate: EstateSpeed,
    /// Targets that were missed, each as one text.
    pub missed: Vec<String>,
    /// Whether every target was met.
    pub met: bool,
}

/// Runs the whole benchmark.
pub fn verdict(seed: u64, size: Size) -> Report {
    let mut report = Report {
        schema: pingtong_evidence::SCHEMA,
        seed,
        singles: accuracy::singles(seed, size.worlds),
        pairs: accuracy::pairs(seed, size.pair_step),
        triples: accuracy::triples(seed, size.triples),
        healthy: blame::healthy(seed, size.healthy),
        lying: blame::lies(seed, size.lying),
        parts: proof::of_parts(seed, size.parts),
        guests: proof::of_guests(seed, size.guests),
        repairs: repairs::repairs(seed, size.repairs),
        determinism: speed::determinism(seed, size.shuffled),
        diagnose: speed::diagnose_latency(size.timed),
        estate: estate::speed(seed, size.estate, size.walks),
        missed: vec![],
        met: false,
    };
    report.missed = missed(&report);
    report.met = report.missed.is_empty();
    report
}

fn missed(report: &Report) -> Vec<String> {
    let mut missed = vec![];
    let mut check = |met: bool, what: String| {
        if !met {
            missed.push(what);
        }
    };
    for (name, accuracy, least) in [
        ("singles", &report.singles, SINGLES_RATE_MIN),
        ("pairs", &report.pairs, PAIRS_RATE_MIN),
        ("triples", &report.triples, TRIPLES_RATE_MIN),
    ] {
        check(accuracy.rate >= least, format!("{name}.rate {:.4} < {least}", accuracy.rate));
    }
    check(report.pairs.faults >= FAULTS_MIN, format!("pairs.faults {} < {FAULTS_MIN}", report.pairs.faults));
    check(report.healthy.causes == HEALTHY_CAUSES, format!("healthy.causes {}", report.healthy.causes));
    check(report.lying.fault_causes == LYING_CAUSES, format!("lying.fault_causes {}", report.lying.fault_causes));
    for (name, proof) in [("parts", &report.parts), ("guests", &report.guests)] {
        let Proof { false_proven, false_healthy, speechless, false_repairs, .. } = proof;
        check(
            false_proven + false_healthy + speechless + false_repairs == 0,
            format!(
                "{name}: {false_proven} false proven, {false_healthy} false healthy, {speechless} speechless, {false_repairs} false repairs"
            ),
        );
    }
    let repairs = &report.repairs;
    check(repairs.restored == repairs.cases, format!("repairs.restored {} of {}", repairs.restored, repairs.cases));
    let (minimal, tried) = (repairs.minimal_by_brute_force, repairs.tried_by_parts);
    check(minimal == tried, format!("repairs.minimal_by_brute_force {minimal} of {tried}"));
    check(repairs.time.p99_ms <= REPAIRS_MS_P99_MAX, format!("repairs.time.p99_ms {:.3}", repairs.time.p99_ms));
    let determinism = &report.determinism;
    check(
        determinism.identical == determinism.sets,
        format!("determinism {} of {}", determinism.identical, determinism.sets),
    );
    check(report.diagnose.p99_ms <= DIAGNOSE_MS_P99_MAX, format!("diagnose.p99_ms {:.3}", report.diagnose.p99_ms));
    let estate = &report.estate;
    check(estate.sound, "estate.sound".to_owned());
    check(
        estate.walks_per_second >= estate::WALKS_PER_SECOND_MIN,
        format!("estate.walks_per_second {:.0}", estate.walks_per_second),
    );
    check(
        estate.audit_seconds <= estate::AUDIT_SECONDS_MAX,
        format!("estate.audit_seconds {:.3}", estate.audit_seconds),
    );
    check(estate.reaudit_ms <= estate::REAUDIT_MS_MAX, format!("estate.reaudit_ms {:.1}", estate.reaudit_ms));
    // A smaller estate, as in a quick run, has fewer pairs.
    let whole = estate.vpcs >= Shape::LARGE.vpcs;
    check(
        !whole || estate.audit_pairs >= estate::AUDIT_PAIRS_MIN,
        format!("estate.audit_pairs {}", estate.audit_pairs),
    );
    missed
}

/// Runs `work`; returns its result and how long it took.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

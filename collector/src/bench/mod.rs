//! `pingtong bench verdict`: the verdict engine against synthetic networks whose truth is declared.
//!
//! The networks, their faults and what packets do in them come from `pingtong-worlds`, which shares no code with the
//! engine. Every figure has its target here; the same seed gives the same cases on every machine. Knows nothing of how
//! the figures are shown (`render`).

mod accuracy;
mod blame;
mod matching;
mod repairs;
mod speed;
#[cfg(test)]
mod tests;
mod workers;

pub use accuracy::Accuracy;
pub use blame::{Blame, Lying};
pub use matching::Miss;
pub use repairs::{Failure, Repairs};
pub use speed::{Determinism, Latency};

use serde::Serialize;

/// Share of single faults that must be exact.
pub const SINGLES_RATE_MIN: f64 = 1.0;
/// Share of pairs of faults that must be exact.
pub const PAIRS_RATE_MIN: f64 = 0.99;
/// Faults that the pairs must be made of.
pub const FAULTS_MIN: usize = 40;
/// Share of triples that must be exact.
pub const TRIPLES_RATE_MIN: f64 = 0.97;
/// Causes that may be blamed in healthy networks.
pub const HEALTHY_CAUSES: usize = 0;
/// Fault causes that may be blamed where evidence lies and the network is healthy.
pub const LYING_CAUSES: usize = 0;
/// Milliseconds that 99 of 100 verdicts may take with the search for repairs of up to three faults.
pub const REPAIRS_MS_P99_MAX: f64 = 50.0;
/// Milliseconds that 99 of 100 verdicts on a pair of the tutorial's size may take.
pub const DIAGNOSE_MS_P99_MAX: f64 = 2.0;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Worlds in which every single fault is tried.
    worlds: u64,
    /// Every how-many-th pair is tried.
    pair_step: usize,
    triples: usize,
    healthy: usize,
    lying: usize,
    repairs: usize,
    shuffled: usize,
    timed: usize,
}

impl Size {
    /// What the targets are stated for.
    pub const FULL: Self = Self {
        worlds: 8,
        pair_step: 1,
        triples: 1_000,
        healthy: 10_000,
        lying: 10_000,
        repairs: 1_000,
        shuffled: 500,
        timed: 2_000,
    };
    /// A look in passing.
    pub const QUICK: Self =
        Self { worlds: 1, pair_step: 19, triples: 60, healthy: 300, lying: 300, repairs: 60, shuffled: 20, timed: 100 };
}

/// All figures.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of this format.
    pub schema: u32,
    /// The seed.
    pub seed: u64,
    /// Every fault alone.
    pub singles: Accuracy,
    /// Every pair of faults that composes.
    pub pairs: Accuracy,
    /// Three faults at once.
    pub triples: Accuracy,
    /// Networks without a fault.
    pub healthy: Blame,
    /// Healthy networks, evidence that lies.
    pub lying: Lying,
    /// Repairs as printed, carried out.
    pub repairs: Repairs,
    /// The same evidence in another order.
    pub determinism: Determinism,
    /// Time of one verdict on a pair of the tutorial's size.
    pub diagnose: Latency,
    /// Targets that were missed.
    pub missed: Vec<String>,
    /// Whether every target was met.
    pub met: bool,
}

/// Measures.
pub fn verdict(seed: u64, size: Size) -> Report {
    let mut report = Report {
        schema: pingtong_evidence::SCHEMA,
        seed,
        singles: accuracy::singles(seed, size.worlds),
        pairs: accuracy::pairs(seed, size.pair_step),
        triples: accuracy::triples(seed, size.triples),
        healthy: blame::healthy(seed, size.healthy),
        lying: blame::lies(seed, size.lying),
        repairs: repairs::repairs(seed, size.repairs),
        determinism: speed::determinism(seed, size.shuffled),
        diagnose: speed::diagnose_latency(size.timed),
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
    missed
}

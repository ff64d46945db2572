//! False blame: causes in networks that have no fault.

use super::{
    matching::{Miss, asked, blamed, question},
    workers::on_all_cores,
};
use pingtong_verdict::{CauseKind, State, catalogue, diagnose};
use pingtong_worlds::{
    draw::{Wish, draw},
    fault::registry,
    lie::lying,
    random::Random,
};
use serde::Serialize;

/// Cases listed; all are counted.
const LISTED_MAX: usize = 40;

/// Blame where none is due.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Blame {
    /// Evidence sets.
    pub sets: usize,
    /// Causes blamed in all of them.
    pub causes: usize,
    /// Sets that were not found healthy.
    pub not_healthy: usize,
    /// Where.
    pub misses: Vec<Miss>,
}

/// Networks as they are drawn.
pub(super) fn healthy(seed: u64, sets: usize) -> Blame {
    let seeds: Vec<u64> = (seed..).take(sets).collect();
    let results = on_all_cores(&seeds, |seed| {
        let verdict = diagnose(&question(&draw(*seed, Wish::default())));
        let sound = verdict.state == State::Healthy;
        let blamed = blamed(&verdict);
        let miss = Miss {
            seed: *seed,
            faults: vec![],
            missing: vec![],
            unexpected: blamed,
            why: verdict.state.as_str().to_owned(),
        };
        (verdict.causes.len(), sound, miss)
    });
    let mut blame = Blame { sets, ..Blame::default() };
    for (causes, sound, miss) in results {
        blame.causes += causes;
        blame.not_healthy += usize::from(!sound);
        if (causes > 0 || !sound) && blame.misses.len() < LISTED_MAX {
            blame.misses.push(miss);
        }
    }
    blame
}

/// Blame where the network is healthy and the evidence is not.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lying {
    /// Evidence sets.
    pub sets: usize,
    /// Causes blamed in all of them that are neither gaps nor contradictions.
    pub fault_causes: usize,
    /// Sets with at least one gap or contradiction.
    pub told: usize,
    /// Where.
    pub misses: Vec<Miss>,
}

/// Whether a code blames the network.
fn blames(code: &str) -> bool {
    code != "model-contradicted"
        && catalogue().iter().any(|doc| doc.code.as_str() == code && doc.kind != CauseKind::Gap)
}

/// Networks as they are drawn, with evidence that lies or is incomplete.
pub(super) fn lies(seed: u64, sets: usize) -> Lying {
    let faults = registry();
    let seeds: Vec<u64> = (seed..).take(sets).collect();
    let results = on_all_cores(&seeds, |seed| {
        let world = draw(*seed, Wish::default());
        let (evidence, lies) = lying(&mut Random::new(*seed), &world, &faults);
        let verdict = diagnose(&asked(&world, evidence));
        let causes = verdict.causes.iter().filter(|cause| blames(cause.code.as_str())).count();
        let told = !verdict.gaps.is_empty() || verdict.causes.len() > causes;
        let miss = Miss {
            seed: *seed,
            faults: lies.iter().map(|lie| format!("{lie:?}")).collect(),
            missing: vec![],
            unexpected: blamed(&verdict),
            why: verdict.state.as_str().to_owned(),
        };
        (causes, told, miss)
    });
    let mut lying = Lying { sets, ..Lying::default() };
    for (causes, told, miss) in results {
        lying.fault_causes += causes;
        lying.told += usize::from(told);
        if causes > 0 && lying.misses.len() < LISTED_MAX {
            lying.misses.push(miss);
        }
    }
    lying
}

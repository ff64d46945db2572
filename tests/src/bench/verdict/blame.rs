//! False blame: causes that are reported for networks without a fault.

use super::{
    matching::{Miss, blamed, case_of, case_with},
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

/// Maximum number of cases listed; all cases are counted.
const LISTED_MAX: usize = 40;

/// False blame on healthy networks.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Blame {
    /// Number of evidence sets.
    pub sets: usize,
    /// Number of causes blamed over all evidence sets.
    pub causes: usize,
    /// Number of evidence sets whose verdict was not healthy.
    pub not_healthy: usize,
    /// Evidence sets with a blamed cause or with a verdict other than healthy, up to `LISTED_MAX`.
    pub misses: Vec<Miss>,
}

/// Judges networks as they are drawn, without a fault.
pub(super) fn healthy(seed: u64, sets: usize) -> Blame {
    let seeds: Vec<u64> = Random::seeds(seed).take(sets).collect();
    let results = on_all_cores(&seeds, |seed| {
        let verdict = diagnose(&case_of(&draw(*seed, Wish::default())).question());
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

/// False blame on healthy networks whose evidence is false or incomplete.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lying {
    /// Number of evidence sets.
    pub sets: usize,
    /// Number of causes blamed over all evidence sets that are neither gaps nor contradictions.
    pub fault_causes: usize,
    /// Number of evidence sets whose verdict reports at least one gap or contradiction.
    pub told: usize,
    /// Evidence sets with a blamed cause, up to `LISTED_MAX`.
    pub misses: Vec<Miss>,
}

/// Whether a cause code blames the network: it is neither a gap nor `model-contradicted`.
fn blames(code: &str) -> bool {
    code != "model-contradicted"
        && catalogue().iter().any(|doc| doc.code.as_str() == code && doc.kind != CauseKind::Gap)
}

/// Judges networks as they are drawn, with evidence that is false or incomplete.
pub(super) fn lies(seed: u64, sets: usize) -> Lying {
    let faults = registry();
    let seeds: Vec<u64> = Random::seeds(seed).take(sets).collect();
    let results = on_all_cores(&seeds, |seed| {
        let world = draw(*seed, Wish::default());
        let (evidence, lies) = lying(&mut Random::new(*seed), &world, &faults);
        let verdict = diagnose(&case_with(&world, evidence).question());
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

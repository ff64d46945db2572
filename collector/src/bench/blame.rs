//! False blame: causes in networks that have no fault.

use super::{
    matching::{Miss, blamed, question},
    workers::on_all_cores,
};
use pingtong_verdict::{State, diagnose};
use pingtong_worlds::draw::{Wish, draw};
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

//! Accuracy on single faults, pairs and triples of faults: does the verdict blame exactly the faults that are present?

use super::{
    matching::{Miss, case_of, miss},
    workers::on_all_cores,
};
use pingtong_verdict::{catalogue, diagnose};
use pingtong_worlds::{
    draw::{Wish, draw},
    fault::{Expected, Fault, broken, conflict, registry},
    random::Random,
    world::World,
};
use serde::Serialize;
use std::collections::BTreeSet;

/// Number of worlds drawn for a set of faults before the set counts as one that no world can have.
const DRAWS_MAX: u64 = 60;
/// Maximum number of misses listed; all misses are counted.
const LISTED_MAX: usize = 60;

/// Accuracy of the verdicts on one kind of fault set.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Accuracy {
    /// Cause codes of the catalogue that the faults trigger; filled for single faults only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Cause codes of the catalogue that no fault here triggers; filled for single faults only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes_without_fault: Vec<String>,
    /// Number of faults that the sets are drawn from.
    pub faults: usize,
    /// Number of pairs that do not compose, by the rule that excludes them; filled for pairs only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_composable: Vec<(String, usize)>,
    /// Number of fault sets that no drawn world can have.
    pub impossible: usize,
    /// Number of cases judged: fault sets without the impossible ones.
    pub total: usize,
    /// Number of cases with an exact verdict.
    pub exact: usize,
    /// `exact / total`, from 0 to 1; 0 if there are no cases.
    pub rate: f64,
    /// Cases without an exact verdict, up to `LISTED_MAX`.
    pub misses: Vec<Miss>,
}

/// The result for one set of faults.
enum Outcome {
    /// No drawn world can have this set of faults.
    Impossible,
    /// Exactly the right causes were blamed.
    Exact,
    Missed(Miss),
}

impl Accuracy {
    fn of(faults: usize, results: Vec<Outcome>) -> Self {
        let count = |which: fn(&Outcome) -> bool| results.iter().filter(|result| which(result)).count();
        let impossible = count(|result| matches!(result, Outcome::Impossible));
        let (total, exact) = (results.len() - impossible, count(|result| matches!(result, Outcome::Exact)));
        #[expect(clippy::cast_precision_loss, reason = "a share; cases are few")]
        let rate = if total == 0 { 0.0 } else { exact as f64 / total as f64 };
        let misses = results.into_iter().filter_map(|result| match result {
            Outcome::Missed(miss) => Some(miss),
            Outcome::Impossible | Outcome::Exact => None,
        });
        let misses = misses.take(LISTED_MAX).collect();
        Self { faults, impossible, total, exact, rate, misses, ..Self::default() }
    }
}

/// The first world drawn from `seed` that can have all these faults, with its own seed and the causes to expect.
pub(super) fn case(seed: u64, faults: &[&Fault]) -> Option<(u64, World, Vec<Expected>)> {
    let overlap = faults.iter().any(|fault| fault.overlap);
    (0..DRAWS_MAX).find_map(|n| {
        let seed = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9));
        let world = draw(seed, Wish { overlap, plain: false });
        broken(&world, faults).map(|(world, expected)| (seed, world, expected))
    })
}

fn outcome_of(seed: u64, faults: &[&Fault]) -> Outcome {
    let Some((seed, world, expected)) = case(seed, faults) else { return Outcome::Impossible };
    let names = faults.iter().map(|fault| fault.name.clone()).collect();
    miss(seed, names, &expected, &diagnose(&case_of(&world).question())).map_or(Outcome::Exact, Outcome::Missed)
}

/// Judges every fault alone, in several worlds.
pub(super) fn singles(seed: u64, worlds: u64) -> Accuracy {
    let faults = registry();
    let count = usize::try_from(worlds).unwrap_or(usize::MAX);
    let worlds = Random::seeds(seed).take(count);
    let cases: Vec<(u64, &Fault)> = worlds.flat_map(|seed| faults.iter().map(move |fault| (seed, fault))).collect();
    let results = on_all_cores(&cases, |(seed, fault)| outcome_of(*seed, &[fault]));
    let codes: BTreeSet<&str> = faults.iter().map(|fault| fault.code).collect();
    let mut accuracy = Accuracy::of(faults.len(), results);
    accuracy.codes = codes.iter().map(|code| (*code).to_owned()).collect();
    accuracy.codes_without_fault =
        catalogue().iter().map(|doc| doc.code.as_str()).filter(|c| !codes.contains(c)).map(ToOwned::to_owned).collect();
    accuracy
}

/// Judges every `step`-th unordered pair of faults that composes.
pub(super) fn pairs(seed: u64, step: usize) -> Accuracy {
    let faults = registry();
    let mut cases = vec![];
    let mut refused: Vec<(String, usize)> = vec![];
    for (at, a) in faults.iter().enumerate() {
        for b in &faults[at + 1..] {
            match conflict(a, b) {
                None => cases.push([a, b]),
                Some(why) => match refused.iter_mut().find(|(have, _)| have == why) {
                    Some((_, count)) => *count += 1,
                    None => refused.push((why.to_owned(), 1)),
                },
            }
        }
    }
    let cases: Vec<(u64, [&Fault; 2])> = Random::seeds(seed).zip(cases).step_by(step.max(1)).collect();
    let mut accuracy = Accuracy::of(faults.len(), on_all_cores(&cases, |(seed, faults)| outcome_of(*seed, faults)));
    accuracy.not_composable = refused;
    accuracy
}

/// Draws three faults; `None` unless every two of them compose.
pub(super) fn triple<'a>(random: &mut Random, faults: &'a [Fault]) -> Option<[&'a Fault; 3]> {
    let three = [random.pick(faults)?, random.pick(faults)?, random.pick(faults)?];
    let [a, b, c] = three;
    [(a, b), (a, c), (b, c)].iter().all(|(a, b)| conflict(a, b).is_none()).then_some(three)
}

/// Judges `count` triples of faults drawn from `seed`.
pub(super) fn triples(seed: u64, count: usize) -> Accuracy {
    let faults = registry();
    let mut random = Random::new(seed);
    let drawn = std::iter::repeat_with(|| triple(&mut random, &faults)).flatten().take(count);
    let cases: Vec<(u64, [&Fault; 3])> = Random::seeds(seed).zip(drawn).collect();
    Accuracy::of(faults.len(), on_all_cores(&cases, |(seed, faults)| outcome_of(*seed, faults)))
}

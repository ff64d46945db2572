//! Whether *proven* holds: causes that a verdict calls proven although the world does not have them, and repairs that it
//! calls proven although they do not restore the world.

use super::{
    matching::{Miss, case_with, is, words},
    repairs::{Outcome, outcome_of},
    workers::on_all_cores,
};
use pingtong_evidence::Side;
use pingtong_verdict::{Certainty, State, Verdict, diagnose};
use pingtong_worlds::{
    draw::{Wish, draw},
    evidence::{evidence, works},
    fault::{Expected, Fault, Shown, broken, broken_with, conflict, registry},
    mutilate::mutilated,
    random::Random,
    world::{Habit, World},
};
use serde::Serialize;

/// Maximum number of cases listed; all cases are counted.
const LISTED_MAX: usize = 600;

/// How often proven causes and repairs were wrong.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Proof {
    /// Number of evidence sets.
    pub sets: usize,
    /// Number of causes called proven.
    pub proven: usize,
    /// Number of those that the world does not have.
    pub false_proven: usize,
    /// Number of evidence sets judged healthy although some packets do not get through.
    pub false_healthy: usize,
    /// Number of undecided verdicts that name neither a gap nor a suspect.
    pub speechless: usize,
    /// Number of repair sets called proven.
    pub repairs: usize,
    /// Number of those that do not restore the world.
    pub false_repairs: usize,
    /// Evidence sets with any of these, up to `LISTED_MAX`.
    pub misses: Vec<Miss>,
}

/// The figures of one verdict.
struct One {
    proven: usize,
    false_proven: usize,
    false_healthy: bool,
    speechless: bool,
    repairs: bool,
    false_repairs: Option<String>,
    miss: Miss,
}

/// `is_shown`: whether complete evidence would show every cause. Otherwise no repair of what is shown can be enough.
fn judge(
    seed: u64,
    names: Vec<String>,
    world: &World,
    (causes, is_shown): (&[Expected], bool),
    verdict: &Verdict,
) -> One {
    let proven: Vec<_> = verdict.causes.iter().filter(|cause| cause.certainty == Certainty::Proven).collect();
    let wrong: Vec<_> = proven.iter().filter(|cause| !causes.iter().any(|expected| is(expected, cause))).collect();
    let outcome = outcome_of(world, verdict.repairs.proven, &verdict.repairs.set);
    let false_repairs = match &outcome {
        Outcome::Failed(why, commands) if is_shown => Some(format!("{why}: {commands:?}")),
        _ => None,
    };
    let unexpected =
        wrong.iter().map(|cause| words(cause.code.as_str(), cause.side, &cause.object.id, cause.direction));
    let cuts = (verdict.directions.forward.cut.as_str(), verdict.directions.back.cut.as_str());
    let gaps: Vec<&str> = verdict.gaps.iter().map(|gap| gap.code.as_str()).collect();
    let told = false_repairs.clone().unwrap_or_default();
    One {
        proven: proven.len(),
        false_proven: wrong.len(),
        false_healthy: verdict.state == State::Healthy && !works(world),
        speechless: verdict.state == State::Undecided && verdict.gaps.is_empty() && verdict.suspects.is_empty(),
        repairs: !matches!(outcome, Outcome::NotProven),
        false_repairs,
        miss: Miss {
            seed,
            faults: names,
            missing: vec![],
            unexpected: unexpected.collect(),
            why: format!("{}; cuts {}/{}; gaps [{}] {told}", verdict.state.as_str(), cuts.0, cuts.1, gaps.join(", ")),
        },
    }
}

fn sum(results: Vec<One>) -> Proof {
    let mut proof = Proof { sets: results.len(), ..Proof::default() };
    for one in results {
        proof.proven += one.proven;
        proof.false_proven += one.false_proven;
        proof.false_healthy += usize::from(one.false_healthy);
        proof.speechless += usize::from(one.speechless);
        proof.repairs += usize::from(one.repairs);
        proof.false_repairs += usize::from(one.false_repairs.is_some());
        let wrong = one.false_proven > 0 || one.false_healthy || one.speechless || one.false_repairs.is_some();
        if wrong && proof.misses.len() < LISTED_MAX {
            proof.misses.push(one.miss);
        }
    }
    proof
}

/// Draws up to `most` faults that compose.
fn some_faults<'f>(random: &mut Random, faults: &'f [Fault], most: u64) -> Vec<&'f Fault> {
    let mut chosen: Vec<&Fault> = vec![];
    for _ in 0..random.below(most + 1) {
        let Some(one) = random.pick(faults) else { continue };
        if chosen.iter().all(|other| conflict(one, other).is_none()) {
            chosen.push(one);
        }
    }
    chosen
}

/// Faults that leave the guests as they are.
fn is_outside(fault: &Fault) -> bool {
    let in_guests = ["guest-", "ip-not-on-eni", "agent-in-container", "instance-stopped", "stranger-replied"];
    !in_guests.iter().any(|prefix| fault.code.starts_with(prefix))
}

/// Judges networks whose guests filter, rewrite, shape or run programs, with at most one fault besides.
pub(super) fn of_guests(seed: u64, sets: usize) -> Proof {
    let faults: Vec<Fault> = registry().into_iter().filter(is_outside).collect();
    let seeds: Vec<u64> = Random::seeds(seed ^ 0x6775_6573).take(sets).collect();
    sum(on_all_cores(&seeds, |seed| {
        let mut random = Random::new(*seed);
        let chosen = some_faults(&mut random, &faults, 1);
        let (mut world, mut causes) = std::iter::repeat_with(|| {
            let wish = Wish { overlap: chosen.iter().any(|fault| fault.overlap), plain: false };
            broken_with(&draw(random.below(u64::MAX), wish), &chosen)
        })
        .flatten()
        .next()
        .unwrap_or_else(|| unreachable!("some world can have each fault alone"));
        let mut names: Vec<String> = chosen.iter().map(|fault| fault.name.clone()).collect();
        for _ in 0..=random.below(2) {
            let side = if random.percent(50) { Side::Initiator } else { Side::Acceptor };
            let habit = Habit::draw(&mut random);
            names.push(format!("{habit:?} @{side}"));
            world.guest_mut(side).habits.push(habit);
            let objects = vec![world.names(side).instance.clone()];
            let cause = |code| Expected { code, side, objects, direction: None, shown: Shown::ByFacts(side) };
            causes.extend(habit.code().map(cause));
        }
        let case = case_with(&world, evidence(&world));
        // What the fabric does behind a host that sends nothing, nothing shows.
        let is_shown = chosen.iter().all(|fault| !["fabric-fault", "loss-in-fabric"].contains(&fault.code));
        judge(*seed, names, &world, (&causes, is_shown), &diagnose(&case.question()))
    }))
}

/// Judges networks with up to three faults from evidence of which parts are missing.
pub(super) fn of_parts(seed: u64, sets: usize) -> Proof {
    let faults = registry();
    let seeds: Vec<u64> = Random::seeds(seed ^ 0x6375_7473).take(sets).collect();
    sum(on_all_cores(&seeds, |seed| {
        let mut random = Random::new(*seed);
        let (world, (causes, is_shown), chosen) = std::iter::repeat_with(|| {
            let chosen = some_faults(&mut random, &faults, 3);
            let wish = Wish { overlap: chosen.iter().any(|fault| fault.overlap), plain: false };
            let drawn = draw(random.below(u64::MAX), wish);
            let (world, causes) = broken_with(&drawn, &chosen)?;
            let is_shown = broken(&drawn, &chosen).is_some_and(|(_, shown)| shown == causes);
            Some((world, (causes, is_shown), chosen))
        })
        .flatten()
        .next()
        .unwrap_or_else(|| unreachable!("a world without faults is always possible"));
        let (evidence, cuts) = mutilated(&mut random, &world, evidence(&world));
        let names = chosen.iter().map(|fault| fault.name.clone()).chain(cuts.iter().map(|cut| format!("{cut:?}")));
        let names = names.collect();
        judge(*seed, names, &world, (&causes, is_shown), &diagnose(&case_with(&world, evidence).question()))
    }))
}

//! Carries out the printed repairs in the world: all of them together must restore it, and no subset of them may.

use super::timed;
use super::{
    accuracy::{case, triple},
    matching::case_of,
    speed::Latency,
    workers::on_all_cores,
};
use pingtong_verdict::{Repair, diagnose};
use pingtong_worlds::{
    evidence::works,
    fault::{Fault, registry},
    operate::{Command, operate},
    random::Random,
    world::World,
};
use serde::Serialize;

/// Maximum number of commands for which every subset is tried.
const COMMANDS_MAX: usize = 10;
/// Maximum number of failures listed; all failures are counted.
const LISTED_MAX: usize = 40;

/// Results of carrying out the printed repairs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Repairs {
    /// Number of cases in which the verdict claims that its repairs restore the pair.
    pub cases: usize,
    /// Number of these cases in which the repairs do restore it.
    pub restored: usize,
    /// Number of these cases that are small enough to try every subset of the commands.
    pub tried_by_parts: usize,
    /// Number of these cases in which no subset of the commands restores the pair.
    pub minimal_by_brute_force: usize,
    /// Number of cases in which a person must act by hand, or in which the verdict does not prove that its repairs
    /// suffice.
    pub not_proven: usize,
    /// Latency of a whole verdict with its search for repairs.
    pub time: Latency,
    /// Cases in which the repairs do not do what the verdict claims, up to `LISTED_MAX`.
    pub misses: Vec<Failure>,
}

/// A set of repairs that does not do what the verdict claims.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Seed of the world.
    pub seed: u64,
    /// The faults in it.
    pub faults: Vec<String>,
    /// The printed commands.
    pub commands: Vec<String>,
    /// How the repairs fail.
    pub why: String,
}

/// What carrying out a set of repairs did.
pub(super) enum Outcome {
    /// The verdict does not claim that they restore the pair, or a person must act by hand.
    NotProven,
    /// The pair works.
    Restored { by_parts: bool },
    /// A subset of the commands suffices.
    Excessive(String, Vec<Command>),
    /// The pair does not work.
    Failed(String, Vec<Command>),
}

fn command(repair: &Repair) -> Command {
    Command {
        account: repair.account.to_string(),
        cli: repair.cli.clone(),
        guest: repair.guest.clone(),
        instance: repair.instance.as_ref().map(ToString::to_string),
        save: repair.save.clone(),
    }
}

/// Carries out a set of repairs and every part of it.
pub(super) fn outcome_of(world: &World, proven: bool, set: &[Repair]) -> Outcome {
    if !proven || set.iter().any(|repair| repair.cli.is_empty() && repair.guest.is_empty()) {
        return Outcome::NotProven;
    }
    let commands: Vec<Command> = set.iter().map(command).collect();
    let (mended, refused) = operate(world, &commands);
    if !refused.is_empty() || !works(&mended) {
        return Outcome::Failed(format!("does not restore: {refused:?}"), commands);
    }
    if commands.len() > COMMANDS_MAX {
        return Outcome::Restored { by_parts: false };
    }
    for part in 0..(1u32 << commands.len()) - 1 {
        let chosen: Vec<Command> = commands
            .iter()
            .enumerate()
            .filter(|(at, _)| part & (1 << at) != 0)
            .map(|(_, command)| command.clone())
            .collect();
        if works(&operate(world, &chosen).0) {
            return Outcome::Excessive(format!("{} of {} commands suffice", chosen.len(), commands.len()), commands);
        }
    }
    Outcome::Restored { by_parts: true }
}

/// Draws `count` sets of one to three faults and judges their repairs. Sets that no world can have, or whose faults the
/// evidence does not all show, are left out.
pub(super) fn repairs(seed: u64, count: usize) -> Repairs {
    let faults = registry();
    let mut random = Random::new(seed ^ 0x72_65_70);
    let drawn = std::iter::repeat_with(|| triple(&mut random, &faults)).flatten().take(count);
    let cases: Vec<(u64, Vec<&Fault>)> = Random::seeds(seed)
        .zip(drawn)
        .map(|(n, three)| (n, three[..=usize::try_from(n % 3).unwrap_or(0)].to_vec()))
        .collect();
    let results = on_all_cores(&cases, |(seed, faults)| {
        let (seed, world, expected) = case(*seed, faults)?;
        // No repair can fix a fault that no evidence shows. One code on both sides counts as two causes.
        let shown = |code| expected.iter().filter(|cause| cause.code == code).count();
        let wanted = |code| faults.iter().filter(|fault| fault.code == code).count();
        if faults.iter().any(|fault| shown(fault.code) < wanted(fault.code)) {
            return None;
        }
        let case = case_of(&world);
        let (verdict, took) = timed(|| diagnose(&case.question()));
        let names: Vec<String> = faults.iter().map(|fault| fault.name.clone()).collect();
        Some((seed, names, took.as_secs_f64() * 1e3, outcome_of(&world, verdict.repairs.proven, &verdict.repairs.set)))
    });
    let (mut repairs, mut times) = (Repairs::default(), vec![]);
    for (seed, faults, took, outcome) in results.into_iter().flatten() {
        times.push(took);
        match outcome {
            Outcome::NotProven => repairs.not_proven += 1,
            Outcome::Restored { by_parts } => {
                repairs.cases += 1;
                repairs.restored += 1;
                repairs.tried_by_parts += usize::from(by_parts);
                repairs.minimal_by_brute_force += usize::from(by_parts);
            }
            Outcome::Failed(..) | Outcome::Excessive(..) => {
                let part = usize::from(matches!(outcome, Outcome::Excessive(..)));
                let (Outcome::Failed(why, commands) | Outcome::Excessive(why, commands)) = outcome else { continue };
                repairs.cases += 1;
                repairs.restored += part;
                repairs.tried_by_parts += part;
                if repairs.misses.len() < LISTED_MAX {
                    let commands = commands.iter().map(|c| [c.cli.join(" "), c.guest.join(" ")].concat()).collect();
                    repairs.misses.push(Failure { seed, faults, commands, why });
                }
            }
        }
    }
    repairs.time = Latency::of(times);
    repairs
}

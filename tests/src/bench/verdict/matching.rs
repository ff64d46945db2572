//! Compares a verdict with the truth that a world declares: does it blame exactly what it must?

use pingtong_evidence::{Direction, Side};
use pingtong_verdict::{Case, Cause, HealthReport, Verdict};
use pingtong_worlds::{
    evidence::{Evidence, evidence},
    fault::Expected,
    world::World,
};
use serde::Serialize;

/// The case with all evidence of a world.
pub(super) fn case_of(world: &World) -> Case {
    case_with(world, evidence(world))
}

/// The case with the given evidence of a world.
pub(super) fn case_with(world: &World, evidence: Evidence) -> Case {
    let healths = evidence.healths.into_iter();
    Case {
        probing: None,
        pair: world.pair.clone(),
        peers: vec![],
        elsewhere: world.elsewhere.clone(),
        snapshots: evidence.snapshots,
        probes: evidence.probes,
        earlier: vec![],
        arrivals: evidence.arrivals,
        hosts: evidence.hosts,
        silent: evidence.silent,
        healths: healths.map(|(agent, at, health)| HealthReport { agent, at, health }).collect(),
        asked_at: evidence.asked_at,
        settle_ms: 60_000,
    }
}

/// A verdict that differs from the expected causes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// Seed of the world.
    pub seed: u64,
    /// The faults in it, or the ways in which its evidence is false.
    pub faults: Vec<String>,
    /// Causes that should have been blamed and were not.
    pub missing: Vec<String>,
    /// Causes that were blamed and should not have been.
    pub unexpected: Vec<String>,
    /// What the verdict reported instead: cut points, suspects and gaps, or the state.
    pub why: String,
}

/// Whether a cause is the expected one.
pub(super) fn is(expected: &Expected, cause: &Cause) -> bool {
    expected.code == cause.code.as_str()
        && expected.side == cause.side
        && expected.objects.contains(&cause.object.id)
        && expected.direction.is_none_or(|direction| Some(direction) == cause.direction)
}

/// A cause as text.
pub(super) fn words(code: &str, side: Side, object: &str, direction: Option<Direction>) -> String {
    let way = direction.map_or_else(String::new, |direction| format!(" {direction}"));
    format!("{code} {side} {object}{way}")
}

/// The causes of a verdict as text: code, side, object and direction.
pub(super) fn blamed(verdict: &Verdict) -> Vec<String> {
    verdict.causes.iter().map(|c| words(c.code.as_str(), c.side, &c.object.id, c.direction)).collect()
}

/// Compares a verdict with the expected causes; `None` if it is exact. In an exact verdict every cause is expected, and
/// every expected cause is blamed.
pub(super) fn miss(seed: u64, faults: Vec<String>, expected: &[Expected], verdict: &Verdict) -> Option<Miss> {
    let unexpected: Vec<&Cause> = verdict.causes.iter().filter(|c| !expected.iter().any(|e| is(e, c))).collect();
    let missing: Vec<&Expected> = expected.iter().filter(|e| !verdict.causes.iter().any(|c| is(e, c))).collect();
    if unexpected.is_empty() && missing.is_empty() {
        return None;
    }
    let suspects: Vec<String> = verdict
        .suspects
        .iter()
        .map(|s| s.codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join("|"))
        .collect();
    let gaps: Vec<&str> = verdict.gaps.iter().map(|gap| gap.code.as_str()).collect();
    let cuts = (verdict.directions.forward.cut.as_str(), verdict.directions.back.cut.as_str());
    Some(Miss {
        seed,
        faults,
        missing: missing.iter().map(|e| words(e.code, e.side, &e.objects.join("/"), e.direction)).collect(),
        unexpected: unexpected.iter().map(|c| words(c.code.as_str(), c.side, &c.object.id, c.direction)).collect(),
        why: format!("cuts {}/{}; suspects [{}]; gaps [{}]", cuts.0, cuts.1, suspects.join(", "), gaps.join(", ")),
    })
}

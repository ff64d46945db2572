//! What is said from configuration alone: by `pingtong audit` about the expectations of a topology, and by the answer to
//! the latest question about hosts without an agent.

use super::{
    Outcome,
    blame::{Blame, fits, matched, show_blame, show_expected, wanted},
};
use crate::{
    estate::{Estate, question_path},
    scenario::{Expected, ExpectedCause},
};
use anyhow::{Context, Result};
use serde_json::Value;

/// Compares the states of the expectations, in the order in which the settings list them, and records the differences.
/// Every cause of an expectation that fails must be one that the scenario expects.
pub(super) async fn compare(
    estate: &Estate,
    expected: &Expected,
    states: &[String],
    outcome: &mut Outcome,
) -> Result<()> {
    let out = estate.run_in_service(estate.pingtong(["audit", "--json"])).await?;
    let text = String::from_utf8_lossy(&out.stdout);
    let audit: Value = serde_json::from_str(text.trim())
        .with_context(|| format!("pingtong audit: {text}{}", String::from_utf8_lossy(&out.stderr)))?;
    let answers = || audit["expectations"].as_array().into_iter().flatten();
    let found: Vec<&str> = answers().filter_map(|answer| answer["state"].as_str()).collect();
    if found != *states {
        outcome.missing.push(format!("audit {states:?}"));
        outcome.unexpected.push(format!("audit {found:?}"));
    }
    let wanted = wanted(&expected.causes, estate)?;
    let failing = answers().flat_map(|answer| answer["failing"].as_array().into_iter().flatten());
    let causes = failing.flat_map(|part| part["causes"].as_array().into_iter().flatten()).map(Blame::of);
    let strange = causes.filter(|cause| !wanted.iter().any(|wanted| fits(wanted, cause)));
    outcome.unexpected.extend(strange.map(|cause| format!("audit {}", show_blame(&cause, estate))));
    outcome.pass = outcome.missing.is_empty() && outcome.unexpected.is_empty();
    Ok(())
}

/// Compares the causes that are predicted for hosts without an agent, and records the differences.
pub(super) async fn compare_predicted(estate: &Estate, causes: &[ExpectedCause], outcome: &mut Outcome) -> Result<()> {
    let mut command = estate.diagnose();
    command.arg(question_path()).arg("--json");
    let out = estate.run_in_service(command).await?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let sets: Vec<Value> = lines.flat_map(|line| line["sets"].as_array().cloned().unwrap_or_default()).collect();
    let failing = sets.iter().flat_map(|set| set["failing"].as_array().into_iter().flatten());
    let mut found: Vec<Blame> =
        failing.flat_map(|part| part["causes"].as_array().into_iter().flatten()).map(Blame::of).collect();
    found.sort();
    found.dedup();
    let wanted = wanted(causes, estate)?;
    let (missing, unexpected) = matched(&wanted, &found);
    outcome.missing.extend(missing.into_iter().map(|at| format!("predicted {}", show_expected(wanted[at].0))));
    outcome.unexpected.extend(unexpected.into_iter().map(|at| format!("predicted {}", show_blame(&found[at], estate))));
    outcome.pass = outcome.missing.is_empty() && outcome.unexpected.is_empty();
    Ok(())
}

//! What `pingtong audit` says about the expectations of a topology, from the snapshots that the collector has.

use super::{
    Outcome,
    blame::{Blame, fits, show_blame, wanted},
};
use crate::{estate::Estate, scenario::Expected};
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

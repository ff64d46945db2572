//! Goes through the tutorial as its reader does: carries out each step and records what `pingtong verify` says after
//! it.
//!
//! This module does not know what `pingtong verify` should say; tests compare its results with the steps done.

use crate::{estate::Estate, programs::Programs, run, topology::Topology, tutorial::STEPS};
use anyhow::Result;
use pingtong_verdict::Lang;
use serde::Serialize;
use serde_json::Value;

/// The result after a number of steps.
#[derive(Debug, Clone, Serialize)]
pub struct Moment {
    /// The last step that is done; 0 before the first.
    pub done: u8,
    /// The output of `pingtong verify --json`, one verdict per pair.
    pub verdicts: Vec<Value>,
    /// The output for a human reader.
    pub page: String,
}

/// Boots a topology without any step and carries out one step after another; calls `tell` before the first and after
/// each.
///
/// # Errors
/// Fails if the lab or the product fails.
pub async fn run(topology: Topology, lang: Lang, programs: Programs, mut tell: impl FnMut(&Moment)) -> Result<()> {
    let mut estate = Estate::boot(topology, &[], programs).await?;
    for done in 0..=*STEPS.end() {
        if STEPS.contains(&done) {
            estate.tutorial_step(done).await?;
        }
        let verdicts = run::verify_in(&estate, lang).await?;
        tell(&Moment { done, verdicts, page: run::human(&estate, lang).await? });
    }
    Ok(())
}

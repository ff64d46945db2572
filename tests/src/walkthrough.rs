//! The tutorial as its reader goes through it: after each step in turn, what `pingtong verify` says.
//!
//! Nothing here knows what it should say; tests hold it against the steps done.

use crate::{demo::human, estate::Estate, programs::Programs, run, topology::Topology, tutorial::STEPS};
use anyhow::Result;
use pingtong_verdict::Lang;
use serde::Serialize;
use serde_json::Value;

/// The moment after some steps.
#[derive(Debug, Clone, Serialize)]
pub struct Moment {
    /// The last step that is done; 0 before the first.
    pub done: u8,
    /// What `pingtong verify --json` says, one for each pair.
    pub verdicts: Vec<Value>,
    /// What it says to a reader.
    pub page: String,
}

/// Boots a topology of which nothing is done and does one step after the other; `tell` is called before the first and
/// after each.
///
/// # Errors
/// That the lab or the product failed.
pub async fn run(topology: Topology, lang: Lang, programs: Programs, mut tell: impl FnMut(&Moment)) -> Result<()> {
    let mut estate = Estate::boot(topology, &[], programs).await?;
    for done in 0..=*STEPS.end() {
        if STEPS.contains(&done) {
            estate.tutorial_step(done).await?;
        }
        let verdicts = run::verify_in(&estate, lang).await?;
        tell(&Moment { done, verdicts, page: human(&estate, lang).await? });
    }
    Ok(())
}

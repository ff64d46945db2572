//! The reference for the search: every subset of the candidates, tried in the order of work.
//!
//! Candidates are all fixes that occur while blockers are removed one after the other, in any way. Shares the fixes and
//! their effect with the search, but none of its short cuts. Usable for small numbers of candidates only.

use super::{Planned, Task, apply};
use crate::model::Model;
use std::collections::BTreeSet;

/// Upper limit on the number of candidates: their subsets are bit masks, and all of them are tried.
const MOST: usize = 16;

impl Task<'_> {
    /// The single calls that may remove a blocker next in `model`.
    fn moves(&self, model: &Model) -> Vec<Planned> {
        let mut found = vec![];
        for finding in self.removable(model) {
            for fix in self.alternatives(model, &finding) {
                let parts = apply::parts(model, finding.side, &fix);
                found.extend(parts.into_iter().map(|part| Planned::of(&finding, part)));
            }
        }
        found
    }

    /// Every fix that occurs on any way of removing blockers; `None` if there are more than `most` of them, or more
    /// than [`MOST`].
    fn candidates(&self, most: usize) -> Option<Vec<Planned>> {
        let mut found: Vec<Planned> = vec![];
        let mut been: BTreeSet<u32> = BTreeSet::from([0]);
        let mut open: Vec<(u32, Model)> = vec![(0, self.model.clone())];
        while let Some((done, model)) = open.pop() {
            for planned in self.moves(&model) {
                let mut next = model.clone();
                if apply::apply(&mut next, planned.side, &planned.fix).is_none() {
                    continue;
                }
                let same = |have: &Planned| have.fix == planned.fix && have.side == planned.side;
                let at = found.iter().position(same).unwrap_or_else(|| {
                    found.push(planned);
                    found.len() - 1
                });
                if found.len() > most.min(MOST) {
                    return None;
                }
                let after = done | 1 << at;
                if been.insert(after) {
                    open.push((after, next));
                }
            }
        }
        Some(found)
    }

    /// Size of the smallest subset that restores the pair; `None` if there are too many candidates, or if no subset
    /// restores it.
    pub(crate) fn smallest_by_brute_force(&self, most: usize) -> Option<usize> {
        let mut candidates = self.candidates(most)?;
        candidates.sort_by_key(|planned| planned.fix.rank());
        let subsets = 1u32 << candidates.len();
        let restores = |subset: &u32| {
            let chosen = candidates.iter().enumerate().filter(|(at, _)| subset & (1 << at) != 0);
            !self.left_after(chosen.map(|(_, planned)| planned))
        };
        let smallest = (0..subsets).filter(restores).map(u32::count_ones).min()?;
        usize::try_from(smallest).ok()
    }
}

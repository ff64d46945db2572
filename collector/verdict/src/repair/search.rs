//! The search for the smallest set of repairs: depth first over the fixes of whatever still stops the pair.
//!
//! Rules, which the tests compare with every subset of the candidates:
//! 1. The blocker whose fix comes first in the order of work is removed next, by each of its alternatives in turn: any
//!    set that restores the pair must remove it somehow.
//! 2. A branch that cannot become smaller than the best set is abandoned ([`at_least`]).
//! 3. From the smallest set that restores the pair, members that are not needed are dropped.
//! 4. After [`NODES_MAX`] configurations the best set so far is taken.

use super::{Planned, Task, apply};
use crate::{
    finding::{Finding, Stops},
    fix::Fix,
    model::Model,
    walk::{flows, walk},
};
use pingtong_evidence::Side;
use std::collections::BTreeSet;

/// Configurations tried for one pair; each costs one walk. Two VPCs with all ten kinds of faults need about thirty.
const NODES_MAX: usize = 400;
/// Maximum number of members of a set: far more than any configuration of two VPCs needs.
const FIXES_MAX: usize = 48;

/// Lower bound on the number of members that any set still needs. New routes, rules, ACLs, instances and guests count
/// once for each side and kind, because a fix of one repairs no other. Everything that ranks below [`Fix::ROUTES`]
/// (removals and connections) counts once in all, because removing an interface may repair much.
fn at_least(blockers: &[Finding]) -> usize {
    let ranks: BTreeSet<(u8, Side)> = blockers.iter().map(|finding| (finding.fix.rank(), finding.side)).collect();
    let (connections, others): (Vec<_>, Vec<_>) = ranks.into_iter().partition(|(rank, _)| *rank < Fix::ROUTES);
    others.len() + usize::from(!connections.is_empty())
}

/// A set of fixes in an order that works.
pub(super) struct Plan {
    pub(super) fixes: Vec<Planned>,
    /// Whether, after the set is carried out, no blocker is left that a command could remove.
    pub(super) restores: bool,
}

struct Search {
    nodes: usize,
    best: Option<Vec<Planned>>,
    /// The longest plan reached, used if no plan restores the pair.
    furthest: Vec<Planned>,
}

impl Task<'_> {
    pub(super) fn blockers(&self, model: &Model) -> Vec<Finding> {
        walk(model, self.pair, self.peers).findings.into_iter().filter(|f| !self.refuted.contains(&f.key())).collect()
    }

    fn stops_pair(&self, finding: &Finding) -> bool {
        // What stops some packets stops the pair as well, to which all of these packets belong.
        let some = matches!(finding.stops, Stops::Some(_));
        some || flows(self.pair).into_iter().any(|flow| finding.stops.round_trip(flow))
    }

    /// The findings that stop the pair and that a command could remove, in the order of work.
    pub(super) fn removable(&self, model: &Model) -> Vec<Finding> {
        let mut all: Vec<Finding> =
            self.blockers(model).into_iter().filter(|f| !f.fix.is_manual() && self.stops_pair(f)).collect();
        all.sort_by_key(|finding| finding.fix.rank());
        all
    }

    /// Whether, after these fixes are carried out in order, something that a command could remove still stops the pair.
    pub(super) fn left_after<'p>(&self, plan: impl Iterator<Item = &'p Planned>) -> bool {
        let mut model = self.model.clone();
        for planned in plan {
            apply::apply(&mut model, planned.side, &planned.fix);
        }
        !self.removable(&model).is_empty()
    }

    fn without(&self, plan: &[Planned], at: usize) -> bool {
        self.left_after(plan.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, planned)| planned))
    }

    fn descend(&self, search: &mut Search, model: &Model, blockers: &[Finding], plan: &mut Vec<Planned>) {
        search.nodes += 1;
        if blockers.is_empty() {
            if search.best.as_ref().is_none_or(|best| plan.len() < best.len()) {
                search.best = Some(plan.clone());
            }
            return;
        }
        if plan.len() > search.furthest.len() {
            search.furthest.clone_from(plan);
        }
        let hopeless = search.best.as_ref().is_some_and(|best| plan.len() + at_least(blockers) >= best.len());
        if hopeless || search.nodes >= NODES_MAX || plan.len() >= FIXES_MAX {
            return;
        }
        // A fix that cannot be carried out yet waits for one that can.
        for finding in blockers {
            let mut moved = false;
            for fix in self.alternatives(model, finding) {
                let (mut next, before) = (model.clone(), plan.len());
                for part in apply::parts(model, finding.side, &fix) {
                    if apply::apply(&mut next, finding.side, &part).is_some() {
                        plan.push(Planned::of(finding, part));
                    }
                }
                let left = self.removable(&next);
                // A fix that leaves its own finding as it was would be tried forever.
                let stays = |left: &Finding| left.key() == finding.key() && left.fix == finding.fix;
                if plan.len() > before && !left.iter().any(stays) {
                    moved = true;
                    self.descend(search, &next, &left, plan);
                }
                plan.truncate(before);
            }
            if moved {
                return;
            }
        }
    }

    pub(super) fn search(&self) -> Plan {
        let mut search = Search { nodes: 0, best: None, furthest: vec![] };
        self.descend(&mut search, self.model, &self.removable(self.model), &mut vec![]);
        let restores = search.best.is_some();
        let mut fixes = search.best.map_or(search.furthest, |best| self.minimise(best));
        // Commands in guests do not change the configuration, and each removes what no other fix can.
        for finding in self.others {
            if let Fix::Guest { .. } = finding.fix {
                fixes.push(Planned::of(finding, finding.fix.clone()));
            }
        }
        let mut sorted = fixes.clone();
        sorted.sort_by_key(|planned| planned.fix.rank());
        let works = !restores || !self.left_after(sorted.iter());
        Plan { fixes: if works { sorted } else { fixes }, restores }
    }

    fn minimise(&self, mut plan: Vec<Planned>) -> Vec<Planned> {
        let mut at = plan.len();
        while at > 0 {
            at -= 1;
            if !self.without(&plan, at) {
                plan.remove(at);
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests;

//! The smallest set of repairs that makes the pair work in the model, in an order that works, and its proof.
//!
//! Every finding carries its narrowest fix, and [`alternatives`] adds others that would work as well. Fixes are tried
//! on a copy of the configuration (`search`). The result is proven by applying all of it and by leaving each member
//! out. A cause without a command is listed with who must act, and the set is then not proven. No command is ever run.

mod alternatives;
mod apply;
mod brute;
mod opens;
mod search;

use crate::{
    catalogue,
    code::CauseCode,
    finding::Finding,
    fix::Fix,
    lang::Lang,
    model::Model,
    verdict::{Object, Repair, Repairs},
};
use pingtong_evidence::{Direction, InstanceId, Pair, Side};
use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq)]
struct Planned {
    code: CauseCode,
    side: Side,
    object: Object,
    fix: Fix,
}

impl Planned {
    fn of(finding: &Finding, fix: Fix) -> Self {
        Self { code: finding.code, side: finding.side, object: finding.object.clone(), fix }
    }
}

type Key = (CauseCode, Side, Object, Option<Direction>);

/// Input of the search: the configuration, findings that only guests and the wire show, and findings that the wire
/// refuted.
pub(crate) struct Task<'a> {
    pub(crate) model: &'a Model,
    pub(crate) pair: &'a Pair,
    pub(crate) peers: &'a [Pair],
    /// Findings that no change of configuration removes.
    pub(crate) others: &'a [Finding],
    /// Configuration findings that the wire refutes; they are not repaired.
    pub(crate) refuted: &'a BTreeSet<Key>,
}

impl Task<'_> {
    /// The repair set, its proof and its side effects. It can be proven only if what was found is all there is, for
    /// certain.
    pub(crate) fn solve(&self, healthy: bool, is_certain: bool, lang: Lang) -> Repairs {
        let begins = self.blockers(self.model);
        if begins.is_empty() && self.others.is_empty() {
            // An empty set is proven only if nothing is broken.
            return Repairs { minimal: true, proven: healthy, ..Repairs::default() };
        }
        let search::Plan { fixes: plan, restores } = self.search();
        let mut set = vec![];
        let mut model = self.model.clone();
        for planned in &plan {
            let before = model.clone();
            if let Fix::Guest { instance, commands, .. } = &planned.fix {
                set.extend(commands.iter().map(|command| guest(self.model, planned, instance, command, lang)));
            } else if let Some(call) = apply::apply(&mut model, planned.side, &planned.fix) {
                set.push(Repair {
                    account: before.link.side(planned.side).account.clone(),
                    side: planned.side,
                    code: planned.code,
                    object: planned.object.clone(),
                    cli: call.cli,
                    console: catalogue::doc(planned.code).console.get(lang).to_owned(),
                    guest: vec![],
                    instance: None,
                    save: call.save,
                });
            }
        }
        let by_hand: Vec<&Finding> =
            begins.iter().chain(self.others).filter(|f| f.fix.is_manual() && needs_hands(f.code)).collect();
        let proven = restores && by_hand.is_empty() && is_certain && !set.is_empty();
        set.extend(by_hand.into_iter().map(|finding| Repair {
            account: self.model.link.side(finding.side).account.clone(),
            side: finding.side,
            code: finding.code,
            object: finding.object.clone(),
            cli: vec![],
            console: catalogue::doc(finding.code).repair.get(lang).to_owned(),
            guest: vec![],
            instance: None,
            save: std::collections::BTreeMap::default(),
        }));
        let opens = opens::opens(self.model, &model, self.pair, plan.iter().map(|p| (p.side, &p.fix)));
        Repairs { minimal: restores, proven, set, opens }
    }
}

/// Whether somebody must act by hand. A contradiction is settled by reading again.
fn needs_hands(code: CauseCode) -> bool {
    code != CauseCode::ModelContradicted
}

fn guest(model: &Model, planned: &Planned, instance: &InstanceId, command: &[String], lang: Lang) -> Repair {
    Repair {
        account: model.link.side(planned.side).account.clone(),
        side: planned.side,
        code: planned.code,
        object: planned.object.clone(),
        cli: vec![],
        console: catalogue::doc(planned.code).console.get(lang).to_owned(),
        guest: command.to_vec(),
        instance: Some(instance.clone()),
        save: std::collections::BTreeMap::default(),
    }
}

#[cfg(test)]
mod tests;

//! Changes of the configuration that may not be in effect yet (`SEMANTICS.md` §1.3.5).
//!
//! Such a change does not hide what probes observed. It is reported with its age, and what would be blamed only because
//! the configuration explains nothing stays open: the change may be what explains it.

use crate::{
    code::CauseCode,
    finding::Finding,
    lang::{Both, both},
    model::Model,
    observe::Seen,
    onset::change::changes,
    question::Question,
};
use pingtong_evidence::{AccountId, Snapshot};
use std::collections::BTreeSet;

/// A change of the configuration that may not be in effect yet.
pub(crate) struct Settling {
    /// How long ago it was, and when it will have settled.
    pub(crate) text: Both,
    /// The accounts whose configuration changed.
    accounts: BTreeSet<AccountId>,
}

impl Settling {
    /// Whether the change, still on its way, may be what a finding is blamed on. What the configuration explains in no
    /// other way may be any change; that it says the opposite of what is observed, only one in the same account.
    pub(crate) fn may_explain(&self, model: &Model, finding: &Finding) -> bool {
        match finding.code {
            CauseCode::FabricFault | CauseCode::LossInFabric => true,
            CauseCode::ModelContradicted => self.accounts.contains(&model.link.side(finding.side).account),
            _ => false,
        }
    }
}

/// What confirms a verdict on probes that were sent while a change was settling.
pub(crate) fn settled() -> Both {
    Both::new("a verdict on probes sent after the change has settled", "变更生效稳定后再次验证")
}

/// Describes a change of the configuration during the probes, or so shortly before them that it may not be in effect
/// yet; `None` if there was none. What the probes observed stands; what it is blamed on may not.
pub(crate) fn settling(question: &Question<'_>, seen: &Seen) -> Option<Settling> {
    if question.settle_ms == 0 {
        return None;
    }
    let first = seen.values().filter_map(|seen| seen.first).min()?.as_millis();
    let last = seen.values().filter_map(|seen| seen.latest).max()?.as_millis();
    let from = first.saturating_sub(i64::try_from(question.settle_ms).unwrap_or(i64::MAX));
    let mut previous: Vec<&Snapshot> = vec![];
    let mut found: Option<Settling> = None;
    for snapshot in question.snapshots() {
        // A difference to a reading of other VPCs is no change.
        let before = previous.iter().rposition(|before| before.same_scope(snapshot)).map(|at| previous.remove(at));
        previous.push(snapshot);
        if let Some(before) = before {
            // The change happened at some time between the two readings.
            let overlaps = snapshot.finished_at.as_millis() >= from && before.taken_at.as_millis() <= last;
            if overlaps && !changes(before, snapshot).is_empty() {
                let account = &snapshot.account;
                let ago = question.asked_at.since(snapshot.finished_at).as_secs();
                let left = (question.settle_ms / 1000).saturating_sub(ago);
                let text = both!(
                    "the configuration of account {account} changed {ago} s ago; what is observed is confirmed in {left} s",
                    "账号 {account} 的配置在 {ago} 秒前有变更；观测结果将在 {left} 秒后得到确认"
                );
                let mut accounts = found.map(|found| found.accounts).unwrap_or_default();
                accounts.insert(account.clone());
                found = Some(Settling { text, accounts });
            }
        }
    }
    found
}

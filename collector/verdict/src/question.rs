//! The input of `diagnose`: one pair, and all evidence about it.
//!
//! Evidence may come in any order and repeatedly; [`crate::diagnose`] sorts and deduplicates it on entry, so that
//! neither the order nor resending changes a byte of the verdict. The caller decides *which* evidence is recent enough.

use crate::probing::Probing;
use pingtong_evidence::{AgentHealth, AgentId, ArrivalRound, HostFacts, Pair, ProbeRound, Snapshot, Timestamp};
use serde::{Deserialize, Serialize};

/// The health that an agent reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// The agent.
    pub agent: AgentId,
    /// Time of the report.
    pub at: Timestamp,
    /// The reported health.
    pub health: AgentHealth,
}

/// A pair of hosts and the evidence about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The pair in question.
    pub pair: Pair,
    /// Other pairs of the same link: rules and routes may serve them as well.
    #[serde(default)]
    pub peers: Vec<Pair>,
    /// Pairs of other links: interfaces and rules of these VPCs may serve them as well.
    #[serde(default)]
    pub elsewhere: Vec<Pair>,
    /// Configuration. The newest snapshot of each account and region is judged; older ones show what changed, and when.
    #[serde(default)]
    pub snapshots: Vec<Snapshot>,
    /// The judged rounds of probes. Those of other pairs of the link show where an impairment lies and add to the probe
    /// load.
    #[serde(default)]
    pub probes: Vec<ProbeRound>,
    /// Rounds from before the judged ones, to find when the current state began and which round-trip times are usual.
    /// They count nowhere else.
    #[serde(default)]
    pub earlier: Vec<ProbeRound>,
    /// Arrivals, possibly in parts.
    #[serde(default)]
    pub arrivals: Vec<ArrivalRound>,
    /// Host facts. The newest of each agent are judged; older ones show what changed.
    #[serde(default)]
    pub hosts: Vec<HostFacts>,
    /// Agents that should have reported and did not.
    #[serde(default)]
    pub silent: Vec<AgentId>,
    /// Health reports of agents.
    #[serde(default)]
    pub healths: Vec<HealthReport>,
    /// How the link was probed, over all of its pairs; `None` if the evidence is from before budgets were recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<Probing>,
    /// When the question was asked, by the collector's clock.
    pub asked_at: Timestamp,
    /// Milliseconds before the first round within which a change of configuration makes the probes inconclusive, as
    /// does a change while they run; 0 turns this check off.
    #[serde(default)]
    pub settle_ms: u64,
}

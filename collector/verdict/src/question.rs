//! What `diagnose` is asked: one pair, and all evidence there is.
//!
//! Evidence comes in any order and with repetitions; [`crate::diagnose`] sorts and unites it at entry, so that order and
//! resending change no byte of the verdict. Choosing *which* evidence is fresh enough is the caller's part.

use crate::own_load::Probing;
use pingtong_evidence::{AgentHealth, AgentId, ArrivalRound, HostFacts, Pair, ProbeRound, Snapshot, Timestamp};
use serde::{Deserialize, Serialize};

/// How an agent said it fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// The agent.
    pub agent: AgentId,
    /// When it said so.
    pub at: Timestamp,
    /// What it said.
    pub health: AgentHealth,
}

/// A pair of hosts and the evidence about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The pair in question.
    pub pair: Pair,
    /// Other pairs of the same link: what else rules and routes are there for.
    #[serde(default)]
    pub peers: Vec<Pair>,
    /// Pairs of other links: what else interfaces and rules of these VPCs are there for.
    #[serde(default)]
    pub elsewhere: Vec<Pair>,
    /// Configuration. The newest of an account and region counts; older ones tell what changed, and when.
    #[serde(default)]
    pub snapshots: Vec<Snapshot>,
    /// Rounds of probes. Those of other pairs are ignored.
    #[serde(default)]
    pub probes: Vec<ProbeRound>,
    /// Rounds of the pair from before those that are judged: they tell since when it is as it is. Counted nowhere else.
    #[serde(default)]
    pub earlier: Vec<ProbeRound>,
    /// Arrivals, possibly in parts.
    #[serde(default)]
    pub arrivals: Vec<ArrivalRound>,
    /// Host facts. The newest of an agent count; older ones tell what changed.
    #[serde(default)]
    pub hosts: Vec<HostFacts>,
    /// Agents that should have reported and did not.
    #[serde(default)]
    pub silent: Vec<AgentId>,
    /// How agents fare.
    #[serde(default)]
    pub healths: Vec<HealthReport>,
    /// How the link was probed, over all of its pairs; none where the evidence is from before budgets were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<Probing>,
    /// When the question was asked, by the collector's clock.
    pub asked_at: Timestamp,
    /// Milliseconds before a round within which a change of configuration makes it inconclusive; 0 means never.
    #[serde(default)]
    pub settle_ms: u64,
}

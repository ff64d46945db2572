//! The input of `diagnose`: one pair, and all evidence about it.
//!
//! Evidence may come in any order and repeatedly; a [`Question`] sorts and deduplicates it, so that neither the order nor
//! resending changes a byte of the verdict. The caller decides *which* evidence is recent enough.

use crate::{configuration::Configuration, model::Model, order::sort_by_key, probing::Probing};
use pingtong_evidence::{AgentHealth, AgentId, ArrivalRound, HostFacts, Pair, ProbeRound, Snapshot, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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

/// A pair of hosts with all evidence about it, in canonical order. The evidence is borrowed, and the configuration is
/// shared: questions about the pairs of a link cost no copy of either.
#[derive(Debug, Clone)]
pub struct Question<'e> {
    pub(crate) pair: &'e Pair,
    /// Other pairs of the same link: rules and routes may serve them as well.
    pub(crate) peers: Vec<&'e Pair>,
    /// Pairs of other links: interfaces and rules of these VPCs may serve them as well.
    pub(crate) elsewhere: Vec<&'e Pair>,
    /// Configuration of the pair's link.
    pub(crate) configuration: Arc<Configuration>,
    /// The judged rounds of probes. Those of other pairs of the link show where an impairment lies and add to the probe
    /// load.
    pub(crate) probes: Vec<&'e ProbeRound>,
    /// Rounds from before the judged ones, to find when the current state began and which round-trip times are usual.
    /// They count nowhere else.
    pub(crate) earlier: Vec<&'e ProbeRound>,
    /// Arrivals, possibly in parts.
    pub(crate) arrivals: Vec<&'e ArrivalRound>,
    /// Host facts. The newest of each agent are judged; older ones show what changed.
    pub(crate) hosts: Vec<&'e HostFacts>,
    /// Agents that should have reported and did not.
    pub(crate) silent: Vec<&'e AgentId>,
    /// Health reports of agents.
    pub(crate) healths: Vec<&'e HealthReport>,
    /// How the link was probed, over all of its pairs; `None` if the evidence is from before budgets were recorded.
    pub(crate) probing: Option<Probing>,
    /// When the question was asked, by the collector's clock.
    pub(crate) asked_at: Timestamp,
    /// Milliseconds for which a change of configuration may not be in effect yet. Where one lies so shortly before the
    /// first round, or among the rounds, the verdict says so and blames nothing by elimination; 0 turns this check off.
    pub(crate) settle_ms: u64,
}

impl Question<'_> {
    /// The model of the link, which knows the pairs of other links.
    pub(crate) fn model(&self) -> Model {
        let mut model = self.configuration.model.clone();
        model.elsewhere = self.elsewhere.iter().copied().cloned().collect();
        model
    }

    /// All snapshots of the link, in order of time.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.configuration.snapshots.iter().map(Arc::as_ref)
    }

    /// Puts the evidence into canonical order and removes repetitions.
    #[must_use]
    pub(crate) fn sorted(mut self) -> Self {
        for pairs in [&mut self.peers, &mut self.elsewhere] {
            pairs.sort();
            pairs.dedup();
        }
        for rounds in [&mut self.probes, &mut self.earlier] {
            rounds.sort();
            rounds.dedup();
        }
        sort_by_key(&mut self.arrivals, |part| {
            (part.key.clone(), part.observer.clone(), part.first_at, part.last_at, part.interface.clone())
        });
        self.arrivals.dedup();
        sort_by_key(&mut self.hosts, |facts| (facts.at, facts.agent.clone()));
        self.silent.sort();
        self.silent.dedup();
        sort_by_key(&mut self.healths, |health| (health.at, health.agent.clone()));
        self
    }
}

/// One pair with evidence of its own: a document of a saved file of schema 1, which has one for each pair. The fields
/// are those of [`Question`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The pair in question.
    pub pair: Pair,
    /// Other pairs of the same link.
    #[serde(default)]
    pub peers: Vec<Pair>,
    /// Pairs of other links.
    #[serde(default)]
    pub elsewhere: Vec<Pair>,
    /// Configuration. The newest snapshot that covers a VPC is judged; older ones show what changed, and when.
    #[serde(default)]
    pub snapshots: Vec<Snapshot>,
    /// The judged rounds of probes.
    #[serde(default)]
    pub probes: Vec<ProbeRound>,
    /// Rounds from before the judged ones.
    #[serde(default)]
    pub earlier: Vec<ProbeRound>,
    /// Arrivals, possibly in parts.
    #[serde(default)]
    pub arrivals: Vec<ArrivalRound>,
    /// Host facts.
    #[serde(default)]
    pub hosts: Vec<HostFacts>,
    /// Agents that should have reported and did not.
    #[serde(default)]
    pub silent: Vec<AgentId>,
    /// Health reports of agents.
    #[serde(default)]
    pub healths: Vec<HealthReport>,
    /// How the link was probed, over all of its pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<Probing>,
    /// When the question was asked, by the collector's clock.
    pub asked_at: Timestamp,
    /// Milliseconds for which a change of configuration may not be in effect yet. Where one lies so shortly before the
    /// first round, or among the rounds, the verdict says so and blames nothing by elimination; 0 turns this check off.
    #[serde(default)]
    pub settle_ms: u64,
}

impl Case {
    /// Compiles the configuration and asks about the pair.
    pub fn question(&self) -> Question<'_> {
        let snapshots: Vec<_> = self.snapshots.iter().cloned().map(Arc::new).collect();
        Question {
            pair: &self.pair,
            peers: self.peers.iter().collect(),
            elsewhere: self.elsewhere.iter().collect(),
            configuration: Arc::new(Configuration::compile(&self.pair.link, &snapshots)),
            probes: self.probes.iter().collect(),
            earlier: self.earlier.iter().collect(),
            arrivals: self.arrivals.iter().collect(),
            hosts: self.hosts.iter().collect(),
            silent: self.silent.iter().collect(),
            healths: self.healths.iter().collect(),
            probing: self.probing,
            asked_at: self.asked_at,
            settle_ms: self.settle_ms,
        }
        .sorted()
    }
}

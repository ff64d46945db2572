//! Evidence about many pairs, in which each snapshot, round and host fact occurs once: what the collector answers with,
//! and a saved file of schema 2.

use crate::{
    configuration::Configurations,
    index::{Ask, Unprobed},
    lang::Lang,
    probing::Probing,
    question::{HealthReport, Question},
};
use pingtong_evidence::{
    AgentId, ArrivalRound, HostFacts, LinkId, Pair, PairId, ProbeRound, RoundKey, Side, Snapshot, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Evidence about the pairs of one or more links. A question about a pair takes the rounds of the pair and its peers, the
/// facts of their agents, and the snapshots of the pair's link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When the questions are asked, by the collector's clock.
    pub asked_at: Timestamp,
    /// Milliseconds for which a change of configuration may not be in effect yet. Where one lies so shortly before the
    /// first round, or among the rounds, the verdict says so and blames nothing by elimination; 0 turns this check off.
    #[serde(default)]
    pub settle_ms: u64,
    /// Every pair that a question names.
    pub pairs: Vec<Pair>,
    /// The links of these pairs that something is known of.
    #[serde(default)]
    pub links: Vec<LinkReadings>,
    /// Configuration.
    #[serde(default)]
    pub snapshots: Vec<Arc<Snapshot>>,
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
}

/// What was read of one link as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReadings {
    /// The link.
    pub link: LinkId,
    /// Places of the link's snapshots in [`Evidence::snapshots`].
    #[serde(default)]
    pub snapshots: Vec<usize>,
    /// How the link was probed, over all of its pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<Probing>,
}

/// A pair that is asked about, and the pairs that its configuration serves as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairContext {
    /// The pair in question.
    pub pair: PairId,
    /// Other pairs of the same link.
    #[serde(default)]
    pub peers: Vec<PairId>,
    /// Pairs of other links.
    #[serde(default)]
    pub elsewhere: Vec<PairId>,
}

/// Pairs that are asked about, with all evidence about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Bundle {
    /// Format version, [`Bundle::SCHEMA`].
    pub schema: u32,
    /// The evidence.
    pub evidence: Evidence,
    /// The pairs in question.
    pub pairs: Vec<PairContext>,
    /// The expectations that the pairs are part of, if whole expectations were asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<Ask>,
}

impl Bundle {
    /// The version of this format. Version 1 is a [`crate::Case`] for each pair.
    pub const SCHEMA: u32 = 2;

    /// Pairs with evidence about them.
    #[must_use]
    pub fn new(evidence: Evidence, pairs: Vec<PairContext>) -> Self {
        Self { schema: Self::SCHEMA, evidence, pairs, expectations: vec![] }
    }

    /// Records the expectations that were asked about as a whole.
    #[must_use]
    pub fn expecting(mut self, expectations: Vec<Ask>) -> Self {
        self.expectations = expectations;
        self
    }

    /// What the configuration says about the hosts of the expectations that no pair covers.
    pub fn unprobed(&self, lang: Lang) -> Unprobed {
        let asked: BTreeSet<&PairId> = self.pairs.iter().map(|context| &context.pair).collect();
        let pairs = self.evidence.pairs.iter().filter(|pair| asked.contains(&pair.id));
        Unprobed::predict(self.evidence.snapshots.iter().cloned(), &self.expectations, pairs, lang)
    }

    /// One question for each pair. The configuration of a link is compiled at most once, and not at all if
    /// `configurations` has it already.
    pub fn questions(&self, configurations: &mut Configurations) -> impl Iterator<Item = Question<'_>> {
        self.evidence.questions(&self.pairs, configurations)
    }
}

/// Why a bundle contradicts itself.
#[derive(Debug, PartialEq, Eq)]
enum BundleFault {
    Schema(u32),
    Pair(PairId),
    Snapshot(LinkId, usize),
}

impl std::fmt::Display for BundleFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Schema(schema) => write!(f, "schema {schema} is not understood, only {}", Bundle::SCHEMA),
            Self::Pair(pair) => write!(f, "pair \"{pair}\" is named, but \"evidence.pairs\" does not hold it"),
            Self::Snapshot(link, at) => write!(f, "link \"{link}\" names snapshot {at}, which does not exist"),
        }
    }
}

/// A bundle as it was written.
#[derive(Deserialize)]
struct Unchecked {
    schema: u32,
    evidence: Evidence,
    pairs: Vec<PairContext>,
    #[serde(default)]
    expectations: Vec<Ask>,
}

impl TryFrom<Unchecked> for Bundle {
    type Error = BundleFault;

    fn try_from(Unchecked { schema, evidence, pairs, expectations }: Unchecked) -> Result<Self, BundleFault> {
        if schema != Self::SCHEMA {
            return Err(BundleFault::Schema(schema));
        }
        let known: BTreeSet<&PairId> = evidence.pairs.iter().map(|pair| &pair.id).collect();
        let named = pairs
            .iter()
            .flat_map(|context| std::iter::once(&context.pair).chain(&context.peers).chain(&context.elsewhere));
        if let Some(unknown) = named.into_iter().find(|id| !known.contains(id)) {
            return Err(BundleFault::Pair(unknown.clone()));
        }
        for LinkReadings { link, snapshots, .. } in &evidence.links {
            if let Some(at) = snapshots.iter().find(|at| **at >= evidence.snapshots.len()) {
                return Err(BundleFault::Snapshot(link.clone(), *at));
            }
        }
        Ok(Self { schema, evidence, pairs, expectations })
    }
}

/// Items by a key, in their order.
fn grouped<'e, T, K: Ord>(items: &'e [T], key: impl Fn(&'e T) -> K) -> BTreeMap<K, Vec<&'e T>> {
    let mut groups: BTreeMap<K, Vec<&T>> = BTreeMap::new();
    for item in items {
        groups.entry(key(item)).or_default().push(item);
    }
    groups
}

/// The items of these groups.
fn of_groups<'e, T, K: Ord + 'e>(groups: &BTreeMap<K, Vec<&'e T>>, keys: impl IntoIterator<Item = K>) -> Vec<&'e T> {
    keys.into_iter().filter_map(|key| groups.get(&key)).flatten().copied().collect()
}

/// The agents at both ends of a pair.
fn agents_of(pair: &Pair) -> impl Iterator<Item = &AgentId> {
    Side::BOTH.into_iter().filter_map(|side| pair.endpoint(side).agent.as_ref())
}

impl Evidence {
    /// One question for each of these pairs that the evidence holds. `configurations` may come from earlier evidence.
    pub fn questions<'e>(
        &'e self,
        asked: &[PairContext],
        configurations: &mut Configurations,
    ) -> impl Iterator<Item = Question<'e>> {
        let pairs: BTreeMap<&PairId, &Pair> = self.pairs.iter().map(|pair| (&pair.id, pair)).collect();
        let readings: BTreeMap<&LinkId, &LinkReadings> = self.links.iter().map(|of| (&of.link, of)).collect();
        let probes = grouped(&self.probes, |round| &round.pair);
        let earlier = grouped(&self.earlier, |round| &round.pair);
        let arrivals: BTreeMap<&RoundKey, _> = grouped(&self.arrivals, |part| &part.key);
        let hosts = grouped(&self.hosts, |facts| &facts.agent);
        let healths = grouped(&self.healths, |health| &health.agent);
        let found = |ids: &[PairId]| -> Vec<&'e Pair> { ids.iter().filter_map(|id| pairs.get(id).copied()).collect() };
        let named: Vec<(&Pair, Vec<&Pair>, Vec<&Pair>, Arc<_>)> = asked
            .iter()
            .filter_map(|context| {
                let pair = *pairs.get(&context.pair)?;
                let of_link = readings.get(&pair.link.id).map_or(&[][..], |of| &of.snapshots);
                let snapshots: Vec<_> = of_link.iter().filter_map(|at| self.snapshots.get(*at).cloned()).collect();
                let configuration = configurations.of(&pair.link, &snapshots);
                Some((pair, found(&context.peers), found(&context.elsewhere), configuration))
            })
            .collect();
        named.into_iter().map(move |(pair, peers, elsewhere, configuration)| {
            let ids: BTreeSet<&PairId> = peers.iter().chain([&pair]).map(|pair| &pair.id).collect();
            let agents: BTreeSet<&AgentId> = peers.iter().chain([&pair]).flat_map(|pair| agents_of(pair)).collect();
            let own: BTreeSet<&AgentId> = agents_of(pair).collect();
            let probes = of_groups(&probes, ids.iter().copied());
            let keys: BTreeSet<&RoundKey> = probes.iter().map(|round| &round.key).collect();
            Question {
                pair,
                arrivals: of_groups(&arrivals, keys),
                earlier: of_groups(&earlier, ids),
                hosts: of_groups(&hosts, agents.iter().copied()),
                healths: of_groups(&healths, agents),
                silent: self.silent.iter().filter(|agent| own.contains(agent)).collect(),
                probing: readings.get(&pair.link.id).and_then(|of| of.probing),
                asked_at: self.asked_at,
                settle_ms: self.settle_ms,
                peers,
                elsewhere,
                configuration,
                probes,
            }
            .sorted()
        })
    }
}

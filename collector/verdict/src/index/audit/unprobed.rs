//! Hosts of expected sets that no pair covers, because no agent runs on them: what the configuration says about them.
//!
//! Rules. 1. A host is an instance; addresses of other interfaces, such as those of managed services, are no hosts of an
//! expectation that probes could cover. 2. An instance whose address or id an end of a pair has is probed; every other
//! one that the snapshots show in a set is not. 3. What holds for such a host is what [`super::Auditor`] says about its
//! flows with every host of the other set. 4. Where the VPC of a side was not read, it is not known which hosts there
//! are. An expectation between two named instances is a pair and has a verdict of its own.

use super::{Ask, Explainer, Failing, Scope, UnknownPart};
use crate::{
    Lang,
    index::{Estate, HostRef, Outcome, Trace, sets},
};
use pingtong_evidence::{EndpointSet, Expectation, InstanceId, LinkId, Pair, Protocol, SCHEMA, Side, Snapshot, VpcId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// What is predicted for a host that nobody probes. The worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Predicted {
    /// The configuration lets every expected flow of the host pass, both ways. The guests are not looked at.
    Passes,
    /// Part of the configuration was not read.
    Unknown,
    /// The configuration stops expected flows of the host.
    Blocked,
}

/// A host of an expected set on which no agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnprobedHost {
    /// Its instance.
    pub instance: InstanceId,
    /// The address that belongs to the set; the primary one if several do.
    pub address: IpAddr,
    /// Its side of the link.
    pub side: Side,
    /// What the configuration predicts.
    pub predicted: Predicted,
}

/// Which part of an expectation between sets of hosts was probed, and what is predicted for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAnswer {
    /// The expectation.
    pub asked: Expectation,
    /// Its link.
    pub link: LinkId,
    /// Number of pairs of hosts with a verdict of their own.
    pub probed: u64,
    /// Hosts without an agent, by side and address.
    pub hosts: Vec<UnprobedHost>,
    /// Flows of these hosts that the configuration stops, with the causes.
    pub failing: Vec<Failing>,
    /// Flows of these hosts that could not be decided.
    pub unknown: Vec<UnknownPart>,
    /// VPCs of the link whose hosts are not known, because their configuration was not read.
    pub unread: Vec<VpcId>,
}

impl SetAnswer {
    /// The number of hosts with this prediction.
    pub fn count(&self, predicted: Predicted) -> usize {
        self.hosts.iter().filter(|host| host.predicted == predicted).count()
    }
}

/// The part of a question that is not measured: one answer for each expectation of which that part is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unprobed {
    /// Format version.
    pub schema: u32,
    /// The answers.
    pub sets: Vec<SetAnswer>,
}

impl Unprobed {
    /// Predicts, from these snapshots, what the verdicts of `pairs` leave out of the expectations.
    pub fn predict<'p>(
        snapshots: impl IntoIterator<Item = Arc<Snapshot>>,
        expectations: &[Ask],
        pairs: impl IntoIterator<Item = &'p Pair>,
        lang: Lang,
    ) -> Self {
        let sets: Vec<&Ask> = expectations.iter().filter(|ask| ask.link.is_some() && names_a_set(ask)).collect();
        if sets.is_empty() {
            return Self { schema: SCHEMA, sets: vec![] };
        }
        let links: Vec<_> = expectations.iter().filter_map(|ask| ask.link.clone()).collect();
        let estate = Estate::new(snapshots, &links);
        let pairs: Vec<&Pair> = pairs.into_iter().collect();
        let mut explainer = Explainer::new(&estate).expecting(expectations);
        let sets = sets.into_iter().filter_map(|ask| answer(ask, &pairs, &mut explainer, lang)).collect();
        Self { schema: SCHEMA, sets }
    }
}

fn names_a_set(ask: &Ask) -> bool {
    let Expectation { from, to, .. } = &ask.expectation;
    [from, to].into_iter().any(|set| !matches!(set, EndpointSet::Instance { .. }))
}

/// Hosts of one end of an expectation.
#[derive(Default)]
struct Divided {
    probed: Vec<HostRef>,
    rest: Vec<HostRef>,
}

fn answer(ask: &Ask, pairs: &[&Pair], explainer: &mut Explainer<'_>, lang: Lang) -> Option<SetAnswer> {
    let (estate, link) = (explainer.estate, ask.link.as_ref()?);
    let Expectation { protocol, ports, .. } = ask.expectation;
    let ends: Vec<_> = pairs
        .iter()
        .filter(|pair| pair.link.id == link.id)
        .flat_map(|pair| Side::BOTH.map(|side| (side, pair.endpoint(side))))
        .collect();
    let divided = |hosts: &[HostRef]| {
        let mut divided = Divided::default();
        let mut known: BTreeMap<&InstanceId, HostRef> = BTreeMap::new();
        for host in hosts {
            let (Some(address), Some(side)) = (estate.address(*host), side_of(estate, ask, *host)) else { continue };
            let instance = estate.instance(*host);
            if ends.iter().any(|(at, end)| *at == side && end.address == address) {
                divided.probed.push(*host);
            } else if let Some(instance) =
                instance.filter(|id| !ends.iter().any(|(at, end)| *at == side && end.instance.as_ref() == Some(*id)))
            {
                let primary = estate.host(*host).is_some_and(|found| found.primary);
                if primary || !known.contains_key(instance) {
                    known.insert(instance, *host);
                }
            }
        }
        divided.rest = known.into_values().collect();
        divided.rest.sort();
        divided
    };
    let mut found: BTreeMap<HostRef, Predicted> = BTreeMap::new();
    let (mut failing, mut unknown, mut probed) = (vec![], vec![], 0);
    for (from, to) in Scope::of(estate, ask).crossings(estate) {
        let (from, to) = (divided(&from), divided(&to));
        probed += super::pair_count(&from.probed, &to.probed);
        let rest: BTreeSet<HostRef> = from.rest.iter().chain(&to.rest).copied().collect();
        found.extend(rest.iter().map(|host| (*host, Predicted::Passes)));
        let all = [to.probed.clone(), to.rest.clone()].concat();
        let parts = [(from.rest, all), (from.probed, to.rest)];
        for (from, to) in parts.iter().filter(|(from, to)| !from.is_empty() && !to.is_empty()) {
            let back = (protocol == Protocol::Icmp).then_some((to, from));
            for (from, to) in [(from, to)].into_iter().chain(back) {
                for set in sets::flows(estate, (from, to), protocol, ports, sets::Detail::Blockers) {
                    let outcomes = set.fate.map(Trace::outcome);
                    let predicted = if outcomes.iter().any(|o| matches!(o, Outcome::Stopped { .. })) {
                        failing.push(explainer.failing(&set, protocol, (from, to)));
                        Predicted::Blocked
                    } else if outcomes.iter().any(|o| matches!(o, Outcome::Unknown { .. })) {
                        unknown.push(explainer.unknown(&set, protocol, (from, to), lang));
                        Predicted::Unknown
                    } else {
                        continue;
                    };
                    for host in set.sources.iter().chain(&set.destinations).filter(|host| rest.contains(host)) {
                        let worst = found.entry(*host).or_insert(predicted);
                        *worst = predicted.max(*worst);
                    }
                }
            }
        }
    }
    let host = |(host, predicted): (&HostRef, &Predicted)| {
        Some(UnprobedHost {
            instance: estate.instance(*host)?.clone(),
            address: estate.address(*host)?,
            side: side_of(estate, ask, *host)?,
            predicted: *predicted,
        })
    };
    let mut hosts: Vec<UnprobedHost> = found.iter().filter_map(host).collect();
    hosts.sort_by_key(|host| (host.side, host.address));
    let unread = Side::BOTH.into_iter().map(|side| link.side(side)).filter(|side| !estate.shows_hosts_of(side));
    let unread: Vec<VpcId> = unread.map(|side| side.vpc.clone()).collect();
    if hosts.is_empty() && unread.is_empty() {
        return None;
    }
    let (asked, link) = (ask.expectation.clone(), link.id.clone());
    Some(SetAnswer { asked, link, probed, hosts, failing, unknown, unread })
}

fn side_of(estate: &Estate, ask: &Ask, host: HostRef) -> Option<Side> {
    let link = ask.link.as_ref()?;
    let network = estate.network_at(host);
    Side::BOTH.into_iter().find(|side| network.is_some() && estate.network_of(link.side(*side)) == network)
}

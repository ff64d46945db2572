//! Which flows a repair set permits besides the pair's own: a narrow fix still opens something, and its owner must
//! know.
//!
//! Two views are united. Between hosts that the snapshots show: every flow whose first packet arrives after the set is
//! carried out and did not before, exact and end to end, computed by `index::flow_sets`. For future hosts: the blocks
//! that a new or removed rule matches, in full, whatever else is on their path. A line of one view is left out if a
//! line of the other covers it. Flows that could not be decided after the repair are not listed.

use crate::{
    fix::Fix,
    index::{Detail, Estate, FlowSet, HostRef, flow_sets},
    model::Model,
    vendor_text::{ports_text, protocol_text},
    verdict::Opening,
    walk::Host,
};
use pingtong_evidence::{
    Cidr, Eni, LinkSide, Pair, Policy, PortRange, Protocol, RulePeer, RuleProtocol, SecurityGroupId, SecurityRule,
    Side, Snapshot,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Number of hosts of one side above which flows between shown hosts are not enumerated: far more than the networks of
/// one pair have in practice, and a bound on the time that a verdict takes.
const HOSTS_MAX: usize = 4_096;

/// Flows of one protocol: from these addresses to those, at these ports.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flows {
    sources: BTreeSet<IpAddr>,
    destinations: BTreeSet<IpAddr>,
    ports: Option<(u16, u16)>,
}

impl Flows {
    fn is_empty(&self) -> bool {
        self.sources.is_empty() || self.destinations.is_empty()
    }

    /// Returns what is left of `self` without `other`, in disjoint parts.
    fn without(self, other: &Self) -> Vec<Self> {
        let meets = self.sources.iter().any(|source| other.sources.contains(source))
            && self.destinations.iter().any(|destination| other.destinations.contains(destination))
            && meet(self.ports, other.ports);
        if !meets {
            return vec![self];
        }
        let split = |mine: &BTreeSet<IpAddr>, theirs: &BTreeSet<IpAddr>| -> (BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
            mine.iter().partition(|address| theirs.contains(address))
        };
        let (sources, other_sources) = split(&self.sources, &other.sources);
        let (destinations, other_destinations) = split(&self.destinations, &other.destinations);
        let mut left = vec![
            Self { sources: other_sources, destinations: self.destinations, ports: self.ports },
            Self { sources: sources.clone(), destinations: other_destinations, ports: self.ports },
        ];
        for ports in beside(self.ports, other.ports) {
            left.push(Self { sources: sources.clone(), destinations: destinations.clone(), ports });
        }
        left.retain(|flows| !flows.is_empty());
        left
    }
}

/// Whether two ranges have a port in common. `None` is a protocol without ports and meets only `None`.
fn meet(a: Option<(u16, u16)>, b: Option<(u16, u16)>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.0.max(b.0) <= a.1.min(b.1),
        (None, None) => true,
        _ => false,
    }
}

/// The ports of the first range that are not in the second.
fn beside(a: Option<(u16, u16)>, b: Option<(u16, u16)>) -> Vec<Option<(u16, u16)>> {
    let (Some(a), Some(b)) = (a, b) else { return vec![] };
    let below = (a.0 < b.0).then(|| Some((a.0, b.0 - 1)));
    let above = (a.1 > b.1).then(|| Some((b.1 + 1, a.1)));
    below.into_iter().chain(above).collect()
}

/// The flows of one protocol whose first packet arrives, from one side's shown hosts to the other's.
fn arriving(estate: &Estate, ends: [&[HostRef]; 2], protocol: Protocol) -> Vec<Flows> {
    let [from, to] = ends;
    let ports = PortRange::new(1, u16::MAX).filter(|_| protocol != Protocol::Icmp);
    let addresses = |hosts: &BTreeSet<HostRef>| hosts.iter().filter_map(|host| estate.address(*host)).collect();
    flow_sets(estate, (from, to), protocol, ports, Detail::Request)
        .into_iter()
        .filter(FlowSet::request_passes)
        .map(|set| Flows {
            sources: addresses(&set.sources),
            destinations: addresses(&set.destinations),
            ports: set.ports.map(|ports| (ports.first(), ports.last())),
        })
        .collect()
}

/// The hosts of one side's VPC, used to describe addresses in as few blocks as possible.
struct Shown(BTreeSet<IpAddr>);

impl Shown {
    fn new(model: &Model, side: Side) -> Self {
        let vpc = &model.link.side(side).vpc;
        let enis = model.snapshot(side).and_then(|s| s.enis.known());
        let own = |eni: &&Eni| eni.vpc.as_ref().is_none_or(|at| at == vpc);
        Self(enis.into_iter().flatten().filter(own).flat_map(|eni| eni.addresses.iter().copied()).collect())
    }

    /// The smallest blocks that hold these addresses and no other shown host.
    fn blocks(&self, addresses: &BTreeSet<IpAddr>) -> Vec<Cidr> {
        let mut found: Vec<Cidr> = vec![];
        let mut first = None;
        for address in addresses {
            let run = *first.get_or_insert(*address);
            let block = spanning(run, *address);
            let exact = self.0.iter().all(|host| !block.contains(*host) || addresses.contains(host));
            match found.last_mut() {
                Some(last) if exact && *address != run => *last = block,
                _ => {
                    first = Some(*address);
                    found.push(Cidr::host(*address));
                }
            }
        }
        found
    }
}

/// The smallest block that holds both addresses.
fn spanning(a: IpAddr, b: IpAddr) -> Cidr {
    let host = Cidr::host(a).prefix_length();
    (0..=host).rev().map(|length| Cidr::around(a, length)).find(|block| block.contains(b)).unwrap_or(Cidr::host(a))
}

/// Newly permitted flows between shown hosts, except the pair's own.
fn between_hosts(before: &Model, after: &Model, pair: &Pair) -> BTreeSet<Opening> {
    let compiled = |model: &Model| Estate::new(model.shared(), std::slice::from_ref(&model.link));
    let (old, new) = (compiled(before), compiled(after));
    let mut found = BTreeSet::new();
    for side in Side::BOTH {
        let ends = |estate: &Estate| -> [Vec<HostRef>; 2] {
            [side, side.opposite()].map(|at| hosts_of(estate, before.link.side(at)))
        };
        let (old_ends, new_ends) = (ends(&old), ends(&new));
        if new_ends.iter().any(|hosts| hosts.len() > HOSTS_MAX) {
            continue;
        }
        let (sources, destinations) = (Shown::new(after, side), Shown::new(after, side.opposite()));
        for protocol in [Protocol::Icmp, Protocol::Tcp, Protocol::Udp] {
            let mut left = arriving(&new, [&new_ends[0], &new_ends[1]], protocol);
            let mut known = arriving(&old, [&old_ends[0], &old_ends[1]], protocol);
            if protocol == pair.protocol {
                let port = pair.port.filter(|_| protocol != Protocol::Icmp);
                known.push(Flows {
                    sources: BTreeSet::from([pair.endpoint(side).address]),
                    destinations: BTreeSet::from([pair.endpoint(side.opposite()).address]),
                    ports: port.map(|port| (port, port)),
                });
            }
            for known in &known {
                left = left.into_iter().flat_map(|flows| flows.without(known)).collect();
            }
            for flows in left {
                for source in sources.blocks(&flows.sources) {
                    for destination in destinations.blocks(&flows.destinations) {
                        let ports = flows.ports.map_or_else(|| "-1/-1".to_owned(), |(a, b)| format!("{a}/{b}"));
                        let protocol = protocol.to_string();
                        found.insert(Opening {
                            source: source.to_string(),
                            destination: destination.to_string(),
                            protocol,
                            ports,
                        });
                    }
                }
            }
        }
    }
    found
}

fn hosts_of(estate: &Estate, at: &LinkSide) -> Vec<HostRef> {
    estate.hosts().filter(|host| estate.vpc(*host) == Some(&at.vpc)).collect()
}

/// The flows that a changed rule matches.
struct Spoken {
    near: BTreeSet<IpAddr>,
    far: Vec<Cidr>,
    ingress: bool,
    protocol: String,
    ports: String,
}

fn ports_of(protocol: Protocol, port: Option<u16>) -> String {
    match (protocol, port) {
        (Protocol::Icmp, _) => "-1/-1".to_owned(),
        (_, None) => "1/65535".to_owned(),
        (_, Some(port)) => format!("{port}/{port}"),
    }
}

/// The addresses of a group's interfaces.
fn members(snapshot: Option<&Snapshot>, group: &SecurityGroupId) -> BTreeSet<IpAddr> {
    let enis = snapshot.and_then(|s| s.enis.known()).into_iter().flatten();
    enis.filter(|eni| eni.security_groups.contains(group)).flat_map(|eni| eni.addresses.iter().copied()).collect()
}

fn far_of(model: &Model, side: Side, rule: &SecurityRule) -> Vec<Cidr> {
    match &rule.peer {
        RulePeer::Any => Cidr::parse("0.0.0.0/0").into_iter().collect(),
        RulePeer::Cidr(block) => vec![*block],
        RulePeer::PrefixList(id) => {
            let lists = model.snapshot(side).and_then(|s| s.prefix_lists.known()).into_iter().flatten();
            lists.filter(|list| list.id == *id).filter_map(|list| list.entries.known()).flatten().copied().collect()
        }
        // Members of a group are in the same VPC, so the rule opens nothing between the two VPCs.
        RulePeer::Group { .. } => vec![],
    }
}

fn spoken(model: &Model, pair: &Pair, side: Side, fix: &Fix) -> Option<Spoken> {
    match fix {
        Fix::AcceptRule { group, ingress, protocol, port, peer } => Some(Spoken {
            near: members(model.snapshot(side), group),
            far: vec![*peer],
            ingress: *ingress,
            protocol: protocol.to_string(),
            ports: ports_of(*protocol, *port),
        }),
        Fix::RemoveRule { group, rule } if rule.policy == Policy::Drop => Some(Spoken {
            near: members(model.snapshot(side), group),
            far: far_of(model, side, rule),
            ingress: rule.ingress,
            protocol: protocol_text(rule.protocol),
            ports: match rule.protocol {
                RuleProtocol::All => "-1/-1".to_owned(),
                protocol => ports_text(protocol, rule.ports),
            },
        }),
        Fix::AclAccept { ingress, protocol, port, peer, .. } => {
            let address = pair.endpoint(side).address;
            let vswitch = Host::find(model, side, address).vswitch.map(|vswitch| vswitch.cidr);
            let Shown(shown) = Shown::new(model, side);
            let near = shown.into_iter().filter(|host| vswitch.is_some_and(|block| block.contains(*host))).collect();
            let (protocol, ports) = (protocol.to_string(), ports_of(*protocol, *port));
            Some(Spoken { near, far: vec![*peer], ingress: *ingress, protocol, ports })
        }
        Fix::Guest { opens: Some(what), .. } => Some(Spoken {
            near: BTreeSet::from([pair.endpoint(side).address]),
            far: Cidr::parse("0.0.0.0/0").into_iter().collect(),
            ingress: true,
            protocol: what.clone(),
            ports: "-1/-1".to_owned(),
        }),
        _ => None,
    }
}

fn covers(wide: &Opening, narrow: &Opening) -> bool {
    let block = |text: &str| Cidr::parse(text).ok();
    let within =
        |wide: &str, narrow: &str| block(wide).zip(block(narrow)).is_some_and(|(wide, narrow)| wide.covers(&narrow));
    wide != narrow
        && (wide.protocol == narrow.protocol || wide.protocol == "all" || wide.protocol == "*")
        && (wide.ports == narrow.ports || wide.ports == "-1/-1" || wide.ports == "1/65535")
        && within(&wide.source, &narrow.source)
        && within(&wide.destination, &narrow.destination)
}

pub(super) fn opens<'a>(
    before: &Model,
    after: &Model,
    pair: &Pair,
    fixes: impl Iterator<Item = (Side, &'a Fix)>,
) -> Vec<Opening> {
    let mut all = between_hosts(before, after, pair);
    let shown: BTreeMap<Side, Shown> = Side::BOTH.into_iter().map(|side| (side, Shown::new(before, side))).collect();
    for (side, fix) in fixes {
        let Some((rule, shown)) = spoken(before, pair, side, fix).zip(shown.get(&side)) else { continue };
        for near in shown.blocks(&rule.near) {
            for far in &rule.far {
                let (near, far) = (near.to_string(), far.to_string());
                let (source, destination) = if rule.ingress { (far, near) } else { (near, far) };
                let (protocol, ports) = (rule.protocol.clone(), rule.ports.clone());
                all.insert(Opening { source, destination, protocol, ports });
            }
        }
    }
    let told: Vec<Opening> = all.into_iter().collect();
    told.iter().filter(|one| !told.iter().any(|other| covers(other, one))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(sources: &[u8], destinations: &[u8], ports: Option<(u16, u16)>) -> Flows {
        let set = |last: &[u8]| last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect();
        Flows { sources: set(sources), destinations: set(destinations), ports }
    }

    fn members(flows: &Flows) -> BTreeSet<(IpAddr, IpAddr, u16)> {
        let (first, last) = flows.ports.unwrap_or((0, 0));
        let mut all = BTreeSet::new();
        for source in &flows.sources {
            for destination in &flows.destinations {
                all.extend((first..=last).map(|port| (*source, *destination, port)));
            }
        }
        all
    }

    #[test]
    fn a_difference_holds_exactly_what_the_other_has_not_and_nothing_twice() {
        let whole = flows(&[1, 2, 3], &[4, 5], Some((10, 20)));
        for other in [
            flows(&[2, 9], &[5], Some((12, 14))),
            flows(&[1, 2, 3], &[4, 5], Some((1, 30))),
            flows(&[7], &[4], Some((10, 20))),
            flows(&[1], &[4, 5], Some((15, 90))),
            flows(&[1], &[4], None),
        ] {
            let parts = whole.clone().without(&other);
            let told: Vec<_> = parts.iter().flat_map(members).collect();
            let expected: BTreeSet<_> = members(&whole).difference(&members(&other)).copied().collect();
            let expected = if other.ports.is_none() { members(&whole) } else { expected };
            assert_eq!(told.len(), expected.len(), "{other:?}");
            assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), expected, "{other:?}");
        }
    }

    #[test]
    fn parts_of_a_difference_are_never_empty_and_what_does_not_meet_stays_whole() {
        let whole = flows(&[1, 2], &[4, 5], Some((10, 20)));
        let port = |first, last| Some((first, last));
        assert_eq!(
            whole.clone().without(&flows(&[1, 2], &[4, 5], port(10, 12))),
            [flows(&[1, 2], &[4, 5], port(13, 20))]
        );
        assert_eq!(
            whole.clone().without(&flows(&[1, 2], &[4, 5], port(18, 20))),
            [flows(&[1, 2], &[4, 5], port(10, 17))]
        );
        assert_eq!(whole.clone().without(&flows(&[1], &[4, 5], port(10, 20))), [flows(&[2], &[4, 5], port(10, 20))]);
        assert_eq!(whole.clone().without(&flows(&[1, 2], &[5], port(1, 90))), [flows(&[1, 2], &[4], port(10, 20))]);
        assert_eq!(whole.clone().without(&whole), []);
        for other in [flows(&[1], &[9], port(10, 20)), flows(&[9], &[4], port(10, 20)), flows(&[1], &[4], port(21, 30))]
        {
            assert_eq!(whole.clone().without(&other), std::slice::from_ref(&whole), "{other:?}");
        }
        assert!(flows(&[], &[4], None).is_empty() && flows(&[1], &[], None).is_empty() && !whole.is_empty());
    }
}

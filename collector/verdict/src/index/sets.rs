//! Sets of flows: which pairs of hosts and which ports have one fate, exactly.
//!
//! Between the hosts of two profiles, what depends on the receiver's address and what depends on the sender's address
//! are separate (`Outward`, `Inward`). Each divides the hosts into classes, and the columns involved divide the ports
//! into ranges. One decision then holds for a whole class of senders × class of receivers × range of ports. Nothing is
//! sampled: these boxes are disjoint and cover every pair of two different hosts and every port asked about. Adjacent
//! boxes with the same fate are merged. The order is by VPC, address and port.

use super::{Between, Estate, Flow, HostRef, Inward, Outward, Trace, filter::Say};
use pingtong_evidence::{PortRange, Protocol};
use std::collections::{BTreeMap, BTreeSet};

/// The traces of the request and of the reply.
pub(crate) type Fate = [Trace; 2];

/// Flows of one fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowSet {
    pub(crate) sources: BTreeSet<HostRef>,
    pub(crate) destinations: BTreeSet<HostRef>,
    /// Range of destination ports; `None` if the protocol has no ports.
    pub(crate) ports: Option<PortRange>,
    pub(crate) fate: Fate,
}

impl FlowSet {
    /// Whether the first packet of its flows is known to arrive.
    pub(crate) fn request_passes(&self) -> bool {
        let [request, _] = &self.fate;
        request.decisions().all(|(_, say)| matches!(say, Say::Pass(_)))
    }

    /// One of its flows.
    pub(crate) fn sample(&self, protocol: Protocol) -> Option<Flow> {
        let (source, destination) = two_hosts(self)?;
        let port = self.ports.map(PortRange::first);
        Some(Flow { source, destination, protocol, port })
    }
}

/// The parts of a fate that distinguish sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Stages that stop the packet or are unknown; all stages that pass it count as equal.
    Blockers,
    /// Also what lets the request pass. The reply does not matter.
    Request,
}

impl Detail {
    fn of(self, fate: Fate) -> Fate {
        let [request, reply] = fate;
        let blockers = |trace: Trace| trace.map(|say| if matches!(say, Say::Pass(_)) { Say::Pass(0) } else { say });
        match self {
            Self::Blockers => [blockers(request), blockers(reply)],
            Self::Request => [request, reply.map(|_| Say::Pass(0))],
        }
    }
}

type Hosts = BTreeSet<HostRef>;

/// All flows from one set of hosts to another, by fate.
pub(crate) fn flows(
    estate: &Estate,
    (from, to): (&[HostRef], &[HostRef]),
    protocol: Protocol,
    ports: Option<PortRange>,
    detail: Detail,
) -> Vec<FlowSet> {
    let by_profile = |hosts: &[HostRef]| {
        let mut groups: BTreeMap<u32, Vec<HostRef>> = BTreeMap::new();
        for host in hosts {
            if let Some(found) = estate.host(*host) {
                groups.entry(found.profile).or_default().push(*host);
            }
        }
        groups
    };
    let (sources, destinations) = (by_profile(from), by_profile(to));
    let mut all = vec![];
    for (source, from) in &sources {
        for (destination, to) in &destinations {
            let profile = |at: u32| estate.profiles.get(at as usize);
            let (Some(source), Some(destination)) = (profile(*source), profile(*destination)) else { continue };
            let Some(between) = Between::new(estate, source, destination) else { continue };
            all.extend(flows_between(&between, from, to, protocol, ports, detail));
        }
    }
    all
}

fn flows_between(
    between: &Between<'_>,
    from: &[HostRef],
    to: &[HostRef],
    protocol: Protocol,
    ports: Option<PortRange>,
    detail: Detail,
) -> Vec<FlowSet> {
    let mut outward: BTreeMap<Outward, Hosts> = BTreeMap::new();
    let mut inward: BTreeMap<Inward, Hosts> = BTreeMap::new();
    let address = |host: &HostRef| between.estate.host(*host).map(|found| found.address);
    for host in to {
        if let Some(address) = address(host) {
            outward.entry(between.outward(address)).or_default().insert(*host);
        }
    }
    for host in from {
        if let Some(address) = address(host) {
            inward.entry(between.inward(address)).or_default().insert(*host);
        }
    }
    // Merges the senders of equal fate, receivers and ports, then the receivers of equal fate, senders and ports, then
    // the ports.
    let mut senders: BTreeMap<(Fate, &Hosts, Ports), Hosts> = BTreeMap::new();
    for (out, destinations) in &outward {
        for (into, sources) in &inward {
            for (range, fate) in between.steps(out, into, protocol, ports) {
                senders.entry((detail.of(fate), destinations, range)).or_default().extend(sources);
            }
        }
    }
    let mut receivers: BTreeMap<(Fate, Hosts, Ports), Hosts> = BTreeMap::new();
    for ((fate, destinations, range), sources) in senders {
        receivers.entry((fate, sources, range)).or_default().extend(destinations);
    }
    let mut joined: BTreeMap<(Fate, Hosts, Hosts), Vec<Ports>> = BTreeMap::new();
    for ((fate, sources, range), destinations) in receivers {
        joined.entry((fate, sources, destinations)).or_default().push(range);
    }
    let mut sets = vec![];
    for ((fate, sources, destinations), ranges) in joined {
        for range in beside(ranges) {
            let ports = range.and_then(|(first, last)| PortRange::new(first, last));
            let set = FlowSet { sources: sources.clone(), destinations: destinations.clone(), ports, fate };
            // A host with itself is not a pair.
            if set.sample(protocol).is_some() {
                sets.push(set);
            }
        }
    }
    sets
}

/// The first source that has another host among the destinations, and that host.
fn two_hosts(set: &FlowSet) -> Option<(HostRef, HostRef)> {
    set.sources.iter().find_map(|source| Some((*source, *set.destinations.iter().find(|host| *host != source)?)))
}

/// First and last port; `None` if the protocol has no ports.
type Ports = Option<(u16, u16)>;

/// Merges adjacent ranges, which must be in order.
fn beside(ranges: Vec<Ports>) -> Vec<Ports> {
    let mut joined: Vec<Ports> = vec![];
    for range in ranges {
        match (joined.last_mut(), range) {
            (Some(Some((_, last))), Some((first, end))) if last.checked_add(1) == Some(first) => *last = end,
            _ => joined.push(range),
        }
    }
    joined
}

impl Between<'_> {
    /// The ranges of ports in which no decision changes, each with the fate of its flows.
    fn steps(&self, out: &Outward, into: &Inward, protocol: Protocol, ports: Option<PortRange>) -> Vec<(Ports, Fate)> {
        let fate = |port| [self.request(out, into, protocol, port), self.reply(out, into, protocol, port)];
        let Some(ports) = ports.filter(|_| protocol != Protocol::Icmp) else { return vec![(None, fate(None))] };
        let [acl_out, acl_in, ..] = self.acls;
        let at_play = [(self.egress, out.egress), (acl_out, out.acl), (acl_in, into.acl), (self.ingress, into.ingress)];
        let columns = at_play.into_iter().filter_map(|(filter, column)| filter.at(column));
        let mut ends: Vec<u16> = columns.flat_map(|column| column.ends(protocol)).collect();
        ends.retain(|end| ports.contains(*end));
        ends.push(ports.last());
        ends.sort_unstable();
        ends.dedup();
        let mut first = ports.first();
        let mut steps = vec![];
        for last in ends {
            steps.push((Some((first, last)), fate(Some(first))));
            first = last.saturating_add(1);
        }
        steps
    }
}

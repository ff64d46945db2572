//! Sets of flows: which pairs of hosts and which ports share one fate, exactly.
//!
//! Between the hosts of two profiles, what depends on the receiver's address and what depends on the sender's are
//! separate (`Outward`, `Inward`): hosts fall into classes by each, ports into the steps of the columns at play, and one
//! decision holds for a whole class of senders × class of receivers × range of ports. Nothing is sampled: the boxes are
//! disjoint and cover every pair of two different hosts and every port asked about. Equal boxes that lie beside each other are
//! joined. Order is by VPC, address and port.

use super::{Between, Estate, Flow, HostRef, Inward, Outward, Stage, filter::Say};
use pingtong_evidence::{PortRange, Protocol};
use std::collections::{BTreeMap, BTreeSet};

/// What every stage says to the request and to the reply.
pub(crate) type Fate = [[(Stage, Say); 9]; 2];

/// Flows of one fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowSet {
    pub(crate) sources: BTreeSet<HostRef>,
    pub(crate) destinations: BTreeSet<HostRef>,
    /// None where the protocol has none.
    pub(crate) ports: Option<PortRange>,
    pub(crate) fate: Fate,
}

impl FlowSet {
    /// Whether the first packet of its flows arrives, as far as can be told.
    pub(crate) fn request_passes(&self) -> bool {
        let [request, _] = &self.fate;
        request.iter().all(|(_, say)| matches!(say, Say::Pass(_)))
    }

    /// One of its flows.
    pub(crate) fn sample(&self, protocol: Protocol) -> Option<Flow> {
        let (source, destination) = two_hosts(self)?;
        let port = self.ports.map(PortRange::first);
        Some(Flow { source, destination, protocol, port })
    }
}

/// How much of a fate tells sets apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What stops or hides; whatever lets pass is one.
    Blockers,
    /// What lets the request pass as well; the reply does not matter.
    Request,
}

impl Detail {
    fn of(self, fate: Fate) -> Fate {
        let [request, reply] = fate;
        let blockers = |stages: [(Stage, Say); 9]| {
            stages.map(|(stage, say)| (stage, if matches!(say, Say::Pass(_)) { Say::Pass(0) } else { say }))
        };
        match self {
            Self::Blockers => [blockers(request), blockers(reply)],
            Self::Request => [request, reply.map(|(stage, _)| (stage, Say::Pass(0)))],
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
    // By fate, receivers and ports: the senders. Then by fate, senders and ports: the receivers. Then the ports.
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
            // A host alone with itself is no pair.
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

/// First and last port; none where the protocol has none.
type Ports = Option<(u16, u16)>;

/// Joins ranges that follow each other; they come in order.
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
    /// The ranges of ports in which nothing changes, each with what becomes of its flows.
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

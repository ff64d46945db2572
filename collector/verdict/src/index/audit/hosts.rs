//! Which hosts, networks and link of the estate a question is about, and sets of hosts as blocks of addresses.

use super::AuditBlock;
use crate::{
    index::{
        Estate, HostRef,
        compile::number,
        decider::Ends,
        place::Place,
        sets::FlowSet,
        span::{Span, bits},
    },
    stage::PacketKind,
};
use pingtong_evidence::{EndpointSet, Link, LinkId, LinkKind, LinkSide};

impl Estate {
    /// The link that a flow uses or would use. If nothing connects the two VPCs, it is the link that the tutorial would
    /// create.
    pub(in crate::index) fn link_of(&self, ends: &Ends<'_>) -> Option<Link> {
        if let Some(link) = ends.link(PacketKind::Request) {
            return Some(self.joints.get(link as usize)?.link.clone());
        }
        let side = |vpc: u32| {
            let network = self.networks.get(vpc as usize)?;
            let snapshot = self.places.get(network.place as usize)?.snapshot();
            let (account, region) = (snapshot.account.clone(), snapshot.region.clone());
            Some(LinkSide { account, region, vpc: network.id.clone() })
        };
        let (initiator, acceptor) = (side(ends.source.vpc)?, side(ends.destination.vpc)?);
        let id = LinkId::parse(&format!("{}~{}", initiator.vpc, acceptor.vpc)).ok()?;
        Some(Link { id, kind: LinkKind::RouterInterface, initiator, acceptor })
    }

    pub(in crate::index) fn network_of(&self, side: &LinkSide) -> Option<u32> {
        let found = self.networks.iter().position(|network| {
            network.id == side.vpc && self.places.get(network.place as usize).is_some_and(|place| place.is_of(side))
        });
        found.and_then(|at| u32::try_from(at).ok())
    }

    /// Whether the hosts of a side's VPC were read.
    pub(in crate::index) fn shows_hosts_of(&self, side: &LinkSide) -> bool {
        let places = self.places.iter().filter(|place| place.is_of(side));
        places.map(Place::snapshot).any(|s| s.instances.known().is_some() && s.enis.known().is_some())
    }

    pub(in crate::index) fn network_at(&self, host: HostRef) -> Option<u32> {
        Some(self.profile(self.host(host)?)?.vpc)
    }

    /// The hosts of a set, only in the networks `within` if they are given.
    pub(in crate::index) fn hosts_of(&self, set: &EndpointSet, within: Option<&[u32]>) -> Vec<HostRef> {
        let mut hosts = vec![];
        for (at, network) in (0u32..).zip(&self.networks) {
            let whole = match set {
                EndpointSet::Vpc(vpc) => network.id == *vpc,
                EndpointSet::Cidr(_) | EndpointSet::VSwitch(_) | EndpointSet::Instance { .. } => true,
            };
            if !whole || within.is_some_and(|within| !within.contains(&at)) {
                continue;
            }
            let all = (number(network.hosts.start)..number(network.hosts.end)).map(HostRef);
            hosts.extend(all.filter(|host| self.is_in(*host, set)));
        }
        // The address may have moved to another instance than the one named. The named instance counts if it has the
        // address, else the instance that has it now.
        if let EndpointSet::Instance { id, .. } = set
            && hosts.iter().any(|host| self.instance(*host) == Some(id))
        {
            hosts.retain(|host| self.instance(*host) == Some(id));
        }
        hosts
    }

    fn is_in(&self, at: HostRef, set: &EndpointSet) -> bool {
        let Some(host) = self.host(at) else { return false };
        match set {
            EndpointSet::Vpc(_) => true,
            EndpointSet::Cidr(block) => Span::of(block).is_some_and(|span| span.contains(host.address)),
            EndpointSet::Instance { address, .. } => bits(*address) == Some(host.address),
            EndpointSet::VSwitch(id) => {
                let found = self.profile(host).and_then(|profile| {
                    let vswitches = self.place_of(profile)?.snapshot().vswitches.known()?;
                    vswitches.get(profile.vswitch? as usize)
                });
                found.is_some_and(|vswitch| vswitch.id == *id)
            }
        }
    }

    /// The hosts of one end of a set of flows as blocks: runs of the hosts in `whole`, VPC by VPC.
    pub(super) fn blocks(&self, whole: &[HostRef], set: &FlowSet, source: bool) -> Vec<AuditBlock> {
        let part = if source { &set.sources } else { &set.destinations };
        let mut blocks: Vec<AuditBlock> = vec![];
        let mut open: Option<u32> = None;
        for host in whole {
            let (Some(network), Some(address)) = (self.network_at(*host), self.address(*host)) else { continue };
            if !part.contains(host) {
                open = None;
                continue;
            }
            if let Some(block) = blocks.last_mut().filter(|_| open == Some(network)) {
                block.last = address;
                block.hosts += 1;
            } else {
                let vpc = self.vpc(*host).cloned();
                blocks.push(AuditBlock { vpc, first: address, last: address, hosts: 1 });
            }
            open = Some(network);
        }
        blocks
    }
}

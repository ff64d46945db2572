//! Whole estates: any number of accounts, regions and VPCs, compiled once and then asked about millions of packets.
//!
//! Decides for any two hosts that the snapshots show whether a packet and its reply get through, and which stage stops
//! each first, or that this is unknown. Every decision is that of `walk`: the index calls the same functions once for
//! each cell of addresses and ports in which they cannot differ. Knows nothing about observations and guests. Facts:
//! the same snapshots that `walk` reads; inside one VPC, which `walk` does not cover, `SEMANTICS.md` §1.1 and
//! §4: vSwitches reach each other by system routes, ACLs filter between vSwitches, members of basic groups reach each
//! other unless isolated.

mod audit;
mod compile;
mod decider;
mod filter;
mod groups;
mod links;
mod path;
mod place;
mod sets;
mod span;
#[cfg(test)]
mod tests;
mod trace;

pub use audit::{
    Ask, Audit, AuditBlock, AuditCause, AuditFlows, Auditor, Decider, ExpectationAnswer, ExpectationState, Failing,
    ForbidAnswer, ForbidState, Leaking, Predicted, SetAnswer, UnknownPart, Unprobed, UnprobedHost,
};
use compile::Table;
use filter::{Column, DEFAULT, Filter, INNER, Say};
use groups::{Pool, PoolKey};
use links::Joint;
pub use path::{PathEnd, PathLeg, PathStage, PathState, PathTrace};
use pingtong_evidence::{Direction, EniId, InstanceId, Link, Protocol, Side, Snapshot, VpcId};
use place::Place;
pub(crate) use sets::{Detail, FlowSet, flows as flow_sets};
use span::Span;
use std::{collections::BTreeMap, net::IpAddr, ops::Range, sync::Arc};
use trace::Trace;

use crate::{stage::Stage, walk::EPHEMERAL_PORT};

/// A host of an estate: one address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRef(u32);

/// A flow between two hosts: its first packet and the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// The host that opens the flow.
    pub source: HostRef,
    /// The host that answers.
    pub destination: HostRef,
    /// Protocol of its packets.
    pub protocol: Protocol,
    /// Destination port of TCP and UDP; `None` for ICMP.
    pub port: Option<u16>,
}

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It arrives.
    Delivered,
    /// It is stopped.
    Stopped {
        /// The first stage that stops it.
        stage: Stage,
        /// Index of the rule, ACL entry or route in the list of the stage; `None` for a default.
        by: Option<u32>,
    },
    /// Nothing that was read stops it, and at least one stage was not read.
    Unknown {
        /// The first stage that was not read.
        stage: Stage,
    },
}

/// What becomes of a flow's first packet, and of the reply to it, provided that the first packet arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoundTrip {
    /// The first packet.
    pub request: Outcome,
    /// The reply.
    pub reply: Outcome,
}

/// The route table in effect for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TableRef {
    /// The host is in no vSwitch: nothing is looked up.
    Absent,
    Unread,
    At(u32),
}

/// Properties that hosts with the same treatment have in common; numbers are indexes into the lists of [`Estate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Profile {
    vpc: u32,
    vswitch: Option<u32>,
    table: TableRef,
    /// Network ACL, egress and ingress.
    acl: [u32; 2],
    /// Security groups, egress and ingress, towards other VPCs.
    outer: [u32; 2],
    /// Security groups, egress and ingress, inside the VPC.
    inner: [u32; 2],
    status: Say,
}

#[derive(Debug)]
struct Host {
    address: u32,
    profile: u32,
    instance: Option<InstanceId>,
    eni: Option<EniId>,
    /// Whether this is the first address of a primary interface, or of an instance whose interfaces are not shown.
    primary: bool,
}

/// A VPC.
#[derive(Debug)]
struct Network {
    id: VpcId,
    place: u32,
    /// Blocks of its vSwitches, each with the index of the vSwitch in the snapshot.
    local: Vec<(Span, usize)>,
    hosts: Range<usize>,
    /// Connected VPCs, each with its links, as indexes.
    peers: Vec<(u32, Vec<u32>)>,
    /// Number of changes to anything that decides in this VPC.
    version: u64,
}

/// A compiled estate: hosts, filters, route tables and links of any number of accounts, regions and VPCs.
#[derive(Debug, Default)]
pub struct Estate {
    places: Vec<Place>,
    given: Vec<Link>,
    links_left_out: usize,
    networks: Vec<Network>,
    hosts: Vec<Host>,
    profiles: Vec<Profile>,
    pools: Vec<Pool>,
    pool_keys: BTreeMap<u32, PoolKey>,
    acls: Vec<Filter>,
    acl_keys: BTreeMap<u32, compile::AclKey>,
    tables: Vec<Table>,
    joints: Vec<Joint>,
    /// Number of times the whole estate was rebuilt.
    version: u64,
}

/// The result of a route look-up: its decision, and the link that the route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    route: Say,
    link: Option<u32>,
}

/// The part of a decision that depends on the receiver's address: columns of filters, ports not yet applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Outward {
    egress: u32,
    acl: u32,
    way: Way,
    transit: Say,
    reply_acl: u32,
}

/// The part of a decision that depends on the sender's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Inward {
    acl: u32,
    ingress: u32,
    way: Way,
    transit: Say,
    reply_acl: u32,
}

/// The filters between hosts of two profiles, for flows that the source opens.
struct Between<'e> {
    estate: &'e Estate,
    source: &'e Profile,
    destination: &'e Profile,
    same_vpc: bool,
    egress: &'e Filter,
    ingress: &'e Filter,
    /// Egress of the request, ingress of the request, egress of the reply, ingress of the reply.
    acls: [&'e Filter; 4],
}

impl<'e> Between<'e> {
    fn new(estate: &'e Estate, source: &'e Profile, destination: &'e Profile) -> Option<Self> {
        let same_vpc = source.vpc == destination.vpc;
        let [(egress, _), (_, ingress)] = [source, destination].map(|profile| {
            let [egress, ingress] = if same_vpc { profile.inner } else { profile.outer };
            (egress, ingress)
        });
        let pool = |at: u32| estate.pools.get(at as usize).map(|pool| &pool.filter);
        // Inside one vSwitch an ACL filters nothing.
        let filtered = !same_vpc || source.vswitch.is_none() || source.vswitch != destination.vswitch;
        let acl = |at: u32| estate.acls.get(if filtered { at as usize } else { 0 });
        let ([out, back_in], [back_out, into]) = (source.acl, destination.acl);
        Some(Self {
            estate,
            source,
            destination,
            same_vpc,
            egress: pool(egress)?,
            ingress: pool(ingress)?,
            acls: [acl(out)?, acl(into)?, acl(back_out)?, acl(back_in)?],
        })
    }

    fn outward(&self, to: u32) -> Outward {
        let (way, transit) = self.way(self.source, self.destination.vpc, to);
        let [out, .., back_in] = self.acls;
        Outward { egress: self.egress.column(to), acl: out.column(to), way, transit, reply_acl: back_in.column(to) }
    }

    fn inward(&self, from: u32) -> Inward {
        let (way, transit) = self.way(self.destination, self.source.vpc, from);
        let [_, into, back_out, _] = self.acls;
        Inward {
            acl: into.column(from),
            ingress: self.ingress.column(from),
            way,
            transit,
            reply_acl: back_out.column(from),
        }
    }

    fn way(&self, from: &Profile, vpc: u32, to: u32) -> (Way, Say) {
        if self.same_vpc {
            return (Way { route: Say::Pass(DEFAULT), link: None }, Say::Pass(0));
        }
        let way = self.estate.way(from, vpc, to);
        let transit = way
            .link
            .and_then(|link| self.estate.joints.get(link as usize))
            .map_or(Say::Pass(0), |joint| joint.transit(self.estate.direction_from(joint, from.vpc), to));
        (way, transit)
    }

    fn request(&self, out: &Outward, inward: &Inward, protocol: Protocol, port: Option<u16>) -> Trace {
        let say =
            |filter: &Filter, column: u32| filter.at(column).map_or(Say::Unknown, |c: &Column| c.say(protocol, port));
        let [acl_out, acl_in, ..] = self.acls;
        Trace::new(|stage| match stage {
            Stage::Source => self.source.status,
            Stage::EgressGroup => say(self.egress, out.egress),
            Stage::EgressAcl => say(acl_out, out.acl),
            Stage::Route => out.way.route,
            Stage::Connection => self.connection(out.way),
            Stage::Transit => out.transit,
            Stage::IngressAcl => say(acl_in, inward.acl),
            Stage::IngressGroup => say(self.ingress, inward.ingress),
            Stage::Destination => self.destination.status,
        })
    }

    /// Security groups pass the reply.
    fn reply(&self, out: &Outward, inward: &Inward, protocol: Protocol, port: Option<u16>) -> Trace {
        let port = port.map(|_| EPHEMERAL_PORT);
        let say =
            |filter: &Filter, column: u32| filter.at(column).map_or(Say::Unknown, |c: &Column| c.say(protocol, port));
        let [.., acl_out, acl_in] = self.acls;
        Trace::new(|stage| match stage {
            Stage::Source => self.destination.status,
            Stage::EgressGroup | Stage::IngressGroup => Say::Pass(DEFAULT),
            Stage::EgressAcl => say(acl_out, inward.reply_acl),
            Stage::Route => inward.way.route,
            Stage::Connection => self.connection(inward.way),
            Stage::Transit => inward.transit,
            Stage::IngressAcl => say(acl_in, out.reply_acl),
            Stage::Destination => self.source.status,
        })
    }

    fn connection(&self, way: Way) -> Say {
        if self.same_vpc {
            return Say::Pass(0);
        }
        match way.link.and_then(|link| self.estate.joints.get(link as usize)) {
            Some(joint) => joint.say,
            // If the route does not identify the link, the best link counts; without any link there is no connection.
            None => self.estate.best_link(self.source.vpc, self.destination.vpc).map_or(Say::Stop(0), |(_, say)| say),
        }
    }

    fn round_trip(&self, out: &Outward, inward: &Inward, protocol: Protocol, port: Option<u16>) -> RoundTrip {
        RoundTrip {
            request: self.request(out, inward, protocol, port).outcome(),
            reply: self.reply(out, inward, protocol, port).outcome(),
        }
    }
}

impl Estate {
    /// Compiles an estate from the newest snapshot that covers each VPC, the given links, and the links that the snapshots
    /// show.
    pub fn new(snapshots: impl IntoIterator<Item = impl Into<Arc<Snapshot>>>, links: &[Link]) -> Self {
        compile::make(snapshots.into_iter().map(Into::into), links)
    }

    /// Takes a newer snapshot of one account and region; it replaces the one that covers the same VPCs. If only rules of security groups changed, only what depends on
    /// them is recompiled.
    pub fn refresh(&mut self, snapshot: Snapshot) {
        let version = self.version;
        match self.renew(snapshot) {
            None => self.version = version + 1,
            Some(vpcs) => {
                for vpc in vpcs {
                    if let Some(network) = self.networks.get_mut(vpc as usize) {
                        network.version += 1;
                    }
                }
            }
        }
    }

    /// Every host, ordered by VPC and address.
    pub fn hosts(&self) -> impl Iterator<Item = HostRef> + '_ {
        (0..compile::number(self.hosts.len())).map(HostRef)
    }

    /// The hosts with an address: several if VPCs overlap.
    pub fn hosts_at(&self, address: IpAddr) -> Vec<HostRef> {
        let Some(bits) = span::bits(address) else { return vec![] };
        self.hosts().filter(|host| self.host(*host).is_some_and(|h| h.address == bits)).collect()
    }

    /// The hosts that are an instance's addresses, the primary one first.
    pub fn hosts_of_instance(&self, instance: &str) -> Vec<HostRef> {
        let own = |host: &HostRef| self.instance(*host).is_some_and(|id| id.as_str() == instance);
        let mut hosts: Vec<HostRef> = self.hosts().filter(own).collect();
        hosts.sort_by_key(|host| self.host(*host).is_none_or(|found| !found.primary));
        hosts
    }

    /// A host's address.
    pub fn address(&self, host: HostRef) -> Option<IpAddr> {
        Some(span::address(self.host(host)?.address))
    }

    /// The instance that a host's address belongs to.
    pub fn instance(&self, host: HostRef) -> Option<&InstanceId> {
        self.host(host)?.instance.as_ref()
    }

    /// The interface that has a host's address.
    pub fn interface(&self, host: HostRef) -> Option<&EniId> {
        self.host(host)?.eni.as_ref()
    }

    /// A host's VPC.
    pub fn vpc(&self, host: HostRef) -> Option<&VpcId> {
        let profile = self.profile(self.host(host)?)?;
        Some(&self.networks.get(profile.vpc as usize)?.id)
    }

    /// The links that join the estate's VPCs.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.joints.iter().map(|joint| &joint.link)
    }

    /// Number of links over transit routers that were left out because there were too many.
    pub fn links_left_out(&self) -> usize {
        self.links_left_out
    }

    fn host(&self, host: HostRef) -> Option<&Host> {
        self.hosts.get(host.0 as usize)
    }

    fn profile(&self, host: &Host) -> Option<&Profile> {
        self.profiles.get(host.profile as usize)
    }

    /// Walks a flow's first packet and the reply. Allocates nothing.
    pub fn walk(&self, flow: &Flow) -> Option<RoundTrip> {
        let (source, destination) = (self.host(flow.source)?, self.host(flow.destination)?);
        let between = Between::new(self, self.profile(source)?, self.profile(destination)?)?;
        let (out, inward) = (between.outward(destination.address), between.inward(source.address));
        Some(between.round_trip(&out, &inward, flow.protocol, flow.port))
    }

    fn place_of(&self, profile: &Profile) -> Option<&Place> {
        let network = self.networks.get(profile.vpc as usize)?;
        self.places.get(network.place as usize)
    }

    fn direction_from(&self, joint: &Joint, vpc: u32) -> Direction {
        let network = self.networks.get(vpc as usize);
        let initiates = network.is_some_and(|network| network.id == joint.link.initiator.vpc);
        if initiates { Side::Initiator.sends() } else { Side::Acceptor.sends() }
    }

    fn links_between(&self, vpc: u32, peer: u32) -> &[u32] {
        let peers = self.networks.get(vpc as usize).map_or(&[][..], |network| &network.peers);
        let found = peers.binary_search_by_key(&peer, |(at, _)| *at).ok().and_then(|at| peers.get(at));
        found.map_or(&[], |(_, links)| links)
    }

    fn best_link(&self, vpc: u32, peer: u32) -> Option<(u32, Say)> {
        let says = self.links_between(vpc, peer).iter();
        let rank = |say: Say| match say {
            Say::Pass(_) => 0,
            Say::Unknown => 1,
            Say::Stop(_) => 2,
        };
        let found = says.filter_map(|link| Some((*link, self.joints.get(*link as usize)?.say)));
        found.min_by_key(|(_, say)| rank(*say))
    }

    /// The look-up in the sender's table, and the link to the receiver's VPC that it leads to.
    fn way(&self, from: &Profile, vpc: u32, to: u32) -> Way {
        let lost = |route| Way { route, link: None };
        let Some(network) = self.networks.get(from.vpc as usize) else { return lost(Say::Unknown) };
        if network.local.iter().any(|(span, _)| span.contains(to)) {
            return lost(Say::Stop(OVERLAP));
        }
        let table = match from.table {
            TableRef::Absent => return lost(Say::Pass(DEFAULT)),
            TableRef::Unread => return lost(Say::Unknown),
            TableRef::At(at) => self.tables.get(at as usize),
        };
        let Some(table) = table else { return lost(Say::Unknown) };
        let Some(entry) = table.cells.at(to).checked_sub(1) else { return lost(Say::Stop(DEFAULT)) };
        let links = self.links_between(from.vpc, vpc);
        let leads = table.leads.get(entry as usize).into_iter().flatten();
        if let Some((link, say)) = leads.copied().find(|(link, _)| links.contains(link)) {
            return Way { route: say, link: Some(link) };
        }
        let unseen = links
            .iter()
            .filter_map(|link| self.joints.get(*link as usize))
            .any(|joint| joint.hops.unseen(self.direction_from(joint, from.vpc).source()));
        let system = table.system.get(entry as usize) == Some(&true);
        lost(if unseen && !system { Say::Unknown } else { Say::Stop(entry) })
    }
}

/// Number of the decision of a route look-up that never leaves the VPC: the address is in one of its own vSwitches.
const OVERLAP: u32 = u32::MAX - 1;

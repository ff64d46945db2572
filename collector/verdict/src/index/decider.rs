//! Which cloud object decides at a stage.
//!
//! Translates the numbers of the compiled index into objects: the rule, entry, table or link end, with its account and
//! region. Makes no decision.

use super::{Between, DEFAULT, Estate, Flow, HostRef, INNER, OVERLAP, Profile, TableRef, Trace, Way, filter::Say};
use crate::{
    stage::{PacketKind, Stage},
    verdict::{Object, ObjectKind},
};
use pingtong_evidence::{Direction, NextHopKind, RouteEntry, SecurityRule};

/// The two ends of a flow, with their profiles and route look-ups.
pub(crate) struct Ends<'e> {
    pub(crate) estate: &'e Estate,
    pub(crate) source: &'e Profile,
    pub(crate) destination: &'e Profile,
    /// The hosts themselves, source first.
    pub(crate) hosts: [HostRef; 2],
    /// Route look-ups of the request and of the reply.
    pub(crate) ways: [Way; 2],
    pub(crate) same_vpc: bool,
}

impl<'e> Ends<'e> {
    pub(crate) fn of(estate: &'e Estate, flow: &Flow) -> Option<Self> {
        let (s, d) = (estate.host(flow.source)?, estate.host(flow.destination)?);
        let (source, destination) = (estate.profile(s)?, estate.profile(d)?);
        let between = Between::new(estate, source, destination)?;
        let ways = [between.outward(d.address).way, between.inward(s.address).way];
        let hosts = [flow.source, flow.destination];
        Some(Self { estate, source, destination, hosts, ways, same_vpc: between.same_vpc })
    }

    fn object(&self, profile: &Profile, kind: ObjectKind, id: String) -> Option<Object> {
        let place = self.estate.place_of(profile)?;
        Some(Object { kind, id, account: place.snapshot().account.clone(), region: place.snapshot().region.clone() })
    }

    /// The link that a packet uses or would use.
    pub(crate) fn link(&self, packet: PacketKind) -> Option<u32> {
        let [request, reply] = self.ways;
        let (own, other) = if packet == PacketKind::Request { (request, reply) } else { (reply, request) };
        let best = || self.estate.best_link(self.source.vpc, self.destination.vpc).map(|(link, _)| link);
        own.link.or(other.link).or_else(best)
    }

    /// The object that decides at a stage of one packet.
    pub(crate) fn decider(&self, packet: PacketKind, stage: Stage, say: Say) -> Option<Object> {
        let [from_host, to_host] = self.hosts;
        let (sender, receiver, from, to) = match packet {
            PacketKind::Request => (self.source, self.destination, from_host, to_host),
            PacketKind::Reply => (self.destination, self.source, to_host, from_host),
        };
        let by = match say {
            Say::Pass(by) | Say::Stop(by) => by,
            Say::Unknown => DEFAULT,
        };
        match stage {
            Stage::Source => self.host(sender, from),
            Stage::Destination => self.host(receiver, to),
            Stage::EgressGroup => self.rule(sender, false, by),
            Stage::IngressGroup => self.rule(receiver, true, by),
            Stage::EgressAcl => self.entry(sender, false, by),
            Stage::IngressAcl => self.entry(receiver, true, by),
            Stage::Route => self.route(sender, by),
            Stage::Connection => self.joint(sender, packet),
            Stage::Transit => self.joint(sender, packet).filter(|object| object.kind == ObjectKind::TransitAttachment),
        }
    }

    fn host(&self, profile: &Profile, host: HostRef) -> Option<Object> {
        let (kind, id) = match (self.estate.instance(host), self.estate.interface(host)) {
            (Some(instance), _) => (ObjectKind::Instance, instance.to_string()),
            (None, Some(eni)) => (ObjectKind::NetworkInterface, eni.to_string()),
            (None, None) => (ObjectKind::Address, self.estate.address(host)?.to_string()),
        };
        self.object(profile, kind, id)
    }

    fn rule(&self, profile: &Profile, ingress: bool, by: u32) -> Option<Object> {
        let [egress_pool, ingress_pool] = if self.same_vpc { profile.inner } else { profile.outer };
        let at = if ingress { ingress_pool } else { egress_pool };
        let groups = self.estate.place_of(profile)?.snapshot().security_groups.known()?;
        let named = || self.estate.pools.get(at as usize)?.names.get(by as usize).copied();
        if by != DEFAULT
            && by != INNER
            && let Some((group, rule)) = named()
        {
            let group = groups.get(group as usize)?;
            let rule = group.rules.known()?.get(rule as usize)?;
            return match &rule.id {
                Some(id) => self.object(profile, ObjectKind::SecurityGroupRule, id.to_string()),
                None => self.object(profile, ObjectKind::SecurityGroup, group.id.to_string()),
            };
        }
        let first = self.estate.pool_keys.get(&at)?.groups.first()?;
        self.object(profile, ObjectKind::SecurityGroup, first.to_string())
    }

    /// The rule that decides at a security group stage; `None` for a default.
    pub(crate) fn rule_at(&self, packet: PacketKind, stage: Stage, by: u32) -> Option<&'e SecurityRule> {
        let ingress = stage == Stage::IngressGroup;
        let profile = if (packet == PacketKind::Request) == ingress { self.destination } else { self.source };
        let [egress_pool, ingress_pool] = if self.same_vpc { profile.inner } else { profile.outer };
        let pool = self.estate.pools.get(if ingress { ingress_pool } else { egress_pool } as usize)?;
        let (group, rule) = pool.names.get(by as usize)?;
        let groups = self.estate.place_of(profile)?.snapshot().security_groups.known()?;
        groups.get(*group as usize)?.rules.known()?.get(*rule as usize)
    }

    /// The route that decides in a look-up; `None` if no route does.
    pub(crate) fn route_at(&self, packet: PacketKind, by: u32) -> Option<&'e RouteEntry> {
        let profile = if packet == PacketKind::Request { self.source } else { self.destination };
        let TableRef::At(at) = profile.table else { return None };
        let table = self.estate.tables.get(at as usize)?;
        let table = self.estate.places.get(table.place as usize)?.table(table.at)?;
        table.entries.known()?.get(by as usize)
    }

    /// The traces of both packets of the flow.
    pub(crate) fn traces(&self, flow: &Flow) -> Option<[Trace; 2]> {
        let between = Between::new(self.estate, self.source, self.destination)?;
        let (s, d) = (self.estate.host(flow.source)?, self.estate.host(flow.destination)?);
        let (out, inward) = (between.outward(d.address), between.inward(s.address));
        Some([
            between.request(&out, &inward, flow.protocol, flow.port),
            between.reply(&out, &inward, flow.protocol, flow.port),
        ])
    }

    fn entry(&self, profile: &Profile, ingress: bool, by: u32) -> Option<Object> {
        let [egress_acl, ingress_acl] = profile.acl;
        let (place, id, _) = self.estate.acl_keys.get(if ingress { &ingress_acl } else { &egress_acl })?;
        let acls = self.estate.places.get(*place as usize)?.snapshot().network_acls.known()?;
        let acl = acls.iter().find(|acl| acl.id == *id)?;
        let entry = acl.entries(ingress).known().and_then(|entries| entries.get(by as usize)).filter(|_| by != DEFAULT);
        match entry.and_then(|entry| entry.id.as_ref()) {
            Some(id) => self.object(profile, ObjectKind::NetworkAclEntry, id.to_string()),
            None => self.object(profile, ObjectKind::NetworkAcl, acl.id.to_string()),
        }
    }

    fn route(&self, profile: &Profile, by: u32) -> Option<Object> {
        if by == OVERLAP || self.same_vpc {
            let network = self.estate.networks.get(profile.vpc as usize)?;
            return self.object(profile, ObjectKind::Vpc, network.id.to_string());
        }
        let TableRef::At(at) = profile.table else { return None };
        let table = self.estate.tables.get(at as usize)?;
        let table = self.estate.places.get(table.place as usize)?.table(table.at)?;
        let entry = table.entries.known().and_then(|entries| entries.get(by as usize)).filter(|_| by != DEFAULT);
        match entry.and_then(|entry| entry.id.as_ref()) {
            Some(id) => self.object(profile, ObjectKind::RouteEntry, id.to_string()),
            None => self.object(profile, ObjectKind::RouteTable, table.id.to_string()),
        }
    }

    /// The sender's end of the link.
    fn joint(&self, sender: &Profile, packet: PacketKind) -> Option<Object> {
        let joint = self.estate.joints.get(self.link(packet)? as usize)?;
        let side = self.estate.direction_from(joint, sender.vpc).source();
        let (kind, id) = match joint.hops.get(side) {
            Some((NextHopKind::RouterInterface, id)) => (ObjectKind::RouterInterface, id.clone()),
            Some((NextHopKind::VpcPeering, id)) => (ObjectKind::VpcPeering, id.clone()),
            Some((_, id)) => (ObjectKind::TransitAttachment, id.clone()),
            None => (ObjectKind::Vpc, joint.link.side(side).vpc.to_string()),
        };
        self.object(sender, kind, id)
    }

    /// Direction of the flow on its link; `None` inside one VPC.
    pub(crate) fn direction(&self) -> Option<Direction> {
        let joint = self.estate.joints.get(self.link(PacketKind::Request)? as usize)?;
        Some(self.estate.direction_from(joint, self.source.vpc))
    }
}

//! A walk between two connected VPCs, written directly from the semantics, without an index and without the engine.

use super::Kind;
use pingtong_evidence::*;
use std::net::IpAddr;

const EPHEMERAL: u16 = 49_152;

#[derive(Clone, Copy)]
struct Packet {
    from: IpAddr,
    to: IpAddr,
    protocol: Protocol,
    from_port: Option<u16>,
    to_port: Option<u16>,
}

struct End<'a> {
    snapshot: &'a Snapshot,
    vpc: &'a VpcId,
    address: IpAddr,
}

fn list<T>(known: &Known<Vec<T>>) -> Option<&Vec<T>> {
    known.known()
}

fn all(kinds: impl IntoIterator<Item = Kind>) -> Kind {
    let kinds: Vec<Kind> = kinds.into_iter().collect();
    [Kind::Stopped, Kind::Unknown].into_iter().find(|kind| kinds.contains(kind)).unwrap_or(Kind::Delivered)
}

fn speaks(rule: RuleProtocol, protocol: Protocol) -> bool {
    match protocol {
        Protocol::Icmp => matches!(rule, RuleProtocol::All | RuleProtocol::Icmp | RuleProtocol::Number(1)),
        Protocol::Tcp => matches!(rule, RuleProtocol::All | RuleProtocol::Tcp | RuleProtocol::Number(6)),
        Protocol::Udp => matches!(rule, RuleProtocol::All | RuleProtocol::Udp | RuleProtocol::Number(17)),
    }
}

fn within(range: PortRange, port: Option<u16>) -> bool {
    port.is_none_or(|port| range.first() <= port && port <= range.last())
}

impl<'a> End<'a> {
    fn eni(&self) -> Option<&'a Eni> {
        list(&self.snapshot.enis)?
            .iter()
            .find(|e| e.addresses.contains(&self.address) && e.vpc.as_ref() == Some(self.vpc))
    }

    fn instance(&self) -> Option<&'a Instance> {
        list(&self.snapshot.instances)?
            .iter()
            .find(|i| i.addresses.contains(&self.address) && i.vpc.as_ref() == Some(self.vpc))
    }

    fn vswitch(&self) -> Option<&'a VSwitch> {
        list(&self.snapshot.vswitches)?.iter().find(|v| v.vpc == *self.vpc && v.cidr.contains(self.address))
    }

    fn status(&self) -> Kind {
        if self.instance().is_some_and(|i| i.status == InstanceStatus::Stopped) {
            return Kind::Stopped;
        }
        let unread = list(&self.snapshot.enis).is_none() || list(&self.snapshot.instances).is_none();
        if unread { Kind::Unknown } else { Kind::Delivered }
    }

    fn groups(&self, ingress: bool, packet: Packet) -> Kind {
        let ids = match (self.eni(), self.instance()) {
            (Some(eni), _) => &eni.security_groups,
            (None, Some(instance)) => &instance.security_groups,
            (None, None) => return Kind::Delivered,
        };
        let Some(groups) = list(&self.snapshot.security_groups) else { return Kind::Unknown };
        let groups: Vec<&SecurityGroup> = ids.iter().map(|id| groups.iter().find(|g| g.id == *id).unwrap()).collect();
        if groups.iter().any(|group| group.rules.known().is_none()) {
            return Kind::Unknown;
        }
        let (near, far) = if ingress { (packet.to, packet.from) } else { (packet.from, packet.to) };
        let rules: Vec<&SecurityRule> = groups.iter().flat_map(|g| g.rules.known().unwrap()).collect();
        // Evaluates both possible values of what was not read; the results must agree.
        let answers = [false, true].map(|maybe| {
            let matching = rules.iter().filter(|rule| {
                rule.ingress == ingress
                    && speaks(rule.protocol, packet.protocol)
                    && within(rule.ports, packet.to_port)
                    && rule.source_ports.is_none_or(|ports| within(ports, packet.from_port))
                    && rule.own.is_none_or(|own| own.contains(near))
            });
            let best = |accepting: bool| {
                let of_kind = matching.clone().filter(|rule| (rule.policy == Policy::Accept) == accepting);
                let certain = of_kind.filter(|rule| match &rule.peer {
                    RulePeer::Any => true,
                    RulePeer::Cidr(block) => block.contains(far),
                    RulePeer::Group { .. } => false,
                    RulePeer::PrefixList(id) => {
                        let lists = list(&self.snapshot.prefix_lists);
                        let entries =
                            lists.and_then(|lists| lists.iter().find(|l| l.id == *id)).and_then(|l| l.entries.known());
                        // Of the rules that were not read, all accepting ones match and no dropping ones do, or the
                        // reverse.
                        entries.map_or(maybe == accepting, |entries| entries.iter().any(|block| block.contains(far)))
                    }
                });
                certain.map(|rule| rule.priority).min()
            };
            match (best(true), best(false)) {
                (Some(accept), Some(drop)) => accept < drop,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => !ingress && groups[0].kind == SecurityGroupKind::Normal,
            }
        });
        match answers {
            [true, true] => Kind::Delivered,
            [false, false] => Kind::Stopped,
            _ => Kind::Unknown,
        }
    }

    fn acl(&self, ingress: bool, packet: Packet) -> Kind {
        let Some(vswitch) = self.vswitch() else { return Kind::Delivered };
        let Some(id) = &vswitch.network_acl else { return Kind::Delivered };
        let Some(acls) = list(&self.snapshot.network_acls) else { return Kind::Unknown };
        let acl = acls.iter().find(|acl| acl.id == *id).unwrap();
        let Some(entries) = (if ingress { &acl.ingress } else { &acl.egress }).known() else { return Kind::Unknown };
        let far = if ingress { packet.from } else { packet.to };
        for entry in entries {
            if speaks(entry.protocol, packet.protocol)
                && within(entry.ports, packet.to_port)
                && entry.peer.contains(far)
            {
                return if entry.policy == Policy::Accept { Kind::Delivered } else { Kind::Stopped };
            }
        }
        if entries.is_empty() { Kind::Delivered } else { Kind::Stopped }
    }

    /// The route that a packet from this host takes; `Err` with the result if there is none.
    fn next_hop(&self, to: IpAddr) -> Result<&'a RouteEntry, Kind> {
        let vswitches = list(&self.snapshot.vswitches).unwrap();
        if vswitches.iter().any(|v| v.vpc == *self.vpc && v.cidr.contains(to)) {
            return Err(Kind::Stopped);
        }
        let Some(vswitch) = self.vswitch() else { return Err(Kind::Delivered) };
        let Some(tables) = list(&self.snapshot.route_tables) else { return Err(Kind::Unknown) };
        let table = tables.iter().find(|table| match &vswitch.route_table {
            Some(id) => table.id == *id,
            None => table.vpc == *self.vpc && table.kind == RouteTableKind::System,
        });
        let entries = table.unwrap().entries.known().unwrap();
        let mut covering: Vec<&RouteEntry> =
            entries.iter().filter(|e| e.destination.contains(to) && e.status == RouteStatus::Available).collect();
        covering.sort_by_key(|e| e.destination.prefix_length());
        covering.last().copied().ok_or(Kind::Stopped)
    }
}

fn is_up(ri: &RouterInterface) -> bool {
    ri.status == RouterInterfaceStatus::Active && ri.business_status == BusinessStatus::Normal
}

/// Whether the link works, and the next hop that leads to it at each end, `None` if it is not known.
fn link_state(link: &Link, ends: &[End<'_>; 2]) -> (Kind, [Option<String>; 2]) {
    match link.kind {
        LinkKind::RouterInterface => {
            let own = |at: usize| {
                let other = ends[1 - at].vpc;
                list(&ends[at].snapshot.router_interfaces).map(|all| {
                    let found = all
                        .iter()
                        .find(|ri| ri.vpc.as_ref() == Some(ends[at].vpc) && ri.opposite_vpc.as_ref() == Some(other));
                    found.unwrap()
                })
            };
            let seen = [own(0), own(1)];
            let vouched = |ri: &RouterInterface| {
                let up =
                    [Some(ri.status), ri.opposite_status].iter().all(|s| *s == Some(RouterInterfaceStatus::Active));
                ri.opposite_interface.as_ref().filter(|_| up).map(ToString::to_string)
            };
            let hop = |at: usize| seen[at].map(|ri| ri.id.to_string()).or_else(|| seen[1 - at].and_then(vouched));
            let hops = [hop(0), hop(1)];
            let bad = |ri: &&RouterInterface| !is_up(ri) || ri.opposite_status != Some(RouterInterfaceStatus::Active);
            let state = match (seen[0], seen[1]) {
                (Some(a), Some(b)) if is_up(a) && is_up(b) => Kind::Delivered,
                (Some(_), Some(_)) => Kind::Stopped,
                (Some(one), None) | (None, Some(one)) if bad(&one) => Kind::Stopped,
                // The one end reports that both are in use, and does not report a lock at the other.
                (Some(_), None) | (None, Some(_)) => Kind::Delivered,
                (None, None) => Kind::Unknown,
            };
            (state, hops)
        }
        LinkKind::VpcPeering => {
            let all = ends.iter().filter_map(|end| list(&end.snapshot.vpc_peerings)).flatten();
            let pair = [ends[0].vpc, ends[1].vpc];
            let found =
                all.into_iter().find(|p| [&p.vpc, &p.accepting_vpc] == pair || [&p.accepting_vpc, &p.vpc] == pair);
            let Some(found) = found else { return (Kind::Unknown, [None, None]) };
            let up = found.status == VpcPeeringStatus::Activated;
            (if up { Kind::Delivered } else { Kind::Stopped }, [Some(found.id.to_string()), Some(found.id.to_string())])
        }
        LinkKind::TransitRouter => panic!("the generator makes none"),
    }
}

fn routed(end: &End<'_>, kind: NextHopKind, hop: Option<&String>, packet: Packet) -> Kind {
    let entry = match end.next_hop(packet.to) {
        Ok(entry) => entry,
        Err(kind) => return kind,
    };
    let Some(hop) = hop else {
        return if entry.kind == RouteKind::System { Kind::Stopped } else { Kind::Unknown };
    };
    let leads = entry.next_hops.iter().any(|next| next.kind == kind && next.id == *hop);
    let interfaces = list(&end.snapshot.router_interfaces);
    let in_use = |id: &str| {
        let found = interfaces?.iter().find(|ri| ri.id.as_str() == id);
        Some(found.is_some_and(|ri| is_up(ri) && ri.opposite_status == Some(RouterInterfaceStatus::Active)))
    };
    let legs: Vec<Option<bool>> = entry.next_hops.iter().map(|next| in_use(&next.id)).collect();
    match legs.as_slice() {
        _ if !leads => Kind::Stopped,
        [leg] => {
            let carries = kind == NextHopKind::VpcPeering || *leg != Some(false);
            if entry.next_hops[0].enabled == Some(false) && carries { Kind::Stopped } else { Kind::Delivered }
        }
        legs if legs.contains(&Some(false)) => Kind::Stopped,
        legs if legs.contains(&None) => Kind::Unknown,
        _ => Kind::Delivered,
    }
}

pub(super) fn walk(snapshots: &[Snapshot], link: &Link, pair: &Pair, opened_by: Side) -> [Kind; 2] {
    let ends = Side::BOTH.map(|side| {
        let at = link.side(side);
        let snapshot = snapshots.iter().find(|s| s.account == at.account && s.region == at.region).unwrap();
        End { snapshot, vpc: &at.vpc, address: pair.endpoint(side).address }
    });
    let (state, hops) = link_state(link, &ends);
    let hop_kind =
        if link.kind == LinkKind::RouterInterface { NextHopKind::RouterInterface } else { NextHopKind::VpcPeering };
    let (s, d) = if opened_by == Side::Initiator { (0, 1) } else { (1, 0) };
    let near = pair.port.map(|_| EPHEMERAL);
    let request = Packet {
        from: ends[s].address,
        to: ends[d].address,
        protocol: pair.protocol,
        from_port: near,
        to_port: pair.port,
    };
    let reply = Packet { from: request.to, to: request.from, from_port: pair.port, to_port: near, ..request };
    let common = [ends[0].status(), ends[1].status(), state];
    let way = |from: usize, to: usize, packet| {
        [
            ends[from].acl(false, packet),
            routed(&ends[from], hop_kind, hops[from].as_ref(), packet),
            ends[to].acl(true, packet),
        ]
    };
    let filters = [ends[s].groups(false, request), ends[d].groups(true, request)];
    [all(common.into_iter().chain(way(s, d, request)).chain(filters)), all(common.into_iter().chain(way(d, s, reply)))]
}

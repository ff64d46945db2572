//! Estates of many VPCs, drawn from a seed: snapshots of several accounts and regions, with connections between pairs
//! of VPCs.
//!
//! In a sound estate, every two connected VPCs reach each other. [`Shape::quirks`] is the chance in percent that any
//! one thing differs from that: wrong, missing, in another state, or not read. This module does not decide what happens
//! to packets; the reference for that is another walk over the same snapshots.

mod parts;

use crate::random::Random;
use parts::{Network, VPC_BITS, accept, block, known};
use pingtong_evidence::{
    AclEntry, AssociateType, BusinessStatus, Cidr, Eni, EniStatus, Instance, InstanceId, InstanceStatus, Known,
    NetworkAcl, NextHop, NextHopKind, Policy, PortRange, PrefixList, PrefixListId, Provenance, RouteEntry, RouteKind,
    RouteStatus, RouteTable, RouteTableId, RouteTableKind, RouterInterface, RouterInterfaceRole, RouterInterfaceStatus,
    RouterKind, RulePeer, RuleProtocol, SecurityGroup, SecurityGroupId, SecurityGroupKind, SecurityRule, Snapshot,
    Timestamp, VSwitch, Vpc, VpcId, VpcPeering, VpcPeeringStatus, WhyUnknown,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// Size of an estate, and how often it deviates from a sound one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of accounts, each with two regions.
    pub accounts: u32,
    /// Number of VPCs in all accounts and regions.
    pub vpcs: u32,
    /// Number of connections between two VPCs; router interfaces and VPC peering connections alternate.
    pub peerings: u32,
    /// Number of entries in each route table.
    pub routes: u32,
    /// Number of rules in each security group.
    pub rules: u32,
    /// Number of hosts in each VPC.
    pub hosts: u32,
    /// Chance in percent that a thing is not as in a sound estate.
    pub quirks: u64,
}

impl Shape {
    /// The estate on which the engine's speed is measured.
    pub const LARGE: Self =
        Self { accounts: 20, vpcs: 1_000, peerings: 500, routes: 48, rules: 200, hosts: 45, quirks: 0 };
    /// An estate that a naive walk can enumerate.
    pub const SMALL: Self = Self { accounts: 2, vpcs: 4, peerings: 4, routes: 6, rules: 5, hosts: 4, quirks: 12 };
}

/// Draws an estate and returns the snapshots of its accounts and regions.
pub fn estate(shape: Shape, seed: u64) -> Vec<Snapshot> {
    let mut maker = Maker { shape, random: Random::new(seed), snapshots: vec![], joined: BTreeSet::new() };
    maker.places();
    let networks: Vec<Network> = (0..shape.vpcs).map(|index| maker.network(index)).collect();
    for index in 0..shape.peerings {
        maker.join(index, &networks);
    }
    for network in &networks {
        maker.fill(network);
    }
    for snapshot in 0..maker.snapshots.len() {
        maker.forget(snapshot);
    }
    maker.snapshots
}

fn id<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Maximum number of VPC pairs that are drawn for one connection before it is omitted.
const DRAWS_MAX: u32 = 20;

struct Maker {
    shape: Shape,
    random: Random,
    snapshots: Vec<Snapshot>,
    joined: BTreeSet<(u32, u32)>,
}

impl Maker {
    fn quirk(&mut self) -> bool {
        self.random.percent(self.shape.quirks)
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.random.below(u64::from(bound))).unwrap_or(0)
    }

    fn places(&mut self) {
        for account in 0..self.shape.accounts {
            for region in ["cn-qingdao", "cn-beijing"] {
                let account = id(&format!("{:016}", u64::from(account) + 1_000_000_000_000_000));
                let (Some(account), Some(region)) = (account, id(region)) else { continue };
                let mut snapshot = Snapshot::unread(account, region, Timestamp::from_millis(1_700_000_000_000));
                known(&mut snapshot.vpcs);
                known(&mut snapshot.vswitches);
                known(&mut snapshot.route_tables);
                known(&mut snapshot.router_interfaces);
                known(&mut snapshot.vpc_peerings);
                known(&mut snapshot.transit_attachments);
                known(&mut snapshot.network_acls);
                known(&mut snapshot.security_groups);
                known(&mut snapshot.prefix_lists);
                known(&mut snapshot.instances);
                known(&mut snapshot.enis);
                self.snapshots.push(snapshot);
            }
        }
    }

    fn at(&mut self, place: usize) -> Option<&mut Snapshot> {
        self.snapshots.get_mut(place)
    }

    fn network(&mut self, index: u32) -> Network {
        let place = usize::try_from(index).unwrap_or(0) % self.snapshots.len().max(1);
        // If the estate has quirks, two VPCs may have the same addresses.
        let slot = if index > 0 && self.quirk() { index - 1 } else { index };
        let network = Network { index, place, base: 0x0a00_0000 + (slot << VPC_BITS) };
        let (Some(vpc), Some(router)) = (id::<VpcId>(&network.name("vpc")), id(&network.name("vrt"))) else {
            return network;
        };
        let vpc = Vpc {
            id: vpc,
            name: String::new(),
            cidr: network.cidr(),
            secondary_cidrs: vec![],
            router: Some(router),
            provenance: Provenance::default(),
        };
        if let Some(snapshot) = self.at(place) {
            known(&mut snapshot.vpcs).push(vpc);
        }
        network
    }

    /// Connects two VPCs and adds the routes between them to the route tables, which `fill` completes.
    fn join(&mut self, index: u32, networks: &[Network]) {
        let count = u32::try_from(networks.len()).unwrap_or(0);
        if count < 2 {
            return;
        }
        // The cloud connects two VPCs only once.
        let drawn = (0..DRAWS_MAX).find_map(|draw| {
            let a = if draw == 0 { index * 2 } else { self.below(count) };
            let b = if draw == 0 { a + 1 } else { (a + 1 + self.below(count - 1)) % count };
            (a.max(b) < count && self.joined.insert((a.min(b), a.max(b)))).then_some((a, b))
        });
        let Some((a, b)) = drawn else { return };
        let find = |at: u32| usize::try_from(at).ok().and_then(|at| networks.get(at));
        let (Some(a), Some(b)) = (find(a), find(b)) else { return };
        if index.is_multiple_of(2) {
            self.router_interfaces(index, a, b);
        } else {
            self.peering(index, a, b);
        }
    }

    fn router_interfaces(&mut self, index: u32, a: &Network, b: &Network) {
        let ends =
            [(a, b, RouterInterfaceRole::Initiating, "a", "b"), (b, a, RouterInterfaceRole::Accepting, "b", "a")];
        let down = self.quirk();
        for (near, far, role, this, other) in ends {
            let (Some(far_place), quirk) = (self.snapshots.get(far.place), self.random.percent(self.shape.quirks))
            else {
                continue;
            };
            let (owner, region) = (far_place.account.clone(), far_place.region.clone());
            let status = if down { RouterInterfaceStatus::Inactive } else { RouterInterfaceStatus::Active };
            let (Some(ri), Some(router)) = (id(&format!("ri-{index}-{this}")), id(&near.name("vrt"))) else { continue };
            let interface = RouterInterface {
                id: ri,
                role,
                status,
                business_status: if quirk { BusinessStatus::FinancialLocked } else { BusinessStatus::Normal },
                spec: "Mini.2".to_owned(),
                bandwidth_mbps: Some(2),
                router_kind: RouterKind::VRouter,
                router,
                vpc: id(&near.name("vpc")),
                opposite_region: Some(region),
                opposite_interface: id(&format!("ri-{index}-{other}")),
                opposite_owner: Some(owner),
                opposite_router: id(&far.name("vrt")),
                opposite_router_kind: Some(RouterKind::VRouter),
                opposite_status: Some(status),
                opposite_business_status: Some(BusinessStatus::Normal),
                opposite_vpc: id(&far.name("vpc")),
                created_at: None,
                connected_at: Some(Timestamp::from_millis(1)),
                ends_at: None,
                provenance: Provenance::default(),
            };
            if let Some(snapshot) = self.at(near.place) {
                known(&mut snapshot.router_interfaces).push(interface);
            }
        }
        self.routes(a, b, NextHopKind::RouterInterface, &format!("ri-{index}-a"));
        self.routes(b, a, NextHopKind::RouterInterface, &format!("ri-{index}-b"));
    }

    fn peering(&mut self, index: u32, a: &Network, b: &Network) {
        let name = format!("pcc-{index}");
        let accepting = self.quirk();
        let place = |at: usize, all: &[Snapshot]| all.get(at).map(|s| (s.account.clone(), s.region.clone()));
        let ends = place(a.place, &self.snapshots).zip(place(b.place, &self.snapshots));
        let (Some(((owner, region), (accepting_owner, accepting_region))), Some(pcc)) = (ends, id(&name)) else {
            return;
        };
        let (Some(vpc), Some(accepting_vpc)) = (id(&a.name("vpc")), id(&b.name("vpc"))) else { return };
        let peering = VpcPeering {
            id: pcc,
            status: if accepting { VpcPeeringStatus::Accepting } else { VpcPeeringStatus::Activated },
            business_status: BusinessStatus::Normal,
            bandwidth_mbps: None,
            owner,
            region,
            vpc,
            accepting_owner,
            accepting_region,
            accepting_vpc,
            provenance: Provenance::default(),
        };
        for at in [a.place, b.place] {
            if let Some(snapshot) = self.at(at) {
                let all = known(&mut snapshot.vpc_peerings);
                if !all.contains(&peering) {
                    all.push(peering.clone());
                }
            }
        }
        self.routes(a, b, NextHopKind::VpcPeering, &name);
        self.routes(b, a, NextHopKind::VpcPeering, &name);
    }

    /// Adds a route to the peer to the system table of the VPC; the first call creates that table.
    fn routes(&mut self, near: &Network, far: &Network, kind: NextHopKind, hop: &str) {
        let (missing, narrow, pending, other, spread, disabled) =
            (self.quirk(), self.quirk(), self.quirk(), self.quirk(), self.quirk(), self.quirk());
        if missing {
            return;
        }
        let mut next_hops = vec![NextHop {
            kind,
            id: if other { "ri-nowhere".to_owned() } else { hop.to_owned() },
            enabled: disabled.then_some(false),
            weight: None,
        }];
        if spread && kind == NextHopKind::RouterInterface {
            next_hops.push(NextHop { kind, id: "ri-dead".to_owned(), enabled: None, weight: None });
        }
        let entry = RouteEntry {
            id: id(&format!("rte-{}-{}-{hop}", near.index, far.index)),
            destination: if narrow { far.vswitch(0) } else { far.cidr() },
            kind: RouteKind::Custom,
            status: if pending { RouteStatus::Pending } else { RouteStatus::Available },
            next_hops,
            provenance: Provenance::default(),
        };
        let table = self.table(near, 0);
        if let Some(entries) = table
            && entries.iter().all(|have| have.destination != entry.destination)
        {
            entries.push(entry);
        }
    }

    /// The entries of the VPC's system table (`which` is 0) or custom table; creates the table if it does not exist.
    fn table(&mut self, network: &Network, which: u32) -> Option<&mut Vec<RouteEntry>> {
        let (table, vpc) = (id::<RouteTableId>(&format!("vtb-{}-{which}", network.index))?, id(&network.name("vpc"))?);
        let tables = known(&mut self.at(network.place)?.route_tables);
        let at = tables.iter().position(|have| have.id == table).unwrap_or(tables.len());
        if at == tables.len() {
            tables.push(RouteTable {
                id: table,
                vpc,
                kind: if which == 0 { RouteTableKind::System } else { RouteTableKind::Custom },
                associate_type: AssociateType::VSwitch,
                vswitches: vec![],
                entries: Known::Known(vec![]),
                provenance: Provenance::default(),
            });
        }
        Some(known(&mut tables.get_mut(at)?.entries))
    }

    /// Adds everything else of a VPC: further routes, vSwitches, ACLs, security groups and hosts.
    fn fill(&mut self, network: &Network) {
        self.more_routes(network);
        let custom = self.quirk();
        if custom {
            let peer_entries = self.table(network, 0).map(|entries| entries.clone()).unwrap_or_default();
            let kept: Vec<RouteEntry> = peer_entries.into_iter().filter(|_| !self.quirk()).collect();
            if let Some(entries) = self.table(network, 1) {
                *entries = kept;
            }
        }
        for which in 0..2 {
            let (table, acl) = (custom && which == 1, self.quirk());
            let (Some(vswitch), Some(vpc)) = (id(&format!("vsw-{}-{which}", network.index)), id(&network.name("vpc")))
            else {
                continue;
            };
            if acl {
                self.acl(network, which, &vpc);
            }
            let vswitch = VSwitch {
                id: vswitch,
                vpc,
                zone: None,
                cidr: network.vswitch(which),
                route_table: table.then(|| id(&format!("vtb-{}-1", network.index))).flatten(),
                network_acl: acl.then(|| id(&format!("nacl-{}-{which}", network.index))).flatten(),
                provenance: Provenance::default(),
            };
            if let Some(snapshot) = self.at(network.place) {
                known(&mut snapshot.vswitches).push(vswitch);
            }
        }
        self.group(network, 0);
        self.group(network, 1);
        for host in 0..self.shape.hosts {
            self.host(network, host);
        }
    }

    fn more_routes(&mut self, network: &Network) {
        let routes = usize::try_from(self.shape.routes).unwrap_or(0);
        let own = [network.vswitch(0), network.vswitch(1)];
        let count = self.table(network, 0).map_or(0, |entries| entries.len());
        let mut more: Vec<RouteEntry> = own
            .into_iter()
            .map(|destination| RouteEntry {
                id: None,
                destination,
                kind: RouteKind::System,
                status: RouteStatus::Available,
                next_hops: vec![NextHop { kind: NextHopKind::Local, id: String::new(), enabled: None, weight: None }],
                provenance: Provenance::default(),
            })
            .collect();
        while count + more.len() < routes {
            // CIDR blocks of branch offices behind a gateway, which no VPC has.
            let destination = block(0xac10_0000 | (self.below(4_096) << 8), 24);
            if more.iter().all(|have| have.destination != destination) {
                more.push(RouteEntry {
                    id: id(&format!("rte-{}-{}", network.index, more.len())),
                    destination,
                    kind: RouteKind::Custom,
                    status: RouteStatus::Available,
                    next_hops: vec![NextHop {
                        kind: NextHopKind::VpnGateway,
                        id: network.name("vpn"),
                        enabled: None,
                        weight: None,
                    }],
                    provenance: Provenance::default(),
                });
            }
        }
        if let Some(entries) = self.table(network, 0) {
            entries.extend(more);
        }
    }

    /// A CIDR block near the estate's addresses: all addresses, a /8, a VPC, a vSwitch or a single address.
    fn some_block(&mut self) -> Cidr {
        let vpc = 0x0a00_0000 + (self.below(self.shape.vpcs) << VPC_BITS);
        match self.below(6) {
            0 => block(0, 0),
            1 => block(vpc, 8),
            2 => block(vpc, 20),
            3 => block(vpc + (self.below(2) << 11), 21),
            _ => block(vpc + 8 + (self.below(2) << 11) + self.below(self.shape.hosts), 32),
        }
    }

    fn some_protocol(&mut self) -> RuleProtocol {
        let all =
            [RuleProtocol::All, RuleProtocol::Tcp, RuleProtocol::Udp, RuleProtocol::Icmp, RuleProtocol::Number(6)];
        self.random.pick(&all).copied().unwrap_or(RuleProtocol::All)
    }

    fn some_ports(&mut self, protocol: RuleProtocol) -> PortRange {
        let first = [0, 22, 80, 443, 49_000].get(usize::try_from(self.below(5)).unwrap_or(0)).copied().unwrap_or(0);
        let length = [0, 1, 100, 16_000].get(usize::try_from(self.below(4)).unwrap_or(0)).copied().unwrap_or(0);
        match protocol {
            RuleProtocol::Tcp | RuleProtocol::Udp | RuleProtocol::Number(_) => {
                PortRange::new(first, first.saturating_add(length)).unwrap_or(PortRange::ALL)
            }
            _ => PortRange::ALL,
        }
    }

    fn acl(&mut self, network: &Network, which: u32, vpc: &VpcId) {
        let mut lists = [vec![], vec![]];
        for list in &mut lists {
            for n in 0..self.below(4) {
                let protocol = self.some_protocol();
                list.push(AclEntry {
                    id: id(&format!("nae-{}-{which}-{n}", network.index)),
                    policy: if self.random.percent(70) { Policy::Accept } else { Policy::Drop },
                    protocol,
                    ports: self.some_ports(protocol),
                    peer: self.some_block(),
                    system: false,
                });
            }
        }
        let unread = self.quirk();
        let [ingress, egress] = lists;
        let Some(acl) = id(&format!("nacl-{}-{which}", network.index)) else { return };
        let acl = NetworkAcl {
            id: acl,
            vpc: vpc.clone(),
            ingress: if unread { Known::default() } else { Known::Known(ingress) },
            egress: Known::Known(egress),
            vswitches: vec![],
            provenance: Provenance::default(),
        };
        if let Some(snapshot) = self.at(network.place) {
            known(&mut snapshot.network_acls).push(acl);
        }
    }

    fn group(&mut self, network: &Network, which: u32) {
        let mut rules = vec![];
        if !self.quirk() {
            let accept = |ingress| self::accept(ingress, block(0x0a00_0000, 8));
            rules.extend([accept(true), accept(false)]);
        }
        while rules.len() < usize::try_from(self.shape.rules).unwrap_or(0) {
            let rule = self.rule(network, rules.len());
            rules.push(rule);
        }
        let (unread, enterprise, isolated) = (self.quirk(), self.quirk(), self.quirk());
        let Some(group) = id(&format!("sg-{}-{which}", network.index)) else { return };
        let group = SecurityGroup {
            id: group,
            name: String::new(),
            vpc: id(&network.name("vpc")),
            kind: if enterprise { SecurityGroupKind::Enterprise } else { SecurityGroupKind::Normal },
            inner_access: Known::Known(if isolated { Policy::Drop } else { Policy::Accept }),
            rules: if unread { Known::default() } else { Known::Known(rules) },
            provenance: Provenance::default(),
        };
        if let Some(snapshot) = self.at(network.place) {
            known(&mut snapshot.security_groups).push(group);
        }
    }

    fn rule(&mut self, network: &Network, number: usize) -> SecurityRule {
        let protocol = self.some_protocol();
        let sound = self.shape.quirks == 0;
        let office = block(0xac10_0000 | (self.below(65_536) << 4), 28);
        let peer = match self.below(12) {
            _ if sound => RulePeer::Cidr(office),
            0 => RulePeer::Any,
            1 => self.listed(network),
            2 => match id(&format!("sg-{}-{}", network.index, self.below(2))) {
                Some(id) => RulePeer::Group { id, owner: None },
                None => RulePeer::Any,
            },
            _ => RulePeer::Cidr(self.some_block()),
        };
        let (near, from) = (self.quirk(), self.quirk());
        SecurityRule {
            id: id(&format!("sgr-{}-{number}", network.index)),
            ingress: self.random.percent(60),
            policy: if self.random.percent(65) { Policy::Accept } else { Policy::Drop },
            priority: 1 + u16::try_from(self.below(4)).unwrap_or(0),
            protocol,
            ports: self.some_ports(protocol),
            source_ports: if from { PortRange::new(0, 1_024) } else { None },
            peer,
            own: near.then(|| self.some_block()),
        }
    }

    fn listed(&mut self, network: &Network) -> RulePeer {
        let entries =
            if self.quirk() { Known::default() } else { Known::Known(vec![self.some_block(), self.some_block()]) };
        let name = format!("pl-{}-{}", network.index, self.below(2));
        let (Some(list), Some(snapshot)) = (id::<PrefixListId>(&name), self.at(network.place)) else {
            return RulePeer::Any;
        };
        let lists = known(&mut snapshot.prefix_lists);
        if lists.iter().all(|have| have.id != list) {
            lists.push(PrefixList { id: list.clone(), entries, provenance: Provenance::default() });
        }
        RulePeer::PrefixList(list)
    }

    fn host(&mut self, network: &Network, host: u32) {
        let which = host % 2;
        let address = IpAddr::V4(Ipv4Addr::from_bits(network.base + (which << (VPC_BITS - 1)) + 8 + host));
        let (stopped, lone, both) = (self.quirk(), self.quirk(), self.quirk());
        let groups: Vec<SecurityGroupId> = [0, 1]
            .into_iter()
            .filter(|group| both || *group == host / 2 % 2)
            .filter_map(|group| id(&format!("sg-{}-{group}", network.index)))
            .collect();
        let name = format!("{}-{host}", network.index);
        let (Some(instance), Some(eni)) = (id::<InstanceId>(&format!("i-{name}")), id(&format!("eni-{name}"))) else {
            return;
        };
        let (vpc, vswitch) = (id(&network.name("vpc")), id(&format!("vsw-{}-{which}", network.index)));
        let Some(snapshot) = self.at(network.place) else { return };
        known(&mut snapshot.instances).push(Instance {
            id: instance.clone(),
            name: String::new(),
            status: if stopped { InstanceStatus::Stopped } else { InstanceStatus::Running },
            vpc: vpc.clone(),
            vswitch: vswitch.clone(),
            addresses: vec![address],
            security_groups: groups.clone(),
            provenance: Provenance::default(),
        });
        if !lone {
            known(&mut snapshot.enis).push(Eni {
                id: eni,
                status: EniStatus::InUse,
                primary: true,
                instance: Some(instance),
                vpc,
                vswitch,
                addresses: vec![address],
                mac: String::new(),
                security_groups: groups,
                provenance: Provenance::default(),
            });
        }
    }

    /// Makes some lists unknown, as if the reader were denied access to them.
    fn forget(&mut self, at: usize) {
        let chances: Vec<bool> = (0..8).map(|_| self.quirk() && self.random.percent(30)).collect();
        let Some(snapshot) = self.snapshots.get_mut(at) else { return };
        let denied = || WhyUnknown::Denied {
            action: "a:B".to_owned(),
            code: "Forbidden.RAM".to_owned(),
            request_id: String::new(),
        };
        for (list, forgotten) in chances.into_iter().enumerate() {
            match list {
                _ if !forgotten => {}
                0 => snapshot.security_groups = Known::Unknown(denied()),
                1 => snapshot.route_tables = Known::Unknown(denied()),
                2 => snapshot.network_acls = Known::Unknown(denied()),
                3 => snapshot.enis = Known::Unknown(denied()),
                4 => snapshot.instances = Known::Unknown(denied()),
                5 => snapshot.router_interfaces = Known::Unknown(denied()),
                6 => snapshot.vpc_peerings = Known::Unknown(denied()),
                _ => snapshot.prefix_lists = Known::Unknown(denied()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_estate_of_the_shape() {
        let shape = Shape { vpcs: 6, peerings: 5, ..Shape::LARGE };
        let snapshots = estate(shape, 7);
        assert_eq!(snapshots, estate(shape, 7));
        assert_ne!(snapshots, estate(shape, 8));
        let sum = |count: &dyn Fn(&Snapshot) -> usize| snapshots.iter().map(count).sum::<usize>();
        assert_eq!(sum(&|s| s.vpcs.known().unwrap().len()), 6);
        assert_eq!(sum(&|s| s.enis.known().unwrap().len()), 6 * 45);
        let tables = snapshots.iter().flat_map(|s| s.route_tables.known().unwrap());
        assert!(tables.into_iter().all(|table| table.entries.known().unwrap().len() == 48));
        let groups = snapshots.iter().flat_map(|s| s.security_groups.known().unwrap());
        assert!(groups.into_iter().all(|group| group.rules.known().unwrap().len() == 200));
    }
}

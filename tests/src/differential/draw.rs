//! Draws a topology from a seed, with any combination of what a topology file can express.
//!
//! Most drawn networks mostly work, so that a fault becomes visible; nothing here guarantees that a pair can
//! communicate. This module does not know what a topology must lead to. It keeps a secondary block only if that
//! overlaps no block drawn before it; faults create overlaps on purpose.

use crate::topology::{
    Account, Expect, GroupKind, Instance, NetworkAcl, Peering, PeeringKind, PrefixList, RouteTable, Rule,
    SecurityGroup, Topology, VSwitch, Vpc,
};
use ipnet::Ipv4Net;
use pingtong_worlds::random::Random;
use std::net::Ipv4Addr;
use toml::Spanned;

/// Ports that drawn rules match and that probes use.
pub const PORTS: [u16; 3] = [22, 443, 8080];
const PRIMARY: [&str; 6] =
    ["192.168.0.0/16", "172.16.0.0/16", "10.0.0.0/16", "10.8.0.0/13", "172.24.0.0/14", "10.32.0.0/16"];
const SECONDARY: [&str; 6] =
    ["10.64.0.0/16", "172.30.0.0/17", "10.96.0.0/20", "192.168.0.0/17", "10.128.0.0/12", "172.31.8.0/22"];
const REGIONS: [&str; 3] = ["cn-qingdao", "cn-beijing", "cn-hangzhou"];

/// Text without a position in a file.
pub(super) fn text(value: impl Into<String>) -> Spanned<String> {
    Spanned::new(0..0, value.into())
}

/// Draws a topology; the result depends only on the state of `random`.
pub fn topology(random: &mut Random) -> Topology {
    let accounts = [("A", "1000000000000001"), ("B", "1000000000000002")]
        .map(|(name, id)| Account { name: text(name), id: text(id) })
        .to_vec();
    let mut draw = Draw { random, vpcs: vec![], joined: vec![] };
    draw.plan();
    let peerings = draw.peerings();
    let vpcs: Vec<Vpc> = (0..draw.vpcs.len()).map(|at| draw.vpc(at)).collect();
    let expects = peerings
        .iter()
        .map(|peering| Expect {
            from: peering.initiator.clone(),
            to: peering.acceptor.clone(),
            protocol: text("icmp"),
            ports: None,
        })
        .collect();
    Topology {
        accounts,
        vpcs,
        peerings,
        expects,
        forbids: vec![],
        settle_ms: None,
        agents_only: false,
        steady_probes: None,
    }
}

/// A VPC before its objects are drawn.
struct Outline {
    name: String,
    region: &'static str,
    blocks: Vec<Ipv4Net>,
    /// Blocks of its vSwitches.
    switches: Vec<Ipv4Net>,
}

struct Draw<'a> {
    random: &'a mut Random,
    vpcs: Vec<Outline>,
    joined: Vec<(usize, usize)>,
}

impl Draw<'_> {
    fn one<'b>(&mut self, items: &[&'b str]) -> &'b str {
        self.random.pick(items).copied().unwrap_or_default()
    }

    fn up_to(&mut self, most: u64) -> usize {
        usize::try_from(self.random.below(most + 1)).unwrap_or(0)
    }

    /// Draws the VPCs, their blocks, and which of them are joined.
    fn plan(&mut self) {
        let mut primary = PRIMARY;
        self.random.shuffle(&mut primary);
        let mut secondary: Vec<&str> = SECONDARY.to_vec();
        self.random.shuffle(&mut secondary);
        let joins = match self.random.below(100) {
            0..55 => 1,
            55..85 => 2,
            _ => 3,
        };
        self.outline("A", primary[0], &mut secondary);
        self.outline("B", primary[1], &mut secondary);
        self.joined.push((0, 1));
        for block in primary.into_iter().skip(2).take(joins - 1) {
            let hub = usize::try_from(self.random.below(2)).unwrap_or(0);
            let owner = if hub == 0 { "B" } else { "A" };
            self.outline(owner, block, &mut secondary);
            self.joined.push((hub, self.vpcs.len() - 1));
        }
    }

    fn outline(&mut self, owner: &str, block: &str, spare: &mut Vec<&str>) {
        let number = self.vpcs.len() + 1;
        let mut blocks: Vec<Ipv4Net> = block.parse().into_iter().collect();
        if self.random.percent(35)
            && let Some(other) = spare.pop().and_then(|other| other.parse().ok())
            && !self.vpcs.iter().flat_map(|vpc| &vpc.blocks).chain(&blocks).any(|have| overlap(*have, other))
        {
            blocks.push(other);
        }
        let region = self.one(&REGIONS);
        let count = if number <= 2 { 1 + self.up_to(3) } else { 1 + self.up_to(1) };
        let mut switches: Vec<Ipv4Net> = vec![];
        for at in 0..count {
            let home = *self.random.pick(&blocks).unwrap_or(&blocks[0]);
            let length = self.random.pick(&[20_u8, 22, 24, 24, 24, 26, 28]).copied().unwrap_or(24);
            let length = length.max(home.prefix_len() + 1);
            let places = 1_u64 << (length - home.prefix_len()).min(8);
            let step = 1_u64 << (32 - length);
            let place = self.random.below(places) * step;
            let start = u32::from(home.network()) + u32::try_from(place).unwrap_or(0);
            let block = Ipv4Net::new_assert(Ipv4Addr::from(start), length);
            if at == 0 || !switches.iter().any(|have| overlap(*have, block)) {
                switches.push(block);
            }
        }
        self.vpcs.push(Outline { name: format!("{owner}.vpc{number}"), region, blocks, switches });
    }

    fn peerings(&mut self) -> Vec<Peering> {
        let transit = self.joined.len() == 1 && self.random.percent(35);
        let joined = self.joined.clone();
        let mut made = vec![];
        for (at, (one, other)) in joined.into_iter().enumerate() {
            let (initiator, acceptor) = if self.random.percent(50) { (one, other) } else { (other, one) };
            let kind = match (transit, self.random.percent(60)) {
                (true, _) => PeeringKind::TransitRouter,
                (_, true) => PeeringKind::RouterInterface,
                (_, false) => PeeringKind::VpcPeering,
            };
            made.push(Peering {
                name: text(format!("peering{}", at + 1)),
                kind,
                initiator: text(&self.vpcs[initiator].name),
                acceptor: text(&self.vpcs[acceptor].name),
                spec: "Large.1".into(),
            });
        }
        made
    }

    /// Blocks of the VPCs that this one is joined to.
    fn peers(&self, at: usize) -> Vec<Ipv4Net> {
        let others = self.joined.iter().filter_map(|(one, other)| match at {
            at if at == *one => Some(*other),
            at if at == *other => Some(*one),
            _ => None,
        });
        others.flat_map(|other| self.vpcs[other].blocks.clone()).collect()
    }

    fn vpc(&mut self, at: usize) -> Vpc {
        let (name, region) = (self.vpcs[at].name.clone(), self.vpcs[at].region);
        let (blocks, switches) = (self.vpcs[at].blocks.clone(), self.vpcs[at].switches.clone());
        let number = at + 1;
        let peers = self.peers(at);
        let tables = self.up_to(4).saturating_sub(2);
        let acls = self.up_to(4).saturating_sub(2);
        let lists = self.up_to(3).saturating_sub(1);
        let prefix_lists: Vec<PrefixList> = (1..=lists).map(|n| self.prefix_list(number, n, &peers)).collect();
        let network_acls: Vec<NetworkAcl> = (1..=acls).map(|n| self.acl(n, &peers)).collect();
        let security_groups = self.groups(at, &prefix_lists, &peers);
        let vswitches: Vec<VSwitch> = switches
            .iter()
            .enumerate()
            .map(|(n, block)| VSwitch {
                name: text(format!("vsw{}", n + 1)),
                zone: format!("{region}-b"),
                cidr: text(block.to_string()),
                route_table: self.bound("table", tables, 50),
                network_acl: self.bound("acl", acls, 50),
            })
            .collect();
        let instances = self.instances(number, &switches, &security_groups);
        Vpc {
            name: text(name),
            region: region.to_owned(),
            cidr: text(blocks[0].to_string()),
            secondary_cidrs: blocks.iter().skip(1).map(|block| text(block.to_string())).collect(),
            vswitches,
            route_tables: (1..=tables).map(|n| RouteTable { name: text(format!("table{n}")) }).collect(),
            network_acls,
            prefix_lists,
            security_groups,
            instances,
        }
    }

    fn bound(&mut self, what: &str, count: usize, chance: u64) -> Option<Spanned<String>> {
        if count == 0 || !self.random.percent(chance) {
            return None;
        }
        let n = 1 + self.random.below(u64::try_from(count).unwrap_or(1));
        Some(text(format!("{what}{n}")))
    }

    fn prefix_list(&mut self, vpc: usize, n: usize, peers: &[Ipv4Net]) -> PrefixList {
        let mut entries: Vec<String> = vec![];
        for _ in 0..=self.up_to(2) {
            let entry = self.block(peers);
            if !entries.contains(&entry) && entry != "0.0.0.0/0" {
                entries.push(entry);
            }
        }
        if entries.is_empty() {
            entries.push("10.200.0.0/16".into());
        }
        PrefixList { name: text(format!("pl{vpc}{n}")), entries: entries.into_iter().map(text).collect() }
    }

    /// A block for a rule of a VPC: a peer's block, a vSwitch's block, one host, everything, or a block that nobody
    /// uses.
    fn block(&mut self, peers: &[Ipv4Net]) -> String {
        let hosts: Vec<Ipv4Net> = self.vpcs.iter().flat_map(|vpc| vpc.switches.clone()).collect();
        match self.random.below(100) {
            0..55 => self.random.pick(peers).map_or_else(|| "0.0.0.0/0".into(), ToString::to_string),
            55..75 => self.random.pick(&hosts).map_or_else(|| "0.0.0.0/0".into(), ToString::to_string),
            75..85 => {
                let block = self.random.pick(&hosts).copied().unwrap_or_default();
                let ip = host_of(block, 1 + u32::try_from(self.random.below(3)).unwrap_or(0));
                format!("{ip}/32")
            }
            85..93 => "0.0.0.0/0".into(),
            _ => "10.200.0.0/16".into(),
        }
    }

    fn service(&mut self) -> (String, String) {
        match self.random.below(100) {
            0..50 => ("icmp".into(), "-1/-1".into()),
            50..70 => ("all".into(), "-1/-1".into()),
            other => {
                let protocol = if other < 87 { "tcp" } else { "udp" };
                let port = self.random.pick(&PORTS).copied().unwrap_or(443);
                let ports = match self.random.below(3) {
                    0 => "1/65535".into(),
                    1 => format!("{port}/{port}"),
                    _ => format!("{}/{}", port.saturating_sub(20), port + 300),
                };
                (protocol.into(), ports)
            }
        }
    }

    fn rule(&mut self, ingress: bool, far: String, policy: &str) -> Rule {
        let (protocol, ports) = self.service();
        let priority = self.random.pick(&[1_u16, 1, 2, 3, 50, 100]).copied().unwrap_or(1);
        let (source, destination) = if ingress { (Some(text(far)), None) } else { (None, Some(text(far))) };
        Rule { protocol, ports, source, destination, policy: policy.to_owned(), priority }
    }

    fn policy(&mut self, accepts: u64) -> &'static str {
        if self.random.percent(accepts) { "accept" } else { "drop" }
    }

    fn acl(&mut self, n: usize, peers: &[Ipv4Net]) -> NetworkAcl {
        let mut direction = |ingress: bool| {
            if self.random.percent(30) {
                return None;
            }
            let mut entries: Vec<Rule> = vec![];
            for _ in 0..=self.up_to(2) {
                let (far, policy) = (self.block(peers), self.policy(75));
                entries.push(self.rule(ingress, far, policy));
            }
            if self.random.percent(85) {
                let mut last = self.rule(ingress, "0.0.0.0/0".into(), "accept");
                (last.protocol, last.ports) = ("all".into(), "-1/-1".into());
                entries.push(last);
            }
            for entry in &mut entries {
                entry.priority = 1;
            }
            Some(entries)
        };
        NetworkAcl { name: text(format!("acl{n}")), ingress: direction(true), egress: direction(false) }
    }

    fn groups(&mut self, at: usize, lists: &[PrefixList], peers: &[Ipv4Net]) -> Vec<SecurityGroup> {
        let count = 1 + self.up_to(3);
        let kinds: Vec<GroupKind> = (0..count)
            .map(|_| if self.random.percent(70) { GroupKind::Normal } else { GroupKind::Enterprise })
            .collect();
        let name = |n: usize| format!("sg{}{}", at + 1, n + 1);
        let mut made = vec![];
        for (n, kind) in kinds.iter().enumerate() {
            let others: Vec<String> = (0..count).filter(|other| *other != n).map(name).collect();
            let others = if *kind == GroupKind::Normal { others } else { vec![] };
            let mut rules = |ingress: bool, open: u64| {
                let mut rules: Vec<Rule> = vec![];
                for peer in peers {
                    if self.random.percent(open) {
                        let mut rule = self.rule(ingress, peer.to_string(), "accept");
                        if self.random.percent(80) {
                            let wide = if self.random.percent(30) { "icmp" } else { "all" };
                            (rule.protocol, rule.ports) = (wide.into(), "-1/-1".into());
                        }
                        rules.push(rule);
                    }
                }
                for _ in 0..self.up_to(2) {
                    let far = self.far(lists, &others, peers);
                    let policy = self.policy(75);
                    rules.push(self.rule(ingress, far, policy));
                }
                rules
            };
            let ingress = rules(true, 85);
            let egress = rules(false, if *kind == GroupKind::Normal { 20 } else { 85 });
            made.push(SecurityGroup { name: text(name(n)), kind: *kind, ingress, egress });
        }
        made
    }

    fn far(&mut self, lists: &[PrefixList], groups: &[String], peers: &[Ipv4Net]) -> String {
        match self.random.below(100) {
            0..25 if !lists.is_empty() => {
                self.random.pick(lists).map(|list| list.name.get_ref().clone()).unwrap_or_default()
            }
            25..40 if !groups.is_empty() => self.random.pick(groups).cloned().unwrap_or_default(),
            _ => self.block(peers),
        }
    }

    fn instances(&mut self, vpc: usize, switches: &[Ipv4Net], groups: &[SecurityGroup]) -> Vec<Instance> {
        let mut used = vec![0_u32; switches.len()];
        let count = if vpc <= 2 { switches.len() + self.up_to(1) } else { switches.len() };
        let mut made = vec![];
        for n in 0..count.min(4) {
            let at = n % switches.len();
            used[at] += 1;
            let first = usize::try_from(self.random.below(u64::try_from(groups.len()).unwrap_or(1))).unwrap_or(0);
            let mut own = vec![first];
            for other in 0..groups.len() {
                if other != first && groups[other].kind == groups[first].kind && self.random.percent(35) {
                    own.push(other);
                }
            }
            made.push(Instance {
                name: text(format!("ecs{vpc}{}", n + 1)),
                vswitch: text(format!("vsw{}", at + 1)),
                ip: text(host_of(switches[at], used[at]).to_string()),
                security_groups: own.into_iter().map(|group| groups[group].name.clone()).collect(),
                agent: true,
            });
        }
        made
    }
}

/// The `n`th host address of a vSwitch.
fn host_of(block: Ipv4Net, n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(block.network()) + n)
}

pub(super) fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_drawn_topology_is_one_that_a_file_may_say_and_says_again() {
        for seed in 0..300 {
            let drawn = topology(&mut Random::new(seed));
            let written = toml::to_string(&drawn).unwrap();
            let read = Topology::parse(Path::new("drawn.toml"), &written)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{written}"));
            assert_eq!(toml::to_string(&read).unwrap(), written, "seed {seed}");
        }
    }

    #[test]
    fn every_feature_is_drawn() {
        let all: Vec<Topology> = (0..200).map(|seed| topology(&mut Random::new(seed))).collect();
        let vpcs = || all.iter().flat_map(|topology| &topology.vpcs);
        assert!(all.iter().any(|t| t.peerings.len() == 3));
        for kind in [PeeringKind::RouterInterface, PeeringKind::VpcPeering, PeeringKind::TransitRouter] {
            assert!(all.iter().flat_map(|t| &t.peerings).any(|peering| peering.kind == kind), "{kind:?}");
        }
        assert!(vpcs().any(|vpc| vpc.vswitches.len() == 4));
        assert!(vpcs().any(|vpc| !vpc.secondary_cidrs.is_empty()));
        assert!(vpcs().flat_map(|vpc| &vpc.vswitches).any(|v| v.route_table.is_some()));
        assert!(vpcs().flat_map(|vpc| &vpc.vswitches).any(|v| v.network_acl.is_some()));
        assert!(vpcs().any(|vpc| !vpc.prefix_lists.is_empty()));
        assert!(vpcs().flat_map(|vpc| &vpc.security_groups).any(|g| g.kind == GroupKind::Enterprise));
        assert!(vpcs().flat_map(|vpc| &vpc.instances).any(|i| i.security_groups.len() > 2));
    }
}

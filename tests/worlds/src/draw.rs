//! Draws a healthy world from a seed: one that works, with the variety of real accounts.
//!
//! Varied are: CIDR blocks (secondary ones too), 1–4 vSwitches per side, custom route tables, 1–3 security groups of
//! either kind on the network interface, prefix lists, ACLs, further hosts, further VPCs and router interfaces for
//! other peers, rules for other services.

use crate::{
    random::Random,
    world::{Fabric, Guest, Names, World, list_mut, named},
};
use pingtong_evidence::{
    AclEntry, AssociateType, BusinessStatus, Cidr, Endpoint, Eni, EniStatus, Instance, InstanceStatus, Known, Link,
    LinkKind, LinkSide, NetworkAcl, NextHop, NextHopKind, Pair, Policy, PortRange, PrefixList, Protocol, Provenance,
    RouteEntry, RouteKind, RouteStatus, RouteTable, RouteTableKind, RouterInterface, RouterInterfaceRole,
    RouterInterfaceStatus, RouterKind, RulePeer, RuleProtocol, SecurityGroup, SecurityGroupKind, SecurityRule, Side,
    Snapshot, Source, VSwitch, Vpc,
};
use std::net::IpAddr;

/// Accounts: the initiator's, the acceptor's, and one of which nobody sees anything.
pub const ACCOUNTS: [&str; 3] = ["1000000000000001", "1000000000000002", "1000000000000003"];
/// Regions: the initiator's, the acceptor's, and one that is not part of the link.
pub const REGIONS: [&str; 3] = ["cn-qingdao", "cn-beijing", "cn-hangzhou"];

/// Primary and secondary CIDR block of the initiator, then of the acceptor. No block overlaps another of its row.
const PLANS: [[&str; 4]; 5] = [
    ["192.168.0.0/16", "10.1.0.0/16", "172.16.0.0/16", "10.2.0.0/16"],
    ["10.0.0.0/16", "10.64.0.0/16", "10.128.0.0/16", "10.192.0.0/16"],
    ["172.16.0.0/16", "192.168.0.0/20", "172.20.0.0/16", "192.168.64.0/20"],
    ["10.10.0.0/20", "10.10.64.0/20", "192.168.128.0/20", "10.200.0.0/18"],
    ["192.168.0.0/18", "10.7.0.0/16", "192.168.64.0/18", "172.31.0.0/16"],
];

/// Requirements for the world to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Both VPCs have the same CIDR block.
    pub overlap: bool,
    /// The world has only the objects of the tutorial.
    pub plain: bool,
}

/// The address at the offset `place` in an IPv4 block.
pub fn address_in(block: Cidr, place: u32) -> IpAddr {
    match block.network() {
        IpAddr::V4(first) => IpAddr::from((first.to_bits() + place).to_be_bytes()),
        other @ IpAddr::V6(_) => other,
    }
}

/// The `n`-th /24 of a block.
pub fn slice(block: Cidr, n: u32) -> Cidr {
    Cidr::around(address_in(block, n * 256), 24)
}

/// A security group rule that accepts packets on all ports.
pub fn rule(id: &str, ingress: bool, protocol: RuleProtocol, priority: u16, peer: RulePeer) -> SecurityRule {
    SecurityRule {
        id: Some(named(id)),
        ingress,
        policy: Policy::Accept,
        priority,
        protocol,
        ports: PortRange::ALL,
        source_ports: None,
        peer,
        own: None,
    }
}

/// An entry of a network ACL, for all ports.
pub fn acl_entry(id: &str, policy: Policy, protocol: RuleProtocol, peer: Cidr) -> AclEntry {
    AclEntry { id: Some(named(id)), policy, protocol, ports: PortRange::ALL, peer, system: false }
}

/// An available entry of a route table.
pub fn entry(id: &str, destination: Cidr, kind: NextHopKind, hop: &str) -> RouteEntry {
    RouteEntry {
        id: Some(named(id)),
        destination,
        kind: if matches!(kind, NextHopKind::Local | NextHopKind::Service) {
            RouteKind::System
        } else {
            RouteKind::Custom
        },
        status: RouteStatus::Available,
        next_hops: vec![NextHop { kind, id: hop.to_owned(), enabled: None, weight: None }],
        provenance: Provenance(0),
    }
}

/// An active router interface. `peer` is the opposite interface, its router, its owner and its region.
pub fn interface(id: &str, side: Side, router: &str, vpc: &str, peer: [&str; 4]) -> RouterInterface {
    let [opposite, opposite_router, owner, region] = peer;
    let initiates = side == Side::Initiator;
    RouterInterface {
        id: named(id),
        role: if initiates { RouterInterfaceRole::Initiating } else { RouterInterfaceRole::Accepting },
        status: RouterInterfaceStatus::Active,
        business_status: BusinessStatus::Normal,
        spec: if initiates { "Mini.2" } else { "Negative" }.into(),
        bandwidth_mbps: Some(2),
        router_kind: RouterKind::VRouter,
        router: named(router),
        vpc: Some(named(vpc)),
        opposite_region: Some(named(region)),
        opposite_interface: Some(named(opposite)),
        opposite_owner: Some(named(owner)),
        opposite_router: Some(named(opposite_router)),
        opposite_router_kind: Some(RouterKind::VRouter),
        opposite_status: None,
        opposite_business_status: None,
        opposite_vpc: None,
        created_at: Some(crate::evidence::moment(-86_400_000)),
        connected_at: Some(crate::evidence::moment(-86_000_000)),
        ends_at: None,
        provenance: Provenance(0),
    }
}

/// The address plan of one side.
struct Ground {
    side: Side,
    letter: &'static str,
    account: &'static str,
    region: &'static str,
    blocks: Vec<Cidr>,
    vswitches: Vec<Cidr>,
    home: usize,
    address: IpAddr,
}

fn ground(random: &mut Random, side: Side, plan: &[&str; 4], wish: Wish) -> Ground {
    let at = crate::world::at(side);
    let place = if wish.overlap { 0 } else { at * 2 };
    let mut blocks: Vec<Cidr> = vec![named(plan[place])];
    if !wish.plain && !wish.overlap && random.percent(35) {
        blocks.push(named(plan[place + 1]));
    }
    let count = if wish.plain || wish.overlap { 1 } else { 1 + random.below(4) };
    let vswitches: Vec<Cidr> = (0..count)
        .map(|n| {
            let block = random.pick(&blocks).copied().unwrap_or(blocks[0]);
            slice(block, 1 + u32::try_from(n).unwrap_or(0))
        })
        .collect();
    let home = usize::try_from(random.below(count)).unwrap_or(0);
    // The hosts of the two sides never have the same address, even if their blocks overlap.
    let host = 10 + 100 * u32::try_from(at).unwrap_or(0) + u32::try_from(random.below(20)).unwrap_or(0);
    Ground {
        side,
        letter: ["a", "b"][at],
        account: ACCOUNTS[at],
        region: REGIONS[at],
        address: address_in(vswitches[home], host),
        blocks,
        vswitches,
        home,
    }
}

/// Draws a world that works.
pub fn draw(seed: u64, wish: Wish) -> World {
    let mut random = Random::new(seed ^ 0x70_69_6e_67);
    let plan = if wish.plain { &PLANS[0] } else { random.pick(&PLANS).unwrap_or(&PLANS[0]) };
    let grounds = Side::BOTH.map(|side| ground(&mut random, side, plan, wish));
    let [a, b] = &grounds;
    let (config_a, names_a) = account(&mut random, a, b, wish);
    let (config_b, names_b) = account(&mut random, b, a, wish);
    let names = [names_a, names_b];
    let mut world = World {
        pair: pair(&grounds, &names),
        elsewhere: vec![],
        guests: [guest(), guest()],
        fabric: [Fabric::default(); 2],
        config: [config_a, config_b],
        names,
        probes: 40,
        rounds: 4,
    };
    if !wish.plain {
        bystanders(&mut random, &mut world, &grounds);
    }
    world.settled()
}

fn pair(grounds: &[Ground; 2], names: &[Names; 2]) -> Pair {
    let link_side =
        |g: &Ground, n: &Names| LinkSide { account: named(g.account), region: named(g.region), vpc: named(&n.vpc) };
    let endpoint = |g: &Ground, n: &Names| Endpoint {
        address: g.address,
        instance: Some(named(&n.instance)),
        agent: Some(named(&format!("agent-{}", g.letter))),
    };
    let ([a, b], [m, n]) = (grounds, names);
    Pair {
        id: named("pair-1"),
        link: Link {
            id: named("link-1"),
            kind: LinkKind::RouterInterface,
            initiator: link_side(a, m),
            acceptor: link_side(b, n),
        },
        initiator: endpoint(a, m),
        acceptor: endpoint(b, n),
        protocol: Protocol::Icmp,
        port: None,
        opened_by: Side::Initiator,
    }
}

fn guest() -> Guest {
    Guest {
        reports: true,
        card: "eth0".into(),
        mac: "00:16:3e:00:00:01".into(),
        has_address: true,
        ignores_echo: false,
        rules: vec![],
        default_device: Some("eth0".into()),
        routes: vec![],
        devices: vec![],
        strict_reverse_path: false,
        routed_by_mark: false,
        container: None,
        habits: vec![],
        clock_offset_ms: 0,
    }
}

fn account(random: &mut Random, own: &Ground, peer: &Ground, wish: Wish) -> (Snapshot, Names) {
    let x = own.letter;
    let name = |what: &str| format!("{what}-{x}");
    let groups = if wish.plain { 1 } else { 1 + random.below(3) };
    let mut names = Names {
        letter: x,
        vpc: name("vpc"),
        table: name("vtb"),
        system_table: name("vtb"),
        vswitch: format!("vsw-{x}{}", own.home + 1),
        interface: name("ri"),
        groups: (1..=groups).map(|n| format!("sg-{x}{n}")).collect(),
        group: String::new(),
        rule: name("sgr-in"),
        instance: name("i"),
        eni: name("eni"),
    };
    names.group = random.pick(&names.groups).cloned().unwrap_or_else(|| format!("sg-{x}1"));
    let custom = !wish.plain && random.percent(40);
    if custom {
        names.table = name("vtb-custom");
    }
    let mut config = Snapshot::unread(named(own.account), named(own.region), crate::evidence::moment(0));
    config.sources =
        vec![Source { api: "vpc:Describe".into(), request_id: name("req"), at: crate::evidence::moment(50_100) }];
    config.vpcs = Known::Known(vec![Vpc {
        id: named(&names.vpc),
        name: name("network"),
        cidr: own.blocks[0],
        secondary_cidrs: own.blocks[1..].to_vec(),
        router: Some(named(&name("vrt"))),
        provenance: Provenance(0),
    }]);
    let table_of = |at: usize| if custom && at == own.home { &names.table } else { &names.system_table };
    config.vswitches = Known::Known(
        (0..own.vswitches.len())
            .map(|at| VSwitch {
                id: named(&format!("vsw-{x}{}", at + 1)),
                vpc: named(&names.vpc),
                zone: Some(named(&format!("{}-b", own.region))),
                cidr: own.vswitches[at],
                route_table: Some(named(table_of(at))),
                network_acl: None,
                provenance: Provenance(0),
            })
            .collect(),
    );
    config.route_tables = Known::Known(tables(random, own, peer, &names));
    let other = peer.letter;
    config.router_interfaces = Known::Known(vec![interface(
        &names.interface,
        own.side,
        &name("vrt"),
        &names.vpc,
        [&format!("ri-{other}"), &format!("vrt-{other}"), peer.account, peer.region],
    )]);
    config.vpc_peerings = Known::Known(vec![]);
    config.transit_attachments = Known::Known(vec![]);
    config.transit_peerings = Known::Known(vec![]);
    config.transit_route_tables = Known::Known(vec![]);
    config.network_acls = Known::Known(vec![]);
    config.prefix_lists = Known::Known(vec![]);
    security(random, &mut config, own, peer, &names, wish);
    hosts(&mut config, own, &names);
    if !wish.plain && random.percent(35) {
        acl(random, &mut config, peer, &names);
    }
    (config, names)
}

fn tables(random: &mut Random, own: &Ground, peer: &Ground, names: &Names) -> Vec<RouteTable> {
    let x = own.letter;
    let entries = |table: &str, with_peer: bool| {
        let mut list: Vec<RouteEntry> = (1..)
            .zip(&own.vswitches)
            .map(|(n, block)| entry(&format!("rte-{table}-local{n}"), *block, NextHopKind::Local, ""))
            .collect();
        list.push(entry(&format!("rte-{table}-service"), named("100.64.0.0/10"), NextHopKind::Service, ""));
        if with_peer {
            for (n, block) in (1..).zip(&peer.blocks) {
                list.push(entry(
                    &format!("rte-{table}-peer{n}"),
                    *block,
                    NextHopKind::RouterInterface,
                    &names.interface,
                ));
            }
        }
        list
    };
    let mut ids = vec![(names.system_table.clone(), RouteTableKind::System)];
    if names.table != names.system_table {
        ids.push((names.table.clone(), RouteTableKind::Custom));
    }
    ids.into_iter()
        .map(|(id, kind)| {
            let in_effect = id == names.table;
            let bound = |at: usize| (at == own.home) == in_effect || names.table == names.system_table;
            RouteTable {
                vpc: named(&names.vpc),
                kind,
                associate_type: AssociateType::VSwitch,
                vswitches: (0..own.vswitches.len())
                    .filter(|at| bound(*at))
                    .map(|at| named(&format!("vsw-{x}{}", at + 1)))
                    .collect(),
                entries: Known::Known(entries(&id, in_effect || random.percent(50))),
                id: named(&id),
                provenance: Provenance(0),
            }
        })
        .collect()
}

fn security(random: &mut Random, config: &mut Snapshot, own: &Ground, peer: &Ground, names: &Names, wish: Wish) {
    let x = own.letter;
    let enterprise = !wish.plain && random.percent(25);
    let listed = !wish.plain && random.percent(20);
    let home = peer.blocks.iter().find(|block| block.contains(peer.address)).copied().unwrap_or(peer.blocks[0]);
    let from = if listed {
        let id = format!("pl-{x}");
        list_mut(&mut config.prefix_lists).push(PrefixList {
            id: named(&id),
            entries: Known::Known(peer.blocks.clone()),
            provenance: Provenance(0),
        });
        RulePeer::PrefixList(named(&id))
    } else if !wish.plain && random.percent(20) {
        RulePeer::Cidr(peer.vswitches[peer.home])
    } else {
        RulePeer::Cidr(home)
    };
    let protocol = if !wish.plain && random.percent(20) { RuleProtocol::All } else { RuleProtocol::Icmp };
    let groups = names.groups.iter().map(|id| {
        let mut rules = vec![];
        if *id == names.group {
            rules.push(rule(&names.rule, true, protocol, 1, from.clone()));
            if enterprise {
                rules.push(rule(&format!("sgr-out-{x}"), false, RuleProtocol::All, 1, RulePeer::Any));
            }
        }
        if !wish.plain {
            let ssh = SecurityRule {
                ports: PortRange::new(22, 22).unwrap_or(PortRange::ALL),
                ..rule(&format!("sgr-{id}-ssh"), true, RuleProtocol::Tcp, 10, RulePeer::Any)
            };
            rules.push(ssh);
        }
        SecurityGroup {
            id: named(id),
            name: String::new(),
            vpc: Some(named(&names.vpc)),
            kind: if enterprise { SecurityGroupKind::Enterprise } else { SecurityGroupKind::Normal },
            inner_access: Known::Known(if enterprise { Policy::Drop } else { Policy::Accept }),
            rules: Known::Known(rules),
            provenance: Provenance(0),
        }
    });
    config.security_groups = Known::Known(groups.collect());
}

fn hosts(config: &mut Snapshot, own: &Ground, names: &Names) {
    let x = own.letter;
    let groups: Vec<_> = names.groups.iter().map(|id| named(id)).collect();
    config.instances = Known::Known(vec![Instance {
        id: named(&names.instance),
        name: String::new(),
        status: InstanceStatus::Running,
        vpc: Some(named(&names.vpc)),
        vswitch: Some(named(&names.vswitch)),
        addresses: vec![own.address],
        security_groups: groups.clone(),
        provenance: Provenance(0),
    }]);
    config.enis = Known::Known(vec![Eni {
        id: named(&names.eni),
        status: EniStatus::InUse,
        primary: true,
        instance: Some(named(&names.instance)),
        vpc: Some(named(&names.vpc)),
        vswitch: Some(named(&names.vswitch)),
        addresses: vec![own.address],
        mac: "00:16:3e:00:00:01".into(),
        security_groups: groups,
        provenance: Provenance(0),
    }]);
    // A neighbour that is not under test, so that a route can point to it.
    let neighbour = address_in(own.vswitches[0], 200);
    list_mut(&mut config.instances).push(Instance {
        id: named(&format!("i-{x}-other")),
        name: String::new(),
        status: InstanceStatus::Running,
        vpc: Some(named(&names.vpc)),
        vswitch: Some(named(&format!("vsw-{x}1"))),
        addresses: vec![neighbour],
        security_groups: vec![named(&names.groups[0])],
        provenance: Provenance(0),
    });
    list_mut(&mut config.enis).push(Eni {
        id: named(&format!("eni-{x}-other")),
        status: EniStatus::InUse,
        primary: true,
        instance: Some(named(&format!("i-{x}-other"))),
        vpc: Some(named(&names.vpc)),
        vswitch: Some(named(&format!("vsw-{x}1"))),
        addresses: vec![neighbour],
        mac: "00:16:3e:00:00:02".into(),
        security_groups: vec![named(&names.groups[0])],
        provenance: Provenance(0),
    });
}

fn acl(random: &mut Random, config: &mut Snapshot, peer: &Ground, names: &Names) {
    let x = names.letter;
    let id = format!("nacl-{x}");
    let everything: Cidr = named("0.0.0.0/0");
    let peers = peer.blocks.clone();
    let strict = random.percent(50);
    let entries = |way: &str| {
        let mut list: Vec<AclEntry> =
            vec![acl_entry(&format!("nae-{x}-{way}-web"), Policy::Drop, RuleProtocol::Tcp, named("203.0.113.0/24"))];
        if strict {
            for (n, block) in (1..).zip(&peers) {
                list.push(acl_entry(&format!("nae-{x}-{way}-peer{n}"), Policy::Accept, RuleProtocol::Icmp, *block));
            }
            list.push(acl_entry(&format!("nae-{x}-{way}-rest"), Policy::Drop, RuleProtocol::All, everything));
        } else {
            list.push(acl_entry(&format!("nae-{x}-{way}-all"), Policy::Accept, RuleProtocol::All, everything));
        }
        list
    };
    bind_acl(config, names, &id, entries("in"), entries("out"));
}

/// Binds an ACL to the host's vSwitch.
pub fn bind_acl(config: &mut Snapshot, names: &Names, id: &str, ingress: Vec<AclEntry>, egress: Vec<AclEntry>) {
    list_mut(&mut config.network_acls).push(NetworkAcl {
        id: named(id),
        vpc: named(&names.vpc),
        ingress: Known::Known(ingress),
        egress: Known::Known(egress),
        vswitches: vec![named(&names.vswitch)],
        provenance: Provenance(0),
    });
    for vswitch in list_mut(&mut config.vswitches).iter_mut().filter(|v| v.id.as_str() == names.vswitch) {
        vswitch.network_acl = Some(named(id));
    }
}

/// Objects that are not related to the pair: another VPC, router interfaces to a third account, routes to it.
fn bystanders(random: &mut Random, world: &mut World, grounds: &[Ground; 2]) {
    for ground in grounds {
        let (side, x) = (ground.side, ground.letter);
        if random.percent(50) {
            list_mut(&mut world.config_mut(side).vpcs).push(Vpc {
                id: named(&format!("vpc-{x}-lab")),
                name: "lab".into(),
                cidr: named("10.250.0.0/16"),
                secondary_cidrs: vec![],
                router: Some(named(&format!("vrt-{x}-lab"))),
                provenance: Provenance(0),
            });
        }
        for n in 0..random.below(3) {
            let id = format!("ri-{x}-partner{n}");
            let mut ri = interface(
                &id,
                side,
                &format!("vrt-{x}"),
                &format!("vpc-{x}"),
                [&format!("ri-partner{n}"), &format!("vrt-partner{n}"), ACCOUNTS[2], REGIONS[2]],
            );
            ri.opposite_vpc = Some(named(&format!("vpc-partner{n}")));
            list_mut(&mut world.config_mut(side).router_interfaces).push(ri);
            let block: Cidr = named(&format!("10.22{n}.0.0/16"));
            for table in list_mut(&mut world.config_mut(side).route_tables) {
                let route = entry(&format!("rte-{}-partner{n}", table.id), block, NextHopKind::RouterInterface, &id);
                list_mut(&mut table.entries).push(route);
            }
        }
    }
}

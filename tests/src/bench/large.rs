//! An account far larger than the tutorial's, created directly in the world state: the load for the benchmark of
//! `gather`. Only the numbers of objects matter; no packets flow through them.

use crate::cloud::{
    Eni, Hop, Instance, InstanceState, Origin, Peer, Role, RouteEntry, RouteTable, RouterInterface,
    RouterInterfaceState, Rule, SecurityGroup, VSwitch, Vpc, World,
};
use ipnet::Ipv4Net;
use jiff::Timestamp;
use std::net::Ipv4Addr;

/// Size of the generated account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// VPCs, each with two vSwitches.
    pub vpcs: u32,
    /// Route tables per VPC, the system table included.
    pub tables_per_vpc: u32,
    /// Custom routes per route table.
    pub routes_per_table: u32,
    /// Security groups.
    pub groups: u32,
    /// Rules per group.
    pub rules_per_group: u32,
    /// Network interfaces (ENIs); every tenth is attached to an instance.
    pub enis: u32,
}

/// vSwitches per VPC.
const VSWITCHES: u32 = 2;
/// Router interfaces in the whole account.
const INTERFACES: u32 = 20;

/// Number of objects of each kind that a complete gathering must return.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// VPCs.
    pub vpcs: usize,
    /// vSwitches.
    pub vswitches: usize,
    /// Route tables.
    pub tables: usize,
    /// Routes, system routes included.
    pub routes: usize,
    /// Router interfaces.
    pub interfaces: usize,
    /// Security groups.
    pub groups: usize,
    /// Rules of all security groups.
    pub rules: usize,
    /// Instances.
    pub instances: usize,
    /// Network interfaces.
    pub enis: usize,
}

impl Size {
    /// Numbers of objects that `fill` creates for this size.
    pub fn counts(&self) -> Counts {
        let count = |n: u32| n as usize;
        let tables = count(self.vpcs * self.tables_per_vpc);
        // Each table has one system route per vSwitch and one for the cloud's services.
        let routes = tables * (count(self.routes_per_table) + count(VSWITCHES) + 1);
        Counts {
            vpcs: count(self.vpcs),
            vswitches: count(self.vpcs * VSWITCHES),
            tables,
            routes,
            interfaces: count(INTERFACES.min(self.vpcs)),
            groups: count(self.groups),
            rules: count(self.groups * self.rules_per_group),
            instances: count(self.enis.div_ceil(10)),
            enis: count(self.enis),
        }
    }
}

/// The block of a VPC (`third` is 0) or of one of its vSwitches. Each of the first 256 VPCs has its own /16 from
/// 10.0.0.0 on; none overlaps the tutorial's blocks.
fn block(vpc: u32, third: u32) -> Ipv4Net {
    let [_, second, _, _] = vpc.to_be_bytes().map(u32::from);
    let (first, second) = (10 + (second & 1), vpc & 0xff);
    let octet = |n: u32| u8::try_from(n & 0xff).unwrap_or(0);
    let address = Ipv4Addr::new(octet(first), octet(second), octet(third), 0);
    // The prefix length is 16 or 24, so this cannot fail.
    Ipv4Net::new(address, if third == 0 { 16 } else { 24 }).unwrap_or_default()
}

/// Creates the account's objects. The ids have a form that the cloud never generates, so the two cannot collide.
pub(super) fn fill(world: &mut World, owner: &str, region: &str, size: Size, at: Timestamp) {
    for n in 0..size.vpcs {
        vpc(world, owner, region, n, at);
        for table in 0..size.tables_per_vpc {
            route_table(world, (owner, region), (n, table), size, at);
        }
    }
    for n in 0..INTERFACES.min(size.vpcs) {
        router_interface(world, owner, region, n, at);
    }
    for n in 0..size.groups {
        group(world, (owner, region), n, size, at);
    }
    for n in 0..size.enis {
        eni(world, (owner, region), n, size, at);
    }
}

fn vpc_id(n: u32) -> String {
    format!("vpc-m5elarge{n:05}")
}

fn table_id(vpc: u32, n: u32) -> String {
    format!("vtb-m5elarge{vpc:05}x{n:02}")
}

fn vswitch_id(vpc: u32, n: u32) -> String {
    format!("vsw-m5elarge{vpc:05}x{n}")
}

fn interface_id(n: u32) -> String {
    format!("ri-m5elarge{n:05}")
}

fn group_id(n: u32) -> String {
    format!("sg-m5elarge{n:05}")
}

fn vpc(world: &mut World, owner: &str, region: &str, n: u32, created: Timestamp) {
    let vpc = Vpc {
        id: vpc_id(n),
        owner: owner.to_owned(),
        region: region.to_owned(),
        name: format!("vpc{n}"),
        description: String::new(),
        cidr: block(n, 0),
        secondary: vec![],
        vrouter: format!("vrt-m5elarge{n:05}"),
        system_table: table_id(n, 0),
        created,
    };
    world.vpcs.insert(vpc.id.clone(), vpc);
    for number in 0..VSWITCHES {
        let vswitch = VSwitch {
            id: vswitch_id(n, number),
            owner: owner.to_owned(),
            region: region.to_owned(),
            name: format!("vsw{number}"),
            description: String::new(),
            vpc: vpc_id(n),
            zone: format!("{region}-b"),
            cidr: block(n, number + 1),
            table: table_id(n, 0),
            acl: None,
            created,
        };
        world.vswitches.insert(vswitch.id.clone(), vswitch);
    }
}

fn route_table(world: &mut World, (owner, region): (&str, &str), (vpc, n): (u32, u32), size: Size, created: Timestamp) {
    let entries = (0..size.routes_per_table).map(|route| RouteEntry {
        id: format!("rte-m5elarge{vpc:05}x{n:02}x{route:03}"),
        name: String::new(),
        description: String::new(),
        destination: Ipv4Net::from(Ipv4Addr::from(0xac10_0000 + (route << 8))),
        hops: vec![Hop {
            kind: "RouterInterface".to_owned(),
            id: interface_id(vpc % INTERFACES),
            weight: 0,
            enabled: true,
        }],
        origin: Origin::Custom,
        status: "Available".to_owned(),
    });
    let table = RouteTable {
        id: table_id(vpc, n),
        owner: owner.to_owned(),
        region: region.to_owned(),
        name: format!("table{n}"),
        description: String::new(),
        vpc: vpc_id(vpc),
        system: n == 0,
        entries: entries.collect(),
        created,
    };
    world.tables.insert(table.id.clone(), table);
}

fn router_interface(world: &mut World, owner: &str, region: &str, n: u32, at: Timestamp) {
    let interface = RouterInterface {
        id: interface_id(n),
        owner: owner.to_owned(),
        region: region.to_owned(),
        name: format!("ri{n}"),
        description: String::new(),
        role: Role::Initiating,
        spec: "Mini.2".to_owned(),
        router: format!("vrt-m5elarge{n:05}"),
        vpc: vpc_id(n),
        state: RouterInterfaceState::Idle,
        business: crate::cloud::Business::Normal,
        opposite: crate::cloud::Opposite::default(),
        health_check: (String::new(), String::new()),
        health_check_pace: (0, 0),
        created: at,
        connected: None,
        modified: at,
    };
    world.interfaces.insert(interface.id.clone(), interface);
}

fn group(world: &mut World, (owner, region): (&str, &str), n: u32, size: Size, created: Timestamp) {
    let rules = (0..size.rules_per_group).map(|rule| Rule {
        id: format!("sgr-m5elarge{n:05}x{rule:03}"),
        ingress: rule.is_multiple_of(2),
        accept: rule % 7 != 0,
        priority: u8::try_from(rule % 100 + 1).unwrap_or(1),
        protocol: "TCP".to_owned(),
        ports: format!("{}/{}", rule + 1, rule + 1000),
        source_ports: String::new(),
        peer: Peer { cidr: format!("172.16.{}.0/24", rule % 256), ..Peer::default() },
        own_cidr: String::new(),
        own_cidr6: String::new(),
        description: format!("rule {rule} of group {n}"),
        created,
    });
    let group = SecurityGroup {
        id: group_id(n),
        owner: owner.to_owned(),
        region: region.to_owned(),
        name: format!("group{n}"),
        description: String::new(),
        vpc: vpc_id(n % size.vpcs.max(1)),
        enterprise: n % 2 == 1,
        inner_accept: n.is_multiple_of(2),
        rules: rules.collect(),
        created,
    };
    world.groups.insert(group.id.clone(), group);
}

fn eni(world: &mut World, (owner, region): (&str, &str), n: u32, size: Size, created: Timestamp) {
    let vpc = n % size.vpcs.max(1);
    let instance = n.is_multiple_of(10).then(|| format!("i-m5elarge{n:05}"));
    let octets = n.to_be_bytes();
    let eni = Eni {
        id: format!("eni-m5elarge{n:05}"),
        owner: owner.to_owned(),
        region: region.to_owned(),
        name: format!("eni{n}"),
        vpc: vpc_id(vpc),
        vswitch: vswitch_id(vpc, 0),
        mac: [0, 0x16, octets[0], octets[1], octets[2], octets[3]],
        addresses: block(vpc, 1).hosts().nth((n / size.vpcs.max(1)) as usize).into_iter().collect(),
        groups: vec![group_id(n % size.groups.max(1))],
        instance: instance.clone(),
        primary: instance.is_some(),
        created,
    };
    if let Some(id) = instance {
        let instance = Instance {
            id: id.clone(),
            owner: owner.to_owned(),
            region: region.to_owned(),
            zone: format!("{region}-b"),
            name: format!("ecs{n}"),
            state: InstanceState::Stopped,
            enis: vec![eni.id.clone()],
            ram_role: String::new(),
            metadata_tokens_required: false,
            metadata_enabled: true,
            created,
        };
        world.instances.insert(id, instance);
    }
    world.enis.insert(eni.id.clone(), eni);
}

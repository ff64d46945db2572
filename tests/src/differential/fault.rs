//! Faults from a seed: what owners get wrong, as calls of the API with names instead of ids.
//!
//! A fault is drawn from the topology alone and may be refused by the cloud when it is made (two faults may contradict
//! each other); what it does to packets is neither known nor asked here.

use super::draw::{PORTS, overlap};
use crate::topology::{Instance, NetworkAcl, PeeringKind, Rule, SecurityGroup, Topology, VSwitch, Vpc};
use ipnet::Ipv4Net;
use pingtong_worlds::random::Random;
use serde::Serialize;
use std::collections::BTreeMap;

/// A call, as `[[do]]` of a scenario has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultCall {
    /// The account's name.
    #[serde(rename = "as")]
    pub account: String,
    /// `product:Action`.
    pub call: String,
    /// Parameters; `${…}` are names.
    pub with: BTreeMap<String, String>,
    /// Name → path in the answer, for later calls.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub save: BTreeMap<String, String>,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In a few words.
    pub what: &'static str,
    /// What does it.
    pub calls: Vec<FaultCall>,
}

type Kind = fn(&mut Draw<'_>) -> Option<Fault>;

/// Each as likely as the others.
const KINDS: [Kind; 21] = [
    route_deleted,
    route_deleted,
    route_narrowed,
    route_to_neighbour,
    route_to_instance,
    route_elsewhere,
    connection_broken,
    rule_revoked,
    rule_revoked,
    rule_dropping,
    rule_added,
    group_left,
    group_joined,
    acl_changed,
    acl_changed,
    acl_bound,
    table_bound,
    list_changed,
    instance_stopped,
    vswitch_over_peer,
    address_moved,
];

/// Up to three faults.
pub fn faults(random: &mut Random, topology: &Topology) -> Vec<Fault> {
    let count = 1 + random.below(3);
    let mut draw = Draw { random, topology };
    let mut made = vec![];
    for _ in 0..count {
        for _ in 0..8 {
            if let Some(fault) = draw.random.pick(&KINDS).and_then(|kind| kind(&mut draw)) {
                made.push(fault);
                break;
            }
        }
    }
    made
}

struct Draw<'a> {
    random: &'a mut Random,
    topology: &'a Topology,
}

fn call<const N: usize>(vpc: &Vpc, name: &str, with: [(&str, String); N]) -> FaultCall {
    let mut with: BTreeMap<String, String> = with.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    with.insert("RegionId".into(), vpc.region.clone());
    FaultCall { account: vpc.account().to_owned(), call: name.to_owned(), with, save: BTreeMap::new() }
}

fn named(name: &str) -> String {
    format!("${{{name}}}")
}

fn in_vpc(vpc: &Vpc, name: &str) -> String {
    named(&format!("{}.{name}", vpc.name.get_ref()))
}

fn of_account(vpc: &Vpc, name: &str) -> String {
    named(&format!("{}.{name}", vpc.account()))
}

/// A side of a peering, as its routes see it.
struct Way<'a> {
    vpc: &'a Vpc,
    peer: &'a Vpc,
    /// Next hop type and id.
    hop: (&'static str, String),
    table: String,
}

impl<'a> Draw<'a> {
    fn vpc(&mut self) -> Option<&'a Vpc> {
        self.random.pick(&self.topology.vpcs)
    }

    fn way(&mut self) -> Option<Way<'a>> {
        let topology = self.topology;
        let peering = self.random.pick(&topology.peerings)?;
        let mut ends = [(&peering.initiator, "initiator"), (&peering.acceptor, "acceptor")];
        self.random.shuffle(&mut ends);
        let [(own, side), (other, _)] = ends;
        let (vpc, peer) = (topology.vpc(own.get_ref())?, topology.vpc(other.get_ref())?);
        let kind = match peering.kind {
            PeeringKind::RouterInterface => "RouterInterface",
            PeeringKind::VpcPeering => "VpcPeer",
            PeeringKind::TransitRouter => "Attachment",
        };
        let mut tables: Vec<&str> = vec!["route_table"];
        tables.extend(vpc.route_tables.iter().map(|table| table.name.get_ref().as_str()));
        let table = in_vpc(vpc, self.random.pick(&tables)?);
        Some(Way { vpc, peer, hop: (kind, named(&format!("{}.{side}", peering.name.get_ref()))), table })
    }

    fn block_of(&mut self, vpc: &Vpc) -> String {
        let blocks: Vec<&str> = vpc.cidrs().collect();
        self.random.pick(&blocks).map(|block| (*block).to_owned()).unwrap_or_default()
    }

    /// A part of a VPC: a vSwitch's block, the half of it, or one host.
    fn part_of(&mut self, vpc: &Vpc) -> Option<String> {
        let vswitch: Ipv4Net = self.random.pick(&vpc.vswitches)?.cidr.get_ref().parse().ok()?;
        Some(match self.random.below(3) {
            0 => vswitch.to_string(),
            1 => Ipv4Net::new(vswitch.network(), vswitch.prefix_len() + 1).ok()?.to_string(),
            _ => format!("{}/32", self.random.pick(&vpc.instances)?.ip.get_ref()),
        })
    }

    fn group(&mut self) -> Option<(&'a Vpc, &'a SecurityGroup)> {
        let vpc = self.vpc()?;
        Some((vpc, self.random.pick(&vpc.security_groups)?))
    }

    fn instance(&mut self) -> Option<(&'a Vpc, &'a Instance)> {
        let vpc = self.vpc()?;
        Some((vpc, self.random.pick(&vpc.instances)?))
    }

    fn vswitch(&mut self) -> Option<(&'a Vpc, &'a VSwitch)> {
        let vpc = self.vpc()?;
        Some((vpc, self.random.pick(&vpc.vswitches)?))
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.random.percent(chance)
    }
}

fn delete(way: &Way<'_>, destination: &str) -> FaultCall {
    let with = [
        ("RouteTableId", way.table.clone()),
        ("DestinationCidrBlock", destination.to_owned()),
        ("NextHopId", way.hop.1.clone()),
    ];
    call(way.vpc, "vpc:DeleteRouteEntry", with)
}

fn create(way: &Way<'_>, destination: &str, (kind, id): (&str, String)) -> FaultCall {
    let with = [
        ("RouteTableId", way.table.clone()),
        ("DestinationCidrBlock", destination.to_owned()),
        ("NextHopType", kind.to_owned()),
        ("NextHopId", id),
    ];
    call(way.vpc, "vpc:CreateRouteEntry", with)
}

fn route_deleted(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let block = draw.block_of(way.peer);
    Some(Fault { what: "a route is deleted", calls: vec![delete(&way, &block)] })
}

fn route_narrowed(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let (block, part) = (draw.block_of(way.peer), draw.part_of(way.peer)?);
    let calls = vec![delete(&way, &block), create(&way, &part, way.hop.clone())];
    Some(Fault { what: "a route covers a part only", calls })
}

fn route_to_neighbour(draw: &mut Draw<'_>) -> Option<Fault> {
    let (way, other) = (draw.way()?, draw.way()?);
    let part = if draw.percent(50) { draw.part_of(way.peer)? } else { draw.block_of(way.peer) };
    let mut calls = vec![];
    if draw.percent(50) {
        calls.push(delete(&way, &part));
    }
    calls.push(create(&way, &part, other.hop.clone()));
    (other.vpc.name == way.vpc.name).then_some(Fault { what: "a route leads into another connection", calls })
}

fn route_to_instance(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let host = draw.random.pick(&way.vpc.instances)?;
    let id = named(&host.full_name(way.vpc));
    let part = draw.part_of(way.peer)?;
    Some(Fault {
        what: "a route leads to an instance that forwards nothing",
        calls: vec![create(&way, &part, ("Instance", id))],
    })
}

fn route_elsewhere(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let block: Ipv4Net = draw.block_of(way.peer).parse().ok()?;
    let wider = block.supernet()?;
    let calls = if draw.percent(50) {
        vec![delete(&way, &block.to_string()), create(&way, &wider.to_string(), way.hop.clone())]
    } else {
        vec![create(&way, "0.0.0.0/0", way.hop.clone()), delete(&way, &block.to_string())]
    };
    Some(Fault { what: "a wider route stands in", calls })
}

fn connection_broken(draw: &mut Draw<'_>) -> Option<Fault> {
    let topology = draw.topology;
    let peering = draw.random.pick(&topology.peerings)?;
    let side = if draw.percent(50) { "initiator" } else { "acceptor" };
    let end = if side == "initiator" { &peering.initiator } else { &peering.acceptor };
    let vpc = topology.vpc(end.get_ref())?;
    let id = named(&format!("{}.{side}", peering.name.get_ref()));
    let calls = match peering.kind {
        PeeringKind::RouterInterface => {
            let freeze = call(vpc, "vpc:DeactivateRouterInterface", [("RouterInterfaceId", id.clone())]);
            let thaw = call(vpc, "vpc:ActivateRouterInterface", [("RouterInterfaceId", id)]);
            if draw.percent(85) { vec![freeze] } else { vec![freeze, thaw] }
        }
        PeeringKind::VpcPeering => {
            vec![call(vpc, "vpcpeer:DeleteVpcPeerConnection", [("InstanceId", id), ("Force", "true".into())])]
        }
        PeeringKind::TransitRouter => {
            let table = named(&format!("{}.{side}.route_table", peering.name.get_ref()));
            let with = [("TransitRouterRouteTableId", table), ("TransitRouterAttachmentId", id)];
            let action = if draw.percent(50) {
                "cbn:DissociateTransitRouterAttachmentFromRouteTable"
            } else {
                "cbn:DisableTransitRouterRouteTablePropagation"
            };
            let owner = topology.vpc(peering.initiator.get_ref())?;
            let mut one = call(owner, action, with);
            one.with.insert("RegionId".into(), vpc.region.clone());
            vec![one]
        }
    };
    Some(Fault { what: "a connection is broken", calls })
}

fn rule_call(vpc: &Vpc, group: &SecurityGroup, (ingress, rule): (bool, &Rule), verb: &str) -> FaultCall {
    let (way, end) = if ingress { ("", "Source") } else { ("Egress", "Dest") };
    let far = if ingress { &rule.source } else { &rule.destination };
    let far = far.as_ref().map_or("0.0.0.0/0", |far| far.get_ref());
    let list = vpc.prefix_lists.iter().any(|list| list.name.get_ref() == far);
    let other = vpc.security_groups.iter().any(|group| group.name.get_ref() == far);
    let (key, value) = match (list, other) {
        (true, _) => (format!("Permissions.1.{end}PrefixListId"), of_account(vpc, far)),
        (_, true) => (format!("Permissions.1.{end}GroupId"), of_account(vpc, far)),
        _ => (format!("Permissions.1.{end}CidrIp"), far.to_owned()),
    };
    let with = [
        ("SecurityGroupId", of_account(vpc, group.name.get_ref())),
        ("Permissions.1.IpProtocol", rule.protocol.clone()),
        ("Permissions.1.PortRange", rule.ports.clone()),
        ("Permissions.1.Policy", rule.policy.clone()),
        ("Permissions.1.Priority", rule.priority.to_string()),
        ("Permissions.1.NicType", "intranet".into()),
        (&key, value),
    ];
    call(vpc, &format!("ecs:{verb}SecurityGroup{way}"), with)
}

fn rule_revoked(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, group) = draw.group()?;
    let rules: Vec<(bool, &Rule)> =
        group.ingress.iter().map(|r| (true, r)).chain(group.egress.iter().map(|r| (false, r))).collect();
    let rule = draw.random.pick(&rules)?;
    Some(Fault { what: "a rule is revoked", calls: vec![rule_call(vpc, group, *rule, "Revoke")] })
}

fn drawn_rule(draw: &mut Draw<'_>, policy: &str) -> Option<(bool, Rule)> {
    let way = draw.way()?;
    let far = match draw.random.below(3) {
        0 => draw.part_of(way.peer)?,
        1 => "0.0.0.0/0".to_owned(),
        _ => draw.block_of(way.peer),
    };
    let ingress = draw.percent(60);
    let far = Some(super::draw::text(far));
    let (source, destination) = if ingress { (far, None) } else { (None, far) };
    let port = draw.random.pick(&PORTS)?;
    let (protocol, ports) = match draw.random.below(4) {
        0 => ("all", "-1/-1".to_owned()),
        1 => ("tcp", format!("{port}/{port}")),
        2 => ("udp", "1/65535".to_owned()),
        _ => ("icmp", "-1/-1".to_owned()),
    };
    let priority = draw.random.pick(&[1_u16, 2, 60]).copied()?;
    Some((ingress, Rule { protocol: protocol.into(), ports, source, destination, policy: policy.into(), priority }))
}

fn rule_dropping(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, group) = draw.group()?;
    let (ingress, rule) = drawn_rule(draw, "drop")?;
    Some(Fault { what: "a rule drops", calls: vec![rule_call(vpc, group, (ingress, &rule), "Authorize")] })
}

fn rule_added(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, group) = draw.group()?;
    let (ingress, rule) = drawn_rule(draw, "accept")?;
    Some(Fault { what: "a rule accepts", calls: vec![rule_call(vpc, group, (ingress, &rule), "Authorize")] })
}

fn membership(draw: &mut Draw<'_>, verb: &str) -> Option<FaultCall> {
    let (vpc, instance) = draw.instance()?;
    let group = draw.random.pick(&vpc.security_groups)?;
    let member = instance.security_groups.contains(&group.name);
    let with =
        [("SecurityGroupId", of_account(vpc, group.name.get_ref())), ("InstanceId", named(&instance.full_name(vpc)))];
    (member == (verb == "Leave")).then(|| call(vpc, &format!("ecs:{verb}SecurityGroup"), with))
}

fn group_left(draw: &mut Draw<'_>) -> Option<Fault> {
    Some(Fault { what: "an instance leaves a group", calls: vec![membership(draw, "Leave")?] })
}

fn group_joined(draw: &mut Draw<'_>) -> Option<Fault> {
    Some(Fault { what: "an instance joins a group", calls: vec![membership(draw, "Join")?] })
}

fn acl_changed(draw: &mut Draw<'_>) -> Option<Fault> {
    let vpc = draw.vpc()?;
    let acl: &NetworkAcl = draw.random.pick(&vpc.network_acls)?;
    let ingress = draw.percent(50);
    let (side, end) = if ingress { ("Ingress", "SourceCidrIp") } else { ("Egress", "DestinationCidrIp") };
    let mut one = call(vpc, "vpc:UpdateNetworkAclEntries", [("NetworkAclId", in_vpc(vpc, acl.name.get_ref()))]);
    one.with.insert(format!("Update{side}AclEntries"), "true".into());
    for n in 1..=draw.random.below(4) {
        let policy = if draw.percent(60) { "accept" } else { "drop" };
        let (_, rule) = drawn_rule(draw, policy)?;
        let far = rule.source.or(rule.destination).map(toml::Spanned::into_inner).unwrap_or_default();
        for (key, value) in [("Policy", rule.policy), ("Protocol", rule.protocol), ("Port", rule.ports), (end, far)] {
            one.with.insert(format!("{side}AclEntries.{n}.{key}"), value);
        }
    }
    Some(Fault { what: "a network ACL has other entries", calls: vec![one] })
}

fn acl_bound(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, vswitch) = draw.vswitch()?;
    let bind = |verb: &str, acl: &str| {
        let with = [
            ("NetworkAclId", in_vpc(vpc, acl)),
            ("Resource.1.ResourceId", in_vpc(vpc, vswitch.name.get_ref())),
            ("Resource.1.ResourceType", "VSwitch".to_owned()),
        ];
        call(vpc, &format!("vpc:{verb}NetworkAcl"), with)
    };
    let other = draw.random.pick(&vpc.network_acls)?.name.get_ref();
    let calls = match &vswitch.network_acl {
        Some(own) if own.get_ref() == other => vec![bind("Unassociate", other)],
        Some(own) => vec![bind("Unassociate", own.get_ref()), bind("Associate", other)],
        None => vec![bind("Associate", other)],
    };
    Some(Fault { what: "a network ACL is bound elsewhere", calls })
}

fn table_bound(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, vswitch) = draw.vswitch()?;
    let bind = |verb: &str, table: &str| {
        let with = [("RouteTableId", in_vpc(vpc, table)), ("VSwitchId", in_vpc(vpc, vswitch.name.get_ref()))];
        call(vpc, &format!("vpc:{verb}RouteTable"), with)
    };
    if draw.percent(40) {
        // One without any route of the tutorial.
        let with = [("VpcId", named(vpc.name.get_ref())), ("RouteTableName", "empty".to_owned())];
        let mut made = call(vpc, "vpc:CreateRouteTable", with);
        made.save.insert("made".into(), "Response.RouteTableId".into());
        let mut bound = bind("Associate", "route_table");
        bound.with.insert("RouteTableId".into(), named("made"));
        return Some(Fault { what: "a vSwitch gets a table without routes", calls: vec![made, bound] });
    }
    let other = draw.random.pick(&vpc.route_tables)?.name.get_ref();
    let calls = match &vswitch.route_table {
        Some(own) if own.get_ref() == other => vec![bind("Unassociate", other)],
        Some(own) => vec![bind("Unassociate", own.get_ref()), bind("Associate", other)],
        None => vec![bind("Associate", other)],
    };
    Some(Fault { what: "a vSwitch has another table", calls })
}

fn list_changed(draw: &mut Draw<'_>) -> Option<Fault> {
    let vpc = draw.vpc()?;
    let list = draw.random.pick(&vpc.prefix_lists)?;
    let with = [
        ("PrefixListId", of_account(vpc, list.name.get_ref())),
        ("RemoveEntry.1.Cidr", draw.random.pick(&list.entries)?.get_ref().clone()),
    ];
    Some(Fault { what: "a prefix list lacks an entry", calls: vec![call(vpc, "ecs:ModifyPrefixList", with)] })
}

fn instance_stopped(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, instance) = draw.instance()?;
    let with = [("InstanceId", named(&instance.full_name(vpc)))];
    Some(Fault { what: "an instance is stopped", calls: vec![call(vpc, "ecs:StopInstance", with)] })
}

/// A vSwitch of the own VPC in the middle of the peer's block: its system route swallows what is sent there.
fn vswitch_over_peer(draw: &mut Draw<'_>) -> Option<Fault> {
    let way = draw.way()?;
    let over: Ipv4Net = draw.random.pick(&way.peer.vswitches)?.cidr.get_ref().parse().ok()?;
    if way.vpc.cidrs().filter_map(|block| block.parse().ok()).any(|own: Ipv4Net| overlap(own, over)) {
        return None;
    }
    let vpc_id = named(way.vpc.name.get_ref());
    let block = [("VpcId", vpc_id.clone()), ("SecondaryCidrBlock", over.to_string())];
    let vswitch = [
        ("VpcId", vpc_id),
        ("VSwitchName", "over".to_owned()),
        ("ZoneId", format!("{}-b", way.vpc.region)),
        ("CidrBlock", over.to_string()),
    ];
    let calls = vec![call(way.vpc, "vpc:AssociateVpcCidrBlock", block), call(way.vpc, "vpc:CreateVSwitch", vswitch)];
    Some(Fault { what: "a vSwitch lies over the peer's", calls })
}

/// A secondary address, which no guest configures by itself, changes nothing for the primary one.
fn address_moved(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, instance) = draw.instance()?;
    let with = [
        ("NetworkInterfaceId", named(&format!("{}.eni", instance.full_name(vpc)))),
        ("SecondaryPrivateIpAddressCount", "1".to_owned()),
    ];
    Some(Fault {
        what: "an interface has one more address",
        calls: vec![call(vpc, "ecs:AssignPrivateIpAddresses", with)],
    })
}

//! Draws faults from a seed: mistakes of an account's owner, as API calls with names instead of ids.
//!
//! A fault is drawn from the topology alone, and the cloud may refuse it when it is made, because two faults may
//! contradict each other. This module does not know what a fault does to packets.

mod connections;
mod filters;
mod routes;

use crate::topology::{Instance, PeeringKind, SecurityGroup, Topology, VSwitch, Vpc};
use ipnet::Ipv4Net;
use pingtong_worlds::random::Random;
use serde::Serialize;
use std::collections::BTreeMap;

/// An API call, as in `[[do]]` of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultCall {
    /// The account's name.
    #[serde(rename = "as")]
    pub account: String,
    /// `product:Action`.
    pub call: String,
    /// Parameters; `${…}` are symbolic names.
    pub with: BTreeMap<String, String>,
    /// Values to save for later calls: name → path in the response.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub save: BTreeMap<String, String>,
}

/// A fault that the owner of an account causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Short description.
    pub what: &'static str,
    /// The API calls that cause it, in order.
    pub calls: Vec<FaultCall>,
}

type Kind = fn(&mut Draw<'_>) -> Option<Fault>;

/// The kinds of fault. Each entry is equally likely; a kind that is listed twice is twice as likely.
const KINDS: [Kind; 28] = [
    routes::deleted,
    routes::deleted,
    routes::narrowed,
    routes::to_neighbour,
    routes::to_instance,
    routes::elsewhere,
    routes::table_bound,
    routes::vswitch_over_peer,
    connections::broken,
    connections::broken,
    connections::removed,
    connections::asked_again,
    connections::black_hole,
    connections::instance_stopped,
    connections::address_added,
    filters::rule_revoked,
    filters::rule_revoked,
    filters::rule_dropping,
    filters::rule_dropping,
    filters::rule_added,
    filters::rule_added,
    filters::group_left,
    filters::group_joined,
    filters::inner_access,
    filters::acl_changed,
    filters::acl_changed,
    filters::acl_bound,
    filters::list_changed,
];

/// Draws up to three faults.
pub fn faults(random: &mut Random, topology: &Topology) -> Vec<Fault> {
    let count = 1 + random.below(3);
    let mut draw = Draw { random, topology };
    let mut made = vec![];
    for _ in 0..count {
        for _ in 0..8 {
            // Faults that only transit routers can have would otherwise be rare.
            let own = draw.percent(25).then(|| connections::black_hole(&mut draw)).flatten();
            let fault = own.or_else(|| draw.random.pick(&KINDS).and_then(|kind| kind(&mut draw)));
            if let Some(fault) = fault {
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

/// One side of a peering as its routes use it: the VPC, its peer, the next hop towards the peer, and a route table.
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

    /// A part of a VPC: a vSwitch's block, the lower half of one, or one host.
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

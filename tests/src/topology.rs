//! A topology: the state once every step of the tutorial is done.
//!
//! The format is a public contract (`[[account]]`, `[[vpc]]`, `[[peering]]`, `[[expect]]`, `[[forbid]]`). Files may
//! also exist outside the repository, so this module depends on no particular name. It reads, checks and writes;
//! `tutorial` creates.

use crate::diagnostics::{Mistake, Mistakes};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::Path,
};
use toml::Spanned;

/// A checked topology.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// `settle_ms` of the collector: for how long a change may not be in effect yet; the collector's own default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_ms: Option<u64>,
    /// Whether agents are the only readers of the accounts: no owner permits the collector to assume a role.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub agents_only: bool,
    /// `steady_probes` of the collector; the collector's own default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_probes: Option<u32>,
    /// Accounts.
    #[serde(rename = "account")]
    pub accounts: Vec<Account>,
    /// VPCs with all their objects.
    #[serde(rename = "vpc")]
    pub vpcs: Vec<Vpc>,
    /// Connections between the VPCs.
    #[serde(rename = "peering", default)]
    pub peerings: Vec<Peering>,
    /// Flows that must work.
    #[serde(rename = "expect", default)]
    pub expects: Vec<Expect>,
    /// Flows that must not pass; `pingtong audit` checks them.
    #[serde(rename = "forbid", default, skip_serializing_if = "Vec::is_empty")]
    pub forbids: Vec<Expect>,
}

/// An account that owns VPCs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Name used in this file, such as `A`.
    pub name: Spanned<String>,
    /// Account id: digits.
    pub id: Spanned<String>,
}

/// A VPC, with the objects in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vpc {
    /// `ACCOUNT.NAME`.
    pub name: Spanned<String>,
    /// Region id, such as `cn-qingdao`.
    pub region: String,
    /// Primary block.
    pub cidr: Spanned<String>,
    /// Further blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary_cidrs: Vec<Spanned<String>>,
    /// vSwitches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vswitches: Vec<VSwitch>,
    /// Custom route tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub route_tables: Vec<RouteTable>,
    /// Network ACLs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_acls: Vec<NetworkAcl>,
    /// Prefix lists of the account in this region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefix_lists: Vec<PrefixList>,
    /// Security groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<SecurityGroup>,
    /// Instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Instance>,
}

/// A vSwitch of a VPC.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VSwitch {
    /// Name inside the VPC.
    pub name: Spanned<String>,
    /// Zone id, such as `cn-qingdao-b`.
    pub zone: String,
    /// Its block, inside one of the VPC's.
    pub cidr: Spanned<String>,
    /// Name of the custom route table bound to it; the system table applies if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_table: Option<Spanned<String>>,
    /// Name of the network ACL bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_acl: Option<Spanned<String>>,
}

/// A custom route table. Step 5 adds the routes to the peers to it, as to the system table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTable {
    /// Name inside the VPC.
    pub name: Spanned<String>,
}

/// A network ACL. A direction without entries keeps those that the cloud creates with a new ACL.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkAcl {
    /// Name inside the VPC.
    pub name: Spanned<String>,
    /// Ingress entries, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<Rule>>,
    /// Egress entries, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<Rule>>,
}

/// A prefix list: a named list of blocks that rules can refer to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixList {
    /// Name inside the account.
    pub name: Spanned<String>,
    /// The blocks in the list.
    pub entries: Vec<Spanned<String>>,
}

/// The type of a security group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// A basic security group.
    #[default]
    Normal,
    /// An enterprise security group.
    Enterprise,
}

/// A security group. Step 6 of the tutorial adds its rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroup {
    /// Name inside the account.
    pub name: Spanned<String>,
    /// Basic or enterprise.
    #[serde(rename = "type", default)]
    pub kind: GroupKind,
    /// Ingress rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<Rule>,
    /// Egress rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<Rule>,
}

/// A rule of a security group or an entry of a network ACL.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `icmp`, `tcp`, `udp`, `gre` or `all`.
    pub protocol: String,
    /// `22/22`, or `-1/-1` for any.
    #[serde(default = "any_port")]
    pub ports: String,
    /// Far end of an ingress rule: a block, or the name of a security group or prefix list of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Spanned<String>>,
    /// Far end of an egress rule, as in `source`.
    #[serde(default, alias = "dest", skip_serializing_if = "Option::is_none")]
    pub destination: Option<Spanned<String>>,
    /// `accept` or `drop`.
    #[serde(default = "accept")]
    pub policy: String,
    /// 1 to 100; smaller wins. Security groups only.
    #[serde(default = "first")]
    pub priority: u16,
}

fn any_port() -> String {
    "-1/-1".into()
}

fn accept() -> String {
    "accept".into()
}

fn first() -> u16 {
    1
}

/// An instance with one network interface.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Name inside the account.
    pub name: Spanned<String>,
    /// Name of its vSwitch inside the VPC.
    pub vswitch: Spanned<String>,
    /// Private address.
    pub ip: Spanned<String>,
    /// Names of its security groups.
    pub security_groups: Vec<Spanned<String>>,
    /// Whether an agent runs on it.
    #[serde(default)]
    pub agent: bool,
}

/// How two VPCs are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeeringKind {
    /// A pair of router interfaces.
    RouterInterface,
    /// A VPC peering connection.
    VpcPeering,
    /// Attachments to a transit router.
    TransitRouter,
}

impl PeeringKind {
    /// The value used in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RouterInterface => "router-interface",
            Self::VpcPeering => "vpc-peering",
            Self::TransitRouter => "transit-router",
        }
    }
}

/// A connection between two VPCs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peering {
    /// Name, unique in the file.
    pub name: Spanned<String>,
    /// How the VPCs are connected.
    pub kind: PeeringKind,
    /// `ACCOUNT.NAME` of the VPC that creates the connection.
    pub initiator: Spanned<String>,
    /// `ACCOUNT.NAME` of the VPC that accepts it.
    pub acceptor: Spanned<String>,
    /// Specification of the initiator's router interface.
    #[serde(default = "smallest")]
    pub spec: String,
}

fn smallest() -> String {
    "Mini.2".into()
}

/// A flow that must work or, in `forbids`, must not; both directions are always checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// An instance, a vSwitch (`A.vpc1.vsw1`), a VPC or a block.
    pub from: Spanned<String>,
    /// The other end, as in `from`.
    pub to: Spanned<String>,
    /// `icmp`, `tcp` or `udp`.
    #[serde(default = "icmp")]
    pub protocol: Spanned<String>,
    /// Destination ports of TCP and UDP: `443/443`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Spanned<String>>,
}

fn icmp() -> Spanned<String> {
    Spanned::new(0..0, "icmp".into())
}

impl Topology {
    /// Reads and checks a topology.
    ///
    /// # Errors
    /// Fails if the file has mistakes. [`Mistakes`] holds all of them, with file, line and what was expected.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Mistakes> {
        let topology: Self = toml::from_str(text).map_err(|e| Mistakes::from_toml(path, text, &e))?;
        let mistakes = Check::default().run(&topology);
        if mistakes.is_empty() { Ok(topology) } else { Err(Mistakes::new(path, text, &mistakes)) }
    }

    /// The VPC with this full name.
    pub fn vpc(&self, name: &str) -> Option<&Vpc> {
        self.vpcs.iter().find(|v| v.name.get_ref() == name)
    }

    /// Every instance with its VPC.
    pub fn instances(&self) -> impl Iterator<Item = (&Vpc, &Instance)> {
        self.vpcs.iter().flat_map(|vpc| vpc.instances.iter().map(move |instance| (vpc, instance)))
    }

    /// Whether an account's owner lets the collector read the account. An owner without an agent does not.
    pub fn grants_role(&self, account: &str) -> bool {
        !self.agents_only && self.instances().any(|(vpc, instance)| instance.agent && vpc.account() == account)
    }

    /// Full names of the instances in a set that an expectation names; for a block, of those whose address is in it.
    pub fn members(&self, set: &str) -> Vec<String> {
        let block = set.parse::<Ipv4Net>().ok().or_else(|| set.parse::<Ipv4Addr>().ok().map(Ipv4Net::from));
        self.instances()
            .filter(|(vpc, instance)| {
                let vswitch = format!("{}.{}", vpc.name.get_ref(), instance.vswitch.get_ref());
                let address = instance.ip.get_ref().parse::<Ipv4Addr>();
                instance.full_name(vpc) == set
                    || vpc.name.get_ref() == set
                    || vswitch == set
                    || block.is_some_and(|b| address.is_ok_and(|a| b.contains(&a)))
            })
            .map(|(vpc, instance)| instance.full_name(vpc))
            .collect()
    }
}

impl Vpc {
    /// The account's name.
    pub fn account(&self) -> &str {
        self.name.get_ref().split('.').next().unwrap_or_default()
    }

    /// The name without the account's name.
    pub fn short_name(&self) -> &str {
        self.name.get_ref().split_once('.').map_or("", |(_, name)| name)
    }

    /// All blocks, the primary first.
    pub fn cidrs(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.cidr).chain(&self.secondary_cidrs).map(|c| c.get_ref().as_str())
    }
}

impl Instance {
    /// `ACCOUNT.NAME`.
    pub fn full_name(&self, vpc: &Vpc) -> String {
        format!("{}.{}", vpc.account(), self.name.get_ref())
    }
}

#[derive(Default)]
struct Check {
    mistakes: Vec<Mistake>,
    names: BTreeSet<String>,
}

impl Check {
    fn run(mut self, t: &Topology) -> Vec<Mistake> {
        let accounts: BTreeSet<&str> = t.accounts.iter().map(|a| a.name.get_ref().as_str()).collect();
        let mut ids = BTreeSet::new();
        for account in &t.accounts {
            self.unique(&account.name, "account");
            let id = account.id.get_ref();
            if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
                self.wrong(
                    &account.id,
                    format!("account id \"{id}\" is not a number"),
                    "digits, as in \"1000000000000001\"",
                );
            }
            if !ids.insert(id.clone()) {
                self.wrong(
                    &account.id,
                    format!("account id \"{id}\" is given twice"),
                    "an id of its own for each account",
                );
            }
        }
        for vpc in &t.vpcs {
            self.vpc(vpc, &accounts);
        }
        for peering in &t.peerings {
            self.unique(&peering.name, "peering");
            for end in [&peering.initiator, &peering.acceptor] {
                if t.vpc(end.get_ref()).is_none() {
                    self.wrong(
                        end,
                        format!("no VPC is named \"{}\"", end.get_ref()),
                        "a VPC of this file, as \"A.vpc1\"",
                    );
                }
            }
        }
        for expect in t.expects.iter().chain(&t.forbids) {
            self.expect(expect, t);
        }
        self.mistakes
    }

    fn vpc(&mut self, vpc: &Vpc, accounts: &BTreeSet<&str>) {
        let name = vpc.name.get_ref();
        let well_formed =
            name.split_once('.').is_some_and(|(a, n)| accounts.contains(a) && !n.is_empty() && !n.contains('.'));
        if !well_formed {
            self.wrong(
                &vpc.name,
                format!("\"{name}\" does not name an account of this file"),
                "ACCOUNT.NAME, as \"A.vpc1\"",
            );
        }
        self.unique(&vpc.name, "VPC");
        let blocks: Vec<Ipv4Net> =
            std::iter::once(&vpc.cidr).chain(&vpc.secondary_cidrs).filter_map(|c| self.block(c)).collect();
        let tables: BTreeSet<&str> = vpc.route_tables.iter().map(|r| r.name.get_ref().as_str()).collect();
        let acls: BTreeSet<&str> = vpc.network_acls.iter().map(|r| r.name.get_ref().as_str()).collect();
        for named in vpc.route_tables.iter().map(|r| &r.name).chain(vpc.network_acls.iter().map(|a| &a.name)) {
            self.unique_in(named, name);
        }
        let mut switches = BTreeMap::new();
        for vswitch in &vpc.vswitches {
            self.unique_in(&vswitch.name, name);
            if let Some(block) = self.block(&vswitch.cidr) {
                if !blocks.is_empty() && !blocks.iter().any(|b| b.contains(&block)) {
                    self.wrong(&vswitch.cidr, format!("{block} lies outside the VPC"), "a block inside the VPC's");
                }
                switches.insert(vswitch.name.get_ref().as_str(), block);
            }
            for (reference, known, what) in
                [(&vswitch.route_table, &tables, "route table"), (&vswitch.network_acl, &acls, "network ACL")]
            {
                if let Some(r) = reference.as_ref().filter(|r| !known.contains(r.get_ref().as_str())) {
                    self.wrong(r, format!("no {what} is named \"{}\"", r.get_ref()), "one of this VPC");
                }
            }
        }
        let groups: BTreeSet<&str> = vpc.security_groups.iter().map(|g| g.name.get_ref().as_str()).collect();
        for group in &vpc.security_groups {
            self.unique_in(&group.name, vpc.account());
        }
        for list in &vpc.prefix_lists {
            self.unique_in(&list.name, vpc.account());
            for entry in &list.entries {
                self.block(entry);
            }
        }
        for instance in &vpc.instances {
            self.instance(instance, vpc, &switches, &groups);
        }
    }

    fn instance(
        &mut self,
        instance: &Instance,
        vpc: &Vpc,
        switches: &BTreeMap<&str, Ipv4Net>,
        groups: &BTreeSet<&str>,
    ) {
        self.unique_in(&instance.name, vpc.account());
        let block = switches.get(instance.vswitch.get_ref().as_str());
        if block.is_none() && !vpc.vswitches.iter().any(|s| s.name.get_ref() == instance.vswitch.get_ref()) {
            self.wrong(
                &instance.vswitch,
                format!("no vSwitch is named \"{}\"", instance.vswitch.get_ref()),
                "one of this VPC",
            );
        }
        match (instance.ip.get_ref().parse::<Ipv4Addr>(), block) {
            (Err(_), _) => {
                self.wrong(&instance.ip, format!("\"{}\" is no address", instance.ip.get_ref()), "as \"192.168.1.10\"");
            }
            (Ok(ip), Some(block)) if !block.contains(&ip) => {
                self.wrong(
                    &instance.ip,
                    format!("{ip} lies outside the vSwitch"),
                    "an address inside the vSwitch's block",
                );
            }
            _ => {}
        }
        if instance.security_groups.is_empty() {
            self.wrong(&instance.name, "an instance needs a security group".into(), "security_groups = [\"sg1\"]");
        }
        for group in instance.security_groups.iter().filter(|g| !groups.contains(g.get_ref().as_str())) {
            self.wrong(group, format!("no security group is named \"{}\"", group.get_ref()), "one of this VPC");
        }
    }

    fn expect(&mut self, expect: &Expect, t: &Topology) {
        for end in [&expect.from, &expect.to] {
            let text = end.get_ref();
            let named = t.vpc(text).is_some()
                || !t.members(text).is_empty()
                || t.vpcs
                    .iter()
                    .any(|v| v.vswitches.iter().any(|s| format!("{}.{}", v.name.get_ref(), s.name.get_ref()) == *text));
            if !named && text.parse::<Ipv4Net>().is_err() && text.parse::<Ipv4Addr>().is_err() {
                self.wrong(
                    end,
                    format!("nothing is named \"{text}\""),
                    "an instance, a vSwitch, a VPC or a block of addresses",
                );
            }
        }
        let protocol = expect.protocol.get_ref().as_str();
        match (protocol, &expect.ports) {
            ("icmp", Some(ports)) => self.wrong(ports, "icmp has no ports".into(), "leave ports out"),
            ("tcp" | "udp", None) => {
                self.wrong(&expect.protocol, format!("{protocol} needs ports"), "ports = \"443/443\"");
            }
            ("icmp" | "tcp" | "udp", _) => {}
            _ => self.wrong(&expect.protocol, format!("\"{protocol}\" is no protocol"), "icmp, tcp or udp"),
        }
        if let Some(ports) =
            expect.ports.as_ref().filter(|p| pingtong_evidence::PortRange::parse_slashed(p.get_ref()).is_none())
        {
            self.wrong(ports, format!("\"{}\" is no range of ports", ports.get_ref()), "ports = \"443/443\"");
        }
    }

    fn block(&mut self, text: &Spanned<String>) -> Option<Ipv4Net> {
        match pingtong_evidence::Cidr::parse(text.get_ref()) {
            Ok(cidr) => cidr.to_string().parse().ok().or_else(|| {
                self.wrong(text, format!("{cidr} is not of IPv4"), "a block such as 192.168.0.0/16");
                None
            }),
            Err(error) => {
                self.wrong(text, error.to_string(), "a block such as 192.168.0.0/16");
                None
            }
        }
    }

    fn unique(&mut self, name: &Spanned<String>, what: &str) {
        if !self.names.insert(name.get_ref().clone()) {
            self.wrong(name, format!("{what} \"{}\" is named twice", name.get_ref()), "a name of its own");
        }
    }

    fn unique_in(&mut self, name: &Spanned<String>, owner: &str) {
        if !self.names.insert(format!("{owner}.{}", name.get_ref())) {
            self.wrong(name, format!("\"{}\" is used twice in \"{owner}\"", name.get_ref()), "a name of its own");
        }
    }

    fn wrong<T>(&mut self, at: &Spanned<T>, what: String, expected: &str) {
        self.mistakes.push(Mistake { span: at.span(), what, expected: expected.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUTORIAL: &str = include_str!("../topologies/tutorial.toml");

    #[test]
    fn the_tutorial_reads_and_expands() {
        let t = Topology::parse(Path::new("tutorial.toml"), TUTORIAL).unwrap();
        assert_eq!(t.members("A.vpc1"), ["A.ecs1"]);
        assert_eq!(t.members("172.16.0.0/12"), ["B.ecs1"]);
        assert_eq!(t.members("A.vpc1.vsw1"), ["A.ecs1"]);
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_line() {
        let text = TUTORIAL
            .replace("192.168.0.0/16\"\nv", "192.168.0.1/16\"\nv")
            .replace("vswitch = \"vsw1\", ip = \"172.16.1.10\"", "vswitch = \"vsw9\", ip = \"172.16.1.10\"");
        let mistakes = Topology::parse(Path::new("mine.toml"), &text).unwrap_err();
        let shown = mistakes.to_string();
        assert_eq!(mistakes.count, 2, "{shown}");
        assert!(shown.contains("mine.toml:") && shown.contains("probably 192.168.0.0/16 was meant"), "{shown}");
        assert!(shown.contains("no vSwitch is named \"vsw9\""), "{shown}");
    }

    #[test]
    fn an_unknown_key_is_a_mistake_that_names_the_known_ones() {
        let shown =
            Topology::parse(Path::new("x.toml"), &TUTORIAL.replace("spec =", "speck =")).unwrap_err().to_string();
        assert!(shown.contains("speck") && shown.contains("expected") && shown.contains("x.toml:"), "{shown}");
    }
}

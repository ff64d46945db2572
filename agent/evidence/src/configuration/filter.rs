//! Security groups, network ACLs and prefix lists.
//!
//! Field names follow the vendor's documents (`API.md` §8).

use crate::{
    AccountId, Cidr, Known, NetworkAclEntryId, NetworkAclId, PortRange, PrefixListId, Provenance, SecurityGroupId,
    SecurityRuleId, VSwitchId, VpcId,
};
use serde::{Deserialize, Serialize};

/// Accept or drop. A drop is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Let through.
    Accept,
    /// Drop without answer.
    Drop,
}

/// The protocol of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleProtocol {
    /// Any protocol.
    All,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP for IPv4.
    Icmp,
    /// ICMP for IPv6.
    Icmpv6,
    /// GRE.
    Gre,
    /// Another protocol by its IANA number.
    Number(u8),
}

/// The remote end that a security group rule matches. If several are given, the CIDR takes precedence, then the prefix
/// list (`SEMANTICS.md` §1.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulePeer {
    /// Any address.
    Any,
    /// A block of addresses; a bare address is a block of one.
    Cidr(Cidr),
    /// Members of a security group; matches within one VPC only.
    Group {
        /// Id of the group.
        id: SecurityGroupId,
        /// Account that owns the group; `None` if it is the rule's own account or not reported.
        owner: Option<AccountId>,
    },
    /// A prefix list.
    PrefixList(PrefixListId),
}

/// A rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityRule {
    /// Id of the rule; `None` if the API omits it.
    #[serde(default)]
    pub id: Option<SecurityRuleId>,
    /// Whether this is an ingress rule; otherwise it is an egress rule.
    pub ingress: bool,
    /// Accept or drop.
    pub policy: Policy,
    /// Priority, 1 to 100 (110 in old default groups). The smaller value wins; at equal priority, drop wins.
    pub priority: u16,
    /// Protocol.
    pub protocol: RuleProtocol,
    /// Destination ports.
    pub ports: PortRange,
    /// Source ports of a five-tuple rule.
    #[serde(default)]
    pub source_ports: Option<PortRange>,
    /// The far end: source of an ingress rule, destination of an egress rule.
    pub peer: RulePeer,
    /// The near end of a five-tuple rule: destination of an ingress rule, source of an egress rule.
    #[serde(default)]
    pub own: Option<Cidr>,
}

/// Basic or enterprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityGroupKind {
    /// Basic: egress allowed unless dropped, members reach each other by default.
    Normal,
    /// Enterprise (advanced): both ways denied unless accepted, members isolated.
    Enterprise,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Id of the security group.
    pub id: SecurityGroupId,
    /// Name, possibly empty.
    #[serde(default)]
    pub name: String,
    /// Its VPC.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Basic or enterprise.
    pub kind: SecurityGroupKind,
    /// Whether members reach each other (`InnerAccessPolicy`).
    #[serde(default)]
    pub inner_access: Known<Policy>,
    /// Its rules, both directions.
    #[serde(default)]
    pub rules: Known<Vec<SecurityRule>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// One entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntry {
    /// Id of the entry; `None` if the API omits it.
    #[serde(default)]
    pub id: Option<NetworkAclEntryId>,
    /// Accept or drop.
    pub policy: Policy,
    /// Protocol.
    pub protocol: RuleProtocol,
    /// Destination ports, in both directions.
    pub ports: PortRange,
    /// The far end: source of an ingress entry, destination of an egress entry.
    pub peer: Cidr,
    /// Whether the cloud created the entry.
    #[serde(default)]
    pub system: bool,
}

/// A network ACL: stateless, in list order, first match decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAcl {
    /// Id of the network ACL.
    pub id: NetworkAclId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Ingress entries in order.
    #[serde(default)]
    pub ingress: Known<Vec<AclEntry>>,
    /// Egress entries in order.
    #[serde(default)]
    pub egress: Known<Vec<AclEntry>>,
    /// vSwitches bound to it.
    #[serde(default)]
    pub vswitches: Vec<VSwitchId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

impl NetworkAcl {
    /// Entries of one traffic direction as seen from the vSwitch.
    pub fn entries(&self, ingress: bool) -> &Known<Vec<AclEntry>> {
        if ingress { &self.ingress } else { &self.egress }
    }
}

/// A prefix list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixList {
    /// Id of the prefix list.
    pub id: PrefixListId,
    /// Its blocks.
    #[serde(default)]
    pub entries: Known<Vec<Cidr>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

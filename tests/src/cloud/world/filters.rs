//! What filters packets: security groups, prefix lists and network ACLs.

use ipnet::Ipv4Net;
use jiff::Timestamp;

/// The far end of a rule. Empty text is unset. A block takes precedence over a group, and a group over a prefix list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// IPv4 block as given.
    pub cidr: String,
    /// IPv6 block as given.
    pub cidr6: String,
    /// Prefix list id.
    pub prefix_list: String,
    /// Security group id.
    pub group: String,
    /// Account id of that group.
    pub group_owner: String,
}

/// A security group rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `sgr-…`
    pub id: String,
    /// True for ingress, false for egress.
    pub ingress: bool,
    /// True to accept, false to drop.
    pub accept: bool,
    /// Priority from 1 to 100; the smaller number takes precedence.
    pub priority: u8,
    /// `TCP`, `UDP`, `ICMP`, `GRE`, `ALL` or a number.
    pub protocol: String,
    /// Destination ports, `a/b`, or `-1/-1` for any.
    pub ports: String,
    /// Source ports, as given; empty if unset.
    pub source_ports: String,
    /// Far end.
    pub peer: Peer,
    /// IPv4 block of the near end, as given; empty if unset.
    pub own_cidr: String,
    /// IPv6 block of the near end, as given; empty if unset.
    pub own_cidr6: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Time of creation.
    pub created: Timestamp,
}

/// A security group.
#[derive(Debug, Clone)]
pub struct SecurityGroup {
    /// `sg-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Id of its VPC.
    pub vpc: String,
    /// Enterprise (advanced) rather than basic.
    pub enterprise: bool,
    /// Whether members of a basic group always reach each other.
    pub inner_accept: bool,
    /// Rules, in the order they were added.
    pub rules: Vec<Rule>,
    /// Time of creation.
    pub created: Timestamp,
}

/// A prefix list.
#[derive(Debug, Clone)]
pub struct PrefixList {
    /// `pl-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Maximum number of entries.
    pub entries_max: u32,
    /// Pairs of block and description.
    pub entries: Vec<(String, String)>,
    /// Time of creation.
    pub created: Timestamp,
}

/// One ordered rule of a network ACL.
#[derive(Debug, Clone)]
pub struct AclEntry {
    /// `nae-…`
    pub id: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// True to accept, false to drop.
    pub accept: bool,
    /// `all`, `icmp`, `gre`, `tcp`, `udp`.
    pub protocol: String,
    /// Destination ports, `a/b`, or `-1/-1` for any.
    pub ports: String,
    /// IPv4 block of the far end.
    pub cidr: Ipv4Net,
    /// Whether its type is `system` (made by the cloud) instead of `custom`.
    pub system: bool,
}

/// A network ACL.
#[derive(Debug, Clone)]
pub struct Acl {
    /// `nacl-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Id of its VPC.
    pub vpc: String,
    /// Entries for packets towards the vSwitch, in order of evaluation.
    pub ingress: Vec<AclEntry>,
    /// Entries for packets from the vSwitch, in order of evaluation.
    pub egress: Vec<AclEntry>,
    /// Time of creation.
    pub created: Timestamp,
}

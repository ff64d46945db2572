//! ECS objects: security groups and their rules, instances, network interfaces, prefix lists.
//!
//! Field names are the vendor's (`API.md` §8). Each function converts one row to one object of the
//! snapshot. Which rule takes effect is not decided here.

use crate::{
    client::listing::{ListingApi, Paging},
    gather::rule::{policy, ports, protocol},
    transport::endpoint::Product,
    transport::row::{Row, RowError},
};
use pingtong_evidence::{
    AccountId, Cidr, Eni, EniStatus, Instance, InstanceStatus, Known, Policy, Provenance, RulePeer, SecurityGroup,
    SecurityGroupKind, SecurityRule,
};

const fn tokened(action: &'static str, container: &'static str, size: u32) -> ListingApi {
    ListingApi { product: Product::Ecs, action, container, paging: Paging::Token("MaxResults", size), regional: true }
}

pub(crate) const SECURITY_GROUPS: ListingApi = tokened("DescribeSecurityGroups", "SecurityGroups", 100);
pub(crate) const SECURITY_RULES: ListingApi = tokened("DescribeSecurityGroupAttribute", "Permissions", 1000);
pub(crate) const INSTANCES: ListingApi = tokened("DescribeInstances", "Instances", 100);
pub(crate) const ENIS: ListingApi = tokened("DescribeNetworkInterfaces", "NetworkInterfaceSets", 100);
pub(crate) const PREFIX_LIST_ENTRIES: ListingApi = ListingApi {
    product: Product::Ecs,
    action: "DescribePrefixListAttributes",
    container: "Entries",
    paging: Paging::Whole,
    regional: true,
};

pub(crate) fn security_group(row: Row<'_>, provenance: Provenance) -> Result<SecurityGroup, RowError> {
    let kind = match row.word("SecurityGroupType").as_deref() {
        // The oldest groups have no type; they are basic groups.
        None | Some("normal") => SecurityGroupKind::Normal,
        Some("enterprise") => SecurityGroupKind::Enterprise,
        other => return Err(RowError::new("SecurityGroupType", other)),
    };
    Ok(SecurityGroup {
        id: row.id("SecurityGroupId")?,
        name: row.text("SecurityGroupName").unwrap_or_default(),
        vpc: row.optional_id("VpcId")?,
        kind,
        inner_access: Known::default(),
        rules: Known::default(),
        provenance,
    })
}

/// The policy for traffic between the members of a group; `None` if the answer does not contain it.
pub(crate) fn inner_access(head: Row<'_>) -> Result<Option<Policy>, RowError> {
    head.text("InnerAccessPolicy").map(|_| policy(head, "InnerAccessPolicy")).transpose()
}

/// Converts a rule. `account` owns the group; a source group of the same account is recorded without an owner.
pub(crate) fn security_rule(row: Row<'_>, account: &AccountId) -> Result<SecurityRule, RowError> {
    let ingress = match row.word("Direction").as_deref() {
        Some("ingress") => true,
        Some("egress") => false,
        other => return Err(RowError::new("Direction", other)),
    };
    if row.text("PortRange").is_none()
        && let Some(list) = row.text("PortRangeListId")
    {
        return Err(RowError::new("PortRangeListId", Some(&list)));
    }
    let priority =
        row.text("Priority").map_or(Ok(1), |text| text.parse().map_err(|_| RowError::new("Priority", Some(&text))))?;
    let (source, dest) = (End::new("Source"), End::new("Dest"));
    let (far, near) = if ingress { (source, dest) } else { (dest, source) };
    let source_ports = row.text("SourcePortRange").is_some().then(|| ports(row, "SourcePortRange")).transpose()?;
    Ok(SecurityRule {
        id: row.optional_id("SecurityGroupRuleId")?,
        ingress,
        policy: policy(row, "Policy")?,
        priority,
        protocol: protocol(row, "IpProtocol")?,
        ports: ports(row, "PortRange")?,
        source_ports: source_ports.filter(|range| *range != pingtong_evidence::PortRange::ALL),
        peer: far.peer(row, account)?,
        own: near.cidr(row)?,
    })
}

/// One end of a rule. The vendor's field names for the two ends differ only in their first word.
struct End(&'static str);

impl End {
    fn new(word: &'static str) -> Self {
        Self(word)
    }

    fn cidr(&self, row: Row<'_>) -> Result<Option<Cidr>, RowError> {
        let four = row.optional_cidr(&format!("{}CidrIp", self.0))?;
        four.map_or_else(|| row.optional_cidr(&format!("Ipv6{}CidrIp", self.0)), |cidr| Ok(Some(cidr)))
    }

    /// The peer of the rule. If several fields are set, the CIDR block takes precedence, then the group, then the
    /// prefix list.
    fn peer(&self, row: Row<'_>, account: &AccountId) -> Result<RulePeer, RowError> {
        if let Some(cidr) = self.cidr(row)? {
            return Ok(RulePeer::Cidr(cidr));
        }
        if let Some(id) = row.optional_id(&format!("{}GroupId", self.0))? {
            let owner: Option<AccountId> = row.optional_id(&format!("{}GroupOwnerAccount", self.0))?;
            return Ok(RulePeer::Group { id, owner: owner.filter(|owner| owner != account) });
        }
        let list = row.optional_id(&format!("{}PrefixListId", self.0))?;
        Ok(list.map_or(RulePeer::Any, RulePeer::PrefixList))
    }
}

pub(crate) fn instance(row: Row<'_>, provenance: Provenance) -> Result<Instance, RowError> {
    let status = match row.word("Status").as_deref() {
        Some("pending") => InstanceStatus::Pending,
        Some("running") => InstanceStatus::Running,
        Some("starting") => InstanceStatus::Starting,
        Some("stopping") => InstanceStatus::Stopping,
        Some("stopped") => InstanceStatus::Stopped,
        _ => InstanceStatus::Unrecognised,
    };
    let network = row.object("VpcAttributes");
    Ok(Instance {
        id: row.id("InstanceId")?,
        name: row.text("InstanceName").unwrap_or_default(),
        status,
        vpc: network.map(|network| network.optional_id("VpcId")).transpose()?.flatten(),
        vswitch: network.map(|network| network.optional_id("VSwitchId")).transpose()?.flatten(),
        addresses: network.map(|network| network.addresses("PrivateIpAddress")).unwrap_or_default(),
        security_groups: row.ids("SecurityGroupIds")?,
        provenance,
    })
}

pub(crate) fn eni(row: Row<'_>, provenance: Provenance) -> Result<Eni, RowError> {
    let status = match row.word("Status").as_deref() {
        Some("inuse") => EniStatus::InUse,
        Some("available") => EniStatus::Available,
        Some("creating" | "attaching" | "detaching" | "deleting" | "createfailed") => EniStatus::Changing,
        _ => EniStatus::Unrecognised,
    };
    let attachment = row.object("Attachment");
    let bound = match row.optional_id("InstanceId")? {
        Some(instance) => Some(instance),
        None => attachment.map(|attachment| attachment.optional_id("InstanceId")).transpose()?.flatten(),
    };
    let mut addresses: Vec<std::net::IpAddr> = vec![];
    let mut add = |text: Option<String>| {
        if let Some(address) = text.and_then(|text| text.parse().ok())
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    };
    add(row.text("PrivateIpAddress"));
    let sets: Vec<_> = row.rows("PrivateIpSets").collect();
    let (primary, further): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| set.flag("Primary") == Some(true));
    primary.iter().chain(&further).for_each(|set| add(set.text("PrivateIpAddress")));
    row.rows("Ipv6Sets").for_each(|set| add(set.text("Ipv6Address")));
    Ok(Eni {
        id: row.id("NetworkInterfaceId")?,
        status,
        primary: row.word("Type").as_deref() == Some("primary"),
        instance: bound,
        vpc: row.optional_id("VpcId")?,
        vswitch: row.optional_id("VSwitchId")?,
        addresses,
        mac: row.text("MacAddress").unwrap_or_default(),
        security_groups: row.ids("SecurityGroupIds")?,
        provenance,
    })
}

pub(crate) fn prefix_list_entry(row: Row<'_>, _: Provenance) -> Result<Cidr, RowError> {
    row.cidr("Cidr")
}

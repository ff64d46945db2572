//! VPC objects: VPCs, vSwitches, route tables and entries, router interfaces, network ACLs.
//!
//! Field names are the vendor's (`API.md` §8). Each function converts one row to one object of the
//! snapshot and decides nothing beyond spelling.

use crate::{
    client::listing::{ListingApi, Paging},
    gather::rule::{policy, ports, protocol},
    transport::endpoint::Product,
    transport::row::{Row, RowError},
};
use pingtong_evidence::{
    AclEntry, AssociateType, BusinessStatus, Cidr, Known, NetworkAcl, NextHop, NextHopKind, Provenance, RouteEntry,
    RouteKind, RouteStatus, RouteTable, RouteTableKind, RouterInterface, RouterInterfaceRole, RouterInterfaceStatus,
    RouterKind, VSwitch, Vpc, WhyUnknown,
};

const fn numbered(action: &'static str, container: &'static str) -> ListingApi {
    ListingApi { product: Product::Vpc, action, container, paging: Paging::Number, regional: true }
}

pub(crate) const VPCS: ListingApi = numbered("DescribeVpcs", "Vpcs");
pub(crate) const VSWITCHES: ListingApi = numbered("DescribeVSwitches", "VSwitches");
pub(crate) const ROUTE_TABLES: ListingApi = numbered("DescribeRouteTableList", "RouterTableList");
pub(crate) const ROUTER_INTERFACES: ListingApi = numbered("DescribeRouterInterfaces", "RouterInterfaceSet");
pub(crate) const NETWORK_ACLS: ListingApi = numbered("DescribeNetworkAcls", "NetworkAcls");
/// Unlike all others, this API spells the parameter `MaxResult`; its maximum is 100.
pub(crate) const ROUTE_ENTRIES: ListingApi = ListingApi {
    product: Product::Vpc,
    action: "DescribeRouteEntryList",
    container: "RouteEntrys",
    paging: Paging::Token("MaxResult", 100),
    regional: true,
};

pub(crate) fn vpc(row: Row<'_>, provenance: Provenance) -> Result<Vpc, RowError> {
    let secondary = row
        .texts("SecondaryCidrBlocks")
        .map(|text| Cidr::parse_masked(&text).map_err(|_| RowError::new("SecondaryCidrBlocks", Some(&text))));
    Ok(Vpc {
        id: row.id("VpcId")?,
        name: row.text("VpcName").unwrap_or_default(),
        cidr: row.cidr("CidrBlock")?,
        secondary_cidrs: secondary.collect::<Result<_, _>>()?,
        router: row.optional_id("VRouterId")?,
        provenance,
    })
}

pub(crate) fn vswitch(row: Row<'_>, provenance: Provenance) -> Result<VSwitch, RowError> {
    Ok(VSwitch {
        id: row.id("VSwitchId")?,
        vpc: row.id("VpcId")?,
        zone: row.optional_id("ZoneId")?,
        cidr: row.cidr("CidrBlock")?,
        route_table: row.object("RouteTable").map(|table| table.optional_id("RouteTableId")).transpose()?.flatten(),
        network_acl: row.optional_id("NetworkAclId")?,
        provenance,
    })
}

/// A route table; `None` if it belongs to a virtual border router (VBR), whose tables serve no vSwitch.
pub(crate) fn route_table(row: Row<'_>, provenance: Provenance) -> Result<Option<RouteTable>, RowError> {
    if row.word("RouterType").as_deref() == Some("vbr") {
        return Ok(None);
    }
    let kind = match row.word("RouteTableType").as_deref() {
        Some("system") => RouteTableKind::System,
        Some("custom") => RouteTableKind::Custom,
        other => return Err(RowError::new("RouteTableType", other)),
    };
    let gateway = row.word("AssociateType").as_deref() == Some("gateway");
    Ok(Some(RouteTable {
        id: row.id("RouteTableId")?,
        vpc: row.id("VpcId")?,
        kind,
        associate_type: if gateway { AssociateType::Gateway } else { AssociateType::VSwitch },
        vswitches: row.ids("VSwitchIds")?,
        entries: Known::default(),
        provenance,
    }))
}

/// A route; `None` if its destination is a prefix list of a cloud service, which contains no private address.
pub(crate) fn route_entry(row: Row<'_>, provenance: Provenance) -> Result<Option<RouteEntry>, RowError> {
    let destination = row.text("DestinationCidrBlock").ok_or_else(|| RowError::new("DestinationCidrBlock", None))?;
    if destination.starts_with("pl-") {
        return Ok(None);
    }
    let destination = row.cidr("DestinationCidrBlock")?;
    let word = row.word("Type");
    let system = word.as_deref() == Some("system");
    let mut next_hops: Vec<NextHop> = row.rows("NextHops").map(|hop| next_hop(hop, system, &destination)).collect();
    if next_hops.is_empty() && (row.text("NextHopType").is_some() || system) {
        next_hops.push(next_hop(row, system, &destination));
    }
    let own = |hop: &NextHop| matches!(hop.kind, NextHopKind::Local | NextHopKind::Service);
    let kind = match word.as_deref() {
        Some("system") => RouteKind::System,
        Some("bgp") => RouteKind::Bgp,
        Some("cen") => RouteKind::Cen,
        Some("ecr") => RouteKind::Ecr,
        None if !next_hops.is_empty() && next_hops.iter().all(own) => RouteKind::System,
        _ => RouteKind::Custom,
    };
    let status = match row.word("Status").as_deref() {
        Some("available" | "created") => RouteStatus::Available,
        Some("pending" | "creating") => RouteStatus::Pending,
        Some("modifying") => RouteStatus::Modifying,
        Some("deleting") => RouteStatus::Deleting,
        _ => RouteStatus::Unrecognised,
    };
    let id = row.optional_id("RouteEntryId")?;
    Ok(Some(RouteEntry { id, destination, kind, status, next_hops, provenance }))
}

/// System routes name their next hop `local` or `service`, or do not name it; then the destination decides.
fn next_hop(row: Row<'_>, system: bool, destination: &Cidr) -> NextHop {
    let services = Cidr::around([100, 64, 0, 0].into(), 10);
    let kind = match row.word("NextHopType").as_deref() {
        None if system && services.covers(destination) => NextHopKind::Service,
        None if system => NextHopKind::Local,
        Some("local") => NextHopKind::Local,
        Some("service") => NextHopKind::Service,
        Some("routerinterface") => NextHopKind::RouterInterface,
        Some("vpcpeer") => NextHopKind::VpcPeering,
        Some("attachment") => NextHopKind::Attachment,
        Some("instance") => NextHopKind::Instance,
        Some("networkinterface") => NextHopKind::NetworkInterface,
        Some("havip") => NextHopKind::HaVip,
        Some("vpngateway") => NextHopKind::VpnGateway,
        Some("natgateway") => NextHopKind::NatGateway,
        Some("ipv4gateway") => NextHopKind::Ipv4Gateway,
        Some("ipv6gateway") => NextHopKind::Ipv6Gateway,
        Some("gatewayendpoint") => NextHopKind::GatewayEndpoint,
        Some("gatewayloadbalancerendpoint") => NextHopKind::GatewayLoadBalancerEndpoint,
        Some("ecr") => NextHopKind::ExpressConnectRouter,
        Some("routetargetgroup") => NextHopKind::RouteTargetGroup,
        _ => NextHopKind::Unrecognised,
    };
    let router_interface = kind == NextHopKind::RouterInterface;
    NextHop {
        kind,
        id: row.text("NextHopId").or_else(|| row.text("InstanceId")).unwrap_or_default(),
        // Only meaningful for router interfaces; other kinds have a zero without meaning.
        enabled: row.flag("Enabled").filter(|_| router_interface),
        weight: row.number("Weight").filter(|_| router_interface),
    }
}

pub(crate) fn router_interface(row: Row<'_>, provenance: Provenance) -> Result<RouterInterface, RowError> {
    let role = match row.word("Role").as_deref() {
        Some("initiatingside") => RouterInterfaceRole::Initiating,
        Some("acceptingside") => RouterInterfaceRole::Accepting,
        other => return Err(RowError::new("Role", other)),
    };
    let status = |name: &str| row.word(name).map(|word| router_interface_status(&word));
    let lock = |name: &str| row.word(name).map(|word| business_status(&word));
    let router_kind = |name: &str| match row.word(name).as_deref() {
        None => Ok(None),
        Some("vrouter") => Ok(Some(RouterKind::VRouter)),
        Some("vbr") => Ok(Some(RouterKind::Vbr)),
        other => Err(RowError::new(name, other)),
    };
    Ok(RouterInterface {
        id: row.id("RouterInterfaceId")?,
        role,
        status: status("Status").unwrap_or(RouterInterfaceStatus::Unrecognised),
        business_status: lock("BusinessStatus").unwrap_or(BusinessStatus::Normal),
        spec: row.text("Spec").unwrap_or_default(),
        bandwidth_mbps: row.number("Bandwidth"),
        router_kind: router_kind("RouterType")?.unwrap_or(RouterKind::VRouter),
        router: row.id("RouterId")?,
        vpc: row.optional_id("VpcInstanceId")?,
        opposite_region: row.optional_id("OppositeRegionId")?,
        opposite_interface: row.optional_id("OppositeInterfaceId")?,
        opposite_owner: row.optional_id("OppositeInterfaceOwnerId")?,
        opposite_router: row.optional_id("OppositeRouterId")?,
        opposite_router_kind: router_kind("OppositeRouterType")?,
        opposite_status: status("OppositeInterfaceStatus"),
        opposite_business_status: lock("OppositeInterfaceBusinessStatus"),
        opposite_vpc: row.optional_id("OppositeVpcInstanceId")?,
        created_at: row.time("CreationTime"),
        connected_at: row.time("ConnectedTime"),
        ends_at: row.time("EndTime"),
        provenance,
    })
}

fn router_interface_status(word: &str) -> RouterInterfaceStatus {
    match word {
        "idle" => RouterInterfaceStatus::Idle,
        "acceptingconnecting" => RouterInterfaceStatus::AcceptingConnecting,
        "connecting" => RouterInterfaceStatus::Connecting,
        "activating" => RouterInterfaceStatus::Activating,
        "active" => RouterInterfaceStatus::Active,
        "modifying" => RouterInterfaceStatus::Modifying,
        "deactivating" => RouterInterfaceStatus::Deactivating,
        "inactive" => RouterInterfaceStatus::Inactive,
        "deleting" => RouterInterfaceStatus::Deleting,
        "deleted" => RouterInterfaceStatus::Deleted,
        _ => RouterInterfaceStatus::Unrecognised,
    }
}

pub(crate) fn business_status(word: &str) -> BusinessStatus {
    match word {
        "normal" => BusinessStatus::Normal,
        "financiallocked" => BusinessStatus::FinancialLocked,
        "securitylocked" => BusinessStatus::SecurityLocked,
        _ => BusinessStatus::Unrecognised,
    }
}

/// A network ACL; its entries are unknown if the listing omits them.
pub(crate) fn network_acl(row: Row<'_>, provenance: Provenance) -> Result<NetworkAcl, RowError> {
    let entries = |list: &str, peer: &str| match row.list(list) {
        None => {
            let (action, message) = (NETWORK_ACLS.name(), format!("{list} is missing"));
            Ok(Known::Unknown(WhyUnknown::Malformed { action, message }))
        }
        Some(_) => row.rows(list).map(|entry| acl_entry(entry, peer)).collect::<Result<_, _>>().map(Known::Known),
    };
    let bound = row.rows("Resources").filter(|resource| {
        let vswitch = resource.word("ResourceType").is_none_or(|word| word == "vswitch");
        vswitch && resource.word("Status").is_none_or(|word| word != "unbinding")
    });
    Ok(NetworkAcl {
        id: row.id("NetworkAclId")?,
        vpc: row.id("VpcId")?,
        ingress: entries("IngressAclEntries", "SourceCidrIp")?,
        egress: entries("EgressAclEntries", "DestinationCidrIp")?,
        vswitches: bound.map(|resource| resource.id("ResourceId")).collect::<Result<_, _>>()?,
        provenance,
    })
}

fn acl_entry(row: Row<'_>, peer: &str) -> Result<AclEntry, RowError> {
    Ok(AclEntry {
        id: row.optional_id("NetworkAclEntryId")?,
        policy: policy(row, "Policy")?,
        protocol: protocol(row, "Protocol")?,
        ports: ports(row, "Port")?,
        peer: row.cidr(peer)?,
        // The cloud's own entries have type `system` or `service`.
        system: row.word("EntryType").is_some_and(|word| word != "custom"),
    })
}

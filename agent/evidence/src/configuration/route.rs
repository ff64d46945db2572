//! Route tables and the routes in them, in every state.
//!
//! Field names follow the vendor's documents (`API.md` §8).

use crate::{Cidr, Known, Provenance, RouteEntryId, RouteTableId, VSwitchId, VpcId};
use serde::{Deserialize, Serialize};

/// System or custom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTableKind {
    /// Created with the VPC; used by every vSwitch without a custom table.
    System,
    /// Created by a user; used by the vSwitches bound to it.
    Custom,
}

/// What a route table may be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssociateType {
    /// vSwitches.
    VSwitch,
    /// A gateway.
    Gateway,
}

/// A route table of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Id of the route table.
    pub id: RouteTableId,
    /// Its VPC.
    pub vpc: VpcId,
    /// System or custom.
    pub kind: RouteTableKind,
    /// What it may be bound to.
    pub associate_type: AssociateType,
    /// vSwitches bound to it, as the route table reports them.
    #[serde(default)]
    pub vswitches: Vec<VSwitchId>,
    /// Its entries.
    #[serde(default)]
    pub entries: Known<Vec<RouteEntry>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// Origin of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteKind {
    /// The cloud: vSwitches and service ranges.
    System,
    /// A user.
    Custom,
    /// Learned by BGP.
    Bgp,
    /// Learned from a Cloud Enterprise Network.
    Cen,
    /// Learned from an Express Connect Router.
    Ecr,
}

/// Whether a route forwards. The documents use different values, so each accepted value is listed
/// (`SEMANTICS.md` §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteStatus {
    /// `Available` or `Created`: it forwards.
    Available,
    /// `Pending` or `Creating`.
    Pending,
    /// `Modifying`.
    Modifying,
    /// `Deleting`.
    Deleting,
    /// A value that the vendor's documents do not list.
    Unrecognised,
}

/// The kind of a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextHopKind {
    /// Inside the VPC: a system route of a vSwitch.
    Local,
    /// A cloud service range such as 100.64.0.0/10.
    Service,
    /// A router interface.
    RouterInterface,
    /// A VPC peering connection.
    VpcPeering,
    /// A transit router attachment.
    Attachment,
    /// An instance.
    Instance,
    /// A network interface.
    NetworkInterface,
    /// A highly available virtual address.
    HaVip,
    /// A VPN gateway.
    VpnGateway,
    /// A NAT gateway.
    NatGateway,
    /// An IPv4 gateway.
    Ipv4Gateway,
    /// An IPv6 gateway.
    Ipv6Gateway,
    /// A gateway endpoint.
    GatewayEndpoint,
    /// A gateway load balancer endpoint.
    GatewayLoadBalancerEndpoint,
    /// An Express Connect Router.
    ExpressConnectRouter,
    /// A route target group.
    RouteTargetGroup,
    /// A value that the vendor's documents do not list.
    Unrecognised,
}

/// Where a route sends packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// Kind of the next hop.
    pub kind: NextHopKind,
    /// Id as returned, empty for local and service routes.
    #[serde(default)]
    pub id: String,
    /// Whether the cloud considers it usable; reported for router interfaces only.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Weight among several next hops; reported for router interfaces only.
    #[serde(default)]
    pub weight: Option<u32>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteEntry {
    /// Id of the route; `None` if the API omits it.
    #[serde(default)]
    pub id: Option<RouteEntryId>,
    /// Destination.
    pub destination: Cidr,
    /// Origin of the route.
    pub kind: RouteKind,
    /// Whether it forwards.
    pub status: RouteStatus,
    /// Next hops; several mean ECMP.
    pub next_hops: Vec<NextHop>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

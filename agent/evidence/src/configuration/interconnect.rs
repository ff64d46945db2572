//! What connects VPCs: router interfaces, VPC peering connections, transit routers.
//!
//! Field names follow the vendor's documents (`API.md` §8).

use crate::{
    AccountId, AttachmentId, Cidr, Known, Provenance, RegionId, RouteTableId, RouterId, RouterInterfaceId, Timestamp,
    TransitRouterId, VpcId, VpcPeeringId,
};
use serde::{Deserialize, Serialize};

/// A router interface's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterInterfaceRole {
    /// `InitiatingSide`.
    Initiating,
    /// `AcceptingSide`.
    Accepting,
}

/// A router's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterKind {
    /// The router of a VPC.
    VRouter,
    /// A virtual border router, the end of a physical line.
    Vbr,
}

/// State of a router interface (`SEMANTICS.md` §3.2). Packets pass when both ends are `Active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterInterfaceStatus {
    /// Never connected.
    Idle,
    /// Acceptor, connection being accepted.
    AcceptingConnecting,
    /// Initiator, connecting.
    Connecting,
    /// Being activated.
    Activating,
    /// In use.
    Active,
    /// Specification being changed.
    Modifying,
    /// Being frozen.
    Deactivating,
    /// Frozen by its owner.
    Inactive,
    /// Being deleted.
    Deleting,
    /// Deleted; occurs only as the state of the opposite interface.
    Deleted,
    /// A value that the vendor's documents do not list.
    Unrecognised,
}

/// Whether billing or the cloud's security team has locked an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusinessStatus {
    /// Not locked.
    Normal,
    /// Locked because a bill is not paid.
    FinancialLocked,
    /// Locked for security reasons.
    SecurityLocked,
    /// A value that the vendor's documents do not list.
    Unrecognised,
}

/// A router interface: one half of an Express Connect VPC-to-VPC connection.
///
/// The `opposite_*` fields are what the API of *this* side returns about the other side: one account's view already
/// shows much of the peer's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterInterface {
    /// Id of the router interface.
    pub id: RouterInterfaceId,
    /// Role of this side.
    pub role: RouterInterfaceRole,
    /// State of this side.
    pub status: RouterInterfaceStatus,
    /// Billing or security lock of this side.
    pub business_status: BusinessStatus,
    /// Specification, such as `Mini.2` or `Negative`.
    pub spec: String,
    /// Bandwidth in Mbit/s, if reported.
    #[serde(default)]
    pub bandwidth_mbps: Option<u64>,
    /// Kind of the router that it is attached to.
    pub router_kind: RouterKind,
    /// The router that it is attached to.
    pub router: RouterId,
    /// The VPC of that router.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Region of the other side, as set by the creator of the interface.
    #[serde(default)]
    pub opposite_region: Option<RegionId>,
    /// The interface set as its opposite; `None` if unset.
    #[serde(default)]
    pub opposite_interface: Option<RouterInterfaceId>,
    /// The account set as the owner of the opposite; `None` if unset.
    #[serde(default)]
    pub opposite_owner: Option<AccountId>,
    /// The router set as the opposite's; `None` if unset.
    #[serde(default)]
    pub opposite_router: Option<RouterId>,
    /// Kind of the opposite router; `None` if unset. The API defaults to VBR, which is wrong for VPC-to-VPC.
    #[serde(default)]
    pub opposite_router_kind: Option<RouterKind>,
    /// The opposite's state as seen from this side.
    #[serde(default)]
    pub opposite_status: Option<RouterInterfaceStatus>,
    /// The opposite's lock as seen from this side.
    #[serde(default)]
    pub opposite_business_status: Option<BusinessStatus>,
    /// The opposite's VPC as seen from this side.
    #[serde(default)]
    pub opposite_vpc: Option<VpcId>,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it was connected; `None` if never.
    #[serde(default)]
    pub connected_at: Option<Timestamp>,
    /// When a prepaid interface expires.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// State of a VPC peering connection; packets pass when it is `Activated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VpcPeeringStatus {
    /// Being created.
    Creating,
    /// Waiting for the other account.
    Accepting,
    /// Being changed.
    Updating,
    /// Refused by the other account.
    Rejected,
    /// Not accepted in time.
    Expired,
    /// In use.
    Activated,
    /// Being deleted.
    Deleting,
    /// Gone.
    Deleted,
    /// A value that the vendor's documents do not list.
    Unrecognised,
}

/// A VPC peering connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcPeering {
    /// Id of the peering connection.
    pub id: VpcPeeringId,
    /// State of the connection.
    pub status: VpcPeeringStatus,
    /// Billing or security lock of the connection.
    pub business_status: BusinessStatus,
    /// Bandwidth in Mbit/s; `None` if unlimited or not reported.
    #[serde(default)]
    pub bandwidth_mbps: Option<u64>,
    /// The requesting account.
    pub owner: AccountId,
    /// The requesting VPC's region.
    pub region: RegionId,
    /// The requesting VPC.
    pub vpc: VpcId,
    /// The accepting account.
    pub accepting_owner: AccountId,
    /// The accepting VPC's region.
    pub accepting_region: RegionId,
    /// The accepting VPC.
    pub accepting_vpc: VpcId,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A VPC's attachment to a transit router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitAttachment {
    /// Id of the attachment.
    pub id: AttachmentId,
    /// The transit router.
    pub transit_router: TransitRouterId,
    /// The VPC.
    pub vpc: VpcId,
    /// The account that owns the VPC, if reported.
    #[serde(default)]
    pub vpc_owner: Option<AccountId>,
    /// The region of the VPC and of the transit router, if reported.
    #[serde(default)]
    pub vpc_region: Option<RegionId>,
    /// Whether its state is `Attached`.
    pub attached: bool,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A connection between two transit routers in different regions, as one of the two sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitPeering {
    /// Id, the same on both transit routers.
    pub id: AttachmentId,
    /// One transit router.
    pub transit_router: TransitRouterId,
    /// Region of `transit_router`.
    pub region: RegionId,
    /// The other transit router.
    pub peer_transit_router: TransitRouterId,
    /// Region of `peer_transit_router`.
    pub peer_region: RegionId,
    /// The account that owns the other transit router, if reported.
    #[serde(default)]
    pub peer_owner: Option<AccountId>,
    /// Bandwidth in Mbit/s, if reported.
    #[serde(default)]
    pub bandwidth_mbps: Option<u64>,
    /// Whether its state is `Attached`.
    pub attached: bool,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A route of a transit router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitRoute {
    /// Destination.
    pub destination: Cidr,
    /// The attachment that is the next hop; `None` for a black hole.
    #[serde(default)]
    pub attachment: Option<AttachmentId>,
    /// Whether its state is `Active`.
    pub active: bool,
    /// Whether it was learned from an attachment rather than configured by the owner.
    #[serde(default)]
    pub propagated: bool,
}

/// A route table of a transit router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitRouteTable {
    /// Id of the route table.
    pub id: RouteTableId,
    /// The transit router.
    pub transit_router: TransitRouterId,
    /// Attachments whose traffic is routed by this table.
    #[serde(default)]
    pub associations: Known<Vec<AttachmentId>>,
    /// Attachments whose routes are propagated into this table.
    #[serde(default)]
    pub propagations: Known<Vec<AttachmentId>>,
    /// Its routes.
    #[serde(default)]
    pub routes: Known<Vec<TransitRoute>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

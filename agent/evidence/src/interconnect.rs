//! What joins VPCs: router interfaces, VPC peering connections, transit routers.
//!
//! Field names follow the vendor's documents (`alibaba-cloud-api.md` §1, §2, §7).

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

/// State of a router interface (`alibaba-cloud-api.md` §1.1). Packets pass when both ends are `Active`.
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
    /// Gone; seen only as the opposite's state.
    Deleted,
    /// A word that no document lists.
    Unrecognised,
}

/// Whether the account's bill or the cloud's security team holds an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusinessStatus {
    /// Nothing holds it.
    Normal,
    /// A bill is not paid.
    FinancialLocked,
    /// Locked for security reasons.
    SecurityLocked,
    /// A word that no document lists.
    Unrecognised,
}

/// A router interface: one half of an Express Connect VPC-to-VPC connection.
///
/// The `opposite_*` fields are what *this* side's API returns about the other: one account's view already tells much
/// of the peer's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterInterface {
    /// Id.
    pub id: RouterInterfaceId,
    /// Role.
    pub role: RouterInterfaceRole,
    /// State.
    pub status: RouterInterfaceStatus,
    /// Lock.
    pub business_status: BusinessStatus,
    /// Specification, such as `Mini.2` or `Negative`.
    pub spec: String,
    /// Bandwidth in Mbit/s, when told.
    #[serde(default)]
    pub bandwidth_mbps: Option<u64>,
    /// Kind of the router that it sits on.
    pub router_kind: RouterKind,
    /// The router that it sits on.
    pub router: RouterId,
    /// The VPC of that router.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// The region that its creator said the other side is in.
    #[serde(default)]
    pub opposite_region: Option<RegionId>,
    /// The interface set as its opposite; none when unset.
    #[serde(default)]
    pub opposite_interface: Option<RouterInterfaceId>,
    /// The account set as the owner of the opposite; none when unset.
    #[serde(default)]
    pub opposite_owner: Option<AccountId>,
    /// The router set as the opposite's; none when unset.
    #[serde(default)]
    pub opposite_router: Option<RouterId>,
    /// Kind of the opposite router; none when unset. The API's default is VBR, a trap for VPC-to-VPC.
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
    /// When it was connected; none when never.
    #[serde(default)]
    pub connected_at: Option<Timestamp>,
    /// When a prepaid one ends.
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
    /// Being made.
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
    /// A word that no document lists.
    Unrecognised,
}

/// A VPC peering connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcPeering {
    /// Id.
    pub id: VpcPeeringId,
    /// State.
    pub status: VpcPeeringStatus,
    /// Lock.
    pub business_status: BusinessStatus,
    /// Bandwidth in Mbit/s; none when unlimited or untold.
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
    /// Id.
    pub id: AttachmentId,
    /// The transit router.
    pub transit_router: TransitRouterId,
    /// The VPC.
    pub vpc: VpcId,
    /// The account that the VPC belongs to, when told.
    #[serde(default)]
    pub vpc_owner: Option<AccountId>,
    /// The region of the VPC, which is the transit router's too, when told.
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
    /// Id; the same seen from both transit routers.
    pub id: AttachmentId,
    /// One transit router.
    pub transit_router: TransitRouterId,
    /// Its region.
    pub region: RegionId,
    /// The other transit router.
    pub peer_transit_router: TransitRouterId,
    /// Its region.
    pub peer_region: RegionId,
    /// The account that owns the other transit router, when told.
    #[serde(default)]
    pub peer_owner: Option<AccountId>,
    /// Bandwidth in Mbit/s, when told.
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
    /// The attachment that it leads to; none is a black hole.
    #[serde(default)]
    pub attachment: Option<AttachmentId>,
    /// Whether its state is `Active`.
    pub active: bool,
    /// Whether it was learned from an attachment rather than written by the owner.
    #[serde(default)]
    pub propagated: bool,
}

/// A route table of a transit router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitRouteTable {
    /// Id.
    pub id: RouteTableId,
    /// The transit router.
    pub transit_router: TransitRouterId,
    /// Attachments whose traffic is looked up here.
    #[serde(default)]
    pub associations: Known<Vec<AttachmentId>>,
    /// Attachments whose routes are learned into this table.
    #[serde(default)]
    pub propagations: Known<Vec<AttachmentId>>,
    /// Its routes.
    #[serde(default)]
    pub routes: Known<Vec<TransitRoute>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

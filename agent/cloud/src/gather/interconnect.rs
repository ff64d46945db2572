//! The newer products that connect VPCs: VPC peering connections and transit routers.
//!
//! Their lists are not wrapped and their enumerations differ (`API.md` §8.6). `gather.rs` decides when they
//! are read.

use crate::{
    client::listing::{ListingApi, Paging},
    gather::vpc::business_status,
    transport::endpoint::Product,
    transport::row::{Row, RowError},
};
use pingtong_evidence::{
    AccountId, AttachmentId, BusinessStatus, Known, Provenance, RegionId, TransitAttachment, TransitPeering,
    TransitRoute, TransitRouteTable, VpcPeering, VpcPeeringStatus,
};

const fn tokened(product: Product, action: &'static str, container: &'static str, regional: bool) -> ListingApi {
    ListingApi { product, action, container, paging: Paging::Token("MaxResults", 100), regional }
}

pub(crate) const VPC_PEERINGS: ListingApi =
    tokened(Product::VpcPeer, "ListVpcPeerConnections", "VpcPeerConnects", true);
pub(crate) const ATTACHMENTS: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterVpcAttachments", "TransitRouterAttachments", true);
/// Asks about one transit router in any region; `RegionId` names the region of that router.
pub(crate) const TRANSIT_PEERINGS: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterPeerAttachments", "TransitRouterAttachments", true);
pub(crate) const TRANSIT_TABLES: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterRouteTables", "TransitRouterRouteTables", false);
pub(crate) const TRANSIT_ROUTES: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterRouteEntries", "TransitRouterRouteEntries", false);
pub(crate) const ASSOCIATIONS: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterRouteTableAssociations", "TransitRouterAssociations", false);
pub(crate) const PROPAGATIONS: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterRouteTablePropagations", "TransitRouterPropagations", false);

/// Converts a peering connection. Owner and region of the requester default to those of the caller, because one of the
/// APIs omits them.
pub(crate) fn vpc_peering(
    row: Row<'_>,
    provenance: Provenance,
    account: &AccountId,
    region: &RegionId,
) -> Result<VpcPeering, RowError> {
    let status = match row.word("Status").as_deref() {
        Some("creating") => VpcPeeringStatus::Creating,
        Some("accepting") => VpcPeeringStatus::Accepting,
        Some("updating") => VpcPeeringStatus::Updating,
        Some("rejected") => VpcPeeringStatus::Rejected,
        Some("expired") => VpcPeeringStatus::Expired,
        Some("activated") => VpcPeeringStatus::Activated,
        Some("deleting") => VpcPeeringStatus::Deleting,
        Some("deleted") => VpcPeeringStatus::Deleted,
        _ => VpcPeeringStatus::Unrecognised,
    };
    let vpc = |name: &str| row.object(name).ok_or_else(|| RowError::new(name, None))?.id("VpcId");
    Ok(VpcPeering {
        id: row.id("InstanceId")?,
        status,
        business_status: row.word("BizStatus").map_or(BusinessStatus::Normal, |word| business_status(&word)),
        // -1 means unlimited; it is not an unsigned number, so it becomes `None`.
        bandwidth_mbps: row.number("Bandwidth"),
        owner: row.optional_id("OwnerId")?.unwrap_or_else(|| account.clone()),
        region: row.optional_id("RegionId")?.unwrap_or_else(|| region.clone()),
        vpc: vpc("Vpc")?,
        accepting_owner: row.id("AcceptingOwnerUid")?,
        accepting_region: row.id("AcceptingRegionId")?,
        accepting_vpc: vpc("AcceptingVpc")?,
        provenance,
    })
}

pub(crate) fn attachment(row: Row<'_>, provenance: Provenance) -> Result<TransitAttachment, RowError> {
    Ok(TransitAttachment {
        id: row.id("TransitRouterAttachmentId")?,
        transit_router: row.id("TransitRouterId")?,
        vpc: row.id("VpcId")?,
        vpc_owner: row.optional_id("VpcOwnerId")?,
        vpc_region: row.optional_id("VpcRegionId")?,
        attached: row.word("Status").as_deref() == Some("attached"),
        provenance,
    })
}

/// Converts a connection between transit routers. `asked` is the region of the router that was asked about.
pub(crate) fn transit_peering(
    row: Row<'_>,
    provenance: Provenance,
    asked: &RegionId,
) -> Result<TransitPeering, RowError> {
    Ok(TransitPeering {
        id: row.id("TransitRouterAttachmentId")?,
        transit_router: row.id("TransitRouterId")?,
        region: row.optional_id("RegionId")?.unwrap_or_else(|| asked.clone()),
        peer_transit_router: row.id("PeerTransitRouterId")?,
        peer_region: row.id("PeerTransitRouterRegionId")?,
        peer_owner: row.optional_id("PeerTransitRouterOwnerId")?,
        bandwidth_mbps: row.number("Bandwidth"),
        attached: row.word("Status").as_deref() == Some("attached"),
        provenance,
    })
}

pub(crate) fn transit_table(row: Row<'_>, provenance: Provenance) -> Result<TransitRouteTable, RowError> {
    Ok(TransitRouteTable {
        id: row.id("TransitRouterRouteTableId")?,
        transit_router: row.id("TransitRouterId")?,
        associations: Known::default(),
        propagations: Known::default(),
        routes: Known::default(),
        provenance,
    })
}

pub(crate) fn transit_route(row: Row<'_>, _: Provenance) -> Result<TransitRoute, RowError> {
    let black_hole = row.word("TransitRouterRouteEntryNextHopType").as_deref() == Some("blackhole");
    let attachment = row.optional_id("TransitRouterRouteEntryNextHopId")?;
    Ok(TransitRoute {
        destination: row.cidr("TransitRouterRouteEntryDestinationCidrBlock")?,
        attachment: attachment.filter(|_| !black_hole),
        active: row.word("TransitRouterRouteEntryStatus").as_deref() == Some("active"),
        propagated: row.word("TransitRouterRouteEntryType").as_deref() == Some("propagated"),
    })
}

/// The attachment of an association or propagation; `None` if it is not in effect.
pub(crate) fn bound_attachment(row: Row<'_>, _: Provenance) -> Result<Option<AttachmentId>, RowError> {
    let active = row.word("Status").is_none_or(|word| word == "active" || word == "associated");
    row.id("TransitRouterAttachmentId").map(|id| active.then_some(id))
}

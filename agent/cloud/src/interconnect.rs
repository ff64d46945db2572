//! The newer ways to join VPCs: VPC peering connections and transit routers.
//!
//! Their lists are not wrapped and their enumerations differ (`alibaba-cloud-api.md` §7). Read only when a route leads
//! there, see `gather.rs`.

use crate::{
    endpoint::Product,
    listing::{ListingApi, Paging},
    row::{Row, RowError},
    vpc::business_status,
};
use pingtong_evidence::{
    AccountId, AttachmentId, BusinessStatus, Known, Provenance, RegionId, TransitAttachment, TransitRoute,
    TransitRouteTable, VpcPeering, VpcPeeringStatus,
};

const fn tokened(product: Product, action: &'static str, container: &'static str) -> ListingApi {
    ListingApi { product, action, container, paging: Paging::Token("MaxResults", 100) }
}

pub(crate) const VPC_PEERINGS: ListingApi = tokened(Product::VpcPeer, "ListVpcPeerConnections", "VpcPeerConnects");
pub(crate) const ATTACHMENTS: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterVpcAttachments", "TransitRouterAttachments");
pub(crate) const TRANSIT_TABLES: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterRouteTables", "TransitRouterRouteTables");
pub(crate) const TRANSIT_ROUTES: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterRouteEntries", "TransitRouterRouteEntries");
pub(crate) const ASSOCIATIONS: ListingApi =
    tokened(Product::Cbn, "ListTransitRouterRouteTableAssociations", "TransitRouterAssociations");

/// A peering connection; owner and region of the requester default to who asked, as one of the APIs leaves them out.
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
        // -1 means unlimited and is no unsigned number.
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

/// The attachment of an association that is in effect.
pub(crate) fn association(row: Row<'_>, _: Provenance) -> Result<Option<AttachmentId>, RowError> {
    let active = row.word("Status").is_none_or(|word| word == "active" || word == "associated");
    row.id("TransitRouterAttachmentId").map(|id| active.then_some(id))
}

//! Cloud Enterprise Network (cbn 2017-09-12): CEN instances, transit routers, attachments and their routes.
//!
//! Everything belongs to the account of the CEN instance. The owner of a VPC in another account first has to allow the
//! attachment (GrantInstanceToTransitRouter). Nothing is associated or learned automatically. Refusals are those of the
//! API page of each call. Where the pages are silent, the lab decides: the owner of an attached VPC sees that
//! attachment in listings, because its own routes name it, and nothing else of the transit router; a VPC without a
//! grant is not found; a connection between regions is listed as seen from the requested router or region.

mod attachment;
mod cen;
mod entry;
mod peer;
mod router;
mod table;
mod view;

use super::{Answer, Call, Handler};
use crate::cloud::{
    calls::page::TokenStyle,
    calls::refusal::Refusal,
    world::cen::{Attachment, Cen, CenChange, CenObject, Stage, TransitRouter, TransitTable},
    world::{Change, World},
};

/// Paging by `MaxResults` of the ListTransitRouter… calls.
const STYLE: TokenStyle = TokenStyle { size: "MaxResults", size_default: 20, size_max: 100, total: true, echo: true };
/// Largest page of the numbered listings.
const PAGE_MAX: usize = 50;

/// API status values, by stage, of CEN instances, transit routers, route tables and routes.
const MADE: [&str; 3] = ["Creating", "Active", "Deleting"];
const ATTACHED: [&str; 3] = ["Attaching", "Attached", "Detaching"];
const ASSOCIATED: [&str; 3] = ["Associating", "Active", "Dissociating"];
const PROPAGATED: [&str; 3] = ["Enabling", "Active", "Disabling"];

/// The handler of a cbn action; `None` if the lab does not have it.
pub(super) fn find(action: &str) -> Option<Handler> {
    use Handler::{Read, Write};
    Some(match action {
        "DescribeCens" => Read(cen::describe_all),
        "CreateCen" => Write(cen::create),
        "DeleteCen" => Write(cen::delete),
        "GrantInstanceToTransitRouter" => Write(cen::grant),
        "RevokeInstanceFromTransitRouter" => Write(cen::revoke),
        "DescribeCenAttachedChildInstances" => Read(cen::describe_children),
        "DescribeCenRouteMaps" => Read(cen::describe_route_maps),
        "DescribeCenRegionDomainRouteEntries" => Read(view::describe_region_entries),
        "DescribePublishedRouteEntries" => Read(view::describe_published_entries),

        "CreateTransitRouter" => Write(router::create),
        "DeleteTransitRouter" => Write(router::delete),
        "ListTransitRouters" => Read(router::list),

        "CreateTransitRouterVpcAttachment" => Write(attachment::create),
        "DeleteTransitRouterVpcAttachment" => Write(attachment::delete),
        "UpdateTransitRouterVpcAttachmentAttribute" => Write(attachment::update),
        "ListTransitRouterVpcAttachments" => Read(attachment::list),
        "CreateTransitRouterPeerAttachment" => Write(peer::create),
        "DeleteTransitRouterPeerAttachment" => Write(peer::delete),
        "UpdateTransitRouterPeerAttachmentAttribute" => Write(peer::update),
        "ListTransitRouterPeerAttachments" => Read(peer::list),

        "CreateTransitRouterRouteTable" => Write(table::create),
        "DeleteTransitRouterRouteTable" => Write(table::delete),
        "ListTransitRouterRouteTables" => Read(table::list),
        "AssociateTransitRouterAttachmentWithRouteTable" => Write(table::associate),
        "DissociateTransitRouterAttachmentFromRouteTable" => Write(table::dissociate),
        "ListTransitRouterRouteTableAssociations" => Read(table::list_associations),
        "EnableTransitRouterRouteTablePropagation" => Write(table::propagate),
        "DisableTransitRouterRouteTablePropagation" => Write(table::stop_propagating),
        "ListTransitRouterRouteTablePropagations" => Read(table::list_propagations),

        "CreateTransitRouterRouteEntry" => Write(entry::create),
        "DeleteTransitRouterRouteEntry" => Write(entry::delete),
        "ListTransitRouterRouteEntries" => Read(entry::list),
        _ => return None,
    })
}

impl Call<'_> {
    /// Schedules a created object to take effect after the pace.
    fn arrives(&self, world: &mut World, object: CenObject) {
        self.later(world, Change::Cen(CenChange::Arrived(object)));
    }

    /// Marks an object as being removed, and schedules its removal after the pace.
    fn goes(&self, world: &mut World, object: CenObject) {
        if let Some(stage) = world.cen.stage_mut(&object) {
            *stage = Stage::Going;
        }
        self.later(world, Change::Cen(CenChange::Gone(object)));
    }

    fn owns(&self, owner: &str) -> bool {
        owner == self.caller.account
    }
}

fn refusal(code: &str, message: &str) -> Refusal {
    Refusal::new(400, code, message)
}

fn own_cen<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a Cen, Refusal> {
    let found = world.cen.cens.get(id).filter(|cen| call.owns(&cen.owner));
    found.ok_or_else(|| refusal("InvalidCenId.NotFound", "The specified CenId is not found."))
}

fn own_router<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a TransitRouter, Refusal> {
    let found = world.cen.routers.get(id).filter(|router| call.owns(&router.owner));
    found.ok_or_else(|| refusal("InvalidTransitRouterId.NotFound", "The specified TransitRouterId is not found."))
}

/// The transit router that a call about an attachment names, by id or by CEN instance and region.
fn named_router(call: &Call<'_>, world: &mut World) -> Result<TransitRouter, Refusal> {
    let router = match (call.params.get("TransitRouterId"), call.params.get("CenId"), call.params.get("RegionId")) {
        (Some(id), _, _) => own_router(call, world, id)?.clone(),
        (None, Some(cen), Some(region)) => {
            own_cen(call, world, cen)?;
            let here = world.cen.routers.values().find(|router| router.cen == cen && router.region == region).cloned();
            // If the region has no transit router yet, the call creates one.
            here.unwrap_or_else(|| router::make(call, world, cen, region))
        }
        _ => return Err(refusal("MissingParam.CenIdOrRegionId", "Either CenId or RegionId must be specified.")),
    };
    if router.stage == Stage::Going {
        return Err(refusal("IncorrectStatus.TransitRouterInstance", "The status of TransitRouter is incorrect."));
    }
    Ok(router)
}

fn own_attachment<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Attachment, Refusal> {
    let found = world.cen.attachments.get(call.params.need("TransitRouterAttachmentId")?);
    found.filter(|attachment| call.owns(&attachment.owner)).ok_or_else(|| {
        refusal("InvalidTransitRouterAttachmentId.NotFound", "The TransitRouterAttachmentId is not found.")
    })
}

fn own_table<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a TransitTable, Refusal> {
    let found = world.cen.tables.get(call.params.need("TransitRouterRouteTableId")?);
    let router = |table: &&TransitTable| world.cen.routers.get(&table.router).is_some_and(|own| call.owns(&own.owner));
    found
        .filter(router)
        .ok_or_else(|| refusal("InvalidTransitRouterRouteTableId.NotFound", "TransitRouterRouteTableId is not found."))
}

/// Refuses the call unless all objects are in effect: one that is being created or removed cannot be used.
fn settled(stages: &[Stage]) -> Result<(), Refusal> {
    if stages.iter().all(|stage| *stage == Stage::Here) {
        return Ok(());
    }
    let message = "The resource is not in a valid state for the operation.";
    Err(refusal("IncorrectStatus.AttachmentOrRouteTable", message))
}

/// Removes an attachment if no association, propagation or route uses it any more, or with `Force`. Removes the VPC
/// routes through it too.
fn detach(call: &Call<'_>, world: &mut World, id: &str) -> Answer {
    let tables = || world.cen.tables.values();
    let vpc_routes = || world.tables.values().flat_map(|table| &table.entries).flat_map(|entry| &entry.hops);
    if !call.params.yes("Force") {
        if tables().any(|table| table.associations.contains_key(id)) {
            let message = "Operation failed because TransitRouterRouteTable exists.";
            return Err(refusal("OperationFailed.RouteTableAssociationExist", message));
        }
        if tables().any(|table| table.propagations.contains_key(id)) {
            let message = "The specified TransitRouterAttachment has configured RouteTablePropagation.";
            return Err(refusal("OperationFailed.RouteTablePropagationExist", message));
        }
        let written = tables().flat_map(|table| &table.routes).any(|route| route.attachment.as_deref() == Some(id));
        if written || vpc_routes().any(|hop| hop.id == id) {
            let message = "Operation failed because the TransitRouterAttachment exists in RouteTable.";
            return Err(refusal("OperationFailed.RouteEntryExist", message));
        }
    }
    call.refuse_dry_run()?;
    for table in world.tables.values_mut() {
        table.entries.retain(|entry| !entry.hops.iter().any(|hop| hop.id == id));
    }
    call.goes(world, CenObject::Attachment(id.to_owned()));
    super::done()
}

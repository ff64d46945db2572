//! The routes that a region of a CEN instance has, and the routes that a VPC can publish to it.
//!
//! A region's routes are those in effect in the system table of its transit router. The vSwitch routes of a VPC's
//! system table are published automatically; its other routes are not. Routes that the VPC has from a transit router
//! cannot be published and are not listed.

use super::{PAGE_MAX, own_cen, refusal};
use crate::cloud::{
    actions::{Answer, Call},
    calls::page::numbered,
    calls::refusal::Refusal,
    routes::{Lookup, entries_of, lookups_of},
    world::{Origin, World},
};
use serde_json::json;

pub(super) fn describe_region_entries(call: &Call<'_>, world: &World) -> Answer {
    let params = call.params;
    let cen = own_cen(call, world, params.need("CenId")?)?;
    let region = params.need("CenRegionId")?;
    let here = world.cen.routers.values().filter(|router| router.cen == cen.id && router.region == region);
    let tables = here.flat_map(|router| world.cen.tables_of(&router.id)).filter(|table| table.system);
    let routes = tables.flat_map(|table| lookups_of(world, table)).filter(|route| route.best);
    let rows = routes
        .filter(|_| params.wants("Status", "Active"))
        .map(|route| {
            let (kind, hop) = next_hop(&route);
            json!({
                "DestinationCidrBlock": route.destination.to_string(),
                "Type": if route.written.is_some() { "Custom" } else { "CEN" },
                "NextHopType": kind,
                "NextHopInstanceId": hop,
                "NextHopRegionId": route.region.as_deref().unwrap_or(region),
                "Status": "Active",
                "ToOtherRegionStatus": "Active",
                "Preference": 50,
                "AsPaths": { "AsPath": [] },
                "Communities": { "Community": [] },
                "CenRouteMapRecords": { "CenRouteMapRecord": [] },
                "CenOutRouteMapRecords": { "CenOutRouteMapRecord": [] },
            })
        })
        .collect();
    Ok(numbered(rows, params, PAGE_MAX, call.lose_page)?.under("CenRouteEntries", "CenRouteEntry"))
}

fn next_hop(route: &Lookup) -> (&'static str, &str) {
    match &route.attachment {
        None => ("BlackHole", ""),
        Some(_) if route.origin.starts_with("vpc-") => ("VPC", &route.origin),
        Some(attachment) => ("Attachment", attachment),
    }
}

pub(super) fn describe_published_entries(call: &Call<'_>, world: &World) -> Answer {
    let params = call.params;
    own_cen(call, world, params.need("CenId")?)?;
    let region = params.need("ChildInstanceRegionId")?;
    if params.need("ChildInstanceType")? != "VPC" {
        return Err(refusal("ParameterIllegal.ChildInstanceType", "The parameter of child instance type is illegal."));
    }
    let vpc = params.need("ChildInstanceId")?;
    let attached = world.cen.attachments.values().any(|one| one.vpc() == Some(vpc) && call.owns(&one.owner));
    let vpc = world.vpcs.get(vpc).filter(|own| own.region == region && (attached || call.owns(&own.owner)));
    let vpc = vpc.ok_or_else(|| Refusal::new(404, "InvalidVpcId.NotFound", "The specified VpcId is not found."))?;
    let tables = world.tables.values().filter(|table| table.vpc == vpc.id);
    let tables = tables.filter(|table| params.wants("ChildInstanceRouteTableId", &table.id));
    let entries = tables.flat_map(|table| entries_of(world, table).into_iter().map(move |entry| (table, entry)));
    let rows = entries
        .filter(|(_, entry)| entry.origin != Origin::Cen)
        .filter(|(_, entry)| params.wants("DestinationCidrBlock", &entry.destination.to_string()))
        .map(|(table, entry)| {
            let local = entry.hops.iter().any(|hop| hop.kind == "local");
            let hop = entry.hops.first();
            json!({
                "ChildInstanceRouteTableId": table.id,
                "DestinationCidrBlock": entry.destination.to_string(),
                "NextHopType": hop.map_or("", |hop| hop.kind.as_str()),
                "NextHopId": hop.map_or("", |hop| hop.id.as_str()),
                "RouteType": entry.origin.text(),
                "PublishStatus": if local && table.system { "Published" } else { "NonPublished" },
                "OperationalMode": entry.origin == Origin::Custom,
                "Conflicts": { "Conflict": [] },
            })
        })
        .collect();
    Ok(numbered(rows, params, PAGE_MAX, call.lose_page)?.under("PublishedRouteEntries", "PublishedRouteEntry"))
}

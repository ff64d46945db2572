//! Route tables of transit routers, with their associations (attachments whose packets are looked up in the table) and
//! propagations (attachments whose routes it learns).

use super::{ASSOCIATED, MADE, PROPAGATED, STYLE, own_attachment, own_router, own_table, refusal, settled};
use crate::cloud::{
    actions::{Answer, Call, done, time_minutes},
    calls::page::tokens,
    calls::refusal::Refusal,
    world::World,
    world::cen::{Attached, CenObject, Stage, TransitTable},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let router = own_router(call, world, call.params.need("TransitRouterId")?)?.clone();
    if router.stage != Stage::Here {
        return Err(refusal("IncorrectStatus.TransitRouterInstance", "The status of TransitRouter is incorrect."));
    }
    call.refuse_dry_run()?;
    let id = world.make.id("vtb-", &router.region);
    let table = TransitTable {
        id: id.clone(),
        router: router.id,
        name: call.params.text("TransitRouterRouteTableName"),
        description: call.params.text("TransitRouterRouteTableDescription"),
        system: false,
        associations: BTreeMap::new(),
        propagations: BTreeMap::new(),
        routes: Vec::new(),
        stage: Stage::Coming,
        created: call.now,
    };
    world.cen.tables.insert(id.clone(), table);
    call.arrives(world, CenObject::Table(id.clone()));
    Ok(json!({ "TransitRouterRouteTableId": id }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let table = own_table(call, world)?;
    let in_use = !(table.associations.is_empty() && table.propagations.is_empty() && table.routes.is_empty());
    if table.system || in_use {
        let message = "TransitRouterRouteTable status is invalid.";
        return Err(refusal("IncorrectStatus.TransitRouterRouteTable", message));
    }
    let id = table.id.clone();
    call.refuse_dry_run()?;
    call.goes(world, CenObject::Table(id));
    done()
}

pub(super) fn list(call: &Call<'_>, world: &World) -> Answer {
    let params = call.params;
    let wanted = params.get("TransitRouterId").map(|id| own_router(call, world, id)).transpose()?;
    let own = |router: &str| match wanted {
        Some(wanted) => wanted.id == router,
        None => own_router(call, world, router).is_ok(),
    };
    let rows = world
        .cen
        .tables
        .values()
        .filter(|table| own(&table.router))
        .filter(|table| {
            params.wants_one_of("TransitRouterRouteTableIds", &table.id)
                && params.wants_one_of("TransitRouterRouteTableNames", &table.name)
                && params.wants("TransitRouterRouteTableStatus", table.stage.text(MADE))
                && params.wants("TransitRouterRouteTableType", kind(table))
        })
        .map(|table| {
            json!({
                "TransitRouterRouteTableId": table.id,
                "TransitRouterRouteTableName": table.name,
                "TransitRouterRouteTableDescription": table.description,
                "TransitRouterRouteTableType": kind(table),
                "TransitRouterRouteTableStatus": table.stage.text(MADE),
                "TransitRouterId": table.router,
                "RegionId": world.cen.routers.get(&table.router).map_or("", |router| router.region.as_str()),
                "CreateTime": time_minutes(table.created),
                "RouteTableOptions": { "MultiRegionECMP": "disable" },
                "Tags": [],
            })
        })
        .collect();
    Ok(tokens(rows, params, &STYLE, call.lose_page)?.flat("TransitRouterRouteTables"))
}

fn kind(table: &TransitTable) -> &'static str {
    if table.system { "System" } else { "Custom" }
}

/// Ids of the table and attachment of a call. Refuses unless both are in effect and at the same transit router.
fn pair(call: &Call<'_>, world: &World) -> Result<(String, String), Refusal> {
    let (table, attachment) = (own_table(call, world)?, own_attachment(call, world)?);
    settled(&[table.stage, attachment.stage])?;
    if !attachment.ends_at(&table.router) {
        let message = "The specified TransitRouterTableId is invalid.";
        return Err(refusal("IllegalParam.TransitRouterTableId", message));
    }
    Ok((table.id.clone(), attachment.id.clone()))
}

pub(super) fn associate(call: &Call<'_>, world: &mut World) -> Answer {
    let (table, attachment) = pair(call, world)?;
    let router = world.cen.tables.get(&table).map(|table| table.router.clone()).unwrap_or_default();
    if world.cen.tables_of(&router).any(|other| other.associations.contains_key(&attachment)) {
        return Err(refusal("AssociationExist.TransitRouterTable", "The specified association already exists."));
    }
    call.refuse_dry_run()?;
    if let Some(table) = world.cen.tables.get_mut(&table) {
        table.associations.insert(attachment.clone(), Stage::Coming);
    }
    call.arrives(world, CenObject::Association(table, attachment));
    done()
}

pub(super) fn dissociate(call: &Call<'_>, world: &mut World) -> Answer {
    let (table, attachment) = pair(call, world)?;
    let stage = world.cen.tables.get(&table).and_then(|table| table.associations.get(&attachment));
    settled(&[stage.copied().unwrap_or(Stage::Going)])?;
    call.refuse_dry_run()?;
    call.goes(world, CenObject::Association(table, attachment));
    done()
}

pub(super) fn propagate(call: &Call<'_>, world: &mut World) -> Answer {
    let (table, attachment) = pair(call, world)?;
    let propagations = world.cen.tables.get_mut(&table).map(|table| &mut table.propagations);
    if propagations.as_ref().is_some_and(|all| all.contains_key(&attachment)) {
        let message = "The specified attachment or routeTable is not supported by this operation.";
        return Err(refusal("OperationUnsupported.EnablePropagation", message));
    }
    call.refuse_dry_run()?;
    if let Some(all) = propagations {
        all.insert(attachment.clone(), Stage::Coming);
    }
    call.arrives(world, CenObject::Propagation(table, attachment));
    done()
}

pub(super) fn stop_propagating(call: &Call<'_>, world: &mut World) -> Answer {
    let (table, attachment) = pair(call, world)?;
    if !world.cen.tables.get(&table).is_some_and(|table| table.propagations.contains_key(&attachment)) {
        let message = "The specified attachment or routeTable is not supported by this operation.";
        return Err(refusal("OperationUnsupported.DisablePropagation", message));
    }
    call.refuse_dry_run()?;
    call.goes(world, CenObject::Propagation(table, attachment));
    done()
}

pub(super) fn list_associations(call: &Call<'_>, world: &World) -> Answer {
    let tables: Vec<&TransitTable> = if call.params.get("TransitRouterRouteTableId").is_some() {
        vec![own_table(call, world)?]
    } else {
        let attachment = own_attachment(call, world)?;
        world.cen.tables.values().filter(|table| table.associations.contains_key(&attachment.id)).collect()
    };
    let rows = rows(call, world, &tables, |table| &table.associations, ASSOCIATED);
    Ok(tokens(rows, call.params, &STYLE, call.lose_page)?.flat("TransitRouterAssociations"))
}

pub(super) fn list_propagations(call: &Call<'_>, world: &World) -> Answer {
    let rows = rows(call, world, &[own_table(call, world)?], |table| &table.propagations, PROPAGATED);
    Ok(tokens(rows, call.params, &STYLE, call.lose_page)?.flat("TransitRouterPropagations"))
}

fn rows(
    call: &Call<'_>,
    world: &World,
    tables: &[&TransitTable],
    members: fn(&TransitTable) -> &BTreeMap<String, Stage>,
    words: [&'static str; 3],
) -> Vec<Value> {
    let params = call.params;
    let bound = tables.iter().flat_map(|table| members(table).iter().map(move |(id, stage)| (*table, id, *stage)));
    bound
        .map(|(table, id, stage)| {
            let (kind, resource) = resource(world, &table.router, id);
            (table, id, stage, kind, resource)
        })
        .filter(|(_, id, stage, kind, resource)| {
            params.wants("TransitRouterAttachmentId", id)
                && params.wants("Status", stage.text(words))
                && params.wants("TransitRouterAttachmentResourceType", kind)
                && params.wants("TransitRouterAttachmentResourceId", resource)
        })
        .map(|(table, id, stage, kind, resource)| {
            json!({
                "TransitRouterRouteTableId": table.id,
                "TransitRouterAttachmentId": id,
                "ResourceType": kind,
                "ResourceId": resource,
                "Status": stage.text(words),
            })
        })
        .collect()
}

/// Type and id of the resource at the other end of an attachment, seen from a transit router.
pub(super) fn resource(world: &World, router: &str, attachment: &str) -> (&'static str, String) {
    let Some(attachment) = world.cen.attachments.get(attachment) else { return ("", String::new()) };
    match &attachment.to {
        Attached::Vpc { vpc, .. } => ("VPC", vpc.clone()),
        Attached::Router { .. } => ("TR", attachment.across(router).unwrap_or_default().to_owned()),
    }
}

//! Transit routers: Enterprise edition, one for each region of a CEN instance, each with a system route table.

use super::{MADE, PAGE_MAX, own_cen, own_router, refusal};
use crate::cloud::{
    actions::{Answer, Call, done, number, time_minutes},
    calls::page::numbered,
    world::World,
    world::cen::{CenObject, Stage, TransitRouter, TransitTable},
};
use serde_json::json;
use std::collections::BTreeMap;

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let region = call.region()?.to_owned();
    let cen = own_cen(call, world, call.params.need("CenId")?)?.id.clone();
    if world.cen.routers.values().any(|router| router.cen == cen && router.region == region) {
        return Err(refusal("InstanceExist", "The instance already exists."));
    }
    call.refuse_dry_run()?;
    Ok(json!({ "TransitRouterId": make(call, world, &cen, &region).id }))
}

/// Creates a transit router with its system table.
pub(super) fn make(call: &Call<'_>, world: &mut World, cen: &str, region: &str) -> TransitRouter {
    let router = TransitRouter {
        id: world.make.id("tr-", region),
        owner: call.caller.account.clone(),
        cen: cen.to_owned(),
        region: region.to_owned(),
        name: call.params.text("TransitRouterName"),
        description: call.params.text("TransitRouterDescription"),
        stage: Stage::Coming,
        created: call.now,
    };
    let table = TransitTable {
        id: world.make.id("vtb-", region),
        router: router.id.clone(),
        name: String::new(),
        description: String::new(),
        system: true,
        associations: BTreeMap::new(),
        propagations: BTreeMap::new(),
        routes: Vec::new(),
        stage: Stage::Coming,
        created: call.now,
    };
    call.arrives(world, CenObject::Router(router.id.clone()));
    call.arrives(world, CenObject::Table(table.id.clone()));
    world.cen.tables.insert(table.id.clone(), table);
    world.cen.routers.insert(router.id.clone(), router.clone());
    router
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let id = own_router(call, world, call.params.need("TransitRouterId")?)?.id.clone();
    let attached = world.cen.attachments.values().any(|attachment| attachment.ends_at(&id));
    if attached || world.cen.tables_of(&id).any(|table| !table.system) {
        return Err(refusal("IncorrectStatus.TransitRouterInstance", "The status of TransitRouter is incorrect."));
    }
    call.refuse_dry_run()?;
    call.goes(world, CenObject::Router(id));
    done()
}

pub(super) fn list(call: &Call<'_>, world: &World) -> Answer {
    let params = call.params;
    let rows = world
        .cen
        .routers
        .values()
        .filter(|router| call.sees(&router.owner, &router.region))
        .filter(|router| {
            params.wants("CenId", &router.cen)
                && params.wants("TransitRouterId", &router.id)
                && params.wants("TransitRouterName", &router.name)
                && params.wants("Status", router.stage.text(MADE))
                && params.wants("Type", "Enterprise")
        })
        .map(|router| {
            json!({
                "TransitRouterId": router.id,
                "TransitRouterName": router.name,
                "TransitRouterDescription": router.description,
                "CenId": router.cen,
                "AliUid": number(&router.owner),
                "RegionId": router.region,
                "Status": router.stage.text(MADE),
                "Type": "Enterprise",
                "SupportMulticast": false,
                "CreationTime": time_minutes(router.created),
                "Tags": [],
                "TransitRouterCidrList": [],
            })
        })
        .collect();
    Ok(numbered(rows, params, PAGE_MAX, call.lose_page)?.flat("TransitRouters"))
}

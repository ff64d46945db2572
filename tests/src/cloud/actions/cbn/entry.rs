//! Routes in the tables of transit routers: owners add and delete static routes; listings include learned routes too.

use super::{MADE, STYLE, own_table, refusal, settled, table::resource};
use crate::cloud::{
    actions::{Answer, Call, done, time_minutes},
    calls::page::tokens,
    calls::params::read_block,
    calls::refusal::Refusal,
    ids::derived,
    routes::{Lookup, lookups_of},
    world::World,
    world::cen::{CenObject, Stage, TransitRoute, TransitTable},
};
use ipnet::Ipv4Net;
use serde_json::{Value, json};

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let table = own_table(call, world)?;
    settled(&[table.stage])?;
    let destination = read_destination(call)?;
    let attachment = match params.need("TransitRouterRouteEntryNextHopType")? {
        "BlackHole" => None,
        "Attachment" => {
            let message = "The parameter TransitRouterRouteEntryNextHopId is mandatory";
            let id = params.get("TransitRouterRouteEntryNextHopId");
            let id = id.ok_or_else(|| refusal("MissingParam.TransitRouterRouteEntryNextHopId", message))?;
            let here = world.cen.attachments.get(id).is_some_and(|attachment| attachment.ends_at(&table.router));
            if !here {
                let message = "TransitRouterRouteEntryNextHopId is not found";
                return Err(refusal("InvalidTransitRouterRouteEntryNextHopId.NotFound", message));
            }
            Some(id.to_owned())
        }
        _ => return Err(refusal("IllegalParam.NextHopType", "The NextHopType is illegal.")),
    };
    if table.routes.iter().any(|route| route.destination == destination) {
        let message = "The instance TransitRouterRouteEntry already exists.";
        return Err(refusal("InstanceExist.TransitRouterRouteEntry", message));
    }
    let table = table.id.clone();
    call.refuse_dry_run()?;
    let route = TransitRoute {
        id: format!("rte-{}", world.make.letters(20)),
        name: params.text("TransitRouterRouteEntryName"),
        description: params.text("TransitRouterRouteEntryDescription"),
        destination,
        attachment,
        stage: Stage::Coming,
        created: call.now,
    };
    let id = route.id.clone();
    if let Some(table) = world.cen.tables.get_mut(&table) {
        table.routes.push(route);
    }
    call.arrives(world, CenObject::Route(table, id.clone()));
    Ok(json!({ "TransitRouterRouteEntryId": id }))
}

/// Deletes a static route, named by its id, or by table, destination and next hop.
pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let (table, id) = if let Some(id) = params.get("TransitRouterRouteEntryId") {
        let own =
            |table: &&TransitTable| world.cen.routers.get(&table.router).is_some_and(|router| call.owns(&router.owner));
        let mut tables = world.cen.tables.values().filter(own);
        let table = tables.find(|table| table.routes.iter().any(|route| route.id == id)).ok_or_else(|| {
            refusal("IllegalParam.TransitRouterRouteEntryId", "TransitRouterRouteEntryId is not found.")
        })?;
        (table.id.clone(), id.to_owned())
    } else {
        let table = own_table(call, world)?;
        let destination = read_destination(call)?;
        let named = table.routes.iter().find(|route| {
            let kind = if route.attachment.is_some() { "Attachment" } else { "BlackHole" };
            route.destination == destination
                && params.wants("TransitRouterRouteEntryNextHopType", kind)
                && params.wants("TransitRouterRouteEntryNextHopId", route.attachment.as_deref().unwrap_or_default())
        });
        let Some(named) = named else {
            let learned = lookups_of(world, table).iter().any(|route| route.destination == destination);
            return Err(if learned {
                let message = "Operation failed because this route entry is created automatically.";
                refusal("OperationFailed.DeleteTransitRouterRouteEntry", message)
            } else {
                refusal("InvalidDestinationCidrBlock.NotFound", "DestinationCidrBlock is not found.")
            });
        };
        (table.id.clone(), named.id.clone())
    };
    call.refuse_dry_run()?;
    call.goes(world, CenObject::Route(table, id));
    done()
}

fn read_destination(call: &Call<'_>) -> Result<Ipv4Net, Refusal> {
    let text = call.params.need("TransitRouterRouteEntryDestinationCidrBlock")?;
    read_block(text, false).ok_or_else(|| {
        refusal("IllegalParam.TransitRouterDestinationCidrBlock", "TransitRouterDestinationCidrBlock is illegal.")
    })
}

pub(super) fn list(call: &Call<'_>, world: &World) -> Answer {
    let params = call.params;
    let table = own_table(call, world)?;
    let status = params.get("TransitRouterRouteEntryStatus").unwrap_or("Active");
    let any = status.eq_ignore_ascii_case("All");
    let rows = lookups_of(world, table)
        .iter()
        .filter(|route| any || status_of(route).eq_ignore_ascii_case(status))
        .map(|route| row(world, table, route))
        .filter(|row| {
            let wants = |name: &str| params.wants(name, row[name].as_str().unwrap_or_default());
            let one_of = |list: &str, name: &str| params.wants_one_of(list, row[name].as_str().unwrap_or_default());
            wants("TransitRouterRouteEntryDestinationCidrBlock")
                && wants("TransitRouterRouteEntryNextHopId")
                && wants("TransitRouterRouteEntryNextHopType")
                && wants("TransitRouterRouteEntryNextHopResourceId")
                && wants("TransitRouterRouteEntryNextHopResourceType")
                && wants("TransitRouterRouteEntryOriginResourceId")
                && wants("TransitRouterRouteEntryOriginResourceType")
                && wants("TransitRouterRouteEntryType")
                && one_of("TransitRouterRouteEntryIds", "TransitRouterRouteEntryId")
                && one_of("TransitRouterRouteEntryNames", "TransitRouterRouteEntryName")
        })
        .collect();
    Ok(tokens(rows, params, &STYLE, call.lose_page)?.flat("TransitRouterRouteEntries"))
}

/// Status of a route in the API. A learned route is `Candidate` while another route takes precedence.
fn status_of(route: &Lookup) -> &'static str {
    if route.stage == Stage::Here && !route.best { "Candidate" } else { route.stage.text(MADE) }
}

fn row(world: &World, table: &TransitTable, route: &Lookup) -> Value {
    let written = table.routes.iter().find(|own| Some(&own.id) == route.written.as_ref());
    let text = |field: fn(&TransitRoute) -> &String| written.map(|own| field(own).clone()).unwrap_or_default();
    let id = route.written.clone().unwrap_or_else(|| {
        let attachment = route.attachment.as_deref().unwrap_or_default();
        derived("rte-", &format!("{}{attachment}{}", table.id, route.destination))
    });
    let mut row = json!({
        "TransitRouterRouteEntryId": id,
        "TransitRouterRouteEntryName": text(|own| &own.name),
        "TransitRouterRouteEntryDescription": text(|own| &own.description),
        "TransitRouterRouteEntryDestinationCidrBlock": route.destination.to_string(),
        "TransitRouterRouteEntryStatus": status_of(route),
        "TransitRouterRouteEntryType": if written.is_some() { "Static" } else { "Propagated" },
        "TransitRouterRouteEntryNextHopType": "BlackHole",
        "OperationalMode": written.is_some(),
    });
    if let Some(attachment) = &route.attachment {
        let (kind, resource) = resource(world, &table.router, attachment);
        row["TransitRouterRouteEntryNextHopType"] = json!("Attachment");
        row["TransitRouterRouteEntryNextHopId"] = json!(attachment);
        row["TransitRouterRouteEntryNextHopResourceType"] = json!(kind);
        row["TransitRouterRouteEntryNextHopResourceId"] = json!(resource);
    }
    if let Some(own) = written {
        row["CreateTime"] = json!(time_minutes(own.created));
    } else {
        row["TransitRouterRouteEntryOriginResourceType"] = json!(origin_type(route));
        row["TransitRouterRouteEntryOriginResourceId"] = json!(route.origin);
        row["PathAttributes"] = json!({
            "OriginInstanceId": route.origin,
            "OriginInstanceType": origin_type(route),
            "OriginRouteType": if origin_type(route) == "VPC" { "System" } else { "static" },
            "Preference": 50,
            "AsPaths": [],
            "Communities": [],
        });
    }
    row
}

fn origin_type(route: &Lookup) -> &'static str {
    if route.origin.starts_with("vpc-") { "VPC" } else { "TR" }
}

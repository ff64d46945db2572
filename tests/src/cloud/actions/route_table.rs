//! Route tables and their binding to vSwitches.

use super::{Answer, Call, PAGE_MAX, done, number, passing, time, vpc, vswitch};
use crate::cloud::{
    calls::page::numbered,
    calls::refusal::Refusal,
    routes::entries_of,
    world::{Change, Hop, RouteEntry, RouteTable, World},
};
use serde_json::{Value, json};

/// Maximum number of custom tables per VPC; with the system table ten in all (`SEMANTICS.md` §2).
const CUSTOM_TABLES_MAX: usize = 9;

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let home = vpc::ready(call, world, call.params.need("VpcId")?)?.clone();
    if world.tables.values().filter(|table| table.vpc == home.id && !table.system).count() >= CUSTOM_TABLES_MAX {
        let message = "The quota of custom route tables of the VPC is exceeded.";
        return Err(Refusal::new(400, "QuotaExceeded.RouteTable", message));
    }
    let id = world.make.id("vtb-", &home.region);
    world.tables.insert(
        id.clone(),
        RouteTable {
            id: id.clone(),
            owner: home.owner,
            region: home.region,
            name: call.params.text("RouteTableName"),
            description: call.params.text("Description"),
            vpc: home.id,
            system: false,
            entries: Vec::new(),
            created: call.now,
        },
    );
    call.show(world, &id, "Pending");
    Ok(json!({ "RouteTableId": id }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let table = own(call, world, call.params.need("RouteTableId")?)?;
    if table.system {
        let message = "Specified operation is denied as the route table is a system one.";
        return Err(Refusal::new(400, "OperationDenied", message));
    }
    let id = table.id.clone();
    if world.vswitches.values().any(|vswitch| vswitch.table == id) {
        let message = "The route table is associated with a VSwitch.";
        return Err(Refusal::new(400, "DependencyViolation.VSwitch", message));
    }
    call.show(world, &id, "Deleting");
    call.later(world, Change::TableGone { id });
    done()
}

pub(super) fn associate(call: &Call<'_>, world: &mut World) -> Answer {
    let table = own(call, world, call.params.need("RouteTableId")?)?.clone();
    let bound = vswitch::own(call, world, call.params.need("VSwitchId")?)?.clone();
    if table.vpc != bound.vpc {
        let message = "The VSwitch and the route table are not in the same VPC.";
        return Err(Refusal::new(400, "InvalidVSwitchId.NotSameVpc", message));
    }
    if world.tables.get(&bound.table).is_some_and(|now| !now.system) {
        let message = "The VSwitch is associated with a custom route table already.";
        return Err(Refusal::new(400, "OperationFailed.AlreadyAssociated", message));
    }
    if let Some(bound) = world.vswitches.get_mut(&bound.id) {
        bound.table = table.id;
    }
    done()
}

pub(super) fn unassociate(call: &Call<'_>, world: &mut World) -> Answer {
    let table = own(call, world, call.params.need("RouteTableId")?)?.clone();
    let bound = vswitch::own(call, world, call.params.need("VSwitchId")?)?.clone();
    if bound.table != table.id || table.system {
        let message = "The VSwitch is not associated with the route table.";
        return Err(Refusal::new(400, "OperationFailed.NotAssociated", message));
    }
    let system = world.vpcs.get(&bound.vpc).map(|home| home.system_table.clone());
    if let (Some(bound), Some(system)) = (world.vswitches.get_mut(&bound.id), system) {
        bound.table = system;
    }
    done()
}

pub(super) fn describe_list(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let rows = world
        .tables
        .values()
        .filter(|table| wants(call, world, table, "RouteTableType") && call.params.wants("VpcId", &table.vpc))
        .map(|table| {
            json!({
                "RouteTableId": table.id,
                "RouteTableName": table.name,
                "Description": table.description,
                "RouteTableType": if table.system { "System" } else { "Custom" },
                "AssociateType": "VSwitch",
                "RouterId": router_of(world, table),
                "RouterType": "VRouter",
                "VpcId": table.vpc,
                "VSwitchIds": { "VSwitchId": bound_to(world, table) },
                "GatewayIds": { "GatewayIds": [] },
                "Status": passing(world, &table.id).unwrap_or("Available"),
                "RoutePropagationEnable": true,
                "OwnerId": number(&table.owner),
                "ResourceGroupId": "",
                "CreationTime": time(table.created),
            })
        })
        .collect();
    Ok(numbered(rows, call.params, PAGE_MAX, call.lose_page)?.under("RouterTableList", "RouterTableListType"))
}

pub(super) fn describe_with_entries(call: &Call<'_>, world: &World) -> Answer {
    let rows = world
        .tables
        .values()
        .filter(|table| wants(call, world, table, "Type") && call.params.wants("VRouterId", router_of(world, table)))
        .map(|table| {
            let entries: Vec<Value> = entries_of(world, table).iter().map(|entry| legacy_row(table, entry)).collect();
            json!({
                "RouteTableId": table.id,
                "RouteTableType": if table.system { "System" } else { "Custom" },
                "VRouterId": router_of(world, table),
                "Status": passing(world, &table.id).unwrap_or("Available"),
                "ResourceGroupId": "",
                "CreationTime": time(table.created),
                "VSwitchIds": { "VSwitchId": bound_to(world, table) },
                "RouteEntrys": { "RouteEntry": entries },
            })
        })
        .collect();
    Ok(numbered(rows, call.params, PAGE_MAX, call.lose_page)?.under("RouteTables", "RouteTable"))
}

/// An entry in DescribeRouteTables, where a single next hop is in `InstanceId` and several are in `NextHops`.
fn legacy_row(table: &RouteTable, entry: &RouteEntry) -> Value {
    let single = (entry.hops.len() == 1).then(|| entry.hops.first()).flatten();
    let several: Vec<Value> = if single.is_some() {
        Vec::new()
    } else {
        let hop = |hop: &Hop| json!({ "NextHopType": hop.kind, "NextHopId": hop.id, "Weight": hop.weight, "Enabled": u8::from(hop.enabled) });
        entry.hops.iter().map(hop).collect()
    };
    json!({
        "RouteEntryId": entry.id,
        "RouteEntryName": entry.name,
        "Description": entry.description,
        "RouteTableId": table.id,
        "DestinationCidrBlock": entry.destination.to_string(),
        "Type": entry.origin.text(),
        "Status": entry.status,
        "InstanceId": single.map_or("", |hop| hop.id.as_str()),
        "NextHopType": entry.hops.first().map_or("", |hop| hop.kind.as_str()),
        "NextHops": { "NextHop": several },
    })
}

fn wants(call: &Call<'_>, world: &World, table: &RouteTable, kind: &str) -> bool {
    let params = call.params;
    call.sees(&table.owner, &table.region)
        && params.wants("RouteTableId", &table.id)
        && params.wants("RouteTableName", &table.name)
        && params.wants(kind, if table.system { "System" } else { "Custom" })
        && params.wants("RouterId", router_of(world, table))
        && params.wants("RouterType", "VRouter")
}

fn router_of<'a>(world: &'a World, table: &RouteTable) -> &'a str {
    world.vpcs.get(&table.vpc).map_or("", |vpc| vpc.vrouter.as_str())
}

fn bound_to<'a>(world: &'a World, table: &RouteTable) -> Vec<&'a str> {
    world.vswitches.values().filter(|vswitch| vswitch.table == table.id).map(|vswitch| vswitch.id.as_str()).collect()
}

/// The caller's route table with this id.
pub(super) fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a RouteTable, Refusal> {
    world
        .tables
        .get(id)
        .filter(|table| call.sees(&table.owner, &table.region))
        .ok_or_else(|| Refusal::new(404, "InvalidRouteTableId.NotFound", "Specified route table does not exist."))
}

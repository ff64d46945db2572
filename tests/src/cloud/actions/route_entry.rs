//! Routes: checks at creation (`SEMANTICS.md` §2), listing, removal, change of next hop.
//!
//! Only custom routes are stored; `routes` computes the others when entries are read. Where documents of different
//! dates disagree, the newer one applies: a destination inside 100.64.0.0/10 is legal, the block itself is not.

use super::{Answer, Call, done, not_found, passing, route_table};
use crate::cloud::{
    calls::page::{TokenStyle, tokens},
    calls::params::{Params, read_block},
    calls::refusal::Refusal,
    routes::{SERVICE_RANGE, entries_of},
    world::{Change, Hop, Origin, RouteEntry, RouteTable, RouterInterfaceState, World},
};
use ipnet::Ipv4Net;
use serde_json::{Value, json};

/// Maximum number of custom entries per table (`SEMANTICS.md` §2).
const ENTRIES_MAX: usize = 200;
/// Default weight of a next hop.
const WEIGHT_DEFAULT: u32 = 100;

const STYLE: TokenStyle = TokenStyle { size: "MaxResult", size_default: 10, size_max: 100, total: true, echo: false };

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    refuse_conflict(world, &route_table::own(call, world, call.params.need("RouteTableId")?)?.vpc)?;
    create_in_batch(call, world)
}

/// Refuses a change while another route of the VPC is being changed (`SEMANTICS.md` §2).
pub(super) fn refuse_conflict(world: &World, vpc: &str) -> Result<(), Refusal> {
    let mut entries = world.tables.values().filter(|table| table.vpc == vpc).flat_map(|table| &table.entries);
    if entries.any(|entry| passing(world, &entry.id).is_some()) {
        let message = "The operation conflicts with another task on the route entries of the VPC.";
        return Err(Refusal::new(400, "TaskConflict", message));
    }
    Ok(())
}

/// Adds one of several entries of a call, without the check for conflicts.
pub(super) fn create_in_batch(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let table = route_table::own(call, world, params.need("RouteTableId")?)?.clone();
    super::vpc::ready(call, world, &table.vpc)?;
    let destination = read_destination(params)?;
    if read_block(SERVICE_RANGE, false) == Some(destination) {
        return Err(Refusal::new(400, "InvalidCidrBlock", "Specified CIDR block is reserved for cloud services."));
    }
    if table.entries.iter().any(|entry| entry.destination == destination) {
        return Err(Refusal::new(400, "InvalidCIDRBlock.Duplicate", "Specified CIDR block is already exists."));
    }
    if world.vswitches_of(&table.vpc).any(|vswitch| vswitch.cidr.contains(&destination)) {
        let message = "Specified CIDR block equals, or lies in, the CIDR block of a VSwitch.";
        return Err(Refusal::new(400, "InvalidCidrBlock", message));
    }
    if table.entries.len() >= ENTRIES_MAX {
        return Err(Refusal::new(400, "QuotaExceeded", "Route entry quota exceeded in this route table."));
    }
    let hops = read_hops(params)?;
    for hop in &hops {
        check_hop(world, &table, hop)?;
    }
    call.refuse_dry_run()?;
    let id = world.make.id("rte-", &table.region);
    let entry = RouteEntry {
        id: id.clone(),
        name: params.text("RouteEntryName"),
        description: params.text("Description"),
        destination,
        hops,
        origin: Origin::Custom,
        status: "Available".to_owned(),
    };
    if let Some(table) = world.tables.get_mut(&table.id) {
        table.entries.push(entry);
    }
    call.show(world, &id, "Pending");
    Ok(json!({ "RouteEntryId": id }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let (table, entry) = find(call, world)?;
    if entry.status == "Available" {
        refuse_conflict(world, &world.tables.get(&table).map(|table| table.vpc.clone()).unwrap_or_default())?;
    }
    delete_in_batch(call, world)
}

/// Removes one of several entries of a call, without the check for conflicts.
pub(super) fn delete_in_batch(call: &Call<'_>, world: &mut World) -> Answer {
    let (table, entry) = find(call, world)?;
    let named: Vec<String> = params_hops(call.params);
    let wrong_hop = !named.is_empty() && !named.iter().all(|id| entry.hops.iter().any(|hop| hop.id == *id));
    if wrong_hop {
        let message = "Specified route entry does not exist: it has another next hop.";
        return Err(Refusal::new(400, "InvalidRouteEntry.NotFound", message));
    }
    if entry.status != "Available" {
        let message = "Specified route entry is not in a status that permits this operation.";
        return Err(Refusal::new(400, "IncorrectRouteEntryStatus", message));
    }
    call.refuse_dry_run()?;
    call.show(world, &entry.id, "Deleting");
    call.later(world, Change::RouteGone { table, id: entry.id });
    done()
}

pub(super) fn modify(call: &Call<'_>, world: &mut World) -> Answer {
    let (table_id, entry) = find(call, world)?;
    if entry.status != "Available" {
        let message = "Specified route entry is not in a status that permits this operation.";
        return Err(Refusal::new(400, "IncorrectRouteEntryStatus", message));
    }
    let params = call.params;
    let hop = match (params.get("NewNextHopType"), params.get("NewNextHopId")) {
        (None, None) => None,
        (kind, Some(id)) => {
            let kind = kind.or_else(|| entry.hops.first().map(|hop| hop.kind.as_str())).unwrap_or_default();
            Some(Hop { kind: kind.to_owned(), id: id.to_owned(), weight: WEIGHT_DEFAULT, enabled: true })
        }
        (Some(_), None) => return Err(Refusal::new(400, "MissingNewNextHopId", "NewNextHopId is mandatory.")),
    };
    if let (Some(hop), Some(table)) = (&hop, world.tables.get(&table_id)) {
        check_hop(world, table, hop)?;
    }
    call.refuse_dry_run()?;
    call.show(world, &entry.id, "Modifying");
    let entries = world.tables.get_mut(&table_id).map(|table| &mut table.entries);
    if let Some(stored) = entries.into_iter().flatten().find(|other| other.id == entry.id) {
        if let Some(hop) = hop {
            stored.hops = vec![hop];
        }
        if let Some(name) = params.get("RouteEntryName") {
            name.clone_into(&mut stored.name);
        }
        if let Some(description) = params.get("Description") {
            description.clone_into(&mut stored.description);
        }
    }
    done()
}

pub(super) fn describe_list(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let table = route_table::own(call, world, call.params.need("RouteTableId")?)?;
    let params = call.params;
    let rows = entries_of(world, table)
        .iter()
        .filter(|entry| {
            params.wants("RouteEntryType", entry.origin.text())
                && params.wants("RouteEntryId", &entry.id)
                && params.wants("RouteEntryName", &entry.name)
                && params.wants("DestinationCidrBlock", &entry.destination.to_string())
                && params.wants_one_of("DestCidrBlockList", &entry.destination.to_string())
                && params.wants("IpVersion", "ipv4")
                && (params.get("NextHopId").is_none()
                    || entry.hops.iter().any(|hop| params.wants("NextHopId", &hop.id)))
                && (params.get("NextHopType").is_none()
                    || entry.hops.iter().any(|hop| params.wants("NextHopType", &hop.kind)))
        })
        .map(|entry| row(world, table, entry))
        .collect();
    Ok(tokens(rows, params, &STYLE, call.lose_page)?.under("RouteEntrys", "RouteEntry"))
}

fn row(world: &World, table: &RouteTable, entry: &RouteEntry) -> Value {
    let hops: Vec<Value> = entry
        .hops
        .iter()
        .map(|hop| {
            let mut row = json!({ "NextHopType": hop.kind, "NextHopId": hop.id, "NextHopRelatedInfo": {} });
            if let Some(interface) = world.interfaces.get(&hop.id) {
                row["Enabled"] = json!(u8::from(hop.enabled));
                row["Weight"] = json!(hop.weight);
                row["NextHopRegionId"] = json!(interface.opposite.region);
                if let Some(partner) = world.partner(interface) {
                    row["NextHopRelatedInfo"] =
                        json!({ "InstanceId": partner.vpc, "InstanceType": "VPC", "RegionId": partner.region });
                }
            }
            row
        })
        .collect();
    json!({
        "RouteEntryId": entry.id,
        "RouteEntryName": entry.name,
        "Description": entry.description,
        "RouteTableId": table.id,
        "DestinationCidrBlock": entry.destination.to_string(),
        "Type": entry.origin.text(),
        "Status": entry.status,
        "IpVersion": "ipv4",
        "ServiceType": "",
        "NextHops": { "NextHop": hops },
    })
}

/// The custom entry that a call names by id, or by table and destination, with the id of its table.
fn find(call: &Call<'_>, world: &World) -> Result<(String, RouteEntry), Refusal> {
    let params = call.params;
    let missing = || Refusal::new(400, "InvalidRouteEntry.NotFound", "Specified route entry does not exist.");
    let own_tables = world.tables.values().filter(|table| call.sees(&table.owner, &table.region));
    let (table, entry) = if let Some(id) = params.get("RouteEntryId") {
        own_tables
            .flat_map(|table| entries_of(world, table).into_iter().map(move |entry| (table, entry)))
            .find(|(_, entry)| entry.id == id)
            .ok_or_else(missing)?
    } else {
        let table = route_table::own(call, world, params.need("RouteTableId")?)?;
        let destination = read_destination(params)?;
        let entry = entries_of(world, table).into_iter().find(|entry| entry.destination == destination);
        (table, entry.ok_or_else(missing)?)
    };
    if entry.origin != Origin::Custom {
        let message = "Specified operation is denied as route entry type is system.";
        return Err(Refusal::new(400, "OperationDenied", message));
    }
    Ok((table.id.clone(), entry))
}

fn read_destination(params: &Params) -> Result<Ipv4Net, Refusal> {
    read_block(params.need("DestinationCidrBlock")?, false)
        .ok_or_else(|| Refusal::new(400, "InvalidCidrBlock.Malformed", "Specified CIDR block is not valid."))
}

fn params_hops(params: &Params) -> Vec<String> {
    let listed: Vec<String> = params.members("NextHopList").iter().map(|hop| hop.text("NextHopId")).collect();
    if listed.is_empty() { params.get("NextHopId").map(str::to_owned).into_iter().collect() } else { listed }
}

fn read_hops(params: &Params) -> Result<Vec<Hop>, Refusal> {
    let listed = params.members("NextHopList");
    let single = params.get("NextHopId");
    match (single, listed.is_empty()) {
        (None, true) => {
            let message = "NextHopId and NextHopList can not be both null.";
            Err(Refusal::new(400, "InvalidNexthopTypeAndList.BothNull", message))
        }
        (Some(_), false) => {
            let message = "NextHopId and NextHopList can not be both not null.";
            Err(Refusal::new(400, "InvalidNexthopTypeAndList.BothNotNull", message))
        }
        (Some(id), true) => {
            let kind = params.get("NextHopType").unwrap_or("Instance");
            Ok(vec![Hop { kind: kind.to_owned(), id: id.to_owned(), weight: WEIGHT_DEFAULT, enabled: true }])
        }
        (None, false) => {
            let only_interfaces = listed.iter().all(|hop| hop.wants("NextHopType", "RouterInterface"));
            if !(2..=4).contains(&listed.len()) || !only_interfaces {
                let message = "NextHopList takes two to four router interfaces.";
                return Err(Refusal::new(400, "InvalidNexthopListSize", message));
            }
            listed
                .iter()
                .map(|hop| {
                    let weight = hop.number("Weight")?.unwrap_or(WEIGHT_DEFAULT);
                    Ok(Hop {
                        kind: "RouterInterface".to_owned(),
                        id: hop.need("NextHopId")?.to_owned(),
                        weight,
                        enabled: true,
                    })
                })
                .collect()
        }
    }
}

/// The next hop must exist in the table's own VPC.
fn check_hop(world: &World, table: &RouteTable, hop: &Hop) -> Result<(), Refusal> {
    let here = match hop.kind.as_str() {
        "RouterInterface" => match world.interfaces.get(&hop.id).filter(|interface| interface.vpc == table.vpc) {
            None => false,
            Some(interface) => {
                use RouterInterfaceState::{Active, Idle, Inactive};
                if !matches!(interface.state, Idle | Active | Inactive) {
                    let message = "The status of the router interface does not support this operation.";
                    return Err(Refusal::new(400, "IncorrectStatus.RouterInterface", message));
                }
                true
            }
        },
        "Instance" => world.primary_eni(&hop.id).is_some_and(|eni| eni.vpc == table.vpc),
        "NetworkInterface" => world.enis.get(&hop.id).is_some_and(|eni| eni.vpc == table.vpc),
        "VpcPeer" => world
            .peerings
            .get(&hop.id)
            .is_some_and(|peering| peering.vpc == table.vpc || peering.accepting_vpc == table.vpc),
        "Attachment" => {
            world.cen.attachments.get(&hop.id).is_some_and(|attachment| attachment.vpc() == Some(&table.vpc))
        }
        "HaVip"
        | "VpnGateway"
        | "NatGateway"
        | "Ecr"
        | "ECR"
        | "Ipv4Gateway"
        | "IPv6Gateway"
        | "GatewayEndpoint"
        | "GatewayLoadBalancerEndpoint" => false,
        _ => return Err(Refusal::new(400, "InvalidNextHopType", "Specified next hop type is not valid.")),
    };
    if here { Ok(()) } else { Err(not_found("NextHopId")) }
}

//! VPC peering connections (VpcPeer 2022-01-01): one object, requested by one account and accepted by the other.

use super::{Answer, Call, done, number, passing, time};
use crate::cloud::{
    calls::page::{TokenStyle, tokens},
    calls::refusal::Refusal,
    world::{Business, Change, Peering, PeeringState, World},
};
use serde_json::{Value, json};

const STYLE: TokenStyle = TokenStyle { size: "MaxResults", size_default: 20, size_max: 100, total: true, echo: true };

/// Default bandwidth of a connection between regions, in Mbit/s.
const BANDWIDTH_BETWEEN_REGIONS: u32 = 1024;

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let region = call.region()?.to_owned();
    let vpc = super::vpc::own(call, world, params.need("VpcId")?)?.id.clone();
    let accepting_owner = params.need("AcceptingAliUid")?.to_owned();
    let accepting_region = params.need("AcceptingRegionId")?.to_owned();
    let accepting_vpc = params.need("AcceptingVpcId")?.to_owned();
    let exists = world
        .vpcs
        .get(&accepting_vpc)
        .is_some_and(|vpc| vpc.owner == accepting_owner && vpc.region == accepting_region);
    if !exists {
        return Err(Refusal::new(404, "ResourceNotFound.AcceptingVpc", "The specified accepting VPC does not exist."));
    }
    let taken = world.peerings.values().any(|other| {
        !matches!(other.state, PeeringState::Rejected | PeeringState::Expired)
            && [(&other.vpc, &other.accepting_vpc), (&other.accepting_vpc, &other.vpc)]
                .contains(&(&vpc, &accepting_vpc))
    });
    if taken || vpc == accepting_vpc {
        let message = "A VPC peering connection between the VPCs exists already.";
        return Err(Refusal::new(400, "ResourceAlreadyExist.RouteService", message));
    }
    call.refuse_dry_run()?;
    let default = (region != accepting_region).then_some(BANDWIDTH_BETWEEN_REGIONS);
    let bandwidth = match params.number::<i64>("Bandwidth")? {
        Some(mbit) if mbit > 0 => u32::try_from(mbit).ok(),
        Some(_) => None,
        None => default,
    };
    let state = if accepting_owner == call.caller.account { PeeringState::Activated } else { PeeringState::Accepting };
    let id = world.make.id("pcc-", &region);
    let peering = Peering {
        id: id.clone(),
        name: params.text("Name"),
        description: params.text("Description"),
        owner: call.caller.account.clone(),
        region,
        vpc,
        accepting_owner,
        accepting_region,
        accepting_vpc,
        bandwidth,
        state,
        business: Business::Normal,
        created: call.now,
        modified: call.now,
    };
    call.show(world, &id, "Creating");
    world.peerings.insert(id.clone(), peering);
    Ok(json!({ "InstanceId": id }))
}

pub(super) fn accept(call: &Call<'_>, world: &mut World) -> Answer {
    decide(call, world, PeeringState::Activated)
}

pub(super) fn reject(call: &Call<'_>, world: &mut World) -> Answer {
    decide(call, world, PeeringState::Rejected)
}

fn decide(call: &Call<'_>, world: &mut World, to: PeeringState) -> Answer {
    let peering = own(call, world)?;
    let busy = passing(world, &peering.id).is_some();
    if peering.accepting_owner != call.caller.account || peering.state != PeeringState::Accepting || busy {
        let message = "The status of the VPC peering connection does not support this operation.";
        return Err(Refusal::new(400, "IncorrectStatus.VpcPeer", message));
    }
    let id = peering.id.clone();
    call.refuse_dry_run()?;
    call.show(world, &id, "Updating");
    call.later(world, Change::Peering { id, to });
    done()
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let id = settled(call, world)?.id.clone();
    let mut entries = world.tables.values().flat_map(|table| &table.entries);
    let referred = entries.any(|entry| entry.hops.iter().any(|hop| hop.id == id));
    if referred && !call.params.yes("Force") {
        let message = "The VPC peering connection is referred by a route entry.";
        return Err(Refusal::new(400, "OperationDenied.RouteEntryExist", message));
    }
    call.refuse_dry_run()?;
    for table in world.tables.values_mut() {
        table.entries.retain(|entry| !entry.hops.iter().any(|hop| hop.id == id));
    }
    call.show(world, &id, "Deleting");
    call.later(world, Change::PeeringGone { id });
    done()
}

pub(super) fn modify(call: &Call<'_>, world: &mut World) -> Answer {
    let id = settled(call, world)?.id.clone();
    let bandwidth = call.params.number::<i64>("Bandwidth")?;
    call.refuse_dry_run()?;
    call.show(world, &id, "Updating");
    if let Some(peering) = world.peerings.get_mut(&id) {
        super::router_interface::set(call.params, "Name", &mut peering.name);
        super::router_interface::set(call.params, "Description", &mut peering.description);
        if let Some(mbit) = bandwidth {
            peering.bandwidth = u32::try_from(mbit).ok().filter(|mbit| *mbit > 0);
        }
        peering.modified = call.now;
    }
    done()
}

pub(super) fn list(call: &Call<'_>, world: &World) -> Answer {
    let params = call.params;
    let vpcs = params.list("VpcId");
    let rows = world
        .peerings
        .values()
        .filter(|peering| visible(call, peering))
        .filter(|peering| params.wants("InstanceId", &peering.id) && params.wants("Name", &peering.name))
        .filter(|peering| vpcs.is_empty() || vpcs.iter().any(|id| [&peering.vpc, &peering.accepting_vpc].contains(&id)))
        .map(|peering| {
            let mut row = row(world, peering);
            row["OwnerId"] = number(&peering.owner);
            row
        })
        .collect();
    Ok(tokens(rows, params, &STYLE, call.lose_page)?.flat("VpcPeerConnects"))
}

pub(super) fn get(call: &Call<'_>, world: &World) -> Answer {
    Ok(row(world, own(call, world)?))
}

fn row(world: &World, peering: &Peering) -> Value {
    let end = |id: &str| {
        let blocks: Vec<String> = world
            .vpcs
            .get(id)
            .map(|vpc| super::vpc::blocks(vpc).map(|block| block.to_string()).collect())
            .unwrap_or_default();
        json!({ "VpcId": id, "Ipv4Cidrs": blocks, "Ipv6Cidrs": [] })
    };
    json!({
        "InstanceId": peering.id,
        "Name": peering.name,
        "Description": peering.description,
        "Status": passing(world, &peering.id).unwrap_or(peering.state.text()),
        "BizStatus": peering.business.text(),
        "Bandwidth": peering.bandwidth.map_or(-1, i64::from),
        "LinkType": "Gold",
        "RegionId": peering.region,
        "Vpc": end(&peering.vpc),
        "AcceptingRegionId": peering.accepting_region,
        "AcceptingOwnerUid": number(&peering.accepting_owner),
        "AcceptingVpc": end(&peering.accepting_vpc),
        "GmtCreate": time(peering.created),
        "GmtModified": time(peering.modified),
        "GmtExpired": "",
        "ResourceGroupId": "",
        "Tags": [],
    })
}

/// The named connection; refused while a call on it is still in progress.
fn settled<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Peering, Refusal> {
    let peering = own(call, world)?;
    if passing(world, &peering.id).is_some() {
        let message = "The status of the VPC peering connection does not support this operation.";
        return Err(Refusal::new(400, "IncorrectStatus.VpcPeer", message));
    }
    Ok(peering)
}

/// Both accounts see a connection, each from its own region.
fn visible(call: &Call<'_>, peering: &Peering) -> bool {
    call.sees(&peering.owner, &peering.region) || call.sees(&peering.accepting_owner, &peering.accepting_region)
}

fn own<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Peering, Refusal> {
    world
        .peerings
        .get(call.params.need("InstanceId")?)
        .filter(|peering| [&peering.owner, &peering.accepting_owner].contains(&&call.caller.account))
        .ok_or_else(|| Refusal::new(404, "ResourceNotFound.InstanceId", "The specified resource is not found."))
}

//! CEN instances, the list of their attached VPCs, and the grants by which VPC owners allow an attachment.

use super::{ATTACHED, MADE, PAGE_MAX, own_cen, refusal};
use crate::cloud::{
    actions::{Answer, Call, done, number, time, vpc},
    calls::page::numbered,
    calls::refusal::Refusal,
    world::World,
    world::cen::{Cen, CenObject, Grant, Stage},
};
use serde_json::json;

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let id = format!("cen-{}", world.make.letters(18));
    let cen = Cen {
        id: id.clone(),
        owner: call.caller.account.clone(),
        name: call.params.text("Name"),
        description: call.params.text("Description"),
        stage: Stage::Coming,
        created: call.now,
    };
    world.cen.cens.insert(id.clone(), cen);
    call.arrives(world, CenObject::Cen(id.clone()));
    Ok(json!({ "CenId": id }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let id = own_cen(call, world, call.params.need("CenId")?)?.id.clone();
    if world.cen.routers.values().any(|router| router.cen == id) {
        let message = "The CEN instance is not in a valid state for the operation.";
        return Err(Refusal::new(409, "InvalidOperation.CenInstanceStatus", message));
    }
    call.goes(world, CenObject::Cen(id));
    done()
}

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    let own = world.cen.cens.values().filter(|cen| call.owns(&cen.owner));
    let rows = own
        .map(|cen| {
            json!({
                "CenId": cen.id,
                "Name": cen.name,
                "Description": cen.description,
                "Status": cen.stage.text(MADE),
                "ProtectionLevel": "REDUCED",
                "Ipv6Level": "DISABLED",
                "ResourceGroupId": "",
                "CreationTime": time(cen.created),
                "CenBandwidthPackageIds": { "CenBandwidthPackageId": [] },
                "Tags": { "Tag": [] },
            })
        })
        .collect();
    Ok(numbered(rows, call.params, PAGE_MAX, call.lose_page)?.under("Cens", "Cen"))
}

pub(super) fn grant(call: &Call<'_>, world: &mut World) -> Answer {
    let grant = named_grant(call, world)?;
    let there = world.cen.cens.get(&grant.cen).is_some_and(|cen| cen.owner == grant.cen_owner);
    if !there {
        return Err(refusal("InvalidCenId.NotFound", "The specified CenId is not found."));
    }
    if !world.cen.grants.insert(grant) {
        return Err(refusal("InstanceExist", "The instance already exists."));
    }
    done()
}

/// Removes a grant. An existing attachment stays.
pub(super) fn revoke(call: &Call<'_>, world: &mut World) -> Answer {
    let grant = named_grant(call, world)?;
    world.cen.grants.remove(&grant);
    done()
}

fn named_grant(call: &Call<'_>, world: &World) -> Result<Grant, Refusal> {
    let params = call.params;
    if !params.need("InstanceType")?.eq_ignore_ascii_case("VPC") {
        return Err(refusal("ParameterIllegal.ChildInstanceType", "The parameter of child instance type is illegal."));
    }
    Ok(Grant {
        vpc: vpc::own(call, world, params.need("InstanceId")?)?.id.clone(),
        cen: params.need("CenId")?.to_owned(),
        cen_owner: params.need("CenOwnerId")?.to_owned(),
    })
}

pub(super) fn describe_children(call: &Call<'_>, world: &World) -> Answer {
    let params = call.params;
    let cen = own_cen(call, world, params.need("CenId")?)?;
    let rows = world
        .cen
        .attachments
        .values()
        .filter(|attachment| attachment.cen == cen.id)
        .filter_map(|attachment| Some((attachment, world.vpcs.get(attachment.vpc()?)?)))
        .filter(|(_, vpc)| params.wants("ChildInstanceRegionId", &vpc.region))
        .filter(|_| params.wants("ChildInstanceType", "VPC"))
        .map(|(attachment, vpc)| {
            json!({
                "CenId": cen.id,
                "ChildInstanceId": vpc.id,
                "ChildInstanceType": "VPC",
                "ChildInstanceRegionId": vpc.region,
                "ChildInstanceOwnerId": number(&vpc.owner),
                "ChildInstanceAttachTime": time(attachment.created),
                "Status": attachment.stage.text(ATTACHED),
            })
        })
        .collect();
    Ok(numbered(rows, params, PAGE_MAX, call.lose_page)?.under("ChildInstances", "ChildInstance"))
}

/// Always an empty list, because the lab has no call that creates a routing policy.
pub(super) fn describe_route_maps(call: &Call<'_>, world: &World) -> Answer {
    own_cen(call, world, call.params.need("CenId")?)?;
    Ok(numbered(Vec::new(), call.params, PAGE_MAX, false)?.under("RouteMaps", "RouteMap"))
}

//! VPC attachments of transit routers. The VPC belongs to the same account, or to one that granted the VPC.

use super::{ATTACHED, STYLE, detach, named_router, own_attachment, refusal};
use crate::cloud::{
    actions::{Answer, Call, done, number, router_interface, time_minutes},
    calls::page::tokens,
    calls::refusal::Refusal,
    ids::derived,
    world::cen::{Attached, Attachment, CenObject, Grant, Stage},
    world::{Vpc, World},
};
use serde_json::{Value, json};

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let router = named_router(call, world)?;
    let vpc = attachable(call, world, &router.cen)?.clone();
    if vpc.region != router.region {
        return Err(refusal("IllegalParam.RegionId", "The Specified Parameter RegionId is illegal"));
    }
    let zones = read_zones(call, world, &vpc)?;
    let there = |attachment: &Attachment| attachment.router == router.id && attachment.vpc() == Some(&vpc.id);
    if world.cen.attachments.values().any(there) {
        return Err(refusal("InstanceExist", "The instance already exists."));
    }
    call.refuse_dry_run()?;
    let id = world.make.id("tr-attach-", &router.region);
    let attachment = Attachment {
        id: id.clone(),
        owner: router.owner,
        cen: router.cen,
        router: router.id,
        to: Attached::Vpc { vpc: vpc.id, zones },
        name: call.params.text("TransitRouterAttachmentName"),
        description: call.params.text("TransitRouterAttachmentDescription"),
        publishes: call.params.yes("AutoPublishRouteEnabled"),
        stage: Stage::Coming,
        created: call.now,
    };
    world.cen.attachments.insert(id.clone(), attachment);
    call.arrives(world, CenObject::Attachment(id.clone()));
    Ok(json!({ "TransitRouterAttachmentId": id }))
}

/// The caller's own VPC, or a VPC whose owner granted it to this CEN instance.
fn attachable<'a>(call: &Call<'_>, world: &'a World, cen: &str) -> Result<&'a Vpc, Refusal> {
    let id = call.params.need("VpcId")?;
    let owner = call.params.get("VpcOwnerId").unwrap_or(&call.caller.account);
    let granted = Grant { vpc: id.to_owned(), cen: cen.to_owned(), cen_owner: call.caller.account.clone() };
    world
        .vpcs
        .get(id)
        .filter(|vpc| vpc.owner == owner && (call.owns(owner) || world.cen.grants.contains(&granted)))
        .ok_or_else(|| Refusal::new(404, "InvalidVpcId.NotFound", "The specified VpcId is not found."))
}

fn read_zones(call: &Call<'_>, world: &World, vpc: &Vpc) -> Result<Vec<(String, String)>, Refusal> {
    let mut zones: Vec<(String, String)> = Vec::new();
    for mapping in call.params.members("ZoneMappings") {
        let zone =
            mapping.get("ZoneId").ok_or_else(|| refusal("IllegalParam.ZoneId", "The specified ZoneId is illegal."))?;
        let vswitch =
            mapping.get("VSwitchId").ok_or_else(|| refusal("IllegalParam.VSwitchId", "VSwitchId is illegal."))?;
        let found =
            world.vswitches.get(vswitch).filter(|own| own.vpc == vpc.id).ok_or_else(|| {
                Refusal::new(404, "InvalidVSwitchId.NotFound", "The specified VSwitchId is not found.")
            })?;
        if found.zone != zone {
            return Err(refusal("IllegalParam.ZoneMappings", "The Specified Parameter ZoneMappings is illegal"));
        }
        if zones.iter().any(|(other, _)| other == zone) {
            return Err(refusal("Duplicated.ZoneMapping", "The parameter ZoneMapping is duplicated."));
        }
        zones.push((zone.to_owned(), vswitch.to_owned()));
    }
    if zones.is_empty() {
        return Err(refusal("IllegalParam.ZoneMappings", "The Specified Parameter ZoneMappings is illegal"));
    }
    Ok(zones)
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let id = of_vpc(call, world)?.id.clone();
    detach(call, world, &id)
}

pub(super) fn update(call: &Call<'_>, world: &mut World) -> Answer {
    let id = of_vpc(call, world)?.id.clone();
    set(call, world, &id)
}

/// Changes the attributes that both kinds of attachment have: name, description, route publication.
pub(super) fn set(call: &Call<'_>, world: &mut World, id: &str) -> Answer {
    call.refuse_dry_run()?;
    if let Some(attachment) = world.cen.attachments.get_mut(id) {
        router_interface::set(call.params, "TransitRouterAttachmentName", &mut attachment.name);
        router_interface::set(call.params, "TransitRouterAttachmentDescription", &mut attachment.description);
        if call.params.get("AutoPublishRouteEnabled").is_some() {
            attachment.publishes = call.params.yes("AutoPublishRouteEnabled");
        }
    }
    done()
}

fn of_vpc<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Attachment, Refusal> {
    let attachment = own_attachment(call, world)?;
    if attachment.vpc().is_none() {
        let message = "The TransitRouterAttachmentId is not found.";
        return Err(refusal("InvalidTransitRouterAttachmentId.NotFound", message));
    }
    Ok(attachment)
}

pub(super) fn list(call: &Call<'_>, world: &World) -> Answer {
    let params = call.params;
    let rows = world
        .cen
        .attachments
        .values()
        .filter_map(|attachment| Some((attachment, world.vpcs.get(attachment.vpc()?)?)))
        .filter(|(attachment, vpc)| call.owns(&attachment.owner) || call.owns(&vpc.owner))
        .filter(|(attachment, vpc)| {
            params.wants("RegionId", &vpc.region)
                && params.wants("VpcId", &vpc.id)
                && params.wants("CenId", &attachment.cen)
                && params.wants("TransitRouterId", &attachment.router)
                && params.wants("TransitRouterAttachmentId", &attachment.id)
                && params.wants("Status", attachment.stage.text(ATTACHED))
                && params.wants("OrderType", "PayByCenOwner")
        })
        .map(|(attachment, vpc)| row(attachment, vpc))
        .collect();
    Ok(tokens(rows, params, &STYLE, call.lose_page)?.flat("TransitRouterAttachments"))
}

fn row(attachment: &Attachment, vpc: &Vpc) -> Value {
    let zones = match &attachment.to {
        Attached::Vpc { zones, .. } => zones.as_slice(),
        Attached::Router { .. } => &[],
    };
    let mappings: Vec<Value> = zones
        .iter()
        .map(|(zone, vswitch)| {
            let eni = derived("eni-", &format!("{}{vswitch}", attachment.id));
            json!({ "ZoneId": zone, "VSwitchId": vswitch, "NetworkInterfaceId": eni })
        })
        .collect();
    json!({
        "TransitRouterAttachmentId": attachment.id,
        "TransitRouterAttachmentName": attachment.name,
        "TransitRouterAttachmentDescription": attachment.description,
        "TransitRouterId": attachment.router,
        "CenId": attachment.cen,
        "ResourceType": "VPC",
        "VpcId": vpc.id,
        "VpcOwnerId": number(&vpc.owner),
        "VpcRegionId": vpc.region,
        "Status": attachment.stage.text(ATTACHED),
        "AutoPublishRouteEnabled": attachment.publishes,
        "ChargeType": "POSTPAY",
        "OrderType": "PayByCenOwner",
        "CreationTime": time_minutes(attachment.created),
        "TransitRouterVPCAttachmentOptions": {},
        "ZoneMappings": mappings,
        "Tags": [],
    })
}

//! Connections between the transit routers of two regions. A connection is one object with one id for both ends.

use super::{ATTACHED, STYLE, attachment::set, detach, named_router, own_attachment, refusal};
use crate::cloud::{
    actions::{Answer, Call, number, time_minutes},
    calls::page::tokens,
    calls::refusal::Refusal,
    world::World,
    world::cen::{Attached, Attachment, CenObject, Stage, TransitRouter},
};
use serde_json::{Value, json};

/// Default bandwidth in Mbit/s of a connection that is paid by traffic.
const BANDWIDTH_DEFAULT: u32 = 1024;

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let router = named_router(call, world)?;
    let peer = params.need("PeerTransitRouterId")?;
    let peer = world.cen.routers.get(peer).filter(|peer| call.owns(&peer.owner) && peer.cen == router.cen);
    let peer = peer.cloned().ok_or_else(|| {
        refusal("InvalidPeerTransitRouterId.NotFound", "The specified PeerTransitRouterId is not found.")
    })?;
    if peer.region == router.region || !params.wants("PeerTransitRouterRegionId", &peer.region) {
        return Err(refusal("IllegalParam.PeerRegionId", "PeerRegionId is illegal."));
    }
    if peer.stage == Stage::Going {
        return Err(refusal("IncorrectStatus.TransitRouter", "The status of TransitRouter is incorrect."));
    }
    if world.cen.attachments.values().any(|other| other.across(&router.id) == Some(&peer.id)) {
        return Err(refusal("InstanceExist", "The instance already exists."));
    }
    let bandwidth_type = params.get("BandwidthType").unwrap_or("DataTransfer").to_owned();
    let given = params.number("Bandwidth")?;
    let bandwidth = match (bandwidth_type.as_str(), given) {
        (_, Some(0)) => return Err(refusal("IllegalParam.Bandwidth", "Bandwidth is illegal.")),
        ("DataTransfer", given) => given.unwrap_or(BANDWIDTH_DEFAULT),
        // The lab has no call that creates a bandwidth package.
        ("BandwidthPackage", None) => {
            return Err(refusal("MissingParam.Bandwidth", "The parameter Bandwidth is mandatory."));
        }
        ("BandwidthPackage", Some(_)) => {
            let message = "Parameter CenBandwidthPackageId is illegal.";
            return Err(refusal("IllegalParam.CenBandwidthPackageId", message));
        }
        _ => return Err(refusal("IllegalParam.BandwidthType", "BandwidthType is illegal.")),
    };
    call.refuse_dry_run()?;
    let id = world.make.id("tr-attach-", &router.region);
    let link_type = params.get("DefaultLinkType").unwrap_or("Gold").to_owned();
    let attachment = Attachment {
        id: id.clone(),
        owner: router.owner,
        cen: router.cen,
        router: router.id,
        to: Attached::Router { router: peer.id, bandwidth, bandwidth_type, link_type },
        name: params.text("TransitRouterAttachmentName"),
        description: params.text("TransitRouterAttachmentDescription"),
        publishes: params.yes("AutoPublishRouteEnabled"),
        stage: Stage::Coming,
        created: call.now,
    };
    world.cen.attachments.insert(id.clone(), attachment);
    call.arrives(world, CenObject::Attachment(id.clone()));
    Ok(json!({ "TransitRouterAttachmentId": id }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let id = between_routers(call, world)?.id.clone();
    detach(call, world, &id)
}

pub(super) fn update(call: &Call<'_>, world: &mut World) -> Answer {
    let id = between_routers(call, world)?.id.clone();
    let wanted: Option<u32> = call.params.number("Bandwidth")?;
    if wanted == Some(0) {
        return Err(refusal("IllegalParam.Bandwidth", "Bandwidth is illegal."));
    }
    let done = set(call, world, &id)?;
    let found = world.cen.attachments.get_mut(&id).map(|attachment| &mut attachment.to);
    if let (Some(Attached::Router { bandwidth, .. }), Some(wanted)) = (found, wanted) {
        *bandwidth = wanted;
    }
    Ok(done)
}

fn between_routers<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Attachment, Refusal> {
    let attachment = own_attachment(call, world)?;
    if attachment.vpc().is_some() {
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
        .filter(|attachment| call.owns(&attachment.owner))
        .filter(|attachment| {
            params.wants("CenId", &attachment.cen) && params.wants("TransitRouterAttachmentId", &attachment.id)
        })
        .filter_map(|attachment| {
            let far = world.cen.routers.get(attachment.across(&attachment.router)?)?;
            let ends = [(world.cen.routers.get(&attachment.router)?, far)];
            let wanted = |near: &TransitRouter| {
                params.wants("TransitRouterId", &near.id) && params.wants("RegionId", &near.region)
            };
            let seen = ends.into_iter().flat_map(|(near, far)| [(near, far), (far, near)]);
            let (near, far) = seen.into_iter().find(|(near, _)| wanted(near))?;
            Some(row(attachment, near, far))
        })
        .collect();
    Ok(tokens(rows, params, &STYLE, call.lose_page)?.flat("TransitRouterAttachments"))
}

fn row(attachment: &Attachment, near: &TransitRouter, far: &TransitRouter) -> Value {
    let mut row = json!({
        "TransitRouterAttachmentId": attachment.id,
        "TransitRouterAttachmentName": attachment.name,
        "TransitRouterAttachmentDescription": attachment.description,
        "TransitRouterId": near.id,
        "RegionId": near.region,
        "CenId": attachment.cen,
        "ResourceType": "TR",
        "PeerTransitRouterId": far.id,
        "PeerTransitRouterRegionId": far.region,
        "PeerTransitRouterOwnerId": number(&far.owner),
        "Status": attachment.stage.text(ATTACHED),
        "AutoPublishRouteEnabled": attachment.publishes,
        "CenBandwidthPackageId": "",
        "GeographicSpanId": "",
        "CreationTime": time_minutes(attachment.created),
        "Tags": [],
    });
    if let Attached::Router { bandwidth, bandwidth_type, link_type, .. } = &attachment.to {
        row["Bandwidth"] = json!(bandwidth);
        row["BandwidthType"] = json!(bandwidth_type);
        row["DefaultLinkType"] = json!(link_type);
    }
    row
}

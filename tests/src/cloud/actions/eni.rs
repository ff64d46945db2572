//! Elastic network interfaces and their private addresses.

use super::{
    Answer, Call, done, malformed, not_found, passing,
    private_address::{address_rows, free_address},
    time,
};
use crate::cloud::{
    calls::refusal::Refusal,
    ids::mac_text,
    world::{Eni, EniState, World},
};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// Maximum number of private addresses per interface.
const ADDRESSES_MAX: usize = 20;

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let params = call.params;
    let rows = world
        .enis
        .values()
        .filter(|eni| {
            let addresses: Vec<String> = eni.addresses.iter().map(Ipv4Addr::to_string).collect();
            call.sees(&eni.owner, &eni.region)
                && params.wants_one_of("NetworkInterfaceId", &eni.id)
                && params.wants("InstanceId", eni.instance.as_deref().unwrap_or_default())
                && params.wants("VpcId", &eni.vpc)
                && params.wants("VSwitchId", &eni.vswitch)
                && params.wants("Type", kind(eni))
                && params.wants("Status", state(world, eni))
                && params.wants("NetworkInterfaceName", &eni.name)
                && params.wants("PrimaryIpAddress", addresses.first().map_or("", String::as_str))
                && (params.get("SecurityGroupId").is_none()
                    || eni.groups.iter().any(|group| params.wants("SecurityGroupId", group)))
                && (params.list("PrivateIpAddress").is_empty()
                    || addresses.iter().any(|address| params.wants_one_of("PrivateIpAddress", address)))
        })
        .map(|eni| {
            let mut row = common(world, eni);
            row["InstanceId"] = json!(eni.instance.as_deref().unwrap_or_default());
            row["CreationTime"] = json!(time(eni.created));
            row["AssociatedPublicIp"] = json!({});
            row
        })
        .collect();
    Ok(call.ecs_page(rows)?.under("NetworkInterfaceSets", "NetworkInterfaceSet"))
}

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let params = call.params;
    let vswitch = super::vswitch::own(call, world, params.need("VSwitchId")?)?.clone();
    let mut groups = params.list("SecurityGroupIds");
    if groups.is_empty() {
        groups.push(params.need("SecurityGroupId")?.to_owned());
    }
    let wanted =
        params.get("PrimaryIpAddress").map(str::parse).transpose().map_err(|_| malformed("PrimaryIpAddress"))?;
    let mut eni = Eni {
        id: String::new(),
        owner: call.caller.account.clone(),
        region: vswitch.region.clone(),
        name: params.text("NetworkInterfaceName"),
        vpc: vswitch.vpc.clone(),
        vswitch: vswitch.id.clone(),
        mac: world.make.mac(),
        addresses: vec![free_address(world, &vswitch, wanted)?],
        groups: Vec::new(),
        instance: None,
        primary: false,
        created: call.now,
    };
    super::group::check_membership(call, world, &eni, &groups)?;
    eni.groups = groups;
    for text in params.list("PrivateIpAddress") {
        let address = text.parse().map_err(|_| malformed("PrivateIpAddress"))?;
        eni.addresses.push(free_address(world, &vswitch, Some(address))?);
    }
    eni.id = world.make.id("eni-", &vswitch.region);
    call.show(world, &eni.id, "Creating");
    let answer = common(world, &eni);
    world.enis.insert(eni.id.clone(), eni);
    Ok(answer)
}

pub(super) fn attach(call: &Call<'_>, world: &mut World) -> Answer {
    let eni = own(call, world, call.params.need("NetworkInterfaceId")?)?.clone();
    let instance = super::instance::own(call, world, call.params.need("InstanceId")?)?.clone();
    if eni.instance.is_some() || passing(world, &eni.id).is_some() {
        let message = "The specified interface is bound already.";
        return Err(Refusal::new(400, "InvalidOperation.InvalidEniState", message));
    }
    if world.primary_eni(&instance.id).is_some_and(|primary| primary.vpc != eni.vpc) {
        return Err(Refusal::new(403, "InvalidOperation.VpcMismatch", "Interface and instance are in different VPCs."));
    }
    call.show(world, &eni.id, "Attaching");
    if let Some(stored) = world.enis.get_mut(&eni.id) {
        stored.instance = Some(instance.id.clone());
    }
    if let Some(stored) = world.instances.get_mut(&instance.id) {
        stored.enis.push(eni.id);
    }
    done()
}

pub(super) fn modify(call: &Call<'_>, world: &mut World) -> Answer {
    let eni = own(call, world, call.params.need("NetworkInterfaceId")?)?.clone();
    let groups = call.params.list("SecurityGroupId");
    if !groups.is_empty() {
        super::group::check_membership(call, world, &eni, &groups)?;
    }
    if let Some(stored) = world.enis.get_mut(&eni.id) {
        if !groups.is_empty() {
            stored.groups = groups;
        }
        super::router_interface::set(call.params, "NetworkInterfaceName", &mut stored.name);
    }
    done()
}

pub(super) fn assign(call: &Call<'_>, world: &mut World) -> Answer {
    let mut eni = own(call, world, call.params.need("NetworkInterfaceId")?)?.clone();
    let vswitch = world.vswitches.get(&eni.vswitch).cloned().ok_or_else(|| not_found("VSwitchId"))?;
    let given = call.params.list("PrivateIpAddress");
    let count: usize = call.params.number("SecondaryPrivateIpAddressCount")?.unwrap_or(0);
    let mut added: Vec<Ipv4Addr> = Vec::new();
    for text in &given {
        let address = text.parse().map_err(|_| malformed("PrivateIpAddress"))?;
        added.push(free_address(world, &vswitch, Some(address))?);
    }
    for _ in given.len()..count.min(ADDRESSES_MAX) {
        let mut taken = world.clone();
        let mut extended = eni.clone();
        extended.addresses.extend(&added);
        taken.enis.insert(eni.id.clone(), extended);
        added.push(free_address(&taken, &vswitch, None)?);
    }
    if added.is_empty() || eni.addresses.len() + added.len() > ADDRESSES_MAX {
        return Err(Refusal::new(400, "InvalidParameter", "The number of private addresses is not valid."));
    }
    eni.addresses.extend(&added);
    let answer = json!({ "AssignedPrivateIpAddressesSet": {
        "NetworkInterfaceId": eni.id,
        "PrivateIpSet": { "PrivateIpAddress": added },
    } });
    world.enis.insert(eni.id.clone(), eni);
    Ok(answer)
}

pub(super) fn unassign(call: &Call<'_>, world: &mut World) -> Answer {
    let mut eni = own(call, world, call.params.need("NetworkInterfaceId")?)?.clone();
    for text in call.params.list("PrivateIpAddress") {
        let address: Ipv4Addr = text.parse().map_err(|_| malformed("PrivateIpAddress"))?;
        if eni.addresses.first() == Some(&address) || !eni.addresses.contains(&address) {
            let message = "The address is the primary one, or none of the interface.";
            return Err(Refusal::new(400, "InvalidIp.IpUnassigned", message));
        }
        eni.addresses.retain(|other| *other != address);
    }
    world.enis.insert(eni.id.clone(), eni);
    done()
}

fn common(world: &World, eni: &Eni) -> Value {
    json!({
        "NetworkInterfaceId": eni.id,
        "NetworkInterfaceName": eni.name,
        "Description": "",
        "VpcId": eni.vpc,
        "VSwitchId": eni.vswitch,
        "ZoneId": world.vswitches.get(&eni.vswitch).map_or("", |vswitch| vswitch.zone.as_str()),
        "MacAddress": mac_text(eni.mac),
        "PrivateIpAddress": eni.addresses.first(),
        "PrivateIpSets": { "PrivateIpSet": address_rows(eni) },
        "Ipv6Sets": { "Ipv6Set": [] },
        "SecurityGroupIds": { "SecurityGroupId": eni.groups },
        "Status": state(world, eni),
        "Type": kind(eni),
        "OwnerId": eni.owner,
        "ServiceManaged": false,
        "SourceDestCheck": false,
        "ResourceGroupId": "",
        "Tags": { "Tag": [] },
    })
}

fn kind(eni: &Eni) -> &'static str {
    if eni.primary { "Primary" } else { "Secondary" }
}

fn state(world: &World, eni: &Eni) -> &'static str {
    let settled = if eni.instance.is_some() { EniState::InUse } else { EniState::Available };
    passing(world, &eni.id).unwrap_or(settled.text())
}

/// The caller's interface with this id.
pub(super) fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a Eni, Refusal> {
    world
        .enis
        .get(id)
        .filter(|eni| call.sees(&eni.owner, &eni.region))
        .ok_or_else(|| Refusal::new(404, "InvalidEniId.NotFound", "The specified NetworkInterfaceId does not exist."))
}

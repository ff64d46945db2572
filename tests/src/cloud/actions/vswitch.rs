//! vSwitches: creation, deletion, listing.

use super::{Answer, Call, PAGE_MAX, done, malformed, number, passing, time, vpc};
use crate::cloud::{
    calls::page::numbered,
    calls::params::read_block,
    calls::refusal::Refusal,
    world::{VSwitch, World},
};
use serde_json::{Value, json};

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let home = vpc::ready(call, world, call.params.need("VpcId")?)?.clone();
    let zone = call.params.need("ZoneId")?.to_owned();
    let cidr = read_block(call.params.need("CidrBlock")?, false)
        .filter(|block| (16..=29).contains(&block.prefix_len()))
        .ok_or_else(|| malformed("CidrBlock"))?;
    if !vpc::blocks(&home).any(|block| block.contains(&cidr)) {
        let message = "Specified VSwitch CIDR block is not in the CIDR block of the VPC.";
        return Err(Refusal::new(400, "InvalidCidrBlock.NotInVpc", message));
    }
    if world.vswitches_of(&home.id).any(|other| other.cidr.contains(&cidr) || cidr.contains(&other.cidr)) {
        let message = "Specified CIDR block is overlapped with other subnet.";
        return Err(Refusal::new(400, "InvalidCidrBlock.Overlapped", message));
    }
    let routed = world.tables.values().filter(|table| table.vpc == home.id).flat_map(|table| &table.entries);
    if routed.into_iter().any(|entry| cidr.contains(&entry.destination)) {
        let message = "Specified CIDR block is conflict with a route entry.";
        return Err(Refusal::new(400, "RouteConflict", message));
    }
    let id = world.make.id("vsw-", &home.region);
    world.vswitches.insert(
        id.clone(),
        VSwitch {
            id: id.clone(),
            owner: home.owner,
            region: home.region,
            name: call.params.text("VSwitchName"),
            description: call.params.text("Description"),
            vpc: home.id,
            zone,
            cidr,
            table: home.system_table,
            acl: None,
            created: call.now,
        },
    );
    call.show(world, &id, "Pending");
    Ok(json!({ "VSwitchId": id }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let id = own(call, world, call.params.need("VSwitchId")?)?.id.clone();
    if world.enis.values().any(|eni| eni.vswitch == id) || world.cen.reaches_into(&id) {
        return Err(Refusal::new(400, "DependencyViolation", "Specified object has dependent resources."));
    }
    world.vswitches.remove(&id);
    done()
}

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    let wants = |vswitch: &&VSwitch| {
        let params = call.params;
        call.sees(&vswitch.owner, &vswitch.region)
            && params.wants("VpcId", &vswitch.vpc)
            && params.wants_one_of("VSwitchId", &vswitch.id)
            && params.wants("VSwitchName", &vswitch.name)
            && params.wants("ZoneId", &vswitch.zone)
            && params.wants("RouteTableId", &vswitch.table)
    };
    let rows = world
        .vswitches
        .values()
        .filter(wants)
        .map(|vswitch| {
            let mut row = common(world, vswitch);
            row["OwnerId"] = number(&vswitch.owner);
            row
        })
        .collect();
    Ok(numbered(rows, call.params, PAGE_MAX, call.lose_page)?.under("VSwitches", "VSwitch"))
}

pub(super) fn describe_one(call: &Call<'_>, world: &World) -> Answer {
    Ok(common(world, own(call, world, call.params.need("VSwitchId")?)?))
}

fn common(world: &World, vswitch: &VSwitch) -> Value {
    let used =
        world.enis.values().filter(|eni| eni.vswitch == vswitch.id).map(|eni| eni.addresses.len()).sum::<usize>();
    let room = 2_usize.pow(u32::from(32 - vswitch.cidr.prefix_len())).saturating_sub(4 + used);
    let system = world.tables.get(&vswitch.table).is_none_or(|table| table.system);
    json!({
        "VSwitchId": vswitch.id,
        "VSwitchName": vswitch.name,
        "Description": vswitch.description,
        "VpcId": vswitch.vpc,
        "ZoneId": vswitch.zone,
        "CidrBlock": vswitch.cidr.to_string(),
        "Ipv6CidrBlock": "",
        "EnabledIpv6": false,
        "AvailableIpAddressCount": room,
        "NetworkAclId": vswitch.acl.clone().unwrap_or_default(),
        "RouteTable": {
            "RouteTableId": vswitch.table,
            "RouteTableType": if system { "System" } else { "Custom" },
        },
        "Status": passing(world, &vswitch.id).unwrap_or("Available"),
        "IsDefault": false,
        "ResourceGroupId": "",
        "ShareType": "",
        "CreationTime": time(vswitch.created),
    })
}

/// The caller's vSwitch with this id.
pub(super) fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a VSwitch, Refusal> {
    world
        .vswitches
        .get(id)
        .filter(|vswitch| call.sees(&vswitch.owner, &vswitch.region))
        .ok_or_else(|| Refusal::new(404, "InvalidVSwitchId.NotFound", "VSwitch not exist."))
}

/// The network mask of a vSwitch, as guests configure it.
pub(in crate::cloud) fn subnet_mask(vswitch: &VSwitch) -> std::net::Ipv4Addr {
    vswitch.cidr.netmask()
}

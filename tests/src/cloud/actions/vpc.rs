//! VPCs and their routers.

use super::{Answer, Call, PAGE_MAX, done, malformed, not_found, number, passing, time};
use crate::cloud::{
    calls::page::numbered,
    calls::params::read_block,
    calls::refusal::Refusal,
    world::cen::Attachment,
    world::{RouteTable, Vpc, World},
};
use ipnet::Ipv4Net;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Regions that DescribeRegions lists; any other well-formed one works as well.
const REGIONS: [(&str, &str); 6] = [
    ("cn-qingdao", "华北1（青岛）"),
    ("cn-beijing", "华北2（北京）"),
    ("cn-zhangjiakou", "华北3（张家口）"),
    ("cn-hangzhou", "华东1（杭州）"),
    ("cn-shanghai", "华东2（上海）"),
    ("cn-shenzhen", "华南1（深圳）"),
];

pub(super) fn describe_regions(_call: &Call<'_>, _world: &World) -> Answer {
    let regions: Vec<Value> = REGIONS
        .iter()
        .map(|(id, name)| {
            json!({ "RegionId": id, "LocalName": name, "RegionEndpoint": format!("vpc.{id}.aliyuncs.com") })
        })
        .collect();
    Ok(json!({ "Regions": { "Region": regions } }))
}

/// Zones listed for every region, beside those of the caller's vSwitches; any other well-formed one works as well.
const ZONES: [char; 3] = ['a', 'b', 'c'];

pub(super) fn describe_zones(call: &Call<'_>, world: &World) -> Answer {
    let region = call.region()?;
    let used = world.vswitches.values().filter(|vswitch| call.sees(&vswitch.owner, &vswitch.region));
    let zones: BTreeSet<String> = ZONES
        .iter()
        .map(|letter| format!("{region}-{letter}"))
        .chain(used.map(|vswitch| vswitch.zone.clone()))
        .collect();
    let place = REGIONS.iter().find(|(id, _)| *id == region).map_or(region, |(_, name)| name);
    let rows: Vec<Value> = zones
        .iter()
        .map(|id| {
            let letter = id.rsplit('-').next().unwrap_or_default().to_uppercase();
            json!({ "ZoneId": id, "LocalName": format!("{place} 可用区{letter}"), "ZoneType": "AvailabilityZone" })
        })
        .collect();
    Ok(json!({ "Zones": { "Zone": rows } }))
}

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let region = call.region()?.to_owned();
    let cidr = read_vpc_block(call.params.get("CidrBlock").unwrap_or("172.16.0.0/12"))?;
    call.refuse_dry_run()?;
    let id = world.make.id("vpc-", &region);
    let vrouter = world.make.id("vrt-", &region);
    let table = world.make.id("vtb-", &region);
    let owner = call.caller.account.clone();
    world.tables.insert(
        table.clone(),
        RouteTable {
            id: table.clone(),
            owner: owner.clone(),
            region: region.clone(),
            name: String::new(),
            description: String::new(),
            vpc: id.clone(),
            system: true,
            entries: Vec::new(),
            created: call.now,
        },
    );
    call.show(world, &id, "Pending");
    let answer = json!({ "VpcId": id, "VRouterId": vrouter, "RouteTableId": table, "ResourceGroupId": "" });
    world.vpcs.insert(
        id.clone(),
        Vpc {
            id,
            owner,
            region,
            name: call.params.text("VpcName"),
            description: call.params.text("Description"),
            cidr,
            secondary: Vec::new(),
            vrouter,
            system_table: table,
            created: call.now,
        },
    );
    Ok(answer)
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let vpc = own(call, world, call.params.need("VpcId")?)?.clone();
    let in_use = world.vswitches_of(&vpc.id).next().is_some()
        || world.groups.values().any(|group| group.vpc == vpc.id)
        || world.interfaces.values().any(|interface| interface.vpc == vpc.id)
        || world.peerings.values().any(|peering| peering.vpc == vpc.id || peering.accepting_vpc == vpc.id)
        || world.cen.attachments.values().any(|attachment| attachment.vpc() == Some(&vpc.id));
    if in_use {
        let message = "Specified object has dependent resources.";
        return Err(Refusal::new(400, "DependencyViolation", message));
    }
    world.tables.retain(|_, table| table.vpc != vpc.id);
    world.acls.retain(|_, acl| acl.vpc != vpc.id);
    world.vpcs.remove(&vpc.id);
    done()
}

pub(super) fn associate_block(call: &Call<'_>, world: &mut World) -> Answer {
    let id = own(call, world, call.params.need("VpcId")?)?.id.clone();
    let block = read_vpc_block(call.params.need("SecondaryCidrBlock")?)?;
    let Some(vpc) = world.vpcs.get_mut(&id) else { return Err(not_found("VpcId")) };
    if blocks(vpc).any(|other| other.contains(&block) || block.contains(&other)) {
        return Err(Refusal::new(400, "InvalidCidrBlock.Overlapped", "Specified CIDR block is overlapped."));
    }
    vpc.secondary.push(block);
    Ok(json!({ "CidrBlock": block.to_string(), "IpVersion": "IPV4" }))
}

pub(super) fn unassociate_block(call: &Call<'_>, world: &mut World) -> Answer {
    let id = own(call, world, call.params.need("VpcId")?)?.id.clone();
    let block = read_vpc_block(call.params.need("SecondaryCidrBlock")?)?;
    if world.vswitches_of(&id).any(|vswitch| block.contains(&vswitch.cidr)) {
        return Err(Refusal::new(400, "DependencyViolation.VSwitch", "Specified object has dependent resources."));
    }
    if let Some(vpc) = world.vpcs.get_mut(&id) {
        vpc.secondary.retain(|other| *other != block);
    }
    done()
}

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let rows = world
        .vpcs
        .values()
        .filter(|vpc| call.sees(&vpc.owner, &vpc.region))
        .filter(|vpc| call.params.wants_one_of("VpcId", &vpc.id) && call.params.wants("VpcName", &vpc.name))
        .filter(|vpc| call.params.wants("VpcOwnerId", &vpc.owner) && call.params.wants("IsDefault", "false"))
        .map(|vpc| {
            let tables: Vec<&str> = tables_of(world, vpc).collect();
            let mut row = common(world, vpc);
            row["CenStatus"] = json!(if cens_of(world, vpc).next().is_some() { "Attached" } else { "" });
            row["NatGatewayIds"] = json!({ "NatGatewayIds": [] });
            row["OwnerId"] = number(&vpc.owner);
            row["RouterTableIds"] = json!({ "RouterTableIds": tables });
            row
        })
        .collect();
    Ok(numbered(rows, call.params, PAGE_MAX, call.lose_page)?.under("Vpcs", "Vpc"))
}

fn cens_of<'a>(world: &'a World, vpc: &'a Vpc) -> impl Iterator<Item = &'a Attachment> {
    world.cen.attachments.values().filter(|attachment| attachment.vpc() == Some(&vpc.id))
}

pub(super) fn describe_one(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let vpc = own(call, world, call.params.need("VpcId")?)?;
    let mut answer = common(world, vpc);
    let counts = [
        ("VSwitch", world.vswitches_of(&vpc.id).count()),
        ("VRouter", 1),
        ("RouteTable", tables_of(world, vpc).count()),
        ("SecurityGroup", world.groups.values().filter(|group| group.vpc == vpc.id).count()),
    ];
    let resources: Vec<Value> =
        counts.iter().map(|(kind, count)| json!({ "ResourceType": kind, "ResourceCount": count })).collect();
    answer["CloudResources"] = json!({ "CloudResourceSetType": resources });
    let cens: Vec<Value> = cens_of(world, vpc)
        .map(|cen| json!({ "CenId": cen.cen, "CenOwnerId": number(&cen.owner), "CenStatus": "Attached" }))
        .collect();
    answer["AssociatedCens"] = json!({ "AssociatedCen": cens });
    answer["ClassicLinkEnabled"] = json!(false);
    Ok(answer)
}

pub(super) fn describe_routers(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let rows = world
        .vpcs
        .values()
        .filter(|vpc| call.sees(&vpc.owner, &vpc.region) && call.params.wants("VRouterId", &vpc.vrouter))
        .map(|vpc| {
            let tables: Vec<&str> = tables_of(world, vpc).collect();
            json!({
                "VRouterId": vpc.vrouter,
                "VRouterName": "",
                "Description": "",
                "VpcId": vpc.id,
                "RegionId": vpc.region,
                "CreationTime": time(vpc.created),
                "RouteTableIds": { "RouteTableId": tables },
            })
        })
        .collect();
    Ok(numbered(rows, call.params, PAGE_MAX, call.lose_page)?.under("VRouters", "VRouter"))
}

fn common(world: &World, vpc: &Vpc) -> Value {
    let vswitches: Vec<&str> = world.vswitches_of(&vpc.id).map(|vswitch| vswitch.id.as_str()).collect();
    let secondary: Vec<String> = vpc.secondary.iter().map(Ipv4Net::to_string).collect();
    json!({
        "VpcId": vpc.id,
        "VpcName": vpc.name,
        "Description": vpc.description,
        "CidrBlock": vpc.cidr.to_string(),
        "SecondaryCidrBlocks": { "SecondaryCidrBlock": secondary },
        "UserCidrs": { "UserCidr": [] },
        "Ipv6CidrBlock": "",
        "VRouterId": vpc.vrouter,
        "VSwitchIds": { "VSwitchId": vswitches },
        "Status": passing(world, &vpc.id).unwrap_or("Available"),
        "RegionId": vpc.region,
        "ResourceGroupId": "",
        "IsDefault": false,
        "EnabledIpv6": false,
        "CreationTime": time(vpc.created),
    })
}

fn tables_of<'a>(world: &'a World, vpc: &'a Vpc) -> impl Iterator<Item = &'a str> {
    world.tables.values().filter(|table| table.vpc == vpc.id).map(|table| table.id.as_str())
}

/// The caller's VPC with this id.
pub(super) fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a Vpc, Refusal> {
    world
        .vpcs
        .get(id)
        .filter(|vpc| call.sees(&vpc.owner, &vpc.region))
        .ok_or_else(|| Refusal::new(404, "InvalidVpcId.NotFound", "Specified VPC does not exist."))
}

/// The caller's VPC with this id; refused while the VPC is in a transitional state.
pub(super) fn ready<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a Vpc, Refusal> {
    let vpc = own(call, world, id)?;
    if passing(world, id).is_some() {
        let message = "Current VPC status does not support this operation.";
        return Err(Refusal::new(400, "IncorrectVpcStatus", message));
    }
    Ok(vpc)
}

/// All blocks of a VPC, the primary first.
pub(super) fn blocks(vpc: &Vpc) -> impl Iterator<Item = Ipv4Net> {
    std::iter::once(vpc.cidr).chain(vpc.secondary.iter().copied())
}

pub(super) fn read_vpc_block(text: &str) -> Result<Ipv4Net, Refusal> {
    read_block(text, false).filter(|block| (8..=28).contains(&block.prefix_len())).ok_or_else(|| malformed("CidrBlock"))
}

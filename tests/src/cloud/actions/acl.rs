//! Network ACLs: created with an allow-all entry per direction, changed by replacing whole lists, bound to vSwitches.

use super::{Answer, Call, PAGE_MAX, done, malformed, not_found, number, passing, vpc, vswitch};
use crate::cloud::{
    calls::page::numbered,
    calls::params::{Params, read_block},
    calls::refusal::Refusal,
    ids::IdMaker,
    world::{Acl, AclEntry, World},
};
use ipnet::Ipv4Net;
use serde_json::{Value, json};

/// Maximum number of entries per direction, the documented default.
const ENTRIES_MAX: usize = 20;

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let home = vpc::ready(call, world, call.params.need("VpcId")?)?.clone();
    call.refuse_dry_run()?;
    let id = world.make.id("nacl-", &home.region);
    let allow_all = |make: &mut IdMaker| AclEntry {
        id: make.id("nae-", &home.region),
        name: String::new(),
        description: String::new(),
        accept: true,
        protocol: "all".to_owned(),
        ports: "-1/-1".to_owned(),
        cidr: Ipv4Net::default(),
        system: false,
    };
    let (ingress, egress) = (vec![allow_all(&mut world.make)], vec![allow_all(&mut world.make)]);
    let acl = Acl {
        id: id.clone(),
        owner: home.owner,
        region: home.region,
        name: call.params.text("NetworkAclName"),
        description: call.params.text("Description"),
        vpc: home.id,
        ingress,
        egress,
        created: call.now,
    };
    let mut attribute = row(world, &acl);
    if let Some(fields) = attribute.as_object_mut() {
        fields.remove("OwnerId");
        for (list, member) in [("IngressAclEntries", "IngressAclEntry"), ("EgressAclEntries", "EgressAclEntry")] {
            for entry in fields[list][member].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                entry.remove("EntryType");
                entry.remove("IpVersion");
            }
        }
    }
    world.acls.insert(id.clone(), acl);
    Ok(json!({ "NetworkAclId": id, "NetworkAclAttribute": attribute }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let id = own(call, world, call.params.need("NetworkAclId")?)?.id.clone();
    if world.vswitches.values().any(|vswitch| vswitch.acl.as_deref() == Some(&id)) {
        let message = "Specified object has dependent resources.";
        return Err(Refusal::new(400, "DependencyViolation", message));
    }
    world.acls.remove(&id);
    done()
}

/// Replaces a direction's list if its `Update…` flag is true, or if entries are given without the flag.
pub(super) fn update_entries(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let old = own(call, world, params.need("NetworkAclId")?)?.clone();
    let mut make = world.make.clone();
    let mut read = |list: &str, flag: &str, side: &str, previous: &[AclEntry]| {
        let given = params.members(list);
        let replaces = params.yes(flag) || (params.get(flag).is_none() && !given.is_empty());
        if !replaces {
            return Ok(None);
        }
        if given.len() > ENTRIES_MAX {
            return Err(Refusal::new(400, "QuotaExceeded.NetworkAclEntry", "Too many network ACL entries."));
        }
        given
            .iter()
            .map(|entry| read_entry(entry, side, previous, &mut make, &old.region))
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    };
    let ingress = read("IngressAclEntries", "UpdateIngressAclEntries", "SourceCidrIp", &old.ingress)?;
    let egress = read("EgressAclEntries", "UpdateEgressAclEntries", "DestinationCidrIp", &old.egress)?;
    call.refuse_dry_run()?;
    world.make = make;
    call.show(world, &old.id, "Modifying");
    if let Some(acl) = world.acls.get_mut(&old.id) {
        acl.ingress = ingress.unwrap_or_else(|| old.ingress.clone());
        acl.egress = egress.unwrap_or(old.egress);
    }
    done()
}

fn read_entry(
    params: &Params,
    side: &str,
    old: &[AclEntry],
    make: &mut IdMaker,
    region: &str,
) -> Result<AclEntry, Refusal> {
    let accept = match params.get("Policy").map(str::to_lowercase).as_deref() {
        Some("accept") | None => true,
        Some("drop") => false,
        Some(_) => return Err(malformed("Policy")),
    };
    let protocol = params.get("Protocol").unwrap_or("all").to_lowercase();
    let ported = matches!(protocol.as_str(), "tcp" | "udp");
    if !ported && !matches!(protocol.as_str(), "all" | "icmp" | "gre") {
        return Err(malformed("Protocol"));
    }
    let ports = params.get("Port").unwrap_or("-1/-1").to_owned();
    if !ported && ports != "-1/-1" {
        return Err(malformed("Port"));
    }
    if ported && ports != "-1/-1" && super::rule::read_ports(&ports).is_none() {
        return Err(malformed("Port"));
    }
    let cidr = read_block(params.get(side).unwrap_or("0.0.0.0/0"), true).ok_or_else(|| malformed(side))?;
    let kept = params.get("NetworkAclEntryId").filter(|id| old.iter().any(|entry| entry.id == *id));
    Ok(AclEntry {
        id: kept.map_or_else(|| make.id("nae-", region), str::to_owned),
        name: params.text("NetworkAclEntryName"),
        description: params.text("Description"),
        accept,
        protocol,
        ports,
        cidr,
        system: params.wants("EntryType", "system") && params.get("EntryType").is_some(),
    })
}

pub(super) fn associate(call: &Call<'_>, world: &mut World) -> Answer {
    let acl = own(call, world, call.params.need("NetworkAclId")?)?.clone();
    for id in resources(call)? {
        let bound = vswitch::own(call, world, &id)?;
        if bound.vpc != acl.vpc {
            let message = "The resource and the network ACL are not in the same VPC.";
            return Err(Refusal::new(400, "InvalidParameter.VpcNotMatch", message));
        }
        if bound.acl.as_ref().is_some_and(|other| *other != acl.id) {
            let message = "The VSwitch is associated with another network ACL.";
            return Err(Refusal::new(400, "IncorrectStatus.Resource", message));
        }
        call.show(world, &binding(&acl.id, &id), "BINDING");
        if let Some(bound) = world.vswitches.get_mut(&id) {
            bound.acl = Some(acl.id.clone());
        }
    }
    done()
}

pub(super) fn unassociate(call: &Call<'_>, world: &mut World) -> Answer {
    let acl = own(call, world, call.params.need("NetworkAclId")?)?.clone();
    for id in resources(call)? {
        if vswitch::own(call, world, &id)?.acl.as_ref() != Some(&acl.id) {
            let message = "The resource is not associated with the network ACL.";
            return Err(Refusal::new(400, "InvalidParameter.NotAssociated", message));
        }
        if let Some(bound) = world.vswitches.get_mut(&id) {
            bound.acl = None;
        }
    }
    done()
}

fn resources(call: &Call<'_>) -> Result<Vec<String>, Refusal> {
    let given = call.params.members("Resource");
    if given.is_empty() {
        return Err(Refusal::new(400, "MissingResource", "Resource is mandatory for this action."));
    }
    given
        .iter()
        .map(|resource| {
            if resource.wants("ResourceType", "VSwitch") {
                resource.need("ResourceId").map(str::to_owned)
            } else {
                Err(malformed("ResourceType"))
            }
        })
        .collect()
}

/// The key of the transitional state while an ACL is being bound to a vSwitch.
fn binding(acl: &str, vswitch: &str) -> String {
    format!("{acl}/{vswitch}")
}

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let params = call.params;
    let rows = world
        .acls
        .values()
        .filter(|acl| {
            call.sees(&acl.owner, &acl.region)
                && params.wants("VpcId", &acl.vpc)
                && params.wants("NetworkAclId", &acl.id)
                && params.wants("NetworkAclName", &acl.name)
                && params.wants("ResourceType", "VSwitch")
                && params.get("ResourceId").is_none_or(|id| {
                    world.vswitches.get(id).is_some_and(|vswitch| vswitch.acl.as_deref() == Some(&acl.id))
                })
        })
        .map(|acl| row(world, acl))
        .collect();
    Ok(numbered(rows, params, PAGE_MAX, call.lose_page)?.under("NetworkAcls", "NetworkAcl"))
}

pub(super) fn describe_one(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let acl = own(call, world, call.params.need("NetworkAclId")?)?;
    Ok(json!({ "NetworkAclAttribute": row(world, acl) }))
}

fn row(world: &World, acl: &Acl) -> Value {
    let entries = |list: &[AclEntry], side: &str| -> Vec<Value> {
        let one = |entry: &AclEntry| {
            json!({
                "NetworkAclEntryId": entry.id,
                "NetworkAclEntryName": entry.name,
                "Description": entry.description,
                "Policy": if entry.accept { "accept" } else { "drop" },
                "Protocol": entry.protocol,
                "Port": entry.ports,
                "EntryType": if entry.system { "system" } else { "custom" },
                "IpVersion": "IPv4",
                side: entry.cidr.to_string(),
            })
        };
        list.iter().map(one).collect()
    };
    let bound: Vec<Value> = world
        .vswitches
        .values()
        .filter(|vswitch| vswitch.acl.as_deref() == Some(&acl.id))
        .map(|vswitch| {
            let status = passing(world, &binding(&acl.id, &vswitch.id)).unwrap_or("BINDED");
            json!({ "ResourceId": vswitch.id, "ResourceType": "VSwitch", "Status": status })
        })
        .collect();
    json!({
        "NetworkAclId": acl.id,
        "NetworkAclName": acl.name,
        "Description": acl.description,
        "VpcId": acl.vpc,
        "RegionId": acl.region,
        "OwnerId": number(&acl.owner),
        "Status": passing(world, &acl.id).unwrap_or("Available"),
        "CreationTime": acl.created.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        "IngressAclEntries": { "IngressAclEntry": entries(&acl.ingress, "SourceCidrIp") },
        "EgressAclEntries": { "EgressAclEntry": entries(&acl.egress, "DestinationCidrIp") },
        "Resources": { "Resource": bound },
    })
}

pub(super) fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a Acl, Refusal> {
    world.acls.get(id).filter(|acl| call.sees(&acl.owner, &acl.region)).ok_or_else(|| not_found("NetworkAclId"))
}

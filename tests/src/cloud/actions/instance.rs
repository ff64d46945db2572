//! ECS instances, as far as they matter to the network.

use super::{
    Answer, Call, done, malformed, not_found, passing,
    private_address::{address_rows, free_address},
    time, time_minutes,
};
use crate::cloud::{
    calls::page::numbered,
    calls::refusal::Refusal,
    ids::mac_text,
    world::{Change, Eni, Instance, InstanceState as State, World},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// DescribeInstances raises a smaller `MaxResults` to this number (`API.md` §4).
const PAGE_MIN: usize = 10;
/// Maximum number of instances that one call creates.
const AMOUNT_MAX: u32 = 100;

/// The requested properties of a new instance.
pub(in crate::cloud) struct NewInstance {
    pub(in crate::cloud) owner: String,
    pub(in crate::cloud) vswitch: String,
    pub(in crate::cloud) name: String,
    /// `None` takes the next free address of the vSwitch.
    pub(in crate::cloud) address: Option<Ipv4Addr>,
    pub(in crate::cloud) groups: Vec<String>,
    pub(in crate::cloud) ram_role: String,
    pub(in crate::cloud) running: bool,
}

pub(super) fn run(call: &Call<'_>, world: &mut World) -> Answer {
    let amount: u32 = call.params.number("Amount")?.unwrap_or(1);
    if !(1..=AMOUNT_MAX).contains(&amount) {
        return Err(malformed("Amount"));
    }
    let mut ids = Vec::new();
    for _ in 0..amount {
        ids.push(make(call, world, true)?);
    }
    Ok(json!({ "InstanceIdSets": { "InstanceIdSet": ids } }))
}

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let id = make(call, world, false)?;
    call.show(world, &id, "Pending");
    Ok(json!({ "InstanceId": id }))
}

fn make(call: &Call<'_>, world: &mut World, starts: bool) -> Result<String, Refusal> {
    call.region()?;
    let params = call.params;
    let vswitch = super::vswitch::own(call, world, params.need("VSwitchId")?)?.id.clone();
    // Only RunInstances, which can create and start several instances, takes several groups.
    let mut groups = if starts { params.list("SecurityGroupIds") } else { Vec::new() };
    if groups.is_empty() {
        groups.push(params.need("SecurityGroupId")?.to_owned());
    }
    let address = params.get("PrivateIpAddress").map(str::parse).transpose();
    let order = NewInstance {
        owner: call.caller.account.clone(),
        vswitch,
        name: params.text("InstanceName"),
        address: address.map_err(|_| malformed("PrivateIpAddress"))?,
        groups,
        ram_role: params.text("RamRoleName"),
        running: starts && call.pace.is_zero(),
    };
    call.refuse_dry_run()?;
    let id = add_instance(world, &order, call.now)?;
    if let Some(eni) = world.primary_eni(&id).cloned() {
        super::group::check_membership(call, world, &eni, &eni.groups)?;
    }
    if starts && !order.running {
        pass(call, world, &id, State::Starting, State::Running);
    }
    if let Some(instance) = world.instances.get_mut(&id) {
        instance.metadata_tokens_required = params.get("HttpTokens") == Some("required");
        instance.metadata_enabled = params.get("HttpEndpoint") != Some("disabled");
    }
    Ok(id)
}

/// Adds an instance with its primary interface.
pub(in crate::cloud) fn add_instance(
    world: &mut World,
    order: &NewInstance,
    now: Timestamp,
) -> Result<String, Refusal> {
    let vswitch = world.vswitches.get(&order.vswitch).cloned().ok_or_else(|| not_found("VSwitchId"))?;
    let address = free_address(world, &vswitch, order.address)?;
    if !order.groups.iter().all(|group| world.groups.get(group).is_some_and(|group| group.vpc == vswitch.vpc)) {
        return Err(not_found("SecurityGroupId"));
    }
    let id = world.make.id("i-", &vswitch.region);
    let eni = Eni {
        id: world.make.id("eni-", &vswitch.region),
        owner: order.owner.clone(),
        region: vswitch.region.clone(),
        name: String::new(),
        vpc: vswitch.vpc.clone(),
        vswitch: vswitch.id.clone(),
        mac: world.make.mac(),
        addresses: vec![address],
        groups: order.groups.clone(),
        instance: Some(id.clone()),
        primary: true,
        created: now,
    };
    let instance = Instance {
        id: id.clone(),
        owner: order.owner.clone(),
        region: vswitch.region,
        zone: vswitch.zone,
        name: if order.name.is_empty() { id.clone() } else { order.name.clone() },
        state: if order.running { State::Running } else { State::Stopped },
        enis: vec![eni.id.clone()],
        ram_role: order.ram_role.clone(),
        metadata_tokens_required: false,
        metadata_enabled: true,
        created: now,
    };
    world.enis.insert(eni.id.clone(), eni);
    world.instances.insert(id.clone(), instance);
    Ok(id)
}

pub(super) fn start(call: &Call<'_>, world: &mut World) -> Answer {
    switch(call, world, State::Stopped, State::Starting, State::Running)
}

pub(super) fn stop(call: &Call<'_>, world: &mut World) -> Answer {
    switch(call, world, State::Running, State::Stopping, State::Stopped)
}

fn switch(call: &Call<'_>, world: &mut World, from: State, through: State, to: State) -> Answer {
    let instance = own(call, world, call.params.need("InstanceId")?)?;
    if instance.state != from || passing(world, &instance.id).is_some() {
        let message = "The current status of the resource does not support this operation.";
        return Err(Refusal::new(403, "IncorrectInstanceStatus", message));
    }
    let id = instance.id.clone();
    call.refuse_dry_run()?;
    pass(call, world, &id, through, to);
    done()
}

fn pass(call: &Call<'_>, world: &mut World, id: &str, through: State, to: State) {
    if let Some(instance) = world.instances.get_mut(id) {
        instance.state = through;
    }
    call.later(world, Change::Instance { id: id.to_owned(), to });
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let instance = own(call, world, call.params.need("InstanceId")?)?.clone();
    if instance.state != State::Stopped && !call.params.yes("Force") {
        let message = "The current status of the resource does not support this operation.";
        return Err(Refusal::new(403, "IncorrectInstanceStatus", message));
    }
    world.instances.remove(&instance.id);
    for id in &instance.enis {
        if world.enis.get(id).is_some_and(|eni| eni.primary) {
            world.enis.remove(id);
        } else if let Some(eni) = world.enis.get_mut(id) {
            eni.instance = None;
        }
    }
    done()
}

pub(super) fn modify(call: &Call<'_>, world: &mut World) -> Answer {
    let id = own(call, world, call.params.need("InstanceId")?)?.id.clone();
    let groups = call.params.list("SecurityGroupIds");
    if !groups.is_empty() {
        let eni = world.primary_eni(&id).cloned().ok_or_else(|| not_found("InstanceId"))?;
        super::group::check_membership(call, world, &eni, &groups)?;
        if let Some(eni) = world.enis.get_mut(&eni.id) {
            eni.groups = groups;
        }
    }
    done()
}

pub(super) fn modify_metadata(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let id = own(call, world, params.need("InstanceId")?)?.id.clone();
    let refused = |name: &str| {
        let message = format!("The specified {name} not supported.");
        Refusal::new(400, &format!("Invalid{name}.NotSupported"), &message)
    };
    let enabled = match params.need("HttpEndpoint")? {
        "enabled" => true,
        "disabled" => false,
        _ => return Err(refused("HttpEndpoint")),
    };
    let tokens = match params.get("HttpTokens") {
        None | Some("optional") => false,
        Some("required") => true,
        Some(_) => return Err(refused("HttpTokens")),
    };
    if let Some(instance) = world.instances.get_mut(&id) {
        instance.metadata_enabled = enabled;
        instance.metadata_tokens_required = tokens;
    }
    done()
}

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let params = call.params;
    let rows = world
        .instances
        .values()
        .filter(|instance| call.sees(&instance.owner, &instance.region))
        .filter_map(|instance| Some((instance, world.primary_eni(&instance.id)?)))
        .filter(|(instance, eni)| {
            let addresses: Vec<String> = eni.addresses.iter().map(Ipv4Addr::to_string).collect();
            params.wants_one_of("InstanceIds", &instance.id)
                && params.wants("VpcId", &eni.vpc)
                && params.wants("VSwitchId", &eni.vswitch)
                && params.wants("ZoneId", &instance.zone)
                && params.wants("Status", status(world, instance))
                && params.wants("InstanceName", &instance.name)
                && (params.get("SecurityGroupId").is_none()
                    || eni.groups.iter().any(|group| params.wants("SecurityGroupId", group)))
                && (params.list("PrivateIpAddresses").is_empty()
                    || addresses.iter().any(|address| params.wants_one_of("PrivateIpAddresses", address)))
        })
        .map(|(instance, eni)| row(world, instance, eni))
        .collect();
    let small = params.number::<usize>("MaxResults")?.is_some_and(|size| (1..PAGE_MIN).contains(&size));
    let widened = params.clone().with("MaxResults", &PAGE_MIN.to_string());
    let call = Call { params: if small { &widened } else { params }, ..*call };
    Ok(call.ecs_page(rows)?.under("Instances", "Instance"))
}

fn row(world: &World, instance: &Instance, eni: &Eni) -> Value {
    let interfaces: Vec<Value> = instance
        .enis
        .iter()
        .filter_map(|id| world.enis.get(id))
        .map(|eni| {
            json!({
                "NetworkInterfaceId": eni.id,
                "MacAddress": mac_text(eni.mac),
                "PrimaryIpAddress": eni.addresses.first(),
                "Type": if eni.primary { "Primary" } else { "Secondary" },
                "PrivateIpSets": { "PrivateIpSet": address_rows(eni) },
                "Ipv6Sets": { "Ipv6Set": [] },
            })
        })
        .collect();
    json!({
        "InstanceId": instance.id,
        "InstanceName": instance.name,
        "HostName": instance.name,
        "Description": "",
        "Status": status(world, instance),
        "StoppedMode": if instance.state == State::Stopped { "KeepCharging" } else { "Not-applicable" },
        "RegionId": instance.region,
        "ZoneId": instance.zone,
        "InstanceNetworkType": "vpc",
        "InstanceType": "ecs.g6.large",
        "InstanceTypeFamily": "ecs.g6",
        "Cpu": 2,
        "Memory": 8192,
        "OSType": "linux",
        "OSName": "Alibaba Cloud Linux  3.2104 LTS 64 bit",
        "VpcAttributes": {
            "VpcId": eni.vpc,
            "VSwitchId": eni.vswitch,
            "NatIpAddress": "",
            "PrivateIpAddress": { "IpAddress": eni.addresses.first() .map(|address| vec![*address]) .unwrap_or_default() },
        },
        "SecurityGroupIds": { "SecurityGroupId": eni.groups },
        "NetworkInterfaces": { "NetworkInterface": interfaces },
        "EipAddress": { "AllocationId": "", "IpAddress": "", "InternetChargeType": "" },
        "PublicIpAddress": { "IpAddress": [] },
        "InnerIpAddress": { "IpAddress": [] },
        "OperationLocks": { "LockReason": [] },
        "MetadataOptions": {
            "HttpEndpoint": if instance.metadata_enabled { "enabled" } else { "disabled" },
            "HttpTokens": if instance.metadata_tokens_required { "required" } else { "optional" },
            "HttpPutResponseHopLimit": 1,
        },
        "CreationTime": time_minutes(instance.created),
        "StartTime": time_minutes(instance.created),
        "Tags": { "Tag": [] },
    })
}

fn status(world: &World, instance: &Instance) -> &'static str {
    passing(world, &instance.id).unwrap_or(instance.state.text())
}

pub(super) fn describe_status(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let rows = world
        .instances
        .values()
        .filter(|instance| call.sees(&instance.owner, &instance.region))
        .filter(|instance| call.params.wants_one_of("InstanceId", &instance.id))
        .filter(|instance| call.params.wants("ZoneId", &instance.zone))
        .map(|instance| json!({ "InstanceId": instance.id, "Status": status(world, instance) }))
        .collect();
    Ok(numbered(rows, call.params, super::PAGE_MAX, call.lose_page)?.under("InstanceStatuses", "InstanceStatus"))
}

pub(super) fn describe_ram_role(call: &Call<'_>, world: &World) -> Answer {
    let region = call.region()?;
    let rows: Vec<Value> = world
        .instances
        .values()
        .filter(|instance| call.sees(&instance.owner, &instance.region))
        .filter(|instance| call.params.wants_one_of("InstanceIds", &instance.id))
        .filter(|instance| call.params.wants("RamRoleName", &instance.ram_role))
        .map(|instance| json!({ "InstanceId": instance.id, "RamRoleName": instance.ram_role }))
        .collect();
    let page = numbered(rows, call.params, super::PAGE_MAX, call.lose_page)?;
    Ok(json!({
        "RegionId": region,
        "TotalCount": page.fields["TotalCount"],
        "InstanceRamRoleSets": { "InstanceRamRoleSet": page.rows },
    }))
}

/// The caller's instance with this id.
pub(super) fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a Instance, Refusal> {
    world
        .instances
        .get(id)
        .filter(|instance| call.sees(&instance.owner, &instance.region))
        .ok_or_else(|| Refusal::new(404, "InvalidInstanceId.NotFound", "The specified InstanceId does not exist."))
}

/// Creation time of an instance, in the format of the metadata service.
pub(in crate::cloud) fn made_at(instance: &Instance) -> String {
    time(instance.created)
}

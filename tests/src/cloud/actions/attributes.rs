//! Changes to the names and descriptions of VPCs, vSwitches, route tables, network ACLs and security groups, and to the
//! primary block of a VPC.

use super::{Answer, Call, acl, done, group, route_table, router_interface::set, vpc, vswitch};
use crate::cloud::{calls::refusal::Refusal, world::World};

/// The primary block may change if it overlaps no secondary block and every vSwitch stays inside some block.
pub(super) fn modify_vpc(call: &Call<'_>, world: &mut World) -> Answer {
    let mut changed = vpc::own(call, world, call.params.need("VpcId")?)?.clone();
    if let Some(text) = call.params.get("CidrBlock") {
        changed.cidr = vpc::read_vpc_block(text)?;
        if changed.secondary.iter().any(|other| other.contains(&changed.cidr) || changed.cidr.contains(other)) {
            return Err(Refusal::new(400, "InvalidCidrBlock.Overlapped", "Specified CIDR block is overlapped."));
        }
        if !world.vswitches_of(&changed.id).all(|one| vpc::blocks(&changed).any(|block| block.contains(&one.cidr))) {
            return Err(Refusal::new(400, "DependencyViolation.VSwitch", "Specified object has dependent resources."));
        }
    }
    set(call.params, "VpcName", &mut changed.name);
    set(call.params, "Description", &mut changed.description);
    world.vpcs.insert(changed.id.clone(), changed);
    done()
}

pub(super) fn modify_vswitch(call: &Call<'_>, world: &mut World) -> Answer {
    let mut changed = vswitch::own(call, world, call.params.need("VSwitchId")?)?.clone();
    set(call.params, "VSwitchName", &mut changed.name);
    set(call.params, "Description", &mut changed.description);
    world.vswitches.insert(changed.id.clone(), changed);
    done()
}

pub(super) fn modify_route_table(call: &Call<'_>, world: &mut World) -> Answer {
    let mut changed = route_table::own(call, world, call.params.need("RouteTableId")?)?.clone();
    set(call.params, "RouteTableName", &mut changed.name);
    set(call.params, "Description", &mut changed.description);
    world.tables.insert(changed.id.clone(), changed);
    done()
}

pub(super) fn modify_acl(call: &Call<'_>, world: &mut World) -> Answer {
    let mut changed = acl::own(call, world, call.params.need("NetworkAclId")?)?.clone();
    call.refuse_dry_run()?;
    set(call.params, "NetworkAclName", &mut changed.name);
    set(call.params, "Description", &mut changed.description);
    world.acls.insert(changed.id.clone(), changed);
    done()
}

pub(super) fn modify_group(call: &Call<'_>, world: &mut World) -> Answer {
    let mut changed = group::own(call, world, call.params.need("SecurityGroupId")?)?.clone();
    set(call.params, "SecurityGroupName", &mut changed.name);
    set(call.params, "Description", &mut changed.description);
    world.groups.insert(changed.id.clone(), changed);
    done()
}

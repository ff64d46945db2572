//! Membership of interfaces in security groups: joining and leaving.
//!
//! A call names an interface, or an instance, which stands for its primary interface. `group` checks which groups an
//! interface can be in.

use super::{
    Answer, Call, done, eni,
    group::{check_membership, own},
    instance, not_found,
};
use crate::cloud::{
    calls::refusal::Refusal,
    world::{Eni, World},
};

pub(super) fn join(call: &Call<'_>, world: &mut World) -> Answer {
    let group = own(call, world, call.params.need("SecurityGroupId")?)?.clone();
    let eni = target(call, world)?.clone();
    if eni.vpc != group.vpc {
        let message = "Specified instance and security group are not in the same VPC.";
        return Err(Refusal::new(400, "InvalidInstanceId.Mismatch", message));
    }
    if eni.groups.contains(&group.id) {
        let message = "The specified instance already exists in the specified security group.";
        return Err(Refusal::new(403, "InvalidInstanceId.AlreadyExists", message));
    }
    let mut groups = eni.groups.clone();
    groups.push(group.id);
    check_membership(call, world, &eni, &groups)?;
    if let Some(eni) = world.enis.get_mut(&eni.id) {
        eni.groups = groups;
    }
    done()
}

pub(super) fn leave(call: &Call<'_>, world: &mut World) -> Answer {
    let group = own(call, world, call.params.need("SecurityGroupId")?)?.id.clone();
    let eni = target(call, world)?.clone();
    if !eni.groups.contains(&group) {
        return Err(Refusal::new(403, "InstanceNotInSecurityGroup", "The instance not in the group."));
    }
    if eni.groups.len() == 1 {
        let message = "The specified security group is the last security group for the instance.";
        return Err(Refusal::new(403, "InstanceLastSecurityGroup", message));
    }
    if let Some(eni) = world.enis.get_mut(&eni.id) {
        eni.groups.retain(|other| *other != group);
    }
    done()
}

/// The interface that joins or leaves a group: the named one, or the primary interface of the named instance.
fn target<'a>(call: &Call<'_>, world: &'a World) -> Result<&'a Eni, Refusal> {
    if let Some(id) = call.params.get("NetworkInterfaceId") {
        return eni::own(call, world, id);
    }
    let instance = instance::own(call, world, call.params.need("InstanceId")?)?;
    world.primary_eni(&instance.id).ok_or_else(|| not_found("InstanceId"))
}

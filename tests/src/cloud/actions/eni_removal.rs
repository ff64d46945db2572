//! Detaching elastic network interfaces from their instance, and deleting them.

use super::{Answer, Call, done, eni::own, passing};
use crate::cloud::{
    calls::refusal::Refusal,
    world::{Change, InstanceState, World},
};

pub(super) fn detach(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let eni = own(call, world, call.params.need("NetworkInterfaceId")?)?.clone();
    let instance = super::instance::own(call, world, call.params.need("InstanceId")?)?.clone();
    if eni.primary {
        let message = "Detaching primary ENI from ECS instance is not allowed.";
        return Err(Refusal::new(400, "InvalidOperation.DetachPrimaryEniNotAllowed", message));
    }
    if eni.instance.as_ref() != Some(&instance.id) {
        let message = "The operation is not allowed in the current ENI state.";
        return Err(Refusal::new(400, "InvalidOperation.InvalidEniState", message));
    }
    if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
        let message = "The operation is not allowed in the current ECS state.";
        return Err(Refusal::new(400, "InvalidOperation.InvalidEcsState", message));
    }
    call.show(world, &eni.id, "Detaching");
    if let Some(stored) = world.enis.get_mut(&eni.id) {
        stored.instance = None;
    }
    if let Some(stored) = world.instances.get_mut(&instance.id) {
        stored.enis.retain(|id| *id != eni.id);
    }
    done()
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let eni = own(call, world, call.params.need("NetworkInterfaceId")?)?.clone();
    if eni.instance.is_some() || passing(world, &eni.id).is_some() {
        let message = "The operation is not allowed in the current ENI state.";
        return Err(Refusal::new(400, "InvalidOperation.InvalidEniState", message));
    }
    call.show(world, &eni.id, "Deleting");
    call.later(world, Change::EniGone { id: eni.id });
    done()
}

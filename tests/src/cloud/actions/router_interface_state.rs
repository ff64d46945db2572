//! The state machine of router interfaces: connect, deactivate, activate, delete, change the specification
//! (`SEMANTICS.md` §3.2, §3.3).
//!
//! No document says what happens on connect if fields at the *other* end are wrong; the lab refuses with
//! `IncorrectOppositeInterfaceInfo`. The vendor's misspelt codes are kept.

use super::{
    Answer, Call, done,
    router_interface::{bandwidth_mbit, locked_account, own},
};
use crate::cloud::{
    calls::refusal::Refusal,
    world::{Business, Change, Role, RouterInterface, RouterInterfaceState as State, World},
};
use serde_json::json;

pub(super) fn connect(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let near = own(call, world, call.params.need("RouterInterfaceId")?)?.clone();
    if near.role != Role::Initiating {
        let message = "The specified RouterInterface is not InitiatingSide.";
        return Err(Refusal::new(400, "IncorrectRole.NotInitiatingSide", message));
    }
    if near.state != State::Idle {
        let message = "RouterInterface can be operated by this action only when it's status is Idle.";
        return Err(Refusal::new(400, "IncorrectRIStatus", message));
    }
    if locked_account(call, world) || near.business != Business::Normal {
        return Err(Refusal::new(400, "Forbidden.BillsOutstanding", "The account has outstanding bills."));
    }
    let far = partner_for(world, &near)?.clone();
    let taken = world.interfaces.values().any(|other| {
        other.connected.is_some()
            && other.id != near.id
            && ((other.router == near.router && other.opposite.router == far.router)
                || (other.router == far.router && other.opposite.router == near.router))
            && world.partner(other).is_some()
    });
    if taken {
        return Err(Refusal::new(
            400,
            "Forbidden.OnlyOneConnection",
            "The Specified routers have a connection already",
        ));
    }
    for (id, passing) in [(&near.id, State::Connecting), (&far.id, State::AcceptingConnecting)] {
        if let Some(interface) = world.interfaces.get_mut(id) {
            interface.state = passing;
            interface.connected = Some(call.now);
        }
        call.later(world, Change::Interface { id: id.clone(), to: State::Active });
    }
    done()
}

/// The opposite end that `near` declares. Refused unless both ends describe each other correctly.
fn partner_for<'a>(world: &'a World, near: &RouterInterface) -> Result<&'a RouterInterface, Refusal> {
    let told = &near.opposite;
    if [&told.interface, &told.router, &told.router_type, &told.owner].iter().any(|field| field.is_empty()) {
        let message = "The opposite interface information of the RouterInterface is not set.";
        return Err(Refusal::new(400, "IncorrectOppositeInterfaceInfo.NotSet", message));
    }
    let wrong = |message: &str| Err(Refusal::new(400, "IncorrectOppositeInterfaceInfo", message));
    if told.router == near.router {
        return wrong("Cannot connect on the same router");
    }
    let Some(far) = world.interfaces.get(&told.interface) else {
        return wrong("The opposite interface does not exist.");
    };
    if told.owner != far.owner
        || told.router != far.router
        || told.region != far.region
        || told.router_type != "VRouter"
    {
        return wrong("The opposite interface information does not match the opposite interface.");
    }
    let back = &far.opposite;
    let mirrors = back.interface == near.id
        && back.router == near.router
        && back.owner == near.owner
        && back.region == near.region
        && back.router_type == "VRouter";
    if far.role != Role::Accepting || far.state != State::Idle || !mirrors {
        return wrong("The opposite interface is not ready to accept this connection.");
    }
    Ok(far)
}

pub(super) fn activate(call: &Call<'_>, world: &mut World) -> Answer {
    switch(call, world, State::Inactive, State::Activating, State::Active)
}

pub(super) fn deactivate(call: &Call<'_>, world: &mut World) -> Answer {
    switch(call, world, State::Active, State::Deactivating, State::Inactive)
}

fn switch(call: &Call<'_>, world: &mut World, from: State, passing: State, to: State) -> Answer {
    call.region()?;
    let interface = own(call, world, call.params.need("RouterInterfaceId")?)?.clone();
    if interface.business == Business::FinancialLocked {
        return Err(Refusal::new(400, "Forbidden.FinancileLocked", "The instance is financially locked."));
    }
    if interface.state != from {
        let message =
            format!("RouterInterface can be operated by this action only when it's status is {}.", from.text());
        return Err(Refusal::new(400, "IncorrectStatus", &message));
    }
    pass(call, world, &interface.id, passing, to);
    done()
}

fn pass(call: &Call<'_>, world: &mut World, id: &str, passing: State, to: State) {
    if let Some(interface) = world.interfaces.get_mut(id) {
        interface.state = passing;
        interface.modified = call.now;
    }
    call.later(world, Change::Interface { id: id.to_owned(), to });
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let interface = own(call, world, call.params.need("RouterInterfaceId")?)?.clone();
    if !matches!(interface.state, State::Idle | State::Inactive) {
        let message = "RouterInterface can be operated by this action only when it's status is Idle or Inactive.";
        return Err(Refusal::new(400, "IncorrectStatus", message));
    }
    let referred = world
        .tables
        .values()
        .flat_map(|table| &table.entries)
        .any(|entry| entry.hops.iter().any(|hop| hop.id == interface.id));
    if referred {
        let message = "The RouterInterface is referred by a route entry.";
        return Err(Refusal::new(400, "DependencyViolation.RouterInterfaceReferedByRouteEntry", message));
    }
    if let Some(stored) = world.interfaces.get_mut(&interface.id) {
        stored.state = State::Deleting;
    }
    call.later(world, Change::InterfaceGone { id: interface.id });
    done()
}

pub(super) fn modify_spec(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let interface = own(call, world, call.params.need("RouterInterfaceId")?)?.clone();
    let spec = call.params.need("Spec")?;
    if interface.role != Role::Initiating || bandwidth_mbit(spec).is_none() {
        return Err(Refusal::new(400, "InvalidSpec.ValudNotSupported", "The specified Spec is not supported."));
    }
    if interface.connected.is_some() && world.partner(&interface).is_none() {
        return Err(Refusal::new(400, "InvalidOpposite.NotFound", "The opposite interface does not exist."));
    }
    match interface.state {
        State::Active => pass(call, world, &interface.id, State::Modifying, State::Active),
        State::Idle | State::Inactive => {}
        _ => {
            let message = "The status of the instance does not support this operation.";
            return Err(Refusal::new(400, "InvalidInstance.StatusError", message));
        }
    }
    if let Some(stored) = world.interfaces.get_mut(&interface.id) {
        spec.clone_into(&mut stored.spec);
    }
    Ok(json!({ "Spec": spec }))
}

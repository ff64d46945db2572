//! State changes that take time: `Connecting` → `Active`, `Stopping` → `Stopped`, …
//!
//! A call puts an object into the transitional state and schedules a transition; [`settle`] carries out those that are
//! due. Each takes as long as the cloud's pace says, which is zero by default. Some transitional states only say that
//! the last call is not completed yet (`Pending`, `Creating`, `Deleting`, …). Objects have no field for these: the
//! scheduled transition is the state. The module does not read the clock.

use super::world::{Change, World};
use jiff::Timestamp;

/// Carries out the transitions that are due; returns whether there were any.
pub(super) fn settle(world: &mut World, now: Timestamp) -> bool {
    let (due, later): (Vec<_>, Vec<_>) =
        std::mem::take(&mut world.transitions).into_iter().partition(|one| one.due <= now);
    world.transitions = later;
    let any = !due.is_empty();
    for transition in due {
        match transition.change {
            Change::Interface { id, to } => {
                if let Some(interface) = world.interfaces.get_mut(&id) {
                    interface.state = to;
                    interface.modified = transition.due;
                }
            }
            Change::InterfaceGone { id } => {
                world.interfaces.remove(&id);
            }
            Change::Instance { id, to } => {
                if let Some(instance) = world.instances.get_mut(&id) {
                    instance.state = to;
                }
            }
            Change::Cen(change) => world.cen.settle(&change),
            Change::Shown { .. } => {}
            Change::Peering { id, to } => {
                if let Some(peering) = world.peerings.get_mut(&id) {
                    peering.state = to;
                    peering.modified = transition.due;
                }
            }
            Change::PeeringGone { id } => {
                world.peerings.remove(&id);
            }
            Change::RouteGone { table, id } => {
                if let Some(table) = world.tables.get_mut(&table) {
                    table.entries.retain(|entry| entry.id != id);
                }
            }
            Change::TableGone { id } => {
                world.tables.remove(&id);
            }
            Change::EniGone { id } => {
                world.enis.remove(&id);
            }
        }
    }
    any
}

/// The transitional state of an object that has no field for it; the state of the latest call if there are several.
pub(super) fn passing(world: &World, object: &str) -> Option<&'static str> {
    world.transitions.iter().rev().find_map(|transition| match &transition.change {
        Change::Shown { id, status } if id == object => Some(*status),
        _ => None,
    })
}

/// When the next change is due.
pub(super) fn next_due(world: &World) -> Option<Timestamp> {
    world.transitions.iter().map(|transition| transition.due).min()
}

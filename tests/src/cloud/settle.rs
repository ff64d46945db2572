//! State changes that take their time: `Connecting` → `Active`, `Stopping` → `Stopped`, …
//!
//! A call enters the passing state and leaves a transition behind; [`settle`] carries out those that are due. How long
//! each takes is the cloud's pace, nought by default. Nothing here reads the clock.

use super::{
    world::{InstanceState, RouterInterfaceState, World},
    world_cen::CenChange,
};
use jiff::Timestamp;

/// A change that is due at a time.
#[derive(Debug, Clone)]
pub(super) struct Transition {
    pub(super) due: Timestamp,
    pub(super) change: Change,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Interface { id: String, to: RouterInterfaceState },
    InterfaceGone { id: String },
    Instance { id: String, to: InstanceState },
    Cen(CenChange),
}

/// Carries out what is due; says whether anything was.
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
        }
    }
    any
}

/// When the next change is due.
pub(super) fn next_due(world: &World) -> Option<Timestamp> {
    world.transitions.iter().map(|transition| transition.due).min()
}

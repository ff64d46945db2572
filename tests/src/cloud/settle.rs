//! State changes that take their time: `Connecting` → `Active`, `Stopping` → `Stopped`, …
//!
//! A call enters the passing state and leaves a transition behind; [`settle`] carries out those that are due. How long
//! each takes is the cloud's pace, nought by default. Objects whose passing states say nothing but that the last call
//! is not done yet (`Pending`, `Creating`, `Deleting`, …) have no field for them: their transition is the state.
//! Nothing here reads the clock.

use super::{
    world::{InstanceState, PeeringState, RouterInterfaceState, World},
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
    Interface {
        id: String,
        to: RouterInterfaceState,
    },
    InterfaceGone {
        id: String,
    },
    Instance {
        id: String,
        to: InstanceState,
    },
    /// Shows `status` until then, and nothing more.
    Shown {
        id: String,
        status: &'static str,
    },
    Peering {
        id: String,
        to: PeeringState,
    },
    PeeringGone {
        id: String,
    },
    RouteGone {
        table: String,
        id: String,
    },
    TableGone {
        id: String,
    },
    EniGone {
        id: String,
    },
    /// An object of Cloud Enterprise Network.
    Cen(CenChange),
}

impl Change {
    /// Whether it is under way on the object with this id.
    pub(super) fn is_of(&self, object: &str) -> bool {
        match self {
            Self::Interface { id, .. }
            | Self::InterfaceGone { id }
            | Self::Instance { id, .. }
            | Self::Shown { id, .. }
            | Self::Peering { id, .. }
            | Self::PeeringGone { id }
            | Self::RouteGone { id, .. }
            | Self::TableGone { id }
            | Self::EniGone { id } => id == object,
            Self::Cen(_) => false,
        }
    }
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

/// The passing state that an object without a field for it is in; the latest call's when there are several.
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

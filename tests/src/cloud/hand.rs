//! Provider-side events: changes to an object of an account that no call of that account causes.
//!
//! Examples are an unpaid bill, a security lock, a connection that hangs in a transitional state, and a next hop that
//! the cloud considers unusable. Each event changes the declared state, so the control plane reports it and the data
//! plane follows it. The module does not decide how long the effect lasts: it stays until another event, or a call that
//! the state allows, changes it.

use super::world::{Business, PeeringState, RouterInterfaceState, World};
use serde::Deserialize;

/// A provider-side event on one object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hand {
    /// A router interface or a VPC peering connection gets a business status: `Normal`, `FinancialLocked`,
    /// `SecurityLocked`.
    Lock(Placed),
    /// A router interface, a VPC peering connection or a route entry enters a state and stays in it.
    State(Placed),
    /// The cloud marks all next hops of a route entry unusable. The value is the entry's id.
    Unusable(String),
}

/// An object and its new status.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Id of the object.
    pub object: String,
    /// New status, as the API spells it.
    pub status: String,
}

/// States of a route entry that the documents name (`SEMANTICS.md` §2).
const ENTRY_STATES: [&str; 5] = ["Available", "Pending", "Creating", "Modifying", "Deleting"];

impl Hand {
    /// Applies the event to an object of the account. Returns a message if the object or the status is unknown.
    pub(super) fn act(&self, world: &mut World, account: &str) -> Result<(), String> {
        match self {
            Self::Lock(Placed { object, status }) => {
                let business = Business::read(status).ok_or_else(|| {
                    format!("\"{status}\" is no business status: Normal, FinancialLocked, SecurityLocked")
                })?;
                lock(world, account, object, business)
            }
            Self::State(Placed { object, status }) => put(world, account, object, status),
            Self::Unusable(entry) => {
                for hop in &mut entry_of(world, account, entry)?.hops {
                    hop.enabled = false;
                }
                Ok(())
            }
        }
    }
}

fn nothing(account: &str, object: &str) -> String {
    format!("account {account} has no object \"{object}\" that this can be done to")
}

fn lock(world: &mut World, account: &str, object: &str, business: Business) -> Result<(), String> {
    let interface = world.interfaces.get_mut(object).filter(|i| i.owner == account).map(|i| &mut i.business);
    let peering = world.peerings.get_mut(object).filter(|p| p.owner == account).map(|p| &mut p.business);
    *interface.or(peering).ok_or_else(|| nothing(account, object))? = business;
    Ok(())
}

fn put(world: &mut World, account: &str, object: &str, status: &str) -> Result<(), String> {
    let no_state = || format!("\"{status}\" is no state of {object}");
    // A transition in progress would overwrite the state.
    world.transitions.retain(|transition| !transition.change.is_of(object));
    if let Some(interface) = world.interfaces.get_mut(object).filter(|i| i.owner == account) {
        interface.state = RouterInterfaceState::read(status).ok_or_else(no_state)?;
        return Ok(());
    }
    if let Some(peering) = world.peerings.get_mut(object).filter(|p| p.owner == account) {
        peering.state = PeeringState::read(status).ok_or_else(no_state)?;
        return Ok(());
    }
    let entry = entry_of(world, account, object)?;
    let known = ENTRY_STATES.into_iter().find(|known| *known == status).ok_or_else(no_state)?;
    known.clone_into(&mut entry.status);
    Ok(())
}

fn entry_of<'a>(world: &'a mut World, account: &str, id: &str) -> Result<&'a mut super::world::RouteEntry, String> {
    let vpcs = &world.vpcs;
    world
        .tables
        .values_mut()
        .filter(|table| vpcs.get(&table.vpc).is_some_and(|vpc| vpc.owner == account))
        .flat_map(|table| &mut table.entries)
        .find(|entry| entry.id == id)
        .ok_or_else(|| nothing(account, id))
}

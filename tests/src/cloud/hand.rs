//! The cloud's own hand: what befalls an object of an account although no call of that account does it.
//!
//! A bill that is not paid, a lock for security, a connection that hangs in a passing state, a next hop that the cloud
//! holds unusable. Each changes the declared state, so the control plane says it and the data plane obeys it. Decides
//! nothing about how long it lasts: until the hand, or a call that the state admits, changes it again.

use super::world::{Business, PeeringState, RouterInterfaceState, World};
use serde::Deserialize;

/// Something done to one object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hand {
    /// A router interface or a VPC peering connection gets a business status: `Normal`, `FinancialLocked`,
    /// `SecurityLocked`.
    Lock(Placed),
    /// A router interface, a VPC peering connection or a route entry is in a state, and stays in it.
    State(Placed),
    /// The next hops of a route entry are held unusable.
    Unusable(String),
}

/// An object and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Its id.
    pub object: String,
    /// As the API spells it.
    pub status: String,
}

/// States of a route entry that the documents name (`network-semantics.md` §2).
const ENTRY_STATES: [&str; 5] = ["Available", "Pending", "Creating", "Modifying", "Deleting"];

impl Hand {
    /// Does it to an object of the account with this id; says what is wrong when it cannot.
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
    // A change that is under way would end the state.
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

//! The data plane as the cloud sees it: what follows the declared state, reports counters and starts scripts in guests.
//!
//! The lab's plane implements [`Apply`]; [`NullApply`] stands for its absence. The names under which a data plane has
//! the instances are made here too.

use super::world::{Instance, World};
use crate::desired::{BothWays, Desired};
use futures_util::future::BoxFuture;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Applies the declared state to a data plane.
pub trait Apply: Send + Sync {
    /// Returns when packets are treated as `desired` says.
    fn apply(&self, desired: Arc<Desired>) -> BoxFuture<'_, anyhow::Result<()>>;

    /// What links carried so far, by the key of [`Desired::links`]; empty without a data plane.
    fn carried(&self) -> BoxFuture<'_, BTreeMap<String, BothWays>> {
        Box::pin(std::future::ready(BTreeMap::new()))
    }

    /// Starts a script in a guest and does not wait for its end. Fails without a data plane, which has the guests.
    fn start(&self, script: Script) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(std::future::ready(Err(anyhow::anyhow!("there is no guest behind {}", script.guest))))
    }
}

/// A shell script for a guest.
#[derive(Debug, Clone)]
pub struct Script {
    /// The instance, by the key of [`Desired::instances`].
    pub guest: String,
    /// Text of the script.
    pub text: String,
    /// Maximum run time.
    pub timeout: Duration,
}

/// No data plane: the control plane alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullApply;

impl Apply for NullApply {
    fn apply(&self, _desired: Arc<Desired>) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The name of an instance in the data plane: account name, dot, instance name.
pub(super) fn guest_name(world: &World, instance: &Instance) -> String {
    let account = world.accounts.get(&instance.owner).map_or(instance.owner.as_str(), |account| &account.name);
    format!("{account}.{}", instance.name)
}

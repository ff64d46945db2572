//! One topology on the data plane, without agents or collector. It is built by the tutorial's calls, changed by the
//! calls of a fault, restored to its healthy state, and read by the product's own client.

use super::fault::Fault;
use crate::{
    cloud::{self, Cloud, Keys},
    desired::Desired,
    plane::{Place, Plane},
    symbols::Symbols,
    topology::Topology,
    tutorial::{Builder, Operators, STEPS, field},
};
use anyhow::{Context, Result, anyhow};
use pingtong_cloud::{Client, ClientSettings, Credentials, EndpointRule, GatherScope, SecretString, gather};
use pingtong_evidence::{AccountId, RegionId, Snapshot, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Calls per second of the client. High, because the lab's cloud throttles only if it is configured to.
const CALLS_PER_SECOND: u32 = 1000;

/// A topology that has been built.
pub(super) struct Ground {
    /// The topology that was requested.
    pub(super) topology: Topology,
    /// The ids that the cloud has assigned, by name.
    pub(super) symbols: Symbols,
    plane: Arc<Plane>,
    cloud: Arc<Cloud>,
    operators: Operators,
    clients: BTreeMap<String, Client>,
    healthy: Arc<cloud::World>,
    names: Symbols,
    served: tokio::task::AbortHandle,
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Ground {
    /// Carries out the whole tutorial for a topology, on a plane that is cleared first.
    ///
    /// # Errors
    /// Fails if a call is refused or the plane cannot be changed.
    pub(super) async fn stand(plane: &Arc<Plane>, topology: Topology) -> Result<Self> {
        clear(plane).await?;
        let cloud = Cloud::new(cloud::Options::default(), crate::estate::follower(Arc::clone(plane)));
        let keys: BTreeMap<String, Keys> = topology
            .accounts
            .iter()
            .map(|a| (a.name.get_ref().clone(), cloud.create_account(a.name.get_ref(), a.id.get_ref())))
            .collect();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on the lab's loopback")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let served = crate::estate::serve_until_aborted(listener, cloud::router(Arc::clone(&cloud)))?;
        let clients = clients(&topology, &keys, &endpoint)?;
        let operators = Operators::new(endpoint, keys);
        let mut builder = Builder::new(&topology, &operators);
        cloud.hold();
        builder.estate().await?;
        for step in STEPS {
            builder.step(step).await?;
        }
        let symbols = std::mem::take(&mut builder.symbols);
        cloud.release().await.context("cannot make the data plane")?;
        let (healthy, names) = (cloud.world(), symbols.clone());
        let plane = Arc::clone(plane);
        Ok(Self { topology, symbols, plane, cloud, operators, clients, healthy, names, served })
    }

    /// Makes all calls of a fault, or none: if the cloud refuses one, the state before the fault is restored. Returns
    /// whether the fault was made.
    ///
    /// # Errors
    /// Fails if the lab fails; a refused call is not an error.
    pub(super) async fn make(&mut self, fault: &Fault) -> Result<bool> {
        let (before, names) = (self.cloud.world(), self.symbols.clone());
        for call in &fault.calls {
            if let Err(error) = self.call(call).await {
                if error.downcast_ref::<cloud::ApiError>().is_none()
                    && error.downcast_ref::<crate::symbols::UnknownSymbol>().is_none()
                {
                    return Err(error);
                }
                self.put(before).await?;
                self.symbols = names;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn call(&mut self, call: &super::fault::FaultCall) -> Result<()> {
        let (product, action) = call.call.split_once(':').ok_or_else(|| anyhow!("\"{}\" is no call", call.call))?;
        let with: BTreeMap<String, String> = call
            .with
            .iter()
            .map(|(k, v)| Ok((k.clone(), self.symbols.resolve(v)?)))
            .collect::<Result<_, crate::symbols::UnknownSymbol>>()?;
        let region = with.get("RegionId").cloned().unwrap_or_default();
        let answer = self.operators.call(&call.account, product, action, &region, with).await?;
        for (name, path) in &call.save {
            self.symbols.set_in(&call.account, &region, name, field(&answer, path)?);
        }
        Ok(())
    }

    /// Undoes every fault.
    ///
    /// # Errors
    /// Fails if the plane could not apply the healthy state.
    pub(super) async fn heal(&mut self) -> Result<()> {
        self.symbols = self.names.clone();
        self.put(Arc::clone(&self.healthy)).await
    }

    async fn put(&self, world: Arc<cloud::World>) -> Result<()> {
        self.cloud.edit(move |now| now.clone_from(&world)).await
    }

    /// Reads the configuration of every account and region, as an agent there would.
    pub(super) async fn snapshots(&self) -> Vec<Snapshot> {
        let places: BTreeSet<(&str, &str)> =
            self.topology.vpcs.iter().map(|vpc| (vpc.account(), vpc.region.as_str())).collect();
        let reads = places.into_iter().filter_map(|(account, region)| {
            let client = self.clients.get(account)?;
            let id = AccountId::parse(self.symbols.get(&format!("{account}.id")).ok()?).ok()?;
            let scope = GatherScope { metrics: false, ..GatherScope::new(id, RegionId::parse(region).ok()?) };
            Some(async move { gather(client, &scope, || Timestamp::from_millis(0)).await })
        });
        futures_util::future::join_all(reads).await
    }

    /// The namespace of an instance, by its full name.
    ///
    /// # Errors
    /// Fails if the plane has no such instance.
    pub(super) fn namespace(&self, instance: &str) -> Result<crate::plane::Namespace> {
        let place = Place::Instance(instance.to_owned());
        self.plane.namespace(&place).ok_or_else(|| anyhow!("the plane has no instance \"{instance}\""))
    }
}

async fn clear(plane: &Arc<Plane>) -> Result<()> {
    let plane = Arc::clone(plane);
    tokio::task::spawn_blocking(move || plane.apply(Arc::new(Desired::default())))
        .await?
        .context("cannot clear the data plane")
}

fn clients(topology: &Topology, keys: &BTreeMap<String, Keys>, endpoint: &str) -> Result<BTreeMap<String, Client>> {
    let mut made = BTreeMap::new();
    for account in &topology.accounts {
        let (name, id) = (account.name.get_ref(), AccountId::parse(account.id.get_ref())?);
        let Some(keys) = keys.get(name) else { continue };
        let secret = SecretString::from(keys.access_key_secret.clone());
        let credentials = Credentials::fixed(keys.access_key_id.clone(), secret, None);
        let settings = ClientSettings {
            calls_per_second: CALLS_PER_SECOND,
            ..ClientSettings::new(id, EndpointRule::parse(Some(endpoint))?, credentials)
        };
        made.insert(name.clone(), Client::new(settings)?);
    }
    Ok(made)
}

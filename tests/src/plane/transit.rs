//! A transit router: a namespace that connects links, whose routes are updated by the difference to the desired state.
//!
//! It owns no address, filters nothing and keeps no connection state. The link on which a packet arrives selects the
//! route table. A link without a table and a destination without a route both hit a blackhole rule: no drop here is
//! ever answered.

use super::{
    interfaces::{self, Route, Rule, UP},
    namespace::Namespace,
    netlink::Netlink,
    router::{self, Applied, PORT_PRIORITY, RouterPort},
};
use crate::desired::{HopPlane, TransitPlane};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// A transit router.
#[derive(Debug)]
pub(super) struct Transit {
    namespace: Namespace,
    /// Ports to links, by link id.
    links: BTreeMap<String, RouterPort>,
    table_numbers: BTreeMap<String, u32>,
    applied: Applied,
}

impl Transit {
    /// Creates a transit router without links.
    pub(super) fn create(name: &str) -> Result<Self> {
        let namespace = Namespace::create(name)?;
        namespace.set(router::default_parameters())?;
        router::without_ipv6(&namespace);
        namespace.run(|| -> Result<()> {
            let mut netlink = Netlink::route()?;
            netlink.request(&interfaces::set_flags("lo", UP, UP))?;
            router::add_last_rule(&mut netlink)
        })?;
        let applied = Applied::default();
        Ok(Self { namespace, links: BTreeMap::new(), table_numbers: BTreeMap::new(), applied })
    }

    /// The transit router's namespace.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Takes over the end of a link that is already in the namespace under this name.
    pub(super) fn plug_link(&mut self, link: &str, name: String) -> Result<()> {
        self.links.insert(link.to_owned(), RouterPort::of_link(&self.namespace, name)?);
        Ok(())
    }

    /// Removes the end of a link.
    pub(super) fn unplug_link(&mut self, link: &str) {
        if let Some(port) = self.links.remove(link) {
            self.applied.forget(&self.namespace, &port);
        }
    }

    /// Changes the routes to the desired state.
    pub(super) fn apply(&mut self, transit: &TransitPlane) -> Result<()> {
        let mut wanted = Applied::default();
        wanted.rules = self.rules(transit);
        wanted.routes = transit
            .tables
            .iter()
            .flat_map(|(id, entries)| {
                let table = router::number_of(&mut self.table_numbers, id);
                entries.iter().map(move |entry| (table, entry))
            })
            .map(|(table, entry)| ((table, entry.destination), route(&self.links, table, entry)))
            .collect();
        self.applied.follow(&self.namespace, wanted)
    }

    fn rules(&mut self, transit: &TransitPlane) -> BTreeSet<Rule> {
        let arrivals = transit.arrivals.iter().filter_map(|(link, table)| Some((self.links.get(link)?, table)));
        arrivals
            .map(|(port, table)| Rule {
                priority: PORT_PRIORITY,
                interface: Some(port.name.clone()),
                from: None,
                to: None,
                mark: None,
                table: Some(router::number_of(&mut self.table_numbers, table)),
            })
            .collect()
    }
}

fn route(links: &BTreeMap<String, RouterPort>, table: u32, entry: &crate::desired::RoutePlane) -> Route {
    let ports = entry.hops.iter().filter_map(|hop| match hop {
        HopPlane::Link(link) => links.get(link),
        HopPlane::Local | HopPlane::Eni(_) | HopPlane::Service | HopPlane::Blackhole => None,
    });
    let route = ports.fold(Route::to(table, entry.destination), |route, port| route.via(port.index, None));
    if route.hops.is_empty() { Route::blackhole(table, entry.destination) } else { route }
}

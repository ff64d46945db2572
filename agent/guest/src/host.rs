//! A host: what a walk needs to know of it.

use crate::{
    lookup::{Lookup, Route},
    routes::{Decision, Fate, decide, route},
};
use pingtong_evidence::{InterfaceFact, InterfaceSettings, RoutingTables, packet_filter::RuleSet};
use std::net::IpAddr;

/// A host.
#[derive(Clone, Copy)]
pub struct Host<'h> {
    /// Its packet filter.
    pub rules: &'h RuleSet,
    /// Whether these are all rules. Otherwise others may have marked a packet, or have changed how it is tracked.
    pub is_whole: bool,
    /// Its interfaces.
    pub interfaces: &'h [InterfaceFact],
    /// Its routes.
    pub routing: &'h dyn Routing,
    /// Whether it forwards packets of others, if known.
    pub forwards: Option<bool>,
    /// IPv4 settings of its interfaces; `None` if they are not known, which leaves out the checks of source addresses.
    pub settings: Option<&'h [InterfaceSettings]>,
    /// Numbers of the netfilter queues for which a program listens, if known.
    pub queues: Option<&'h [u16]>,
}

/// Where packets are routed.
pub trait Routing {
    /// The route of a packet that is not for this host itself.
    fn towards(&self, lookup: &Lookup<'_>) -> Route;

    /// Every decision that the look-up may come to.
    fn decisions(&self, lookup: &Lookup<'_>) -> Vec<Decision> {
        let fate = match self.towards(lookup) {
            Route::Device(device) => Fate::Device(device),
            Route::Refused => Fate::Refused,
            Route::Unknown => Fate::Unknown,
        };
        vec![Decision { fate, rule: None, route: None }]
    }
}

impl Routing for RoutingTables {
    fn towards(&self, lookup: &Lookup<'_>) -> Route {
        route(&decide(self, lookup))
    }

    fn decisions(&self, lookup: &Lookup<'_>) -> Vec<Decision> {
        decide(self, lookup)
    }
}

impl std::fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("tables", &self.rules.tables.len()).finish_non_exhaustive()
    }
}

impl<'h> Host<'h> {
    /// Whether an address is one of the host's own.
    pub fn owns(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.interfaces.iter().flat_map(|each| &each.addresses).any(|(own, _)| *own == address)
    }

    /// The interface of a name; one without a name is not known.
    pub(crate) fn interface(&self, name: &str) -> Option<&'h InterfaceFact> {
        self.interfaces.iter().find(|each| each.name == name && !name.is_empty())
    }

    /// The first address of a family at an interface: what `masquerade` and `redirect` translate to.
    pub(crate) fn first_address(&self, name: &str, ipv4: bool) -> Option<IpAddr> {
        let of_family = self.interface(name)?.addresses.iter().filter(|(address, _)| address.is_ipv4() == ipv4);
        let global = |address: &IpAddr| match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        };
        of_family.map(|(address, _)| *address).find(global)
    }
}

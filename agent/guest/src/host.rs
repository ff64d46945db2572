//! A host: what a walk needs to know of it.

use pingtong_evidence::{InterfaceFact, packet_filter::RuleSet};
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
    /// Numbers of the netfilter queues for which a program listens, if known.
    pub queues: Option<&'h [u16]>,
}

/// Where packets are routed.
pub trait Routing {
    /// The route of a packet that is not for this host itself. `mark` is `None` if it is not known.
    fn towards(&self, destination: IpAddr, source: Option<IpAddr>, mark: Option<u32>) -> Route;
}

/// Result of a route lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// By this interface.
    Device(String),
    /// There is no route, or one that refuses.
    Refused,
    /// It is not known.
    Unknown,
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

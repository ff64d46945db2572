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
    /// The route of a packet that is not for this host itself.
    fn towards(&self, lookup: &Lookup<'_>) -> Route;
}

/// Question for a route. What is `None` is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup<'l> {
    /// Destination address.
    pub destination: IpAddr,
    /// Source address.
    pub source: Option<IpAddr>,
    /// Whether the look-up is made with the source address, not with an unspecified one: a socket that is not bound has no
    /// source address until it has a route.
    pub is_bound: Option<bool>,
    /// Where the packet comes from.
    pub input: Input<'l>,
    /// Packet mark.
    pub mark: Option<u32>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// Source and destination port.
    pub ports: (Option<u16>, Option<u16>),
    /// User id of the socket that sends.
    pub user: Option<u32>,
}

/// Where a packet that is routed comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'l> {
    /// From the host itself.
    Local,
    /// It arrived by this interface.
    Device(&'l str),
    /// It arrived by one that is not known.
    Unknown,
}

impl Lookup<'_> {
    /// A packet of the host itself to this address, of which nothing else is known.
    pub fn to(destination: IpAddr) -> Self {
        Self {
            destination,
            source: None,
            is_bound: None,
            input: Input::Local,
            mark: None,
            protocol: None,
            ports: (None, None),
            user: None,
        }
    }
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

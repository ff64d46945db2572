//! The question for a route, and its result.

use std::net::IpAddr;

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

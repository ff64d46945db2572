//! Where a walk ends, and by which rule.

use pingtong_evidence::packet_filter::{FirewallHook, Reject};

/// A rule, or the policy of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the table in the rule set.
    pub table: usize,
    /// Index of the chain in the table.
    pub chain: usize,
    /// Index of the rule in the chain; `None` for the chain's policy.
    pub rule: Option<usize>,
    /// The hook at which the packet came there.
    pub hook: FirewallHook,
}

/// Where a packet's walk ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// A local socket, or the kernel itself, gets it.
    Delivered,
    /// It leaves by this interface.
    Left(String),
    /// It is forwarded to this interface.
    Forwarded(String),
    /// A rule ends it.
    Stopped(Place, How),
    /// There is no route, or only one that refuses.
    NoRoute,
    /// It is for another host, and this one does not forward.
    NotForwarding,
    /// The kernel drops it as impossible: it arrived for a loopback address, or from an address of the host itself.
    Martian,
    /// The reverse-path filter drops it: the route back to its source does not leave by the interface by which it arrived, or
    /// there is no route back.
    ReversePath,
    /// Something that is not known decides: a route, or an address that the kernel chooses.
    Unknown,
}

/// How a rule ends a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It is dropped silently.
    Drop,
    /// It is dropped, and the sender gets an error.
    Reject(Reject),
    /// It waits in a queue for which no program listens.
    Queue,
    /// The rule has this expression, which is not understood and may end it.
    NotUnderstood(String),
}

impl End {
    /// Whether the packet goes on, out of the host or into it.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Delivered | Self::Left(_) | Self::Forwarded(_))
    }
}

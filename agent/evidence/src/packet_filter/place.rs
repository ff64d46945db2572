//! Where tables and chains see packets.

use serde::{Deserialize, Serialize};

/// Family of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// IPv4 and IPv6.
    Inet,
    /// Frames at a device.
    Netdev,
    /// Frames of a bridge.
    Bridge,
    /// ARP.
    Arp,
    /// A family that this version does not know, by its number in the kernel.
    #[serde(untagged)]
    Unknown(String),
}

impl Family {
    /// Its name in nft; of an unknown one, its number.
    pub fn name(&self) -> &str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
            Self::Arp => "arp",
            Self::Unknown(number) => number,
        }
    }
}

/// Where in the guest's packet filter a rule sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirewallHook {
    /// Packets as the NIC delivers them, before routing.
    Ingress,
    /// Before the routing decision.
    Prerouting,
    /// Towards local sockets.
    Input,
    /// From local sockets.
    Output,
    /// Through the host.
    Forward,
    /// After the routing decision.
    Postrouting,
    /// Packets as the NIC sends them.
    Egress,
    /// A hook that this version does not know.
    #[serde(other)]
    Unknown,
}

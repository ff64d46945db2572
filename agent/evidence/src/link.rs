//! Expected connectivity: links between two VPCs, pairs of hosts on them, sides and directions.

use crate::{AccountId, AgentId, Cidr, InstanceId, LinkId, PairId, PortRange, Protocol, RegionId, VSwitchId, VpcId};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// One of the two sides of a link, each with its account owner, named as in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The side that creates the connection.
    Initiator,
    /// The side that accepts it.
    Acceptor,
}

impl Side {
    /// Both, the initiator first.
    pub const BOTH: [Self; 2] = [Self::Initiator, Self::Acceptor];

    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }

    /// The direction of requests that this side sends.
    pub fn sends(self) -> Direction {
        match self {
            Self::Initiator => Direction::Forward,
            Self::Acceptor => Direction::Return,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Initiator => "initiator",
            Self::Acceptor => "acceptor",
        })
    }
}

/// Direction of a packet on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Initiator to acceptor.
    Forward,
    /// Acceptor to initiator.
    Return,
}

impl Direction {
    /// Both, forward first.
    pub const BOTH: [Self; 2] = [Self::Forward, Self::Return];

    /// The other direction.
    #[must_use]
    pub fn reverse(self) -> Self {
        match self {
            Self::Forward => Self::Return,
            Self::Return => Self::Forward,
        }
    }

    /// The side that a packet of this direction leaves.
    pub fn source(self) -> Side {
        match self {
            Self::Forward => Side::Initiator,
            Self::Return => Side::Acceptor,
        }
    }

    /// The side that a packet of this direction reaches.
    pub fn destination(self) -> Side {
        self.source().opposite()
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Return => "return",
        })
    }
}

/// How two VPCs are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// A pair of Express Connect router interfaces.
    RouterInterface,
    /// A VPC peering connection of the newer product.
    VpcPeering,
    /// Attachments to a transit router.
    TransitRouter,
}

/// One VPC of a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSide {
    /// The account that owns the VPC.
    pub account: AccountId,
    /// The VPC's region.
    pub region: RegionId,
    /// The VPC.
    pub vpc: VpcId,
}

/// Two VPCs that should be connected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The name that the user gave it.
    pub id: LinkId,
    /// How the VPCs are connected.
    pub kind: LinkKind,
    /// The side that creates the connection.
    pub initiator: LinkSide,
    /// The side that accepts it.
    pub acceptor: LinkSide,
}

impl Link {
    /// The VPC of one side.
    pub fn side(&self, side: Side) -> &LinkSide {
        match side {
            Side::Initiator => &self.initiator,
            Side::Acceptor => &self.acceptor,
        }
    }
}

/// A host at one end of a pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// The private address that the other end must reach.
    pub address: IpAddr,
    /// The instance, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The agent on it, when one is enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// Two hosts, one at each side of a link, that must reach each other. One verdict is about one pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// The pair's name.
    pub id: PairId,
    /// The link that connects them.
    pub link: Link,
    /// The host at the initiator's side.
    pub initiator: Endpoint,
    /// The host at the acceptor's side.
    pub acceptor: Endpoint,
    /// The protocol of the expectation.
    pub protocol: Protocol,
    /// The destination port; `None` for ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The side whose host opens TCP and UDP flows. ICMP is always checked both ways.
    pub opened_by: Side,
}

impl Pair {
    /// The host at one side.
    pub fn endpoint(&self, side: Side) -> &Endpoint {
        match side {
            Side::Initiator => &self.initiator,
            Side::Acceptor => &self.acceptor,
        }
    }
}

/// A set of hosts, as a user names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointSet {
    /// One instance, with the address to reach it by.
    Instance {
        /// The instance.
        id: InstanceId,
        /// Its private address.
        address: IpAddr,
    },
    /// Every host of a vSwitch.
    VSwitch(VSwitchId),
    /// Every host of a VPC.
    Vpc(VpcId),
    /// Every host in a block of addresses.
    Cidr(Cidr),
}

/// What must hold on a link. Both directions are always checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Hosts that open the flow.
    pub from: EndpointSet,
    /// Hosts that must be reached.
    pub to: EndpointSet,
    /// Protocol of the flow.
    pub protocol: Protocol,
    /// Destination ports; `None` for ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortRange>,
}

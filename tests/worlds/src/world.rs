//! A declared truth: the configuration of two accounts, the behaviour of their guests, and that of the fabric between
//! them.
//!
//! The cloud's part uses the types of the evidence, because a truthful API would return exactly that; nothing in it is
//! unknown. [`World::settled`] derives what each side's API reports about the other side. Names are generated here and
//! have no meaning.

use pingtong_evidence::{
    BusinessStatus, Cidr, Direction, Eni, Instance, InterfaceKind, Known, Pair, RouteTable, RouterInterface,
    RouterInterfaceId, RouterInterfaceStatus, SecurityGroup, Side, Snapshot, VSwitch, Vpc,
};
use std::{net::IpAddr, str::FromStr};

/// Parses an id, an address or a CIDR block that this crate itself generates.
pub fn named<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| unreachable!("\"{text}\" is made in this crate and well formed"))
}

/// The items of a list in a world, where every list is known; an unknown list has no items.
pub fn list<T>(known: &Known<Vec<T>>) -> &[T] {
    known.known().map_or(&[], Vec::as_slice)
}

/// The items of a list in a world, mutable; an unknown list becomes a known empty one.
pub fn list_mut<T>(known: &mut Known<Vec<T>>) -> &mut Vec<T> {
    if matches!(known, Known::Unknown(_)) {
        *known = Known::Known(vec![]);
    }
    match known {
        Known::Known(list) => list,
        Known::Unknown(_) => unreachable!("made known just above"),
    }
}

/// Which packets a rule of a guest's packet filter matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Echo requests.
    Requests,
    /// Echo replies.
    Replies,
    /// All ICMP packets.
    Icmp,
    /// Packets that the pair never sends.
    OtherService,
}

/// A rule of a guest's packet filter that drops packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRule {
    /// Whether the rule is in the input hook; otherwise it is in the output hook.
    pub inward: bool,
    /// Which packets it matches.
    pub speaks: Speaks,
    /// Handle of the rule in the listing.
    pub handle: u64,
    /// Whether the rule has a rate limit: then every second packet is within it and passes.
    pub limited: bool,
    /// Whether a rule inserted before it accepts the peer's requests, or its own; and replies.
    pub spares: (bool, bool),
}

/// What a guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A rule drops packets.
    Drop,
    /// A rule with an expression that the agent does not understand drops them.
    DropUnseen,
    /// Such a rule looks at them and lets them pass.
    SpareUnseen,
    /// A rule holds them to a rate: every second one is dropped.
    Limit,
    /// A rule translates addresses: the source of requests that it sends, the destination of those that arrive.
    Translate,
    /// A queue drops every fourth packet that it sends.
    Shape,
    /// A program drops them: XDP what arrives, tc what it sends.
    Program,
    /// `IPsec` takes what it sends.
    Encrypt,
}

/// Where a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the device: netdev `ingress` or `egress`.
    Device,
    /// Before connections are tracked: `prerouting` or `output` at priority -300.
    Raw,
    /// `input` or `output`.
    Filter,
    /// A chain that `input` or `output` jumps to.
    Jumped,
}

/// One thing that a guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habit {
    /// What it does.
    pub act: Act,
    /// Where, if it is a rule.
    pub place: Place,
    /// Whether with packets that arrive; otherwise with those that it sends.
    pub inward: bool,
    /// With which packets.
    pub speaks: Speaks,
    /// Whether a rule inserted before it accepts the peer's requests, or its own; and replies.
    pub spares: (bool, bool),
}

/// A route of a guest besides its default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRoute {
    /// Destination prefix.
    pub prefix: Cidr,
    /// Name of the outgoing device.
    pub device: String,
    /// Gateway; `None` if the prefix is on the device itself.
    pub gateway: Option<IpAddr>,
}

/// A device of a guest besides the network interface with the pair's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Name of the device.
    pub name: String,
    /// Kind of the device.
    pub kind: InterfaceKind,
    /// MAC address; empty if the device has none.
    pub mac: String,
    /// Address of the device, and the CIDR block that it is in.
    pub address: (IpAddr, Cidr),
}

/// How an agent in a container is connected to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contained {
    /// The host rewrites the container's source address (masquerading): peers see the host's address.
    Masqueraded,
    /// Peers see the container's own address.
    Bare,
}

/// What one guest does with packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Whether its agent reports.
    pub reports: bool,
    /// Name of the network interface with the pair's address.
    pub card: String,
    /// MAC address of that network interface.
    pub mac: String,
    /// Whether the guest has configured the pair's address.
    pub has_address: bool,
    /// Whether the sysctl `icmp_echo_ignore_all` is set.
    pub ignores_echo: bool,
    /// Rules of the packet filter that drop packets.
    pub rules: Vec<GuestRule>,
    /// Device of the default route; `None` if the guest has no default route.
    pub default_device: Option<String>,
    /// Routes besides the default route.
    pub routes: Vec<GuestRoute>,
    /// Devices besides the network interface `card`.
    pub devices: Vec<Device>,
    /// Whether strict reverse-path filtering is set on the network interface `card`.
    pub strict_reverse_path: bool,
    /// Whether the host's own packets are routed by a mark, which the reverse-path check does not take into account: others
    /// for the peer would leave by a tunnel.
    pub routed_by_mark: bool,
    /// How the agent's container is connected; `None` if the agent runs on the host itself.
    pub container: Option<Contained>,
    /// What else the guest does with packets.
    pub habits: Vec<Habit>,
    /// Offset of the guest's clock from the collector's clock, in milliseconds.
    pub clock_offset_ms: i64,
}

/// What the fabric does with the packets of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fabric {
    /// Every packet is dropped.
    pub dead: bool,
    /// Every n-th packet is dropped; 0 drops no packet.
    pub loses_every: u32,
    /// Another host answers the requests of this direction in place of their target, without our nonce.
    pub stranger: bool,
}

/// The names of the objects that the pair's path crosses on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Letter of the side, part of every name.
    pub letter: &'static str,
    /// Id of the VPC.
    pub vpc: String,
    /// Id of the route table in effect for the host.
    pub table: String,
    /// Id of the VPC's system table.
    pub system_table: String,
    /// Id of the host's vSwitch.
    pub vswitch: String,
    /// Id of the link's router interface.
    pub interface: String,
    /// Ids of the security groups on the host's network interface.
    pub groups: Vec<String>,
    /// Id of the group with the rule that lets the peer in.
    pub group: String,
    /// Id of that rule.
    pub rule: String,
    /// Id of the host's instance.
    pub instance: String,
    /// Id of the host's network interface (ENI).
    pub eni: String,
}

/// The truth about a pair and about everything that its packets cross.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The pair under test.
    pub pair: Pair,
    /// Pairs of other links of these VPCs.
    pub elsewhere: Vec<Pair>,
    /// Configuration of both accounts, the initiator's first.
    pub config: [Snapshot; 2],
    /// The guests of both sides, the initiator's first.
    pub guests: [Guest; 2],
    /// The fabric in both directions, forward first.
    pub fabric: [Fabric; 2],
    /// The names on both sides, the initiator's first.
    pub names: [Names; 2],
    /// Number of probes in a round.
    pub probes: u32,
    /// Number of rounds in each direction.
    pub rounds: u64,
}

/// Index of a side in the two-element arrays of this module.
pub fn at(side: Side) -> usize {
    match side {
        Side::Initiator => 0,
        Side::Acceptor => 1,
    }
}

impl World {
    /// Configuration of one side.
    pub fn config(&self, side: Side) -> &Snapshot {
        &self.config[at(side)]
    }

    /// Configuration of one side, mutable.
    pub fn config_mut(&mut self, side: Side) -> &mut Snapshot {
        &mut self.config[at(side)]
    }

    /// Names of one side.
    pub fn names(&self, side: Side) -> &Names {
        &self.names[at(side)]
    }

    /// Guest of one side.
    pub fn guest(&self, side: Side) -> &Guest {
        &self.guests[at(side)]
    }

    /// Guest of one side, mutable.
    pub fn guest_mut(&mut self, side: Side) -> &mut Guest {
        &mut self.guests[at(side)]
    }

    /// Fabric of one direction.
    pub fn fabric(&self, direction: Direction) -> &Fabric {
        &self.fabric[at(direction.source())]
    }

    /// Fabric of one direction, mutable.
    pub fn fabric_mut(&mut self, direction: Direction) -> &mut Fabric {
        &mut self.fabric[at(direction.source())]
    }

    /// The pair's address at one side.
    pub fn address(&self, side: Side) -> IpAddr {
        self.pair.endpoint(side).address
    }

    /// The link's VPC at one side.
    pub fn vpc(&self, side: Side) -> Option<&Vpc> {
        list(&self.config(side).vpcs).iter().find(|vpc| vpc.id.as_str() == self.names(side).vpc)
    }

    /// The CIDR block of the link's VPC at one side that contains the pair's address; the primary block if no block
    /// does.
    pub fn block(&self, side: Side) -> Cidr {
        let address = self.address(side);
        self.vpc(side).map_or_else(
            || Cidr::host(address),
            |vpc| {
                let all = std::iter::once(&vpc.cidr).chain(&vpc.secondary_cidrs);
                all.clone().find(|block| block.contains(address)).copied().unwrap_or(vpc.cidr)
            },
        )
    }

    /// The vSwitch of the host at one side.
    pub fn vswitch(&self, side: Side) -> Option<&VSwitch> {
        list(&self.config(side).vswitches).iter().find(|vswitch| vswitch.id.as_str() == self.names(side).vswitch)
    }

    /// The host's network interface.
    pub fn eni(&self, side: Side) -> Option<&Eni> {
        list(&self.config(side).enis).iter().find(|eni| eni.id.as_str() == self.names(side).eni)
    }

    /// The host's instance.
    pub fn instance(&self, side: Side) -> Option<&Instance> {
        list(&self.config(side).instances).iter().find(|i| i.id.as_str() == self.names(side).instance)
    }

    /// The route table of one side with this id, mutable.
    pub fn table_mut(&mut self, side: Side, id: &str) -> Option<&mut RouteTable> {
        list_mut(&mut self.config_mut(side).route_tables).iter_mut().find(|table| table.id.as_str() == id)
    }

    /// The security group of one side with this id, mutable.
    pub fn group_mut(&mut self, side: Side, id: &str) -> Option<&mut SecurityGroup> {
        list_mut(&mut self.config_mut(side).security_groups).iter_mut().find(|group| group.id.as_str() == id)
    }

    /// The router interface of one side with this id.
    pub fn interface(&self, side: Side, id: &str) -> Option<&RouterInterface> {
        list(&self.config(side).router_interfaces).iter().find(|ri| ri.id.as_str() == id)
    }

    /// The link's router interface of one side, mutable.
    pub fn interface_mut(&mut self, side: Side) -> Option<&mut RouterInterface> {
        let id = self.names(side).interface.clone();
        list_mut(&mut self.config_mut(side).router_interfaces).iter_mut().find(|ri| ri.id.as_str() == id)
    }

    /// Makes what each side's API reports about the opposite router interfaces agree with these interfaces themselves.
    #[must_use]
    pub fn settled(mut self) -> Self {
        for side in Side::BOTH {
            let other: Vec<RouterInterface> = list(&self.config(side.opposite()).router_interfaces).to_vec();
            let known = |id: &RouterInterfaceId| other.iter().find(|ri| ri.id == *id);
            let mine = self.names(side).interface.clone();
            for ri in list_mut(&mut self.config_mut(side).router_interfaces) {
                let Some(id) = &ri.opposite_interface else {
                    (ri.opposite_status, ri.opposite_business_status, ri.opposite_vpc) = (None, None, None);
                    continue;
                };
                match known(id) {
                    Some(peer) => {
                        ri.opposite_status = Some(peer.status);
                        ri.opposite_business_status = Some(peer.business_status);
                        ri.opposite_vpc.clone_from(&peer.vpc);
                    }
                    // The id names no interface of the peer, or one in a third account, about which this world has no
                    // facts.
                    None if ri.id.as_str() == mine => {
                        ri.opposite_status = Some(RouterInterfaceStatus::Deleted);
                        (ri.opposite_business_status, ri.opposite_vpc) = (None, None);
                    }
                    None => {
                        ri.opposite_status.get_or_insert(RouterInterfaceStatus::Active);
                        ri.opposite_business_status.get_or_insert(BusinessStatus::Normal);
                    }
                }
            }
        }
        self
    }
}

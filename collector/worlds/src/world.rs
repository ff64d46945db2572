//! A declared truth: what two accounts have configured, what their guests do, and what the fabric between them does.
//!
//! The cloud's part is written in the words of the evidence, since a truthful API would show just that; nothing in it is
//! unknown. [`World::settled`] derives what each side's API tells of the other. Names are made here and carry no meaning.

use pingtong_evidence::{
    BusinessStatus, Cidr, Direction, Eni, Instance, InterfaceKind, Known, Pair, RouteTable, RouterInterface,
    RouterInterfaceId, RouterInterfaceStatus, SecurityGroup, Side, Snapshot, VSwitch, Vpc,
};
use std::{net::IpAddr, str::FromStr};

/// An id, an address or a block that is spelled here.
pub fn named<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| unreachable!("\"{text}\" is made in this crate and well formed"))
}

/// The list of a truth, in which everything is known.
pub fn list<T>(known: &Known<Vec<T>>) -> &[T] {
    known.known().map_or(&[], Vec::as_slice)
}

/// The list of a truth, to be changed.
pub fn list_mut<T>(known: &mut Known<Vec<T>>) -> &mut Vec<T> {
    if matches!(known, Known::Unknown(_)) {
        *known = Known::Known(vec![]);
    }
    match known {
        Known::Known(list) => list,
        Known::Unknown(_) => unreachable!("made known just above"),
    }
}

/// Which packets a rule of a guest's filter speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Echo requests.
    Requests,
    /// Echo replies.
    Replies,
    /// All of ICMP.
    Icmp,
    /// Something that the pair never sends.
    OtherService,
}

/// A rule of a guest's packet filter that refuses packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRule {
    /// On the way in or out.
    pub inward: bool,
    /// Of which packets.
    pub speaks: Speaks,
    /// Its handle in the listing.
    pub handle: u64,
    /// Whether every second packet passes, being within the rule's rate.
    pub limited: bool,
}

/// A route of a guest beyond its default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRoute {
    /// Destination.
    pub prefix: Cidr,
    /// By which device.
    pub device: String,
    /// Through which gateway; none for a block on the device itself.
    pub gateway: Option<IpAddr>,
}

/// A further device of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: InterfaceKind,
    /// Hardware address; empty when it has none.
    pub mac: String,
    /// Its address and block.
    pub address: (IpAddr, Cidr),
}

/// How an agent in a container reaches the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contained {
    /// The host rewrites its source address: peers see the host.
    Masqueraded,
    /// Peers see the container's own address.
    Bare,
}

/// What one guest does with packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Whether its agent reports.
    pub reports: bool,
    /// Its card, which carries the pair's address.
    pub card: String,
    /// Hardware address of the card.
    pub mac: String,
    /// Whether the guest has configured the pair's address.
    pub has_address: bool,
    /// `icmp_echo_ignore_all`.
    pub ignores_echo: bool,
    /// Refusing rules.
    pub rules: Vec<GuestRule>,
    /// The device that the default route leaves by; none without one.
    pub default_device: Option<String>,
    /// Further routes.
    pub routes: Vec<GuestRoute>,
    /// Further devices.
    pub devices: Vec<Device>,
    /// Whether strict reverse-path filtering is set on the card.
    pub strict_reverse_path: bool,
    /// Whether packets are routed by a mark that the reverse-path check does not see.
    pub routed_by_mark: bool,
    /// Whether the agent runs in a container.
    pub container: Option<Contained>,
    /// Clock against the collector's, in milliseconds.
    pub clock_offset_ms: i64,
}

/// What the fabric does with the packets of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fabric {
    /// Everything dies.
    pub dead: bool,
    /// Every n-th packet dies; 0 for none.
    pub loses_every: u32,
    /// Another machine answers the requests of this direction in their target's place, without our nonce.
    pub stranger: bool,
}

/// The names of what the pair's path crosses on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Letter of the side, part of every name.
    pub letter: &'static str,
    /// VPC.
    pub vpc: String,
    /// Route table in effect for the host.
    pub table: String,
    /// The VPC's system table.
    pub system_table: String,
    /// vSwitch of the host.
    pub vswitch: String,
    /// Router interface.
    pub interface: String,
    /// Security groups on the host's interface.
    pub groups: Vec<String>,
    /// The group with the rule that lets the peer in.
    pub group: String,
    /// That rule.
    pub rule: String,
    /// Instance.
    pub instance: String,
    /// Network interface.
    pub eni: String,
}

/// The truth.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The pair in question.
    pub pair: Pair,
    /// Pairs of other links of these VPCs.
    pub elsewhere: Vec<Pair>,
    /// Configuration, the initiator's first.
    pub config: [Snapshot; 2],
    /// Guests, the initiator's first.
    pub guests: [Guest; 2],
    /// Fabric, forward first.
    pub fabric: [Fabric; 2],
    /// Names, the initiator's first.
    pub names: [Names; 2],
    /// Probes of a round.
    pub probes: u32,
    /// Rounds of each direction.
    pub rounds: u64,
}

/// Place of a side in the pairs of this module.
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

    /// Configuration of one side, to be changed.
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

    /// Guest of one side, to be changed.
    pub fn guest_mut(&mut self, side: Side) -> &mut Guest {
        &mut self.guests[at(side)]
    }

    /// Fabric of one direction.
    pub fn fabric(&self, direction: Direction) -> &Fabric {
        &self.fabric[at(direction.source())]
    }

    /// Fabric of one direction, to be changed.
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

    /// The block of the link's VPC at one side that holds the pair's address, else its first.
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

    /// A route table of one side.
    pub fn table_mut(&mut self, side: Side, id: &str) -> Option<&mut RouteTable> {
        list_mut(&mut self.config_mut(side).route_tables).iter_mut().find(|table| table.id.as_str() == id)
    }

    /// A security group of one side.
    pub fn group_mut(&mut self, side: Side, id: &str) -> Option<&mut SecurityGroup> {
        list_mut(&mut self.config_mut(side).security_groups).iter_mut().find(|group| group.id.as_str() == id)
    }

    /// A router interface of one side.
    pub fn interface(&self, side: Side, id: &str) -> Option<&RouterInterface> {
        list(&self.config(side).router_interfaces).iter().find(|ri| ri.id.as_str() == id)
    }

    /// The link's router interface of one side, to be changed.
    pub fn interface_mut(&mut self, side: Side) -> Option<&mut RouterInterface> {
        let id = self.names(side).interface.clone();
        list_mut(&mut self.config_mut(side).router_interfaces).iter_mut().find(|ri| ri.id.as_str() == id)
    }

    /// What each side's API tells of the other's router interfaces, made to agree with what these are.
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
                    // What is no interface of the peer's, or one in a third account, which is not ours to tell.
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

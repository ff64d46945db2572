//! Route-netlink messages: links, addresses, neighbours, routes and rules of IPv4, encoded and decoded by
//! `netlink-packet-route`.
//!
//! Only builds messages and reads answers; the caller decides in which namespace to send them. The features of an
//! interface (`ethtool`) are a generic-netlink family that the crate does not know, and are encoded here.

use super::netlink::{ACK, Attributes, CREATE, DUMP, EXCL, Message, Netlink, REPLACE, attribute, u16_at};
use ipnet::Ipv4Net;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    neighbour_table::{NeighbourTableAttribute, NeighbourTableMessage, NeighbourTableParameter},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteProtocol,
        RouteScope, RouteType,
    },
    rule::{RuleAction, RuleAttribute, RuleMessage},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

/// `IFF_UP`.
pub const UP: u32 = 0x1;
/// `IFF_NOARP`: packets leave without address resolution, addressed to the interface's own hardware address.
pub const NO_ARP: u32 = 0x80;

/// `RTN_UNICAST`.
pub const UNICAST: u8 = 1;
/// `RTN_LOCAL`.
pub const LOCAL: u8 = 2;
/// `RTN_BLACKHOLE`.
pub const BLACKHOLE: u8 = 6;
/// `RTN_UNREACHABLE`.
pub const UNREACHABLE: u8 = 7;
/// `RTN_PROHIBIT`.
pub const PROHIBIT: u8 = 8;
/// The kernel's main routing table.
pub const MAIN: u32 = 254;

fn link(index: u32, flags: u32, change: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::from_bits_retain(flags);
    message.header.change_mask = LinkFlags::from_bits_retain(change);
    message.attributes = attributes;
    message
}

fn new_link(flags: u16, message: LinkMessage) -> Message {
    Message::route(&RouteNetlinkMessage::NewLink(message), flags)
}

fn named(name: &str) -> LinkAttribute {
    LinkAttribute::IfName(name.to_owned())
}

/// One end of a virtual cable (veth pair).
#[derive(Debug, Clone)]
pub struct CableEnd<'a> {
    /// Interface name.
    pub name: &'a str,
    /// Hardware address; `None` lets the kernel choose one.
    pub mac: Option<[u8; 6]>,
    /// The network namespace for this end, as an open file descriptor; `None` is the caller's.
    pub namespace: Option<i32>,
}

impl CableEnd<'_> {
    fn attributes(&self) -> Vec<LinkAttribute> {
        let mut attributes = vec![named(self.name), LinkAttribute::TxQueueLen(1000), LinkAttribute::Mtu(1500)];
        attributes.extend(self.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
        attributes.extend(self.namespace.map(LinkAttribute::NetNsFd));
        attributes
    }
}

/// Creates a virtual cable (veth pair) with both ends.
pub fn cable(near: &CableEnd<'_>, far: &CableEnd<'_>) -> Message {
    let far = InfoVeth::Peer(link(0, 0, 0, far.attributes()));
    let info = vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(InfoData::Veth(far))];
    let mut attributes = near.attributes();
    attributes.push(LinkAttribute::LinkInfo(info));
    new_link(CREATE | EXCL, link(0, 0, 0, attributes))
}

/// Creates a bridge.
pub fn bridge(name: &str) -> Message {
    let info = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]);
    new_link(CREATE | EXCL, link(0, 0, 0, vec![named(name), info]))
}

/// Sets flags of an interface: those in `change` take their values from `flags`.
pub fn set_flags(name: &str, flags: u32, change: u32) -> Message {
    new_link(0, link(0, flags, change, vec![named(name)]))
}

/// Sets an interface's MTU.
pub fn set_mtu(name: &str, mtu: u32) -> Message {
    new_link(0, link(0, 0, 0, vec![named(name), LinkAttribute::Mtu(mtu)]))
}

/// Attaches an interface to a bridge, or detaches it (0).
pub fn set_master(name: &str, master: u32) -> Message {
    new_link(0, link(0, 0, 0, vec![named(name), LinkAttribute::Controller(master)]))
}

/// Sets an interface down and removes it from its bridge.
pub fn unplugged(index: u32) -> Message {
    new_link(0, link(index, 0, UP, vec![LinkAttribute::Controller(0)]))
}

/// Restores name, hardware address, MTU and queue length of an interface that is down, as its cable was created.
pub fn renewed(index: u32, name: &str, mac: [u8; 6]) -> Message {
    let end = CableEnd { name, mac: Some(mac), namespace: None };
    new_link(0, link(index, 0, 0, end.attributes()))
}

/// Removes an interface; for a virtual cable, both ends.
pub fn remove_link(name: &str) -> Message {
    Message::route(&RouteNetlinkMessage::DelLink(link(0, 0, 0, vec![named(name)])), 0)
}

/// An interface as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// Flags (`IFF_…`).
    pub flags: u32,
    /// MTU in bytes.
    pub mtu: u32,
    /// Hardware address.
    pub mac: Vec<u8>,
    /// Operational state (`IF_OPER_…`).
    pub state: u8,
}

/// The interfaces of the socket's namespace.
pub fn links(netlink: &mut Netlink) -> io::Result<Vec<Link>> {
    let answers = netlink.ask_route(&RouteNetlinkMessage::GetLink(LinkMessage::default()), DUMP)?;
    Ok(answers.into_iter().filter_map(link_of).collect())
}

fn link_of(answer: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = answer else { return None };
    let (index, flags) = (message.header.index, message.header.flags.bits());
    let mut link = Link { index, name: String::new(), flags, mtu: 0, mac: vec![], state: 0 };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Address(mac) => link.mac = mac,
            LinkAttribute::OperState(state) => link.state = state.into(),
            _ => {}
        }
    }
    Some(link)
}

/// The index of a named interface.
pub fn index_of(netlink: &mut Netlink, name: &str) -> io::Result<u32> {
    let answers = netlink.ask_route(&RouteNetlinkMessage::GetLink(link(0, 0, 0, vec![named(name)])), 0)?;
    let found = answers.into_iter().find_map(link_of);
    found.map(|link| link.index).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn address(index: u32, address: Ipv4Addr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(address.into()), AddressAttribute::Address(address.into())];
    if let (Ok(net), true) = (Ipv4Net::new(address, prefix), prefix < 31) {
        message.attributes.push(AddressAttribute::Broadcast(net.broadcast()));
    }
    message
}

/// Adds an address to an interface.
pub fn add_address(index: u32, at: Ipv4Addr, prefix: u8) -> Message {
    Message::route(&RouteNetlinkMessage::NewAddress(address(index, at, prefix)), CREATE | EXCL)
}

/// Removes an address from an interface.
pub fn remove_address(index: u32, at: Ipv4Addr, prefix: u8) -> Message {
    Message::route(&RouteNetlinkMessage::DelAddress(address(index, at, prefix)), 0)
}

/// The IPv4 addresses of the socket's namespace: interface index, address, prefix length.
pub fn addresses(netlink: &mut Netlink) -> io::Result<Vec<(u32, Ipv4Addr, u8)>> {
    let mut question = AddressMessage::default();
    question.header.family = AddressFamily::Inet;
    let answers = netlink.ask_route(&RouteNetlinkMessage::GetAddress(question), DUMP)?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| {
            let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
            let local = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(IpAddr::V4(local)) => Some(*local),
                _ => None,
            });
            Some((message.header.index, local?, message.header.prefix_len))
        })
        .collect())
}

fn neighbour(index: u32, at: Ipv4Addr, mac: Option<[u8; 6]>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(at)));
    message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
    message
}

/// Adds a permanent neighbour entry.
pub fn add_neighbour(index: u32, at: Ipv4Addr, mac: [u8; 6]) -> Message {
    Message::route(&RouteNetlinkMessage::NewNeighbour(neighbour(index, at, Some(mac))), CREATE | REPLACE)
}

/// Removes a neighbour entry.
pub fn remove_neighbour(index: u32, at: Ipv4Addr) -> Message {
    Message::route(&RouteNetlinkMessage::DelNeighbour(neighbour(index, at, None)), 0)
}

/// Removes the delay before an interface answers ARP for addresses of others (proxy ARP). Works even if the user
/// namespace does not show `net.ipv4.neigh`.
pub fn answer_at_once(index: u32) -> Message {
    let mut message = NeighbourTableMessage::default();
    message.header.family = AddressFamily::Inet;
    let parameters = vec![NeighbourTableParameter::Ifindex(index), NeighbourTableParameter::ProxyDelay(0)];
    message.attributes =
        vec![NeighbourTableAttribute::Name("arp_cache".to_owned()), NeighbourTableAttribute::Parms(parameters)];
    Message::route(&RouteNetlinkMessage::SetNeighbourTable(message), 0)
}

/// A next hop: interface and gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// Interface index; 0 lets the kernel derive it from the gateway.
    pub interface: u32,
    /// Gateway; `None` if the destination is reached directly.
    pub gateway: Option<Ipv4Addr>,
}

/// An IPv4 route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Routing table.
    pub table: u32,
    /// Destination block.
    pub destination: Ipv4Net,
    /// Route type (`RTN_…`).
    pub kind: u8,
    /// Next hops; several mean ECMP. Empty for blackholes.
    pub hops: Vec<NextHop>,
    /// Metric; 0 is the default.
    pub metric: u32,
    /// Preferred source.
    pub source: Option<Ipv4Addr>,
    /// Whether gateways are taken as directly reachable although no address of the interface covers them.
    pub on_link: bool,
}

impl Route {
    /// A unicast route without next hops.
    pub fn to(table: u32, destination: Ipv4Net) -> Self {
        let hops = Vec::new();
        Self { table, destination, kind: UNICAST, hops, metric: 0, source: None, on_link: false }
    }

    /// A route that drops packets silently.
    pub fn blackhole(table: u32, destination: Ipv4Net) -> Self {
        Self { kind: BLACKHOLE, ..Self::to(table, destination) }
    }

    /// Adds a next hop.
    #[must_use]
    pub fn via(mut self, interface: u32, gateway: Option<Ipv4Addr>) -> Self {
        self.hops.push(NextHop { interface, gateway });
        self
    }

    fn message(&self, protocol: RouteProtocol, scope: RouteScope) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = self.destination.prefix_len();
        message.header.table = u8::try_from(self.table).unwrap_or_default();
        (message.header.protocol, message.header.scope) = (protocol, scope);
        message.header.kind = self.kind.into();
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Table(self.table));
        attributes.push(RouteAttribute::Destination(RouteAddress::Inet(self.destination.network())));
        if self.metric != 0 {
            attributes.push(RouteAttribute::Priority(self.metric));
        }
        attributes.extend(self.source.map(|source| RouteAttribute::PrefSource(RouteAddress::Inet(source))));
        match self.hops.as_slice() {
            [] => {}
            [hop] => {
                if hop.interface != 0 {
                    attributes.push(RouteAttribute::Oif(hop.interface));
                }
                attributes.extend(hop.gateway.map(|gateway| RouteAttribute::Gateway(RouteAddress::Inet(gateway))));
                message.header.flags.set(RouteFlags::Onlink, self.on_link);
            }
            hops => {
                attributes.push(RouteAttribute::MultiPath(hops.iter().map(|hop| hop.message(self.on_link)).collect()));
            }
        }
        message
    }

    fn added(&self, flags: u16) -> Message {
        let linked = self.kind == UNICAST && self.hops.iter().all(|hop| hop.gateway.is_none());
        let scope = match self.kind {
            LOCAL => RouteScope::Host,
            _ if linked && !self.hops.is_empty() => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        Message::route(&RouteNetlinkMessage::NewRoute(self.message(RouteProtocol::Static, scope)), flags)
    }

    /// The message that adds the route; the kernel refuses it if the table already has one to the destination.
    pub fn add(&self) -> Message {
        self.added(CREATE | EXCL)
    }

    /// The message that adds the route or replaces the existing one.
    pub fn replace(&self) -> Message {
        self.added(CREATE | REPLACE)
    }

    /// The message that removes the route.
    pub fn remove(&self) -> Message {
        // Matches a route of any origin and scope.
        let message = self.message(RouteProtocol::Unspec, RouteScope::NoWhere);
        Message::route(&RouteNetlinkMessage::DelRoute(message), 0)
    }
}

impl NextHop {
    fn message(self, on_link: bool) -> RouteNextHop {
        let mut message = RouteNextHop::default();
        message.interface_index = self.interface;
        message.flags.set(RouteNextHopFlags::Onlink, on_link && self.gateway.is_some());
        message.attributes.extend(self.gateway.map(|gateway| RouteAttribute::Gateway(RouteAddress::Inet(gateway))));
        message
    }

    fn of(hop: &RouteNextHop) -> Self {
        Self { interface: hop.interface_index, gateway: hop.attributes.iter().find_map(gateway) }
    }
}

fn gateway(attribute: &RouteAttribute) -> Option<Ipv4Addr> {
    if let RouteAttribute::Gateway(RouteAddress::Inet(gateway)) = attribute { Some(*gateway) } else { None }
}

fn route_question(destination_prefix_length: u8) -> RouteMessage {
    let mut question = RouteMessage::default();
    question.header.address_family = AddressFamily::Inet;
    question.header.destination_prefix_length = destination_prefix_length;
    question
}

/// The IPv4 routes of the socket's namespace.
pub fn routes(netlink: &mut Netlink) -> io::Result<Vec<Route>> {
    let answers = netlink.ask_route(&RouteNetlinkMessage::GetRoute(route_question(0)), DUMP)?;
    Ok(answers.iter().filter_map(route).collect())
}

/// The route that the kernel selects for an address.
pub fn route_towards(netlink: &mut Netlink, to: Ipv4Addr, from: Option<Ipv4Addr>) -> io::Result<Route> {
    let mut question = route_question(32);
    question.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(to)));
    if let Some(from) = from {
        question.attributes.push(RouteAttribute::Source(RouteAddress::Inet(from)));
        question.header.source_prefix_length = 32;
    }
    let answers = netlink.ask_route(&RouteNetlinkMessage::GetRoute(question), 0)?;
    answers.iter().find_map(route).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn route(answer: &RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = answer else { return None };
    let header = &message.header;
    let mut destination = Ipv4Addr::UNSPECIFIED;
    let mut found = Route { kind: header.kind.into(), ..Route::to(header.table.into(), Ipv4Net::default()) };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(to)) => destination = *to,
            RouteAttribute::Table(table) => found.table = *table,
            RouteAttribute::Priority(metric) => found.metric = *metric,
            RouteAttribute::PrefSource(RouteAddress::Inet(source)) => found.source = Some(*source),
            RouteAttribute::Oif(interface) => {
                let gateway = message.attributes.iter().find_map(gateway);
                found.hops.push(NextHop { interface: *interface, gateway });
            }
            RouteAttribute::MultiPath(hops) => found.hops.extend(hops.iter().map(NextHop::of)),
            _ => {}
        }
    }
    found.destination = Ipv4Net::new(destination, header.destination_prefix_length).ok()?;
    Some(found)
}

/// A routing rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Evaluation order; smaller first.
    pub priority: u32,
    /// Incoming interface to match.
    pub interface: Option<String>,
    /// Source block to match.
    pub from: Option<Ipv4Net>,
    /// Destination block to match.
    pub to: Option<Ipv4Net>,
    /// Firewall mark to match.
    pub mark: Option<u32>,
    /// The routing table to look up; `None` drops the packet silently.
    pub table: Option<u32>,
}

impl Rule {
    fn message(&self) -> RuleMessage {
        let length = |net: Option<Ipv4Net>| net.map_or(0, |net| net.prefix_len());
        let table = self.table.unwrap_or_default();
        let mut message = RuleMessage::default();
        message.header.family = AddressFamily::Inet;
        (message.header.dst_len, message.header.src_len) = (length(self.to), length(self.from));
        message.header.table = u8::try_from(table).unwrap_or_default();
        message.header.action = if self.table.is_some() { RuleAction::ToTable } else { RuleAction::Blackhole };
        let attributes = &mut message.attributes;
        attributes.push(RuleAttribute::Priority(self.priority));
        if table != 0 {
            attributes.push(RuleAttribute::Table(table));
        }
        attributes.extend(self.interface.clone().map(RuleAttribute::Iifname));
        attributes.extend(self.mark.map(RuleAttribute::FwMark));
        attributes.extend(self.to.map(|to| RuleAttribute::Destination(to.network().into())));
        attributes.extend(self.from.map(|from| RuleAttribute::Source(from.network().into())));
        message
    }

    /// The message that adds the rule.
    pub fn add(&self) -> Message {
        Message::route(&RouteNetlinkMessage::NewRule(self.message()), CREATE | EXCL)
    }

    /// The message that removes the rule.
    pub fn remove(&self) -> Message {
        Message::route(&RouteNetlinkMessage::DelRule(self.message()), 0)
    }
}

/// The IPv4 rules of the socket's namespace.
pub fn rules(netlink: &mut Netlink) -> io::Result<Vec<Rule>> {
    let mut question = RuleMessage::default();
    question.header.family = AddressFamily::Inet;
    let answers = netlink.ask_route(&RouteNetlinkMessage::GetRule(question), DUMP)?;
    Ok(answers.into_iter().filter_map(rule).collect())
}

fn rule(answer: RouteNetlinkMessage) -> Option<Rule> {
    let RouteNetlinkMessage::NewRule(message) = answer else { return None };
    let header = message.header;
    let mut found = Rule { priority: 0, interface: None, from: None, to: None, mark: None, table: None };
    let mut table = u32::from(header.table);
    for attribute in message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => found.priority = priority,
            RuleAttribute::Table(number) => table = number,
            RuleAttribute::Iifname(name) => found.interface = Some(name),
            RuleAttribute::FwMark(mark) => found.mark = Some(mark).filter(|mark| *mark != 0),
            RuleAttribute::Destination(IpAddr::V4(to)) => found.to = Ipv4Net::new(to, header.dst_len).ok(),
            RuleAttribute::Source(IpAddr::V4(from)) => found.from = Ipv4Net::new(from, header.src_len).ok(),
            _ => {}
        }
    }
    found.table = (header.action == RuleAction::ToTable).then_some(table);
    Some(found)
}

/// Turns off the offloads that would put unfinished checksums and oversized segments on a cable, so that a packet
/// socket at the other end sees packets as they would be on a wire.
pub fn without_offload(name: &str) -> io::Result<()> {
    const FEATURES: [&str; 4] =
        ["tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-generic-segmentation", "tx-udp-segmentation"];
    let mut generic = Netlink::generic()?;
    let question = Message::new(16, 0, &[3, 1, 0, 0], &Attributes::new().text(2, "ethtool"));
    let answers = generic.ask(&question)?;
    let family = answers
        .first()
        .and_then(|answer| attribute(answer.body.get(4..)?, 1))
        .and_then(|value| u16_at(value, 0))
        .ok_or_else(|| io::Error::other("the kernel has no ethtool netlink family"))?;
    let bits = FEATURES.iter().fold(Attributes::new(), |bits, feature| {
        bits.nest(1, &Attributes::new().text(2, feature)) // no value flag: switch off
    });
    let attributes =
        Attributes::new().nest(1, &Attributes::new().text(2, name)).nest(3, &Attributes::new().nest(3, &bits));
    generic.request(&Message::new(family, ACK, &[12, 1, 0, 0], &attributes))
}

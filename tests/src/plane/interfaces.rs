//! Route-netlink messages: links, addresses, neighbours, routes and rules of IPv4.
//!
//! Only builds messages and parses answers; the caller decides in which namespace to send them. The numbers come from
//! `linux/if_link.h`, `linux/rtnetlink.h`, `linux/fib_rules.h` and `linux/neighbour.h`.

use super::netlink::{
    ACK, Answer, Attributes, CREATE, DUMP, EXCL, Message, Netlink, REPLACE, attribute, text_of, u32_at,
};
use ipnet::Ipv4Net;
use std::{io, net::Ipv4Addr};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_NEIGHBOUR: u16 = 28;
const DELETE_NEIGHBOUR: u16 = 29;
const NEW_RULE: u16 = 32;
const DELETE_RULE: u16 = 33;
const GET_RULE: u16 = 34;

const IPV4: u8 = 2;
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

fn link_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut header = vec![0, 0, 0, 0];
    header.extend_from_slice(&index.to_ne_bytes());
    header.extend_from_slice(&flags.to_ne_bytes());
    header.extend_from_slice(&change.to_ne_bytes());
    header
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
    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new().text(3, self.name).u32(13, 1000).u32(4, 1500);
        if let Some(mac) = self.mac {
            attributes = attributes.with(1, &mac);
        }
        match self.namespace {
            Some(file) => attributes.u32(28, file.cast_unsigned()),
            None => attributes,
        }
    }
}

/// Creates a virtual cable (veth pair) with both ends.
pub fn cable(near: &CableEnd<'_>, far: &CableEnd<'_>) -> Message {
    let peer = Attributes::new();
    let mut body = link_header(0, 0, 0);
    body.extend_from_slice(far.attributes().bytes());
    let data = peer.with(1, &body);
    let info = Attributes::new().text(1, "veth").nest(2, &data);
    Message::new(NEW_LINK, CREATE | EXCL, &link_header(0, 0, 0), &near.attributes().nest(18, &info))
}

/// Creates a bridge.
pub fn bridge(name: &str) -> Message {
    let info = Attributes::new().text(1, "bridge");
    Message::new(NEW_LINK, CREATE | EXCL, &link_header(0, 0, 0), &Attributes::new().text(3, name).nest(18, &info))
}

/// Sets flags of an interface: those in `change` take their values from `flags`.
pub fn set_flags(name: &str, flags: u32, change: u32) -> Message {
    Message::new(NEW_LINK, 0, &link_header(0, flags, change), &Attributes::new().text(3, name))
}

/// Sets an interface's MTU.
pub fn set_mtu(name: &str, mtu: u32) -> Message {
    Message::new(NEW_LINK, 0, &link_header(0, 0, 0), &Attributes::new().text(3, name).u32(4, mtu))
}

/// Attaches an interface to a bridge, or detaches it (0).
pub fn set_master(name: &str, master: u32) -> Message {
    Message::new(NEW_LINK, 0, &link_header(0, 0, 0), &Attributes::new().text(3, name).u32(10, master))
}

/// Sets an interface down and removes it from its bridge.
pub fn unplugged(index: u32) -> Message {
    Message::new(NEW_LINK, 0, &link_header(index, 0, UP), &Attributes::new().u32(10, 0))
}

/// Restores name, hardware address, MTU and queue length of an interface that is down, as its cable was created.
pub fn renewed(index: u32, name: &str, mac: [u8; 6]) -> Message {
    let end = CableEnd { name, mac: Some(mac), namespace: None };
    Message::new(NEW_LINK, 0, &link_header(index, 0, 0), &end.attributes())
}

/// Removes an interface; for a virtual cable, both ends.
pub fn remove_link(name: &str) -> Message {
    Message::new(DELETE_LINK, 0, &link_header(0, 0, 0), &Attributes::new().text(3, name))
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
    let answers = netlink.ask(&Message::new(GET_LINK, DUMP, &link_header(0, 0, 0), &Attributes::new()))?;
    Ok(answers.iter().filter_map(link).collect())
}

fn link(answer: &Answer) -> Option<Link> {
    let attributes = answer.body.get(16..)?;
    Some(Link {
        index: u32_at(&answer.body, 4)?,
        flags: u32_at(&answer.body, 8)?,
        name: text_of(attribute(attributes, 3)?),
        mtu: attribute(attributes, 4).and_then(|value| u32_at(value, 0)).unwrap_or_default(),
        mac: attribute(attributes, 1).unwrap_or_default().to_vec(),
        state: attribute(attributes, 16).and_then(|value| value.first().copied()).unwrap_or_default(),
    })
}

/// The index of a named interface.
pub fn index_of(netlink: &mut Netlink, name: &str) -> io::Result<u32> {
    let question = Message::new(GET_LINK, 0, &link_header(0, 0, 0), &Attributes::new().text(3, name));
    let answers = netlink.ask(&question)?;
    answers.iter().find_map(link).map(|link| link.index).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn address(kind: u16, flags: u16, index: u32, address: Ipv4Addr, prefix: u8) -> Message {
    let mut header = vec![IPV4, prefix, 0, 0];
    header.extend_from_slice(&index.to_ne_bytes());
    let mut attributes = Attributes::new().with(2, &address.octets()).with(1, &address.octets());
    if let (Ok(net), true) = (Ipv4Net::new(address, prefix), prefix < 31) {
        attributes = attributes.with(4, &net.broadcast().octets());
    }
    Message::new(kind, flags, &header, &attributes)
}

/// Adds an address to an interface.
pub fn add_address(index: u32, at: Ipv4Addr, prefix: u8) -> Message {
    address(NEW_ADDRESS, CREATE | EXCL, index, at, prefix)
}

/// Removes an address from an interface.
pub fn remove_address(index: u32, at: Ipv4Addr, prefix: u8) -> Message {
    address(DELETE_ADDRESS, 0, index, at, prefix)
}

/// The IPv4 addresses of the socket's namespace: interface index, address, prefix length.
pub fn addresses(netlink: &mut Netlink) -> io::Result<Vec<(u32, Ipv4Addr, u8)>> {
    let answers = netlink.ask(&Message::new(GET_ADDRESS, DUMP, &[IPV4, 0, 0, 0, 0, 0, 0, 0], &Attributes::new()))?;
    Ok(answers
        .iter()
        .filter_map(|answer| {
            let local = attribute(answer.body.get(8..)?, 2)?;
            Some((u32_at(&answer.body, 4)?, ipv4(local)?, *answer.body.get(1)?))
        })
        .collect())
}

/// An IPv4 address from four bytes.
pub fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

fn neighbour(kind: u16, flags: u16, index: u32, at: Ipv4Addr, mac: Option<[u8; 6]>) -> Message {
    let mut header = vec![IPV4, 0, 0, 0];
    header.extend_from_slice(&index.to_ne_bytes());
    header.extend_from_slice(&0x80_u16.to_ne_bytes()); // NUD_PERMANENT
    header.extend_from_slice(&[0, UNICAST]);
    let mut attributes = Attributes::new().with(1, &at.octets());
    if let Some(mac) = mac {
        attributes = attributes.with(2, &mac);
    }
    Message::new(kind, flags, &header, &attributes)
}

/// Adds a permanent neighbour entry.
pub fn add_neighbour(index: u32, at: Ipv4Addr, mac: [u8; 6]) -> Message {
    neighbour(NEW_NEIGHBOUR, CREATE | REPLACE, index, at, Some(mac))
}

/// Removes a neighbour entry.
pub fn remove_neighbour(index: u32, at: Ipv4Addr) -> Message {
    neighbour(DELETE_NEIGHBOUR, 0, index, at, None)
}

/// Removes the delay before an interface answers ARP for addresses of others (proxy ARP). Works even if the user
/// namespace does not show `net.ipv4.neigh`.
pub fn answer_at_once(index: u32) -> Message {
    const SET_NEIGHBOUR_TABLE: u16 = 67;
    let parameters = Attributes::new().u32(1, index).with(13, &0_u64.to_ne_bytes());
    let attributes = Attributes::new().text(1, "arp_cache").nest(6, &parameters);
    Message::new(SET_NEIGHBOUR_TABLE, 0, &[IPV4, 0, 0, 0], &attributes)
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

    fn message(&self, kind: u16, flags: u16) -> Message {
        let linked = self.kind == UNICAST && self.hops.iter().all(|hop| hop.gateway.is_none());
        let scope = match self.kind {
            LOCAL => 254,
            _ if linked && !self.hops.is_empty() => 253,
            _ => 0,
        };
        // Matches a route of any origin and scope.
        let (origin, scope) = if kind == DELETE_ROUTE { (0, 255) } else { (4, scope) };
        let onlink: u32 = if self.on_link { 4 } else { 0 };
        let mut header = vec![IPV4, self.destination.prefix_len(), 0, 0, 0, origin, scope, self.kind];
        if let Ok(table) = u8::try_from(self.table) {
            header[4] = table;
        }
        header.extend_from_slice(&if self.hops.len() == 1 { onlink } else { 0 }.to_ne_bytes());
        let mut attributes = Attributes::new().u32(15, self.table).with(1, &self.destination.network().octets());
        if self.metric != 0 {
            attributes = attributes.u32(6, self.metric);
        }
        if let Some(source) = self.source {
            attributes = attributes.with(7, &source.octets());
        }
        match self.hops.as_slice() {
            [] => {}
            [hop] => {
                if hop.interface != 0 {
                    attributes = attributes.u32(4, hop.interface);
                }
                if let Some(gateway) = hop.gateway {
                    attributes = attributes.with(5, &gateway.octets());
                }
            }
            hops => attributes = attributes.with(9, &multipath(hops, self.on_link)),
        }
        Message::new(kind, flags, &header, &attributes)
    }

    /// The message that adds the route; the kernel refuses it if the table already has one to the destination.
    pub fn add(&self) -> Message {
        self.message(NEW_ROUTE, CREATE | EXCL)
    }

    /// The message that adds the route or replaces the existing one.
    pub fn replace(&self) -> Message {
        self.message(NEW_ROUTE, CREATE | REPLACE)
    }

    /// The message that removes the route.
    pub fn remove(&self) -> Message {
        self.message(DELETE_ROUTE, 0)
    }
}

fn multipath(hops: &[NextHop], on_link: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for hop in hops {
        let gateway = hop.gateway.map(|gateway| Attributes::new().with(5, &gateway.octets())).unwrap_or_default();
        let length = u16::try_from(8 + gateway.bytes().len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&[if on_link && hop.gateway.is_some() { 4 } else { 0 }, 0]);
        bytes.extend_from_slice(&hop.interface.to_ne_bytes());
        bytes.extend_from_slice(gateway.bytes());
    }
    bytes
}

/// The IPv4 routes of the socket's namespace.
pub fn routes(netlink: &mut Netlink) -> io::Result<Vec<Route>> {
    let question = Message::new(GET_ROUTE, DUMP, &[IPV4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &Attributes::new());
    Ok(netlink.ask(&question)?.iter().filter_map(route).collect())
}

/// The route that the kernel selects for an address.
pub fn route_towards(netlink: &mut Netlink, to: Ipv4Addr, from: Option<Ipv4Addr>) -> io::Result<Route> {
    let mut attributes = Attributes::new().with(1, &to.octets());
    let mut header = [IPV4, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if let Some(from) = from {
        attributes = attributes.with(2, &from.octets());
        header[2] = 32;
    }
    let answers = netlink.ask(&Message::new(GET_ROUTE, 0, &header, &attributes))?;
    answers.iter().find_map(route).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn route(answer: &Answer) -> Option<Route> {
    let body = &answer.body;
    let attributes = body.get(12..)?;
    let number = |kind| attribute(attributes, kind).and_then(|value| u32_at(value, 0));
    let destination = attribute(attributes, 1).and_then(ipv4).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let mut hops = Vec::new();
    let gateway = attribute(attributes, 5).and_then(ipv4);
    if let Some(interface) = number(4) {
        hops.push(NextHop { interface, gateway });
    }
    let mut several = attribute(attributes, 9).unwrap_or_default();
    while let (Some(length), Some(interface)) = (super::netlink::u16_at(several, 0), u32_at(several, 4)) {
        let inner = several.get(8..usize::from(length))?;
        hops.push(NextHop { interface, gateway: attribute(inner, 5).and_then(ipv4) });
        several = several.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Route {
        table: number(15).unwrap_or_else(|| u32::from(body[4])),
        destination: Ipv4Net::new(destination, body[1]).ok()?,
        kind: body[7],
        hops,
        metric: number(6).unwrap_or_default(),
        source: attribute(attributes, 7).and_then(ipv4),
        on_link: false,
    })
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
    fn message(&self, kind: u16, flags: u16) -> Message {
        let length = |net: Option<Ipv4Net>| net.map_or(0, |net| net.prefix_len());
        let table = self.table.unwrap_or_default();
        let short = u8::try_from(table).unwrap_or_default();
        let action = if self.table.is_some() { 1 } else { 6 };
        let header = [IPV4, length(self.to), length(self.from), 0, short, 0, 0, action, 0, 0, 0, 0];
        let mut attributes = Attributes::new().u32(6, self.priority);
        if table != 0 {
            attributes = attributes.u32(15, table);
        }
        if let Some(interface) = &self.interface {
            attributes = attributes.text(3, interface);
        }
        if let Some(mark) = self.mark {
            attributes = attributes.u32(10, mark);
        }
        if let Some(to) = self.to {
            attributes = attributes.with(1, &to.network().octets());
        }
        if let Some(from) = self.from {
            attributes = attributes.with(2, &from.network().octets());
        }
        Message::new(kind, flags, &header, &attributes)
    }

    /// The message that adds the rule.
    pub fn add(&self) -> Message {
        self.message(NEW_RULE, CREATE | EXCL)
    }

    /// The message that removes the rule.
    pub fn remove(&self) -> Message {
        self.message(DELETE_RULE, 0)
    }
}

/// The IPv4 rules of the socket's namespace.
pub fn rules(netlink: &mut Netlink) -> io::Result<Vec<Rule>> {
    let question = Message::new(GET_RULE, DUMP, &[IPV4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &Attributes::new());
    let answers = netlink.ask(&question)?;
    Ok(answers
        .iter()
        .filter_map(|answer| {
            let attributes = answer.body.get(12..)?;
            let net = |kind, length: u8| {
                attribute(attributes, kind).and_then(ipv4).and_then(|at| Ipv4Net::new(at, length).ok())
            };
            let number = |kind| attribute(attributes, kind).and_then(|value| u32_at(value, 0));
            let table = number(15).unwrap_or_else(|| u32::from(answer.body[4]));
            Some(Rule {
                priority: number(6).unwrap_or_default(),
                interface: attribute(attributes, 3).map(text_of),
                to: net(1, answer.body[1]),
                from: net(2, answer.body[2]),
                mark: number(10).filter(|mark| *mark != 0),
                table: (answer.body[7] == 1).then_some(table),
            })
        })
        .collect())
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
        .and_then(|value| super::netlink::u16_at(value, 0))
        .ok_or_else(|| io::Error::other("the kernel has no ethtool netlink family"))?;
    let bits = FEATURES.iter().fold(Attributes::new(), |bits, feature| {
        bits.nest(1, &Attributes::new().text(2, feature)) // no value flag: switch off
    });
    let attributes =
        Attributes::new().nest(1, &Attributes::new().text(2, name)).nest(3, &Attributes::new().nest(3, &bits));
    generic.request(&Message::new(family, ACK, &[12, 1, 0, 0], &attributes))
}

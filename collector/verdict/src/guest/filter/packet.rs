//! The packets of a pair as the packet filter of one of its hosts sees them.
//!
//! Knows what the probes look like: family, addresses, protocol, the port of the service, type and code of echoes. Does
//! not know what depends on the host or on the packet's size and time: interfaces, marks, connection tracking, length,
//! time to live.

use pingtong_evidence::{
    Protocol,
    packet_filter::{Field, PayloadBase},
};
use std::net::IpAddr;

/// `NFPROTO_*`, and the `EtherType` of the same family.
const IPV4: (u128, u128) = (2, 0x0800);
const IPV6: (u128, u128) = (10, 0x86dd);
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// Types of echo request and echo reply.
const ECHO: (u128, u128) = (8, 0);
const ECHO_V6: (u128, u128) = (128, 129);

/// The packets of the pair about which a rule is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The peer's requests, inbound.
    Requests,
    /// The replies to this host's requests, inbound.
    Replies,
    /// This host's requests, outbound.
    Sent,
    /// This host's replies, outbound.
    Answers,
}

impl Asked {
    pub(super) fn is_request(self) -> bool {
        matches!(self, Self::Requests | Self::Sent)
    }

    fn is_inbound(self) -> bool {
        matches!(self, Self::Requests | Self::Replies)
    }
}

/// What is known of one field of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldValue {
    /// Its value: a number, or an address as a number.
    Is(u128),
    /// The packet has it, or may have it, with a value that is not known.
    Unknown,
    /// The packet does not have it: no comparison with it holds.
    Absent,
}

/// One kind of packet of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    request: bool,
}

impl Packet {
    /// A packet between a host and its peer. `port` is the port of the service; the port of the other end is chosen by
    /// the kernel and is unknown.
    pub(super) fn new((protocol, port): (Protocol, Option<u16>), peer: IpAddr, own: IpAddr, asked: Asked) -> Self {
        let (source, destination) = if asked.is_inbound() { (peer, own) } else { (own, peer) };
        let request = asked.is_request();
        let (source_port, destination_port) = if request { (None, port) } else { (port, None) };
        Self { source, destination, protocol, source_port, destination_port, request }
    }

    pub(super) fn is_ipv4(&self) -> bool {
        self.source.is_ipv4()
    }

    /// IP protocol number.
    pub(super) fn protocol(&self) -> u8 {
        match self.protocol {
            Protocol::Icmp if self.is_ipv4() => ICMP,
            Protocol::Icmp => ICMPV6,
            Protocol::Tcp => TCP,
            Protocol::Udp => UDP,
        }
    }

    /// What is known of a field.
    pub(super) fn field(&self, field: &Field) -> FieldValue {
        let (nfproto, ether_type) = if self.is_ipv4() { IPV4 } else { IPV6 };
        if field.family().is_some_and(|family| u128::from(family) != nfproto)
            || field.transport().is_some_and(|transport| transport != self.protocol())
        {
            return FieldValue::Absent;
        }
        match field {
            Field::MetaNfproto => FieldValue::Is(nfproto),
            Field::MetaProtocol | Field::EtherType => FieldValue::Is(ether_type),
            Field::MetaL4proto | Field::IpProtocol => FieldValue::Is(self.protocol().into()),
            Field::IpVersion => FieldValue::Is(4),
            Field::IpSource | Field::Ip6Source => FieldValue::Is(number(self.source)),
            Field::IpDestination | Field::Ip6Destination => FieldValue::Is(number(self.destination)),
            Field::IcmpType => FieldValue::Is(if self.request { ECHO.0 } else { ECHO.1 }),
            Field::Icmpv6Type => FieldValue::Is(if self.request { ECHO_V6.0 } else { ECHO_V6.1 }),
            Field::IcmpCode | Field::Icmpv6Code => FieldValue::Is(0),
            Field::ArpOperation | Field::ArpSource | Field::ArpTarget => FieldValue::Absent,
            Field::TcpSourcePort | Field::UdpSourcePort => port(self.source_port),
            Field::TcpDestinationPort | Field::UdpDestinationPort => port(self.destination_port),
            Field::ThSourcePort if self.protocol != Protocol::Icmp => port(self.source_port),
            Field::ThDestinationPort if self.protocol != Protocol::Icmp => port(self.destination_port),
            Field::Raw { base: PayloadBase::Transport, offset, length } => self.transport(*offset, *length),
            _ => FieldValue::Unknown,
        }
    }

    /// Bits of the transport header: the ports, or type and code of an echo.
    fn transport(&self, offset: u32, length: u32) -> FieldValue {
        match (self.protocol, offset, length) {
            (Protocol::Icmp, 0, 8) => self.field(if self.is_ipv4() { &Field::IcmpType } else { &Field::Icmpv6Type }),
            (Protocol::Icmp, 8, 8) => FieldValue::Is(0),
            (Protocol::Icmp, 0, 16) => match self.transport(0, 8) {
                FieldValue::Is(named) => FieldValue::Is(named << 8),
                other => other,
            },
            (Protocol::Tcp | Protocol::Udp, 0, 16) => port(self.source_port),
            (Protocol::Tcp | Protocol::Udp, 16, 16) => port(self.destination_port),
            _ => FieldValue::Unknown,
        }
    }
}

fn port(port: Option<u16>) -> FieldValue {
    port.map_or(FieldValue::Unknown, |port| FieldValue::Is(port.into()))
}

/// An address as a number.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

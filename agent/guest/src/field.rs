//! What a packet at a hook shows of each field that rules look at.

use crate::{
    bits::Bits,
    host::Host,
    lookup::{Lookup, Route},
    packet::{Packet, Transport},
    subject::{Device, Owner, Subject},
};
use pingtong_evidence::{
    InterfaceKind,
    packet_filter::{FibResult, Field, FirewallHook, PayloadBase},
};
use std::net::IpAddr;

/// `NFPROTO_*`, and the `EtherType` of the same family.
const IPV4: (u8, u16) = (2, 0x0800);
const IPV6: (u8, u16) = (10, 0x86dd);
/// Hardware types (`ARPHRD_*`).
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;
/// Types of addresses (`RTN_*`).
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;
const BROADCAST: u8 = 3;
const MULTICAST: u8 = 5;
/// Fragment offset and "more fragments": zero, since a packet is walked whole.
const FRAGMENT: u128 = 0x3fff;
/// Flags of TCP that do not depend on the kernel's settings: all but those of ECN.
const FLAGS: u128 = 0x3f;

/// What is known of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldValue {
    /// A number.
    Bits(Bits),
    /// The name of an interface, empty without one. The index of an interface is compared by its name as well.
    Name(String),
    /// The packet does not have it: no comparison with it holds.
    Absent,
}

fn exactly(value: impl Into<u128>) -> FieldValue {
    FieldValue::Bits(Bits::exactly(value.into()))
}

fn given(value: Option<impl Into<u128>>) -> FieldValue {
    FieldValue::Bits(Bits::of(value))
}

const UNKNOWN: FieldValue = FieldValue::Bits(Bits::UNKNOWN);

/// What is known of a field of a packet at a hook.
pub(crate) fn read(host: &Host<'_>, subject: &Subject<'_>, field: &Field) -> FieldValue {
    let packet = &subject.packet;
    let (family, ether_type) = if packet.ipv4 { IPV4 } else { IPV6 };
    if field.family().is_some_and(|of| of != family) || field.transport().is_some_and(|of| of != packet.protocol()) {
        return FieldValue::Absent;
    }
    let echo = match packet.transport {
        Transport::Echo { id, sequence, .. } => Some((id, sequence)),
        _ => None,
    };
    match field {
        Field::MetaLength if subject.hook != FirewallHook::Egress => given(packet.length()),
        Field::MetaProtocol => exactly(ether_type),
        Field::EtherType if has_frame(subject) => exactly(ether_type),
        Field::MetaMark => FieldValue::Bits(subject.mark),
        Field::MetaIif | Field::MetaIifname => name(subject.input),
        Field::MetaOif | Field::MetaOifname => name(subject.output),
        Field::MetaIiftype => hardware(host, subject.input),
        Field::MetaOiftype => hardware(host, subject.output),
        Field::MetaSkuid => match subject.owner {
            Owner::Nobody => FieldValue::Absent,
            Owner::User(user) => exactly(user),
            Owner::Unknown => UNKNOWN,
        },
        Field::MetaSkgid if subject.owner == Owner::Nobody => FieldValue::Absent,
        Field::MetaNfproto => exactly(family),
        Field::MetaL4proto | Field::IpProtocol | Field::Ip6NextHeader => exactly(packet.protocol()),
        Field::MetaIbrname | Field::MetaObrname | Field::ArpOperation | Field::ArpSource | Field::ArpTarget => {
            FieldValue::Absent
        }
        Field::MetaPkttype if subject.hook != FirewallHook::Egress => exactly(0_u8),
        Field::IpVersion => exactly(4_u8),
        Field::IpHeaderLength => exactly(5_u8),
        Field::IpLength => given(packet.length()),
        Field::Ip6Length => given(packet.length().and_then(|all| all.checked_sub(40))),
        Field::IpFragment => FieldValue::Bits(Bits::partly(0, FRAGMENT | !0xffff)),
        Field::IpTtl | Field::Ip6HopLimit => given(packet.ttl),
        Field::IpSource | Field::Ip6Source => FieldValue::Bits(Bits::of_address(packet.source)),
        Field::IpDestination | Field::Ip6Destination => FieldValue::Bits(Bits::of_address(packet.destination)),
        Field::IcmpType | Field::Icmpv6Type => given(icmp(packet).map(|(icmp_type, _)| icmp_type)),
        Field::IcmpCode | Field::Icmpv6Code => given(icmp(packet).map(|(_, code)| code)),
        // Only echoes have these: nft compares the type as well.
        Field::IcmpId | Field::Icmpv6Id => echo.map_or(FieldValue::Absent, |(id, _)| given(id)),
        Field::IcmpSequence | Field::Icmpv6Sequence => echo.map_or(FieldValue::Absent, |(_, sequence)| given(sequence)),
        Field::TcpSourcePort | Field::UdpSourcePort => given(packet.ports().0),
        Field::TcpDestinationPort | Field::UdpDestinationPort => given(packet.ports().1),
        Field::TcpFlags => match packet.transport {
            Transport::Tcp { flags, .. } => FieldValue::Bits(Bits::partly(flags.into(), FLAGS | !0xff)),
            _ => FieldValue::Absent,
        },
        Field::UdpLength => given(packet.payload_bytes.and_then(|bytes| bytes.checked_add(8))),
        Field::ThSourcePort => FieldValue::Bits(Bytes::transport(packet).part(0, 16)),
        Field::ThDestinationPort => FieldValue::Bits(Bytes::transport(packet).part(16, 16)),
        Field::Ct { key, direction } => {
            subject.tracked.field(*key, *direction, packet).map_or(FieldValue::Absent, FieldValue::Bits)
        }
        Field::Fib { source, destination, mark, iif, oif, result } => {
            let address = match (source, destination) {
                (true, false) => packet.source,
                (false, true) => packet.destination,
                _ => None,
            };
            address.map_or(UNKNOWN, |address| {
                if *iif && subject.input == Device::Unknown {
                    return UNKNOWN;
                }
                let bound = subject.input.name().filter(|_| *iif);
                route(host, address, bound, *mark || *oif, *result)
            })
        }
        Field::Raw { base: PayloadBase::Network, offset, length } => {
            FieldValue::Bits(Bytes::network(packet).part(*offset, *length))
        }
        Field::Raw { base: PayloadBase::Transport, offset, length } => {
            FieldValue::Bits(Bytes::transport(packet).part(*offset, *length))
        }
        _ => UNKNOWN,
    }
}

/// Whether the packet surely has its link-layer header there: one that arrived from a device.
fn has_frame(subject: &Subject<'_>) -> bool {
    subject.input != Device::None && subject.output == Device::None
}

fn name(device: Device<'_>) -> FieldValue {
    match device {
        Device::None => FieldValue::Name(String::new()),
        Device::Named(name) => FieldValue::Name(name.to_owned()),
        Device::Unknown => UNKNOWN,
    }
}

fn hardware(host: &Host<'_>, device: Device<'_>) -> FieldValue {
    let name = match device {
        Device::None => return FieldValue::Absent,
        Device::Named(name) => name,
        Device::Unknown => return UNKNOWN,
    };
    match host.interface(name).map(|interface| interface.kind) {
        Some(InterfaceKind::Loopback) => exactly(LOOPBACK),
        Some(InterfaceKind::Card | InterfaceKind::Bridge | InterfaceKind::BridgePort) => exactly(ETHERNET),
        Some(InterfaceKind::Tunnel) | None => UNKNOWN,
    }
}

/// Type and code of an ICMP message.
fn icmp(packet: &Packet) -> Option<(u8, u8)> {
    let (request, reply) = if packet.ipv4 { (8, 0) } else { (128, 129) };
    match packet.transport {
        Transport::Echo { reply: is_reply, .. } => Some((if is_reply { reply } else { request }, 0)),
        Transport::Icmp { icmp_type, code } => Some((icmp_type, code)),
        Transport::Tcp { .. } | Transport::Udp { .. } => None,
    }
}

/// A lookup of a rule. `bound`: only a route by this interface counts; `marked`: also a mark that is not followed here.
fn route(host: &Host<'_>, address: IpAddr, bound: Option<&str>, marked: bool, result: FibResult) -> FieldValue {
    if result == FibResult::AddressType {
        return match kind_of_address(host, address) {
            Some(kind) if bound.is_none() || kind != LOCAL => exactly(kind),
            _ => UNKNOWN,
        };
    }
    if marked || host.owns(address) {
        return UNKNOWN;
    }
    let device = match host.routing.towards(&Lookup::to(address)) {
        Route::Device(device) => Some(device).filter(|device| bound.is_none_or(|bound| bound == device)),
        Route::Refused => None,
        Route::Unknown => return UNKNOWN,
    };
    match result {
        FibResult::Exists => exactly(device.is_some()),
        FibResult::Oif | FibResult::OifName => FieldValue::Name(device.unwrap_or_default()),
        FibResult::AddressType => UNKNOWN,
    }
}

fn kind_of_address(host: &Host<'_>, address: IpAddr) -> Option<u8> {
    if host.owns(address) {
        return Some(LOCAL);
    }
    if address.is_multicast() {
        return Some(MULTICAST);
    }
    let blocks = host.interfaces.iter().flat_map(|each| &each.addresses).map(|(_, block)| block);
    let is_directed = |block: &&pingtong_evidence::Cidr| {
        address.is_ipv4() && block.prefix_length() < 31 && (block.last() == address || block.network() == address)
    };
    if address == IpAddr::from([255; 4]) || blocks.clone().any(|block| is_directed(&block)) {
        return Some(BROADCAST);
    }
    matches!(host.routing.towards(&Lookup::to(address)), Route::Device(_)).then_some(UNICAST)
}

/// The first bytes of a header, of which some bits may be unknown.
struct Bytes {
    value: [u8; 40],
    known: [u8; 40],
}

impl Bytes {
    fn unknown() -> Self {
        Self { value: [0; 40], known: [0; 40] }
    }

    fn put(&mut self, offset: usize, bytes: Option<&[u8]>) {
        let bytes = bytes.unwrap_or_default();
        for (index, byte) in bytes.iter().enumerate() {
            if let (Some(value), Some(known)) = (self.value.get_mut(offset + index), self.known.get_mut(offset + index))
            {
                (*value, *known) = (*byte, 0xff);
            }
        }
    }

    fn put_address(&mut self, offset: usize, address: Option<IpAddr>) {
        match address {
            Some(IpAddr::V4(v4)) => self.put(offset, Some(&v4.octets())),
            Some(IpAddr::V6(v6)) => self.put(offset, Some(&v6.octets())),
            None => {}
        }
    }

    fn put_number(&mut self, offset: usize, number: Option<u16>) {
        self.put(offset, number.map(u16::to_be_bytes).as_ref().map(<[u8; 2]>::as_slice));
    }

    fn network(packet: &Packet) -> Self {
        let mut bytes = Self::unknown();
        let ttl = packet.ttl.map(|ttl| [ttl]);
        let ttl = ttl.as_ref().map(<[u8; 1]>::as_slice);
        if packet.ipv4 {
            bytes.put(0, Some(&[0x45]));
            bytes.put_number(2, packet.length());
            if let (Some(known), Some(last)) = (bytes.known.get_mut(6), Some(0x3f)) {
                *known = last;
            }
            bytes.put(7, Some(&[0]));
            bytes.put(8, ttl);
            bytes.put(9, Some(&[packet.protocol()]));
            bytes.put_address(12, packet.source);
            bytes.put_address(16, packet.destination);
        } else {
            bytes.put_number(4, packet.length().and_then(|all| all.checked_sub(40)));
            bytes.put(6, Some(&[packet.protocol()]));
            bytes.put(7, ttl);
            bytes.put_address(8, packet.source);
            bytes.put_address(24, packet.destination);
        }
        bytes
    }

    fn transport(packet: &Packet) -> Self {
        let mut bytes = Self::unknown();
        match packet.transport {
            Transport::Echo { id, sequence, .. } => {
                bytes.put(0, icmp(packet).map(|(icmp_type, code)| [icmp_type, code]).as_ref().map(<[u8; 2]>::as_slice));
                bytes.put_number(4, id);
                bytes.put_number(6, sequence);
            }
            Transport::Icmp { icmp_type, code } => bytes.put(0, Some(&[icmp_type, code])),
            Transport::Tcp { source, destination, flags } => {
                bytes.put_number(0, source);
                bytes.put_number(2, destination);
                bytes.put(13, Some(&[flags]));
                if let (Some(known), Ok(mask)) = (bytes.known.get_mut(13), u8::try_from(FLAGS)) {
                    *known = mask;
                }
            }
            Transport::Udp { source, destination } => {
                bytes.put_number(0, source);
                bytes.put_number(2, destination);
                bytes.put_number(4, packet.payload_bytes.and_then(|payload| payload.checked_add(8)));
            }
        }
        bytes
    }

    /// `length` bits behind the first `offset`; unknown if they are not all in the header's first bytes.
    fn part(&self, offset: u32, length: u32) -> Bits {
        let (first, last) = (offset / 8, (offset + length).div_ceil(8));
        let (Ok(from), Ok(to)) = (usize::try_from(first), usize::try_from(last)) else { return Bits::UNKNOWN };
        let (Some(value), Some(known)) = (self.value.get(from..to), self.known.get(from..to)) else {
            return Bits::UNKNOWN;
        };
        if value.len() > 16 {
            return Bits::UNKNOWN;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0_u128, |all, byte| (all << 8) | u128::from(*byte));
        let of = (last - first) * 8;
        // Bits beyond the bytes read are no part of the number.
        let beyond = 1_u128.checked_shl(of).map_or(0, |bit| !(bit - 1));
        Bits::partly(number(value), number(known) | beyond).part(of, offset % 8, length)
    }
}

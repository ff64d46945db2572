//! Names of what an expression loads, and of the headers' fields by their place.
//!
//! A place in the packet has a name only if the header there is known: from the table's family, or from a comparison of
//! the protocol in the same rule. Without that it stays a place ([`Field::Raw`]). Constants are those of
//! `linux/netfilter/nf_tables.h`; places are those of RFC 791, 8200, 792, 4443, 9293, 768 and 826.

use super::kind::Kind;
use pingtong_evidence::packet_filter::{CtDirection, CtKey, FibResult, Field, PayloadBase};

/// What an earlier part of the rule, or the family of its table, establishes about the packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Context {
    /// `EtherType` of the network header.
    pub(super) network: Option<u64>,
    /// Protocols of the transport header, one of which the packet has; empty if any.
    pub(super) transport: Vec<u64>,
}

const IPV4: u64 = 0x0800;
const ARP: u64 = 0x0806;
const IPV6: u64 = 0x86dd;
const ICMP: u64 = 1;
const TCP: u64 = 6;
const UDP: u64 = 17;
const ICMPV6: u64 = 58;
/// Protocols whose header begins with the ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u64; 5] = [TCP, UDP, 33, 132, 136];

impl Context {
    /// What the family (`NFPROTO_*`) of a table establishes.
    pub(super) fn of_family(family: u8) -> Self {
        let network = match family {
            2 => Some(IPV4),
            3 => Some(ARP),
            10 => Some(IPV6),
            _ => None,
        };
        Self { network, transport: vec![] }
    }

    /// Learns from a comparison for equality with one of some numbers.
    pub(super) fn learn(&mut self, field: &Field, numbers: Vec<u64>) {
        match (field, numbers.as_slice()) {
            (Field::MetaNfproto, [2]) => self.network = Some(IPV4),
            (Field::MetaNfproto, [10]) => self.network = Some(IPV6),
            (Field::MetaProtocol | Field::EtherType, [number]) => self.network = Some(*number),
            (Field::MetaL4proto | Field::IpProtocol | Field::Ip6NextHeader, _) => self.transport = numbers,
            _ => {}
        }
    }

    fn header(&self, base: PayloadBase) -> &'static [Place] {
        match (base, self.network, self.transport.as_slice()) {
            (PayloadBase::Link, ..) => LINK,
            (PayloadBase::Network, Some(IPV4), _) => IPV4_HEADER,
            (PayloadBase::Network, Some(IPV6), _) => IPV6_HEADER,
            (PayloadBase::Network, Some(ARP), _) => ARP_HEADER,
            (PayloadBase::Transport, _, [ICMP]) => ICMP_HEADER,
            (PayloadBase::Transport, _, [ICMPV6]) => ICMPV6_HEADER,
            (PayloadBase::Transport, _, [TCP]) => TCP_HEADER,
            (PayloadBase::Transport, _, [UDP]) => UDP_HEADER,
            (PayloadBase::Transport, _, some) if !some.is_empty() && some.iter().all(|p| WITH_PORTS.contains(p)) => {
                PORTS
            }
            _ => &[],
        }
    }
}

/// A field with its offset and length in bits.
type Place = (Field, u32, u32, Kind);

const LINK: &[Place] = &[
    (Field::EtherDestination, 0, 48, Kind::Bytes),
    (Field::EtherSource, 48, 48, Kind::Bytes),
    (Field::EtherType, 96, 16, Kind::Network),
];
const IPV4_HEADER: &[Place] = &[
    (Field::IpVersion, 0, 4, Kind::Network),
    (Field::IpHeaderLength, 4, 4, Kind::Network),
    (Field::IpDscp, 8, 6, Kind::Network),
    (Field::IpEcn, 14, 2, Kind::Network),
    (Field::IpLength, 16, 16, Kind::Network),
    (Field::IpId, 32, 16, Kind::Network),
    (Field::IpFragment, 48, 16, Kind::Network),
    (Field::IpTtl, 64, 8, Kind::Network),
    (Field::IpProtocol, 72, 8, Kind::Network),
    (Field::IpChecksum, 80, 16, Kind::Network),
    (Field::IpSource, 96, 32, Kind::Address4),
    (Field::IpDestination, 128, 32, Kind::Address4),
];
const IPV6_HEADER: &[Place] = &[
    (Field::Ip6Dscp, 4, 6, Kind::Network),
    (Field::Ip6FlowLabel, 12, 20, Kind::Network),
    (Field::Ip6Length, 32, 16, Kind::Network),
    (Field::Ip6NextHeader, 48, 8, Kind::Network),
    (Field::Ip6HopLimit, 56, 8, Kind::Network),
    (Field::Ip6Source, 64, 128, Kind::Address6),
    (Field::Ip6Destination, 192, 128, Kind::Address6),
];
const ARP_HEADER: &[Place] = &[
    (Field::ArpOperation, 48, 16, Kind::Network),
    (Field::ArpSource, 112, 32, Kind::Address4),
    (Field::ArpTarget, 192, 32, Kind::Address4),
];
const ICMP_HEADER: &[Place] = &[
    (Field::IcmpType, 0, 8, Kind::Network),
    (Field::IcmpCode, 8, 8, Kind::Network),
    (Field::IcmpId, 32, 16, Kind::Network),
    (Field::IcmpSequence, 48, 16, Kind::Network),
];
const ICMPV6_HEADER: &[Place] = &[
    (Field::Icmpv6Type, 0, 8, Kind::Network),
    (Field::Icmpv6Code, 8, 8, Kind::Network),
    (Field::Icmpv6Id, 32, 16, Kind::Network),
    (Field::Icmpv6Sequence, 48, 16, Kind::Network),
];
const TCP_HEADER: &[Place] = &[
    (Field::TcpSourcePort, 0, 16, Kind::Network),
    (Field::TcpDestinationPort, 16, 16, Kind::Network),
    (Field::TcpSequence, 32, 32, Kind::Network),
    (Field::TcpAcknowledgement, 64, 32, Kind::Network),
    (Field::TcpFlags, 104, 8, Kind::Network),
    (Field::TcpWindow, 112, 16, Kind::Network),
];
const UDP_HEADER: &[Place] = &[
    (Field::UdpSourcePort, 0, 16, Kind::Network),
    (Field::UdpDestinationPort, 16, 16, Kind::Network),
    (Field::UdpLength, 32, 16, Kind::Network),
];
const PORTS: &[Place] =
    &[(Field::ThSourcePort, 0, 16, Kind::Network), (Field::ThDestinationPort, 16, 16, Kind::Network)];

/// One field of a load, and its length in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) field: Field,
    pub(super) kind: Kind,
    pub(super) bytes: usize,
}

/// The fields that a load of whole bytes consists of. nft loads neighbouring fields at once if both are compared. The
/// last one may be the beginning of an address. One nameless part if the fields do not fill the load.
pub(super) fn parts(context: &Context, base: PayloadBase, offset: u32, bytes: u32) -> Vec<Part> {
    let header = context.header(base);
    let (mut at, end) = (offset * 8, (offset + bytes) * 8);
    let mut found = vec![];
    while at < end {
        let place = header.iter().find(|(_, from, length, kind)| {
            let whole = at + length <= end;
            *from == at && (whole || matches!(kind, Kind::Address4 | Kind::Address6))
        });
        let Some((field, _, length, kind)) = place else {
            return vec![raw(base, offset, bytes)];
        };
        let length = (*length).min(end - at);
        found.push(Part { field: field.clone(), kind: *kind, bytes: usize::try_from(length / 8).unwrap_or_default() });
        at += length;
        if length % 8 != 0 {
            return vec![raw(base, offset, bytes)];
        }
    }
    found
}

pub(super) fn raw(base: PayloadBase, offset: u32, bytes: u32) -> Part {
    let field = Field::Raw { base, offset: offset * 8, length: bytes * 8 };
    Part { field, kind: Kind::Network, bytes: usize::try_from(bytes).unwrap_or_default() }
}

/// The field that a mask selects from a load, with the number of bits below it.
pub(super) fn selected(
    context: &Context,
    base: PayloadBase,
    (offset, bytes): (u32, u32),
    mask: &[u8],
) -> Option<(Field, u32)> {
    if bytes > 8 {
        return None;
    }
    let mask = super::kind::big_endian(mask);
    let end = (offset + bytes) * 8;
    context.header(base).iter().find_map(|(field, from, length, _)| {
        let below = end.checked_sub(from + length)?;
        let bits = 1u64.checked_shl(*length)?.wrapping_sub(1).checked_shl(below)?;
        (*from >= offset * 8 && bits == mask).then(|| (field.clone(), below))
    })
}

/// `enum nft_payload_bases`.
pub(super) fn base(number: u32) -> Option<PayloadBase> {
    Some(match number {
        0 => PayloadBase::Link,
        1 => PayloadBase::Network,
        2 => PayloadBase::Transport,
        3 => PayloadBase::Inner,
        _ => return None,
    })
}

/// `enum nft_meta_keys`, with the length of the value in bytes.
pub(super) fn meta(key: u32) -> Part {
    let (field, kind, bytes) = match key {
        0 => (Field::MetaLength, Kind::Host, 4),
        1 => (Field::MetaProtocol, Kind::Network, 2),
        2 => (Field::MetaPriority, Kind::Host, 4),
        3 => (Field::MetaMark, Kind::Host, 4),
        4 => (Field::MetaIif, Kind::Host, 4),
        5 => (Field::MetaOif, Kind::Host, 4),
        6 => (Field::MetaIifname, Kind::Name, 16),
        7 => (Field::MetaOifname, Kind::Name, 16),
        8 => (Field::MetaIiftype, Kind::Host, 2),
        9 => (Field::MetaOiftype, Kind::Host, 2),
        10 => (Field::MetaSkuid, Kind::Host, 4),
        11 => (Field::MetaSkgid, Kind::Host, 4),
        12 => (Field::MetaNftrace, Kind::Host, 1),
        15 => (Field::MetaNfproto, Kind::Network, 1),
        16 => (Field::MetaL4proto, Kind::Network, 1),
        17 => (Field::MetaIbrname, Kind::Name, 16),
        18 => (Field::MetaObrname, Kind::Name, 16),
        19 => (Field::MetaPkttype, Kind::Network, 1),
        20 => (Field::MetaCpu, Kind::Host, 4),
        21 => (Field::MetaIifgroup, Kind::Host, 4),
        22 => (Field::MetaOifgroup, Kind::Host, 4),
        other => (Field::NotUnderstood { name: format!("meta {other}") }, Kind::Bytes, 4),
    };
    Part { field, kind, bytes }
}

/// `enum nft_ct_keys`.
pub(super) fn ct(key: u32, direction: Option<u8>) -> Part {
    let (named, kind, bytes) = match key {
        0 => (CtKey::State, Kind::Host, 4),
        1 => (CtKey::Direction, Kind::Host, 1),
        2 => (CtKey::Status, Kind::Host, 4),
        3 => (CtKey::Mark, Kind::Host, 4),
        5 => (CtKey::Expiration, Kind::Host, 4),
        6 => (CtKey::Helper, Kind::Name, 16),
        7 => (CtKey::L3proto, Kind::Network, 1),
        10 => (CtKey::Protocol, Kind::Network, 1),
        11 => (CtKey::SourcePort, Kind::Network, 2),
        12 => (CtKey::DestinationPort, Kind::Network, 2),
        13 => (CtKey::Label, Kind::Bytes, 16),
        14 => (CtKey::Packets, Kind::Host, 8),
        15 => (CtKey::Bytes, Kind::Host, 8),
        16 => (CtKey::AveragePacket, Kind::Host, 8),
        17 => (CtKey::Zone, Kind::Host, 2),
        19 => (CtKey::Source, Kind::Address4, 4),
        20 => (CtKey::Destination, Kind::Address4, 4),
        21 => (CtKey::Source, Kind::Address6, 16),
        22 => (CtKey::Destination, Kind::Address6, 16),
        23 => (CtKey::Id, Kind::Host, 4),
        other => {
            let field = Field::NotUnderstood { name: format!("ct {other}") };
            return Part { field, kind: Kind::Bytes, bytes: 16 };
        }
    };
    let direction = match direction {
        Some(0) => Some(CtDirection::Original),
        Some(1) => Some(CtDirection::Reply),
        _ => None,
    };
    Part { field: Field::Ct { key: named, direction }, kind, bytes }
}

/// `enum nft_fib_result` and `enum nft_fib_flags`.
pub(super) fn fib(result: u32, flags: u32) -> Part {
    let has = |bit: u32| flags & bit != 0;
    let (result, kind, bytes) = match (result, has(32)) {
        (_, true) => (FibResult::Exists, Kind::Host, 1),
        (1, _) => (FibResult::Oif, Kind::Host, 4),
        (2, _) => (FibResult::OifName, Kind::Name, 16),
        (3, _) => (FibResult::AddressType, Kind::Host, 4),
        _ => {
            return Part { field: Field::NotUnderstood { name: String::from("fib") }, kind: Kind::Bytes, bytes: 4 };
        }
    };
    let field = Field::Fib { source: has(1), destination: has(2), mark: has(4), iif: has(8), oif: has(16), result };
    Part { field, kind, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(context: &Context, base: PayloadBase, offset: u32, bytes: u32) -> Vec<(Field, usize)> {
        parts(context, base, offset, bytes).into_iter().map(|part| (part.field, part.bytes)).collect()
    }

    #[test]
    fn a_place_has_a_name_only_behind_its_protocol() {
        let (any, mut icmp) = (Context::of_family(1), Context::of_family(1));
        icmp.learn(&Field::MetaL4proto, vec![1]);
        let (transport, network) = (PayloadBase::Transport, PayloadBase::Network);
        let raw = |base, offset, length| Field::Raw { base, offset, length };
        assert_eq!(names(&any, transport, 0, 1), [(raw(transport, 0, 8), 1)]);
        assert_eq!(names(&icmp, transport, 0, 1), [(Field::IcmpType, 1)]);
        assert_eq!(names(&any, network, 12, 4), [(raw(network, 96, 32), 4)]);
        assert_eq!(names(&Context::of_family(2), network, 12, 4), [(Field::IpSource, 4)]);
        assert_eq!(names(&Context::of_family(10), network, 8, 16), [(Field::Ip6Source, 16)]);
        let mut several = any.clone();
        several.learn(&Field::MetaL4proto, vec![6, 17]);
        assert_eq!(names(&several, transport, 2, 2), [(Field::ThDestinationPort, 2)]);
        several.learn(&Field::MetaL4proto, vec![6, 1]);
        assert_eq!(names(&several, transport, 2, 2), [(raw(transport, 16, 16), 2)], "ICMP has no ports");
    }

    #[test]
    fn neighbouring_fields_are_split_and_others_stay_whole() {
        let ip = Context::of_family(2);
        let both = [(Field::IpSource, 4), (Field::IpDestination, 4)];
        assert_eq!(names(&ip, PayloadBase::Network, 12, 8), both);
        assert_eq!(names(&ip, PayloadBase::Network, 12, 6), [(Field::IpSource, 4), (Field::IpDestination, 2)]);
        assert_eq!(names(&ip, PayloadBase::Network, 12, 2), [(Field::IpSource, 2)]);
        let raw = Field::Raw { base: PayloadBase::Network, offset: 0, length: 8 };
        assert_eq!(names(&ip, PayloadBase::Network, 0, 1), [(raw, 1)], "a version and a length, of 4 bits each");
    }

    #[test]
    fn a_mask_selects_a_field_of_some_bits() {
        let ip = Context::of_family(2);
        let of = |offset, mask: &[u8]| {
            selected(&ip, PayloadBase::Network, (offset, u32::try_from(mask.len()).unwrap()), mask)
        };
        assert_eq!(of(1, &[0xfc]), Some((Field::IpDscp, 2)));
        assert_eq!(of(0, &[0xf0]), Some((Field::IpVersion, 4)));
        assert_eq!(of(0, &[0x0f]), Some((Field::IpHeaderLength, 0)));
        assert_eq!(of(6, &[0x1f, 0xff]), None, "a part of the field");
    }
}

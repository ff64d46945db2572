//! Names that nft has for fields and numbers.

use crate::packet_filter::field::{CtDirection, CtKey, FibResult, Field, PayloadBase};
use std::borrow::Cow;

/// Whether a field only says which header follows.
pub(super) fn is_dependency(field: &Field) -> bool {
    matches!(field, Field::MetaNfproto | Field::MetaL4proto | Field::MetaProtocol)
}

/// `EtherType` of a family.
pub(super) fn ether_type(family: u8) -> u64 {
    if family == 2 { 0x0800 } else { 0x86dd }
}

pub(super) fn field(field: &Field) -> Cow<'static, str> {
    Cow::Borrowed(match field {
        Field::MetaLength => "meta length",
        Field::MetaProtocol => "meta protocol",
        Field::MetaPriority => "meta priority",
        Field::MetaMark => "meta mark",
        Field::MetaIif => "iif",
        Field::MetaOif => "oif",
        Field::MetaIifname => "iifname",
        Field::MetaOifname => "oifname",
        Field::MetaIiftype => "iiftype",
        Field::MetaOiftype => "oiftype",
        Field::MetaSkuid => "meta skuid",
        Field::MetaSkgid => "meta skgid",
        Field::MetaNftrace => "meta nftrace",
        Field::MetaNfproto => "meta nfproto",
        Field::MetaL4proto => "meta l4proto",
        Field::MetaIbrname => "meta ibrname",
        Field::MetaObrname => "meta obrname",
        Field::MetaPkttype => "meta pkttype",
        Field::MetaCpu => "meta cpu",
        Field::MetaIifgroup => "iifgroup",
        Field::MetaOifgroup => "oifgroup",
        Field::EtherDestination => "ether daddr",
        Field::EtherSource => "ether saddr",
        Field::EtherType => "ether type",
        Field::ArpOperation => "arp operation",
        Field::ArpSource => "arp saddr ip",
        Field::ArpTarget => "arp daddr ip",
        Field::IpVersion => "ip version",
        Field::IpHeaderLength => "ip hdrlength",
        Field::IpDscp => "ip dscp",
        Field::IpEcn => "ip ecn",
        Field::IpLength => "ip length",
        Field::IpId => "ip id",
        Field::IpFragment => "ip frag-off",
        Field::IpTtl => "ip ttl",
        Field::IpProtocol => "ip protocol",
        Field::IpChecksum => "ip checksum",
        Field::IpSource => "ip saddr",
        Field::IpDestination => "ip daddr",
        Field::Ip6Dscp => "ip6 dscp",
        Field::Ip6FlowLabel => "ip6 flowlabel",
        Field::Ip6Length => "ip6 length",
        Field::Ip6NextHeader => "ip6 nexthdr",
        Field::Ip6HopLimit => "ip6 hoplimit",
        Field::Ip6Source => "ip6 saddr",
        Field::Ip6Destination => "ip6 daddr",
        Field::IcmpType => "icmp type",
        Field::IcmpCode => "icmp code",
        Field::IcmpId => "icmp id",
        Field::IcmpSequence => "icmp sequence",
        Field::Icmpv6Type => "icmpv6 type",
        Field::Icmpv6Code => "icmpv6 code",
        Field::Icmpv6Id => "icmpv6 id",
        Field::Icmpv6Sequence => "icmpv6 sequence",
        Field::TcpSourcePort => "tcp sport",
        Field::TcpDestinationPort => "tcp dport",
        Field::TcpSequence => "tcp sequence",
        Field::TcpAcknowledgement => "tcp ackseq",
        Field::TcpFlags => "tcp flags",
        Field::TcpWindow => "tcp window",
        Field::UdpSourcePort => "udp sport",
        Field::UdpDestinationPort => "udp dport",
        Field::UdpLength => "udp length",
        Field::ThSourcePort => "th sport",
        Field::ThDestinationPort => "th dport",
        Field::Ct { key, direction } => return ct(*key, *direction),
        Field::Fib { source, destination, mark, iif, oif, result } => {
            let keys: Vec<&str> =
                [(source, "saddr"), (destination, "daddr"), (mark, "mark"), (iif, "iif"), (oif, "oif")]
                    .into_iter()
                    .filter_map(|(set, name)| set.then_some(name))
                    .collect();
            let result = match result {
                FibResult::Oif | FibResult::Exists => "oif",
                FibResult::OifName => "oifname",
                FibResult::AddressType => "type",
            };
            return Cow::Owned(format!("fib {} {result}", keys.join(" . ")));
        }
        Field::Raw { base, offset, length } => {
            let base = match base {
                PayloadBase::Link => "ll",
                PayloadBase::Network => "nh",
                PayloadBase::Transport => "th",
                PayloadBase::Inner => "ih",
            };
            return Cow::Owned(format!("@{base},{offset},{length}"));
        }
        Field::NotUnderstood { name } => return Cow::Owned(format!("({name})")),
    })
}

fn ct(key: CtKey, direction: Option<CtDirection>) -> Cow<'static, str> {
    let direction = match direction {
        None => "",
        Some(CtDirection::Original) => "original ",
        Some(CtDirection::Reply) => "reply ",
    };
    let key = match key {
        CtKey::State => "state",
        CtKey::Direction => "direction",
        CtKey::Status => "status",
        CtKey::Mark => "mark",
        CtKey::Expiration => "expiration",
        CtKey::Helper => "helper",
        CtKey::L3proto => "l3proto",
        CtKey::Source => "saddr",
        CtKey::Destination => "daddr",
        CtKey::Protocol => "protocol",
        CtKey::SourcePort => "proto-src",
        CtKey::DestinationPort => "proto-dst",
        CtKey::Label => "label",
        CtKey::Packets => "packets",
        CtKey::Bytes => "bytes",
        CtKey::AveragePacket => "avgpkt",
        CtKey::Zone => "zone",
        CtKey::Id => "id",
    };
    Cow::Owned(format!("ct {direction}{key}"))
}

const CT_STATE: &[(u64, &str)] = &[(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
const CT_STATUS: &[(u64, &str)] =
    &[(1, "expected"), (2, "seen-reply"), (4, "assured"), (8, "confirmed"), (16, "snat"), (32, "dnat"), (512, "dying")];
const TCP_FLAGS: &[(u64, &str)] =
    &[(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")];
const NFPROTO: &[(u64, &str)] = &[(2, "ipv4"), (10, "ipv6")];
const ETHER_TYPE: &[(u64, &str)] = &[(0x0800, "ip"), (0x0806, "arp"), (0x86dd, "ip6"), (0x8100, "8021q")];
const PROTOCOL: &[(u64, &str)] = &[
    (1, "icmp"),
    (2, "igmp"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (132, "sctp"),
    (136, "udplite"),
];
const ICMP_TYPE: &[(u64, &str)] = &[
    (0, "echo-reply"),
    (3, "destination-unreachable"),
    (4, "source-quench"),
    (5, "redirect"),
    (8, "echo-request"),
    (9, "router-advertisement"),
    (10, "router-solicitation"),
    (11, "time-exceeded"),
    (12, "parameter-problem"),
    (13, "timestamp-request"),
    (14, "timestamp-reply"),
];
const ICMPV6_TYPE: &[(u64, &str)] = &[
    (1, "destination-unreachable"),
    (2, "packet-too-big"),
    (3, "time-exceeded"),
    (4, "parameter-problem"),
    (128, "echo-request"),
    (129, "echo-reply"),
    (133, "nd-router-solicit"),
    (134, "nd-router-advert"),
    (135, "nd-neighbor-solicit"),
    (136, "nd-neighbor-advert"),
    (137, "nd-redirect"),
];
const PKTTYPE: &[(u64, &str)] = &[(0, "host"), (1, "broadcast"), (2, "multicast"), (3, "other")];
const ADDRESS_TYPE: &[(u64, &str)] = &[
    (1, "unicast"),
    (2, "local"),
    (3, "broadcast"),
    (4, "anycast"),
    (5, "multicast"),
    (6, "blackhole"),
    (7, "unreachable"),
    (8, "prohibit"),
];
const CT_DIRECTION: &[(u64, &str)] = &[(0, "original"), (1, "reply")];
const ARP_OPERATION: &[(u64, &str)] = &[(1, "request"), (2, "reply")];
const EXISTENCE: &[(u64, &str)] = &[(0, "missing"), (1, "exists")];

/// Names of the bits of a field whose bits are tested one by one.
pub(super) fn bits(field: &Field) -> Option<&'static [(u64, &'static str)]> {
    match field {
        Field::TcpFlags => Some(TCP_FLAGS),
        Field::Ct { key: CtKey::State, .. } => Some(CT_STATE),
        Field::Ct { key: CtKey::Status, .. } => Some(CT_STATUS),
        _ => None,
    }
}

/// Names of all bits that are set; bits without a name as one number.
pub(super) fn of_bits(bits: &[(u64, &str)], number: u64) -> String {
    let mut rest = number;
    let mut found: Vec<String> = vec![];
    for (bit, name) in bits.iter().filter(|(bit, _)| number & bit != 0) {
        rest &= !bit;
        found.push((*name).to_owned());
    }
    if rest != 0 || found.is_empty() {
        found.push(format!("{rest:#x}"));
    }
    found.join(",")
}

pub(super) fn number(field: Option<&Field>, number: u64) -> String {
    let Some(field) = field else { return number.to_string() };
    if let Some(bits) = bits(field) {
        return of_bits(bits, number);
    }
    let names: &[(u64, &str)] = match field {
        Field::MetaNfproto | Field::Ct { key: CtKey::L3proto, .. } => NFPROTO,
        Field::MetaProtocol | Field::EtherType => ETHER_TYPE,
        Field::MetaL4proto | Field::IpProtocol | Field::Ip6NextHeader | Field::Ct { key: CtKey::Protocol, .. } => {
            PROTOCOL
        }
        Field::IcmpType => ICMP_TYPE,
        Field::Icmpv6Type => ICMPV6_TYPE,
        Field::MetaPkttype => PKTTYPE,
        Field::ArpOperation => ARP_OPERATION,
        Field::Ct { key: CtKey::Direction, .. } => CT_DIRECTION,
        Field::Fib { result: FibResult::AddressType, .. } => ADDRESS_TYPE,
        Field::Fib { result: FibResult::Exists, .. } => EXISTENCE,
        _ => &[],
    };
    let hexadecimal = matches!(
        field,
        Field::MetaMark
            | Field::MetaProtocol
            | Field::MetaPriority
            | Field::EtherType
            | Field::IpDscp
            | Field::Ip6Dscp
            | Field::IpFragment
            | Field::Raw { .. }
            | Field::Ct { key: CtKey::Mark, .. }
    );
    match names.iter().find(|(named, _)| *named == number) {
        Some((_, name)) => (*name).to_owned(),
        None if hexadecimal => format!("{number:#x}"),
        None => number.to_string(),
    }
}

/// Bytes: hardware addresses with colons.
pub(super) fn bytes(field: Option<&Field>, digits: &str) -> String {
    if matches!(field, Some(Field::EtherSource | Field::EtherDestination)) {
        let octets: Vec<&str> = (0..digits.len()).step_by(2).filter_map(|at| digits.get(at..at + 2)).collect();
        return octets.join(":");
    }
    format!("0x{digits}")
}

pub(super) fn period(seconds: u64) -> Cow<'static, str> {
    match seconds {
        1 => Cow::Borrowed("second"),
        60 => Cow::Borrowed("minute"),
        3_600 => Cow::Borrowed("hour"),
        86_400 => Cow::Borrowed("day"),
        604_800 => Cow::Borrowed("week"),
        other => Cow::Owned(format!("{other} seconds")),
    }
}

fn coded(names: &[&'static str], code: u8) -> Cow<'static, str> {
    match names.get(usize::from(code)) {
        Some(name) if !name.is_empty() => Cow::Borrowed(name),
        _ => Cow::Owned(code.to_string()),
    }
}

pub(super) fn icmp_unreachable(code: u8) -> Cow<'static, str> {
    const NAMES: [&str; 14] = [
        "net-unreachable",
        "host-unreachable",
        "prot-unreachable",
        "port-unreachable",
        "",
        "",
        "",
        "",
        "",
        "net-prohibited",
        "host-prohibited",
        "",
        "",
        "admin-prohibited",
    ];
    coded(&NAMES, code)
}

pub(super) fn icmpv6_unreachable(code: u8) -> Cow<'static, str> {
    coded(
        &["no-route", "admin-prohibited", "", "addr-unreachable", "port-unreachable", "policy-fail", "reject-route"],
        code,
    )
}

pub(super) fn icmpx_unreachable(code: u8) -> Cow<'static, str> {
    coded(&["no-route", "port-unreachable", "host-unreachable", "admin-prohibited"], code)
}

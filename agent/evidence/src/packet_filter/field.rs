//! What a rule can look at: fields of the packet, and what the kernel knows about the packet.

use serde::{Deserialize, Serialize};

/// One thing that a rule looks at. The names are those of `nft(8)`.
///
/// A field of a header exists only if the packet has that header: the condition does not hold for any other packet,
/// whatever the comparison. The rule set usually compares the protocol first, which is a condition of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Length of the packet in bytes.
    MetaLength,
    /// `EtherType` of the packet.
    MetaProtocol,
    /// Traffic-control priority.
    MetaPriority,
    /// Packet mark.
    MetaMark,
    /// Index of the input interface, or its name if the agent could resolve the index.
    MetaIif,
    /// Index of the output interface, or its name if the agent could resolve the index.
    MetaOif,
    /// Name of the input interface.
    MetaIifname,
    /// Name of the output interface.
    MetaOifname,
    /// Hardware type of the input interface; 1 is Ethernet.
    MetaIiftype,
    /// Hardware type of the output interface.
    MetaOiftype,
    /// User id of the local socket that sends.
    MetaSkuid,
    /// Group id of the local socket that sends.
    MetaSkgid,
    /// Whether the packet is traced.
    MetaNftrace,
    /// Family of the packet: 2 IPv4, 10 IPv6 (`NFPROTO_*`).
    MetaNfproto,
    /// IP protocol number; for IPv6, that behind the extension headers.
    MetaL4proto,
    /// Name of the bridge that the input interface is a port of.
    MetaIbrname,
    /// Name of the bridge that the output interface is a port of.
    MetaObrname,
    /// To whom the frame is addressed: 0 this host, 1 broadcast, 2 multicast, 3 another host (`PACKET_*`).
    MetaPkttype,
    /// CPU that handles the packet.
    MetaCpu,
    /// Group of the input interface.
    MetaIifgroup,
    /// Group of the output interface.
    MetaOifgroup,
    /// Destination hardware address of the frame.
    EtherDestination,
    /// Source hardware address of the frame.
    EtherSource,
    /// `EtherType` of the frame.
    EtherType,
    /// ARP operation: 1 request, 2 reply.
    ArpOperation,
    /// Protocol address of the sender of an ARP packet.
    ArpSource,
    /// Protocol address of the target of an ARP packet.
    ArpTarget,
    /// Version of the IPv4 header.
    IpVersion,
    /// Length of the IPv4 header in units of 4 bytes.
    IpHeaderLength,
    /// Differentiated services code point of the IPv4 header.
    IpDscp,
    /// Explicit congestion notification of the IPv4 header.
    IpEcn,
    /// Total length in bytes.
    IpLength,
    /// Identification.
    IpId,
    /// Flags and fragment offset as one number of 16 bits; the low 13 bits are the offset in units of 8 bytes.
    IpFragment,
    /// Time to live.
    IpTtl,
    /// Protocol number of the IPv4 header.
    IpProtocol,
    /// Checksum of the IPv4 header.
    IpChecksum,
    /// IPv4 source address.
    IpSource,
    /// IPv4 destination address.
    IpDestination,
    /// Differentiated services code point of the IPv6 header.
    Ip6Dscp,
    /// Flow label.
    Ip6FlowLabel,
    /// Payload length in bytes.
    Ip6Length,
    /// Next header of the IPv6 header, which may be an extension header.
    Ip6NextHeader,
    /// Hop limit.
    Ip6HopLimit,
    /// IPv6 source address.
    Ip6Source,
    /// IPv6 destination address.
    Ip6Destination,
    /// Type of an ICMP message.
    IcmpType,
    /// Code of an ICMP message.
    IcmpCode,
    /// Identifier of an ICMP echo.
    IcmpId,
    /// Sequence number of an ICMP echo.
    IcmpSequence,
    /// Type of an `ICMPv6` message.
    Icmpv6Type,
    /// Code of an `ICMPv6` message.
    Icmpv6Code,
    /// Identifier of an `ICMPv6` echo.
    Icmpv6Id,
    /// Sequence number of an `ICMPv6` echo.
    Icmpv6Sequence,
    /// TCP source port.
    TcpSourcePort,
    /// TCP destination port.
    TcpDestinationPort,
    /// TCP sequence number.
    TcpSequence,
    /// TCP acknowledgement number.
    TcpAcknowledgement,
    /// TCP flags: 1 fin, 2 syn, 4 rst, 8 psh, 16 ack, 32 urg, 64 ecn, 128 cwr.
    TcpFlags,
    /// TCP window.
    TcpWindow,
    /// UDP source port.
    UdpSourcePort,
    /// UDP destination port.
    UdpDestinationPort,
    /// UDP length.
    UdpLength,
    /// Source port of one of several protocols with ports, which an earlier condition names (`th sport`).
    ThSourcePort,
    /// Destination port of one of several protocols with ports (`th dport`).
    ThDestinationPort,
    /// What connection tracking knows.
    Ct {
        /// Which part of it.
        key: CtKey,
        /// Which direction of the connection the key is about, where it has two.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        direction: Option<CtDirection>,
    },
    /// Result of a route lookup for parts of the packet.
    Fib {
        /// The source address is looked up.
        #[serde(default, skip_serializing_if = "is_false")]
        source: bool,
        /// The destination address is looked up.
        #[serde(default, skip_serializing_if = "is_false")]
        destination: bool,
        /// With the packet mark.
        #[serde(default, skip_serializing_if = "is_false")]
        mark: bool,
        /// With the input interface.
        #[serde(default, skip_serializing_if = "is_false")]
        iif: bool,
        /// With the output interface.
        #[serde(default, skip_serializing_if = "is_false")]
        oif: bool,
        /// What of the route is compared.
        result: FibResult,
    },
    /// Bits of the packet without a name, or of a header whose protocol no earlier condition establishes.
    Raw {
        /// Where the offset begins.
        base: PayloadBase,
        /// Offset in bits.
        offset: u32,
        /// Length in bits.
        length: u32,
    },
    /// An expression that is not understood, by its name.
    NotUnderstood {
        /// Name of the expression.
        name: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that Serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

/// IP protocol numbers of the protocols whose headers have named fields.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// `NFPROTO_IPV4` and `NFPROTO_IPV6`.
const IPV4: u8 = 2;
const IPV6: u8 = 10;

impl Field {
    /// IP protocol number of the packets that have the field; `None` if it is not of one transport protocol.
    pub fn transport(&self) -> Option<u8> {
        match self {
            Self::IcmpType | Self::IcmpCode | Self::IcmpId | Self::IcmpSequence => Some(ICMP),
            Self::Icmpv6Type | Self::Icmpv6Code | Self::Icmpv6Id | Self::Icmpv6Sequence => Some(ICMPV6),
            Self::TcpSourcePort
            | Self::TcpDestinationPort
            | Self::TcpSequence
            | Self::TcpAcknowledgement
            | Self::TcpFlags
            | Self::TcpWindow => Some(TCP),
            Self::UdpSourcePort | Self::UdpDestinationPort | Self::UdpLength => Some(UDP),
            _ => None,
        }
    }

    /// Family (`NFPROTO_*`) of the packets that have the field; `None` if it is not of one family.
    pub fn family(&self) -> Option<u8> {
        match self {
            Self::IpVersion
            | Self::IpHeaderLength
            | Self::IpDscp
            | Self::IpEcn
            | Self::IpLength
            | Self::IpId
            | Self::IpFragment
            | Self::IpTtl
            | Self::IpProtocol
            | Self::IpChecksum
            | Self::IpSource
            | Self::IpDestination => Some(IPV4),
            Self::Ip6Dscp
            | Self::Ip6FlowLabel
            | Self::Ip6Length
            | Self::Ip6NextHeader
            | Self::Ip6HopLimit
            | Self::Ip6Source
            | Self::Ip6Destination => Some(IPV6),
            field => match field.transport() {
                Some(ICMP) => Some(IPV4),
                Some(ICMPV6) => Some(IPV6),
                _ => None,
            },
        }
    }
}

/// Beginning of the offset of a load from the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadBase {
    /// The link-layer header.
    Link,
    /// The network header.
    Network,
    /// The transport header.
    Transport,
    /// What follows the transport header.
    Inner,
}

/// Direction of a packet relative to its tracked connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CtDirection {
    /// That of the first packet.
    Original,
    /// The other one.
    Reply,
}

/// What connection tracking knows about a packet (`NFT_CT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CtKey {
    /// Bits: 1 invalid, 2 established, 4 related, 8 new, 64 untracked.
    State,
    /// 0 original, 1 reply.
    Direction,
    /// Bits: 1 expected, 2 seen-reply, 4 assured, 8 confirmed, 16 snat, 32 dnat, 512 dying.
    Status,
    /// Mark of the connection.
    Mark,
    /// Time until the connection is forgotten.
    Expiration,
    /// Name of the helper.
    Helper,
    /// Family of the connection.
    L3proto,
    /// Source address of a direction.
    Source,
    /// Destination address of a direction.
    Destination,
    /// IP protocol number.
    Protocol,
    /// Source port of a direction.
    SourcePort,
    /// Destination port of a direction.
    DestinationPort,
    /// Labels.
    Label,
    /// Packets counted.
    Packets,
    /// Bytes counted.
    Bytes,
    /// Bytes per packet.
    AveragePacket,
    /// Zone.
    Zone,
    /// Id of the connection.
    Id,
}

/// What of a looked-up route is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FibResult {
    /// Index of the outgoing interface.
    Oif,
    /// Name of the outgoing interface.
    OifName,
    /// Type of the address: 1 unicast, 2 local, 3 broadcast, 5 multicast (`RTN_*`).
    AddressType,
    /// 1 if there is a route, 0 if there is not.
    Exists,
}

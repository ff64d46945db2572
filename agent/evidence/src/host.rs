//! Facts that a host reports about itself.
//!
//! They explain why packets stop inside a guest: routes, kernel settings, packet filter, load. The agent collects them;
//! nothing is judged here.

use crate::{
    AccountId, AgentId, Cidr, EniId, FirewallFact, InstanceId, Known, Protocol, RegionId, RequestTag, RoutingFact,
    Timestamp, VSwitchId, VpcId,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Facts about one host at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// The agent that collected the facts.
    pub agent: AgentId,
    /// When the facts were collected.
    pub at: Timestamp,
    /// The request for fresh evidence that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestTag>,
    /// What the metadata service says this host is.
    pub metadata: Known<MetadataFact>,
    /// Interfaces with their addresses.
    pub interfaces: Known<Vec<InterfaceFact>>,
    /// The kernel's route to each peer.
    pub routes: Vec<RouteFact>,
    /// Rules of policy routing and the routes of all tables.
    #[serde(default)]
    pub routing: Known<RoutingFact>,
    /// Kernel settings that can refuse probes.
    pub sysctls: SysctlFacts,
    /// The packet filter.
    pub firewall: Known<FirewallFact>,
    /// What else in the kernel handles packets.
    #[serde(default)]
    pub mechanisms: Known<Mechanisms>,
    /// Kernel counters of the agent's network namespace, as totals.
    pub counters: Known<IcmpCounters>,
    /// How busy the host was while the probes ran.
    #[serde(default)]
    pub load: Known<LoadFact>,
    /// Whether the agent runs in a container.
    pub container: Known<Container>,
    /// How the agent probes.
    pub engine: ProbeEngine,
    /// Protocols other than ICMP whose probes the agent can see arrive at its interfaces. For these, a probe that was
    /// not seen did not arrive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observes: Vec<Protocol>,
    /// TCP flows whose connections the agent can see arrive. For these too, a connection that was not seen did not
    /// arrive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched_ports: Vec<WatchedPort>,
    /// Offset of the host's clock from the collector's.
    pub clock: Known<ClockFact>,
}

/// One TCP flow whose connections an agent watches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WatchedPort {
    /// Source address.
    pub from: IpAddr,
    /// Destination address, one of the host's own.
    pub to: IpAddr,
    /// Destination TCP port.
    pub port: u16,
}

impl HostFacts {
    /// Whether something handles packets whose effect is not reported: programs, `IPsec`, or rules of policy routing that
    /// the agent counts and does not list.
    pub fn is_opaque(&self) -> Known<bool> {
        let listed = self.routing.known().is_some_and(|routing| routing.tables.is_some());
        match &self.mechanisms {
            Known::Known(each) => Known::Known(each.has_programs() || (each.routing_rules > 0 && !listed)),
            Known::Unknown(why) => Known::Unknown(why.clone()),
        }
    }
}

/// Identity as reported by the metadata service at 100.100.100.200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataFact {
    /// Id of the instance.
    pub instance: InstanceId,
    /// Id of the account that owns the instance.
    pub account: AccountId,
    /// Id of the region.
    pub region: RegionId,
    /// Id of the VPC, if reported.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Id of the vSwitch, if reported.
    #[serde(default)]
    pub vswitch: Option<VSwitchId>,
    /// The primary private address.
    pub private_address: IpAddr,
    /// Interfaces, each with its hardware address, id and private addresses.
    #[serde(default)]
    pub interfaces: Vec<AddressFact>,
}

/// One interface as the metadata service reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFact {
    /// Hardware address.
    pub mac: String,
    /// Id of the elastic network interface, if reported.
    #[serde(default)]
    pub eni: Option<EniId>,
    /// Its private addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// Kind of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceKind {
    /// The loopback.
    Loopback,
    /// A network interface (NIC), as far as the guest can tell. A veth that is not a port of a bridge counts as one.
    Card,
    /// A bridge, such as a container engine's.
    Bridge,
    /// A tunnel: TUN, TAP, WireGuard, VXLAN.
    Tunnel,
    /// A port of a bridge.
    BridgePort,
}

/// One interface of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceFact {
    /// Name, such as `eth0`.
    pub name: String,
    /// Kind of the interface.
    pub kind: InterfaceKind,
    /// Whether it is up.
    pub up: bool,
    /// MTU in bytes.
    pub mtu: u32,
    /// Hardware address, empty when it has none.
    #[serde(default)]
    pub mac: String,
    /// Addresses, each with the block that it is in.
    #[serde(default)]
    pub addresses: Vec<(IpAddr, Cidr)>,
}

/// The kernel's answer to a route lookup for one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteFact {
    /// Address of the peer.
    pub to: IpAddr,
    /// Result of the lookup.
    pub outcome: Known<RouteOutcome>,
}

/// Result of a route lookup in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteOutcome {
    /// The packet would be sent.
    Via {
        /// Outgoing interface.
        interface: String,
        /// Source address, if the kernel reports it.
        #[serde(default)]
        source: Option<IpAddr>,
        /// Next hop; `None` if the kernel treats the peer as on-link.
        #[serde(default)]
        gateway: Option<IpAddr>,
        /// Prefix of the route that matched, if it was found in the tables.
        #[serde(default)]
        prefix: Option<Cidr>,
    },
    /// The kernel would refuse the packet with this errno: 101 no route, 113 unreachable, 13 prohibited, 22 black hole.
    Refused {
        /// The errno.
        errno: i32,
    },
    /// The peer's address is this host's own.
    Own,
}

/// What in a kernel handles packets beside the packet filter and the route to a peer. The walk through a host does not
/// model it: where it is in use, the host may have done what the walk cannot show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mechanisms {
    /// Queue disciplines of the interfaces but `noqueue`; `ingress` and `clsact` are where tc programs and filters are.
    #[serde(default)]
    pub disciplines: Vec<QueueDiscipline>,
    /// Interfaces with an XDP program.
    #[serde(default)]
    pub xdp: Vec<String>,
    /// Number of `IPsec` policies.
    #[serde(default)]
    pub ipsec_policies: u32,
    /// Number of policy routing rules beside the kernel's own three; [`HostFacts::routing`] has the rules.
    #[serde(default)]
    pub routing_rules: u32,
}

/// Kinds of queue disciplines that hold back or drop packets by their purpose; the others do so only when they are full.
const SHAPERS: [&str; 8] = ["tbf", "htb", "hfsc", "cbq", "netem", "cake", "red", "sfb"];

impl Mechanisms {
    /// Whether a queue discipline is made to hold back or drop packets.
    pub fn shapes(&self) -> bool {
        self.disciplines.iter().any(|each| SHAPERS.contains(&each.kind.as_str()))
    }

    /// Whether a program or an `IPsec` policy handles packets, whose effect is not reported.
    pub fn has_programs(&self) -> bool {
        let runs_programs = |each: &QueueDiscipline| matches!(each.kind.as_str(), "ingress" | "clsact");
        !self.xdp.is_empty() || self.ipsec_policies > 0 || self.disciplines.iter().any(runs_programs)
    }
}

/// A queue discipline of an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QueueDiscipline {
    /// Name of the interface.
    pub interface: String,
    /// Kind, such as `fq_codel` or `tbf`.
    pub kind: String,
    /// Packets that it dropped since it was made.
    pub dropped: u64,
}

/// IPv4 settings of one interface, each with its effective value: that of `all` counts too (`linux/inetdevice.h`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct InterfaceSettings {
    /// Name of the interface.
    pub name: String,
    /// `rp_filter`: 0 off, 1 strict, 2 loose.
    pub rp_filter: u8,
    /// `accept_local`: whether packets from the host's own addresses may arrive.
    #[serde(default)]
    pub accept_local: bool,
    /// `src_valid_mark`: whether the reverse-path filter looks up with the mark of the packet.
    #[serde(default)]
    pub source_valid_mark: bool,
    /// `route_localnet`: whether packets to loopback addresses may arrive.
    #[serde(default)]
    pub route_localnet: bool,
    /// `arp_ignore`: for which addresses ARP requests are answered; 0 every one of the host.
    #[serde(default)]
    pub arp_ignore: u8,
    /// `arp_filter`: whether ARP is answered only where the route back leaves by the same interface.
    #[serde(default)]
    pub arp_filter: bool,
}

/// Limits on the ICMP messages that a kernel sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct IcmpLimits {
    /// `net.ipv4.icmp_ratelimit`: milliseconds between two limited messages to one host; 0 for no limit.
    pub interval_ms: u32,
    /// `net.ipv4.icmp_ratemask`: bit n is set if messages of type n are limited; bit 0 is the echo reply.
    pub mask: u32,
    /// `net.ipv4.icmp_msgs_per_sec`: limited messages a second to all hosts.
    pub messages_per_s: u32,
}

/// Kernel settings, each with its effective value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SysctlFacts {
    /// `net.ipv4.icmp_echo_ignore_all`.
    #[serde(default)]
    pub echo_ignore_all: Known<bool>,
    /// Interfaces whose effective `rp_filter` (the larger of `all` and their own) is 1, strict.
    #[serde(default)]
    pub strict_reverse_path: Known<Vec<String>>,
    /// `net.ipv4.ping_group_range`.
    #[serde(default)]
    pub ping_group_range: Known<(u32, u32)>,
    /// `net.ipv4.ip_forward`: whether IPv4 packets for others are forwarded.
    #[serde(default)]
    pub forwards: Known<bool>,
    /// `net.ipv6.conf.all.forwarding`.
    #[serde(default)]
    pub forwards_v6: Known<bool>,
    /// `net.ipv6.icmp.echo_ignore_all`.
    #[serde(default)]
    pub echo_ignore_all_v6: Known<bool>,
    /// `net.ipv4.icmp_echo_ignore_broadcasts`.
    #[serde(default)]
    pub echo_ignore_broadcasts: Known<bool>,
    /// Settings of each interface.
    #[serde(default)]
    pub per_interface: Known<Vec<InterfaceSettings>>,
    /// Limits on ICMP.
    #[serde(default)]
    pub icmp_limits: Known<IcmpLimits>,
}

impl SysctlFacts {
    /// Whether echo requests to an address of this host are ignored, by the setting of its family.
    pub fn ignores_echo(&self, address: IpAddr) -> &Known<bool> {
        if address.is_ipv4() { &self.echo_ignore_all } else { &self.echo_ignore_all_v6 }
    }
}

/// Kernel counters (`/proc/net/snmp`, `/proc/net/netstat`), as totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IcmpCounters {
    /// Echo requests that reached the IP stack.
    pub in_echos: u64,
    /// Echo replies generated.
    pub out_echo_replies: u64,
    /// Packets dropped by the reverse-path filter.
    pub reverse_path_drops: u64,
}

/// How busy a host was over a short time (`/proc/stat`, `/proc/pressure/cpu`, `/proc/net/softnet_stat`,
/// `/proc/net/dev`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadFact {
    /// Length of the interval in milliseconds.
    pub over_ms: u64,
    /// Share of CPU time that was not idle, in thousandths.
    pub busy_permille: u32,
    /// Share of CPU time that the hypervisor gave to other guests (steal), in thousandths.
    pub stolen_permille: u32,
    /// Share of the time in which a runnable task waited for a CPU, in thousandths; `None` if the kernel does not
    /// report it.
    #[serde(default)]
    pub waiting_permille: Option<u32>,
    /// Packets dropped because the CPUs did not take them from their backlog queues in time.
    pub backlog_drops: u64,
    /// Bits per second sent by all interfaces except the loopback.
    pub sent_bits_per_s: u64,
    /// Bits per second received by the same interfaces.
    pub received_bits_per_s: u64,
}

/// Whether the agent runs in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// In the instance's own network namespace, as far as the agent can tell.
    No,
    /// In a container with a network of its own: its addresses are not the instance's.
    Yes,
}

/// How the agent sends and observes probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeEngine {
    /// A raw ICMP socket and a packet socket: exact.
    Raw,
    /// ICMP datagram sockets through surge-ping: no arrivals, no ICMP errors, times exact to about one millisecond.
    Portable,
    /// Neither kind of socket is permitted: this agent sends no probes.
    None,
}

/// Offset of the host's clock from the collector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockFact {
    /// Host clock minus collector clock, in milliseconds.
    pub offset_ms: i64,
    /// Maximum error of the offset: half the round trip, in milliseconds.
    pub error_ms: i64,
}

//! What a host tells about itself: the facts that explain a cut inside a guest.

use crate::{
    AccountId, AgentId, Cidr, EniId, InstanceId, Known, Protocol, RegionId, RequestTag, Timestamp, VSwitchId, VpcId,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Facts about one host at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// The agent that looked.
    pub agent: AgentId,
    /// When.
    pub at: Timestamp,
    /// The request for fresh evidence that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestTag>,
    /// What the metadata service says this host is.
    pub metadata: Known<MetadataFact>,
    /// Interfaces with their addresses.
    pub interfaces: Known<Vec<InterfaceFact>>,
    /// What the kernel answers to "how do I reach this peer".
    pub routes: Vec<RouteFact>,
    /// Kernel settings that refuse probes.
    pub sysctls: SysctlFacts,
    /// The packet filter.
    pub firewall: Known<FirewallFact>,
    /// Kernel counters since the agent started.
    pub counters: Known<IcmpCounters>,
    /// How busy the host was while the probes ran.
    #[serde(default)]
    pub load: Known<LoadFact>,
    /// Whether the agent runs in a container.
    pub container: Known<Container>,
    /// How the agent probes.
    pub engine: ProbeEngine,
    /// Protocols beside ICMP whose probes the agent sees reach its interfaces: of these, what did not come is absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observes: Vec<Protocol>,
    /// Ports whose connections from an address the agent sees arrive: of these too, what did not come is absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched_ports: Vec<WatchedPort>,
    /// The clock against the collector's.
    pub clock: Known<ClockFact>,
}

/// Connections that an agent looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WatchedPort {
    /// Whose.
    pub from: IpAddr,
    /// To which of its own addresses.
    pub to: IpAddr,
    /// To which TCP port.
    pub port: u16,
}

/// Identity as told by the metadata service at 100.100.100.200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataFact {
    /// Instance.
    pub instance: InstanceId,
    /// Account.
    pub account: AccountId,
    /// Region.
    pub region: RegionId,
    /// VPC, when told.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// vSwitch, when told.
    #[serde(default)]
    pub vswitch: Option<VSwitchId>,
    /// The primary private address.
    pub private_address: IpAddr,
    /// Interfaces by hardware address: id and private addresses.
    #[serde(default)]
    pub interfaces: Vec<AddressFact>,
}

/// What the metadata service says an interface has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFact {
    /// Hardware address.
    pub mac: String,
    /// The elastic network interface.
    #[serde(default)]
    pub eni: Option<EniId>,
    /// Its private addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// What an interface is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceKind {
    /// The loopback.
    Loopback,
    /// A network card, as far as the guest can tell. A veth without a bridge counts as one.
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
    /// Kind.
    pub kind: InterfaceKind,
    /// Whether it is up.
    pub up: bool,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Hardware address, empty when it has none.
    #[serde(default)]
    pub mac: String,
    /// Addresses with the blocks that they are in.
    #[serde(default)]
    pub addresses: Vec<(IpAddr, Cidr)>,
}

/// The kernel's answer to a route look-up towards a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteFact {
    /// Towards whom.
    pub to: IpAddr,
    /// The answer.
    pub outcome: Known<RouteOutcome>,
}

/// Where the kernel would send a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteOutcome {
    /// It would leave.
    Via {
        /// By this interface.
        interface: String,
        /// With this source address, when the kernel says.
        #[serde(default)]
        source: Option<IpAddr>,
        /// To this gateway; none means the peer is taken to be a neighbour.
        #[serde(default)]
        gateway: Option<IpAddr>,
        /// The route that decided, when it was found in the tables.
        #[serde(default)]
        prefix: Option<Cidr>,
    },
    /// It would be refused with this errno: 101 no route, 113 unreachable, 13 prohibited, 22 black hole.
    Refused {
        /// errno.
        errno: i32,
    },
    /// The peer's address is this host's own.
    Own,
}

/// Kernel settings, each with the value in effect.
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
}

/// Where in the guest's packet filter a rule sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirewallHook {
    /// Packets as they come off the card, before routing.
    Ingress,
    /// Before the routing decision.
    Prerouting,
    /// Towards local sockets.
    Input,
    /// From local sockets.
    Output,
    /// Through the host.
    Forward,
    /// After the routing decision.
    Postrouting,
}

/// What a rule, or a chain's policy, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirewallVerdict {
    /// Lets through.
    Accept,
    /// Drops silently.
    Drop,
    /// Drops with an error to the sender.
    Reject,
    /// Goes on elsewhere: jump, goto, queue.
    Other,
}

/// One rule, or the policy of one base chain, of the guest's packet filter that can refuse a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FirewallRule {
    /// nftables family: `ip`, `ip6`, `inet`, `netdev`, `arp`, `bridge`.
    pub family: String,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// Hook of the base chain that the rule is in or reachable from.
    pub hook: FirewallHook,
    /// Handle of the rule; none for a chain's policy.
    #[serde(default)]
    pub handle: Option<u64>,
    /// What it does.
    pub verdict: FirewallVerdict,
    /// Protocol that it is bound to; none means any, or one that was not understood.
    #[serde(default)]
    pub protocol: Option<u8>,
    /// Whether it is bound to a rate.
    #[serde(default)]
    pub limited: bool,
    /// Conditions as far as they were understood, for the reader.
    #[serde(default)]
    pub text: String,
}

/// What refuses packets in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallFact {
    /// Every rule and chain policy that drops or rejects.
    pub refusing: Vec<FirewallRule>,
    /// Base chains in all; zero means that no packet filter is set up.
    pub base_chains: u32,
    /// Whether legacy iptables tables are loaded, which this listing does not show.
    #[serde(default)]
    pub legacy_tables: bool,
}

/// Kernel counters (`/proc/net/snmp`, `/proc/net/netstat`), as totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IcmpCounters {
    /// Echo requests that reached the IP stack.
    pub in_echos: u64,
    /// Echo replies made.
    pub out_echo_replies: u64,
    /// Packets refused by the reverse-path filter.
    pub reverse_path_drops: u64,
}

/// How busy a host was over a short time (`/proc/stat`, `/proc/pressure/cpu`, `/proc/net/softnet_stat`, `/proc/net/dev`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadFact {
    /// Over so many milliseconds.
    pub over_ms: u64,
    /// Share of processor time not idle, in thousandths.
    pub busy_permille: u32,
    /// Share of processor time that the hypervisor gave to others, in thousandths.
    pub stolen_permille: u32,
    /// Share of the time in which something that could run had to wait for a processor, in thousandths; none where the
    /// kernel does not tell.
    #[serde(default)]
    pub waiting_permille: Option<u32>,
    /// Packets dropped since the processors did not fetch them from their queues in time.
    pub backlog_drops: u64,
    /// Bits per second sent by all cards together.
    pub sent_bits_per_s: u64,
    /// Bits per second received by them.
    pub received_bits_per_s: u64,
}

/// Where the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// In the instance's own network namespace, as far as can be told.
    No,
    /// In a container with a network of its own: its addresses are not the instance's.
    Yes,
}

/// How the agent sends and sees probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeEngine {
    /// A raw ICMP socket and a packet socket: exact.
    Raw,
    /// ICMP datagram sockets through surge-ping: no arrivals, no ICMP errors, times to about a millisecond.
    Portable,
    /// Neither is permitted: this agent sends no probes.
    None,
}

/// The host's clock against the collector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockFact {
    /// Host minus collector, in milliseconds.
    pub offset_ms: i64,
    /// How wrong that may be: half the round trip, in milliseconds.
    pub error_ms: i64,
}

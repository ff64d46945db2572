//! Bandwidth budget of the probes on a link: the link's bandwidth, the share of it that probes may use, and the cost of
//! one probe.
//!
//! A budget counts the bits of whole IP packets in each direction. A round trip costs both directions about the same,
//! so one number holds for both. The budget belongs to the link and is shared by all its flows (a flow is one direction
//! of a pair); the plan gives each agent the part for its own flows.

use crate::{LinkId, Protocol, Sampling};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Bandwidth assumed for a link whose bandwidth is not known, in bits per second: that of the smallest connection that
/// is sold, Mini.2 (`SEMANTICS.md` §3.1).
pub const ASSUMED_BITS_PER_S: u64 = 2_000_000;

const BITS_PER_BYTE: u64 = 8;
/// Bytes of the IP and ICMP headers before a payload, in IPv4 and in IPv6.
const ECHO_HEADER_BYTES: u64 = 28;
const ECHO_HEADER_V6_BYTES: u64 = 48;
/// Bytes that one TCP probe costs in the direction of the side that opens the connection: SYN with options, two ACKs,
/// one RST or FIN. The opposite direction carries less.
const TCP_PROBE_BYTES: u64 = 220;
/// Bytes of a UDP probe in the direction that carries more: an ICMP port unreachable that quotes the probe.
const UDP_PROBE_BYTES: u64 = 96;

/// Bits of an echo request with this payload; its reply has the same size.
pub fn echo_bits(target: IpAddr, payload_bytes: u32) -> u64 {
    let headers = if target.is_ipv4() { ECHO_HEADER_BYTES } else { ECHO_HEADER_V6_BYTES };
    (headers + u64::from(payload_bytes)) * BITS_PER_BYTE
}

/// Bits of one probe in the direction that carries more.
pub fn probe_bits(protocol: Protocol, target: IpAddr, payload_bytes: u32) -> u64 {
    match protocol {
        Protocol::Icmp => echo_bits(target, payload_bytes),
        Protocol::Tcp => TCP_PROBE_BYTES * BITS_PER_BYTE,
        Protocol::Udp => UDP_PROBE_BYTES * BITS_PER_BYTE,
    }
}

/// Where a bandwidth value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BandwidthSource {
    /// The cloud API: the specification of a router interface, the bandwidth of a connection.
    Spec,
    /// The collector's settings.
    Settings,
    /// The bandwidth is not known; [`ASSUMED_BITS_PER_S`] is used.
    Assumed,
}

/// Bandwidth of a link in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LinkBandwidth {
    /// Bits per second.
    pub bits_per_s: u64,
    /// Where the value comes from.
    pub source: BandwidthSource,
}

impl Default for LinkBandwidth {
    fn default() -> Self {
        Self { bits_per_s: ASSUMED_BITS_PER_S, source: BandwidthSource::Assumed }
    }
}

/// Bandwidth that all probes of one link together may use in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProbeBudget {
    /// Bandwidth of the link.
    pub bandwidth: LinkBandwidth,
    /// Bits per second for the steady rounds.
    pub steady_bits_per_s: u64,
    /// Bits per second for the rounds that answer a request, in addition to the steady rounds.
    pub fresh_bits_per_s: u64,
    /// Number of flows that share the budget.
    pub flows: u32,
}

/// The part of a link's budget that one agent may use, and how the agent spends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkShare {
    /// The link.
    pub link: LinkId,
    /// The budget of the whole link.
    pub budget: ProbeBudget,
    /// Bits per second in each direction for this agent's steady echo probes on the link, packet-size searches
    /// included.
    pub steady_bits_per_s: u64,
    /// Bits per second in each direction for this agent's echo probes that answer a request, packet-size searches
    /// included.
    pub fresh_bits_per_s: u64,
    /// Sampling of the steady echo rounds, per target.
    pub steady: Sampling,
    /// Sampling of the echo rounds that answer a request, per target.
    pub fresh: Sampling,
    /// Sampling of the steady port rounds, per port.
    pub steady_ports: Sampling,
    /// Sampling of the port rounds that answer a request, per port.
    pub fresh_ports: Sampling,
    /// Number of packet-size searches that this agent starts for one request.
    pub fresh_searches: u32,
    /// Milliseconds between two packet-size searches that run beside the steady rounds.
    pub search_period_ms: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_costs_its_whole_packet() {
        let (v4, v6) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        assert_eq!((echo_bits(v4, 56), echo_bits(v6, 56)), (84 * 8, 104 * 8));
        assert_eq!(probe_bits(Protocol::Icmp, v4, 1_472), 12_000);
        assert!(probe_bits(Protocol::Tcp, v4, 0) > probe_bits(Protocol::Udp, v4, 0));
    }
}

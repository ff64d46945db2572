//! What probes may take of a link: its bandwidth, the share of it, and what one probe costs.
//!
//! A budget counts whole IP packets in each direction. A round trip costs both directions about the same, so one number
//! holds for both. It belongs to the link and is shared by all its flows (a flow is one direction of a pair); the plan
//! gives each agent the part of its own flows.

use crate::{LinkId, Protocol, Sampling};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Bandwidth of a link whose own is not known: that of the smallest connection that is sold, Mini.2
/// (`network-semantics.md` §2).
pub const ASSUMED_BITS_PER_S: u64 = 2_000_000;

const BITS_PER_BYTE: u64 = 8;
/// Bytes of the IP and ICMP headers before a payload, in IPv4 and in IPv6.
const ECHO_HEADER_BYTES: u64 = 28;
const ECHO_HEADER_V6_BYTES: u64 = 48;
/// Bytes that one TCP probe costs the direction that opens: SYN with options, two acknowledgements, one reset or FIN. The
/// other direction carries less.
const TCP_PROBE_BYTES: u64 = 220;
/// Bytes of the greater direction of a UDP probe: a port unreachable that quotes it.
const UDP_PROBE_BYTES: u64 = 96;

/// Bits of an echo request with this payload, and of its reply.
pub fn echo_bits(target: IpAddr, payload_bytes: u32) -> u64 {
    let headers = if target.is_ipv4() { ECHO_HEADER_BYTES } else { ECHO_HEADER_V6_BYTES };
    (headers + u64::from(payload_bytes)) * BITS_PER_BYTE
}

/// Bits that one probe costs the direction that carries more of it.
pub fn probe_bits(protocol: Protocol, target: IpAddr, payload_bytes: u32) -> u64 {
    match protocol {
        Protocol::Icmp => echo_bits(target, payload_bytes),
        Protocol::Tcp => TCP_PROBE_BYTES * BITS_PER_BYTE,
        Protocol::Udp => UDP_PROBE_BYTES * BITS_PER_BYTE,
    }
}

/// Where a bandwidth is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BandwidthSource {
    /// The cloud's own answer: the specification of a router interface, the bandwidth of a connection.
    Spec,
    /// The collector's settings.
    Settings,
    /// Nobody knows it: [`ASSUMED_BITS_PER_S`].
    Assumed,
}

/// What a link carries in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LinkBandwidth {
    /// Bits per second.
    pub bits_per_s: u64,
    /// Where that is known from.
    pub source: BandwidthSource,
}

impl Default for LinkBandwidth {
    fn default() -> Self {
        Self { bits_per_s: ASSUMED_BITS_PER_S, source: BandwidthSource::Assumed }
    }
}

/// What all probes of one link together may take of each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProbeBudget {
    /// What the link carries.
    pub bandwidth: LinkBandwidth,
    /// Bits per second of steady rounds.
    pub steady_bits_per_s: u64,
    /// Bits per second of rounds that answer a request, beside the steady ones.
    pub fresh_bits_per_s: u64,
    /// Flows that share it.
    pub flows: u32,
}

/// The part of a link's budget that belongs to one agent, and how it is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkShare {
    /// The link.
    pub link: LinkId,
    /// The budget of the whole link.
    pub budget: ProbeBudget,
    /// Bits per second that this agent's steady echoes of the link may put on each direction, searches for sizes included.
    pub steady_bits_per_s: u64,
    /// The same of echoes that answer a request.
    pub fresh_bits_per_s: u64,
    /// Steady echoes to each target.
    pub steady: Sampling,
    /// Echoes to each target that answer a request.
    pub fresh: Sampling,
    /// Steady probes of each port.
    pub steady_ports: Sampling,
    /// Probes of each port that answer a request.
    pub fresh_ports: Sampling,
    /// Searches for the largest packet that this agent begins for one request.
    pub fresh_searches: u32,
    /// Milliseconds between two searches beside the steady rounds.
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

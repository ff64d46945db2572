//! What agents observed of probes: rounds at the sending end, arrivals at the receiving end.
//!
//! Forward loss, host loss and return loss follow from *sent at A, arrived at B, answered by B, received at A*, packet
//! by packet (`PROBING.md` §5), as sets of sequence numbers and without synchronised clocks. If an observer itself
//! dropped packets, the loss of the round cannot be attributed; such drops never count as loss.

use crate::{AgentId, Known, Nanos, PairId, Protocol, RequestTag, RoundId, RoundPurpose, SequenceSet, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Identifies one round of one prober.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoundKey {
    /// The sending agent.
    pub agent: AgentId,
    /// Number of the round, unique for the agent.
    pub round: RoundId,
}

/// Probes that the sender's own kernel refused with one errno.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SendErrors {
    /// errno, such as 101 for ENETUNREACH.
    pub errno: i32,
    /// The refused probes.
    pub probes: SequenceSet,
}

impl ProbeRound {
    /// Whether unanswered probes of this round count as loss: false for packet-size searches and load steps.
    pub fn is_plain(&self) -> bool {
        self.purpose == RoundPurpose::Connectivity
    }

    /// A round of plain echo probes with start time 0, all sent and none answered. Other rounds are built from it,
    /// mainly in tests.
    pub fn unanswered(key: RoundKey, pair: PairId, target: IpAddr, planned: u32) -> Self {
        Self {
            key,
            pair,
            target,
            protocol: Protocol::Icmp,
            request: None,
            started_at: Timestamp::from_millis(0),
            ended_at: Timestamp::from_millis(1),
            sending_ms: None,
            held_ms: None,
            payload_bytes: 56,
            purpose: RoundPurpose::Connectivity,
            planned,
            sent: SequenceSet::first(planned),
            send_errors: vec![],
            replied: SequenceSet::new(),
            late: SequenceSet::new(),
            departed: Known::default(),
            replied_on_wire: Known::default(),
            duplicates: 0,
            reordered: 0,
            strangers: vec![],
            icmp_errors: vec![],
            own_drops: 0,
            rtt: None,
            ports: None,
        }
    }
}

impl PartialOrd for SequenceSet {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SequenceSet {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ranges().cmp(other.ranges())
    }
}

/// ICMP errors that quote our probes. Senders limit their rate, so the errors classify a series of probes; their number
/// is not a number of losses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IcmpError {
    /// Sender of the errors: the source host itself, a router, or the destination.
    pub from: IpAddr,
    /// ICMP type: 3 unreachable, 5 redirect (informational), 11 time exceeded, 12 parameter problem. From an IPv6
    /// sender the ICMPv6 type: 1 unreachable, 2 packet too big, 3 time exceeded, 4 parameter problem.
    pub icmp_type: u8,
    /// ICMP code.
    pub code: u8,
    /// Number of such errors.
    pub count: u64,
}

/// Echo replies to our probes that are not valid answers: they carry no valid nonce, or come from an address other than
/// the target. Another host sends them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StrangerReply {
    /// Source address of the replies.
    pub from: IpAddr,
    /// Number of such replies.
    pub count: u64,
}

/// Round-trip times of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RttSummary {
    /// Number of replies measured.
    pub samples: u64,
    /// Shortest.
    pub min: Nanos,
    /// Mean.
    pub mean: Nanos,
    /// Median.
    pub p50: Nanos,
    /// 95th percentile.
    pub p95: Nanos,
    /// 99th percentile.
    pub p99: Nanos,
    /// Longest.
    pub max: Nanos,
    /// Mean difference of consecutive round-trip times.
    pub jitter: Nanos,
    /// Whether the receive times are kernel time stamps; otherwise they include the agent's own scheduling delay.
    pub kernel_timestamps: bool,
    /// Whether the send times are kernel time stamps too; otherwise they were read just before the probes were handed
    /// to the kernel, and the round-trip times include the time that the sender's own kernel needed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kernel_departures: bool,
}

/// One round of probes as its sender saw it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProbeRound {
    /// Identity of the round.
    pub key: RoundKey,
    /// The pair that the round belongs to.
    pub pair: PairId,
    /// The address probed.
    pub target: IpAddr,
    /// The protocol of the probes.
    pub protocol: Protocol,
    /// The request for fresh evidence that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestTag>,
    /// When the first probe was due.
    pub started_at: Timestamp,
    /// When the round was closed: all answered, or the last probe's time-out passed.
    pub ended_at: Timestamp,
    /// Milliseconds from the first probe's departure to the last one's; `None` if the agent does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_ms: Option<u64>,
    /// Milliseconds from the beginning of the round to its first probe: the budget of its link may have held it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_ms: Option<u64>,
    /// Bytes of ICMP payload.
    pub payload_bytes: u32,
    /// What the round is for; in JSON `dont_fragment` and `load_bits_per_s`.
    #[serde(flatten)]
    pub purpose: RoundPurpose,
    /// Number of probes that were due.
    pub planned: u32,
    /// Probes that the kernel accepted for sending.
    pub sent: SequenceSet,
    /// Probes that the kernel refused.
    #[serde(default)]
    pub send_errors: Vec<SendErrors>,
    /// Probes answered in time, with the right nonce and from the right address.
    pub replied: SequenceSet,
    /// Probes answered after their time-out, before the round was closed.
    #[serde(default)]
    pub late: SequenceSet,
    /// Those seen leaving an interface of the sender: behind its packet filter, its address translation and its queue
    /// disciplines. Unknown if no packet socket looked.
    #[serde(default)]
    pub departed: Known<SequenceSet>,
    /// Probes whose reply the packet socket saw arrive at an interface, whatever the sender's own guest did with it
    /// then.
    #[serde(default)]
    pub replied_on_wire: Known<SequenceSet>,
    /// Number of replies to probes that were already answered.
    #[serde(default)]
    pub duplicates: u64,
    /// Number of replies that arrived after the reply to a later probe.
    #[serde(default)]
    pub reordered: u64,
    /// Replies that are not valid answers, by sender.
    #[serde(default)]
    pub strangers: Vec<StrangerReply>,
    /// ICMP errors that quote our probes.
    #[serde(default)]
    pub icmp_errors: Vec<IcmpError>,
    /// Packets that the prober's own receive queue dropped during the round. If not zero, loss cannot be attributed.
    #[serde(default)]
    pub own_drops: u64,
    /// Round-trip times, if there was a reply.
    #[serde(default)]
    pub rtt: Option<RttSummary>,
    /// Results that only TCP and UDP rounds have; `None` for ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortFates>,
}

/// Results that a TCP or UDP round has in addition to those of an ICMP round. Every probe has its own socket and source
/// port and is one packet: answered, refused by the target, rejected by an ICMP error (in `icmp_errors`, one for each
/// such probe), or silent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct PortFates {
    /// The port probed.
    pub port: u16,
    /// Of the probes replied to, those that the target itself refused: with an RST, or for UDP with a port unreachable
    /// from its own address. The path works in both directions; either no process listens, or a filter on the target
    /// refuses in the same way.
    #[serde(default)]
    pub closed: SequenceSet,
    /// TCP probes answered only after the kernel had retransmitted the SYN: the first SYN or its answer was lost. They
    /// are neither in `replied` nor in `late`.
    #[serde(default)]
    pub resent: SequenceSet,
    /// Source port of each probe in order of the probe numbers; zero for a probe that was not sent.
    #[serde(default)]
    pub source_ports: Vec<u16>,
}

/// Probes of one round as the receiving end saw them. A round may come in parts: sets of the same round are united.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalRound {
    /// The observing agent.
    pub observer: AgentId,
    /// The round observed.
    pub key: RoundKey,
    /// Source address of the probes.
    pub from: IpAddr,
    /// Destination address of the probes.
    pub to: IpAddr,
    /// When the first probe of this part was seen.
    pub first_at: Timestamp,
    /// When the last probe of this part was seen.
    pub last_at: Timestamp,
    /// How long the observer had been watching, in milliseconds, when the first probe of this part was seen. It knows
    /// nothing of probes sent before that, so their absence is not loss. `None` if not reported.
    #[serde(default)]
    pub watching_ms: Option<u64>,
    /// The interface on which the probes arrived; empty if only the raw socket saw them.
    #[serde(default)]
    pub interface: String,
    /// Probes seen by the packet socket: they reached the interface, whatever the guest does with them.
    pub on_wire: Known<SequenceSet>,
    /// Probes seen by the raw socket: the guest's firewall and address checks let them in.
    pub accepted: Known<SequenceSet>,
    /// Probes whose echo reply was seen leaving on the interface on which they arrived.
    pub replied: Known<SequenceSet>,
    /// Probes whose echo reply was seen leaving on another interface, with that interface's name.
    #[serde(default)]
    pub replied_elsewhere: Vec<(String, SequenceSet)>,
    /// Packets that the observer's own sockets dropped meanwhile. If not zero, the absence of a probe proves nothing.
    #[serde(default)]
    pub own_drops: u64,
}

//! What agents saw of probes: rounds at the sending end, arrivals at the other.
//!
//! From *sent at A, arrived at B, answered by B, received at A* forward loss, host loss and return loss follow packet
//! by packet (`probe-engine.md` §5), as sets of sequence numbers and without synchronised clocks. An observer's own
//! drops make the round not attributable; they never become loss.

use crate::{AgentId, Known, Nanos, PairId, Protocol, RequestTag, SequenceSet, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Names one round of one prober.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoundKey {
    /// The agent that sends.
    pub agent: AgentId,
    /// Its round number, unique for the agent: milliseconds since 1970 when the agent started, shifted left by 20
    /// bits, plus a counter.
    pub round: u64,
}

/// Probes that the sender's own kernel refused, by errno.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SendErrors {
    /// errno, such as 101 for ENETUNREACH.
    pub errno: i32,
    /// Which probes.
    pub probes: SequenceSet,
}

impl ProbeRound {
    /// Whether what it loses is loss: not a search for sizes, and no load.
    pub fn is_plain(&self) -> bool {
        !self.dont_fragment && self.load_bits_per_s.is_none()
    }

    /// A round of plain echoes all of which were sent at the beginning of time and answered by nobody: what others are made
    /// from, in tests above all.
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
            payload_bytes: 56,
            dont_fragment: false,
            load_bits_per_s: None,
            planned,
            sent: SequenceSet::first(planned),
            send_errors: vec![],
            replied: SequenceSet::new(),
            late: SequenceSet::new(),
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

impl ArrivalRound {
    /// Set in the numbers of arrivals of connections.
    pub const CONNECTIONS: u64 = 1 << 63;

    /// What arrivals of connections say of a round of TCP probes: its probes by their source ports. Nothing when they are
    /// about another port or host, or none of them is the round's. Kernels take source ports in turn, so that one is not
    /// used again within the minutes in which rounds and arrivals are put together; the caller sees to that time.
    pub fn of_round(&self, round: &ProbeRound) -> Option<Self> {
        let ports =
            round.ports.as_ref().filter(|ports| round.protocol == Protocol::Tcp && self.port == Some(ports.port))?;
        if self.key.agent != round.key.agent || self.to != round.target {
            return None;
        }
        let numbers = |set: &SequenceSet| -> SequenceSet {
            let probes = (0u32..).zip(&ports.source_ports);
            probes.filter(|(_, port)| **port > 0 && set.contains((**port).into())).map(|(number, _)| number).collect()
        };
        let known = |set: &Known<SequenceSet>| match set {
            Known::Known(set) => Known::Known(numbers(set)),
            Known::Unknown(why) => Known::Unknown(why.clone()),
        };
        let (on_wire, replied) = (known(&self.on_wire), known(&self.replied));
        let replied_elsewhere: Vec<(String, SequenceSet)> = self
            .replied_elsewhere
            .iter()
            .map(|(interface, set)| (interface.clone(), numbers(set)))
            .filter(|(_, set)| !set.is_empty())
            .collect();
        let none = |set: &Known<SequenceSet>| set.known().is_none_or(SequenceSet::is_empty);
        if none(&on_wire) && none(&replied) && replied_elsewhere.is_empty() && self.own_drops == 0 {
            return None;
        }
        Some(Self { key: round.key.clone(), port: None, on_wire, replied, replied_elsewhere, ..self.clone() })
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

/// ICMP errors that quote our probes. Senders limit their rate: one classifies a series, a count of them is no loss.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IcmpError {
    /// Who sent it: the source host itself, a router, or the destination.
    pub from: IpAddr,
    /// ICMP type: 3 unreachable, 5 redirect (informational), 11 time exceeded, 12 parameter problem; from an IPv6 address
    /// that of ICMPv6: 1 unreachable, 2 packet too big, 3 time exceeded, 4 parameter problem.
    pub icmp_type: u8,
    /// ICMP code.
    pub code: u8,
    /// How many.
    pub count: u64,
}

/// Echo replies that answer our probes but bear no valid nonce: somebody else lives at that address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StrangerReply {
    /// Who sent it.
    pub from: IpAddr,
    /// How many.
    pub count: u64,
}

/// Round-trip times of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RttSummary {
    /// Replies measured.
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
    /// Mean difference of neighbouring round-trip times.
    pub jitter: Nanos,
    /// Whether the receive times are the kernel's; otherwise they include our own scheduling.
    pub kernel_timestamps: bool,
    /// Whether the send times are the kernel's too; otherwise they were read just before the probes were handed over, so
    /// that the times include what the sender's own kernel needed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kernel_departures: bool,
}

/// One round of probes as its sender saw it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProbeRound {
    /// Which round.
    pub key: RoundKey,
    /// For which pair.
    pub pair: PairId,
    /// The address probed.
    pub target: IpAddr,
    /// The protocol probed with.
    pub protocol: Protocol,
    /// The request for fresh evidence that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestTag>,
    /// When the first probe was due.
    pub started_at: Timestamp,
    /// When the round was closed: all answered, or the last probe's time-out passed.
    pub ended_at: Timestamp,
    /// Milliseconds from the first probe's departure to the last one's; none when the agent does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_ms: Option<u64>,
    /// Bytes of ICMP payload.
    pub payload_bytes: u32,
    /// Whether the probes may not be cut on the way: a round of a search for the largest packet that passes. What it
    /// loses is a matter of its size and no loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dont_fragment: bool,
    /// Set where the round is a step of a load: the bits that it offered each second. What it loses is what it was sent to
    /// find out and no loss, and so is what others lose meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_bits_per_s: Option<u64>,
    /// Probes that were due.
    pub planned: u32,
    /// Probes that the kernel took.
    pub sent: SequenceSet,
    /// Probes that it refused.
    #[serde(default)]
    pub send_errors: Vec<SendErrors>,
    /// Probes answered in time with the right nonce by the right address.
    pub replied: SequenceSet,
    /// Probes answered after their time-out, before the round was closed.
    #[serde(default)]
    pub late: SequenceSet,
    /// Probes whose reply the packet socket saw reach an interface, whatever the sender's own guest then did with it.
    #[serde(default)]
    pub replied_on_wire: Known<SequenceSet>,
    /// Replies to a probe that was answered already.
    #[serde(default)]
    pub duplicates: u64,
    /// Replies that came after the reply to a later probe.
    #[serde(default)]
    pub reordered: u64,
    /// Replies that bear no nonce of ours.
    #[serde(default)]
    pub strangers: Vec<StrangerReply>,
    /// ICMP errors that quote our probes.
    #[serde(default)]
    pub icmp_errors: Vec<IcmpError>,
    /// Packets that the prober's own receive queue dropped during the round. Not zero: loss is not attributable.
    #[serde(default)]
    pub own_drops: u64,
    /// Round-trip times, when there was a reply.
    #[serde(default)]
    pub rtt: Option<RttSummary>,
    /// What only a round of TCP or UDP tells; none for ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortFates>,
}

/// What a round of TCP or UDP tells beyond one of ICMP. Every probe has a socket and a source port of its own, and is one
/// packet: answered, refused by the target, rejected by somebody (in `icmp_errors`, one for each such probe), or silent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct PortFates {
    /// The port probed.
    pub port: u16,
    /// Of the probes replied to, those that the target itself refused: by an RST, or for UDP by a port unreachable from its
    /// own address. The path is fine both ways and nobody listens, or a filter of the target refuses in these very words.
    #[serde(default)]
    pub closed: SequenceSet,
    /// TCP probes answered only after the kernel had sent the SYN a second time: the first, or its answer, was lost. They
    /// are among neither the replied nor the late.
    #[serde(default)]
    pub resent: SequenceSet,
    /// The source port of each probe in order of its number; zero for one that was not sent.
    #[serde(default)]
    pub source_ports: Vec<u16>,
}

/// Probes of one round as the probed end saw them. May come in parts: sets of the same round are united.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalRound {
    /// The agent that observes.
    pub observer: AgentId,
    /// The round that arrives. Of connections only the agent: a SYN bears no mark of its round, and the number is the
    /// observer's own, negative as an `i64` as no round's is.
    pub key: RoundKey,
    /// Set where connections to this TCP port were looked for: then the numbers in all sets are source ports, and
    /// [`ArrivalRound::of_round`] tells what they say of a round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The address that the probes came from.
    pub from: IpAddr,
    /// The address that they were sent to.
    pub to: IpAddr,
    /// When the first of this part was seen.
    pub first_at: Timestamp,
    /// When the last was.
    pub last_at: Timestamp,
    /// How long the observer had been watching when the first of this part was seen. Of probes sent before that it
    /// knows nothing: their absence is no loss. None when it does not tell.
    #[serde(default)]
    pub watching_ms: Option<u64>,
    /// The interface that they came in by, empty when only the raw socket saw them.
    #[serde(default)]
    pub interface: String,
    /// Probes seen by the packet socket: they reached the interface, whatever the guest does with them.
    pub on_wire: Known<SequenceSet>,
    /// Probes seen by the raw socket: the guest's firewall and address checks let them in.
    pub accepted: Known<SequenceSet>,
    /// Probes whose echo reply was seen leaving by the interface that they came in by.
    pub replied: Known<SequenceSet>,
    /// Probes whose echo reply was seen leaving by another interface, with that interface's name.
    #[serde(default)]
    pub replied_elsewhere: Vec<(String, SequenceSet)>,
    /// Packets that the observer's own sockets dropped meanwhile. Not zero: absence is no proof.
    #[serde(default)]
    pub own_drops: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn round(port: u16, source_ports: &[u16]) -> ProbeRound {
        serde_json::from_value(json!({
            "key": {"agent": "a", "round": 1}, "pair": "p", "target": "10.0.0.2", "protocol": "tcp", "started_at": 1,
            "ended_at": 2, "payload_bytes": 0, "planned": 4, "sent": [[0, 3]], "replied": [],
            "ports": {"port": port, "source_ports": source_ports}
        }))
        .unwrap()
    }

    fn arrivals(on_wire: &[u32], replied: &[u32], own_drops: u64) -> ArrivalRound {
        let mut part: ArrivalRound = serde_json::from_value(json!({
            "observer": "b", "key": {"agent": "a", "round": ArrivalRound::CONNECTIONS}, "port": 443,
            "from": "10.0.0.1", "to": "10.0.0.2", "first_at": 1, "last_at": 2,
            "on_wire": {"known": []}, "accepted": {"unknown": "not_asked"}, "replied": {"known": []}
        }))
        .unwrap();
        let set = |numbers: &[u32]| Known::Known(numbers.iter().copied().collect());
        (part.on_wire, part.replied, part.own_drops) = (set(on_wire), set(replied), own_drops);
        part
    }

    #[test]
    fn connections_are_put_to_the_probes_of_their_source_ports() {
        let part = arrivals(&[40_000, 40_004, 50_000], &[40_004], 0);
        let told = part.of_round(&round(443, &[40_000, 40_002, 0, 40_004])).unwrap();
        let numbers = |set: &Known<SequenceSet>| set.known().unwrap().ranges().to_vec();
        assert_eq!((numbers(&told.on_wire), numbers(&told.replied)), (vec![(0, 0), (3, 3)], vec![(3, 3)]));
        assert_eq!((told.key.round, told.port), (1, None));
        assert_eq!(part.of_round(&round(80, &[40_000])), None, "another port");
        assert_eq!(part.of_round(&round(443, &[40_001])), None, "none of these");
        let dropped = arrivals(&[50_000], &[], 1).of_round(&round(443, &[40_001])).unwrap();
        assert!(dropped.on_wire.known().unwrap().is_empty() && dropped.own_drops == 1, "absence is no proof then");
    }
}

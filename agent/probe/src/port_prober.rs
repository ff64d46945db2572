//! State machine for TCP and UDP probes: rounds towards ports, paced, bounded, and classified.
//!
//! Decides when a probe starts, when it is given up, and what its outcome means. One probe is one packet: the I/O layer
//! reports when the kernel retransmitted a SYN, and the probe is then lost whatever the answer. An RST, or for UDP a
//! port unreachable from the target itself, is an answer: the path works in both directions and no process listens
//! there. Does not know sockets. Does not distinguish a closed port from a filter that refuses in the same way, which
//! is impossible from this end.

use crate::{
    AgentHash, NonceKey, Now, PAYLOAD_BYTES_MIN, Payload, Unsent, WhyUnsent,
    port_round::{LATE_MAX, PortFate, PortRound},
};
use pingtong_evidence::{AgentId, PairId, ProbeRound, Protocol, RequestTag, RoundId, RoundKey, RoundKind, SequenceSet};
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// Maximum number of concurrent rounds; a plan has far fewer targets.
const ROUNDS_MAX: usize = 4_096;

/// Settings that stay the same for the lifetime of the prober.
#[derive(Debug, Clone)]
pub struct PortProberSettings {
    /// The probing agent.
    pub agent: AgentId,
    /// Key of the tags that UDP probes carry.
    pub key: NonceKey,
    /// Maximum probes per second, over all targets.
    pub rate_pps_max: u32,
    /// Maximum number of probes in flight: each holds a socket.
    pub open_max: usize,
    /// When the agent started: the high part of every round number.
    pub started: Now,
}

/// One round to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOrder {
    /// The pair that the round belongs to.
    pub pair: PairId,
    /// Destination address.
    pub target: IpAddr,
    /// TCP or UDP; a round of ICMP is not started.
    pub protocol: Protocol,
    /// Destination port.
    pub port: u16,
    /// Number of probes; limited to [`SequenceSet::NUMBERS_MAX`].
    pub probes: u32,
    /// Time between two probes.
    pub spacing: Duration,
    /// Time after which a probe is given up.
    pub timeout: Duration,
    /// The request for fresh evidence that this answers.
    pub request: Option<RequestTag>,
}

/// Input of the state machine. Every outcome of a probe carries its round and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortInput {
    /// Start a round now.
    Start(PortOrder),
    /// The key of the tags changed.
    Rekey(NonceKey),
    /// The kernel accepted a probe; `at` was read just before that.
    Begun {
        /// Round of the probe.
        round: RoundId,
        /// Number of the probe in the round.
        sequence: u32,
        /// Send time on the monotonic clock.
        at: Duration,
        /// Source port of the probe.
        source_port: u16,
    },
    /// A probe was not sent.
    Unsent(Unsent),
    /// The handshake completed, or the datagram was echoed.
    Answered {
        /// Round of the probe.
        round: RoundId,
        /// Number of the probe in the round.
        sequence: u32,
        /// Time from the probe to its answer.
        took: Duration,
        /// Whether the kernel measured that time.
        by_kernel: bool,
        /// Whether the kernel had retransmitted the SYN.
        resent: bool,
    },
    /// The target itself refused the probe.
    Closed {
        /// Round of the probe.
        round: RoundId,
        /// Number of the probe in the round.
        sequence: u32,
        /// Time from the probe to its answer.
        took: Duration,
        /// Whether the kernel had retransmitted the SYN.
        resent: bool,
    },
    /// An ICMP error rejected the probe.
    Rejected {
        /// Round of the probe.
        round: RoundId,
        /// Number of the probe in the round.
        sequence: u32,
        /// Sender of the ICMP error.
        from: IpAddr,
        /// ICMP type.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
    },
    /// The kernel ended the probe without an answer.
    Silent {
        /// Round of the probe.
        round: RoundId,
        /// Number of the probe in the round.
        sequence: u32,
    },
    /// End every round now.
    Finish,
}

/// One probe to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSend {
    /// Round of the probe.
    pub round: RoundId,
    /// Number of the probe in the round.
    pub sequence: u32,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Destination address.
    pub target: IpAddr,
    /// Destination port.
    pub port: u16,
    /// Payload of a datagram; empty for TCP.
    pub payload: Vec<u8>,
}

/// Output of the state machine.
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once, never kept in numbers")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortOutput {
    /// Start this probe, then report [`PortInput::Begun`] or [`PortInput::Unsent`].
    Send(PortSend),
    /// The probe was given up: close its socket.
    GiveUp {
        /// Round of the probe.
        round: RoundId,
        /// Number of the probe in the round.
        sequence: u32,
    },
    /// A round is over; this is its result.
    Closed(ProbeRound),
}

/// State machine for TCP and UDP probes.
#[derive(Debug)]
pub struct PortProber {
    settings: PortProberSettings,
    hash: AgentHash,
    counter: u64,
    rounds: BTreeMap<RoundId, PortRound>,
    /// Earliest time of the next probe under the rate cap.
    next_token: Duration,
    given_up: VecDeque<(RoundId, u32)>,
    not_sent: u64,
}

impl PortProber {
    /// A prober without rounds.
    pub fn new(settings: PortProberSettings) -> Self {
        Self {
            hash: AgentHash::of(&settings.agent),
            counter: 0,
            rounds: BTreeMap::new(),
            next_token: Duration::ZERO,
            given_up: VecDeque::new(),
            not_sent: 0,
            settings,
        }
    }

    /// Number of probes that were due and not sent, since start.
    pub fn not_sent(&self) -> u64 {
        self.not_sent
    }

    /// Number of running rounds.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// Processes one input.
    pub fn handle(&mut self, now: Now, input: PortInput) {
        match input {
            PortInput::Start(order) => self.start(now, order),
            PortInput::Rekey(key) => self.settings.key = key,
            PortInput::Begun { round, sequence, at, source_port } => {
                if let Some(round) = self.rounds.get_mut(&round) {
                    round.begun(sequence, at, source_port);
                }
            }
            PortInput::Unsent(Unsent { round, sequence, why: WhyUnsent::Refused(errno) }) => {
                self.decide(round, sequence, PortFate::Refused(errno));
            }
            PortInput::Unsent(Unsent { round, sequence, why: WhyUnsent::NoRoom }) => {
                self.not_sent += 1;
                self.decide(round, sequence, PortFate::NotSent);
            }
            PortInput::Answered { round, sequence, took, by_kernel, resent } => {
                let fate = if resent { PortFate::Resent } else { PortFate::Answered(took.into()) };
                self.answer(round, sequence, took, by_kernel, fate);
            }
            PortInput::Closed { round, sequence, took, resent } => {
                let fate = if resent { PortFate::Resent } else { PortFate::Closed(took.into()) };
                self.answer(round, sequence, took, false, fate);
            }
            PortInput::Rejected { round, sequence, from, icmp_type, code } => {
                let Some(state) = self.rounds.get_mut(&round) else { return };
                if let Some(fate) = state.open_mut(sequence) {
                    *fate = PortFate::Rejected;
                    state.reject(from, icmp_type, code);
                }
            }
            PortInput::Silent { round, sequence } => self.decide(round, sequence, PortFate::Silent),
            PortInput::Finish => {
                for (id, round) in &mut self.rounds {
                    let due = round.probes;
                    round.probes = u32::try_from(round.fates.len()).unwrap_or(due);
                    let open: Vec<u32> = (0u32..)
                        .zip(&round.fates)
                        .filter(|(_, f)| matches!(f, PortFate::Open(_)))
                        .map(|(n, _)| n)
                        .collect();
                    for sequence in open {
                        if let Some(fate) = round.open_mut(sequence) {
                            // It was not waited for long enough to count as lost.
                            *fate = PortFate::NotSent;
                        }
                        self.given_up.push_back((*id, sequence));
                    }
                }
            }
        }
    }

    /// Returns the next action, if it is due.
    pub fn poll(&mut self, now: Now) -> Option<PortOutput> {
        self.expire(now.mono);
        if let Some((round, sequence)) = self.given_up.pop_front() {
            return Some(PortOutput::GiveUp { round, sequence });
        }
        if let Some(id) = self.rounds.iter().find(|(_, round)| round.is_over()).map(|(id, _)| *id) {
            return self.rounds.remove(&id).map(|round| PortOutput::Closed(round.close(now)));
        }
        while let Some((due, id)) = self.next_probe() {
            if due > now.mono {
                return None;
            }
            let round = self.rounds.get_mut(&id)?;
            if round.next_due().is_some_and(|due| now.mono > due.saturating_add(round.timeout)) {
                round.push(PortFate::NotSent);
                self.not_sent += 1;
                continue;
            }
            if self.open() >= self.settings.open_max || self.next_token > now.mono {
                return None;
            }
            return self.send(now.mono, id).map(PortOutput::Send);
        }
        None
    }

    /// When [`PortProber::poll`] next has something to do, if there is no input before.
    pub fn next_deadline(&self) -> Option<Duration> {
        if !self.given_up.is_empty() || self.rounds.values().any(PortRound::is_over) {
            return Some(Duration::ZERO);
        }
        let expiry = self.rounds.values().filter_map(|round| Some(round.next_expiry()?.0)).min();
        let next = self.next_probe().map(|(due, id)| {
            let given_up = self.rounds.get(&id).map_or(due, |round| due.saturating_add(round.timeout));
            match expiry {
                // A slot becomes free when an open probe expires, unless the waiting probe is skipped first.
                Some(expiry) if self.open() >= self.settings.open_max => due.max(expiry.min(given_up)),
                _ => due.max(self.next_token),
            }
        });
        [expiry, next].into_iter().flatten().min()
    }

    fn open(&self) -> usize {
        self.rounds.values().map(PortRound::open).sum()
    }

    fn next_probe(&self) -> Option<(Duration, RoundId)> {
        self.rounds.iter().filter_map(|(id, round)| Some((round.next_start()?, *id))).min()
    }

    fn start(&mut self, now: Now, order: PortOrder) {
        if self.rounds.len() >= ROUNDS_MAX || order.protocol == Protocol::Icmp {
            self.not_sent += u64::from(order.probes);
            return;
        }
        let id = RoundId::new(RoundKind::Ports, self.settings.started.wall, self.counter);
        self.counter += 1;
        let datagram = order.protocol == Protocol::Udp;
        let round = PortRound {
            key: RoundKey { agent: self.settings.agent.clone(), round: id },
            pair: order.pair,
            target: order.target,
            protocol: order.protocol,
            port: order.port,
            request: order.request,
            payload_bytes: if datagram { PAYLOAD_BYTES_MIN } else { 0 },
            probes: order.probes.min(SequenceSet::NUMBERS_MAX),
            spacing: order.spacing,
            timeout: order.timeout,
            first_due: now.mono,
            last_start: None,
            started_at: now.wall,
            fates: vec![],
            source_ports: vec![],
            kernel_times: true,
            rejections: BTreeMap::new(),
        };
        self.rounds.insert(id, round);
    }

    fn send(&mut self, now: Duration, id: RoundId) -> Option<PortSend> {
        let per_probe = Duration::from_secs(1) / self.settings.rate_pps_max.max(1);
        let round = self.rounds.get_mut(&id)?;
        let sequence = round.next_sequence()?;
        round.started(now);
        self.next_token = self.next_token.max(now.saturating_sub(LATE_MAX)).saturating_add(per_probe);
        let payload = match round.protocol {
            Protocol::Udp => {
                Payload { agent: self.hash, round: id, sequence }.encode(&self.settings.key, PAYLOAD_BYTES_MIN)
            }
            Protocol::Tcp | Protocol::Icmp => vec![],
        };
        Some(PortSend {
            round: id,
            sequence,
            protocol: round.protocol,
            target: round.target,
            port: round.port,
            payload,
        })
    }

    /// Judged by the time of the answer, if the kernel reports it, and not by the time at which it was read.
    fn answer(&mut self, round: RoundId, sequence: u32, took: Duration, by_kernel: bool, fate: PortFate) {
        let Some(state) = self.rounds.get_mut(&round) else { return };
        let in_time = took <= state.timeout;
        if let Some(open) = state.open_mut(sequence) {
            *open = if in_time || fate == PortFate::Resent { fate } else { PortFate::Late };
            state.kernel_times &= by_kernel || !in_time || fate == PortFate::Resent;
        }
    }

    fn decide(&mut self, round: RoundId, sequence: u32, fate: PortFate) {
        if let Some(open) = self.rounds.get_mut(&round).and_then(|round| round.open_mut(sequence)) {
            *open = fate;
        }
    }

    fn expire(&mut self, now: Duration) {
        for (id, round) in &mut self.rounds {
            while let Some((_, sequence)) = round.next_expiry().filter(|(at, _)| *at <= now) {
                if let Some(fate) = round.open_mut(sequence) {
                    *fate = PortFate::Silent;
                }
                self.given_up.push_back((*id, sequence));
            }
        }
    }
}

//! The machine of TCP and UDP probes: rounds towards ports, paced, bounded, and classified.
//!
//! Decides when a probe begins, when it is given up, and what its end means. One probe is one packet: the shell tells
//! when a kernel sent its SYN again, and then the probe is lost whatever the answer. An RST, or for UDP a port unreachable
//! from the target itself, is an answer: the path is fine both ways and nobody listens there. Does not know what a socket
//! is; does not tell a closed port from a filter that refuses in the same words (nobody at this end can).

use crate::{
    AgentHash, NonceKey, Now, PAYLOAD_BYTES_MIN, Payload, Unsent, WhyUnsent,
    port_round::{PortFate, PortRound},
};
use pingtong_evidence::{AgentId, PairId, ProbeRound, Protocol, RequestTag, RoundKey, SequenceSet};
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// Rounds running at a time; a plan has far fewer targets.
const ROUNDS_MAX: usize = 4_096;
/// Bits of the round counter below the start time (`RoundKey::round`).
const COUNTER_BITS: u32 = 20;
/// Set in the numbers of these rounds, so that they are never those of the same agent's rounds of echoes: milliseconds
/// since 1970, shifted by [`COUNTER_BITS`], stay below it until 2109.
const PORTS_BIT: u64 = 1 << 62;

/// What stays the same while the machine lives.
#[derive(Debug, Clone)]
pub struct PortProberSettings {
    /// Whose probes.
    pub agent: AgentId,
    /// Key of the tags that UDP probes bear.
    pub key: NonceKey,
    /// Probes per second, all targets together.
    pub rate_pps_max: u32,
    /// Probes on their way at a time: each holds a socket.
    pub open_max: usize,
    /// When the agent started: the high part of every round number.
    pub started: Now,
}

/// One round to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOrder {
    /// For which pair.
    pub pair: PairId,
    /// Whom to probe.
    pub target: IpAddr,
    /// TCP or UDP; a round of ICMP is not this machine's and is not begun.
    pub protocol: Protocol,
    /// Which port.
    pub port: u16,
    /// How many probes; cut to [`SequenceSet::NUMBERS_MAX`].
    pub probes: u32,
    /// Time between two.
    pub spacing: Duration,
    /// Time after which one is given up.
    pub timeout: Duration,
    /// The request for fresh evidence that this answers.
    pub request: Option<RequestTag>,
}

/// What happens to the machine. Every end of a probe names its round and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortInput {
    /// A round is to begin now.
    Start(PortOrder),
    /// The tags' key changed.
    Rekey(NonceKey),
    /// The kernel took a probe; `at` was read just before.
    Begun {
        /// Its round.
        round: u64,
        /// Its number.
        sequence: u32,
        /// When, on the monotonic clock.
        at: Duration,
        /// From which port.
        source_port: u16,
    },
    /// A probe did not leave.
    Unsent(Unsent),
    /// The handshake was completed, or the datagram echoed.
    Answered {
        /// Its round.
        round: u64,
        /// Its number.
        sequence: u32,
        /// How long it took.
        took: Duration,
        /// Whether the kernel measured that.
        by_kernel: bool,
        /// Whether the kernel had sent its SYN again.
        resent: bool,
    },
    /// The target itself refused.
    Closed {
        /// Its round.
        round: u64,
        /// Its number.
        sequence: u32,
        /// How long it took.
        took: Duration,
        /// Whether the kernel had sent its SYN again.
        resent: bool,
    },
    /// Somebody rejected it.
    Rejected {
        /// Its round.
        round: u64,
        /// Its number.
        sequence: u32,
        /// Who.
        from: IpAddr,
        /// ICMP type.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
    },
    /// It ended without an answer, in the kernel's own opinion.
    Silent {
        /// Its round.
        round: u64,
        /// Its number.
        sequence: u32,
    },
    /// End every round now.
    Finish,
}

/// One probe to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSend {
    /// Its round.
    pub round: u64,
    /// Its number.
    pub sequence: u32,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where to.
    pub target: IpAddr,
    /// Which port.
    pub port: u16,
    /// What a datagram carries; empty for TCP.
    pub payload: Vec<u8>,
}

/// What the machine wants.
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once, never kept in numbers")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortOutput {
    /// Begin this, then tell [`PortInput::Begun`] or [`PortInput::Unsent`].
    Send(PortSend),
    /// Its time-out passed: let go of its socket.
    GiveUp {
        /// Its round.
        round: u64,
        /// Its number.
        sequence: u32,
    },
    /// A round is over.
    Closed(ProbeRound),
}

/// The machine.
#[derive(Debug)]
pub struct PortProber {
    settings: PortProberSettings,
    hash: AgentHash,
    counter: u64,
    rounds: BTreeMap<u64, PortRound>,
    /// No probe begins before: the rate cap.
    next_token: Duration,
    given_up: VecDeque<(u64, u32)>,
    not_sent: u64,
}

impl PortProber {
    /// A machine without rounds.
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

    /// Probes that were due and not sent, since the beginning.
    pub fn not_sent(&self) -> u64 {
        self.not_sent
    }

    /// Rounds under way.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// Takes what happened.
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
                            // Nobody waited for it long enough to call it lost.
                            *fate = PortFate::NotSent;
                        }
                        self.given_up.push_back((*id, sequence));
                    }
                }
            }
        }
    }

    /// The next thing to do, if it is due.
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

    /// When [`PortProber::poll`] has something to do next, if nothing else happens.
    pub fn next_deadline(&self) -> Option<Duration> {
        if !self.given_up.is_empty() || self.rounds.values().any(PortRound::is_over) {
            return Some(Duration::ZERO);
        }
        let expiry = self.rounds.values().filter_map(|round| Some(round.next_expiry()?.0)).min();
        let next = self.next_probe().map(|(due, id)| {
            let given_up = self.rounds.get(&id).map_or(due, |round| due.saturating_add(round.timeout));
            match expiry {
                // A place gets free when one is given up, or the probe waits in vain.
                Some(expiry) if self.open() >= self.settings.open_max => due.max(expiry.min(given_up)),
                _ => due.max(self.next_token),
            }
        });
        [expiry, next].into_iter().flatten().min()
    }

    fn open(&self) -> usize {
        self.rounds.values().map(PortRound::open).sum()
    }

    fn next_probe(&self) -> Option<(Duration, u64)> {
        self.rounds.iter().filter_map(|(id, round)| Some((round.next_start()?, *id))).min()
    }

    fn start(&mut self, now: Now, order: PortOrder) {
        if self.rounds.len() >= ROUNDS_MAX || order.protocol == Protocol::Icmp {
            self.not_sent += u64::from(order.probes);
            return;
        }
        let started = u64::try_from(self.settings.started.wall.as_millis()).unwrap_or(0);
        let id = ((started << COUNTER_BITS) + self.counter) | PORTS_BIT;
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
            last_sent: None,
            started_at: now.wall,
            fates: vec![],
            source_ports: vec![],
            kernel_times: true,
            rejections: BTreeMap::new(),
        };
        self.rounds.insert(id, round);
    }

    fn send(&mut self, now: Duration, id: u64) -> Option<PortSend> {
        let per_probe = Duration::from_secs(1) / self.settings.rate_pps_max.max(1);
        let round = self.rounds.get_mut(&id)?;
        let sequence = round.next_sequence()?;
        round.push(PortFate::Open(now));
        round.last_sent = Some(now);
        self.next_token = self.next_token.max(now).saturating_add(per_probe);
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

    /// Judged by when the answer came, where the kernel tells, and not by when we got round to reading it.
    fn answer(&mut self, round: u64, sequence: u32, took: Duration, by_kernel: bool, fate: PortFate) {
        let Some(state) = self.rounds.get_mut(&round) else { return };
        let in_time = took <= state.timeout;
        if let Some(open) = state.open_mut(sequence) {
            *open = if in_time || fate == PortFate::Resent { fate } else { PortFate::Late };
            state.kernel_times &= by_kernel || !in_time || fate == PortFate::Resent;
        }
    }

    fn decide(&mut self, round: u64, sequence: u32, fate: PortFate) {
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

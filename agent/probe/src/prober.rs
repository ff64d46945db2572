//! State machine for ICMP probes: rounds towards many targets, paced, bounded, and classified.
//!
//! Decides when each probe is sent and what every packet that comes back means. Bounds: a rate cap; a window of probes
//! in flight, so that replies fit the receive buffer and own drops are impossible by construction; the number of
//! rounds, and of probes per round. A probe that the rate cap or the window holds back for a whole time-out is not
//! sent, and is counted. Rounds may share a token bucket of bits, the budget of a link: what its bucket holds back is
//! sent later, at the bucket's rate, even if the prober itself was delayed. Does not know sockets: refusals come in as
//! errno.

use crate::{
    AgentHash, NonceKey, Now, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Payload, Unsent, WhyUnsent,
    round::{Fate, Round},
    wire::{EchoKind, Heard},
};
use fastrand::Rng;
use pingtong_evidence::{
    AgentId, LinkId, PairId, ProbeRound, RequestTag, RoundId, RoundKey, RoundKind, RoundPurpose, SequenceSet,
    WhyUnknown, echo_bits,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// Maximum number of concurrent rounds: one per target and period. A plan that needs more asks for more than a period
/// can carry.
const ROUNDS_MAX: usize = 65_536;

/// How far ahead of its rate the prober may send, so that a millisecond timer can sustain thousands of probes per
/// second.
const BURST: Duration = Duration::from_millis(10);

/// How far ahead of its rate a bucket may send, so that a late wake-up costs nothing. At one fifth of 2 Mbit/s, the
/// smallest connection that is sold, this is a dozen echo probes.
const BUCKET_CREDIT: Duration = Duration::from_millis(20);

/// Settings that stay the same for the lifetime of a prober.
#[derive(Debug, Clone)]
pub struct ProberSettings {
    /// The probing agent.
    pub agent: AgentId,
    /// Key of the tags.
    pub key: NonceKey,
    /// Maximum probes per second, over all targets.
    pub rate_pps_max: u32,
    /// Maximum number of probes in flight: what the receive buffer holds.
    pub window: usize,
    /// Seed of the ICMP identifiers, so that they differ between runs.
    pub seed: u64,
    /// When the agent started: the high part of every round number.
    pub started: Now,
    /// Whether a packet socket sees replies arrive at the interface, or why not.
    pub wire: Result<(), WhyUnknown>,
}

/// Identifies a token bucket: the part of a link's budget that this agent may use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketKey {
    /// The link.
    pub link: LinkId,
    /// Whether the bucket is for rounds that answer a request; otherwise for steady rounds.
    pub fresh: bool,
}

/// One round to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundOrder {
    /// The pair that the round belongs to.
    pub pair: PairId,
    /// Destination address.
    pub target: IpAddr,
    /// Number of probes; limited to [`SequenceSet::NUMBERS_MAX`].
    pub probes: u32,
    /// Time between two probes.
    pub spacing: Duration,
    /// Time after which a probe counts as unanswered.
    pub timeout: Duration,
    /// Payload bytes after the ICMP header.
    pub payload_bytes: usize,
    /// What the round is for; probes of a size search have don't-fragment set.
    pub purpose: RoundPurpose,
    /// The token bucket that its probes are charged to; `None` if only the rate cap applies.
    pub bucket: Option<BucketKey>,
    /// The request for fresh evidence that this answers.
    pub request: Option<RequestTag>,
}

/// Input of a prober.
#[derive(Debug)]
pub enum Input<'a> {
    /// Start a round now.
    Start(RoundOrder),
    /// The key of the tags changed; replies to probes with the old key no longer verify.
    Rekey(NonceKey),
    /// The token buckets from now on, with the rate of each in bits per second. Probes of a bucket that is not among
    /// them are not sent.
    Buckets(BTreeMap<BucketKey, u64>),
    /// The kernel accepted a probe; `at` was read just before it was handed over.
    Sent {
        /// Round of the probe.
        round: RoundId,
        /// Number of the probe in the round.
        sequence: u32,
        /// Send time on the monotonic clock.
        at: Duration,
    },
    /// A probe was not sent.
    Unsent(Unsent),
    /// The raw socket received a packet.
    Heard {
        /// The packet received.
        packet: Heard<'a>,
        /// Receive time on the monotonic clock.
        at: Duration,
        /// Whether the kernel reported that time.
        stamped: bool,
    },
    /// The packet socket saw a packet. The departure of a probe is reported before its reply.
    OnWire {
        /// The packet seen.
        packet: Heard<'a>,
        /// Whether it was leaving.
        outgoing: bool,
        /// When the kernel saw it, on the monotonic clock, if known.
        at: Option<Duration>,
    },
    /// An engine that matches replies itself, and cannot show their payload, reports that a probe was answered.
    Vouched {
        /// Round of the probe.
        round: RoundId,
        /// Number of the probe in the round.
        sequence: u32,
        /// Round-trip time that the engine measured.
        rtt: Duration,
    },
    /// Such an engine reports an ICMP error.
    VouchedError {
        /// The round that the error belongs to.
        round: RoundId,
        /// Sender of the error.
        from: IpAddr,
        /// ICMP type.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
    },
    /// The receive queue dropped this many packets.
    OwnDrops(u64),
    /// End every round now.
    Finish,
}

/// One probe to hand to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendProbe {
    /// Round of the probe.
    pub round: RoundId,
    /// Number of the probe in the round.
    pub sequence: u32,
    /// Destination address.
    pub target: IpAddr,
    /// ICMP identifier.
    pub identifier: u16,
    /// ICMP sequence number: the low half of `sequence`.
    pub wire_sequence: u16,
    /// Time-out of the probe, for engines that enforce it themselves.
    pub timeout: Duration,
    /// Payload after the ICMP header.
    pub payload: Vec<u8>,
    /// Whether don't-fragment is set.
    pub dont_fragment: bool,
}

/// Output of a prober.
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once, never kept in numbers")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this probe, then report [`Input::Sent`] or [`Input::Unsent`].
    Send(SendProbe),
    /// A round is over; this is its result.
    Closed(ProbeRound),
}

/// Events that did not go as planned, counted since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Probes held back by rate or window for a whole time-out, without a token bucket, or without room in the kernel.
    pub probes_not_sent: u64,
    /// Rounds refused because too many were running.
    pub rounds_refused: u64,
    /// Replies with our tag to rounds that were already closed.
    pub after_close: u64,
}

/// Token bucket: a budget of bits that rounds share.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    bits_per_s: u64,
    /// When everything taken so far is paid off.
    paid_at: Duration,
}

impl Bucket {
    /// When the next probe may be sent.
    fn opens_at(self) -> Duration {
        self.paid_at.saturating_sub(BUCKET_CREDIT)
    }

    fn take(&mut self, now: Duration, bits: u64) {
        let nanos = bits.saturating_mul(1_000_000_000) / self.bits_per_s.max(1);
        self.paid_at = self.paid_at.max(now).saturating_add(Duration::from_nanos(nanos));
    }
}

/// State machine for ICMP probes.
#[derive(Debug)]
pub struct Prober {
    settings: ProberSettings,
    hash: AgentHash,
    random: Rng,
    counter: u64,
    rounds: BTreeMap<RoundId, Round>,
    by_identifier: BTreeMap<(u16, IpAddr), RoundId>,
    /// When each round next needs attention. An entry is checked against its round when it comes up.
    agenda: BinaryHeap<Reverse<(Duration, RoundId)>>,
    /// When each open probe expires; entries of decided probes are skipped.
    expiries: BinaryHeap<Reverse<(Duration, RoundId, u32)>>,
    in_flight: usize,
    next_token: Duration,
    buckets: BTreeMap<BucketKey, Bucket>,
    closed: VecDeque<ProbeRound>,
    counters: Counters,
}

impl Prober {
    /// A prober without rounds.
    pub fn new(settings: ProberSettings) -> Self {
        Self {
            hash: AgentHash::of(&settings.agent),
            random: Rng::with_seed(settings.seed),
            counter: 0,
            rounds: BTreeMap::new(),
            by_identifier: BTreeMap::new(),
            agenda: BinaryHeap::new(),
            expiries: BinaryHeap::new(),
            in_flight: 0,
            next_token: Duration::ZERO,
            buckets: BTreeMap::new(),
            closed: VecDeque::new(),
            counters: Counters::default(),
            settings,
        }
    }

    /// Events that did not go as planned.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Number of running rounds.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// Whether a running round answers a request for fresh evidence.
    pub fn is_waited_for(&self) -> bool {
        self.rounds.values().any(Round::is_waited_for)
    }

    /// Processes one input.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Start(order) => self.start(now, order),
            Input::Rekey(key) => self.settings.key = key,
            Input::Buckets(rates) => {
                let old = std::mem::take(&mut self.buckets);
                let bucket = |(key, bits_per_s): (BucketKey, u64)| {
                    let paid_at = old.get(&key).map_or(Duration::ZERO, |bucket| bucket.paid_at);
                    (key, Bucket { bits_per_s, paid_at })
                };
                self.buckets = rates.into_iter().map(bucket).collect();
            }
            Input::Sent { round, sequence, at } => {
                if let Some(round) = self.rounds.get_mut(&round) {
                    round.stamp(sequence, at, false);
                }
            }
            Input::Unsent(Unsent { round, sequence, why: WhyUnsent::Refused(errno) }) => {
                self.take_back(round, sequence, Fate::Refused(errno));
            }
            Input::Unsent(Unsent { round, sequence, why: WhyUnsent::NoRoom }) => {
                self.counters.probes_not_sent += 1;
                self.take_back(round, sequence, Fate::NotSent);
            }
            Input::Heard { packet, at, stamped } => self.hear(packet, at, stamped),
            Input::OnWire { packet, outgoing, at } => self.sight(packet, outgoing, at),
            Input::Vouched { round, sequence, rtt } => {
                let Some(state) = self.rounds.get_mut(&round) else { return };
                let was_open = state.answer_after(sequence, rtt);
                self.settle(round, was_open);
            }
            Input::VouchedError { round, from, icmp_type, code } => {
                if let Some(round) = self.rounds.get_mut(&round) {
                    round.error(from, icmp_type, code);
                }
            }
            Input::OwnDrops(drops) => self.rounds.values_mut().for_each(|round| round.own_drops(drops)),
            Input::Finish => {
                for id in self.rounds.keys().copied().collect::<Vec<_>>() {
                    self.close(now, id);
                }
            }
        }
    }

    /// Returns the next action, if it is due.
    pub fn poll(&mut self, now: Now) -> Option<Output> {
        self.expire(now.mono);
        loop {
            if let Some(round) = self.closed.pop_front() {
                return Some(Output::Closed(round));
            }
            let &Reverse((due, id)) = self.agenda.peek()?;
            let Some(round) = self.rounds.get_mut(&id) else {
                self.agenda.pop();
                continue;
            };
            let actual = round.next_action();
            if actual != due {
                self.agenda.pop();
                self.agenda.push(Reverse((actual, id)));
                continue;
            }
            if due > now.mono {
                return None;
            }
            let Some(sequence) = round.next_sequence() else {
                self.agenda.pop();
                self.close(now, id);
                continue;
            };
            let opens_at = round.bucket.as_ref().map(|key| self.buckets.get(key).map(|bucket| bucket.opens_at()));
            if let Some(Some(at)) = opens_at
                && at > now.mono
            {
                round.hold_until(at);
                self.agenda.pop();
                self.agenda.push(Reverse((round.next_action(), id)));
                continue;
            }
            if opens_at == Some(None) || now.mono > due.saturating_add(round.timeout) {
                round.skip();
                self.counters.probes_not_sent += 1;
                continue;
            }
            if self.in_flight >= self.settings.window || self.token_at() > now.mono {
                return None;
            }
            return Some(Output::Send(self.send(now.mono, id, sequence)?));
        }
    }

    /// When [`Prober::poll`] next has something to do, if there is no input before.
    pub fn next_deadline(&self) -> Option<Duration> {
        if !self.closed.is_empty() {
            return Some(Duration::ZERO);
        }
        let &Reverse((due, _)) = self.agenda.peek()?;
        let gate = if self.in_flight >= self.settings.window {
            self.expiries.peek().map_or(Duration::ZERO, |Reverse((at, _, _))| *at)
        } else {
            self.token_at()
        };
        Some(due.max(gate))
    }

    fn start(&mut self, now: Now, order: RoundOrder) {
        if self.rounds.len() >= ROUNDS_MAX {
            self.counters.rounds_refused += 1;
            return;
        }
        let id = self.next_round();
        let identifier = self.fresh_identifier(order.target);
        let mut round = Round::new(
            RoundKey { agent: self.settings.agent.clone(), round: id },
            order.pair,
            order.target,
            identifier,
            order.request,
            order.payload_bytes.clamp(PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX),
            order.purpose,
            order.probes.min(SequenceSet::NUMBERS_MAX),
            order.spacing,
            order.timeout,
            now,
        );
        round.bucket = order.bucket;
        self.agenda.push(Reverse((round.next_action(), id)));
        self.by_identifier.insert((identifier, order.target), id);
        self.rounds.insert(id, round);
    }

    fn send(&mut self, now: Duration, id: RoundId, sequence: u32) -> Option<SendProbe> {
        let interval = Duration::from_secs(1) / self.settings.rate_pps_max.max(1);
        self.next_token = self.next_token.max(now).saturating_add(interval);
        self.in_flight += 1;
        let round = self.rounds.get_mut(&id)?;
        if let Some(bucket) = round.bucket.as_ref().and_then(|key| self.buckets.get_mut(key)) {
            bucket.take(now, echo_bits(round.target, u32::try_from(round.payload_bytes).unwrap_or(u32::MAX)));
        }
        round.send(now);
        self.expiries.push(Reverse((now.saturating_add(round.timeout), id, sequence)));
        let payload = Payload { agent: self.hash, round: id, sequence };
        Some(SendProbe {
            round: id,
            sequence,
            target: round.target,
            identifier: round.identifier,
            wire_sequence: u16::try_from(sequence & 0xffff).unwrap_or(0),
            timeout: round.timeout,
            payload: payload.encode(&self.settings.key, round.payload_bytes),
            dont_fragment: round.purpose == RoundPurpose::PathSize,
        })
    }

    /// When the rate cap allows the next probe.
    fn token_at(&self) -> Duration {
        self.next_token.saturating_sub(BURST)
    }

    fn hear(&mut self, packet: Heard<'_>, at: Duration, stamped: bool) {
        match packet {
            Heard::Echo { kind: EchoKind::Request, .. } => {}
            Heard::Echo { kind: EchoKind::Reply, from, identifier, payload, .. } => {
                match Payload::parse(payload, &self.settings.key).filter(|payload| payload.agent == self.hash) {
                    Some(payload) => self.hear_own(payload, from, at, stamped),
                    None => {
                        if let Some(round) = self.round_of(identifier, from) {
                            round.stranger(from);
                        }
                    }
                }
            }
            Heard::Error { from, icmp_type, code, quoted_to, identifier, .. } => {
                if let Some(round) = self.round_of(identifier, quoted_to) {
                    round.error(from, icmp_type, code);
                }
            }
        }
    }

    fn sight(&mut self, packet: Heard<'_>, outgoing: bool, at: Option<Duration>) {
        let Heard::Echo { kind, from, to, payload, .. } = packet else { return };
        let (peer, left) = match (kind, outgoing) {
            (EchoKind::Reply, false) => (from, false),
            (EchoKind::Request, true) => (to, true),
            (EchoKind::Reply, true) | (EchoKind::Request, false) => return,
        };
        let Some(payload) = Payload::parse(payload, &self.settings.key).filter(|own| own.agent == self.hash) else {
            return;
        };
        let Some(round) = self.rounds.get_mut(&payload.round).filter(|round| round.target == peer) else { return };
        if !left {
            return round.reply_on_wire(payload.sequence);
        }
        round.depart(payload.sequence);
        if let Some(at) = at {
            round.stamp(payload.sequence, at, true);
        }
    }

    fn hear_own(&mut self, payload: Payload, from: IpAddr, at: Duration, stamped: bool) {
        let Some(round) = self.rounds.get_mut(&payload.round) else {
            self.counters.after_close += 1;
            return;
        };
        if round.target != from {
            round.stranger(from);
            return;
        }
        let was_open = round.answer(payload.sequence, at, stamped);
        self.settle(payload.round, was_open);
    }

    fn take_back(&mut self, id: RoundId, sequence: u32, fate: Fate) {
        let Some(round) = self.rounds.get_mut(&id) else { return };
        let was_open = round.take_back(sequence, fate);
        self.settle(id, was_open);
    }

    /// Called after a probe was decided: its place in the window is free, and the round may be over earlier than its
    /// agenda entry says.
    fn settle(&mut self, id: RoundId, was_open: bool) {
        self.in_flight -= usize::from(was_open);
        if let Some(round) = self.rounds.get(&id)
            && round.is_over(Duration::ZERO)
        {
            self.agenda.push(Reverse((Duration::ZERO, id)));
        }
    }

    fn expire(&mut self, now: Duration) {
        while let Some(&Reverse((at, id, sequence))) = self.expiries.peek() {
            if at > now {
                return;
            }
            self.expiries.pop();
            let was_open = self.rounds.get_mut(&id).is_some_and(|round| round.expire(sequence));
            self.in_flight -= usize::from(was_open);
        }
    }

    fn close(&mut self, now: Now, id: RoundId) {
        let Some(round) = self.rounds.remove(&id) else { return };
        self.in_flight -= round.open();
        self.by_identifier.remove(&(round.identifier, round.target));
        self.closed.push_back(round.close(now, &self.settings.wire));
    }

    fn round_of(&mut self, identifier: u16, target: IpAddr) -> Option<&mut Round> {
        self.rounds.get_mut(self.by_identifier.get(&(identifier, target))?)
    }

    fn next_round(&mut self) -> RoundId {
        let id = RoundId::new(RoundKind::Echo, self.settings.started.wall, self.counter);
        self.counter += 1;
        id
    }

    /// An identifier that no running round towards `target` uses: a stateful firewall keeps passing a flow that it
    /// knows.
    fn fresh_identifier(&mut self, target: IpAddr) -> u16 {
        let drawn = self.random.u16(..);
        (0..=u16::MAX)
            .map(|step| drawn.wrapping_add(step))
            .find(|&identifier| !self.by_identifier.contains_key(&(identifier, target)))
            .unwrap_or(drawn)
    }
}

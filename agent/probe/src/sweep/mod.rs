//! State machine for mass probing: any number of probes to many targets, in memory that does not grow with their
//! number.
//!
//! Decides when the next probe is sent and to which target, what it carries, and what its outcome is. Opens no socket
//! and reads no clock; times are nanoseconds and durations on the caller's monotonic clock. Invariants:
//!
//! 1. `sent = received + late + lost + excused + open`, for every target and in total; a duplicate counts only as a
//!    duplicate.
//! 2. An answer is identified by agent, run, probe number and keyed tag *and* by the probed address as its source.
//!    Identifier and ICMP sequence number only filter foreign packets early.
//! 3. A probe is given up only after everything that arrived within its time-out, and a grace period after it, has been
//!    read: see [`Sweep::drained`]. An answer that turns up even later, with a kernel time stamp that proves it was in
//!    time, reverts the loss.
//! 4. ICMP errors decide nothing: their senders limit the rate. They are counted by kind and sender, and a probe that
//!    stays unanswered and that an error referred to is lost *and* rejected.
//! 5. A packet that this host's own queue dropped may have been the answer to any probe in flight then: as many of
//!    those as packets were dropped are excused instead of lost if no answer comes.

mod answers;
mod errors;
mod figures;
mod flight;
mod pace;
mod sketch;
mod template;

pub use errors::{ErrorKind, SeriesError};
pub use figures::{RttFigures, Share, Tally, TargetFigures};
pub use pace::TICK;
pub use sketch::RELATIVE_ERROR;

use crate::{AgentHash, NonceKey, Payload};
use errors::Errors;
use figures::{Book, Total};
use flight::{Flight, Slot, State};
use pace::Pace;
use pingtong_evidence::RoundId;
use std::{collections::VecDeque, net::IpAddr, time::Duration};
use template::{Template, Varying, Version};

/// How long a probe is still waited for after its time-out: a stamped packet may lie in a kernel queue that a read of
/// the socket does not show yet.
const GRACE_NANOS: u64 = 20_000_000;
/// Time before a probe that found no room is offered again.
const ROOM_NANOS: u64 = 1_000_000;

/// Settings of a sweep.
#[derive(Debug, Clone)]
pub struct SweepSettings {
    /// Addresses to probe; at least one, without duplicates.
    pub targets: Vec<IpAddr>,
    /// Probes per target; `None` continues until [`Sweep::finish_sending`].
    pub count: Option<u64>,
    /// Time between two probes to one target; zero for no limit of this kind.
    pub period: Duration,
    /// Probes per second over all targets; 0 for as fast as the window allows.
    pub rate_pps: u32,
    /// Time within which an answer counts as received.
    pub timeout: Duration,
    /// Maximum number of probes in flight: their answers must fit the receive buffer.
    pub window: usize,
    /// Payload bytes after the ICMP header.
    pub payload_bytes: usize,
    /// The probing agent.
    pub agent: AgentHash,
    /// ICMP identifier, fresh for each run.
    pub identifier: u16,
    /// Number of the run, drawn at random.
    pub run: u32,
    /// Seed of the jitter.
    pub seed: u64,
    /// Key of the tags.
    pub key: NonceKey,
    /// Whether [`Sweep::seen_leaving`] will report when each probe left.
    pub stamps_departures: bool,
    /// Whether [`Sweep::take_fates`] is used.
    pub keeps_fates: bool,
}

/// A probe to be handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepProbe {
    /// Its number in the run.
    pub number: u64,
    /// Destination address.
    pub to: IpAddr,
}

/// What the kernel did with a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// The kernel accepted it.
    Taken,
    /// The kernel refused it, with this errno.
    Refused(i32),
    /// The kernel had no room; the probe will be offered again.
    NoRoom,
}

/// Outcome of one probe, for callers that need each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Index of the target.
    pub target: usize,
    /// Number of the probe among those to that target, from 0.
    pub sequence: u64,
    /// Send time.
    pub sent: Duration,
    /// The outcome. After `Lost` or `Excused` a second outcome may follow, if an answer arrives after all.
    pub what: What,
}

/// The outcome in a [`Fate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Answered in time, after this round-trip time.
    Received(Duration),
    /// Answered late, after this round-trip time if it is still known.
    Late(Option<Duration>),
    /// Not answered.
    Lost,
    /// Not answered, or answered by a packet that this host itself dropped.
    Excused,
    /// Refused by this host, with this errno.
    Refused(i32),
}

/// Answers and errors that are not counted for any probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Echo replies and errors with our identifier that do not belong to this run: from another pinger, or forged.
    pub foreign: u64,
    /// Genuine answers from an address that was not asked.
    pub misdirected: u64,
    /// Genuine answers to probes that the history no longer remembers: whether late or duplicate is not known.
    pub forgotten: u64,
    /// Genuine answers to probes that the kernel reported as not sent.
    pub unsent_answered: u64,
    /// Packets that this host's receive queues dropped. If not 0, losses cannot be attributed to the network.
    pub own_drops: u64,
    /// Round-trip times measured without a kernel time stamp of the departure.
    pub unstamped: u64,
    /// Probes that never found room in the kernel.
    pub unsent: u64,
}

/// State machine for mass probing.
#[derive(Debug)]
pub struct Sweep {
    order: SweepSettings,
    template: Template,
    pace: Pace,
    flight: Flight,
    books: Vec<Book>,
    /// Maximum number of entries in each target's sketch.
    entries_max: usize,
    total: Total,
    errors: Errors,
    oddities: Oddities,
    /// Indices of the targets, sorted by address.
    by_address: Vec<u32>,
    end: u64,
    /// Number of probes that are numbered and neither decided nor refused.
    outstanding: usize,
    /// Packets dropped by our own queue that have not excused a probe yet, and the first probe that left after that was
    /// known.
    excuses: u64,
    excused_before: u64,
    again: VecDeque<u64>,
    again_at: u64,
    /// Answered probes that still lack the kernel's departure time: number, send time by our own clock, arrival of the
    /// answer.
    unstamped: Vec<(u64, u64, u64)>,
    /// How many of these were there before the last reading of all queues.
    unstamped_before: usize,
    fates: Vec<Fate>,
    /// Arrival times of answers that were seen arriving and not heard yet: number and time, indexed like the slots of
    /// `flight`. Empty until one is seen.
    coming: Box<[(u64, u64)]>,
    stopped: bool,
}

impl Sweep {
    /// A sweep that has not started.
    pub fn new(order: SweepSettings) -> Self {
        let targets = order.targets.len() as u64;
        let end = order.count.map_or(u64::MAX, |count| count.saturating_mul(targets));
        let ring = (order.window.saturating_mul(2) as u64).min(end).max(2);
        let first = Payload { agent: order.agent, round: RoundId::from(0), sequence: 0 };
        let mut by_address: Vec<u32> = (0..).take(order.targets.len()).collect();
        by_address.sort_unstable_by_key(|&at| order.targets[at as usize]);
        Self {
            template: Template::new(order.identifier, first, &order.key, order.payload_bytes),
            pace: Pace::new(targets, order.period, order.rate_pps, order.seed),
            flight: Flight::new(usize::try_from(ring).unwrap_or(usize::MAX)),
            books: vec![Book::default(); order.targets.len()],
            entries_max: sketch::entries_max(order.targets.len()),
            total: Total::new(),
            errors: Errors::default(),
            oddities: Oddities::default(),
            by_address,
            end: if targets == 0 { 0 } else { end },
            outstanding: 0,
            excuses: 0,
            excused_before: 0,
            again: VecDeque::new(),
            again_at: 0,
            unstamped: vec![],
            unstamped_before: 0,
            fates: vec![],
            coming: Box::default(),
            stopped: false,
            order,
        }
    }

    /// Bytes of a probe from the ICMP header on.
    pub fn packet_bytes(&self) -> usize {
        self.template.bytes()
    }

    /// Returns the next probe if one may be sent now, written into `packet`, which must have [`Self::packet_bytes`].
    /// `fresh` means that the buffer holds no probe of this sweep yet.
    pub fn poll(&mut self, now: Duration, packet: &mut [u8], fresh: bool) -> Option<SweepProbe> {
        let now = nanos(now);
        if self.stopped {
            return None;
        }
        if !self.again.is_empty() {
            if now < self.again_at {
                return None;
            }
            let number = self.again.pop_front()?;
            return Some(self.write(number, now, packet, fresh));
        }
        let number = self.flight.next();
        if self.outstanding >= self.order.window || number >= self.end || !self.pace.take(now, number) {
            return None;
        }
        self.flight.allot();
        self.outstanding += 1;
        Some(self.write(number, now, packet, fresh))
    }

    /// Records what the kernel did with a probe that [`Self::poll`] returned.
    pub fn handed(&mut self, now: Duration, number: u64, what: Handover) {
        let target = self.target_of(number);
        let Some(slot) = self.flight.slot(number).filter(|slot| slot.state() == State::Unsent) else { return };
        match what {
            Handover::Taken => {
                slot.set_state(State::Open);
                let book = &mut self.books[target];
                (book.sent, book.open) = (book.sent + 1, book.open + 1);
                (self.total.tally.sent, self.total.tally.open) = (self.total.tally.sent + 1, self.total.tally.open + 1);
            }
            Handover::Refused(errno) => {
                slot.set_state(State::Refused);
                let sent = slot.sent();
                self.outstanding -= 1;
                self.count_refusal(target, errno);
                self.tell(number, sent, What::Refused(errno));
            }
            Handover::NoRoom => {
                self.again.push_back(number);
                self.again_at = nanos(now) + ROOM_NANOS;
            }
        }
    }

    /// Records that the kernel refused a probe that an engine had already taken.
    pub fn refused_after_all(&mut self, number: u64, errno: i32) {
        let target = self.target_of(number);
        let Some(slot) = self.flight.slot(number).filter(|slot| slot.state() == State::Open) else { return };
        slot.set_state(State::Refused);
        let sent = slot.sent();
        self.outstanding -= 1;
        let (book, total) = (&mut self.books[target], &mut self.total.tally);
        (book.sent, book.open) = (book.sent - 1, book.open - 1);
        (total.sent, total.open) = (total.sent - 1, total.open - 1);
        self.count_refusal(target, errno);
        self.tell(number, sent, What::Refused(errno));
    }

    /// Records that this host's receive queues dropped this many more packets.
    pub fn own_drops(&mut self, packets: u64) {
        self.oddities.own_drops += packets;
        self.excuses = self.excuses.saturating_add(packets);
        self.excused_before = self.flight.next();
    }

    /// Reports that everything that had arrived before `since` has been handed over: the queues were read to their end,
    /// beginning not before `since`. Only this call gives probes up.
    pub fn drained(&mut self, since: Duration) {
        for (number, sent, at) in self.unstamped.drain(..self.unstamped_before).collect::<Vec<_>>() {
            self.oddities.unstamped += 1;
            self.measure(number, sent, at);
        }
        self.unstamped_before = self.unstamped.len();
        let since = nanos(since);
        while let Some((number, slot)) = self.flight.oldest_open() {
            if slot.state() != State::Open || self.given_up_at(slot) > since {
                break;
            }
            self.expire(number);
        }
    }

    /// When [`Self::poll`] or [`Self::drained`] next has something to do; `None` if everything is decided, or if only a
    /// packet can change anything.
    pub fn next_deadline(&mut self, now: Duration) -> Option<Duration> {
        let now = nanos(now);
        let number = self.flight.next();
        let send = if self.stopped {
            None
        } else if !self.again.is_empty() {
            Some(self.again_at)
        } else if number < self.end && self.outstanding < self.order.window {
            Some(self.pace.due(now, number))
        } else {
            None
        };
        let expiry = self
            .flight
            .oldest_open()
            .filter(|(_, slot)| slot.state() == State::Open)
            .map(|(_, slot)| self.given_up_at(slot));
        send.into_iter().chain(expiry).min().map(Duration::from_nanos)
    }

    /// Sends no new probes, and waits for those in flight.
    pub fn finish_sending(&mut self) {
        self.end = self.flight.next();
        self.oddities.unsent += self.again.len() as u64;
        self.outstanding -= self.again.len();
        for number in std::mem::take(&mut self.again) {
            if let Some(slot) = self.flight.slot(number) {
                slot.set_state(State::Refused);
            }
        }
    }

    /// Sends no more and waits no more. Probes in flight stay open: their outcome cannot be known.
    pub fn stop(&mut self) {
        self.finish_sending();
        self.stopped = true;
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.stopped || (self.flight.next() >= self.end && self.outstanding == 0 && self.unstamped.is_empty())
    }

    /// Whether probes are sent as fast as possible.
    pub fn is_flat_out(&self) -> bool {
        self.pace.cell().is_none()
    }

    /// Counters over all targets.
    pub fn total(&self) -> Tally {
        self.total.tally
    }

    /// Round-trip times over all targets.
    pub fn total_rtt(&self) -> Option<RttFigures> {
        self.total.rtt()
    }

    /// The addresses, in the order of the settings.
    pub fn targets(&self) -> &[IpAddr] {
        &self.order.targets
    }

    /// Counters of one target.
    pub fn tally(&self, target: usize) -> Option<Tally> {
        self.books.get(target).map(Book::tally)
    }

    /// All results of one target except its errors.
    pub fn figures(&self, target: usize) -> Option<TargetFigures> {
        let (book, address) = (self.books.get(target)?, *self.order.targets.get(target)?);
        Some(TargetFigures { address, tally: book.tally(), rtt: book.rtt() })
    }

    /// Errors of one target, by kind and sender.
    pub fn errors_of(&self, target: usize) -> Vec<SeriesError> {
        self.errors.of(target)
    }

    /// Errors over all targets, by kind.
    pub fn errors(&self) -> Vec<(ErrorKind, u64)> {
        self.errors.by_kind()
    }

    /// Answers and errors that are not counted for any probe.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// Outcomes decided since the last call; empty unless `keeps_fates`.
    pub fn take_fates(&mut self) -> Vec<Fate> {
        std::mem::take(&mut self.fates)
    }

    fn count_refusal(&mut self, target: usize, errno: i32) {
        self.books[target].refused = self.books[target].refused.saturating_add(1);
        self.total.tally.refused += 1;
        self.errors.refused(target, errno);
    }

    fn write(&mut self, number: u64, now: u64, packet: &mut [u8], fresh: bool) -> SweepProbe {
        let to = self.order.targets[self.target_of(number)];
        let version = if to.is_ipv4() { Version::V4 } else { Version::V6 };
        let sequence = wire_sequence(self.sequence_of(number));
        let round = u64::from(self.order.run) << 32 | number >> 32;
        let varying = Varying { version, sequence, round, number: low_half(number) };
        let tag = self.template.write(packet, fresh, &self.order.key, varying);
        if let Some(slot) = self.flight.slot(number) {
            slot.tag = tag;
            slot.set_sent(now, false);
        }
        SweepProbe { number, to }
    }

    fn expire(&mut self, number: u64) {
        let target = self.target_of(number);
        let Some(slot) = self.flight.slot(number) else { return };
        let (rejected, sent) = (slot.rejected(), slot.sent());
        // An ICMP error that refers to the probe explains its fate.
        let excused = self.excuses > 0 && number < self.excused_before && !rejected;
        slot.set_state(if excused { State::Excused } else { State::Expired });
        let (book, total) = (&mut self.books[target], &mut self.total.tally);
        (book.open, total.open) = (book.open - 1, total.open - 1);
        if excused {
            self.excuses -= 1;
            (book.excused, total.excused) = (book.excused.saturating_add(1), total.excused + 1);
        } else {
            (book.lost, total.lost) = (book.lost + 1, total.lost + 1);
        }
        if rejected {
            (book.rejected, total.rejected) = (book.rejected + 1, total.rejected + 1);
        }
        self.outstanding -= 1;
        self.tell(number, sent, if excused { What::Excused } else { What::Lost });
    }

    fn given_up_at(&self, slot: Slot) -> u64 {
        slot.sent().saturating_add(nanos(self.order.timeout)).saturating_add(GRACE_NANOS)
    }

    fn tell(&mut self, number: u64, sent: u64, what: What) {
        if self.order.keeps_fates {
            let (target, sequence) = (self.target_of(number), self.sequence_of(number));
            self.fates.push(Fate { target, sequence, sent: Duration::from_nanos(sent), what });
        }
    }

    fn target_of(&self, number: u64) -> usize {
        // The remainder is below the number of targets, which is a usize; no number is given out if there are no
        // targets.
        usize::try_from(number % (self.order.targets.len() as u64).max(1)).unwrap_or_default()
    }

    fn sequence_of(&self, number: u64) -> u64 {
        number / (self.order.targets.len() as u64).max(1)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the wire has 16 bits; what is above them is known otherwise")]
fn wire_sequence(sequence: u64) -> u16 {
    sequence as u16
}

#[expect(clippy::cast_possible_truncation, reason = "the high half travels in the payload's round")]
fn low_half(number: u64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EchoKind, Heard};

    #[test]
    fn numbers_beyond_32_bits_are_told_apart() {
        let to = IpAddr::from([10, 0, 0, 2]);
        let mut sweep = Sweep::new(SweepSettings {
            targets: vec![to],
            count: None,
            period: Duration::ZERO,
            rate_pps: 0,
            timeout: Duration::from_secs(1),
            window: 4,
            payload_bytes: 56,
            agent: AgentHash(7),
            identifier: 1,
            run: 2,
            seed: 3,
            key: NonceKey::from_bytes([4; 32]),
            stamps_departures: false,
            keeps_fates: true,
        });
        sweep.flight.begin_at((1 << 32) - 2);
        let now = Duration::from_millis(1);
        let mut packet = vec![0; sweep.packet_bytes()];
        let mut payloads = vec![];
        while let Some(probe) = sweep.poll(now, &mut packet, true) {
            sweep.handed(now, probe.number, Handover::Taken);
            payloads.push(packet[8..].to_vec());
        }
        assert_eq!(payloads.len(), 4);
        let hear = |sweep: &mut Sweep, payload: &[u8]| {
            let (kind, identifier, sequence) = (EchoKind::Reply, 1, 0);
            sweep.heard(now, &Heard::Echo { kind, from: to, to, identifier, sequence, payload });
        };
        // The probe numbered 2^32 carries the same low half as the first of the run, and is not taken for it.
        let mut first = payloads[2].clone();
        first[19] = 0;
        hear(&mut sweep, &first);
        assert_eq!((sweep.total().received, sweep.oddities().foreign), (0, 1));
        for payload in &payloads {
            hear(&mut sweep, payload);
        }
        assert_eq!((sweep.total().received, sweep.total().open), (4, 0));
        let sequences: Vec<u64> = sweep.take_fates().iter().map(|fate| fate.sequence).collect();
        assert_eq!(sequences, [(1 << 32) - 2, (1 << 32) - 1, 1 << 32, (1 << 32) + 1]);
    }
}

//! What comes back to a sweep, and which probe it is about: answers, ICMP errors, and reports of when a probe left or
//! its answer arrived.
//!
//! An answer is accepted for what it proves alone: agent, run, number, keyed tag, and the address that was probed.
//! An error need not quote enough to prove anything; it is attributed to the probe whose number it quotes, or else
//! whose sequence number it quotes, and never decides a probe.

use super::{
    ErrorKind, Sweep, What,
    flight::{Past, Place, Slot, State},
    nanos, wire_sequence,
};
use crate::{EchoKind, Heard, PAYLOAD_BYTES_MIN, Payload};
use std::{net::IpAddr, time::Duration};

impl Sweep {
    /// Records when an echo request was seen leaving this host. A packet that crosses several interfaces is seen on
    /// each; the first is where it left the IP stack.
    pub fn seen_leaving(&mut self, at: Duration, packet: &Heard<'_>) {
        let Heard::Echo { kind: EchoKind::Request, payload, .. } = *packet else { return };
        let at = nanos(at);
        let Some((number, slot)) = self.seen(payload).filter(|(_, slot)| !slot.stamped()) else { return };
        slot.set_sent(at, true);
        if let Some(waiting) = self.unstamped.iter().position(|(waiting, ..)| *waiting == number) {
            let (_, _, answered) = self.unstamped.remove(waiting);
            self.unstamped_before -= usize::from(waiting < self.unstamped_before);
            self.measure(number, at, answered);
        }
    }

    /// Records when an echo reply was seen arriving at this host. This time takes precedence over the one that
    /// [`Self::heard`] reports later for the same packet. If the reply is seen several times, the first one counts.
    pub fn seen_coming(&mut self, at: Duration, packet: &Heard<'_>) {
        let Heard::Echo { kind: EchoKind::Reply, payload, .. } = *packet else { return };
        let Some((number, _)) = self.seen(payload) else { return };
        if self.coming.is_empty() {
            self.coming = vec![(u64::MAX, 0); self.flight.slots()].into_boxed_slice();
        }
        let place = &mut self.coming[self.flight.index(number)];
        if place.0 != number {
            *place = (number, nanos(at));
        }
    }

    /// The probe of a packet on an interface, if it is one of the latest and the packet is not forged.
    fn seen(&mut self, payload: &[u8]) -> Option<(u64, &mut Slot)> {
        let number = self.number_in(payload)?;
        let slot = self.flight.slot(number).filter(|slot| payload[24..32] == slot.tag.to_be_bytes())?;
        Some((number, slot))
    }

    /// Processes a packet that was received; `at` is the kernel's receive time.
    pub fn heard(&mut self, at: Duration, packet: &Heard<'_>) {
        match *packet {
            Heard::Echo { kind: EchoKind::Reply, from, identifier, payload, .. } => {
                if identifier == self.order.identifier {
                    self.answer(nanos(at), from, payload);
                }
            }
            Heard::Error { from, icmp_type, code, quoted_to, identifier, sequence, quoted_payload } => {
                if identifier == self.order.identifier {
                    let named = self.number_in(quoted_payload);
                    if named.is_none() && quoted_payload.len() >= PAYLOAD_BYTES_MIN {
                        self.oddities.foreign += 1;
                    } else {
                        self.rejection(from, icmp_type, code, quoted_to, (named, sequence));
                    }
                }
            }
            Heard::Echo { .. } => {}
        }
    }

    /// Records an answer that another engine reports, with the round-trip time that it measured.
    pub fn vouched(&mut self, number: u64, rtt: Duration) {
        let Some(slot) = self.flight.slot(number) else { return };
        let sent = slot.sent();
        slot.set_sent(sent, true);
        self.decide(number, sent.saturating_add(nanos(rtt)));
    }

    /// Records an ICMP error that another engine reports.
    pub fn vouched_error(&mut self, number: u64, from: IpAddr, icmp_type: u8, code: u8) {
        let to = self.order.targets[self.target_of(number)];
        let sequence = wire_sequence(self.sequence_of(number));
        self.rejection(from, icmp_type, code, to, (Some(number), sequence));
    }

    fn answer(&mut self, at: u64, from: IpAddr, payload: &[u8]) {
        let Some(number) = self.number_in(payload) else {
            self.oddities.foreign += 1;
            return;
        };
        let genuine = match self.flight.find(number) {
            None => false,
            Some(Place::Slot(slot)) => slot.state() != State::Unsent && payload[24..32] == slot.tag.to_be_bytes(),
            Some(Place::Past(_) | Place::Forgotten) => Payload::parse(payload, &self.order.key).is_some(),
        };
        let seen = self.coming.get(self.flight.index(number)).filter(|seen| seen.0 == number);
        let at = seen.map_or(at, |seen| seen.1);
        if !genuine {
            self.oddities.foreign += 1;
        } else if self.order.targets[self.target_of(number)] == from {
            self.decide(number, at);
        } else {
            self.oddities.misdirected += 1;
        }
    }

    /// The number that a payload of this run claims. Agent, run and number identify the probe; its tag is checked
    /// later.
    fn number_in(&self, payload: &[u8]) -> Option<u64> {
        if !Payload::marks(payload) || payload[4..12] != self.order.agent.0.to_be_bytes() {
            return None;
        }
        let word = |at: usize| payload.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        (word(12)? == self.order.run).then_some(u64::from(word(16)?) << 32 | u64::from(word(20)?))
    }

    /// Records a genuine answer of the target.
    fn decide(&mut self, number: u64, at: u64) {
        let target = self.target_of(number);
        let timeout = nanos(self.order.timeout);
        let unstampable = !self.order.stamps_departures;
        let (state, was_rejected, slot) = match self.flight.find(number) {
            Some(Place::Slot(slot)) => (slot.state(), slot.rejected(), Some(slot)),
            Some(Place::Past(Past::Answered)) => (State::Answered, false, None),
            Some(Place::Past(Past::Expired)) => (State::Expired, false, None),
            Some(Place::Past(Past::Rejected)) => (State::Expired, true, None),
            Some(Place::Past(Past::Refused)) => (State::Refused, false, None),
            Some(Place::Forgotten) | None => {
                self.oddities.forgotten += 1;
                return;
            }
        };
        match state {
            State::Open | State::Expired | State::Excused => {
                let Some(slot) = slot else {
                    self.flight.remember(number, Past::Answered);
                    self.settle(target, State::Expired, false, was_rejected);
                    self.tell(number, 0, What::Late(None));
                    return;
                };
                let sent = slot.sent();
                let in_time = at.saturating_sub(sent) <= timeout;
                slot.set_state(if in_time { State::Answered } else { State::Late });
                let measurable = slot.stamped() || unstampable;
                self.settle(target, state, in_time, was_rejected);
                if measurable {
                    self.measure(number, sent, at);
                } else {
                    self.unstamped.push((number, sent, at));
                }
            }
            State::Answered | State::Late => {
                self.books[target].duplicates = self.books[target].duplicates.saturating_add(1);
                self.total.tally.duplicates += 1;
            }
            State::Refused | State::Unsent => self.oddities.unsent_answered += 1,
        }
    }

    /// Moves one probe from open, lost or excused to received or late.
    fn settle(&mut self, target: usize, from: State, in_time: bool, was_rejected: bool) {
        let (book, total) = (&mut self.books[target], &mut self.total.tally);
        if from == State::Open {
            (book.open, total.open) = (book.open - 1, total.open - 1);
            self.outstanding -= 1;
        } else if from == State::Excused || book.lost == 0 {
            // The history does not record which of the two an old probe was.
            (book.excused, total.excused) = (book.excused.saturating_sub(1), total.excused.saturating_sub(1));
        } else {
            (book.lost, total.lost) = (book.lost - 1, total.lost - 1);
            if was_rejected {
                (book.rejected, total.rejected) = (book.rejected - 1, total.rejected - 1);
            }
        }
        if in_time {
            (book.received, total.received) = (book.received + 1, total.received + 1);
        } else {
            (book.late, total.late) = (book.late.saturating_add(1), total.late + 1);
        }
    }

    pub(super) fn measure(&mut self, number: u64, sent: u64, at: u64) {
        let rtt = at.saturating_sub(sent);
        let target = self.target_of(number);
        let difference = self.books[target].add_rtt(rtt, self.entries_max);
        self.total.add_rtt(rtt, difference);
        if self.order.keeps_fates {
            let rtt = Duration::from_nanos(rtt);
            let in_time = rtt <= self.order.timeout;
            self.tell(number, sent, if in_time { What::Received(rtt) } else { What::Late(Some(rtt)) });
        }
    }

    /// Records an ICMP error. The quoted payload identifies the probe if it was quoted, otherwise the sequence number
    /// does.
    fn rejection(&mut self, from: IpAddr, icmp_type: u8, code: u8, to: IpAddr, (named, sequence): (Option<u64>, u16)) {
        let order = &self.order;
        let Ok(at) = self.by_address.binary_search_by_key(&to, |&at| order.targets[at as usize]) else { return };
        let target = self.by_address[at] as usize;
        let Some(number) = named.or_else(|| self.number_of(target, sequence)) else { return };
        if self.target_of(number) != target {
            return;
        }
        let kind = ErrorKind::Icmp { v6: to.is_ipv6(), icmp_type, code };
        let newly_rejected = match self.flight.find(number) {
            None => return,
            Some(Place::Slot(slot)) if slot.state() == State::Unsent => return,
            Some(Place::Slot(slot)) if !kind.is_informational() && !slot.rejected() => {
                let state = slot.state();
                slot.set_rejected(matches!(state, State::Open | State::Expired));
                state == State::Expired
            }
            Some(Place::Past(Past::Expired)) if !kind.is_informational() => {
                self.flight.remember(number, Past::Rejected);
                true
            }
            _ => false,
        };
        self.errors.heard(target, from, kind);
        if newly_rejected {
            let book = &mut self.books[target];
            book.rejected = book.rejected.saturating_add(1);
            self.total.tally.rejected += 1;
        }
    }

    /// The latest probe to a target that carried this sequence number: an error need not quote more.
    fn number_of(&self, target: usize, sequence: u16) -> Option<u64> {
        let (targets, target) = (self.order.targets.len() as u64, target as u64);
        let latest = self.flight.next().checked_sub(target + 1)? / targets;
        let back = wire_sequence(latest).wrapping_sub(sequence);
        Some(latest.checked_sub(back.into())? * targets + target)
    }
}

//! Probes of the recent past: those in flight, those decided a moment ago, and two bits for each of the last two
//! million.
//!
//! Three places, by age. The ring holds the latest probes, sixteen bytes each. A probe that is still open when the ring
//! wraps moves to the stragglers, of which there are never more than the window allows. A decided probe leaves two bits
//! in the history, so that a reply that comes long after is still recognised as late or duplicate.

use std::collections::VecDeque;

/// Number of probes that the history remembers: twenty seconds at 100,000 a second, in half a mebibyte.
pub(crate) const HISTORY_PROBES: u64 = 1 << 21;

const STATE: u64 = 0b111;
const REJECTED: u64 = 0b1000;
const STAMPED: u64 = 0b1_0000;
const TIME_SHIFT: u32 = 5;

/// State of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Numbered, and not yet accepted by the kernel.
    Unsent = 0,
    /// In flight.
    Open = 1,
    Answered = 2,
    /// Not answered in time; a later answer is still accepted.
    Expired = 3,
    Late = 4,
    Refused = 5,
    /// Not answered in time while this host's own queue dropped packets; a later answer is still accepted.
    Excused = 6,
}

/// Send time, state and tag of a probe.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slot {
    word: u64,
    pub(crate) tag: u64,
}

impl Slot {
    pub(crate) fn state(self) -> State {
        match self.word & STATE {
            1 => State::Open,
            2 => State::Answered,
            3 => State::Expired,
            4 => State::Late,
            5 => State::Refused,
            6 => State::Excused,
            _ => State::Unsent,
        }
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.word = self.word & !STATE | state as u64;
    }

    /// Send time in nanoseconds on the caller's clock.
    pub(crate) fn sent(self) -> u64 {
        self.word >> TIME_SHIFT
    }

    pub(crate) fn set_sent(&mut self, nanos: u64, stamped: bool) {
        let kept = self.word & (STATE | REJECTED);
        self.word = nanos << TIME_SHIFT | kept | if stamped { STAMPED } else { 0 };
    }

    /// Whether the kernel reported the send time.
    pub(crate) fn stamped(self) -> bool {
        self.word & STAMPED != 0
    }

    pub(crate) fn rejected(self) -> bool {
        self.word & REJECTED != 0
    }

    pub(crate) fn set_rejected(&mut self, rejected: bool) {
        self.word = self.word & !REJECTED | if rejected { REJECTED } else { 0 };
    }
}

/// What the history keeps of a decided probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// Answered in time or late; the next answer is a duplicate either way.
    Answered = 0,
    Expired = 1,
    /// Expired, and an ICMP error referred to it.
    Rejected = 2,
    Refused = 3,
}

/// Where the state of a probe is kept.
#[derive(Debug)]
pub(crate) enum Place<'f> {
    Slot(&'f mut Slot),
    Past(Past),
    /// Older than what the history remembers.
    Forgotten,
}

#[derive(Debug)]
pub(crate) struct Flight {
    slots: Box<[Slot]>,
    next: u64,
    /// Every probe of the ring before this one is decided.
    oldest: u64,
    stragglers: VecDeque<(u64, Slot)>,
    history: Box<[u64]>,
}

impl Flight {
    /// A ring of at least `probes`.
    pub(crate) fn new(probes: usize) -> Self {
        Self {
            slots: vec![Slot::default(); probes.next_power_of_two()].into_boxed_slice(),
            next: 0,
            oldest: 0,
            stragglers: VecDeque::new(),
            history: vec![0; usize::try_from(HISTORY_PROBES / 32).unwrap_or(1)].into_boxed_slice(),
        }
    }

    /// The number of the next probe.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Allocates a slot for the next probe.
    pub(crate) fn allot(&mut self) -> (u64, &mut Slot) {
        let number = self.next;
        let ring = self.slots.len() as u64;
        if let Some(leaving) = number.checked_sub(ring) {
            let slot = self.slots[self.index(leaving)];
            match past_of(slot) {
                Some(past) => self.remember(leaving, past),
                None => self.stragglers.push_back((leaving, slot)),
            }
            self.oldest = self.oldest.max(leaving + 1);
        }
        self.next += 1;
        let index = self.index(number);
        self.slots[index] = Slot::default();
        (number, &mut self.slots[index])
    }

    /// Finds a probe by its number; `None` if that number has not been given out yet.
    pub(crate) fn find(&mut self, number: u64) -> Option<Place<'_>> {
        if number >= self.next {
            return None;
        }
        if number + self.slots.len() as u64 >= self.next {
            let index = self.index(number);
            return Some(Place::Slot(&mut self.slots[index]));
        }
        if let Ok(at) = self.stragglers.binary_search_by_key(&number, |(number, _)| *number) {
            return Some(Place::Slot(&mut self.stragglers[at].1));
        }
        Some(self.recall(number).map_or(Place::Forgotten, Place::Past))
    }

    pub(crate) fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        match self.find(number) {
            Some(Place::Slot(slot)) => Some(slot),
            _ => None,
        }
    }

    /// Changes what the history records of a probe.
    pub(crate) fn remember(&mut self, number: u64, past: Past) {
        if number + HISTORY_PROBES < self.next {
            return;
        }
        let (word, shift) = place_in_history(number);
        self.history[word] = self.history[word] & !(3 << shift) | (past as u64) << shift;
    }

    /// The oldest undecided probe; the stragglers that were decided before it are moved to the history.
    pub(crate) fn oldest_open(&mut self) -> Option<(u64, Slot)> {
        while let Some((number, slot)) = self.stragglers.front().copied() {
            let Some(past) = past_of(slot) else { return Some((number, slot)) };
            self.stragglers.pop_front();
            self.remember(number, past);
        }
        while self.oldest < self.next {
            let slot = self.slots[self.index(self.oldest)];
            if past_of(slot).is_none() {
                return Some((self.oldest, slot));
            }
            self.oldest += 1;
        }
        None
    }

    /// Sets the state as if all probes before this one had been answered.
    #[cfg(test)]
    pub(crate) fn begin_at(&mut self, number: u64) {
        self.slots.iter_mut().for_each(|slot| slot.set_state(State::Answered));
        (self.next, self.oldest) = (number, number);
    }

    fn recall(&self, number: u64) -> Option<Past> {
        if number + HISTORY_PROBES < self.next {
            return None;
        }
        let (word, shift) = place_in_history(number);
        Some(match self.history[word] >> shift & 3 {
            0 => Past::Answered,
            1 => Past::Expired,
            2 => Past::Rejected,
            _ => Past::Refused,
        })
    }

    /// Number of slots in the ring.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Index of a probe's slot in the ring.
    pub(crate) fn index(&self, number: u64) -> usize {
        // The remainder is below the length of a slice, which is a usize.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        let index = (number & (self.slots.len() as u64 - 1)) as usize;
        index
    }
}

fn past_of(slot: Slot) -> Option<Past> {
    match slot.state() {
        State::Unsent | State::Open => None,
        State::Answered | State::Late => Some(Past::Answered),
        State::Expired if slot.rejected() => Some(Past::Rejected),
        State::Expired | State::Excused => Some(Past::Expired),
        State::Refused => Some(Past::Refused),
    }
}

fn place_in_history(number: u64) -> (usize, u32) {
    let at = number % HISTORY_PROBES;
    // The first is below 2^21 / 32, the second below 64.
    ((at / 32) as usize, (at % 32) as u32 * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_keeps_its_parts_apart() {
        let mut slot = Slot::default();
        slot.set_state(State::Open);
        slot.set_rejected(true);
        slot.set_sent(123_456_789, true);
        assert_eq!(
            (slot.state(), slot.sent(), slot.stamped(), slot.rejected()),
            (State::Open, 123_456_789, true, true)
        );
        slot.set_state(State::Late);
        slot.set_rejected(false);
        assert_eq!(
            (slot.state(), slot.sent(), slot.stamped(), slot.rejected()),
            (State::Late, 123_456_789, true, false)
        );
        assert_eq!(size_of::<Slot>(), 16);
    }

    #[test]
    fn an_open_probe_outlives_the_ring_and_a_decided_one_leaves_its_fate() {
        let mut flight = Flight::new(4);
        for _ in 0..4 {
            flight.allot().1.set_state(State::Answered);
        }
        flight.slot(1).unwrap().set_state(State::Open);
        flight.slot(2).unwrap().set_state(State::Late);
        for _ in 0..4 {
            flight.allot().1.set_state(State::Refused);
        }
        assert_eq!(flight.oldest_open().unwrap().0, 1);
        assert!(matches!(flight.find(0), Some(Place::Past(Past::Answered))));
        assert!(matches!(flight.find(2), Some(Place::Past(Past::Answered))));
        flight.slot(1).unwrap().set_state(State::Expired);
        assert!(flight.oldest_open().is_none());
        assert!(matches!(flight.find(1), Some(Place::Past(Past::Expired))));
        assert!(matches!(flight.find(7), Some(Place::Slot(slot)) if slot.state() == State::Refused));
        assert!(flight.find(8).is_none());
    }

    #[test]
    fn what_is_too_old_is_forgotten_and_not_taken_for_another() {
        let mut flight = Flight::new(4);
        flight.allot().1.set_state(State::Expired);
        for _ in 1..HISTORY_PROBES {
            flight.allot().1.set_state(State::Answered);
        }
        assert!(matches!(flight.find(0), Some(Place::Past(Past::Expired))));
        flight.allot().1.set_state(State::Answered);
        assert!(matches!(flight.find(0), Some(Place::Forgotten)));
    }
}

//! Which probe a departure stamp is about.
//!
//! The kernel numbers the packets of a socket (`SOF_TIMESTAMPING_OPT_ID`) and tells the number beside the stamp. A
//! send that fails may have used a number up or not, depending on where it failed and on the kernel's version, so after
//! each failure the numbering is made to begin anew. A stamp that could belong to a probe from before the new beginning
//! as well as to one after it is believed for neither: no stamp is better than another probe's.

use std::collections::{BTreeSet, VecDeque};

/// Probes whose stamp is awaited. A driver that gives no stamps must not make this grow.
const WAITING_MAX: usize = 32_768;
/// Probes handed over without any stamp coming back after which there is none to be expected.
const SILENT_MAX: u64 = 64;

/// The numbering of one socket.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Number of the first probe in `waiting`.
    first: u32,
    waiting: VecDeque<Option<u64>>,
    /// Numbers of an earlier numbering whose stamps may still come.
    stale: BTreeSet<u32>,
    handed: u64,
    stamped: u64,
}

impl Departures {
    /// The kernel took a probe.
    pub(super) fn handed(&mut self, token: u64) {
        self.handed += 1;
        self.waiting.push_back(Some(token));
        if self.waiting.len() > WAITING_MAX {
            self.forget_first();
        }
    }

    /// A stamp came: whose it is.
    pub(super) fn left(&mut self, number: u32) -> Option<u64> {
        self.stamped += 1;
        let at = usize::try_from(number.wrapping_sub(self.first)).ok();
        let token = at.and_then(|at| self.waiting.get_mut(at)).and_then(Option::take);
        while let Some(None) = self.waiting.front() {
            self.forget_first();
        }
        if self.stale.remove(&number) { None } else { token }
    }

    /// The kernel's numbering begins at nought again.
    pub(super) fn restart(&mut self) {
        let first = self.first;
        let unstamped = (0u32..).zip(self.waiting.drain(..)).filter(|(_, token)| token.is_some());
        self.stale.extend(unstamped.map(|(at, _)| first.wrapping_add(at)));
        while self.stale.len() > WAITING_MAX {
            self.stale.pop_first();
        }
        self.first = 0;
    }

    /// Whether a stamp is to be read.
    pub(super) fn awaited(&self) -> bool {
        !(self.waiting.is_empty() && self.stale.is_empty())
    }

    /// Whether stamps come, or are still to be expected.
    pub(super) fn come(&self) -> bool {
        self.stamped > 0 || self.handed < SILENT_MAX
    }

    fn forget_first(&mut self) {
        self.waiting.pop_front();
        self.first = self.first.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_find_their_probes_in_any_order() {
        let mut departures = Departures::default();
        (100..104).for_each(|token| departures.handed(token));
        let found: Vec<_> = [2, 0, 1, 3, 3, 9].map(|number| departures.left(number)).to_vec();
        assert_eq!(found, [Some(102), Some(100), Some(101), Some(103), None, None]);
        departures.handed(104);
        assert_eq!(departures.left(4), Some(104));
    }

    #[test]
    fn after_a_failed_send_the_numbers_begin_anew() {
        let mut departures = Departures::default();
        departures.handed(1);
        assert_eq!(departures.left(0), Some(1));
        departures.restart();
        departures.handed(2);
        assert_eq!(departures.left(0), Some(2));
    }

    #[test]
    fn a_stamp_that_may_be_of_an_older_probe_is_believed_for_neither() {
        let mut departures = Departures::default();
        departures.handed(1);
        departures.restart();
        departures.handed(2);
        departures.handed(3);
        assert_eq!(departures.left(0), None, "the first or the second probe");
        assert_eq!(departures.left(1), Some(3));
        assert_eq!(departures.left(0), None);
    }

    #[test]
    fn a_driver_without_stamps_is_noticed_and_costs_no_memory() {
        let mut departures = Departures::default();
        assert!(departures.come());
        for token in 0..100_000 {
            departures.handed(token);
        }
        assert!(!departures.come());
        assert!(departures.waiting.len() <= WAITING_MAX);
        assert_eq!(departures.left(99_999), Some(99_999));
        assert!(departures.come());
    }
}

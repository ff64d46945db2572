//! Sets of probe sequence numbers, stored as ascending ranges.
//!
//! The sets of both ends split loss by direction exactly: *sent minus arrived* is forward loss, packet by packet,
//! without synchronised clocks. Union is idempotent and independent of order, so a report may be resent or split.

use serde::{Deserialize, Serialize};

/// Maximum number of ranges. A round of [`SequenceSet::NUMBERS_MAX`] probes with every other one lost needs no more.
const RANGES_MAX: usize = 65_536;

/// A set of sequence numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u32, u32)>", into = "Vec<(u32, u32)>")]
pub struct SequenceSet {
    /// Inclusive, ascending, with a gap of at least one number between neighbours.
    ranges: Vec<(u32, u32)>,
}

impl SequenceSet {
    /// Sequence numbers run from 0 to one less than this; a round has no more probes.
    pub const NUMBERS_MAX: u32 = 131_072;

    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The numbers `0..count`.
    pub fn first(count: u32) -> Self {
        Self { ranges: if count == 0 { vec![] } else { vec![(0, count - 1)] } }
    }

    /// Adds a number; returns false if it was already in the set.
    pub fn insert(&mut self, number: u32) -> bool {
        let at = self.ranges.partition_point(|&(_, last)| last < number);
        if self.ranges.get(at).is_some_and(|&(first, _)| first <= number) {
            return false;
        }
        let joins_left = at > 0 && self.ranges[at - 1].1.checked_add(1) == Some(number);
        let joins_right = self.ranges.get(at).is_some_and(|&(first, _)| number.checked_add(1) == Some(first));
        match (joins_left, joins_right) {
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = number,
            (false, true) => self.ranges[at].0 = number,
            (false, false) => self.ranges.insert(at, (number, number)),
        }
        true
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u32) -> bool {
        let at = self.ranges.partition_point(|&(_, last)| last < number);
        self.ranges.get(at).is_some_and(|&(first, _)| first <= number)
    }

    /// How many numbers are in the set.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(first, last)| u64::from(last - first) + 1).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Inclusive ranges, ascending.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// Numbers in this set or in `other`.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all: Vec<(u32, u32)> = self.ranges.iter().chain(&other.ranges).copied().collect();
        all.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match ranges.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => ranges.push((first, last)),
            }
        }
        Self { ranges }
    }

    /// Numbers in this set and in `other`.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut i, mut j, mut ranges) = (0, 0, vec![]);
        while let (Some(&(a, b)), Some(&(c, d))) = (self.ranges.get(i), other.ranges.get(j)) {
            if a.max(c) <= b.min(d) {
                ranges.push((a.max(c), b.min(d)));
            }
            if b < d {
                i += 1;
            } else {
                j += 1;
            }
        }
        Self { ranges }
    }

    /// How many numbers are in this set and not in `other`.
    pub fn missing_from(&self, other: &Self) -> u64 {
        self.len() - self.intersection(other).len()
    }
}

impl FromIterator<u32> for SequenceSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut set = Self::new();
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

impl TryFrom<Vec<(u32, u32)>> for SequenceSet {
    type Error = &'static str;
    fn try_from(ranges: Vec<(u32, u32)>) -> Result<Self, Self::Error> {
        if ranges.len() > RANGES_MAX {
            return Err("too many ranges of sequence numbers");
        }
        if ranges.iter().any(|&(first, last)| first > last || last >= Self::NUMBERS_MAX) {
            return Err("a range of sequence numbers is reversed or beyond the longest round");
        }
        Ok(Self::new().union(&Self { ranges }))
    }
}

impl From<SequenceSet> for Vec<(u32, u32)> {
    fn from(set: SequenceSet) -> Self {
        set.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set_of_numbers(a in proptest::collection::vec(0u32..80, 0..60), b in proptest::collection::vec(0u32..80, 0..60)) {
            let (x, y): (SequenceSet, SequenceSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            let (p, q): (BTreeSet<u32>, BTreeSet<u32>) = (a.into_iter().collect(), b.into_iter().collect());
            prop_assert_eq!(x.len(), p.len() as u64);
            prop_assert_eq!(x.missing_from(&y), p.difference(&q).count() as u64);
            prop_assert_eq!(x.union(&y), p.union(&q).copied().collect::<SequenceSet>());
            prop_assert_eq!(x.intersection(&y), p.intersection(&q).copied().collect::<SequenceSet>());
            for n in 0..80 { prop_assert_eq!(x.contains(n), p.contains(&n)); }
            let text = serde_json::to_string(&x).unwrap();
            prop_assert_eq!(serde_json::from_str::<SequenceSet>(&text).unwrap(), x);
        }
    }

    #[test]
    fn ranges_from_outside_are_put_in_order_or_refused() {
        let set: SequenceSet = serde_json::from_str("[[5,6],[0,4]]").unwrap();
        assert_eq!(set, SequenceSet::first(7));
        assert!(serde_json::from_str::<SequenceSet>("[[6,5]]").is_err());
        assert!(serde_json::from_str::<SequenceSet>("[[0,4294967295]]").is_err());
    }
}

//! Percentiles of round-trip times in little memory: counts in buckets whose bounds grow geometrically.
//!
//! A value is represented by the middle of its bucket, with an error of at most [`RELATIVE_ERROR`]. [`Sparse`] keeps
//! only the buckets that occur and suits thousands of targets; [`Dense`] keeps all and serves the total. A sparse
//! sketch that would exceed its limit doubles the width of its buckets instead, which [`Sparse::relative_error`]
//! reports.
//!
//! Not `hdrhistogram`: it keeps every bucket of its range, 10.5 KiB for times from a microsecond to a minute with two
//! digits, where [`Sparse`] takes at most 800 bytes for each of thousands of targets.

/// Maximum error of a percentile, as a share of its value.
pub const RELATIVE_ERROR: f64 = 0.01;

/// Logarithm of the ratio of two neighbouring bounds, which is (1 + e) / (1 - e) for that error.
const STEP: f64 = 0.020_000_666_706_669_435;
/// Number of buckets up to 2^64 ns.
const BUCKETS: usize = 2_220;
/// Maximum number of entries in a sparse sketch: covers a distribution from 1 to 46 without a gap.
const ENTRIES_MAX: usize = 192;
/// Minimum of that limit, however many targets share the memory: covers a range from 1 to 2.6.
const ENTRIES_MIN: usize = 48;
/// Entries of all targets together, in two mebibytes.
const ENTRIES_OF_ALL: usize = 1 << 19;
/// Entries that a sparse sketch grows by; doubling would waste half of what thousands of targets need.
pub(crate) const ENTRIES_GROWTH: usize = 8;

const COUNT_BITS: u32 = 20;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a logarithm of at least 1 over the step lies between 0 and the number of buckets"
)]
fn bucket_of(nanos: u64) -> u32 {
    ((nanos.max(1) as f64).ln() / STEP) as u32
}

/// The value that has the same relative error to both bounds of a bucket.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and the cast saturates at the largest number"
)]
fn middle_of(bucket: u32, shift: u8) -> u64 {
    let bound = |bucket: u32| (f64::from(bucket) * STEP).exp();
    let (low, high) = (bound(bucket << shift), bound((bucket + 1) << shift));
    (2.0 * low * high / (low + high)).round() as u64
}

/// How many entries each of this many sketches may have before its buckets get wider.
pub(crate) fn entries_max(sketches: usize) -> usize {
    (ENTRIES_OF_ALL / sketches.max(1)).clamp(ENTRIES_MIN, ENTRIES_MAX)
}

/// One 32-bit number for every bucket that occurs, sorted by bucket: the bucket in the high bits, the count in the low
/// ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sparse {
    /// Entries in use, followed by free space for more.
    room: Box<[u32]>,
    used: u32,
    shift: u8,
}

impl Sparse {
    pub(crate) fn add(&mut self, nanos: u64, entries_max: usize) {
        let bucket = bucket_of(nanos) >> self.shift;
        let after = self.entries().partition_point(|entry| entry >> COUNT_BITS <= bucket);
        if let Some(entry) = after.checked_sub(1).and_then(|last| self.room.get_mut(last))
            && *entry >> COUNT_BITS == bucket
            && *entry & COUNT_MAX < COUNT_MAX
        {
            *entry += 1;
            return;
        }
        // A full entry is followed by another entry of the same bucket.
        self.insert(after, bucket << COUNT_BITS | 1);
        if self.distinct_beyond(entries_max) {
            self.coarsen();
        }
    }

    /// Maximum error of a percentile of this sketch, as a share of its value.
    pub(crate) fn relative_error(&self) -> f64 {
        (STEP * f64::from(1u32 << self.shift) / 2.0).tanh()
    }

    /// The values at the given ranks, which must be in ascending order; the first value has rank 1.
    pub(crate) fn at_ranks<const N: usize>(&self, ranks: [u64; N]) -> [u64; N] {
        let counts = self.entries().iter().map(|entry| (entry >> COUNT_BITS, u64::from(entry & COUNT_MAX)));
        walk(counts, self.shift, ranks)
    }

    fn entries(&self) -> &[u32] {
        self.room.get(..self.used as usize).unwrap_or_default()
    }

    fn insert(&mut self, at: usize, entry: u32) {
        let used = self.used as usize;
        if used == self.room.len() {
            let mut room = std::mem::take(&mut self.room).into_vec();
            room.reserve_exact(ENTRIES_GROWTH);
            room.resize(used + ENTRIES_GROWTH, 0);
            self.room = room.into_boxed_slice();
        }
        self.room.copy_within(at..used, at + 1);
        self.room[at] = entry;
        self.used += 1;
    }

    fn distinct_beyond(&self, entries_max: usize) -> bool {
        // Full entries do not count: they show how much was measured, not how widely it spreads.
        self.entries().len() > entries_max
            && self.entries().iter().filter(|entry| **entry & COUNT_MAX < COUNT_MAX).count() > entries_max
    }

    fn coarsen(&mut self) {
        self.shift += 1;
        // In place: no entry moves to the right.
        let mut merged = 0_usize;
        for read in 0..self.used as usize {
            let entry = self.room[read];
            let (bucket, mut count) = (entry >> COUNT_BITS >> 1, entry & COUNT_MAX);
            let last = merged.checked_sub(1).and_then(|last| self.room.get_mut(last));
            if let Some(last) = last.filter(|last| **last >> COUNT_BITS == bucket) {
                let fits = count.min(COUNT_MAX - (*last & COUNT_MAX));
                *last += fits;
                count -= fits;
            }
            if count > 0 {
                self.room[merged] = bucket << COUNT_BITS | count;
                merged += 1;
            }
        }
        self.used = u32::try_from(merged).unwrap_or(self.used);
    }
}

/// A count for every bucket.
#[derive(Debug, Clone)]
pub(crate) struct Dense(Box<[u64]>);

impl Dense {
    pub(crate) fn new() -> Self {
        Self(vec![0; BUCKETS].into_boxed_slice())
    }

    pub(crate) fn add(&mut self, nanos: u64) {
        if let Some(count) = self.0.get_mut(bucket_of(nanos) as usize) {
            *count += 1;
        }
    }

    pub(crate) fn at_ranks<const N: usize>(&self, ranks: [u64; N]) -> [u64; N] {
        walk((0..).zip(self.0.iter().copied()), 0, ranks)
    }
}

fn walk<const N: usize>(counts: impl Iterator<Item = (u32, u64)>, shift: u8, ranks: [u64; N]) -> [u64; N] {
    let mut values = [0; N];
    let (mut at, mut passed) = (0, 0);
    for (bucket, count) in counts {
        passed += count;
        while at < N && ranks[at] <= passed {
            values[at] = middle_of(bucket, shift);
            at += 1;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn off_by(found: u64, truth: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = found.abs_diff(truth) as f64 / truth as f64;
        share
    }

    proptest! {
        #[test]
        fn percentiles_are_off_by_a_hundredth_at_most(
            mut values in proptest::collection::vec(1_000u64..40_000, 1..400)
        ) {
            let (mut sparse, mut dense) = (Sparse::default(), Dense::new());
            for &value in &values {
                sparse.add(value, ENTRIES_MAX);
                dense.add(value);
            }
            values.sort_unstable();
            let count = values.len();
            let ranks = [50, 95, 99].map(|percent| (count * percent).div_ceil(100));
            let found = sparse.at_ranks(ranks.map(|rank| rank as u64));
            prop_assert_eq!(found, dense.at_ranks(ranks.map(|rank| rank as u64)));
            for (found, rank) in found.into_iter().zip(ranks) {
                // Half a nanosecond of rounding is added.
                prop_assert!(off_by(found, values[rank - 1]) <= RELATIVE_ERROR + 0.000_5);
            }
        }
    }

    #[test]
    fn a_sketch_that_would_outgrow_its_bound_gets_coarser_and_says_so() {
        let mut sketch = Sparse::default();
        let mut value = 100.0f64;
        let mut values = vec![];
        while value < 1e11 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^64")]
            let nanos = value as u64;
            values.push(nanos);
            sketch.add(nanos, ENTRIES_MAX);
            value *= 1.01;
        }
        assert!(sketch.entries().len() <= ENTRIES_MAX && sketch.relative_error() > RELATIVE_ERROR);
        let rank = values.len().div_ceil(2);
        assert!(off_by(sketch.at_ranks([rank as u64])[0], values[rank - 1]) <= sketch.relative_error() + 0.000_5);
    }

    #[test]
    fn ten_thousand_sketches_share_two_mebibytes() {
        assert_eq!((entries_max(1), entries_max(10_000), entries_max(1_000_000)), (192, 52, 48));
        let mut sketch = Sparse::default();
        for nanos in (1_000..40_000_000u64).step_by(999) {
            sketch.add(nanos, entries_max(10_000));
        }
        assert!(sketch.room.len() <= 52 + ENTRIES_GROWTH, "{}", sketch.room.len());
    }

    #[test]
    fn counts_beyond_one_entry_are_kept() {
        let mut sketch = Sparse::default();
        for _ in 0..2_500_000 {
            sketch.add(5_000, ENTRIES_MAX);
        }
        sketch.add(9_000_000, ENTRIES_MAX);
        assert_eq!(sketch.entries().len(), 4);
        assert!(off_by(sketch.at_ranks([2_500_000])[0], 5_000) <= RELATIVE_ERROR);
        assert!(off_by(sketch.at_ranks([2_500_001])[0], 9_000_000) <= RELATIVE_ERROR);
    }

    #[test]
    fn every_number_has_a_bucket() {
        let mut dense = Dense::new();
        for value in [0, 1, u64::MAX] {
            dense.add(value);
        }
        assert_eq!(dense.0.iter().sum::<u64>(), 3);
        assert!(bucket_of(u64::MAX) < 1 << (32 - COUNT_BITS));
        assert!((RELATIVE_ERROR - Sparse::default().relative_error()).abs() < 1e-12);
    }
}

//! Counters of one target and of the whole sweep, and the figures derived from them.

use super::sketch::{Dense, RELATIVE_ERROR, Sparse};
use std::{net::IpAddr, time::Duration};

/// Counters of probes. At any time `sent = received + late + lost + excused + open`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Accepted by the kernel.
    pub sent: u64,
    /// Answered within the time-out, by the kernel's receive time.
    pub received: u64,
    /// Answered after the time-out.
    pub late: u64,
    /// Never answered, although the whole time-out was waited for.
    pub lost: u64,
    /// Not answered while this host's own queue dropped packets, each of which may have been one of these answers. Not
    /// counted as loss, since it cannot be attributed.
    pub excused: u64,
    /// In flight: neither answered nor given up.
    pub open: u64,
    /// Lost probes that an ICMP error referred to.
    pub rejected: u64,
    /// Answers beyond the first. They count as nothing else.
    pub duplicates: u64,
    /// Refused by this host's kernel; not counted in `sent`.
    pub refused: u64,
}

impl Tally {
    /// Share of lost probes among those received, late and lost; `None` if there are none.
    pub fn loss(&self) -> Option<Share> {
        Share::of(self.lost, self.received + self.late + self.lost)
    }

    /// Share of answered probes among those received, late, lost and refused; `None` if there are none.
    pub fn answered(&self) -> Option<Share> {
        Share::of(self.received + self.late, self.received + self.late + self.lost + self.refused)
    }
}

/// A share with its 95 % confidence interval (Wilson).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The measured share.
    pub rate: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Share {
    /// The share of `some` in `all`; `None` if `all` is zero.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn of(some: u64, all: u64) -> Option<Self> {
        const Z: f64 = 1.959_964;
        if all == 0 {
            return None;
        }
        let (n, rate) = (all as f64, some as f64 / all as f64);
        let scale = 1.0 + Z * Z / n;
        let middle = (rate + Z * Z / (2.0 * n)) / scale;
        let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
        // The bounds are exactly 0 or 1 if nothing or everything was counted; rounding must not change that.
        let low = if some == 0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if some == all { 1.0 } else { (middle + half).min(1.0) };
        Some(Self { rate, low, high })
    }
}

/// Figures of round-trip times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RttFigures {
    /// Number of values measured.
    pub samples: u64,
    /// Minimum, exact.
    pub min: Duration,
    /// Maximum, exact.
    pub max: Duration,
    /// Mean, exact.
    pub mean: Duration,
    /// Mean difference of consecutive values in the order of arrival, each within its target.
    pub jitter: Duration,
    /// Median by nearest rank, with an error of at most `relative_error`.
    pub p50: Duration,
    /// 95th percentile, like `p50`.
    pub p95: Duration,
    /// 99th percentile, like `p50`.
    pub p99: Duration,
    /// Maximum error of a percentile, as a share of its value.
    pub relative_error: f64,
}

/// Results of one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TargetFigures {
    /// Its address.
    pub address: IpAddr,
    /// Counters of its probes.
    pub tally: Tally,
    /// Round-trip times of the answers, late ones included; `None` if there was no answer.
    pub rtt: Option<RttFigures>,
}

/// Minimum, maximum, sum, and the sum of the differences of consecutive values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    samples: u64,
    min: u64,
    max: u64,
    sum: u64,
    differences_sum: u64,
}

impl Moments {
    /// Adds a value and its difference from the previous one.
    pub(crate) fn add(&mut self, nanos: u64, difference: Option<u64>) {
        self.min = if self.samples == 0 { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
        self.samples += 1;
        self.sum = self.sum.saturating_add(nanos);
        self.differences_sum = self.differences_sum.saturating_add(difference.unwrap_or_default());
    }

    fn ranks(&self) -> [u64; 3] {
        [50, 95, 99].map(|percent| (self.samples.saturating_mul(percent)).div_ceil(100))
    }

    fn figures(&self, percentiles: [u64; 3], differences: u64, relative_error: f64) -> Option<RttFigures> {
        let mean = self.sum.checked_div(self.samples)?;
        // Minimum and maximum are exact, and no percentile lies beyond them.
        let [p50, p95, p99] = percentiles.map(|nanos| Duration::from_nanos(nanos.clamp(self.min, self.max)));
        Some(RttFigures {
            samples: self.samples,
            min: Duration::from_nanos(self.min),
            max: Duration::from_nanos(self.max),
            mean: Duration::from_nanos(mean),
            jitter: Duration::from_nanos(self.differences_sum.checked_div(differences).unwrap_or_default()),
            p50,
            p95,
            p99,
            relative_error,
        })
    }
}

/// State of one target. The 32-bit counters saturate; the totals beside them do not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) late: u32,
    pub(crate) open: u32,
    pub(crate) excused: u32,
    pub(crate) rejected: u32,
    pub(crate) duplicates: u32,
    pub(crate) refused: u32,
    last: u64,
    moments: Moments,
    sketch: Sparse,
}

impl Book {
    /// Adds a value; returns its difference from the previous one.
    pub(crate) fn add_rtt(&mut self, nanos: u64, entries_max: usize) -> Option<u64> {
        let difference = (self.moments.samples > 0).then(|| nanos.abs_diff(self.last));
        self.last = nanos;
        self.moments.add(nanos, difference);
        self.sketch.add(nanos, entries_max);
        difference
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally {
            sent: self.sent,
            received: self.received,
            late: self.late.into(),
            lost: self.lost,
            excused: self.excused.into(),
            open: self.open.into(),
            rejected: self.rejected.into(),
            duplicates: self.duplicates.into(),
            refused: self.refused.into(),
        }
    }

    pub(crate) fn rtt(&self) -> Option<RttFigures> {
        // Every value of a target except the first has a predecessor.
        let differences = self.moments.samples.saturating_sub(1);
        self.moments.figures(self.sketch.at_ranks(self.moments.ranks()), differences, self.sketch.relative_error())
    }
}

/// State of the whole sweep.
#[derive(Debug)]
pub(crate) struct Total {
    pub(crate) tally: Tally,
    moments: Moments,
    differences: u64,
    sketch: Dense,
}

impl Total {
    pub(crate) fn new() -> Self {
        Self { tally: Tally::default(), moments: Moments::default(), differences: 0, sketch: Dense::new() }
    }

    pub(crate) fn add_rtt(&mut self, nanos: u64, difference: Option<u64>) {
        self.moments.add(nanos, difference);
        self.differences += u64::from(difference.is_some());
        self.sketch.add(nanos);
    }

    pub(crate) fn rtt(&self) -> Option<RttFigures> {
        self.moments.figures(self.sketch.at_ranks(self.moments.ranks()), self.differences, RELATIVE_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::sketch::{ENTRIES_GROWTH, entries_max};

    #[test]
    fn one_target_takes_little_memory() {
        // The address, its index by address, and the largest sketch for ten thousand targets, with the allocator's
        // overhead.
        let of_allocator = 16;
        let sketch = (entries_max(10_000) + ENTRIES_GROWTH) * size_of::<u32>() + of_allocator;
        let target = size_of::<Book>() + size_of::<IpAddr>() + size_of::<u32>() + sketch;
        assert!(size_of::<Book>() <= 120 && target <= 400, "{} {target}", size_of::<Book>());
    }

    #[test]
    fn ranks_mean_and_jitter_are_those_of_the_naive_way() {
        let mut book = Book::default();
        for nanos in (1..=100u64).rev().map(|n| n * 1_000) {
            book.add_rtt(nanos, 192);
        }
        let rtt = book.rtt().unwrap();
        assert_eq!((rtt.min, rtt.max), (Duration::from_micros(1), Duration::from_micros(100)));
        assert_eq!((rtt.samples, rtt.mean), (100, Duration::from_nanos(50_500)));
        assert_eq!(rtt.jitter, Duration::from_micros(1));
        for (found, truth) in [(rtt.p50, 50.0), (rtt.p95, 95.0), (rtt.p99, 99.0)] {
            assert!((found.as_secs_f64() * 1e6 / truth - 1.0).abs() <= 0.0101, "{found:?}");
        }
    }

    #[test]
    fn one_sample_is_exact_and_none_is_none() {
        let mut book = Book::default();
        assert_eq!(book.rtt(), None);
        book.add_rtt(7_777, 192);
        let rtt = book.rtt().unwrap();
        assert_eq!(
            (rtt.p50, rtt.p99, rtt.jitter),
            (Duration::from_nanos(7_777), Duration::from_nanos(7_777), Duration::ZERO)
        );
    }

    #[test]
    fn the_interval_holds_the_rate_and_none_of_thirty_is_not_certainty() {
        let share = Share::of(0, 30).unwrap();
        assert!((share.rate, share.low) == (0.0, 0.0) && (0.113..0.114).contains(&share.high), "{share:?}");
        let share = Share::of(5, 100).unwrap();
        assert!((0.021..0.022).contains(&share.low) && (0.111..0.112).contains(&share.high), "{share:?}");
        assert!(Share::of(3, 3).unwrap().high >= 1.0);
        assert_eq!(Share::of(0, 0), None);
    }
}

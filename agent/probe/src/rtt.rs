//! Round-trip-time arithmetic: nearest-rank percentiles, mean, and the mean difference of consecutive values.
//!
//! A round is small enough to keep every sample, so its percentiles are exact; the buckets of `hdrhistogram` would round
//! them. What is stored of a round is this summary, not a histogram.

use pingtong_evidence::{Nanos, RttSummary};

/// Summary of `samples` (in the order of the probes); `None` when there are none.
pub(crate) fn summarise(samples: &[Nanos], kernel_timestamps: bool) -> Option<RttSummary> {
    let mut sorted: Vec<u64> = samples.iter().map(|sample| sample.0).collect();
    sorted.sort_unstable();
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let rank = |percent: usize| Nanos(sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]);
    let differences = samples.windows(2).map(|pair| u128::from(pair[0].0.abs_diff(pair[1].0)));
    Some(RttSummary {
        samples: sorted.len() as u64,
        min: Nanos(min),
        mean: mean(sorted.iter().map(|&sample| u128::from(sample)), sorted.len()),
        p50: rank(50),
        p95: rank(95),
        p99: rank(99),
        max: Nanos(max),
        jitter: mean(differences, samples.len().saturating_sub(1)),
        kernel_timestamps,
        kernel_departures: false,
    })
}

fn mean(values: impl Iterator<Item = u128>, count: usize) -> Nanos {
    let sum: u128 = values.sum();
    Nanos(u64::try_from(sum / count.max(1) as u128).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_mean_and_jitter() {
        let samples: Vec<Nanos> = (1..=100).rev().map(Nanos).collect();
        let rtt = summarise(&samples, true).unwrap();
        assert_eq!((rtt.min.0, rtt.p50.0, rtt.p95.0, rtt.p99.0, rtt.max.0), (1, 50, 95, 99, 100));
        assert_eq!((rtt.samples, rtt.mean.0, rtt.jitter.0), (100, 50, 1));
    }

    #[test]
    fn one_sample_and_none() {
        let one = summarise(&[Nanos(7)], false).unwrap();
        assert_eq!((one.p50.0, one.p99.0, one.jitter.0), (7, 7, 0));
        assert_eq!(summarise(&[], true), None);
    }
}

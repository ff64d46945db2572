//! What links carried over time, from the counters of the data plane: the numbers behind CloudMonitor.
//!
//! Counters are read at the start of each minute and on every call for datapoints. The first and the last reading of
//! each minute are kept. Between readings a counter is assumed to grow linearly. The counters of a link that is set up
//! again restart from zero; this is handled. The module does not read the clock, and knows neither metrics nor the
//! owners of links.

use crate::desired::{BothWays, Carried};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Two readings a minute for a day; CloudMonitor keeps 31 days.
const READINGS_MAX: usize = 2 * 24 * 60;

/// The finest period of the metrics, in seconds.
pub(in crate::cloud) const MINUTE: i64 = 60;

struct Reading {
    at: Timestamp,
    links: BTreeMap<String, BothWays>,
}

/// Rates per second of one direction of a link over one minute, or over the observed part of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cloud) struct Rate {
    /// Start of the minute, in seconds since the epoch.
    pub(in crate::cloud) minute: i64,
    pub(in crate::cloud) bits_in: f64,
    pub(in crate::cloud) bits_out: f64,
    pub(in crate::cloud) dropped: f64,
}

#[derive(Default)]
pub(in crate::cloud) struct Meter {
    readings: VecDeque<Reading>,
    /// The counter values of the last reading, to detect a restart from zero.
    raw: BTreeMap<String, BothWays>,
}

impl Meter {
    pub(in crate::cloud) fn read(&mut self, at: Timestamp, counters: BTreeMap<String, BothWays>) {
        if self.readings.back().is_some_and(|last| last.at >= at) {
            return;
        }
        let mut links = self.readings.back().map(|last| last.links.clone()).unwrap_or_default();
        links.retain(|link, _| counters.contains_key(link));
        for (link, now) in &counters {
            let before = self.raw.get(link).copied().unwrap_or_default();
            let total = links.entry(link.clone()).or_default();
            for ((total, now), before) in total.iter_mut().zip(now).zip(&before) {
                grow(total, now, before);
            }
        }
        self.raw = counters;
        let minute = minute_of(at);
        let same = self.readings.iter().rev().take_while(|reading| minute_of(reading.at) == minute).count();
        if same > 1 {
            self.readings.pop_back();
        }
        self.readings.push_back(Reading { at, links });
        if self.readings.len() > READINGS_MAX {
            self.readings.pop_front();
        }
    }

    /// Rates of one direction of a link, minute by minute, over what was observed up to `until`. The first and the last
    /// may cover only a part of their minute.
    pub(in crate::cloud) fn rates(&self, link: &str, direction: usize, until: Timestamp) -> Vec<Rate> {
        let of_link = |reading: &Reading| reading.links.get(link).map(|both| both[direction.min(1)]);
        // At the last reading before the link appeared, it had carried nothing.
        let appeared = self.readings.iter().position(|reading| of_link(reading).is_some());
        let from = appeared.map_or(self.readings.len(), |at| at.saturating_sub(1));
        let known: Vec<(Timestamp, Carried)> =
            self.readings.iter().skip(from).map(|reading| (reading.at, of_link(reading).unwrap_or_default())).collect();
        let (Some((first, _)), Some((last, _))) = (known.first().copied(), known.last().copied()) else {
            return Vec::new();
        };
        let last = last.min(until);
        let mut rates = Vec::new();
        let mut minute = minute_of(first);
        while let Some(begin) = at_second(minute).filter(|begin| *begin < last) {
            let from = begin.max(first);
            let to = at_second(minute + MINUTE).map_or(last, |end| end.min(last));
            let seconds = to.duration_since(from).as_secs_f64();
            if seconds > 0.0 {
                let (start, end) = (total_at(&known, from), total_at(&known, to));
                let per_second = |pick: fn(&Totals) -> f64| ((pick(&end) - pick(&start)) / seconds).max(0.0);
                rates.push(Rate {
                    minute,
                    bits_in: per_second(|total| total.bytes_in * 8.0),
                    bits_out: per_second(|total| total.bytes_out * 8.0),
                    dropped: per_second(|total| total.over_grant),
                });
            }
            minute += MINUTE;
        }
        rates
    }
}

/// Adds the growth of each counter. A value below the last reading means that the counter restarted from zero.
fn grow(total: &mut Carried, now: &Carried, before: &Carried) {
    let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
    total.bytes_in += since(now.bytes_in, before.bytes_in);
    total.bytes_out += since(now.bytes_out, before.bytes_out);
    total.over_grant += since(now.over_grant, before.over_grant);
}

struct Totals {
    bytes_in: f64,
    bytes_out: f64,
    over_grant: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counters of a lab are far below 2^52")]
impl Totals {
    fn of(carried: &Carried) -> Self {
        Self {
            bytes_in: carried.bytes_in as f64,
            bytes_out: carried.bytes_out as f64,
            over_grant: carried.over_grant as f64,
        }
    }

    fn between(self, other: &Self, share: f64) -> Self {
        let mix = |one: f64, other: f64| one + (other - one) * share;
        Self {
            bytes_in: mix(self.bytes_in, other.bytes_in),
            bytes_out: mix(self.bytes_out, other.bytes_out),
            over_grant: mix(self.over_grant, other.over_grant),
        }
    }
}

fn total_at(known: &[(Timestamp, Carried)], at: Timestamp) -> Totals {
    let after = known.partition_point(|(time, _)| *time <= at);
    let before = known.get(after.saturating_sub(1)).or_else(|| known.last());
    let Some((from, start)) = before else { return Totals::of(&Carried::default()) };
    let start = Totals::of(start);
    let Some((to, end)) = known.get(after).filter(|(to, _)| to > from) else { return start };
    let share = at.duration_since(*from).as_secs_f64() / to.duration_since(*from).as_secs_f64();
    start.between(&Totals::of(end), share.clamp(0.0, 1.0))
}

fn minute_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(MINUTE) * MINUTE
}

fn at_second(second: i64) -> Option<Timestamp> {
    Timestamp::from_second(second).ok()
}

/// How long until the next minute begins.
pub(in crate::cloud) fn until_next_minute(now: Timestamp) -> SignedDuration {
    at_second(minute_of(now) + MINUTE).map_or(SignedDuration::from_secs(MINUTE), |next| next.duration_since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("time")
    }

    fn counters(bytes_in: u64, over_grant: u64) -> BTreeMap<String, BothWays> {
        let forward = Carried { bytes_in, bytes_out: bytes_in / 2, over_grant };
        BTreeMap::from([("ri-1".to_owned(), [forward, Carried::default()])])
    }

    fn meter(readings: &[(i64, u64, u64)]) -> Meter {
        let mut meter = Meter::default();
        for (second, bytes, dropped) in readings {
            meter.read(at(*second), counters(*bytes, *dropped));
        }
        meter
    }

    #[test]
    fn minutes_are_told_apart_and_the_last_is_of_what_was_watched() {
        let meter = meter(&[(630, 0, 0), (660, 3000, 60), (720, 3000, 60), (740, 3200, 80)]);
        let rates = meter.rates("ri-1", 0, at(740));
        let seen: Vec<(i64, f64, f64)> = rates.iter().map(|rate| (rate.minute, rate.bits_in, rate.dropped)).collect();
        assert_eq!(seen, [(600, 800.0, 2.0), (660, 0.0, 0.0), (720, 80.0, 1.0)]);
        assert_eq!(meter.rates("ri-1", 0, at(659)).len(), 1, "later readings are not seen as of earlier");
        assert_eq!(rates.iter().map(|rate| rate.bits_out).collect::<Vec<_>>(), [400.0, 0.0, 40.0]);
        assert!(meter.rates("ri-1", 1, at(740)).iter().all(|rate| rate.bits_in == 0.0));
        assert!(meter.rates("ri-2", 0, at(740)).is_empty());
    }

    #[test]
    fn what_crosses_the_turn_of_a_minute_is_shared_out_evenly() {
        let rates = meter(&[(600, 0, 0), (720, 1200, 0)]).rates("ri-1", 0, at(720));
        assert_eq!(rates.iter().map(|rate| rate.bits_in).collect::<Vec<_>>(), [80.0, 80.0]);
    }

    #[test]
    fn counters_that_start_anew_do_not_run_backwards() {
        let rates = meter(&[(600, 900, 0), (610, 300, 0), (620, 600, 0)]).rates("ri-1", 0, at(620));
        assert_eq!(rates.iter().map(|rate| rate.bits_in).collect::<Vec<_>>(), [240.0]);
    }

    #[test]
    fn of_each_minute_two_readings_are_kept() {
        let readings: Vec<(i64, u64, u64)> = (0..300_i64).map(|second| (second, second.unsigned_abs(), 0)).collect();
        let meter = meter(&readings);
        assert_eq!(meter.readings.len(), 10);
        assert_eq!(meter.rates("ri-1", 0, at(299)).len(), 5);
        assert_eq!(until_next_minute(at(59)).as_secs(), 1);
    }
}

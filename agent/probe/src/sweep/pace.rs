//! When the next probe is due.
//!
//! Probes go round the targets, one each, and are spread evenly: a *cell* is the time from one probe to the next, over
//! all targets. Probes due within one tick leave together, since a wake-up for each costs more than the probe. Where
//! probes are further apart than a tick, each is moved by a seeded share of its cell, so that probers started together
//! do not stay together. A prober that fell behind catches up by a quarter of its rate and in bursts of bounded size;
//! what it cannot catch up any more moves the schedule instead.

use std::time::Duration;

/// Probes due within so much of each other leave together.
pub const TICK: Duration = Duration::from_millis(1);

const TICK_NANOS: u64 = 1_000_000;
/// Probes worth so much time may leave at once, and no more than 3 ms' worth may within one tick.
const BURST_NANOS: u64 = 1_500_000;
/// Share of its cell by which a probe may come later: a tenth.
const JITTER_SHARE: u64 = 10;
/// Being later than this moves the schedule.
const LAG_NANOS_MAX: u64 = 1_000_000_000;
/// Cells are counted in 2^-20 ns, so that a million probes stay within a nanosecond.
const FRACTION_BITS: u32 = 20;

#[derive(Debug)]
pub(crate) enum Pace {
    Even(Even),
    /// As fast as the window allows; with a period of its own, each target's turn comes no sooner.
    Flat {
        targets: u64,
        period: u64,
        start: Option<u64>,
    },
}

#[derive(Debug)]
pub(crate) struct Even {
    cell: u128,
    cell_nanos: u64,
    seed: u64,
    start: u64,
    due: u128,
    started: bool,
    credit: u64,
    credit_at: u64,
}

impl Pace {
    pub(crate) fn new(targets: u64, period: Duration, rate_pps: u32, seed: u64) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        if rate_pps == 0 {
            return Self::Flat { targets, period, start: None };
        }
        let by_period = (u128::from(period) << FRACTION_BITS) / u128::from(targets.max(1));
        let by_rate = (1_000_000_000 << FRACTION_BITS) / u128::from(rate_pps);
        let cell = by_period.max(by_rate);
        let cell_nanos = u64::try_from(cell >> FRACTION_BITS).unwrap_or(u64::MAX).max(1);
        Self::Even(Even { cell, cell_nanos, seed, start: 0, due: 0, started: false, credit: 0, credit_at: 0 })
    }

    /// Whether the probe of this number, the next one, may leave now; if so it is taken to have left.
    pub(crate) fn take(&mut self, now: u64, number: u64) -> bool {
        match self {
            Self::Even(even) => even.take(now, number),
            Self::Flat { targets, period, start } => {
                let start = *start.get_or_insert(now);
                *period == 0 || now >= start + number / *targets * *period
            }
        }
    }

    /// When the probe of this number, the next one, may leave.
    pub(crate) fn due(&self, now: u64, number: u64) -> u64 {
        match self {
            Self::Even(even) => even.may_leave(now, number),
            Self::Flat { targets, period, start } => match start {
                Some(start) if *period > 0 => start + number / *targets * *period,
                _ => now,
            },
        }
    }

    /// Time from one probe to the next; none when there is no plan.
    pub(crate) fn cell(&self) -> Option<u64> {
        match self {
            Self::Even(even) => Some(even.cell_nanos),
            Self::Flat { .. } => None,
        }
    }
}

impl Even {
    fn take(&mut self, now: u64, number: u64) -> bool {
        if !self.started {
            (self.started, self.start, self.credit_at, self.credit) = (true, now, now, self.credit_max());
        }
        if now < self.due_at(number) {
            return false;
        }
        let earned = now.saturating_sub(self.credit_at);
        self.credit = self.credit.saturating_add(earned + earned / 4).min(self.credit_max());
        self.credit_at = now;
        if self.credit < self.cell_nanos {
            return false;
        }
        self.credit -= self.cell_nanos;
        let lag = now - self.due_at(number);
        if lag > LAG_NANOS_MAX {
            self.start += lag;
        }
        self.due += self.cell;
        true
    }

    fn credit_max(&self) -> u64 {
        BURST_NANOS.max(self.cell_nanos)
    }

    fn due_at(&self, number: u64) -> u64 {
        let planned = self.start + u64::try_from(self.due >> FRACTION_BITS).unwrap_or(u64::MAX);
        if self.cell_nanos < TICK_NANOS { planned } else { planned + self.jitter(number) }
    }

    /// The first probe leaves at once.
    fn jitter(&self, number: u64) -> u64 {
        if number == 0 { 0 } else { mixed(self.seed ^ number) % (self.cell_nanos / JITTER_SHARE + 1) }
    }

    fn may_leave(&self, now: u64, number: u64) -> u64 {
        if !self.started {
            return now;
        }
        let missing = self.cell_nanos.saturating_sub(self.credit);
        let affordable = if missing == 0 { 0 } else { self.credit_at + missing - missing / 5 };
        let due = self.due_at(number).max(affordable);
        if self.cell_nanos >= TICK_NANOS {
            return due;
        }
        self.start + (due - self.start).div_ceil(TICK_NANOS) * TICK_NANOS
    }
}

/// SplitMix64: neighbouring numbers give unrelated ones.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

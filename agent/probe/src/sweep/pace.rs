//! When the next probe is due.
//!
//! Probes go round the targets, one each, and are spread evenly: a *cell* is the time from one probe to the next, over
//! all targets. Probes due within one tick are sent together, since a wake-up for each costs more than three probes. If
//! probes are further apart than that, each is delayed by a seeded share of its cell, so that probers started together
//! do not stay synchronised. At most three milliseconds' worth of probes are sent at once, however late the prober
//! wakes; any further delay shifts the schedule. A policer on the path sees that much at once, and one probe more if a
//! late tick is followed by a punctual one.

use fastrand::Rng;
use std::time::Duration;

/// Probes due within this time of each other are sent together.
pub const TICK: Duration = Duration::from_millis(1);

const TICK_NANOS: u64 = 1_000_000;
/// If fewer probes than this are due in a tick, the pace waits for more of them.
const TICK_PROBES_MIN: u64 = 5;
/// The jitter of a probe is at most its cell divided by this: a tenth.
const JITTER_SHARE: u64 = 10;
/// Probes worth this much time may be sent at once; a longer delay shifts the schedule. Slow paces wait this long for a
/// tick, since there the wake-up is most of a probe's cost.
const BURST_NANOS: u64 = 3_000_000;
/// A wake-up that is late by this much does not shift the schedule yet.
const LATE_NANOS: u64 = 900_000;
/// Cells are counted in 2^-20 ns, so that the error over a million probes stays within a nanosecond.
const FRACTION_BITS: u32 = 20;

#[derive(Debug)]
pub(crate) enum Pace {
    Even(Even),
    /// As fast as the window allows; with a period, each target is probed no more often than that.
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
    random: Rng,
    /// Of the next probe. The first probe is sent without jitter.
    jitter: u64,
    start: u64,
    due: u128,
    started: bool,
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
        Self::Even(Even { cell, cell_nanos, random: Rng::with_seed(seed), jitter: 0, start: 0, due: 0, started: false })
    }

    /// Whether the next probe, with this number, may be sent now; if so, it counts as sent.
    pub(crate) fn take(&mut self, now: u64, number: u64) -> bool {
        match self {
            Self::Even(even) => even.take(now),
            Self::Flat { targets, period, start } => {
                let start = *start.get_or_insert(now);
                *period == 0 || now >= start + number / *targets * *period
            }
        }
    }

    /// When the next probe, with this number, may be sent.
    pub(crate) fn due(&self, now: u64, number: u64) -> u64 {
        match self {
            Self::Even(even) => even.may_leave(now, number),
            Self::Flat { targets, period, start } => match start {
                Some(start) if *period > 0 => start + number / *targets * *period,
                _ => now,
            },
        }
    }

    /// Time from one probe to the next; `None` if there is no schedule.
    pub(crate) fn cell(&self) -> Option<u64> {
        match self {
            Self::Even(even) => Some(even.cell_nanos),
            Self::Flat { .. } => None,
        }
    }
}

impl Even {
    fn take(&mut self, now: u64) -> bool {
        if !self.started {
            (self.started, self.start) = (true, now);
        }
        let due = self.due_at();
        if now < due {
            return false;
        }
        self.start += (now - due).saturating_sub(self.lag_max());
        self.due += self.cell;
        self.jitter = self.random.u64(..=self.cell_nanos / JITTER_SHARE);
        true
    }

    /// Maximum delay that does not shift the schedule. A probe is sent when it is due, together with those of the
    /// delay. If one probe is worth more than that, a delay of one probe is still allowed, or slow paces would never be
    /// kept.
    fn lag_max(&self) -> u64 {
        match self.beat() {
            // The next tick may follow at once.
            Beat::Tick => BURST_NANOS - TICK_NANOS - 1,
            Beat::Together(_) => BURST_NANOS / self.cell_nanos * self.cell_nanos - 1,
            Beat::Alone => {
                let jittered = self.cell_nanos + self.cell_nanos / JITTER_SHARE;
                BURST_NANOS.saturating_sub(jittered).max(self.cell_nanos)
            }
        }
    }

    fn due_at(&self) -> u64 {
        let planned = self.start + u64::try_from(self.due >> FRACTION_BITS).unwrap_or(u64::MAX);
        if self.beat() == Beat::Alone { planned + self.jitter } else { planned }
    }

    fn may_leave(&self, now: u64, number: u64) -> u64 {
        if !self.started {
            return now;
        }
        let due = self.due_at();
        match self.beat() {
            Beat::Tick => self.start + (due - self.start).div_ceil(TICK_NANOS) * TICK_NANOS,
            // The wake-up waits for the last probe of the group.
            Beat::Together(probes) => due + (probes - 1 - number % probes) * self.cell_nanos,
            Beat::Alone => due,
        }
    }

    fn beat(&self) -> Beat {
        let cell = self.cell_nanos;
        if cell * TICK_PROBES_MIN <= TICK_NANOS {
            return Beat::Tick;
        }
        match (BURST_NANOS / cell + 1).saturating_sub(LATE_NANOS.div_ceil(cell)) {
            0 | 1 => Beat::Alone,
            probes => Beat::Together(probes),
        }
    }
}

/// What is sent at one wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beat {
    /// All probes due within a tick.
    Tick,
    /// This many probes.
    Together(u64),
    /// Each probe alone, when it is due.
    Alone,
}

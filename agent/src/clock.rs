//! Reads the clocks of this host for the whole agent, and converts the kernel's timestamps to monotonic time.
//!
//! Times are offsets on a monotonic clock that starts with [`Clock::start`]. Kernel timestamps of the wall clock are
//! only converted if the wall clock was not stepped in between. The state machines get time from here; they read no
//! clock. (`ping/samples.rs` also reads the wall clock, once per run.)

#![expect(clippy::disallowed_methods, reason = "this is the shell that hands time to the machines")]

use nix::time::{ClockId, clock_gettime};
use pingtong_evidence::Timestamp;
use pingtong_probe::Now;
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Milliseconds by which the agent's wall clock runs ahead of the host's; see [`AHEAD_VARIABLE`].
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// Maximum age of a usable stamp. If a stamp is older, the wall clock was stepped between the stamp and the reading.
const STAMP_AGE_MAX: Duration = Duration::from_secs(5);
/// Maximum time by which a stamp may be newer than the reading of the clocks.
const STAMP_AFTER_MAX: Duration = Duration::from_millis(100);

/// Two clock readings count as one instant only if they took no longer than this.
const READING_MAX: Duration = Duration::from_micros(2);
const READINGS_MAX: usize = 4;
/// A larger change of the wall clock is a step, after slewing (at most 500 ppm, doubled here) is subtracted.
const STEP_MIN: Duration = Duration::from_millis(1);
const SLEW_PART: u32 = 1_000;

/// Both clocks of the host. The monotonic clock counts from the creation of this value.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    /// The kernel's reading of its monotonic clock at the origin, in nanoseconds.
    origin_nanos: u64,
}

impl Clock {
    /// Starts the monotonic clock at zero.
    pub fn start() -> Self {
        let mut best = (Instant::now(), 0, u64::MAX);
        for _ in 0..READINGS_MAX {
            let (before, origin, after) = (monotonic(), Instant::now(), monotonic());
            let took = after.saturating_sub(before);
            if took < best.2 {
                best = (origin, before + took / 2, took);
            }
        }
        Self { origin: best.0, origin_nanos: best.1 }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }

    /// Reads the monotonic clock.
    pub fn mono(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Converts a kernel reading of its monotonic clock, in nanoseconds, to this clock. `now` is a recent reading of
    /// this clock. `None` if the result is not close to `now`: in a time namespace, the kernel's clock differs from the
    /// one that this process sees.
    pub fn of_kernel(&self, nanos: u64, now: Duration) -> Option<Duration> {
        let since = Duration::from_nanos(nanos.checked_sub(self.origin_nanos)?);
        let believed = now.saturating_sub(STAMP_AGE_MAX)..=now.saturating_add(STAMP_AFTER_MAX);
        believed.contains(&since).then_some(since)
    }

    /// The Tokio instant of a monotonic reading.
    pub fn instant(&self, mono: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.origin + mono)
    }

    /// Reads both clocks at one instant, to convert the kernel's wall-clock stamps to monotonic time.
    ///
    /// The measured distance of the clocks varies by the time that passes between the two readings. While the distance
    /// may be unchanged, the one of `last` is kept, so that both stamps of one probe are converted with the same
    /// distance.
    pub fn pair(&self, last: Option<Pair>) -> Pair {
        let (mono, system, took) = self.both();
        let Some(last) = last else { return Pair { mono, system, believed: true } };
        let passed = mono.saturating_sub(last.mono);
        let expected = last.system.saturating_add(passed);
        let off = expected.abs_diff(system);
        if off <= took.max(READING_MAX) {
            return Pair { mono, system: expected, believed: true };
        }
        Pair { mono, system, believed: off <= STEP_MIN + passed / SLEW_PART }
    }

    /// Reads both clocks, again if the process was interrupted between the readings. Returns the monotonic clock, the
    /// wall clock since 1970, and how long the reading took.
    fn both(&self) -> (Duration, Duration, Duration) {
        let mut best = (Duration::ZERO, Duration::ZERO, Duration::MAX);
        for _ in 0..READINGS_MAX {
            let before = self.mono();
            let system = SystemTime::now();
            let took = self.mono().saturating_sub(before);
            if took < best.2 {
                best = (before + took / 2, system.duration_since(UNIX_EPOCH).unwrap_or_default(), took);
            }
            if took <= READING_MAX {
                break;
            }
        }
        best
    }
}

/// The kernel's monotonic clock in nanoseconds. `Instant` reads the same clock but does not expose its value.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or_default()
}

/// Both clocks at one instant.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    mono: Duration,
    /// Wall clock since 1970.
    system: Duration,
    /// False if the wall clock was stepped since the last pair: a stamp from before a step cannot be converted.
    believed: bool,
}

impl Pair {
    /// The monotonic reading.
    pub fn mono(&self) -> Duration {
        self.mono
    }

    /// Converts a stamp of the wall clock to monotonic time; `None` if the stamp cannot be trusted.
    pub fn mono_of(&self, stamp: Duration) -> Option<Duration> {
        if !self.believed {
            return None;
        }
        if let Some(age) = self.system.checked_sub(stamp) {
            return (age <= STAMP_AGE_MAX).then(|| self.mono.saturating_sub(age));
        }
        // The stamp is newer than the reading, since the clocks are read before the packets.
        let after = stamp.saturating_sub(self.system);
        (after <= STAMP_AFTER_MAX).then(|| self.mono.saturating_add(after))
    }
}

/// The wall clock, ahead of the host's by what [`put_ahead`] set.
pub fn wall() -> Timestamp {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(millis.saturating_add(AHEAD_MS.load(Ordering::Relaxed)))
}

/// Environment variable with the milliseconds by which the lab puts an agent's clock ahead: it has one machine, and so
/// one clock.
pub const AHEAD_VARIABLE: &str = "PINGTONG_LAB_CLOCK_AHEAD_MS";

/// Puts [`wall`] ahead of the host's clock for the life of the process.
pub fn put_ahead(millis: i64) {
    AHEAD_MS.store(millis, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_turned_by_the_distance_of_the_clocks() {
        let pair = Pair { mono: Duration::from_secs(10), system: Duration::from_secs(1_000), believed: true };
        assert_eq!(pair.mono_of(Duration::from_millis(999_750)), Some(Duration::from_millis(9_750)));
        assert_eq!(pair.mono_of(Duration::from_millis(1_000_050)), Some(Duration::from_millis(10_050)));
        for unbelievable in [990_000, 1_000_500] {
            assert_eq!(pair.mono_of(Duration::from_millis(unbelievable)), None, "{unbelievable}");
        }
        assert_eq!(Pair { believed: false, ..pair }.mono_of(Duration::from_millis(999_750)), None);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_noticed_and_forgotten() {
        let clock = Clock::start();
        let first = clock.pair(None);
        assert!(clock.pair(Some(first)).believed);
        let stepped = Pair { system: first.system + Duration::from_millis(1_500), ..first };
        let after = clock.pair(Some(stepped));
        assert!(!after.believed);
        assert!(clock.pair(Some(after)).believed);
    }

    #[test]
    fn two_stamps_of_one_probe_are_turned_by_the_same_distance() {
        let clock = Clock::start();
        let mut pair = clock.pair(None);
        let distance = |pair: &Pair| pair.system.abs_diff(pair.mono);
        let first = distance(&pair);
        // The tolerance is the error of a reading; it does not cover drift over hours.
        for _ in 0..100 {
            pair = clock.pair(Some(pair));
        }
        assert!(distance(&pair).abs_diff(first) <= Duration::from_micros(200), "{:?}", distance(&pair).abs_diff(first));
    }
}

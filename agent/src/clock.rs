//! The one place that reads the clocks of this host.

#![expect(clippy::disallowed_methods, reason = "this is the shell that hands time to the machines")]

use nix::sys::time::TimeSpec;
use pingtong_evidence::Timestamp;
use pingtong_probe::Now;
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How far the wall clock is put ahead of the host's, in milliseconds; see `clock_ahead_ms` in the settings.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// A receive stamp older than this is not believed: the wall clock was stepped between stamp and reading.
const STAMP_AGE_MAX: Duration = Duration::from_secs(5);

/// Two readings that took longer than this are not of one instant.
const READING_MAX: Duration = Duration::from_micros(2);
const READINGS_MAX: usize = 4;

/// Both clocks of the host, the monotonic one counted from when this was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts counting.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }

    /// The monotonic clock.
    pub fn mono(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The tokio instant of a monotonic reading.
    pub fn instant(&self, mono: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.origin + mono)
    }

    /// Both clocks at one instant: read again when we were interrupted between the readings.
    fn both(&self) -> (Duration, SystemTime) {
        let mut best = (Duration::MAX, self.mono(), SystemTime::now());
        for _ in 0..READINGS_MAX {
            let before = self.mono();
            let system = SystemTime::now();
            let took = self.mono().saturating_sub(before);
            if took < best.0 {
                best = (took, before + took / 2, system);
            }
            if took <= READING_MAX {
                break;
            }
        }
        (best.1, best.2)
    }

    /// When a packet came, on the monotonic clock, and whether the kernel told.
    pub fn received(&self, stamp: Option<TimeSpec>) -> (Duration, bool) {
        let (mono, system) = self.both();
        let age = stamp.and_then(|stamp| {
            let stamp = Duration::new(u64::try_from(stamp.tv_sec()).ok()?, u32::try_from(stamp.tv_nsec()).ok()?);
            system.duration_since(UNIX_EPOCH).ok()?.checked_sub(stamp)
        });
        match age.filter(|age| *age <= STAMP_AGE_MAX) {
            Some(age) => (mono.saturating_sub(age), true),
            None => (mono, false),
        }
    }
}

/// The wall clock.
pub fn wall() -> Timestamp {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(millis.saturating_add(AHEAD_MS.load(Ordering::Relaxed)))
}

/// Puts the wall clock ahead of the host's, for the life of the process.
pub fn put_ahead(millis: i64) {
    AHEAD_MS.store(millis, Ordering::Relaxed);
}

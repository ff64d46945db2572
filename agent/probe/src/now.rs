//! Time as input: a monotonic reading for arithmetic and a wall-clock reading for time stamps.
//!
//! Nothing here reads a clock. Arithmetic uses the monotonic reading only, so a step of the wall clock shifts time
//! stamps but never a round-trip time; [`ClockWatch`] detects such steps by comparing the two readings.

use pingtong_evidence::Timestamp;
use std::time::Duration;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since an origin of the caller's choice; never goes back.
    pub mono: Duration,
    /// The wall clock.
    pub wall: Timestamp,
}

/// Minimum difference of the clocks that counts as a step; a smaller one is slewing or the time between the two reads.
const STEP_MS_MIN: i64 = 50;

/// Detects steps of the wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClockWatch {
    last: Option<Now>,
}

impl ClockWatch {
    /// Takes a reading; returns the step in milliseconds if the wall clock jumped since the last one.
    pub fn observe(&mut self, now: Now) -> Option<i64> {
        let last = self.last.replace(now)?;
        let passed = i64::try_from(now.mono.saturating_sub(last.mono).as_millis()).unwrap_or(i64::MAX);
        let shown = now.wall.as_millis().saturating_sub(last.wall.as_millis());
        let step = shown.saturating_sub(passed);
        (step.saturating_abs() >= STEP_MS_MIN).then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64, wall_ms: i64) -> Now {
        Now { mono: Duration::from_millis(mono_ms), wall: Timestamp::from_millis(wall_ms) }
    }

    #[test]
    fn a_step_is_told_from_passing_time() {
        let mut watch = ClockWatch::default();
        assert_eq!(watch.observe(at(0, 1_000)), None);
        assert_eq!(watch.observe(at(500, 1_501)), None);
        assert_eq!(watch.observe(at(600, 61_601)), Some(60_000));
        assert_eq!(watch.observe(at(700, 1_701)), Some(-60_000));
        assert_eq!(watch.observe(at(800, 1_801)), None);
    }
}

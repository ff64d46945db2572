//! The single timer of the run loop, backed by a kernel `timerfd`.
//!
//! Tokio's timers wake the runtime at every boundary of their timer wheel, and once more for each timer that is set
//! while the runtime is awake. At about twenty loop turns a second, these are most of the wake-ups of an idle agent. A
//! `timerfd` wakes the process only when it is due. If the kernel provides no `timerfd`, Tokio's timers are used.

use crate::clock::Clock;
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use std::{
    os::fd::{AsFd as _, AsRawFd, RawFd},
    time::Duration,
};
use tokio::io::unix::AsyncFd;

/// Deadlines are rounded up to whole multiples of this, so that deadlines close together are handled in one turn.
const STEP_NANOS: u128 = 1_000_000;

/// The run loop's timer; it holds one deadline at a time.
#[derive(Debug)]
pub(crate) struct Alarm {
    clock: Clock,
    /// `None` if the kernel provides no `timerfd`; Tokio's timers are used then.
    timer: Option<AsyncFd<Watched>>,
    set_for: Option<Duration>,
}

/// The `timerfd` in the form that Tokio polls.
#[derive(Debug)]
struct Watched(TimerFd);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// Creates a timer that is not set. Must be called inside a Tokio runtime.
    pub(crate) fn new(clock: Clock) -> Self {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(std::io::Error::from);
        #[expect(deprecated, reason = "sound here: the descriptor is owned by what is watched and never another one")]
        let timer = timer.and_then(|timer| AsyncFd::new(Watched(timer)));
        let timer = timer.map_err(|error| tracing::debug!(%error, "no timer of the kernel's")).ok();
        Self { clock, timer, set_for: None }
    }

    /// Waits until `due`, or forever if `due` is `None`. The future may be dropped at any time.
    pub(crate) async fn at(&mut self, due: Option<Duration>) {
        let Some(due) = due else { return std::future::pending().await };
        let now = self.clock.mono();
        if due <= now {
            return;
        }
        let due = whole(due);
        let wait = due.saturating_sub(now);
        let Some(timer) = &self.timer else { return tokio::time::sleep(wait).await };
        if self.set_for != Some(due) {
            let once = Expiration::OneShot(TimeSpec::from_duration(wait));
            if timer.get_ref().0.set(once, TimerSetTimeFlags::empty()).is_err() {
                return tokio::time::sleep(wait).await;
            }
            self.set_for = Some(due);
        }
        if let Ok(mut guard) = timer.readable().await {
            // There is no need to read the expiration count: setting the timer again makes it unreadable.
            guard.clear_ready();
            self.set_for = None;
        }
    }
}

fn whole(due: Duration) -> Duration {
    let steps = due.as_nanos().div_ceil(STEP_NANOS);
    Duration::from_millis(u64::try_from(steps).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_when_due_not_before_and_again_when_set_again() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        assert!(alarm.timer.is_some());
        for round in 1..=3u64 {
            let due = clock.mono() + Duration::from_micros(5_300 * round);
            alarm.at(Some(due)).await;
            assert!(clock.mono() >= due);
        }
        // A deadline in the past returns at once; a missing deadline never returns.
        alarm.at(Some(Duration::ZERO)).await;
        let never = tokio::time::timeout(Duration::from_millis(20), alarm.at(None)).await;
        assert!(never.is_err());
    }

    /// As in the run loop when another event comes first: the wait is dropped, and the timer is set for another time.
    #[tokio::test]
    async fn a_wait_that_was_dropped_does_not_ring_for_the_next() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        let soon = clock.mono() + Duration::from_millis(30);
        assert!(tokio::time::timeout(Duration::from_millis(1), alarm.at(Some(soon))).await.is_err());
        let later = clock.mono() + Duration::from_millis(60);
        alarm.at(Some(later)).await;
        assert!(clock.mono() >= later);
    }

    #[test]
    fn times_are_whole_milliseconds_and_never_early() {
        let micros = |micros| whole(Duration::from_micros(micros)).as_micros();
        assert_eq!((micros(0), micros(1), micros(1_000), micros(1_001)), (0, 1_000, 1_000, 2_000));
    }
}

//! The wait before a retry: it doubles with every retry, has jitter and an upper limit. A wait that the server requests
//! takes precedence.
//!
//! The random number is passed in; nothing here waits.

use std::time::Duration;

/// Maximum number of retries of one call.
pub(crate) const RETRIES_MAX: u32 = 5;
/// Upper limit of the first wait.
const FIRST: Duration = Duration::from_millis(200);
/// Upper limit of the waits that this module chooses.
const LONGEST: Duration = Duration::from_secs(4);
/// Upper limit of a wait that a server requests.
const LONGEST_ASKED: Duration = Duration::from_secs(20);

/// The wait before a retry; `retry` counts from 0. It is in the upper half of the doubling span, so that clients spread
/// out. `asked` is the value of `x-acs-retry-after`.
pub(crate) fn wait(retry: u32, asked: Option<Duration>, random: u32) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_ASKED);
    }
    let span = FIRST.saturating_mul(1 << retry.min(10)).min(LONGEST);
    span / 2 + (span / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_bounds() {
        assert_eq!(wait(0, None, 0), Duration::from_millis(100));
        assert_eq!(wait(0, None, u32::MAX), Duration::from_millis(200));
        assert_eq!(wait(2, None, 0), Duration::from_millis(400));
        assert_eq!(wait(40, None, u32::MAX), LONGEST);
        assert_eq!(wait(0, Some(Duration::from_millis(700)), 7), Duration::from_millis(700));
        assert_eq!(wait(0, Some(Duration::from_hours(1)), 7), LONGEST_ASKED);
    }
}

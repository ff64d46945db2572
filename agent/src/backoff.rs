//! Backoff between retries: starts at 200 ms, doubles up to 10 s, with jitter so that agents do not synchronise.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// Counts consecutive failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Counts one more failure and returns the wait before the next try: between half and the whole of the doubled
    /// step.
    pub(crate) fn next(&mut self) -> Duration {
        let step = FIRST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        let mut byte = [0];
        // Without randomness the wait is the whole step.
        let share = getrandom::fill(&mut byte).map_or(u8::MAX, |()| byte[0]);
        step / 2 + step / 2 * u32::from(share) / 255
    }

    /// Whether nothing failed since the last success.
    pub(crate) fn is_fresh(&self) -> bool {
        self.tries == 0
    }

    /// Resets the failure count; returns whether there were failures.
    pub(crate) fn reset(&mut self) -> bool {
        std::mem::take(&mut self.tries) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_ten_seconds_and_no_further() {
        let mut backoff = Backoff::default();
        let first = backoff.next();
        assert!((FIRST / 2..=FIRST).contains(&first), "{first:?}");
        let last = (0..40).map(|_| backoff.next()).last().unwrap();
        assert!((LONGEST / 2..=LONGEST).contains(&last), "{last:?}");
        assert!(backoff.reset() && !backoff.reset());
    }
}

//! Waiting between tries: from 200 ms, doubled, to 10 s, each time with jitter so that agents do not come in step.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// Counts failed tries.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The wait after one more failure: between half and the whole of the doubled step.
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

    /// Forgets failures; true when there were any.
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

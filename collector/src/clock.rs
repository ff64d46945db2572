//! The collector's clock, read here and nowhere else.
#![expect(clippy::disallowed_methods, reason = "the one place of this crate where the wall clock is read")]

use pingtong_evidence::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, by this machine's wall clock.
pub(crate) fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// What `work` gives, and how long it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

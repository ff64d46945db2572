//! The collector's wall clock, which only this module reads.
#![expect(clippy::disallowed_methods, reason = "the one place of this crate where the wall clock is read")]

use pingtong_evidence::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The current time by this machine's wall clock.
pub(crate) fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

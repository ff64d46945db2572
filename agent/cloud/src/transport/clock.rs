//! The wall clock of this crate: a function that the caller passes in, or the system clock. No other module here reads
//! the system clock.
//!
//! Signatures contain the time, and the cloud rejects one that is off by 15 minutes, so a client needs a wall clock.
//! Tests pass in their own.

use pingtong_evidence::Timestamp;
use std::{fmt, sync::Arc};

/// A source of wall-clock time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that returns what `read` returns.
    pub fn new(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The system's clock.
    pub fn system() -> Self {
        Self::new(|| Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Formats a time as `2026-01-02T03:04:05Z`, the only format that signatures accept. A time outside the calendar
/// becomes 1970, which the server rejects.
pub(crate) fn seconds_text(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

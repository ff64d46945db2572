//! Where this crate takes the time from: a function handed in, or the system's clock. The one reader of the clock here.
//!
//! Signatures carry the time and the cloud refuses one that is 15 minutes off, so a client needs a wall clock; tests
//! hand in their own.

use pingtong_evidence::Timestamp;
use std::{fmt, sync::Arc};

/// A source of wall time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that answers what `read` answers.
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

/// `2026-01-02T03:04:05Z`: the only form that signatures accept. A time beyond the calendar gives 1970, which the
/// server refuses.
pub(crate) fn seconds_text(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

//! Tests the client over real HTTP on the loopback interface.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]
#![expect(clippy::disallowed_methods, reason = "each test owns its servers; they end with its runtime")]

mod credentials;
mod fake;
mod gather;
mod policy;
mod survey;

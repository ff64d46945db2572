//! Runs the real binary over TLS on loopback; the tests play the agents.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking; clippy knows only functions marked as tests")]
#![expect(clippy::disallowed_methods, reason = "a test is its own run loop: it spawns, and waits with a deadline")]

mod commands;
mod durability;
mod grants;
mod scale;
mod site;
mod snapshot;
mod whole_way;

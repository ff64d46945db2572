//! Tests the vendor's official Python SDKs against the lab, and our client's requests against theirs.
//!
//! These tests cannot call the real cloud, so the SDKs represent it in both directions. They carry out the tutorial in
//! the lab's cloud and read it back in their own models; and every request of our client is compared with the request
//! that the SDK makes from the same parameters. The programs in `tests/sdk` define what a call means.

mod driven;
mod instance;
mod python;
mod recorder;
mod same_calls;

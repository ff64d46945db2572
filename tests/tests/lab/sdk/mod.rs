//! The vendor's official Python SDKs against the lab, and our client's requests against theirs.
//!
//! Nobody here can call the real cloud, so the SDKs stand for it, both ways: they drive the lab's cloud through the
//! tutorial and read it back in their own models, and every request of our client is compared with the one that they
//! make of the same parameters. What a call means is for the programs in `tests/sdk` to say.

mod driven;
mod instance;
mod python;
mod recorder;
mod same_calls;

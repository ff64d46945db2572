//! Synthetic networks with a declared truth, drawn from a seed: the reference against which the verdict engine is
//! measured.
//!
//! From one truth come both the snapshots that the accounts' APIs would return and the behaviour of real packets,
//! computed by a packet simulator that shares no code with the engine. [`draw`] creates a healthy [`world`], [`fault`]
//! breaks it and says what must be blamed, [`packet`] computes what happens to packets, [`evidence`] computes what
//! agents and APIs report, [`lie`] makes that incomplete or false, [`mutilate`] takes parts of it away, and [`operate`]
//! executes printed repairs. [`estate`] draws snapshots of many VPCs, and [`scoped`] divides them as agents read them.
//! The manifest excludes the engine, I/O, a clock, and randomness other than the seed.
//! Facts: `SEMANTICS.md` §1–§5, §7.

pub mod draw;
pub mod estate;
pub mod evidence;
pub mod fault;
pub mod habit;
pub mod lie;
pub mod mutilate;
pub mod operate;
pub mod packet;
pub mod random;
pub mod scoped;
pub mod world;

//! Synthetic networks of a declared truth, drawn from a seed: the measure that the verdict engine is held against.
//!
//! From one truth come both the snapshots that the accounts' APIs would give and what real packets would do, by a packet
//! simulator that shares no code with the engine: [`draw`] makes a healthy [`world`], [`fault`] breaks it and says what
//! must be blamed, [`packet`] says what packets do, [`evidence`] what agents and APIs report of it, [`operate`] what printed repairs do to it. Absences, held by the
//! manifest: the engine, I/O, a clock, other randomness than the seed. Facts: `network-semantics.md` §1–§5, §7.

pub mod draw;
pub mod estate;
pub mod evidence;
pub mod fault;
pub mod lie;
pub mod operate;
pub mod packet;
pub mod random;
pub mod world;

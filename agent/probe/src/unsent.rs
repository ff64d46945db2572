//! A probe that did not leave, as the shell tells either machine of probes.

/// Which probe, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsent {
    /// Its round.
    pub round: u64,
    /// Its number.
    pub sequence: u32,
    /// Why.
    pub why: WhyUnsent,
}

/// Why a probe did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyUnsent {
    /// The kernel refused it, with this errno, before anything was sent.
    Refused(i32),
    /// We had no room, socket or port for it: our own shortage, which says nothing about the network.
    NoRoom,
}

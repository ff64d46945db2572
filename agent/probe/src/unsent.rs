//! A probe that was not sent, as the I/O layer reports it to the ICMP prober or the port prober.

use pingtong_evidence::RoundId;

/// Identity of the probe, and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsent {
    /// Round of the probe.
    pub round: RoundId,
    /// Number of the probe in the round.
    pub sequence: u32,
    /// Why the probe was not sent.
    pub why: WhyUnsent,
}

/// Why a probe was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyUnsent {
    /// The kernel refused it, with this errno, before anything was sent.
    Refused(i32),
    /// The agent had no room, socket or port for it: a local shortage, which says nothing about the network.
    NoRoom,
}

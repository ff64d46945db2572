//! What identifies a series of arrivals: who sent it, in which round, and between which addresses.

use crate::AgentHash;
use pingtong_evidence::RoundId;
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) agent: AgentHash,
    pub(crate) round: RoundId,
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
}

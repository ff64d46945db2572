//! The inputs that all quality checks of a pair share: configuration, host facts, observations, round-trip times.

use super::usual::Change;
use crate::{model::Model, observe::Seen, question::Question};
use pingtong_evidence::{AgentId, Direction, HostFacts};
use std::collections::BTreeMap;

/// Usual and current round-trip times of each flow.
pub(crate) type Changes = BTreeMap<Direction, Change>;
/// The newest facts of each agent's host.
pub(crate) type Facts = BTreeMap<AgentId, HostFacts>;

/// How far pingtong's own probes overloaded one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Excess {
    /// Load of the probes in bits per second.
    pub(crate) own: u64,
    /// Bandwidth of the link in bits per second.
    pub(crate) bandwidth: u64,
}

pub(crate) type Excesses = BTreeMap<Direction, Excess>;

/// Inputs of a quality check.
pub(crate) struct Means<'a> {
    pub(crate) model: &'a Model,
    pub(crate) question: &'a Question<'a>,
    pub(crate) facts: &'a Facts,
    pub(crate) seen: &'a Seen,
    pub(crate) changes: &'a Changes,
    /// Directions in which pingtong's own probes were too many for their losses to count.
    pub(crate) excesses: &'a Excesses,
}

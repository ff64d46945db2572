//! Which connections are another agent's probes, and under which number their arrivals are reported.
//!
//! A SYN carries no mark: the plan says which host connects from where to what, and the source port distinguishes one
//! probe from another. Each part that is returned has a number of its own, derived from the time at which it began, so
//! that arrivals of different times are never merged. Does not know the rounds. Cannot distinguish a probe from another
//! connection of the same host to the same port.

use crate::{AgentHash, Now, arrival_key::Key};
use pingtong_evidence::{PlanArrival, Protocol, RoundId, RoundKind};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Maximum number of parts that begin in one millisecond.
const PARTS_OF_MILLISECOND: u64 = 1 << 16;

/// Source address, and the local address and port.
type Flow = (IpAddr, SocketAddr);

#[derive(Debug)]
struct Expected {
    agent: AgentHash,
    since: Duration,
    round: RoundId,
}

/// All expected connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    expected: BTreeMap<Flow, Expected>,
    counter: u64,
}

impl Connections {
    /// Takes the connections that the plan expects; one that was expected before has been watched for all the time.
    pub(crate) fn expect(&mut self, now: Duration, arrivals: Vec<PlanArrival>) {
        let mut before = std::mem::take(&mut self.expected);
        for arrival in arrivals.into_iter().filter(|arrival| arrival.protocol == Protocol::Tcp) {
            let (flow, agent) =
                ((arrival.from, SocketAddr::new(arrival.to, arrival.port)), AgentHash::of(&arrival.agent));
            let kept = before.remove(&flow).filter(|kept| kept.agent == agent);
            self.expected.insert(flow, kept.unwrap_or(Expected { agent, since: now, round: RoundId::from(0) }));
        }
    }

    /// Returns the key under which a sighting at `near` is recorded, and since when such connections are watched for;
    /// `None` if they are not. `pending` says whether the key has a part that has not been returned yet.
    pub(crate) fn key(
        &mut self,
        now: Now,
        from: IpAddr,
        near: SocketAddr,
        pending: impl Fn(&Key) -> bool,
    ) -> Option<(Key, Duration)> {
        let expected = self.expected.get_mut(&(from, near))?;
        let mut key = Key { agent: expected.agent, round: expected.round, from, to: near.ip() };
        if !pending(&key) {
            // The counter distinguishes parts that begin in the same millisecond.
            expected.round = RoundId::new(RoundKind::Connections, now.wall, self.counter % PARTS_OF_MILLISECOND);
            self.counter += 1;
            key.round = expected.round;
        }
        Some((key, expected.since))
    }
}

//! Which connections are another agent's probes, and under which number arrivals of them are told.
//!
//! A SYN bears no mark: the plan tells who connects from where to what, and the source port tells one probe from another.
//! Each part that is given out has a number of its own, from the time at which it began, so that what arrived at one time
//! is never put together with what arrived at another. Does not know the rounds; cannot tell a probe from another
//! connection of the same host to the same port.

use crate::{AgentHash, Now, arrivals::Key};
use pingtong_evidence::{ArrivalRound, PlanArrival, Protocol};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Bits of the counter below the time at which a part began.
const COUNTER_BITS: u32 = 20;

/// From where, to which port of ours.
type Flow = (IpAddr, SocketAddr);

#[derive(Debug)]
struct Expected {
    agent: AgentHash,
    since: Duration,
    round: u64,
}

/// All that are expected.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    expected: BTreeMap<Flow, Expected>,
    counter: u64,
}

impl Connections {
    /// Takes the plan; what stays has been looked for all the time.
    pub(crate) fn expect(&mut self, now: Duration, arrivals: Vec<PlanArrival>) {
        let mut before = std::mem::take(&mut self.expected);
        for arrival in arrivals.into_iter().filter(|arrival| arrival.protocol == Protocol::Tcp) {
            let (flow, agent) =
                ((arrival.from, SocketAddr::new(arrival.to, arrival.port)), AgentHash::of(&arrival.agent));
            let kept = before.remove(&flow).filter(|kept| kept.agent == agent);
            self.expected.insert(flow, kept.unwrap_or(Expected { agent, since: now, round: 0 }));
        }
    }

    /// Under which key a sighting at `near` is entered, and since when such are looked for; nothing when they are not.
    /// `pending` tells whether there is a part of that key that is not given out yet.
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
            let at = u64::try_from(now.wall.as_millis()).unwrap_or(0);
            let counter = self.counter & ((1 << COUNTER_BITS) - 1);
            self.counter += 1;
            expected.round = ArrivalRound::CONNECTIONS | (at << COUNTER_BITS) | counter;
            key.round = expected.round;
        }
        Some((key, expected.since))
    }
}

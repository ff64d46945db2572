//! Arrivals of TCP connections, before it is known which rounds they belong to.

use crate::{ArrivalRound, Known, ProbeRound, Protocol, SequenceSet};
use serde::{Deserialize, Serialize};

/// Connections of one agent to a TCP port as the receiving end saw them. A SYN carries no mark of its round: the source
/// port distinguishes one connection from another, and only who knows both ends can match them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionArrivals {
    port: u16,
    /// What was seen. Its sets hold source ports, and its round is a number of the observer's own.
    #[serde(flatten)]
    seen: ArrivalRound,
}

impl ConnectionArrivals {
    /// Connections to a port; the sets of `seen` hold source ports.
    #[must_use]
    pub fn new(port: u16, seen: ArrivalRound) -> Self {
        Self { port, seen }
    }

    /// The port that they went to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was seen: the connecting agent with a number of the observer's own, and sets of source ports.
    #[must_use]
    pub fn seen(&self) -> &ArrivalRound {
        &self.seen
    }

    /// The arrivals of the probes of a TCP round, found by their source ports. Returns `None` if the connections are from
    /// another agent, to another address or to another port, or if no probe of the round is among them and the observer
    /// dropped no packets. Kernels assign source ports in turn, so a port is not reused within the minutes in which rounds
    /// and arrivals are matched; the caller limits the match to that time.
    #[must_use]
    pub fn of_round(&self, round: &ProbeRound) -> Option<ArrivalRound> {
        let Self { port, seen } = self;
        let ports = round.ports.as_ref().filter(|ports| round.protocol == Protocol::Tcp && ports.port == *port)?;
        if seen.key.agent != round.key.agent || seen.to != round.target {
            return None;
        }
        let numbers = |set: &SequenceSet| -> SequenceSet {
            let probes = (0u32..).zip(&ports.source_ports);
            probes.filter(|(_, port)| **port > 0 && set.contains((**port).into())).map(|(number, _)| number).collect()
        };
        let known = |set: &Known<SequenceSet>| match set {
            Known::Known(set) => Known::Known(numbers(set)),
            Known::Unknown(why) => Known::Unknown(why.clone()),
        };
        let (on_wire, replied) = (known(&seen.on_wire), known(&seen.replied));
        let replied_elsewhere: Vec<(String, SequenceSet)> = seen
            .replied_elsewhere
            .iter()
            .map(|(interface, set)| (interface.clone(), numbers(set)))
            .filter(|(_, set)| !set.is_empty())
            .collect();
        let none = |set: &Known<SequenceSet>| set.known().is_none_or(SequenceSet::is_empty);
        if none(&on_wire) && none(&replied) && replied_elsewhere.is_empty() && seen.own_drops == 0 {
            return None;
        }
        Some(ArrivalRound { key: round.key.clone(), on_wire, replied, replied_elsewhere, ..seen.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn round(port: u16, source_ports: &[u16]) -> ProbeRound {
        serde_json::from_value(json!({
            "key": {"agent": "a", "round": 1}, "pair": "p", "target": "10.0.0.2", "protocol": "tcp", "started_at": 1,
            "ended_at": 2, "payload_bytes": 0, "planned": 4, "sent": [[0, 3]], "replied": [],
            "ports": {"port": port, "source_ports": source_ports}
        }))
        .unwrap()
    }

    fn arrivals(on_wire: &[u32], replied: &[u32], own_drops: u64) -> ConnectionArrivals {
        let mut part: ConnectionArrivals = serde_json::from_value(json!({
            "observer": "b", "key": {"agent": "a", "round": u64::MAX}, "port": 443,
            "from": "10.0.0.1", "to": "10.0.0.2", "first_at": 1, "last_at": 2,
            "on_wire": {"known": []}, "accepted": {"unknown": "not_asked"}, "replied": {"known": []}
        }))
        .unwrap();
        let set = |numbers: &[u32]| Known::Known(numbers.iter().copied().collect());
        (part.seen.on_wire, part.seen.replied, part.seen.own_drops) = (set(on_wire), set(replied), own_drops);
        part
    }

    #[test]
    fn connections_are_put_to_the_probes_of_their_source_ports() {
        let part = arrivals(&[40_000, 40_004, 50_000], &[40_004], 0);
        let told = part.of_round(&round(443, &[40_000, 40_002, 0, 40_004])).unwrap();
        let numbers = |set: &Known<SequenceSet>| set.known().unwrap().ranges().to_vec();
        assert_eq!((numbers(&told.on_wire), numbers(&told.replied)), (vec![(0, 0), (3, 3)], vec![(3, 3)]));
        assert_eq!(told.key, round(443, &[]).key);
        assert_eq!(part.of_round(&round(80, &[40_000])), None, "another port");
        assert_eq!(part.of_round(&round(443, &[40_001])), None, "none of these");
        let dropped = arrivals(&[50_000], &[], 1).of_round(&round(443, &[40_001])).unwrap();
        assert!(dropped.on_wire.known().unwrap().is_empty() && dropped.own_drops == 1, "absence is no proof then");
    }
}

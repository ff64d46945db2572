//! A round for tests: sent whole, answered by nobody.

use pingtong_evidence::{Known, ProbeRound, Protocol, RoundKey, SequenceSet, Timestamp};

pub(crate) fn round(planned: u32) -> ProbeRound {
    ProbeRound {
        key: RoundKey { agent: "a".parse().unwrap(), round: 1 },
        pair: "p".parse().unwrap(),
        target: [172, 16, 1, 10].into(),
        protocol: Protocol::Icmp,
        request: None,
        started_at: Timestamp::from_millis(0),
        ended_at: Timestamp::from_millis(1),
        payload_bytes: 56,
        dont_fragment: false,
        planned,
        sent: SequenceSet::first(planned),
        send_errors: vec![],
        replied: SequenceSet::new(),
        late: SequenceSet::new(),
        replied_on_wire: Known::default(),
        duplicates: 0,
        reordered: 0,
        strangers: vec![],
        icmp_errors: vec![],
        own_drops: 0,
        rtt: None,
        ports: None,
    }
}

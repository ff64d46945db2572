//! A round for tests: all probes sent, none answered.

use pingtong_evidence::{ProbeRound, RoundKey};

pub(crate) fn round(planned: u32) -> ProbeRound {
    let key = RoundKey { agent: "a".parse().unwrap(), round: 1.into() };
    ProbeRound::unanswered(key, "p".parse().unwrap(), [172, 16, 1, 10].into(), planned)
}

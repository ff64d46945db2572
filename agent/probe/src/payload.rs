//! Payload of a probe, byte by byte, big-endian:
//!
//! ```text
//! 0..4   "PtP1"
//! 4..12  hash of the sending agent's id
//! 12..20 round
//! 20..24 sequence number
//! 24..32 keyed tag over bytes 0..24
//! 32..   padding, a fixed pattern
//! ```
//!
//! [`Payload::parse`] parses untrusted bytes: it never panics and trusts no field unless the tag verifies.

use crate::NonceKey;
use pingtong_evidence::{AgentId, RoundId};
use sha2::{Digest, Sha256};

const MAGIC: [u8; 4] = *b"PtP1";

/// Bytes of the fixed part; no probe is smaller.
pub const PAYLOAD_BYTES_MIN: usize = 32;

/// Largest payload: an IPv4 packet of 65 535 bytes without its IPv4 and ICMP headers.
pub const PAYLOAD_BYTES_MAX: usize = 65_507;

/// Identifies an agent in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentHash(pub u64);

impl AgentHash {
    /// The first eight bytes of SHA-256 over the id.
    pub fn of(agent: &AgentId) -> Self {
        let digest = Sha256::digest(agent.as_str().as_bytes());
        Self(digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte)))
    }
}

/// Identity of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload {
    /// The sending agent.
    pub agent: AgentHash,
    /// The round, unique for the agent.
    pub round: RoundId,
    /// Number of the probe in the round.
    pub sequence: u32,
}

impl Payload {
    /// The bytes to send, padded to `size`; a size outside the limits is moved to the nearest limit.
    pub fn encode(&self, key: &NonceKey, size: usize) -> Vec<u8> {
        let size = size.clamp(PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX);
        let mut bytes = Vec::with_capacity(size);
        bytes.extend(MAGIC);
        bytes.extend(self.agent.0.to_be_bytes());
        bytes.extend(self.round.bits().to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        let tag = key.tag(&bytes);
        bytes.extend(tag);
        bytes.resize(size, 0xa5);
        bytes
    }

    /// Bytes that identify a probe: everything but the padding.
    pub(crate) const LENGTH: usize = 32;

    /// Whether the bytes are a probe's, as far as can be checked without the key.
    pub(crate) fn marks(bytes: &[u8]) -> bool {
        bytes.len() >= Self::LENGTH && bytes.starts_with(&MAGIC)
    }

    /// Parses a probe whose tag verifies; `None` for everything else.
    pub fn parse(bytes: &[u8], key: &NonceKey) -> Option<Self> {
        let (body, tag) = (bytes.get(..24)?, bytes.get(24..32)?);
        if !body.starts_with(&MAGIC) || key.tag(body) != tag {
            return None;
        }
        Some(Self {
            agent: AgentHash(u64::from_be_bytes(body[4..12].try_into().ok()?)),
            round: u64::from_be_bytes(body[12..20].try_into().ok()?).into(),
            sequence: u32::from_be_bytes(body[20..24].try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> NonceKey {
        NonceKey::from_bytes([7; 32])
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(agent: u64, round: u64, sequence: u32, size in 0usize..2_000) {
            let payload = Payload { agent: AgentHash(agent), round: round.into(), sequence };
            let bytes = payload.encode(&key(), size);
            prop_assert_eq!(bytes.len(), size.max(PAYLOAD_BYTES_MIN));
            prop_assert_eq!(Payload::parse(&bytes, &key()), Some(payload));
        }

        #[test]
        fn one_flipped_bit_of_the_fixed_part_is_refused(at in 0usize..PAYLOAD_BYTES_MIN * 8) {
            let mut bytes = Payload { agent: AgentHash(1), round: 2.into(), sequence: 3 }.encode(&key(), 56);
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert_eq!(Payload::parse(&bytes, &key()), None);
        }

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(Payload::parse(&bytes, &key()), None);
        }
    }

    #[test]
    fn another_key_is_refused() {
        let bytes = Payload { agent: AgentHash(1), round: 2.into(), sequence: 3 }.encode(&key(), 32);
        assert_eq!(Payload::parse(&bytes, &NonceKey::from_bytes([8; 32])), None);
    }

    #[test]
    fn the_hash_is_that_of_the_id_text() {
        assert_eq!(
            AgentHash::of(&AgentId::parse("A.ecs1").unwrap()),
            AgentHash::of(&AgentId::parse("A.ecs1").unwrap())
        );
        assert_ne!(
            AgentHash::of(&AgentId::parse("A.ecs1").unwrap()),
            AgentHash::of(&AgentId::parse("A.ecs2").unwrap())
        );
    }
}

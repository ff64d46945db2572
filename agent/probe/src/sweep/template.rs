//! Writes echo requests into one buffer repeatedly: only what differs between probes is written and summed.

use crate::{NonceKey, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Payload};

const HEADER: usize = 8;
/// Offsets of the payload's round, sequence number, tag and padding in the packet.
const ROUND: usize = HEADER + 12;
const SEQUENCE: usize = HEADER + 20;
const TAG: usize = HEADER + 24;
const FILLING: usize = HEADER + 32;

#[derive(Debug)]
pub(crate) struct Template {
    packet: Box<[u8]>,
    /// Sum of all words that do not change.
    sum: u64,
}

impl Template {
    pub(crate) fn new(identifier: u16, payload: Payload, key: &NonceKey, payload_bytes: usize) -> Self {
        let payload = payload.encode(key, payload_bytes.clamp(PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX));
        let mut packet = vec![0; HEADER];
        packet[4..6].copy_from_slice(&identifier.to_be_bytes());
        packet.extend(payload);
        packet[ROUND..FILLING].fill(0);
        let sum = sum_of(&packet);
        Self { packet: packet.into_boxed_slice(), sum }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.packet.len()
    }

    /// Writes a packet and returns its tag; `fresh` means that the buffer holds no packet of this template yet.
    pub(crate) fn write(&self, packet: &mut [u8], fresh: bool, key: &NonceKey, varying: Varying) -> u64 {
        let Varying { version, sequence, round, number } = varying;
        if fresh {
            packet.copy_from_slice(&self.packet);
        }
        packet[..2].copy_from_slice(&[version as u8, 0]);
        packet[2..4].fill(0);
        packet[6..8].copy_from_slice(&sequence.to_be_bytes());
        packet[ROUND..SEQUENCE].copy_from_slice(&round.to_be_bytes());
        packet[SEQUENCE..TAG].copy_from_slice(&number.to_be_bytes());
        let tag = key.tag(&packet[HEADER..TAG]);
        packet[TAG..FILLING].copy_from_slice(&tag);
        if version == Version::V4 {
            let sum = self.sum + 0x0800 + u64::from(sequence) + sum_of(&packet[ROUND..FILLING]);
            packet[2..4].copy_from_slice(&folded(sum).to_be_bytes());
        }
        u64::from_be_bytes(tag)
    }
}

/// Fields that differ between probes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Varying {
    pub(crate) version: Version,
    /// Sequence number in the ICMP header.
    pub(crate) sequence: u16,
    /// Round in the payload.
    pub(crate) round: u64,
    /// Sequence number in the payload.
    pub(crate) number: u32,
}

/// IP version; the value is the ICMP type of an echo request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V4 = 8,
    /// The checksum covers addresses that only the kernel knows.
    V6 = 128,
}

fn sum_of(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let sum: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    sum + rest.first().map_or(0, |&last| u64::from(last) << 8)
}

fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Folded above, so nothing is above 16 bits.
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AgentHash, echo_request};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn writes_what_the_plain_way_writes(
            identifier: u16, agent: u64, size in 32usize..200,
            probes in proptest::collection::vec(any::<(u16, u64, u32)>(), 1..5)
        ) {
            let key = NonceKey::from_bytes([3; 32]);
            let first = Payload { agent: AgentHash(agent), round: 0.into(), sequence: 0 };
            let template = Template::new(identifier, first, &key, size);
            let mut buffer = vec![0; template.bytes()];
            for (at, (sequence, round, number)) in probes.into_iter().enumerate() {
                let payload = Payload { agent: AgentHash(agent), round: round.into(), sequence: number };
                let tag = template.write(&mut buffer, at == 0, &key, Varying { version: Version::V4, sequence, round, number });
                prop_assert_eq!(&buffer, &echo_request(identifier, sequence, &payload.encode(&key, size)));
                prop_assert_eq!(&buffer[32..40], tag.to_be_bytes());
            }
        }
    }
}

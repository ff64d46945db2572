//! UDP probes on the wire, as the probed end sees them: a datagram coming in, and what the host makes of it going out.
//!
//! Takes bytes from the network and answers any input without panic. A datagram belongs to a probe by its payload, and a
//! port unreachable by the payload that it quotes; whose probe that is, and whether its tag verifies, the ledger decides.
//! IPv4 only, and no later fragments: a probe is small.

use crate::{IPV4_HEADER_BYTES, Payload};
use std::net::Ipv4Addr;

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_UDP: u8 = 17;
const UDP_HEADER_BYTES: usize = 8;
const ICMP_HEADER_BYTES: usize = 8;
/// Destination unreachable: port.
const PORT_UNREACHABLE: [u8; 2] = [3, 3];

/// A packet that concerns a UDP probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Whether it is the host's refusal, a port unreachable that quotes the probe; else a datagram, the probe or its echo.
    pub refusal: bool,
    /// Source address of the packet.
    pub from: Ipv4Addr,
    /// Destination address of the packet.
    pub to: Ipv4Addr,
    /// What marks the probe.
    pub payload: &'a [u8],
}

/// Reads an IPv4 packet; `None` for what concerns no UDP probe.
pub fn parse_datagram(packet: &[u8]) -> Option<Datagram<'_>> {
    let (header, body) = split(packet)?;
    let (from, to) = (address(header, 12)?, address(header, 16)?);
    let (refusal, payload) = match *header.get(9)? {
        PROTOCOL_UDP => (false, body.get(UDP_HEADER_BYTES..)?),
        PROTOCOL_ICMP if body.starts_with(&PORT_UNREACHABLE) => {
            let (quoted, body) = split(body.get(ICMP_HEADER_BYTES..)?)?;
            if *quoted.get(9)? != PROTOCOL_UDP || address(quoted, 12)? != to || address(quoted, 16)? != from {
                return None;
            }
            (true, body.get(UDP_HEADER_BYTES..)?)
        }
        _ => return None,
    };
    Payload::marks(payload).then_some(Datagram { refusal, from, to, payload })
}

/// Header and body, as far as the total length and the bytes present go.
fn split(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *packet.first()?;
    let header_bytes = usize::from(first & 15) * 4;
    if first >> 4 != 4 || header_bytes < IPV4_HEADER_BYTES {
        return None;
    }
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let end = usize::from(word(2)?).min(packet.len());
    if word(6)? & 0x1fff != 0 || end < header_bytes {
        return None;
    }
    Some((packet.get(..header_bytes)?, packet.get(header_bytes..end)?))
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AgentHash, NonceKey};
    use proptest::prelude::*;

    fn ipv4(protocol: u8, from: [u8; 4], to: [u8; 4], body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; IPV4_HEADER_BYTES];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&u16::try_from(IPV4_HEADER_BYTES + body.len()).unwrap().to_be_bytes());
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&from);
        packet[16..20].copy_from_slice(&to);
        packet.extend(body);
        packet
    }

    fn probe() -> Vec<u8> {
        let payload = Payload { agent: AgentHash(1), round: 2, sequence: 3 };
        let mut body = vec![0; UDP_HEADER_BYTES];
        body.extend(payload.encode(&NonceKey::from_bytes([7; 32]), 32));
        ipv4(17, [10, 0, 0, 1], [10, 0, 0, 2], &body)
    }

    fn refusal(quoted: &[u8], icmp_type: u8, code: u8) -> Vec<u8> {
        let mut body = vec![icmp_type, code, 0, 0, 0, 0, 0, 0];
        body.extend(quoted);
        ipv4(1, [10, 0, 0, 2], [10, 0, 0, 1], &body)
    }

    #[test]
    fn a_probe_and_the_refusal_that_quotes_it_bear_the_same_mark() {
        let packet = probe();
        let seen = parse_datagram(&packet).unwrap();
        assert_eq!((seen.refusal, seen.from, seen.to), (false, [10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
        let answer = refusal(&packet, 3, 3);
        let refused = parse_datagram(&answer).unwrap();
        assert_eq!((refused.refusal, refused.from, refused.payload), (true, [10, 0, 0, 2].into(), seen.payload));
    }

    #[test]
    fn what_is_no_probe_or_no_refusal_by_its_target_is_left_alone() {
        let packet = probe();
        assert_eq!(parse_datagram(&refusal(&packet, 3, 13)), None, "prohibited is no port unreachable");
        assert_eq!(parse_datagram(&refusal(&packet, 11, 3)), None);
        let mut by_another = refusal(&packet, 3, 3);
        by_another[15] = 9;
        assert_eq!(parse_datagram(&by_another), None, "another host speaks");
        let mut unmarked = packet.clone();
        unmarked[28] = b'X';
        assert_eq!(parse_datagram(&unmarked), None);
        let mut fragment = packet;
        fragment[7] = 1;
        assert_eq!(parse_datagram(&fragment), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..160), cut in 0usize..100) {
            let _ = parse_datagram(&bytes);
            let whole = refusal(&probe(), 3, 3);
            let _ = parse_datagram(&whole[..cut.min(whole.len())]);
        }
    }
}

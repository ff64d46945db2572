//! ICMP on the wire: reading an IPv4 packet from a raw or packet socket, and writing an echo request.
//!
//! Takes bytes from the network and answers any input without panic. Knows nothing of rounds: who a packet belongs to
//! is decided by the prober and the ledger.

use std::net::Ipv4Addr;

/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER_BYTES: usize = 20;
/// Bytes of an ICMP header.
const ICMP_HEADER_BYTES: usize = 8;
const PROTOCOL_ICMP: u8 = 1;
/// The don't-fragment bit in the first byte of flags and offset.
const DONT_FRAGMENT: u8 = 0x40;
/// What Linux gives its own packets.
const TIME_TO_LIVE: u8 = 64;

/// Request or reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoKind {
    /// Type 8.
    Request,
    /// Type 0.
    Reply,
}

/// An ICMP packet that concerns probing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// An echo request or reply.
    Echo {
        /// Which of the two.
        kind: EchoKind,
        /// Source address.
        from: Ipv4Addr,
        /// Destination address.
        to: Ipv4Addr,
        /// ICMP identifier.
        identifier: u16,
        /// ICMP sequence number.
        sequence: u16,
        /// What follows the ICMP header.
        payload: &'a [u8],
    },
    /// An error that quotes an echo request.
    Error {
        /// Who sent the error.
        from: Ipv4Addr,
        /// 3 unreachable, 5 redirect, 11 time exceeded, 12 parameter problem.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
        /// Destination of the quoted request.
        quoted_to: Ipv4Addr,
        /// Identifier of the quoted request.
        identifier: u16,
        /// Sequence number of the quoted request.
        sequence: u16,
    },
}

/// Reads an IPv4 packet; `None` when it is cut, a later fragment, or nothing that concerns probing.
pub fn parse_ipv4(packet: &[u8]) -> Option<Heard<'_>> {
    let (header, body) = split_header(packet)?;
    let (from, to) = (address(header, 12)?, address(header, 16)?);
    let icmp_type = *body.first()?;
    let code = *body.get(1)?;
    match icmp_type {
        0 | 8 => Some(Heard::Echo {
            kind: if icmp_type == 8 { EchoKind::Request } else { EchoKind::Reply },
            from,
            to,
            identifier: word(body, 4)?,
            sequence: word(body, 6)?,
            payload: body.get(ICMP_HEADER_BYTES..)?,
        }),
        3 | 5 | 11 | 12 => {
            let (quoted, echo) = split_header(body.get(ICMP_HEADER_BYTES..)?)?;
            if *echo.first()? != 8 {
                return None;
            }
            Some(Heard::Error {
                from,
                icmp_type,
                code,
                quoted_to: address(quoted, 16)?,
                identifier: word(echo, 4)?,
                sequence: word(echo, 6)?,
            })
        }
        _ => None,
    }
}

/// The ICMP part of an echo request, checksum included; the kernel puts the IPv4 header before it.
pub fn echo_request(identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(ICMP_HEADER_BYTES + payload.len());
    packet.extend([8, 0, 0, 0]);
    packet.extend(identifier.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload);
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The header of an IPv4 packet that nobody may cut on its way, for a socket that takes headers. Source, identification,
/// length and checksum are left to the kernel, which fills what is nought.
pub fn unfragmentable_header(to: Ipv4Addr, hop_limit: Option<u8>) -> [u8; IPV4_HEADER_BYTES] {
    let mut header = [0; IPV4_HEADER_BYTES];
    header[0] = 0x45;
    header[6] = DONT_FRAGMENT;
    header[8] = hop_limit.unwrap_or(TIME_TO_LIVE);
    header[9] = PROTOCOL_ICMP;
    header[16..20].copy_from_slice(&to.octets());
    header
}

/// Header and body of an ICMP packet in IPv4, as far as the total length and the bytes present go.
fn split_header(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *packet.first()?;
    let header_bytes = usize::from(first & 15) * 4;
    if first >> 4 != 4 || header_bytes < IPV4_HEADER_BYTES || *packet.get(9)? != PROTOCOL_ICMP {
        return None;
    }
    let fragment_offset = word(packet, 6)? & 0x1fff;
    let end = usize::from(word(packet, 2)?).min(packet.len());
    if fragment_offset != 0 || end < header_bytes {
        return None;
    }
    // A packet socket also hands over the padding of short Ethernet frames; the total length cuts it off. A quoted
    // packet is shorter than its total length says; there the bytes present are the bound.
    Some((packet.get(..header_bytes)?, packet.get(header_bytes..end)?))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Folded above, so the high half is empty.
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ipv4(from: [u8; 4], to: [u8; 4], options: usize, body: &[u8]) -> Vec<u8> {
        let header = IPV4_HEADER_BYTES + options * 4;
        let mut packet = vec![0; header];
        packet[0] = 0x40 | u8::try_from(header / 4).unwrap();
        packet[2..4].copy_from_slice(&u16::try_from(header + body.len()).unwrap().to_be_bytes());
        packet[9] = 1;
        packet[12..16].copy_from_slice(&from);
        packet[16..20].copy_from_slice(&to);
        packet.extend(body);
        packet
    }

    #[test]
    fn an_echo_request_is_read_back_and_its_checksum_holds() {
        let icmp = echo_request(0x1234, 7, b"odd");
        assert_eq!(checksum(&icmp), 0);
        let mut packet = ipv4([10, 0, 0, 1], [10, 0, 0, 2], 2, &icmp);
        packet.extend([0; 9]);
        let Some(Heard::Echo { kind: EchoKind::Request, identifier: 0x1234, sequence: 7, payload, .. }) =
            parse_ipv4(&packet)
        else {
            panic!("{:?}", parse_ipv4(&packet));
        };
        assert_eq!(payload, b"odd", "padding of the frame is no payload");
    }

    #[test]
    fn an_error_names_its_sender_and_the_probe_it_quotes() {
        let quoted = ipv4([10, 0, 0, 1], [10, 0, 0, 2], 1, &echo_request(9, 8, b"xyz")[..8]);
        let mut body = vec![3, 13, 0, 0, 0, 0, 0, 0];
        body.extend(quoted);
        let packet = ipv4([10, 9, 9, 9], [10, 0, 0, 1], 0, &body);
        let heard = parse_ipv4(&packet);
        assert_eq!(
            heard,
            Some(Heard::Error {
                from: [10, 9, 9, 9].into(),
                icmp_type: 3,
                code: 13,
                quoted_to: [10, 0, 0, 2].into(),
                identifier: 9,
                sequence: 8
            })
        );
    }

    #[test]
    fn an_unfragmentable_packet_says_so_and_goes_where_it_should() {
        let mut packet = unfragmentable_header([10, 0, 0, 2].into(), None).to_vec();
        packet.extend(echo_request(9, 8, b"xyz"));
        assert_eq!((packet[6], packet[8], packet[9], &packet[16..20]), (0x40, 64, 1, &[10, 0, 0, 2][..]));
        assert_eq!(unfragmentable_header([10, 0, 0, 2].into(), Some(3))[8], 3);
        let length = u16::try_from(packet.len()).unwrap();
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        assert!(matches!(parse_ipv4(&packet), Some(Heard::Echo { identifier: 9, payload: b"xyz", .. })));
    }

    #[test]
    fn a_later_fragment_is_not_mistaken_for_a_header() {
        let mut packet = ipv4([1; 4], [2; 4], 0, &echo_request(1, 1, b""));
        packet[7] = 1;
        assert_eq!(parse_ipv4(&packet), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse_ipv4(&bytes);
        }

        #[test]
        fn any_cut_of_a_real_packet_is_answered(cut in 0usize..60, kind in prop_oneof![Just(0u8), Just(3), Just(8), Just(11)]) {
            let mut body = echo_request(1, 2, &[0; 40]);
            body[0] = kind;
            let packet = ipv4([1; 4], [2; 4], 0, &body);
            let _ = parse_ipv4(&packet[..cut]);
        }
    }
}

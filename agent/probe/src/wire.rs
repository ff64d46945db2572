//! ICMP on the wire: parses IPv4 and IPv6 packets from a raw or packet socket, and writes echo requests.
//!
//! Parses untrusted bytes and never panics. Knows nothing of rounds: the prober and the ledger decide to whom a packet
//! belongs. The fields of an ICMP message are taken from their places here: the same for both IP versions, and for the
//! messages that matter here, while `etherparse` has a type for every kind of message.

use crate::ip::{self, Parts};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpNumber};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER_BYTES: usize = 20;
/// The don't-fragment bit in the first byte of flags and offset.
const DONT_FRAGMENT: u8 = 0x40;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// Kind of an echo packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoKind {
    /// Type 8, in IPv6 128.
    Request,
    /// Type 0, in IPv6 129.
    Reply,
}

/// An ICMP packet that is relevant to probing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// An echo request or reply.
    Echo {
        /// Request or reply.
        kind: EchoKind,
        /// Source address.
        from: IpAddr,
        /// Destination address.
        to: IpAddr,
        /// ICMP identifier.
        identifier: u16,
        /// ICMP sequence number.
        sequence: u16,
        /// Payload after the ICMP header.
        payload: &'a [u8],
    },
    /// An error that quotes an echo request.
    Error {
        /// Sender of the error.
        from: IpAddr,
        /// ICMP type: 3 unreachable, 5 redirect, 11 time exceeded, 12 parameter problem. From an IPv6 sender: 1
        /// unreachable, 2 packet too big, 3 time exceeded, 4 parameter problem.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
        /// Destination of the quoted request.
        quoted_to: IpAddr,
        /// Identifier of the quoted request.
        identifier: u16,
        /// Sequence number of the quoted request.
        sequence: u16,
        /// The quoted part of the request's payload, which may be empty.
        quoted_payload: &'a [u8],
    },
}

/// Parses an IPv4 packet; `None` if it is malformed, a later fragment, or irrelevant to probing.
pub fn parse_ipv4(packet: &[u8]) -> Option<Heard<'_>> {
    icmp(ip::split_v4(packet)?)
}

/// Parses a packet of either IP version.
pub fn parse_packet(packet: &[u8]) -> Option<Heard<'_>> {
    match packet.first()? >> 4 {
        4 => parse_ipv4(packet),
        6 => parse_ipv6(packet),
        _ => None,
    }
}

/// Parses an IPv6 packet; `None` if it is malformed, a later fragment, or irrelevant to probing.
pub fn parse_ipv6(packet: &[u8]) -> Option<Heard<'_>> {
    let Parts { from: IpAddr::V6(from), to: IpAddr::V6(to), protocol: IpNumber::IPV6_ICMP, body } =
        ip::split_v6(packet)?
    else {
        return None;
    };
    parse_icmpv6(from, to, body)
}

fn icmp(Parts { from, to, protocol, body }: Parts<'_>) -> Option<Heard<'_>> {
    let message = Message::of(body).filter(|_| protocol == IpNumber::ICMP)?;
    match message.icmp_type {
        0 => Some(message.echo(EchoKind::Reply, from, to)),
        ECHO_REQUEST => Some(message.echo(EchoKind::Request, from, to)),
        3 | 5 | 11 | 12 => {
            let quoted = ip::split_v4(message.payload)?;
            let request = Message::of(quoted.body)
                .filter(|request| quoted.protocol == IpNumber::ICMP && request.icmp_type == ECHO_REQUEST)?;
            Some(message.error(from, quoted.to, &request))
        }
        _ => None,
    }
}

/// Parses an ICMPv6 message as a raw socket delivers it, without IPv6 headers.
pub fn parse_icmpv6(from: Ipv6Addr, to: Ipv6Addr, body: &[u8]) -> Option<Heard<'_>> {
    let message = Message::of(body)?;
    match message.icmp_type {
        ECHO_REQUEST_V6 => Some(message.echo(EchoKind::Request, from.into(), to.into())),
        ECHO_REPLY_V6 => Some(message.echo(EchoKind::Reply, from.into(), to.into())),
        1..=4 => {
            let quoted = ip::split_v6(message.payload)?;
            let request = Message::of(quoted.body)
                .filter(|request| quoted.protocol == IpNumber::IPV6_ICMP && request.icmp_type == ECHO_REQUEST_V6)?;
            Some(message.error(from.into(), quoted.to, &request))
        }
        _ => None,
    }
}

/// The fields of an ICMP or ICMPv6 message.
struct Message<'a> {
    icmp_type: u8,
    code: u8,
    identifier: u16,
    sequence: u16,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    fn of(body: &'a [u8]) -> Option<Self> {
        let (&[icmp_type, code, _, _, i, j, s, t], payload) = body.split_first_chunk::<8>()?;
        let (identifier, sequence) = (u16::from_be_bytes([i, j]), u16::from_be_bytes([s, t]));
        Some(Self { icmp_type, code, identifier, sequence, payload })
    }

    fn echo(self, kind: EchoKind, from: IpAddr, to: IpAddr) -> Heard<'a> {
        let Self { identifier, sequence, payload, .. } = self;
        Heard::Echo { kind, from, to, identifier, sequence, payload }
    }

    fn error(&self, from: IpAddr, quoted_to: IpAddr, request: &Self) -> Heard<'a> {
        Heard::Error {
            from,
            icmp_type: self.icmp_type,
            code: self.code,
            quoted_to,
            identifier: request.identifier,
            sequence: request.sequence,
            quoted_payload: request.payload,
        }
    }
}

/// The ICMP part of an echo request to `to`. For IPv6 the kernel computes the checksum, since it knows the source
/// address.
pub fn echo_request_to(to: IpAddr, identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = echo_request(identifier, sequence, payload);
    if to.is_ipv6() {
        packet[0] = ECHO_REQUEST_V6;
        packet[2..4].fill(0);
    }
    packet
}

/// The ICMP part of an IPv4 echo request, checksum included; the kernel prepends the IPv4 header.
pub fn echo_request(identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let echo = Icmpv4Type::EchoRequest(IcmpEchoHeader { id: identifier, seq: sequence });
    let mut packet = Icmpv4Header::with_checksum(echo, payload).to_bytes().to_vec();
    packet.extend(payload);
    packet
}

/// The IPv4 header of an ICMP packet, for a socket that takes headers. `dont_fragment` forbids fragmentation on the
/// path. Source, length and checksum are zero, so that the kernel fills them in. It also replaces an identification of
/// zero, which costs it a hundredth of the probe.
pub fn ipv4_header(to: Ipv4Addr, identification: u16, hop_limit: u8, dont_fragment: bool) -> [u8; IPV4_HEADER_BYTES] {
    let mut header = [0; IPV4_HEADER_BYTES];
    header[0] = 0x45;
    header[4..6].copy_from_slice(&identification.to_be_bytes());
    header[6] = if dont_fragment { DONT_FRAGMENT } else { 0 };
    header[8] = hop_limit;
    header[9] = IpNumber::ICMP.0;
    header[16..20].copy_from_slice(&to.octets());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::EXTENSIONS_MAX;
    use etherparse::checksum::Sum16BitWords;
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
        assert_eq!(Sum16BitWords::new().add_slice(&icmp).ones_complement(), 0);
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
                from: Ipv4Addr::new(10, 9, 9, 9).into(),
                icmp_type: 3,
                code: 13,
                quoted_to: Ipv4Addr::new(10, 0, 0, 2).into(),
                identifier: 9,
                sequence: 8,
                quoted_payload: &[],
            })
        );
    }

    #[test]
    fn an_unfragmentable_packet_says_so_and_goes_where_it_should() {
        let mut packet = ipv4_header([10, 0, 0, 2].into(), 0, 64, true).to_vec();
        packet.extend(echo_request(9, 8, b"xyz"));
        assert_eq!((packet[6], packet[8], packet[9], &packet[16..20]), (0x40, 64, 1, &[10, 0, 0, 2][..]));
        assert_eq!(ipv4_header([10, 0, 0, 2].into(), 0x102, 3, false)[4..9], [1, 2, 0, 0, 3]);
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

    const FROM: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    const TO: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

    /// A packet whose extension headers are `(kind, bytes)` in their order.
    fn ipv6(from: Ipv6Addr, to: Ipv6Addr, extensions: &[(u8, &[u8])], body: &[u8]) -> Vec<u8> {
        let kinds: Vec<u8> = extensions.iter().map(|(kind, _)| *kind).chain([IpNumber::IPV6_ICMP.0]).collect();
        let mut payload = vec![];
        for ((_, bytes), next) in extensions.iter().zip(&kinds[1..]) {
            let at = payload.len();
            payload.extend(*bytes);
            payload[at] = *next;
        }
        payload.extend(body);
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        packet.extend([kinds[0], 64]);
        packet.extend(from.octets());
        packet.extend(to.octets());
        packet.extend(payload);
        packet
    }

    fn echo_v6() -> Vec<u8> {
        echo_request_to(TO.into(), 0x1234, 7, b"odd")
    }

    #[test]
    fn an_ipv6_echo_is_read_behind_the_headers_that_may_stand_before_it() {
        let (options, authentication) =
            ([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9]);
        let first_fragment = [0, 0, 0, 1, 0, 0, 0, 9];
        for extensions in [
            &[][..],
            &[(0, &options[..])],
            &[(0, &options), (43, &options), (44, &first_fragment), (51, &authentication), (60, &options)],
        ] {
            let mut packet = ipv6(FROM, TO, extensions, &echo_v6());
            packet.extend([0; 9]);
            let Some(Heard::Echo { kind: EchoKind::Request, from, to, identifier: 0x1234, sequence: 7, payload }) =
                parse_packet(&packet)
            else {
                panic!("{extensions:?}: {:?}", parse_packet(&packet));
            };
            assert_eq!((from, to, payload), (FROM.into(), TO.into(), &b"odd"[..]), "padding is no payload");
        }
    }

    #[test]
    fn later_fragments_strangers_and_endless_chains_are_not_read() {
        let later_fragment = [0, 0, 0, 8, 0, 0, 0, 9];
        assert_eq!(parse_ipv6(&ipv6(FROM, TO, &[(44, &later_fragment)], &echo_v6())), None);
        let udp = [0; 8];
        assert_eq!(parse_ipv6(&ipv6(FROM, TO, &[(17, &udp)], &echo_v6())), None);
        let option: &[u8] = &[0; 8];
        let chain = |length| parse_ipv6(&ipv6(FROM, TO, &vec![(60, option); length], &echo_v6())).is_some();
        assert!(chain(EXTENSIONS_MAX - 1));
        assert!(!chain(EXTENSIONS_MAX), "a chain without end is somebody's game");
    }

    #[test]
    fn an_ipv6_error_names_its_sender_and_the_probe_it_quotes() {
        let router = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);
        let option: &[u8] = &[0; 8];
        for extensions in [&[][..], &[(60, option)]] {
            for icmp_type in 1..=4 {
                let mut body = vec![icmp_type, 1, 0, 0, 0, 0, 0, 0];
                body.extend(&ipv6(FROM, TO, extensions, &echo_v6())[..]);
                let expected = Heard::Error {
                    from: router.into(),
                    icmp_type,
                    code: 1,
                    quoted_to: TO.into(),
                    identifier: 0x1234,
                    sequence: 7,
                    quoted_payload: &echo_v6()[8..],
                };
                assert_eq!(parse_ipv6(&ipv6(router, FROM, &[], &body)), Some(expected));
                assert_eq!(parse_icmpv6(router, FROM, &body), Some(expected));
            }
        }
        let mut reply = vec![1, 1, 0, 0, 0, 0, 0, 0];
        reply.extend(ipv6(FROM, TO, &[], &[ECHO_REPLY_V6, 0, 0, 0, 0, 1, 0, 1]));
        assert_eq!(parse_icmpv6(router, FROM, &reply), None, "what it quotes is no request");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse_ipv4(&bytes);
            let _ = parse_icmpv6(FROM, TO, &bytes);
        }

        #[test]
        fn any_bytes_behind_an_ipv6_header_are_answered(
            next: u8,
            length: u16,
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(44), Just(58), Just(60)], 0..200),
        ) {
            let mut packet = ipv6(FROM, TO, &[], &bytes);
            packet[6] = next;
            packet[4..6].copy_from_slice(&length.to_be_bytes());
            let _ = parse_packet(&packet);
            let mut error = vec![1, 0, 0, 0, 0, 0, 0, 0];
            error.extend(packet);
            let _ = parse_icmpv6(FROM, TO, &error);
        }

        #[test]
        fn an_ipv6_packet_is_never_read_beyond_its_cut(cut in 0usize..120, kind in 0u8..=255, hops in 0usize..12) {
            let mut body = echo_v6();
            body[0] = kind;
            let option: &[u8] = &[0; 8];
            let packet = ipv6(FROM, TO, &vec![(60, option); hops], &body);
            if let Some(Heard::Echo { payload, .. }) = parse_packet(&packet[..cut.min(packet.len())]) {
                let from = packet.len() - 3;
                prop_assert_eq!(payload, &packet[from..cut.clamp(from, packet.len())]);
            }
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

//! Probes of ports on the wire, as the receiving end sees them: an incoming datagram or SYN, and the host's outgoing
//! answer.
//!
//! Parses untrusted bytes and never panics. The payload assigns a datagram to a probe, and the quoted payload assigns a
//! port unreachable. The ledger decides whose probe that is and whether its tag verifies. Headers are read by
//! `etherparse`. Later fragments are not supported: a probe is one small packet.

use crate::{
    Payload,
    ip::{Parts, split},
};
use etherparse::{IpNumber, TcpHeaderSlice, UdpSlice};
use std::net::{IpAddr, SocketAddr};

const ICMP_HEADER_BYTES: usize = 8;
/// Type and code of "port unreachable", in ICMP and in ICMPv6.
const PORT_UNREACHABLE: [u8; 2] = [3, 3];
const PORT_UNREACHABLE_V6: [u8; 2] = [1, 4];

/// A packet that concerns a UDP probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Whether it is the host's refusal, a port unreachable that quotes the probe; otherwise a datagram, the probe or
    /// its echo.
    pub refusal: bool,
    /// Source address of the packet.
    pub from: IpAddr,
    /// Destination address of the packet.
    pub to: IpAddr,
    /// Payload that identifies the probe.
    pub payload: &'a [u8],
}

/// A packet that opens a connection or answers that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Whether it is an answer, SYN with ACK or RST; otherwise it is a SYN.
    pub answer: bool,
    /// Source address and port.
    pub from: SocketAddr,
    /// Destination address and port.
    pub to: SocketAddr,
}

/// Parses an IP packet; `None` if it neither opens a connection nor answers that.
pub fn parse_segment(packet: &[u8]) -> Option<Segment> {
    let Parts { from, to, protocol, body } = split(packet)?;
    let tcp = TcpHeaderSlice::from_slice(body).ok().filter(|_| protocol == IpNumber::TCP)?;
    let answer = match (tcp.syn(), tcp.rst(), tcp.ack()) {
        (true, false, false) => false,
        (_, true, _) | (true, _, true) => true,
        _ => return None,
    };
    let (from, to) = (SocketAddr::new(from, tcp.source_port()), SocketAddr::new(to, tcp.destination_port()));
    Some(Segment { answer, from, to })
}

/// Parses an IP packet; `None` if it does not belong to a UDP probe.
pub fn parse_datagram(packet: &[u8]) -> Option<Datagram<'_>> {
    let Parts { from, to, protocol, body } = split(packet)?;
    let refuses = match protocol {
        IpNumber::ICMP => from.is_ipv4() && body.starts_with(&PORT_UNREACHABLE),
        IpNumber::IPV6_ICMP => from.is_ipv6() && body.starts_with(&PORT_UNREACHABLE_V6),
        _ => false,
    };
    let (refusal, payload) = if refuses {
        let quoted = split(body.get(ICMP_HEADER_BYTES..)?)?;
        if quoted.protocol != IpNumber::UDP || quoted.from != to || quoted.to != from {
            return None;
        }
        (true, UdpSlice::from_slice_lax(quoted.body).ok()?.payload())
    } else if protocol == IpNumber::UDP {
        (false, UdpSlice::from_slice_lax(body).ok()?.payload())
    } else {
        return None;
    };
    Payload::marks(payload).then_some(Datagram { refusal, from, to, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AgentHash, IPV4_HEADER_BYTES, NonceKey};
    use proptest::prelude::*;

    const IPV6_HEADER_BYTES: usize = 40;
    const UDP_HEADER_BYTES: usize = 8;

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
        let payload = Payload { agent: AgentHash(1), round: 2.into(), sequence: 3 };
        let mut body = vec![0; UDP_HEADER_BYTES];
        body.extend(payload.encode(&NonceKey::from_bytes([7; 32]), 32));
        ipv4(17, [10, 0, 0, 1], [10, 0, 0, 2], &body)
    }

    fn segment(flags: u8) -> Vec<u8> {
        let mut body = vec![0; 20];
        body[..4].copy_from_slice(&[0x9c, 0x40, 0x01, 0xbb]);
        // Five words of header, then the flags.
        (body[12], body[13]) = (0x50, flags);
        ipv4(6, [10, 0, 0, 1], [10, 0, 0, 2], &body)
    }

    #[test]
    fn a_syn_begins_a_connection_and_a_syn_with_ack_or_a_reset_answers_it() {
        let kind = |flags: u8| parse_segment(&segment(flags)).map(|segment| segment.answer);
        assert_eq!(
            [kind(2), kind(0xc2), kind(0x12), kind(4), kind(0x14)].map(Option::unwrap),
            [false, false, true, true, true]
        );
        assert_eq!([kind(0x10), kind(0x11), kind(0)], [None; 3]);
        let seen = parse_segment(&segment(2)).unwrap();
        assert_eq!((seen.from.to_string(), seen.to.to_string()), ("10.0.0.1:40000".into(), "10.0.0.2:443".into()));
        let six = ipv6(6, 1, 2, &segment(2)[IPV4_HEADER_BYTES..]);
        assert_eq!(parse_segment(&six).unwrap().to.to_string(), "[fd00::2]:443");
        assert_eq!((parse_segment(&probe()), parse_segment(&segment(2)[..30])), (None, None));
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
        let (near, far): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert_eq!((seen.refusal, seen.from, seen.to), (false, near, far));
        let answer = refusal(&packet, 3, 3);
        let refused = parse_datagram(&answer).unwrap();
        assert_eq!((refused.refusal, refused.from, refused.payload), (true, far, seen.payload));
    }

    fn ipv6(protocol: u8, from: u8, to: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; IPV6_HEADER_BYTES];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        packet[6] = protocol;
        (packet[8], packet[23], packet[24], packet[39]) = (0xfd, from, 0xfd, to);
        packet.extend(body);
        packet
    }

    #[test]
    fn the_same_holds_over_ipv6() {
        let packet = ipv6(17, 1, 2, &probe()[IPV4_HEADER_BYTES..]);
        let seen = parse_datagram(&packet).unwrap();
        let far: IpAddr = "fd00::2".parse().unwrap();
        assert_eq!((seen.refusal, seen.to), (false, far));
        let refuse = |by: u8, code: u8| {
            let mut body = vec![1, code, 0, 0, 0, 0, 0, 0];
            body.extend(&packet);
            ipv6(58, by, 1, &body)
        };
        let answer = refuse(2, 4);
        let refused = parse_datagram(&answer).unwrap();
        assert_eq!((refused.refusal, refused.from, refused.payload), (true, far, seen.payload));
        assert_eq!((parse_datagram(&refuse(2, 1)), parse_datagram(&refuse(3, 4))), (None, None));
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
            let _ = (parse_datagram(&bytes), parse_segment(&bytes));
            let _ = parse_segment(&segment(2)[..cut.min(40)]);
            let packet = ipv6(17, 1, 2, &probe()[IPV4_HEADER_BYTES..]);
            for whole in [refusal(&probe(), 3, 3), ipv6(58, 2, 1, &[&[1, 4, 0, 0, 0, 0, 0, 0], &packet[..]].concat())] {
                let _ = parse_datagram(&whole[..cut.min(whole.len())]);
            }
        }
    }
}

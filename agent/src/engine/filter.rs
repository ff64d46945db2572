//! Classic BPF programs, so that the kernel hands over only what concerns probing.
//!
//! They bound the work that other people's traffic can cause; correctness does not rest on them, since everything that
//! comes through is parsed again.

use socket2::SockFilter;
use std::ops::RangeInclusive;

const LOAD_HALF_ABSOLUTE: u16 = 0x28;
const LOAD_BYTE_ABSOLUTE: u16 = 0x30;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_BYTE_INDEXED: u16 = 0x50;
const AND: u16 = 0x54;
const SHIFT_LEFT: u16 = 0x64;
const ADD: u16 = 0x04;
const ADD_X: u16 = 0x0c;
const TO_X: u16 = 0x07;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the EtherType, whatever the link layer.
const ETHER_TYPE: u32 = 0xffff_f000;
const WHOLE_PACKET: u32 = 0x0004_0000;

/// What a socket is to hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// ICMP identifiers of our probes; all of them when there is none.
    pub(super) identifiers: Option<RangeInclusive<u16>>,
    /// Whether other people's echo requests are of interest.
    pub(super) requests: bool,
}

/// For the raw ICMP socket: replies with our identifiers, errors that quote a request with one, perhaps requests.
pub(super) fn icmp(wanted: &Wanted) -> Vec<SockFilter> {
    let mut types = vec![0, 3, 5, 11, 12];
    types.extend(wanted.requests.then_some(8));
    let mut program = vec![op(LOAD_HEADER_LENGTH, 0, 0, 0), op(LOAD_BYTE_INDEXED, 0, 0, 0)];
    let Some(ours) = &wanted.identifiers else {
        accept_types(&mut program, &types);
        return program;
    };
    if wanted.requests {
        program.extend([op(JUMP_EQUAL, 0, 1, 8), op(RETURN, 0, 0, WHOLE_PACKET)]);
    }
    let (first, last) = (u32::from(*ours.start()), u32::from(*ours.end()));
    program.extend([
        // A reply is judged as it stands, X being the length of its header.
        op(JUMP_EQUAL, 14, 0, 0),
        op(JUMP_EQUAL, 4, 0, 3),
        op(JUMP_EQUAL, 3, 0, 5),
        op(JUMP_EQUAL, 2, 0, 11),
        op(JUMP_EQUAL, 1, 0, 12),
        op(RETURN, 0, 0, 0),
        // An error is judged by the request that it quotes: X moves behind the quoted header, as long as that says it is.
        op(LOAD_BYTE_INDEXED, 0, 0, 8),
        op(AND, 0, 0, 15),
        op(SHIFT_LEFT, 0, 0, 2),
        op(ADD_X, 0, 0, 0),
        op(ADD, 0, 0, 8),
        op(TO_X, 0, 0, 0),
        op(LOAD_BYTE_INDEXED, 0, 0, 0),
        op(JUMP_EQUAL, 1, 0, 8),
        op(RETURN, 0, 0, 0),
        op(LOAD_HALF_INDEXED, 0, 0, 4),
        op(JUMP_AT_LEAST, 0, 1, first),
        op(JUMP_GREATER, 0, 1, last),
        op(RETURN, 0, 0, 0),
        op(RETURN, 0, 0, WHOLE_PACKET),
    ]);
    program
}

/// For the packet socket: IPv4, ICMP, not a later fragment, echo request or reply. Direction is checked by the reader.
pub(super) fn echoes() -> Vec<SockFilter> {
    let mut program = vec![
        op(LOAD_HALF_ABSOLUTE, 0, 0, ETHER_TYPE),
        op(JUMP_EQUAL, 1, 0, 0x0800),
        op(RETURN, 0, 0, 0),
        op(LOAD_BYTE_ABSOLUTE, 0, 0, 9),
        op(JUMP_EQUAL, 1, 0, 1),
        op(RETURN, 0, 0, 0),
        op(LOAD_HALF_ABSOLUTE, 0, 0, 6),
        op(JUMP_ANY_BIT, 0, 1, 0x1fff),
        op(RETURN, 0, 0, 0),
        op(LOAD_HEADER_LENGTH, 0, 0, 0),
        op(LOAD_BYTE_INDEXED, 0, 0, 0),
    ];
    accept_types(&mut program, &[0, 8]);
    program
}

fn accept_types(program: &mut Vec<SockFilter>, types: &[u8]) {
    for &icmp_type in types {
        program.push(op(JUMP_EQUAL, 0, 1, u32::from(icmp_type)));
        program.push(op(RETURN, 0, 0, WHOLE_PACKET));
    }
    program.push(op(RETURN, 0, 0, 0));
}

fn op(code: u16, on_true: u8, on_false: u8, k: u32) -> SockFilter {
    SockFilter::new(code, on_true, on_false, k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_probe::echo_request;
    use socket2::SockRef;
    use std::os::unix::net::UnixDatagram;

    /// Whether the kernel lets `packet` through: any datagram socket runs the program over what it is sent.
    fn passes(program: &[SockFilter], packet: &[u8]) -> bool {
        let (to, from) = UnixDatagram::pair().unwrap();
        SockRef::from(&to).attach_filter(program).unwrap();
        to.set_nonblocking(true).unwrap();
        // A datagram that the filter refuses is an error of the sender here.
        let _ = from.send(packet);
        to.recv(&mut [0; 256]).is_ok()
    }

    fn ipv4(options: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20 + usize::from(options) * 4];
        packet[0] = 0x45 + options;
        packet.extend(body);
        packet
    }

    fn echo(icmp_type: u8, identifier: u16) -> Vec<u8> {
        let mut body = echo_request(identifier, 1, &[0; 32]);
        body[0] = icmp_type;
        body
    }

    fn error(icmp_type: u8, quoted: &[u8]) -> Vec<u8> {
        let mut body = vec![icmp_type, 1, 0, 0, 0, 0, 0, 0];
        body.extend(quoted);
        body
    }

    #[test]
    fn only_our_identifiers_pass_whatever_the_headers_carry() {
        for requests in [false, true] {
            let program = icmp(&Wanted { identifiers: Some(1_000..=1_003), requests });
            for options in 0..4 {
                for (identifier, ours) in [(999, false), (1_000, true), (1_003, true), (1_004, false)] {
                    assert_eq!(passes(&program, &ipv4(options, &echo(0, identifier))), ours, "reply {identifier}");
                    assert_eq!(
                        passes(&program, &ipv4(options, &echo(8, identifier))),
                        requests,
                        "request {identifier}"
                    );
                    for icmp_type in [3, 5, 11, 12] {
                        for quoted_options in 0..4 {
                            let quoted = ipv4(quoted_options, &echo(8, identifier)[..8]);
                            let packet = ipv4(options, &error(icmp_type, &quoted));
                            assert_eq!(passes(&program, &packet), ours, "error {icmp_type} quoting {identifier}");
                        }
                    }
                }
                assert!(!passes(&program, &ipv4(options, &error(3, &ipv4(0, &echo(0, 1_000))))), "quotes no request");
                assert!(!passes(&program, &ipv4(options, &echo(13, 1_000))), "a type of no interest");
            }
        }
    }

    #[test]
    fn without_identifiers_every_echo_and_error_passes() {
        let program = icmp(&Wanted { identifiers: None, requests: true });
        for icmp_type in 0..=255 {
            let wanted = [0, 3, 5, 8, 11, 12].contains(&icmp_type);
            assert_eq!(passes(&program, &ipv4(0, &echo(icmp_type, 7))), wanted, "{icmp_type}");
        }
    }
}

//! Classic BPF filters of the engine's sockets, so that the kernel delivers only packets that concern probing.
//!
//! They bound the work that other traffic can cause. Correctness does not depend on them, since every delivered packet
//! is parsed again.

use crate::bpf::{
    ADD, ADD_X, AND, JUMP_ANY_BIT, JUMP_AT_LEAST, JUMP_GREATER, LOAD_BYTE_ABSOLUTE, LOAD_BYTE_INDEXED,
    LOAD_HALF_ABSOLUTE, LOAD_HALF_INDEXED, LOAD_HEADER_LENGTH, Program, RETURN, SHIFT_LEFT, TO_X, accept, by_version,
    op, refuse, when,
};
use std::ops::RangeInclusive;

/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: the packet type, and its value for a packet that leaves.
const PACKET_TYPE: u32 = 0xffff_f004;
const PACKET_OUTGOING: u8 = 4;

/// What a socket is to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// ICMP identifiers of this process's probes; all identifiers if `None`.
    pub(super) identifiers: Option<RangeInclusive<u16>>,
    /// Whether to deliver echo requests of other hosts.
    pub(super) requests: bool,
    /// Whether to deliver this process's own echo requests as they leave.
    pub(super) departures: bool,
    /// Whether to deliver the replies to them as they arrive. With ring-buffer receive, nothing else shows when they
    /// arrived.
    pub(super) replies: bool,
}

impl Wanted {
    /// What to do with an echo reply; `identifier` loads its identifier.
    fn reply(&self, identifier: Program) -> Program {
        match &self.identifiers {
            _ if self.requests => accept(),
            Some(ours) if self.replies => [identifier, accept_within(ours)].concat(),
            _ => refuse(),
        }
    }
}

/// For the raw ICMP socket: replies with our identifiers, errors that quote a request with one of them, and requests if
/// they are wanted.
pub(super) fn icmp(wanted: &Wanted) -> Program {
    let kind = vec![op(LOAD_HEADER_LENGTH, 0, 0, 0), op(LOAD_BYTE_INDEXED, 0, 0, 0)];
    let requests: &[u8] = if wanted.requests { &[8] } else { &[] };
    let Some(ours) = &wanted.identifiers else {
        return [kind, when(&[0, 3, 5, 11, 12], accept()), when(requests, accept()), refuse()].concat();
    };
    // An error is judged by the request that it quotes: X advances past the quoted IP header, by the length stated
    // there.
    let quoted = vec![
        op(LOAD_BYTE_INDEXED, 0, 0, 8),
        op(AND, 0, 0, 15),
        op(SHIFT_LEFT, 0, 0, 2),
        op(ADD_X, 0, 0, 0),
        op(ADD, 0, 0, 8),
        op(TO_X, 0, 0, 0),
        op(LOAD_BYTE_INDEXED, 0, 0, 0),
    ];
    let about_ours = || [vec![op(LOAD_HALF_INDEXED, 0, 0, 4)], accept_within(ours)].concat();
    let error = [quoted, when(&[8], about_ours()), refuse()].concat();
    [kind, when(&[0], about_ours()), when(&[3, 5, 11, 12], error), when(requests, accept()), refuse()].concat()
}

/// As [`icmp`], for the raw ICMPv6 socket, which receives no IPv6 header.
pub(super) fn icmpv6(wanted: &Wanted) -> Program {
    let kind = vec![op(LOAD_BYTE_ABSOLUTE, 0, 0, 0)];
    let requests: &[u8] = if wanted.requests { &[128] } else { &[] };
    let Some(ours) = &wanted.identifiers else {
        return [kind, when(&[129, 1, 2, 3, 4], accept()), when(requests, accept()), refuse()].concat();
    };
    let within = |at| [vec![op(LOAD_HALF_ABSOLUTE, 0, 0, at)], accept_within(ours)].concat();
    // After extension headers the identifier is at another offset. Such errors are rare; they pass and are parsed
    // anyway.
    let error = [vec![op(LOAD_BYTE_ABSOLUTE, 0, 0, 14)], when(&[58], within(52)), accept()].concat();
    [kind, when(&[129], within(4)), when(&[1, 2, 3, 4], error), when(requests, accept()), refuse()].concat()
}

/// Types that the kernel blocks on the raw ICMPv6 socket, in the form of `ICMPV6_FILTER`: a set bit blocks.
pub(super) fn blocked_types(wanted: &Wanted) -> [u32; 8] {
    let mut blocked = [u32::MAX; 8];
    for passed in [1, 2, 3, 4, 129].into_iter().chain(wanted.requests.then_some(128)) {
        blocked[passed / 32] &= !(1 << (passed % 32));
    }
    blocked
}

/// For the packet socket: wanted echo requests and replies; of fragments, only the first.
pub(super) fn echoes(wanted: &Wanted) -> Program {
    by_version(echoes_v4(wanted), echoes_v6(wanted))
}

fn echoes_v4(wanted: &Wanted) -> Program {
    let kind = vec![
        op(LOAD_HALF_ABSOLUTE, 0, 0, 6),
        op(JUMP_ANY_BIT, 0, 1, 0x1fff),
        op(RETURN, 0, 0, 0),
        op(LOAD_HEADER_LENGTH, 0, 0, 0),
        op(LOAD_BYTE_INDEXED, 0, 0, 0),
    ];
    let identifier = || vec![op(LOAD_HALF_INDEXED, 0, 0, 4)];
    let (reply, request) = (wanted.reply(identifier()), request_in(wanted, identifier()));
    let icmp = [kind, when(&[0], reply), when(&[8], request), refuse()].concat();
    [vec![op(LOAD_BYTE_ABSOLUTE, 0, 0, 9)], when(&[1], icmp), refuse()].concat()
}

fn echoes_v6(wanted: &Wanted) -> Program {
    let echo_at = |at| {
        let kind = vec![op(LOAD_BYTE_ABSOLUTE, 0, 0, at)];
        let identifier = || vec![op(LOAD_HALF_ABSOLUTE, 0, 0, at + 4)];
        let (reply, request) = (wanted.reply(identifier()), request_in(wanted, identifier()));
        [kind, when(&[129], reply), when(&[128], request), refuse()].concat()
    };
    let followed_by = |block| [vec![op(LOAD_BYTE_ABSOLUTE, 0, 0, 40)], when(&[58], block), refuse()].concat();
    let first_fragment = vec![op(LOAD_HALF_ABSOLUTE, 0, 0, 42), op(JUMP_ANY_BIT, 0, 1, 0xfff8), op(RETURN, 0, 0, 0)];
    let fragment = [first_fragment, followed_by(echo_at(48))].concat();
    // After one options or routing header, any ICMPv6 packet passes and is parsed. Longer header chains do not pass.
    let optional = followed_by(accept());
    let next = vec![op(LOAD_BYTE_ABSOLUTE, 0, 0, 6)];
    [next, when(&[58], echo_at(40)), when(&[44], fragment), when(&[0, 43, 60], optional), refuse()].concat()
}

/// What to do with an echo request; `identifier` loads its identifier. Incoming requests are those of other hosts,
/// outgoing ones are ours.
fn request_in(wanted: &Wanted, identifier: Program) -> Program {
    let leaving = match &wanted.identifiers {
        _ if !wanted.departures => refuse(),
        None => accept(),
        Some(ours) => [identifier, accept_within(ours)].concat(),
    };
    let coming = if wanted.requests { accept() } else { refuse() };
    [vec![op(LOAD_BYTE_ABSOLUTE, 0, 0, PACKET_TYPE)], when(&[PACKET_OUTGOING], leaving), coming].concat()
}

/// Accepts when the accumulator is in the range, and refuses otherwise.
fn accept_within(range: &RangeInclusive<u16>) -> Program {
    let bounds =
        vec![op(JUMP_AT_LEAST, 0, 1, u32::from(*range.start())), op(JUMP_GREATER, 0, 1, u32::from(*range.end()))];
    [bounds, refuse(), accept()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::passes;
    use pingtong_probe::echo_request;

    const ALL: Wanted = Wanted { identifiers: None, requests: true, departures: true, replies: false };

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
            let program =
                icmp(&Wanted { identifiers: Some(1_000..=1_003), requests, departures: false, replies: false });
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
        let program = icmp(&Wanted { identifiers: None, requests: true, departures: false, replies: false });
        for icmp_type in 0..=255 {
            let wanted = [0, 3, 5, 8, 11, 12].contains(&icmp_type);
            assert_eq!(passes(&program, &ipv4(0, &echo(icmp_type, 7))), wanted, "{icmp_type}");
        }
    }

    fn ipv6(next: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        (packet[0], packet[6]) = (0x60, next);
        packet.extend(body);
        packet
    }

    #[test]
    fn ipv6_is_judged_by_the_same_identifiers() {
        for requests in [false, true] {
            let program =
                icmpv6(&Wanted { identifiers: Some(1_000..=1_003), requests, departures: false, replies: false });
            for (identifier, ours) in [(999, false), (1_000, true), (1_003, true), (1_004, false)] {
                assert_eq!(passes(&program, &echo(129, identifier)), ours);
                assert_eq!(passes(&program, &echo(128, identifier)), requests);
                for icmp_type in 1..=4 {
                    assert_eq!(passes(&program, &error(icmp_type, &ipv6(58, &echo(128, identifier)))), ours);
                    assert!(passes(&program, &error(icmp_type, &ipv6(60, &echo(128, identifier)))), "is parsed later");
                }
            }
            assert!(!passes(&program, &echo(135, 1_000)), "neighbours are none of our business");
            let every = icmpv6(&Wanted { identifiers: None, requests, departures: false, replies: false });
            for icmp_type in 0..=255 {
                let wanted = [1, 2, 3, 4, 129].contains(&icmp_type) || (requests && icmp_type == 128);
                assert_eq!(passes(&every, &echo(icmp_type, 7)), wanted, "{icmp_type}");
                let blocked = blocked_types(&Wanted { identifiers: None, requests, departures: false, replies: false });
                let word = blocked[usize::from(icmp_type) / 32];
                assert_eq!(word >> (icmp_type % 32) & 1 == 0, wanted, "{icmp_type}");
            }
        }
    }

    #[test]
    fn the_packet_socket_takes_echoes_and_first_fragments_of_them() {
        for icmp_type in 0..=255 {
            let mut packet = ipv4(2, &echo(icmp_type, 7));
            packet[9] = 1;
            assert_eq!(passes(&echoes_v4(&ALL), &packet), [0, 8].contains(&icmp_type), "{icmp_type}");
            packet[7] = 1;
            assert!(!passes(&echoes_v4(&ALL), &packet), "a later fragment");
            let wanted = [128, 129].contains(&icmp_type);
            assert_eq!(passes(&echoes_v6(&ALL), &ipv6(58, &echo(icmp_type, 7))), wanted, "{icmp_type}");
            for (offset, first) in [(0, true), (8, false)] {
                let fragment = [vec![58, 0, 0, offset | 1, 0, 0, 0, 9], echo(icmp_type, 7)].concat();
                assert_eq!(passes(&echoes_v6(&ALL), &ipv6(44, &fragment)), wanted && first, "{icmp_type} at {offset}");
            }
        }
        let behind = |next: u8| [vec![next, 0, 0, 0, 0, 0, 0, 0], echo(128, 7)].concat();
        for extension in [0, 43, 60] {
            assert!(passes(&echoes_v6(&ALL), &ipv6(extension, &behind(58))));
            assert!(!passes(&echoes_v6(&ALL), &ipv6(extension, &behind(17))));
        }
        assert!(!passes(&echoes_v6(&ALL), &ipv6(17, &behind(58))));
    }
}

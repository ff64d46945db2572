//! The packet socket that sees TCP and UDP probes of other agents arrive, and this host refuse or answer them.
//!
//! It is separate from the engine's: echoes may arrive by the hundred thousand, probes of ports by the dozen. It is
//! opened before the capabilities are dropped. Its filter passes only datagrams with a probe's mark, port unreachables,
//! and SYNs (and the answers to them) of ports where the plan expects connections; what passes is parsed again. It sees
//! packets before any filter of the guest (`PROBING.md` §3). A SYN carries no mark: its addresses and ports
//! identify the probe, and only for a reader who knows both ends.

use crate::bpf::{
    self, JUMP_ANY_BIT, JUMP_EQUAL, LOAD_BYTE_ABSOLUTE, LOAD_BYTE_INDEXED, LOAD_HALF_ABSOLUTE, LOAD_HALF_INDEXED,
    LOAD_HEADER_LENGTH, LOAD_WORD_ABSOLUTE, LOAD_WORD_INDEXED, Op, Program, RETURN, accept, by_version, op, refuse,
    when,
};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
        socket, sockopt,
    },
};
use pingtong_evidence::{PlanArrival, Protocol};
use pingtong_probe::{AgentHash, Datagram, EchoKind, Heard, Sighting, parse_datagram, parse_segment};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::IoSliceMut,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};
use tokio::{io::Interest, net::UdpSocket};

/// Maximum packets read at a time.
const READ_MAX: usize = 256;
/// Pause before the next read of a queue that was not read to its end. A flood of connections to an expected port thus
/// takes a share of a core and not all of it; what the queue cannot hold meanwhile is reported as dropped.
const PAUSE: Duration = Duration::from_millis(4);
/// Room for a refusal that quotes a probe.
const PACKET_BYTES: usize = 256;
/// `PACKET_HOST` and `PACKET_OUTGOING` of `linux/if_packet.h`, `ARPHRD_LOOPBACK` of `linux/if_arp.h`.
const PACKET_HOST: u8 = 0;
const PACKET_OUTGOING: u8 = 4;
const HARDWARE_LOOPBACK: u16 = 772;
/// "PtP1", with which every probe's payload begins.
const MARK: u32 = 0x5074_5031;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP_V6: u8 = 58;
/// Offset of the flags in a TCP header, and the two flags that begin or answer a connection.
const TCP_FLAGS_AT: u32 = 13;
const SYN_OR_RST: u32 = 0x06;
/// Maximum ports whose connections are observed: the filter compares them one by one, and a jump spans at most 255
/// instructions.
const PORTS_MAX: usize = 48;

/// The socket as opened, before there is a Tokio runtime.
#[derive(Debug)]
pub struct PortTap {
    fd: OwnedFd,
    watched: Option<UdpSocket>,
    dropped: u32,
    /// Interface names by index, since looking up a name takes three system calls.
    names: BTreeMap<usize, String>,
    /// Ports whose connections pass the filter.
    ports: Vec<u16>,
    /// Whether the last read stopped before the end.
    more: bool,
}

impl PortTap {
    /// Opens the socket and attaches its filter.
    ///
    /// # Errors
    /// The kernel's error; without `CAP_NET_RAW` it refuses.
    pub fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
        // Without its filter the socket would receive every packet of the host.
        bpf::attach(&fd, &filter(&[])).map_err(|error| error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))?;
        if let Err(error) = setsockopt(&fd, sockopt::RxqOvfl, &1) {
            tracing::debug!(%error, "the kernel does not report what this queue dropped");
        }
        Ok(Self { fd, watched: None, dropped: 0, names: BTreeMap::new(), ports: vec![], more: false })
    }

    /// Observes the TCP connections among `arrivals`. Returns those that it observes: all of them, unless they are to
    /// too many ports or the kernel refuses the filter.
    pub fn look_for(&mut self, arrivals: &[PlanArrival]) -> Vec<PlanArrival> {
        // Plans are rare, and an interface may have been renamed since the last one.
        self.names.clear();
        let mut connections: Vec<&PlanArrival> =
            arrivals.iter().filter(|arrival| arrival.protocol == Protocol::Tcp).collect();
        let ports: BTreeSet<u16> = connections.iter().map(|arrival| arrival.port).collect();
        let ports: Vec<u16> = ports.into_iter().take(PORTS_MAX).collect();
        if ports != self.ports {
            if let Err(error) = bpf::attach(&self.fd, &filter(&ports)) {
                tracing::warn!(%error, "the connections that the plan expects are not looked for");
            } else {
                self.ports = ports;
            }
        }
        connections.retain(|arrival| self.ports.contains(&arrival.port));
        connections.into_iter().cloned().collect()
    }

    /// Waits until there is something to read.
    pub async fn ready(&mut self) {
        if self.more {
            return tokio::time::sleep(PAUSE).await;
        }
        if self.watched.is_none() {
            // Tokio watches any socket that is passed as a UDP socket; it is still read here.
            let copy = self.fd.try_clone().and_then(|fd| UdpSocket::from_std(std::net::UdpSocket::from(fd)));
            self.watched = copy.ok();
        }
        let Some(watched) = &self.watched else { return std::future::pending().await };
        if watched.readable().await.is_ok() {
            // Clears the readiness, so that the next wait is for packets that arrive after the following drain.
            drop(watched.try_io(Interest::READABLE, || Err::<(), _>(std::io::ErrorKind::WouldBlock.into())));
        }
    }

    /// Reads what is queued, up to a limit.
    pub fn drain(&mut self, own: AgentHash, mut take: impl FnMut(Sighting<'_>)) {
        self.more = false;
        let mut buffer = [0; PACKET_BYTES];
        for _ in 0..READ_MAX {
            let mut control = nix::cmsg_space!(u32);
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let Ok(message) = recvmsg::<LinkAddr>(self.fd.as_raw_fd(), &mut slices, Some(&mut control), flags) else {
                return;
            };
            let dropped = message.cmsgs().ok().and_then(|mut parts| {
                parts.find_map(|part| if let ControlMessageOwned::RxqOvfl(count) = part { Some(count) } else { None })
            });
            let (bytes, link) = (message.bytes, message.address);
            if let Some(dropped) = dropped {
                let new = dropped.wrapping_sub(std::mem::replace(&mut self.dropped, dropped));
                if new > 0 {
                    take(Sighting::OwnDrops(new.into()));
                }
            }
            let Some(link) = link.filter(|link| link.hatype() != HARDWARE_LOOPBACK) else { continue };
            let outgoing = match link.pkttype() {
                PACKET_HOST => false,
                PACKET_OUTGOING => true,
                _ => continue,
            };
            let Some(packet) = buffer.get(..bytes) else { continue };
            if let Some(segment) = parse_segment(packet) {
                take(Sighting::Segment { segment, interface: name_of(&mut self.names, link.ifindex()), outgoing });
                continue;
            }
            let Some(seen) = parse_datagram(packet) else { continue };
            if let Some(packet) = as_echo(&seen, outgoing, own) {
                take(Sighting::Wire { packet, interface: name_of(&mut self.names, link.ifindex()), outgoing });
            }
        }
        self.more = true;
    }
}

/// To the ledger, a probe is a request and what leaves for it is a reply, independent of the protocol: the mark
/// identifies probes. Our own probes, and what comes back for them, concern only the socket that sent them.
fn as_echo<'a>(seen: &Datagram<'a>, outgoing: bool, own: AgentHash) -> Option<Heard<'a>> {
    if seen.payload.get(4..12) == Some(&own.0.to_be_bytes()[..]) {
        return None;
    }
    let kind = match (seen.refusal, outgoing) {
        (false, false) => EchoKind::Request,
        (_, true) => EchoKind::Reply,
        (true, false) => return None,
    };
    Some(Heard::Echo { kind, from: seen.from, to: seen.to, identifier: 0, sequence: 0, payload: seen.payload })
}

fn name_of(names: &mut BTreeMap<usize, String>, index: usize) -> &str {
    names.entry(index).or_insert_with(|| {
        let index = u32::try_from(index).unwrap_or_default();
        let name = nix::net::if_::if_indextoname(index).ok().and_then(|name| name.into_string().ok());
        name.unwrap_or_else(|| format!("if{index}"))
    })
}

/// Passes datagrams whose payload begins with the mark, port unreachables, and, for each of `ports`, SYNs to it and
/// what answers from it: in IPv4 (no later fragment) and in IPv6 (no extension header).
fn filter(ports: &[u16]) -> Program {
    by_version(filter_v4(ports), filter_v6(ports))
}

fn filter_v4(ports: &[u16]) -> Program {
    // The following parts load from behind the IP header, whose length X holds.
    let whole = vec![
        op(LOAD_HALF_ABSOLUTE, 0, 0, 6),
        op(JUMP_ANY_BIT, 0, 1, 0x1fff),
        op(RETURN, 0, 0, 0),
        op(LOAD_HEADER_LENGTH, 0, 0, 0),
        op(LOAD_BYTE_ABSOLUTE, 0, 0, 9),
    ];
    let marked = [vec![op(LOAD_WORD_INDEXED, 0, 0, 8)], accept_only(MARK)].concat();
    let unreachable = [vec![op(LOAD_HALF_INDEXED, 0, 0, 0)], accept_only(0x0303)].concat();
    let load = |code: u16, at: u32| op(code, 0, 0, at);
    let flags = load(LOAD_BYTE_INDEXED, TCP_FLAGS_AT);
    let (source, destination) = (load(LOAD_HALF_INDEXED, 0), load(LOAD_HALF_INDEXED, 2));
    [whole, when(&[UDP], marked), when(&[ICMP], unreachable), segments(ports, flags, source, destination)].concat()
}

fn filter_v6(ports: &[u16]) -> Program {
    const HEADER: u32 = 40;
    let next = vec![op(LOAD_BYTE_ABSOLUTE, 0, 0, 6)];
    let marked = [vec![op(LOAD_WORD_ABSOLUTE, 0, 0, HEADER + 8)], accept_only(MARK)].concat();
    let unreachable = [vec![op(LOAD_HALF_ABSOLUTE, 0, 0, HEADER)], accept_only(0x0104)].concat();
    let load = |code: u16, at: u32| op(code, 0, 0, HEADER + at);
    let flags = load(LOAD_BYTE_ABSOLUTE, TCP_FLAGS_AT);
    let (source, destination) = (load(LOAD_HALF_ABSOLUTE, 0), load(LOAD_HALF_ABSOLUTE, 2));
    [next, when(&[UDP], marked), when(&[ICMP_V6], unreachable), segments(ports, flags, source, destination)].concat()
}

/// Accepts what begins a connection to one of the ports or answers from one, and rejects the rest. The accumulator
/// holds the protocol; the instructions load the flags and the two ports.
fn segments(ports: &[u16], flags: Op, source: Op, destination: Op) -> Program {
    if ports.is_empty() {
        return refuse();
    }
    // A match jumps over the rest of its chain and `behind` more instructions; a mismatch goes on to the next.
    let one_of = |ports: &[u16], behind: usize| -> Program {
        let jump = |(at, port): (usize, &u16)| {
            op(JUMP_EQUAL, u8::try_from(ports.len() - 1 - at + behind).unwrap_or(u8::MAX), 0, u32::from(*port))
        };
        ports.iter().enumerate().map(jump).collect()
    };
    // After the second chain comes a refusal; after the first, also the second with its load.
    let (second, first) = (one_of(ports, 1), one_of(ports, ports.len() + 2));
    let interesting = vec![flags, op(JUMP_ANY_BIT, 1, 0, SYN_OR_RST)];
    let protocol = vec![op(JUMP_EQUAL, 1, 0, u32::from(TCP))];
    [protocol, refuse(), interesting, refuse(), vec![destination], first, vec![source], second, refuse(), accept()]
        .concat()
}

/// Accepts when the accumulator has the value, and refuses otherwise.
fn accept_only(value: u32) -> Program {
    [vec![op(JUMP_EQUAL, 1, 0, value)], refuse(), accept()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the kernel accepts `packet`. The check of the EtherType, which a local socket lacks, is left out.
    fn passes(ports: &[u16], packet: &[u8]) -> bool {
        bpf::passes(&if packet[0] >> 4 == 4 { filter_v4(ports) } else { filter_v6(ports) }, packet)
    }

    fn packet(options: u8, protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20 + usize::from(options) * 4];
        packet[0] = 0x45 + options;
        packet[9] = protocol;
        packet.extend(body);
        packet
    }

    #[test]
    fn only_marked_datagrams_and_port_unreachables_pass() {
        let datagram = |payload: &[u8]| [&[0; 8][..], payload].concat();
        for options in 0..3 {
            assert!(passes(&[443], &packet(options, 17, &datagram(b"PtP1 and more"))));
            assert!(!passes(&[443], &packet(options, 17, &datagram(b"PtP2 and more"))));
            assert!(!passes(&[443], &packet(options, 17, &datagram(b"PtP"))));
            assert!(passes(&[443], &packet(options, 1, &[3, 3, 0, 0, 0, 0, 0, 0])));
            assert!(!passes(&[443], &packet(options, 1, &[3, 1, 0, 0, 0, 0, 0, 0])));
            assert!(!passes(&[443], &packet(options, 1, &[8, 0, 0, 0, 0, 0, 0, 0])));
            assert!(!passes(&[443], &packet(options, 6, &datagram(b"PtP1 and more"))));
        }
        let v6 = |next: u8, body: &[u8]| [&[0x60, 0, 0, 0, 0, 0, next, 64][..], &[0; 32], body].concat();
        assert!(passes(&[443], &v6(17, &datagram(b"PtP1 and more"))));
        assert!(!passes(&[443], &v6(17, &datagram(b"PtP2 and more"))));
        assert!(passes(&[443], &v6(58, &[1, 4, 0, 0, 0, 0, 0, 0])));
        assert!(
            !passes(&[443], &v6(58, &[1, 1, 0, 0, 0, 0, 0, 0])) && !passes(&[443], &v6(6, &datagram(b"PtP1 and more")))
        );
        let mut fragment = packet(0, 17, &datagram(b"PtP1 and more"));
        fragment[7] = 1;
        assert!(!passes(&[443], &fragment));
    }

    fn segment(from: u16, to: u16, flags: u8) -> Vec<u8> {
        let mut body = vec![0; 20];
        body[..2].copy_from_slice(&from.to_be_bytes());
        body[2..4].copy_from_slice(&to.to_be_bytes());
        body[13] = flags;
        body
    }

    #[test]
    fn connections_of_the_expected_ports_pass_and_no_others() {
        let most: Vec<u16> = (1..).map(|n| n * 100 + 43).take(PORTS_MAX).collect();
        for ports in [&[443][..], &[22, 443, 8080], &most] {
            for (from, to) in
                [(40_000, ports[0]), (ports[0], 40_000), (40_000, ports[ports.len() - 1]), (ports[ports.len() - 1], 9)]
            {
                for (flags, wanted) in [
                    (0x02, true),
                    (0x12, true),
                    (0x14, true),
                    (0x04, true),
                    (0x10, false),
                    (0x18, false),
                    (0x11, false),
                ] {
                    let body = segment(from, to, flags);
                    for options in 0..3 {
                        assert_eq!(passes(ports, &packet(options, 6, &body)), wanted, "{from} {to} {flags:#x}");
                    }
                    let six = [&[0x60, 0, 0, 0, 0, 20, 6, 64][..], &[0; 32], &body].concat();
                    assert_eq!(passes(ports, &six), wanted, "{from} {to} {flags:#x} over IPv6");
                }
            }
            assert!(!passes(ports, &packet(0, 6, &segment(40_000, 40_001, 2))));
        }
        assert!(!passes(&[], &packet(0, 6, &segment(40_000, 443, 2))), "none is looked for");
        assert!(filter(&most).len() < 4_096 && filter_v4(&most).len() < 254, "jumps reach it");
    }

    #[test]
    fn what_is_ours_is_no_arrival_and_what_leaves_for_a_peer_is_a_reply() {
        let (own, peer) = (AgentHash(1), AgentHash(2));
        let payload = |agent: AgentHash| [b"PtP1".as_slice(), &agent.0.to_be_bytes(), &[0; 20]].concat();
        let kind = |agent, refusal, outgoing| {
            let payload = payload(agent);
            let seen = Datagram { refusal, from: [10, 0, 0, 1].into(), to: [10, 0, 0, 2].into(), payload: &payload };
            match as_echo(&seen, outgoing, own)? {
                Heard::Echo { kind, .. } => Some(kind),
                Heard::Error { .. } => None,
            }
        };
        assert_eq!(kind(peer, false, false), Some(EchoKind::Request));
        assert_eq!((kind(peer, true, true), kind(peer, false, true)), (Some(EchoKind::Reply), Some(EchoKind::Reply)));
        assert_eq!((kind(own, false, true), kind(own, false, false), kind(own, true, false)), (None, None, None));
    }
}

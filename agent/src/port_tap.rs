//! The packet socket that sees UDP probes of other agents arrive, and this host refuse or echo them.
//!
//! Apart from the engine's own: echoes may come by the hundred thousand, probes of ports by the dozen. Opened before the
//! capabilities are dropped, with a filter that lets through nothing but datagrams with a probe's mark and port
//! unreachables; what comes through is parsed again. Sees packets before any filter of the guest (`probe-engine.md` §3).
//! Does not see TCP: a SYN bears nothing by which it could be told whose probe it is.

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
        socket, sockopt,
    },
};
use pingtong_probe::{AgentHash, Datagram, EchoKind, Heard, Sighting, parse_datagram};
use socket2::{SockFilter, SockRef};
use std::{
    io::IoSliceMut,
    os::fd::{AsRawFd, OwnedFd},
};
use tokio::{io::Interest, net::UdpSocket};

/// Packets read at a time.
const READ_MAX: usize = 256;
/// Room for a refusal that quotes a probe.
const PACKET_BYTES: usize = 256;
/// `PACKET_HOST` and `PACKET_OUTGOING` of `linux/if_packet.h`, `ARPHRD_LOOPBACK` of `linux/if_arp.h`.
const PACKET_HOST: u8 = 0;
const PACKET_OUTGOING: u8 = 4;
const HARDWARE_LOOPBACK: u16 = 772;
/// "PtP1", with which every probe's payload begins.
const MARK: u32 = 0x5074_5031;

/// The socket as opened, before there is a run time.
#[derive(Debug)]
pub struct PortTap {
    fd: OwnedFd,
    watched: Option<UdpSocket>,
    dropped: u32,
    /// Whether the last reading stopped before the end.
    more: bool,
}

impl PortTap {
    /// Opens it.
    ///
    /// # Errors
    /// What the kernel said; without `CAP_NET_RAW` it refuses.
    pub fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
        // Without its filter it would be handed every packet of the host.
        SockRef::from(&fd)
            .attach_filter(&filter())
            .map_err(|error| error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))?;
        if let Err(error) = setsockopt(&fd, sockopt::RxqOvfl, &1) {
            tracing::debug!(%error, "the kernel will not tell what this queue dropped");
        }
        Ok(Self { fd, watched: None, dropped: 0, more: false })
    }

    /// Waits until there is something to read.
    pub async fn ready(&mut self) {
        if self.more {
            return;
        }
        if self.watched.is_none() {
            // The run time watches any socket that it is given as a datagram socket; reading stays here.
            let copy = self.fd.try_clone().and_then(|fd| UdpSocket::from_std(std::net::UdpSocket::from(fd)));
            self.watched = copy.ok();
        }
        let Some(watched) = &self.watched else { return std::future::pending().await };
        if watched.readable().await.is_ok() {
            // So that the next wait is for packets that come after the drain which follows.
            drop(watched.try_io(Interest::READABLE, || Err::<(), _>(std::io::ErrorKind::WouldBlock.into())));
        }
    }

    /// Reads what is there, or the beginning of it.
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
            let Some(seen) = buffer.get(..bytes).and_then(parse_datagram) else { continue };
            let outgoing = match link.pkttype() {
                PACKET_HOST => false,
                PACKET_OUTGOING => true,
                _ => continue,
            };
            if let Some(packet) = as_echo(&seen, outgoing, own) {
                take(Sighting::Wire { packet, interface: &name_of(link.ifindex()), outgoing });
            }
        }
        self.more = true;
    }
}

/// To the ledger a probe is a request and what leaves for it a reply, whatever the protocol: the mark tells them apart.
/// Our own probes, and what comes back for them, are the sending socket's.
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

fn name_of(index: usize) -> String {
    let index = u32::try_from(index).unwrap_or_default();
    let name = nix::net::if_::if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| format!("if{index}"))
}

/// UDP whose payload begins with the mark, or a port unreachable, in IPv4 (no later fragment) and in IPv6 (no extension
/// header).
fn filter() -> Vec<SockFilter> {
    const ETHER_TYPE: u32 = 0xffff_f000;
    let mut program = vec![SockFilter::new(0x28, 0, 0, ETHER_TYPE), SockFilter::new(0x15, 0, 12, 0x0800)];
    program.extend(filter_v4());
    program.push(SockFilter::new(0x15, 0, 7, 0x86dd));
    program.extend(filter_v6());
    program
}

fn filter_v4() -> [SockFilter; 12] {
    let op = SockFilter::new;
    [
        op(0x28, 0, 0, 6),
        op(0x45, 8, 0, 0x1fff),
        op(0x30, 0, 0, 9),
        op(0xb1, 0, 0, 0),
        op(0x15, 0, 2, 17),
        // The mark stands behind the headers of IP, whose length X holds, and UDP.
        op(0x40, 0, 0, 8),
        op(0x15, 4, 3, MARK),
        op(0x15, 0, 2, 1),
        op(0x48, 0, 0, 0),
        op(0x15, 1, 0, 0x0303),
        op(0x06, 0, 0, 0),
        op(0x06, 0, 0, 0x0004_0000),
    ]
}

fn filter_v6() -> [SockFilter; 9] {
    let op = SockFilter::new;
    [
        op(0x30, 0, 0, 6),
        op(0x15, 0, 2, 17),
        op(0x20, 0, 0, 48),
        op(0x15, 4, 3, MARK),
        op(0x15, 0, 2, 58),
        op(0x28, 0, 0, 40),
        op(0x15, 1, 0, 0x0104),
        op(0x06, 0, 0, 0),
        op(0x06, 0, 0, 0x0004_0000),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    /// Whether the kernel lets `packet` through. The link layer's type, which a local socket lacks, is left out.
    fn passes(packet: &[u8]) -> bool {
        let (to, from) = UnixDatagram::pair().unwrap();
        let program = if packet[0] >> 4 == 4 { Vec::from(filter_v4()) } else { Vec::from(filter_v6()) };
        SockRef::from(&to).attach_filter(&program).unwrap();
        to.set_nonblocking(true).unwrap();
        // A datagram that the filter refuses is an error of the sender here.
        let _ = from.send(packet);
        to.recv(&mut [0; 256]).is_ok()
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
            assert!(passes(&packet(options, 17, &datagram(b"PtP1 and more"))));
            assert!(!passes(&packet(options, 17, &datagram(b"PtP2 and more"))));
            assert!(!passes(&packet(options, 17, &datagram(b"PtP"))));
            assert!(passes(&packet(options, 1, &[3, 3, 0, 0, 0, 0, 0, 0])));
            assert!(!passes(&packet(options, 1, &[3, 1, 0, 0, 0, 0, 0, 0])));
            assert!(!passes(&packet(options, 1, &[8, 0, 0, 0, 0, 0, 0, 0])));
            assert!(!passes(&packet(options, 6, &datagram(b"PtP1 and more"))));
        }
        let v6 = |next: u8, body: &[u8]| [&[0x60, 0, 0, 0, 0, 0, next, 64][..], &[0; 32], body].concat();
        assert!(passes(&v6(17, &datagram(b"PtP1 and more"))));
        assert!(!passes(&v6(17, &datagram(b"PtP2 and more"))));
        assert!(passes(&v6(58, &[1, 4, 0, 0, 0, 0, 0, 0])));
        assert!(!passes(&v6(58, &[1, 1, 0, 0, 0, 0, 0, 0])) && !passes(&v6(6, &datagram(b"PtP1 and more"))));
        let mut fragment = packet(0, 17, &datagram(b"PtP1 and more"));
        fragment[7] = 1;
        assert!(!passes(&fragment));
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

//! The raw ICMP socket and the packet socket: opened early, while the capability is there, and read without blocking.
//!
//! The raw socket sends probes and sees replies, errors, and requests that the guest let in. The packet socket takes
//! every EtherType without a binding, so that it sees what a filter on the ingress hook drops (`probe-engine.md` §3),
//! requests as they come in and replies as they leave, by interface. Both report what their queues dropped.

use super::filter;
use crate::clock::Clock;
use nix::sys::{
    socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn,
        SockaddrLike, recvmsg, sendto, setsockopt, socket, sockopt,
    },
    time::TimeSpec,
};
use pingtong_probe::{Heard, SendProbe, echo_request, parse_ipv4, unfragmentable};
use socket2::SockRef;
use std::{
    collections::BTreeMap,
    io::{self, IoSliceMut},
    net::SocketAddrV4,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

/// Receive buffer asked for; the kernel cuts it without `CAP_NET_ADMIN`.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// What one small packet occupies of a receive buffer (`probe-engine.md` §1).
const PACKET_BUFFER_BYTES: usize = 832;
/// Probes on their way at least. Below it a plan of a few silent targets would be held back; own drops are counted
/// exactly, so the smaller buffer can make a round unattributable and never wrong.
const WINDOW_MIN: usize = 2_048;
const WINDOW_MAX: usize = 65_536;
/// Largest packet read whole; longer ones are cut, which their tag survives.
const PACKET_BYTES_MAX: usize = 2_048;
/// `PACKET_HOST` and `PACKET_OUTGOING` of `linux/if_packet.h`, `ARPHRD_LOOPBACK` of `linux/if_arp.h`.
const PACKET_HOST: u8 = 0;
const PACKET_OUTGOING: u8 = 4;
const HARDWARE_LOOPBACK: u16 = 772;

/// Sockets as opened, before there is a run time.
#[derive(Debug)]
pub struct Sockets {
    pub(super) icmp: OwnedFd,
    pub(super) tap: Result<OwnedFd, nix::Error>,
    /// Takes whole packets, so that a probe may say that nobody is to cut it. Sends only.
    whole: Result<OwnedFd, nix::Error>,
    window: usize,
    seen: Drops,
    names: BTreeMap<usize, String>,
}

#[derive(Debug, Default)]
struct Drops {
    icmp: u32,
    tap: u32,
}

/// What the sockets show.
#[derive(Debug)]
pub enum Event<'a> {
    /// A packet on the raw socket.
    Icmp {
        /// The packet.
        packet: Heard<'a>,
        /// When it came, on the monotonic clock.
        at: Duration,
        /// Whether the kernel told when.
        stamped: bool,
    },
    /// A packet on an interface.
    Wire {
        /// The packet.
        packet: Heard<'a>,
        /// Which interface.
        interface: &'a str,
        /// Whether it was leaving.
        outgoing: bool,
    },
    /// A receive queue dropped packets.
    Drops(u64),
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// The kernel took it.
    Taken,
    /// The kernel refused it.
    Refused(i32),
    /// There was no room for it.
    NoRoom,
}

impl Sockets {
    /// Opens both; without the packet socket there are no arrivals on the wire, without the raw socket nothing.
    ///
    /// # Errors
    /// What the kernel said about the raw socket.
    pub fn open() -> Result<Self, nix::Error> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let icmp = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Icmp)?;
        let window = prepare(&icmp, &filter::icmp());
        let tap = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll);
        if let Ok(tap) = &tap {
            prepare(tap, &filter::echoes());
        }
        let whole = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Raw);
        Ok(Self { icmp, tap, whole, window, seen: Drops::default(), names: BTreeMap::new() })
    }

    /// Probes that may be on their way at a time.
    pub fn window(&self) -> usize {
        self.window
    }

    pub(super) fn send(&self, probe: &SendProbe) -> Handed {
        let packet = echo_request(probe.identifier, probe.wire_sequence, &probe.payload);
        let to = SockaddrIn::from(SocketAddrV4::new(probe.target, 0));
        let sent = match &self.whole {
            Ok(whole) if probe.dont_fragment => {
                let packet = unfragmentable(probe.target, &packet);
                sendto(whole.as_raw_fd(), &packet, &to, MsgFlags::empty())
            }
            Err(_) if probe.dont_fragment => return Handed::NoRoom,
            _ => sendto(self.icmp.as_raw_fd(), &packet, &to, MsgFlags::empty()),
        };
        match sent {
            Ok(_) => Handed::Taken,
            Err(nix::Error::EAGAIN | nix::Error::ENOBUFS | nix::Error::ENOMEM) => Handed::NoRoom,
            Err(errno) => Handed::Refused(errno as i32),
        }
    }

    /// Reads what is there, `packets_max` of each socket at most; true when one may have more.
    pub(super) fn drain(&mut self, clock: &Clock, packets_max: usize, mut take: impl FnMut(Event<'_>)) -> bool {
        let mut more = false;
        let mut buffer = [0; PACKET_BYTES_MAX];
        for read in 0..=packets_max {
            more |= read == packets_max;
            let Ok(seen) = receive::<SockaddrIn>(&self.icmp, &mut buffer) else { break };
            report_drops(&mut self.seen.icmp, seen.drops, &mut take);
            let (at, stamped) = clock.received(seen.stamp);
            if let Some(packet) = buffer.get(..seen.bytes).and_then(parse_ipv4) {
                take(Event::Icmp { packet, at, stamped });
            }
        }
        let Ok(tap) = &self.tap else { return more };
        for read in 0..=packets_max {
            more |= read == packets_max;
            let Ok(seen) = receive::<LinkAddr>(tap, &mut buffer) else { break };
            report_drops(&mut self.seen.tap, seen.drops, &mut take);
            let Some(link) = seen.from.filter(|link| link.hatype() != HARDWARE_LOOPBACK) else { continue };
            let outgoing = match link.pkttype() {
                PACKET_HOST => false,
                PACKET_OUTGOING => true,
                _ => continue,
            };
            if let Some(packet) = buffer.get(..seen.bytes).and_then(parse_ipv4) {
                let interface = self.names.entry(link.ifindex()).or_insert_with(|| name_of(link.ifindex()));
                take(Event::Wire { packet, interface, outgoing });
            }
        }
        more
    }
}

struct Received<S> {
    bytes: usize,
    from: Option<S>,
    stamp: Option<TimeSpec>,
    drops: Option<u32>,
}

fn receive<S: SockaddrLike + Copy>(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Received<S>> {
    let mut control = nix::cmsg_space!(TimeSpec, u32);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<S>(fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let (mut stamp, mut drops) = (None, None);
    for part in message.cmsgs()? {
        match part {
            ControlMessageOwned::ScmTimestampns(time) => stamp = Some(time),
            ControlMessageOwned::RxqOvfl(count) => drops = Some(count),
            _ => {}
        }
    }
    Ok(Received { bytes: message.bytes, from: message.address, stamp, drops })
}

fn report_drops(seen: &mut u32, now: Option<u32>, take: &mut impl FnMut(Event<'_>)) {
    // The kernel's counter is a total that wraps; it comes with a packet, and only once there was a drop.
    let Some(now) = now else { return };
    let new = now.wrapping_sub(*seen);
    *seen = now;
    if new > 0 {
        take(Event::Drops(u64::from(new)));
    }
}

/// Options that make the socket better and whose absence makes it no worse than counted: buffer, stamps, filter.
fn prepare(fd: &OwnedFd, program: &[socket2::SockFilter]) -> usize {
    let reference = SockRef::from(fd);
    if let Err(error) = reference.attach_filter(program) {
        tracing::debug!(%error, "no packet filter on the socket");
    }
    if setsockopt(fd, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err()
        && let Err(error) = reference.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)
    {
        tracing::debug!(%error, "the receive buffer keeps its size");
    }
    if let Err(error) = setsockopt(fd, sockopt::ReceiveTimestampns, &true) {
        tracing::debug!(%error, "no kernel time stamps");
    }
    if let Err(error) = setsockopt(fd, sockopt::RxqOvfl, &1) {
        tracing::warn!(%error, "the kernel will not tell what the receive queue dropped");
    }
    let bytes = reference.recv_buffer_size().unwrap_or_default();
    (bytes / PACKET_BUFFER_BYTES).clamp(WINDOW_MIN, WINDOW_MAX)
}

fn name_of(index: usize) -> String {
    u32::try_from(index)
        .ok()
        .and_then(|index| nix::net::if_::if_indextoname(index).ok())
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| format!("if{index}"))
}

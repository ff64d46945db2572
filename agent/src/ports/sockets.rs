//! The sockets of TCP and UDP probes: one non-blocking socket per probe, which leaves no state behind.
//!
//! What the kernel reports, and where: a completed handshake with its round-trip time and retransmits (`TCP_INFO`), a
//! refusal (`SO_ERROR`), an ICMP error with its type, code and sender (`IP_RECVERR`, the socket's error queue; for a
//! SYN since Linux 5.8: older kernels report only the errno, and the sender is then unspecified). A TCP socket is
//! closed with an RST (`SO_LINGER` 0), so that nothing lingers at either end.
//!
//! Not distinguished: a port without a listener from a filter that answers with an RST; and a SYN that this host's own
//! output filter drops from one that is lost on the way, since the kernel keeps trying (host facts show the filter).

use crate::clock::Clock;
use nix::{
    errno::Errno,
    getsockopt_impl, setsockopt_impl, sockopt_impl,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, getsockname,
            getsockopt, recv, recvmsg, send, setsockopt, socket, sockopt,
        },
    },
};
use pingtong_evidence::{Protocol, RoundId};
use pingtong_probe::{PortInput, PortSend, Unsent, WhyUnsent};
use std::{
    collections::BTreeMap,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Duration,
};
use tokio::io::unix::AsyncFd;

/// Maximum results read at a time, so that sending continues meanwhile.
const EVENTS_MAX: usize = 64;
/// Maximum errors read from one socket: its only packet causes a few at most.
const ERRORS_MAX: usize = 8;
/// Bytes read of an answer to a datagram: only its arrival matters.
const ANSWER_BYTES: usize = 64;
/// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6` of `linux/errqueue.h`.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
/// ICMP "destination unreachable", and its codes for a network, a host, a port and "prohibited".
const UNREACHABLE: u8 = 3;
const NETWORK: u8 = 0;
const HOST: u8 = 1;
const PORT: u8 = 3;
const PROHIBITED: u8 = 13;
/// ICMPv6 "destination unreachable" and its code for a port.
const UNREACHABLE6: u8 = 1;
const PORT6: u8 = 4;
/// `struct tcp_info` of `linux/tcp.h` up to `tcpi_total_retrans`, which every kernel fills in.
const TCP_INFO_BYTES: usize = 104;
const RTT_AT: usize = 68;
const TOTAL_RETRANSMITS_AT: usize = 100;
/// `TCP_SYN_SENT` of `net/tcp_states.h`.
const SYN_SENT: u8 = 2;
/// SYN retransmits: the kernel accepts no lower number. It waits a second before one, and a probe's timeout is seldom
/// longer.
const SYNS_AGAIN: u32 = 1;

sockopt_impl!(
    /// How often the kernel retransmits a SYN.
    SynCount,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_SYNCNT,
    u32
);
sockopt_impl!(
    /// The kernel's information about a connection.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u8; TCP_INFO_BYTES]
);

#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    send: PortSend,
    at: Duration,
}

/// An epoll descriptor in the form that Tokio polls.
#[derive(Debug)]
pub(crate) struct Watched(pub(crate) Epoll);

impl Watched {
    /// Creates an empty one and registers it with Tokio.
    ///
    /// # Errors
    /// Fails if the kernel has no epoll descriptor left.
    pub(crate) fn register() -> io::Result<AsyncFd<Self>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        #[expect(deprecated, reason = "sound here: the descriptor is owned by what is watched and never another one")]
        AsyncFd::new(Self(epoll))
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

/// The sockets of all probes in progress.
#[derive(Debug)]
pub(crate) struct PortSockets {
    epoll: AsyncFd<Watched>,
    open: BTreeMap<u64, Open>,
    tokens: BTreeMap<(u64, u32), u64>,
    next_token: u64,
}

/// Outcome of an attempt to begin a probe.
enum Attempt {
    Begun(OwnedFd, u16),
    Refused(Errno),
    NoRoom,
}

impl PortSockets {
    /// Creates it without sockets.
    ///
    /// # Errors
    /// Fails if the kernel has no epoll descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = Watched::register()?;
        Ok(Self { epoll, open: BTreeMap::new(), tokens: BTreeMap::new(), next_token: 0 })
    }

    /// Begins a probe; returns the input for the state machine.
    pub(crate) fn begin(&mut self, probe: PortSend, clock: &Clock) -> PortInput {
        let (round, sequence, at) = (probe.round, probe.sequence, clock.mono());
        let unsent = |why| PortInput::Unsent(Unsent { round, sequence, why });
        let (fd, source_port) = match attempt(&probe) {
            Attempt::Begun(fd, source_port) => (fd, source_port),
            Attempt::Refused(errno) => return unsent(WhyUnsent::Refused(errno as i32)),
            Attempt::NoRoom => return unsent(WhyUnsent::NoRoom),
        };
        let token = self.next_token;
        self.next_token += 1;
        // Level-triggered is enough: each result is read completely and its socket closed.
        let wanted = if probe.protocol == Protocol::Tcp { EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        if self.epoll.get_ref().0.add(&fd, EpollEvent::new(wanted, token)).is_err() {
            return unsent(WhyUnsent::NoRoom);
        }
        self.tokens.insert((round.bits(), sequence), token);
        self.open.insert(token, Open { fd, send: probe, at });
        PortInput::Begun { round, sequence, at, source_port }
    }

    /// Closes the socket of a probe.
    pub(crate) fn give_up(&mut self, round: RoundId, sequence: u32) {
        if let Some(token) = self.tokens.remove(&(round.bits(), sequence)) {
            self.open.remove(&token);
        }
    }

    /// Passes results that are ready to `take`; true if there may be more.
    pub(crate) fn drain(&mut self, clock: &Clock, mut take: impl FnMut(PortInput)) -> bool {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let Ok(count) = self.epoll.get_ref().0.wait(&mut events, EpollTimeout::ZERO) else { return false };
        for event in events.iter().take(count) {
            let Some(open) = self.open.get(&event.data()) else { continue };
            let Some(input) = open.end(clock.mono()) else { continue };
            self.give_up(open.send.round, open.send.sequence);
            take(input);
        }
        count == EVENTS_MAX
    }

    /// Waits until a probe may have a result.
    pub(crate) async fn ready(&self) {
        match self.epoll.readable().await {
            // The following drain reads everything that is ready.
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }
}

fn attempt(probe: &PortSend) -> Attempt {
    let kind = if probe.protocol == Protocol::Tcp { SockType::Stream } else { SockType::Datagram };
    let family = if probe.target.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let Ok(fd) = socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None) else {
        return Attempt::NoRoom;
    };
    prepare(&fd, probe);
    let to = SockaddrStorage::from(SocketAddr::new(probe.target, probe.port));
    let begun = match connect(fd.as_raw_fd(), &to) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(()),
        Err(errno) => Err(errno),
    };
    let sent = begun.and_then(|()| match probe.protocol {
        Protocol::Udp => send(fd.as_raw_fd(), &probe.payload, MsgFlags::empty()).map(|_| ()),
        Protocol::Tcp | Protocol::Icmp => Ok(()),
    });
    match sent {
        Ok(()) => {
            let source_port = source_port(&fd);
            Attempt::Begun(fd, source_port)
        }
        Err(errno) if is_own_shortage(errno) => Attempt::NoRoom,
        Err(errno) => Attempt::Refused(errno),
    }
}

/// Sets options without which a probe reports less, but never something wrong.
fn prepare(fd: &OwnedFd, probe: &PortSend) {
    let errors = match probe.target {
        IpAddr::V4(_) => setsockopt(fd, sockopt::Ipv4RecvErr, &true),
        IpAddr::V6(_) => setsockopt(fd, sockopt::Ipv6RecvErr, &true),
    };
    let mut all = vec![errors];
    if probe.protocol == Protocol::Tcp {
        all.push(setsockopt(fd, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }));
        all.push(setsockopt(fd, SynCount, &SYNS_AGAIN));
    }
    for error in all.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "a probe's socket lacks an option");
    }
}

/// The source port; zero if the kernel does not report it.
fn source_port(fd: &OwnedFd) -> u16 {
    let Ok(name) = getsockname::<SockaddrStorage>(fd.as_raw_fd()) else { return 0 };
    let four = name.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::port);
    four.or_else(|| name.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::port)).unwrap_or_default()
}

/// Refusals that say nothing about the network: this host has run out of ports, descriptors or memory.
fn is_own_shortage(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EADDRNOTAVAIL | Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EAGAIN
    )
}

/// An ICMP error with its sender.
type Complaint = (IpAddr, u8, u8);

impl Open {
    /// How the probe ended; `None` if it has not ended.
    fn end(&self, now: Duration) -> Option<PortInput> {
        let (round, sequence) = (self.send.round, self.send.sequence);
        let took = now.saturating_sub(self.at);
        let complaint = self.complaint();
        if let Some((from, icmp_type, code)) = complaint {
            let by_target = from == self.send.target && self.send.protocol == Protocol::Udp;
            let nobody = matches!((icmp_type, code), (UNREACHABLE, PORT) if from.is_ipv4())
                || matches!((icmp_type, code), (UNREACHABLE6, PORT6) if from.is_ipv6());
            return Some(if by_target && nobody {
                PortInput::Closed { round, sequence, took, resent: false }
            } else {
                PortInput::Rejected { round, sequence, from, icmp_type, code }
            });
        }
        let error = getsockopt(&self.fd, sockopt::SocketError).unwrap_or_else(|errno| errno as i32);
        match self.send.protocol {
            Protocol::Tcp => self.end_of_handshake(Errno::from_raw(error), took),
            Protocol::Udp | Protocol::Icmp => {
                let mut buffer = [0; ANSWER_BYTES];
                // The socket is connected, so that it receives only from the target's port.
                let answered = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_ok();
                answered.then_some(PortInput::Answered { round, sequence, took, by_kernel: false, resent: false })
            }
        }
    }

    fn end_of_handshake(&self, error: Errno, took: Duration) -> Option<PortInput> {
        let (round, sequence) = (self.send.round, self.send.sequence);
        let info = getsockopt(&self.fd, TcpInfo).unwrap_or([0; TCP_INFO_BYTES]);
        let number = |at: usize| {
            let bytes = info.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
        };
        let resent = number(TOTAL_RETRANSMITS_AT) > 0;
        let reject = |code| {
            let from = match self.send.target {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            Some(PortInput::Rejected { round, sequence, from, icmp_type: UNREACHABLE, code })
        };
        match error {
            Errno::UnknownErrno if info[0] == SYN_SENT => None,
            // Events after the handshake, a reset among them, do not undo it.
            Errno::UnknownErrno | Errno::ECONNRESET | Errno::EPIPE => {
                let measured = Duration::from_micros(number(RTT_AT).into());
                let by_kernel = !measured.is_zero();
                let took = if by_kernel { measured } else { took };
                Some(PortInput::Answered { round, sequence, took, by_kernel, resent })
            }
            Errno::ECONNREFUSED => Some(PortInput::Closed { round, sequence, took, resent }),
            Errno::ETIMEDOUT => Some(PortInput::Silent { round, sequence }),
            Errno::ENETUNREACH => reject(NETWORK),
            Errno::EACCES => reject(PROHIBITED),
            _ => reject(HOST),
        }
    }

    /// The first ICMP error in the socket's queue.
    fn complaint(&self) -> Option<Complaint> {
        let mut buffer = [0; ANSWER_BYTES];
        for _ in 0..ERRORS_MAX {
            let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let message = recvmsg::<()>(self.fd.as_raw_fd(), &mut slices, Some(&mut control), flags).ok()?;
            let found = message.cmsgs().ok()?.find_map(|part| match part {
                ControlMessageOwned::Ipv4RecvErr(error, Some(from)) if error.ee_origin == ORIGIN_ICMP => {
                    let from = Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr));
                    Some((from.into(), error.ee_type, error.ee_code))
                }
                ControlMessageOwned::Ipv6RecvErr(error, Some(from)) if error.ee_origin == ORIGIN_ICMP6 => {
                    Some((Ipv6Addr::from(from.sin6_addr.s6_addr).into(), error.ee_type, error.ee_code))
                }
                _ => None,
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

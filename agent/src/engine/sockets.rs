//! The raw ICMP sockets and the packet socket: opened early, while the capability is there, and never waited on here.
//!
//! A raw socket sends probes and sees replies, errors, and requests that the guest let in. The packet socket takes
//! every EtherType without a binding, so that it sees what a filter on the ingress hook drops (`probe-engine.md` §3),
//! requests as they come in and replies as they leave, by interface. It also tells when our own probes leave: what it saw
//! has passed the guest's firewall and its queues, and the stamp is the one that a capture on this host shows, whatever the
//! driver can do. Both report what their queues dropped. How packets leave is in `sending`, how they are read in `reading`.

use super::{
    batch::{Inbox, read_option, set_option},
    filter::{self, Wanted},
    pickup::Pickup,
    ring::{FRAMES_AT_REST, FRAMES_OF_ALL, FRAMES_OF_OURS, Ring},
};
use crate::{
    bpf::{self, Op},
    clock::Pair,
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt},
        time::TimeSpec,
    },
};
use pingtong_probe::Heard;
use socket2::SockRef;
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// Receive buffer asked for; the kernel cuts it without `CAP_NET_ADMIN`, and doubles what it grants.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// What one small packet occupies of a receive buffer (`probe-engine.md` §1).
const PACKET_BUFFER_BYTES: usize = 832;
/// Of an IPv4 header without options.
const IPV4_HEADER_BYTES_MIN: u8 = 20;
/// What Linux gives its own packets unless told otherwise.
const HOP_LIMIT: u8 = 64;
/// `ICMPV6_FILTER` of `linux/icmpv6.h`.
const ICMPV6_FILTER: i32 = 1;
/// What a stream of packets is let pile up for.
pub(super) const PAUSE: Duration = Duration::from_millis(1);
const FLAGS: SockFlag = SockFlag::SOCK_NONBLOCK.union(SockFlag::SOCK_CLOEXEC);
const WINDOW_MIN: usize = 128;
const WINDOW_MAX: usize = 65_536;

/// Sockets as opened, before there is a run time.
#[derive(Debug)]
pub struct Sockets {
    pub(super) icmp: Lane,
    pub(super) icmpv6: Result<Lane, Errno>,
    pub(super) tap: Result<Tap, Errno>,
    /// Where replies are picked up from, and the socket that they come to.
    pub(super) picked_up: Option<(Pickup, Lane)>,
    /// Takes whole packets, headers included, so that a probe may say that nobody is to cut it. Sends only.
    pub(super) whole: Result<Lane, Errno>,
    /// Cuts nothing. Sends only.
    pub(super) whole_v6: Result<Lane, Errno>,
    pub(super) inbox: Inbox,
    /// What the packet socket is read into where it has no ring.
    pub(super) frames: Option<Inbox>,
    pub(super) pair: Option<Pair>,
    pub(super) names: BTreeMap<i32, String>,
    /// Whether the last reading found a stream of packets.
    pub(super) busy: bool,
    /// Whether it found so many that the queues must be read without delay.
    pub(super) crowded: bool,
    pub(super) wanted: Wanted,
    arrivals_stamped: bool,
    bound: Bound,
}

/// By which interface and from which address probes leave, where that is bound.
#[derive(Debug, Clone, Default)]
struct Bound {
    interface: Option<String>,
    source: Option<IpAddr>,
}

/// A socket that probes leave by.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) fd: OwnedFd,
    pub(super) version: Version,
    /// The hop limit of headers, where what leaves by it brings its own.
    pub(super) headed: Option<u8>,
    /// Of the last header.
    pub(super) identification: u16,
    /// The interface that link-local addresses are reached by, by its index; none while it is zero.
    pub(super) scope: u32,
    /// Whether anything was sent by it.
    pub(super) used: bool,
    pub(super) drops: u32,
}

/// Of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// The packet socket.
#[derive(Debug)]
pub(super) struct Tap {
    pub(super) fd: OwnedFd,
    /// Where its packets come, unless the kernel gives no such memory.
    pub(super) ring: Option<Ring>,
    /// Whether it is to see what arrives; else it only tells when our own probes leave.
    pub(super) observes: bool,
}

/// What tells when a probe left and when its reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    /// The kernel tells both.
    TxAndRx,
    /// The kernel tells when the reply came; when the probe left is read just before it is handed over.
    RxOnly,
    /// Both are read by this process.
    None,
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
    /// A packet on an interface. That a probe left comes before the reply to it.
    Wire {
        /// The packet.
        packet: Heard<'a>,
        /// Which interface.
        interface: &'a str,
        /// Whether it was leaving.
        outgoing: bool,
        /// When the kernel saw it, on the monotonic clock; none when that cannot be told.
        at: Option<Duration>,
    },
    /// A receive queue dropped packets.
    Drops(u64),
}

impl Sockets {
    /// Opens both; without the packet socket there are no arrivals on the wire, without the raw socket nothing.
    ///
    /// # Errors
    /// What the kernel said about the raw socket.
    pub fn open() -> Result<Self, Errno> {
        Self::open_with(FRAMES_OF_ALL)
    }

    /// The same with less memory for packets, for an agent that runs for ever.
    ///
    /// # Errors
    /// What the kernel said about the raw socket.
    pub fn open_at_rest() -> Result<Self, Errno> {
        Self::open_with(FRAMES_AT_REST)
    }

    fn open_with(frames: usize) -> Result<Self, Errno> {
        let wanted = Wanted { identifiers: None, requests: true, departures: true, replies: false };
        let icmp = raw(Version::V4, SockProtocol::Icmp)?;
        prepare(&icmp.fd, &filter::icmp(&wanted));
        let icmpv6 = raw(Version::V6, SockProtocol::IcmpV6);
        if let Ok(lane) = &icmpv6 {
            prepare(&lane.fd, &filter::icmpv6(&wanted));
            set_v6(lane, &wanted);
        }
        let hop_limit = hop_limit_of(&icmp.fd);
        let whole = raw(Version::V4, SockProtocol::Raw).map(|lane| Lane { headed: Some(hop_limit), ..lane });
        let whole_v6 = raw(Version::V6, SockProtocol::IcmpV6);
        if let Ok(lane) = &whole_v6 {
            set_whole_v6(lane);
        }
        let arrivals_stamped = option_was_set("stamps of arrivals", stamp_arrivals(&icmp.fd));
        if let Ok(lane) = &icmpv6 {
            option_was_set("stamps of arrivals over IPv6", stamp_arrivals(&lane.fd));
        }
        let tap = Tap::open(&wanted, frames);
        Ok(Self {
            icmp,
            icmpv6,
            tap,
            picked_up: None,
            whole,
            whole_v6,
            inbox: Inbox::new(),
            frames: None,
            pair: None,
            names: BTreeMap::new(),
            busy: false,
            crowded: false,
            wanted,
            arrivals_stamped,
            bound: Bound::default(),
        })
    }

    /// Probes that may be on their way at a time: so many that their replies fit the receive buffer if nobody reads.
    pub fn window(&self) -> usize {
        let bytes = SockRef::from(&self.icmp.fd).recv_buffer_size().unwrap_or_default();
        (bytes / PACKET_BUFFER_BYTES).clamp(WINDOW_MIN, WINDOW_MAX)
    }

    /// The same for probes of so many bytes after the IP header.
    pub fn window_of(&self, packet_bytes: usize) -> usize {
        let small = self.window();
        let one = buffer_bytes(packet_bytes);
        if one == PACKET_BUFFER_BYTES { small } else { (small * PACKET_BUFFER_BYTES / one).max(1) }
    }

    /// What the stamps are.
    pub fn stamps(&self) -> Stamps {
        match (self.arrivals_stamped, self.wanted.departures && self.tap.is_ok()) {
            (true, true) => Stamps::TxAndRx,
            (true, false) => Stamps::RxOnly,
            (false, _) => Stamps::None,
        }
    }

    /// Has the packet socket tell when probes leave, or not: it costs about a sixth of the work of a probe.
    pub fn stamp_departures(&mut self, wanted: bool) {
        self.wanted.departures = wanted;
        self.attach_filters();
    }

    /// Has probes leave by this interface and from this address only.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn leave_by(&mut self, interface: Option<&str>, source: Option<IpAddr>) -> io::Result<()> {
        if source.is_some_and(|source| source.is_ipv6()) {
            self.ipv6()?;
        }
        self.bound = Bound { interface: interface.map(str::to_owned), source };
        let lanes = [Ok(&self.icmp), self.whole.as_ref(), self.icmpv6.as_ref(), self.whole_v6.as_ref()];
        lanes.into_iter().flatten().try_for_each(|lane| self.bound.bind(lane))
    }

    /// Has probes to IPv6 link-local addresses leave by the interface of this index.
    pub fn scope(&mut self, index: u32) {
        for lane in [self.icmpv6.as_mut(), self.whole_v6.as_mut()].into_iter().flatten() {
            lane.scope = index;
        }
    }

    /// Has the kernel hand over replies and errors only that concern these identifiers.
    pub fn only(&mut self, identifiers: RangeInclusive<u16>) {
        self.wanted.identifiers = Some(identifiers);
        self.attach_filters();
    }

    /// Has a program of ours in the kernel pick up the replies with these identifiers, if it may: for many thousands of
    /// probes a second.
    pub fn hurry(&mut self, identifiers: &RangeInclusive<u16>) {
        let picked_up = self.pick_up(identifiers);
        if let Err(error) = &picked_up {
            tracing::debug!(%error, "replies are read one by one: the kernel runs no program of ours");
        }
        self.picked_up = picked_up.ok();
        self.wanted.replies = self.picked_up.is_some() && self.wanted.departures;
        self.attach_filters();
    }

    /// Whether replies are picked up in the kernel.
    pub fn picks_up(&self) -> bool {
        self.picked_up.is_some()
    }

    fn pick_up(&self, identifiers: &RangeInclusive<u16>) -> io::Result<(Pickup, Lane)> {
        let lane = raw(Version::V4, SockProtocol::Icmp)?;
        grow(&lane.fd);
        option_was_set("stamps of arrivals", stamp_arrivals(&lane.fd));
        self.bound.bind(&lane)?;
        Ok((Pickup::start(&lane.fd, &self.icmp.fd, identifiers)?, lane))
    }

    /// Stops looking at what arrives from others.
    pub fn unobserved(&mut self) {
        self.wanted.requests = false;
        // The old one is closed first, and it held more memory than is needed now.
        self.tap = Err(Errno::ENOTCONN);
        self.tap = Tap::open(&self.wanted, if self.wanted.requests { FRAMES_OF_ALL } else { FRAMES_OF_OURS });
        self.attach_filters();
    }

    fn attach_filters(&mut self) {
        if !self.wanted.requests && !self.wanted.departures {
            self.tap = Err(Errno::ENOTCONN);
        }
        if let Ok(tap) = &mut self.tap {
            attach(&tap.fd, &filter::echoes(&self.wanted));
            tap.observes = self.wanted.requests;
        }
        attach(&self.icmp.fd, &filter::icmp(&self.wanted));
        if let Ok(lane) = &self.icmpv6 {
            attach(&lane.fd, &filter::icmpv6(&self.wanted));
            set_v6(lane, &self.wanted);
        }
    }

    /// Whether IPv6 is probed, or why not.
    ///
    /// # Errors
    /// What the kernel said about the raw socket.
    pub fn ipv6(&self) -> Result<(), Errno> {
        self.icmpv6.as_ref().map(drop).map_err(|errno| *errno)
    }

    /// The sockets that may have something to read that is worth waking for; that a probe left is not.
    pub(super) fn readable(&self) -> Vec<&OwnedFd> {
        let tap = self.tap.as_ref().ok().filter(|tap| tap.observes).map(|tap| &tap.fd);
        let icmpv6 = self.icmpv6.as_ref().ok().map(|lane| &lane.fd);
        [Some(&self.icmp.fd), icmpv6, tap].into_iter().flatten().collect()
    }

    /// Waits until there is something to read, for callers without a run time.
    ///
    /// # Errors
    /// What the kernel said; an interruption by a signal is none.
    pub fn ready_within(&self, timeout: Duration) -> io::Result<()> {
        if self.busy || self.picked_up.is_some() {
            // What is picked up wakes nobody. Woken for each packet of a stream, we would spend more on waking than on reading.
            ppoll(&mut [], Some(TimeSpec::from_duration(timeout.min(PAUSE))), None).map(drop).or_else(unless_signal)?;
            return Ok(());
        }
        let timeout = Some(TimeSpec::from_duration(timeout));
        let mut sockets: Vec<_> = self.readable().into_iter().map(watch).collect();
        ppoll(&mut sockets, timeout, None).map(drop).or_else(unless_signal)
    }
}

fn raw(version: Version, protocol: SockProtocol) -> Result<Lane, Errno> {
    socket(version.family(), SockType::Raw, FLAGS, protocol).map(|fd| Lane::new(fd, version))
}

impl Bound {
    fn bind(&self, lane: &Lane) -> io::Result<()> {
        let socket = SockRef::from(&lane.fd);
        socket.bind_device(self.interface.as_deref().map(str::as_bytes))?;
        match self.source {
            Some(source) if source.is_ipv4() == (lane.version == Version::V4) => {
                socket.bind(&SocketAddr::new(source, 0).into())
            }
            _ => Ok(()),
        }
    }
}

impl Tap {
    fn open(wanted: &Wanted, frames: usize) -> Result<Self, Errno> {
        let fd = socket(AddressFamily::Packet, SockType::Datagram, FLAGS, SockProtocol::EthAll)?;
        prepare(&fd, &filter::echoes(wanted));
        // For the want of a ring; with one, frames are stamped anyway.
        option_was_set("stamps of frames", stamp_arrivals(&fd));
        let ring = Ring::map(&fd, frames);
        if let Err(error) = &ring {
            tracing::debug!(%error, "the kernel shares no memory for packets: each is read by a call");
        }
        Ok(Self { fd, ring: ring.ok(), observes: wanted.requests })
    }

    /// Packets that were dropped since this was asked last.
    pub(super) fn new_drops(&self) -> u64 {
        // struct tpacket_stats: packets, drops. Reading it begins the counts anew.
        let mut words = [0; 4];
        let words = read_option(&self.fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut words);
        words.ok().and_then(|words| words.get(1)).copied().map_or(0, u64::from)
    }
}

impl Version {
    fn family(self) -> AddressFamily {
        match self {
            Self::V4 => AddressFamily::Inet,
            Self::V6 => AddressFamily::Inet6,
        }
    }
}

impl Lane {
    fn new(fd: OwnedFd, version: Version) -> Self {
        Self { fd, version, headed: None, identification: 0, scope: 0, used: false, drops: 0 }
    }
}

/// One stamp a packet; `SO_TIMESTAMPING` would bring three of which two are empty.
fn stamp_arrivals(fd: &OwnedFd) -> Result<(), Errno> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32.to_ne_bytes())
}

/// What the raw ICMPv6 socket hands over, and whether it tells to whom a packet came: with requests only that matters.
fn set_v6(lane: &Lane, wanted: &Wanted) {
    let blocked = filter::blocked_types(wanted).map(u32::to_ne_bytes).concat();
    let done = set_option(&lane.fd, libc::SOL_ICMPV6, ICMPV6_FILTER, &blocked);
    option_was_set("filter of ICMPv6 types", done);
    let done = set_option(&lane.fd, libc::SOL_IPV6, libc::IPV6_RECVPKTINFO, &i32::from(wanted.requests).to_ne_bytes());
    option_was_set("destination of ICMPv6 packets", done);
}

/// Has the socket send packets of any size as they are, and hear nothing.
fn set_whole_v6(lane: &Lane) {
    let set = |level, name, value: i32| set_option(&lane.fd, level, name, &value.to_ne_bytes());
    option_was_set("uncut packets", set(libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE));
    option_was_set("refusal of what is too large", set(libc::SOL_IPV6, libc::IPV6_DONTFRAG, 1));
    option_was_set("deafness", set_option(&lane.fd, libc::SOL_ICMPV6, ICMPV6_FILTER, &[u8::MAX; 32]));
}

/// What this host gives its own packets.
fn hop_limit_of(fd: &OwnedFd) -> u8 {
    let mut words = [0; 1];
    let limit = read_option(fd, libc::SOL_IP, libc::IP_TTL, &mut words).ok().and_then(|words| words.first().copied());
    limit.and_then(|limit| u8::try_from(limit).ok()).unwrap_or(HOP_LIMIT)
}

/// Packets that the socket's queue dropped since it was opened; wraps.
pub(super) fn drops_of(fd: &OwnedFd) -> Option<u32> {
    let mut words = [0; 16];
    let words = read_option(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut words).ok()?;
    words.get(usize::try_from(libc::SK_MEMINFO_DROPS).ok()?).copied()
}

/// Options that make the socket better and whose absence makes it no worse than counted: buffer, drops, filter.
fn prepare(fd: &OwnedFd, program: &[Op]) {
    attach(fd, program);
    grow(fd);
}

/// What one packet occupies of a receive buffer: the kernel takes a power of two for the packet with its own notes beside
/// it, for each fragment of an ordinary link where it comes in fragments, or for the whole where the link takes that.
fn buffer_bytes(packet_bytes: usize) -> usize {
    const NOTES_BYTES: usize = 384;
    const DESCRIPTOR_BYTES: usize = 256;
    const FRAGMENT_BYTES: usize = 1_480;
    let of = |bytes: usize| (bytes + NOTES_BYTES).next_power_of_two() + DESCRIPTOR_BYTES;
    let whole = of(packet_bytes + usize::from(IPV4_HEADER_BYTES_MIN));
    let in_fragments = packet_bytes.div_ceil(FRAGMENT_BYTES) * of(FRAGMENT_BYTES);
    if packet_bytes > FRAGMENT_BYTES { whole.max(in_fragments) } else { whole.max(PACKET_BUFFER_BYTES) }
}

fn grow(fd: &OwnedFd) {
    if setsockopt(fd, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err()
        && let Err(error) = SockRef::from(fd).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)
    {
        tracing::debug!(%error, "the receive buffer keeps its size");
    }
    if let Err(error) = setsockopt(fd, sockopt::RxqOvfl, &1) {
        tracing::warn!(%error, "the kernel will not tell what the receive queue dropped");
    }
}

fn attach(fd: &OwnedFd, program: &[Op]) {
    if let Err(error) = bpf::attach(fd, program) {
        tracing::debug!(%error, "no packet filter on the socket");
    }
}

fn option_was_set(what: &str, done: Result<(), Errno>) -> bool {
    if let Err(error) = done {
        tracing::debug!(%error, "the kernel gives no {what}");
    }
    done.is_ok()
}

fn unless_signal(errno: Errno) -> io::Result<()> {
    if errno == Errno::EINTR { Ok(()) } else { Err(errno.into()) }
}

fn watch(fd: &OwnedFd) -> PollFd<'_> {
    PollFd::new(fd.as_fd(), PollFlags::POLLIN)
}

//! The raw ICMP sockets and the packet socket, opened early, while the process has the capability.
//!
//! A raw socket sends probes and receives replies, errors, and requests that the guest accepted. The packet socket
//! takes every EtherType without being bound, so that it also sees what a filter on the ingress hook drops
//! (`PROBING.md` §3): requests as they come in and replies as they leave, by interface. It also shows when our own
//! probes leave: what it saw has passed the guest's firewall and its queues, and its timestamp is the one that a
//! capture on this host shows, whatever the driver supports. Both report what their queues dropped. `sending` sends
//! packets, `reading` reads them.

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

/// Requested receive buffer in bytes. The kernel limits it without `CAP_NET_ADMIN`, and doubles what it grants.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Bytes of a receive buffer that one small packet occupies (`PROBING.md` §1).
const PACKET_BUFFER_BYTES: usize = 832;
/// Bytes of an IPv4 header without options.
const IPV4_HEADER_BYTES_MIN: u8 = 20;
/// Default TTL of Linux, if the kernel does not report another.
const HOP_LIMIT: u8 = 64;
/// `ICMPV6_FILTER` of `linux/icmpv6.h`.
const ICMPV6_FILTER: i32 = 1;
/// Pause between two reads of a stream, in which packets accumulate.
pub(super) const PAUSE: Duration = Duration::from_millis(1);
const FLAGS: SockFlag = SockFlag::SOCK_NONBLOCK.union(SockFlag::SOCK_CLOEXEC);
const WINDOW_MIN: usize = 128;
const WINDOW_MAX: usize = 65_536;

/// The sockets as opened, before there is a Tokio runtime.
#[derive(Debug)]
pub struct Sockets {
    pub(super) icmp: Lane,
    pub(super) icmpv6: Result<Lane, Errno>,
    pub(super) tap: Result<Tap, Errno>,
    /// Ring-buffer receive of replies, and the socket to which they come.
    pub(super) picked_up: Option<(Pickup, Lane)>,
    /// Sends IPv4 packets with our own header, so that a probe can set the don't-fragment bit. Sends only.
    pub(super) whole: Result<Lane, Errno>,
    /// Sends IPv6 packets that are never fragmented. Sends only.
    pub(super) whole_v6: Result<Lane, Errno>,
    pub(super) inbox: Inbox,
    /// Buffer for reads of the packet socket if it has no ring.
    pub(super) frames: Option<Inbox>,
    pub(super) pair: Option<Pair>,
    pub(super) names: BTreeMap<i32, String>,
    /// Whether the last read found a stream of packets.
    pub(super) busy: bool,
    /// Whether the last read found so many packets that the queues must be read again without delay.
    pub(super) crowded: bool,
    pub(super) wanted: Wanted,
    arrivals_stamped: bool,
    bound: Bound,
}

/// Interface and source address to which probes are bound, if any.
#[derive(Debug, Clone, Default)]
struct Bound {
    interface: Option<String>,
    source: Option<IpAddr>,
}

/// A socket that sends probes of one IP version.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) fd: OwnedFd,
    pub(super) version: Version,
    /// Default hop limit for IP headers of ours; `None` if the kernel writes the header.
    pub(super) headed: Option<u8>,
    /// Identification of the last IP header written.
    pub(super) identification: u16,
    /// Index of the interface for link-local addresses; zero if there is none.
    pub(super) scope: u32,
    /// Whether anything was sent through it.
    pub(super) used: bool,
    /// The kernel's drop counter at the last read.
    pub(super) drops: u32,
}

/// IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// The packet socket.
#[derive(Debug)]
pub(super) struct Tap {
    pub(super) fd: OwnedFd,
    /// Receive ring for its packets, unless the kernel provides none.
    pub(super) ring: Option<Ring>,
    /// Whether it observes arrivals; otherwise it only shows when our own probes leave.
    pub(super) observes: bool,
}

/// Who reads the clock when a probe leaves and when its reply arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    /// The kernel stamps both.
    TxAndRx,
    /// The kernel stamps the reply; the send time is read just before the send.
    RxOnly,
    /// This process reads both times.
    None,
}

/// What the sockets report.
#[derive(Debug)]
pub enum Event<'a> {
    /// A packet on the raw socket.
    Icmp {
        /// The parsed packet.
        packet: Heard<'a>,
        /// Time of arrival, on the monotonic clock.
        at: Duration,
        /// Whether the kernel stamped it.
        stamped: bool,
    },
    /// A packet on an interface. A probe's departure is reported before the reply to it.
    Wire {
        /// The parsed packet.
        packet: Heard<'a>,
        /// Name of the interface.
        interface: &'a str,
        /// Whether it was leaving.
        outgoing: bool,
        /// When the kernel saw it, on the monotonic clock; `None` if its timestamp cannot be converted.
        at: Option<Duration>,
    },
    /// A receive queue dropped this many packets.
    Drops(u64),
}

impl Sockets {
    /// Opens the sockets. Without the packet socket, no arrivals on the wire are observed. The raw IPv4 socket is
    /// required.
    ///
    /// # Errors
    /// The kernel's error for the raw IPv4 socket.
    pub fn open() -> Result<Self, Errno> {
        Self::open_with(FRAMES_OF_ALL)
    }

    /// As [`Sockets::open`] with less memory for packets, for an agent that runs permanently.
    ///
    /// # Errors
    /// The kernel's error for the raw IPv4 socket.
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

    /// Maximum probes in flight: as many as have replies that fit into the receive buffer if nothing reads it.
    pub fn window(&self) -> usize {
        let bytes = SockRef::from(&self.icmp.fd).recv_buffer_size().unwrap_or_default();
        (bytes / PACKET_BUFFER_BYTES).clamp(WINDOW_MIN, WINDOW_MAX)
    }

    /// As [`Sockets::window`], for probes of this many bytes after the IP header.
    pub fn window_of(&self, packet_bytes: usize) -> usize {
        let small = self.window();
        let one = buffer_bytes(packet_bytes);
        if one == PACKET_BUFFER_BYTES { small } else { (small * PACKET_BUFFER_BYTES / one).max(1) }
    }

    /// Which timestamps the sockets provide.
    pub fn stamps(&self) -> Stamps {
        match (self.arrivals_stamped, self.wanted.departures && self.tap.is_ok()) {
            (true, true) => Stamps::TxAndRx,
            (true, false) => Stamps::RxOnly,
            (false, _) => Stamps::None,
        }
    }

    /// Switches timestamps of departures by the packet socket on or off; they cost about a sixth of the work of a
    /// probe.
    pub fn stamp_departures(&mut self, wanted: bool) {
        self.wanted.departures = wanted;
        self.attach_filters();
    }

    /// Binds all probes to this interface and this source address.
    ///
    /// # Errors
    /// The kernel's error if a socket cannot be bound, or if there is no IPv6 socket for an IPv6 source.
    pub fn leave_by(&mut self, interface: Option<&str>, source: Option<IpAddr>) -> io::Result<()> {
        if source.is_some_and(|source| source.is_ipv6()) {
            self.ipv6()?;
        }
        self.bound = Bound { interface: interface.map(str::to_owned), source };
        let lanes = [Ok(&self.icmp), self.whole.as_ref(), self.icmpv6.as_ref(), self.whole_v6.as_ref()];
        lanes.into_iter().flatten().try_for_each(|lane| self.bound.bind(lane))
    }

    /// Sends probes to IPv6 link-local addresses through the interface with this index.
    pub fn scope(&mut self, index: u32) {
        for lane in [self.icmpv6.as_mut(), self.whole_v6.as_mut()].into_iter().flatten() {
            lane.scope = index;
        }
    }

    /// Limits replies and errors that the kernel delivers to these identifiers.
    pub fn only(&mut self, identifiers: RangeInclusive<u16>) {
        self.wanted.identifiers = Some(identifiers);
        self.attach_filters();
    }

    /// Enables ring-buffer receive of replies with these identifiers, if the kernel permits it: for many thousands of
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

    /// Whether ring-buffer receive of replies is enabled.
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

    /// Stops observing arrivals from other hosts.
    pub fn unobserved(&mut self) {
        self.wanted.requests = false;
        // The old one is closed first, since it holds more memory than is needed now.
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

    /// Whether IPv6 can be probed.
    ///
    /// # Errors
    /// The kernel's error for the raw ICMPv6 socket.
    pub fn ipv6(&self) -> Result<(), Errno> {
        self.icmpv6.as_ref().map(drop).map_err(|errno| *errno)
    }

    /// The sockets to wait for. A departure of our own probe is not worth a wake-up.
    pub(super) fn readable(&self) -> Vec<&OwnedFd> {
        let tap = self.tap.as_ref().ok().filter(|tap| tap.observes).map(|tap| &tap.fd);
        let icmpv6 = self.icmpv6.as_ref().ok().map(|lane| &lane.fd);
        [Some(&self.icmp.fd), icmpv6, tap].into_iter().flatten().collect()
    }

    /// Waits until there is something to read or `timeout` has passed, for callers without a Tokio runtime.
    ///
    /// # Errors
    /// The kernel's error; interruption by a signal is not an error.
    pub fn ready_within(&self, timeout: Duration) -> io::Result<()> {
        if self.busy || self.picked_up.is_some() {
            // Ring-buffer receive wakes nobody. Waking up for each packet of a stream would cost more than reading.
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
        // Needed only without a ring; frames of a ring are stamped anyway.
        option_was_set("stamps of frames", stamp_arrivals(&fd));
        let ring = Ring::map(&fd, frames);
        if let Err(error) = &ring {
            tracing::debug!(%error, "the kernel shares no memory for packets: each is read by a call");
        }
        Ok(Self { fd, ring: ring.ok(), observes: wanted.requests })
    }

    /// Packets dropped since the last call.
    pub(super) fn new_drops(&self) -> u64 {
        // struct tpacket_stats: packets, drops. Reading it resets the counters.
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

/// One timestamp per packet; `SO_TIMESTAMPING` would deliver three, of which two are empty.
fn stamp_arrivals(fd: &OwnedFd) -> Result<(), Errno> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32.to_ne_bytes())
}

/// Sets what the raw ICMPv6 socket delivers, and whether it reports a packet's destination, which matters only for
/// requests.
fn set_v6(lane: &Lane, wanted: &Wanted) {
    let blocked = filter::blocked_types(wanted).map(u32::to_ne_bytes).concat();
    let done = set_option(&lane.fd, libc::SOL_ICMPV6, ICMPV6_FILTER, &blocked);
    option_was_set("filter of ICMPv6 types", done);
    let done = set_option(&lane.fd, libc::SOL_IPV6, libc::IPV6_RECVPKTINFO, &i32::from(wanted.requests).to_ne_bytes());
    option_was_set("destination of ICMPv6 packets", done);
}

/// Makes the socket send packets of any size unfragmented, and receive nothing.
fn set_whole_v6(lane: &Lane) {
    let set = |level, name, value: i32| set_option(&lane.fd, level, name, &value.to_ne_bytes());
    option_was_set("uncut packets", set(libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE));
    option_was_set("refusal of what is too large", set(libc::SOL_IPV6, libc::IPV6_DONTFRAG, 1));
    option_was_set("deafness", set_option(&lane.fd, libc::SOL_ICMPV6, ICMPV6_FILTER, &[u8::MAX; 32]));
}

/// The TTL that this host gives its own packets.
fn hop_limit_of(fd: &OwnedFd) -> u8 {
    let mut words = [0; 1];
    let limit = read_option(fd, libc::SOL_IP, libc::IP_TTL, &mut words).ok().and_then(|words| words.first().copied());
    limit.and_then(|limit| u8::try_from(limit).ok()).unwrap_or(HOP_LIMIT)
}

/// Packets that the socket's queue dropped since it was opened; wraps. `None` if the kernel does not report it.
pub(super) fn drops_of(fd: &OwnedFd) -> Option<u32> {
    let mut words = [0; 16];
    let words = read_option(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut words).ok()?;
    words.get(usize::try_from(libc::SK_MEMINFO_DROPS).ok()?).copied()
}

/// Sets options that improve the socket: filter, receive buffer, drop counter. A missing one costs packets at most, and
/// those are counted.
fn prepare(fd: &OwnedFd, program: &[Op]) {
    attach(fd, program);
    grow(fd);
}

/// Bytes of a receive buffer that one packet occupies. The kernel allocates a power of two for the packet and its
/// metadata: for each fragment of an ordinary link if the packet arrives in fragments, or for the whole packet if the
/// link carries it.
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
        tracing::warn!(%error, "the kernel does not report what the receive queue dropped");
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

//! Two hosts on two wires: `peer` without a packet filter, and the `host` whose rules are tested. What leaves the host is
//! seen at the peer's interfaces, what reaches its sockets by the counters of its kernel.

use crate::road::Net;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, sendto, socket,
};
use pingtong_guest::{Packet, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
};

/// A service that listens at both hosts, and one that does not.
pub(crate) const OPEN: u16 = 8080;
pub(crate) const CLOSED: u16 = 8081;
pub(crate) const UDP: u16 = 9000;

/// A packet as it left the host: the interface, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sent {
    pub(crate) device: String,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Icmp(u8, u8),
    Tcp(u16, u16, u8),
    Udp(u16, u16),
}

impl Sent {
    fn is_of(&self, port: u16) -> bool {
        match self.what {
            What::Icmp(..) => true,
            What::Tcp(source, destination, _) | What::Udp(source, destination) => [source, destination].contains(&port),
        }
    }
}

/// What one probe did at the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether what came from the peer reached a socket of the host, or its kernel.
    pub(crate) delivered: bool,
    /// What left the host.
    pub(crate) left: BTreeSet<Sent>,
}

/// What a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Echo { sequence: u16 },
    Tcp(u16),
    Udp,
}

pub(crate) struct Wire {
    pub(crate) peer: End,
    pub(crate) host: End,
    /// Sees what the peer's interfaces receive.
    capture: OwnedFd,
    /// The host's interface at the other end of each of the peer's, by index.
    ends: BTreeMap<usize, &'static str>,
    held: Vec<Socket>,
}

/// The sockets of one host.
pub(crate) struct End {
    pub(crate) net: Net,
    icmp: OwnedFd,
    icmp6: OwnedFd,
    udp: Vec<UdpSocket>,
    listeners: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
}

const LINKS: &str = "
    ip link set lo up
    sysctl ipv4/conf/all/rp_filter 0
    sysctl ipv4/conf/default/rp_filter 0
    sysctl ipv4/icmp_ratemask 0
    sysctl ipv4/tcp_synack_retries 0
    sysctl ipv6/icmp/ratelimit 0
    sysctl ipv6/conf/default/accept_dad 0
    sysctl ipv6/conf/default/router_solicitations 0";

impl Wire {
    pub(crate) fn build() -> Result<Self, String> {
        let (peer, host) = (Net::create()?, Net::create()?);
        for tool in ["ip -V", "nft -v"] {
            host.run(tool)?;
        }
        peer.all(LINKS);
        host.all(LINKS);
        let path = host.path();
        peer.all(&format!(
            "ip link add va type veth peer name vb netns {path}
             ip link add vy type veth peer name vx netns {path}"
        ));
        // The wire has two ends: names of the peer's, then of the host's.
        let mac = |number: u8| format!("02:00:00:00:00:{number:02x}");
        host.all(
            "sysctl ipv4/ip_forward 1
             sysctl ipv6/conf/all/forwarding 1
             sysctl ipv4/conf/all/send_redirects 0
             sysctl ipv4/conf/default/send_redirects 0",
        );
        for (net, own, devices) in [(&peer, 1, ["va", "vy"]), (&host, 2, ["vb", "vx"])] {
            let other = 3 - own;
            for (device, n) in devices.iter().zip([9, 8]) {
                net.all(&format!(
                    "ip link set {device} address {}
                     sysctl ipv4/conf/{device}/rp_filter 0
                     ip addr add 10.{n}.0.{own}/24 dev {device}
                     ip addr add fd0{n}::{own}/64 dev {device} nodad
                     ip link set {device} up
                     ip neigh replace 10.{n}.0.{other} lladdr {} nud permanent dev {device}
                     ip neigh replace fd0{n}::{other} lladdr {} nud permanent dev {device}",
                    mac(n * 16 + own),
                    mac(n * 16 + other),
                    mac(n * 16 + other),
                ));
            }
        }
        // What the host sends to an address that nobody has is seen as well.
        for to in ["10.9.0.77", "fd09::77"] {
            host.all(&format!("ip neigh replace {to} lladdr {} nud permanent dev vb", mac(9 * 16 + 1)));
        }
        let capture = peer.within(capture);
        let index = |device: &'static str| peer.within(move || nix::net::if_::if_nametoindex(device)).unwrap();
        let ends = [("vb", "va"), ("vx", "vy")].map(|(end, own)| (usize::try_from(index(own)).unwrap(), end));
        Ok(Self { peer: End::open(peer), host: End::open(host), capture, ends: ends.into(), held: vec![] })
    }

    /// Loads rules into the host.
    pub(crate) fn load(&mut self, script: &str) -> Result<(), String> {
        self.close();
        let script = script.to_owned();
        self.host.net.within(move || {
            use std::{
                io::Write as _,
                process::{Command, Stdio},
            };
            let mut child = Command::new("nft")
                .args(["-f", "-"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|error| error.to_string())?;
            child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            let out = child.wait_with_output().unwrap();
            if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
        })
    }

    /// Closes the sockets of earlier probes.
    pub(crate) fn close(&mut self) {
        self.held.clear();
        for listener in self.host.listeners.iter().chain(&self.peer.listeners) {
            while listener.accept().is_ok() {}
        }
        self.host.datagrams.clear();
        self.peer.datagrams.clear();
    }

    /// Sends a probe from one of the hosts; whether its kernel took it.
    pub(crate) fn probe(&mut self, from_peer: bool, kind: Kind, from: SocketAddr, to: IpAddr) -> bool {
        let end = if from_peer { &mut self.peer } else { &mut self.host };
        match kind {
            Kind::Echo { sequence } => end.echo(from.port(), sequence, to),
            Kind::Udp => {
                let socket = end.net.within(move || UdpSocket::bind(from)).unwrap();
                let taken = socket.send_to(&[0; 8], SocketAddr::new(to, UDP)).is_ok();
                end.datagrams.push(socket);
                taken
            }
            Kind::Tcp(port) => {
                let socket = end.net.within(move || {
                    let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
                    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).unwrap();
                    socket.set_nonblocking(true).unwrap();
                    // Closing resets the connection: nothing is repeated later.
                    socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
                    socket.bind(&from.into()).unwrap();
                    // In progress, refused at once, or not sent: what left shows which.
                    let _ = socket.connect(&SocketAddr::new(to, port).into());
                    socket
                });
                self.held.push(socket);
                true
            }
        }
    }

    /// Whether the last connection that was begun has got an answer: it stands, or is refused.
    pub(crate) fn is_answered(&self) -> bool {
        let answered = |socket: &Socket| {
            let refused = socket.take_error().ok().flatten().and_then(|error| error.raw_os_error());
            refused == Some(libc::ECONNREFUSED) || socket.peer_addr().is_ok()
        };
        self.held.last().is_some_and(answered)
    }

    /// Forgets what was captured.
    pub(crate) fn drain(&self) {
        let _ = self.left(0);
    }

    /// What left the host since the last call, but for connections of other ports: the kernel repeats segments.
    pub(crate) fn left(&self, port: u16) -> BTreeSet<Sent> {
        let mut all = BTreeSet::new();
        let mut buffer = [0_u8; 2048];
        while let Ok((length, from)) = recvfrom::<LinkAddr>(self.capture.as_raw_fd(), &mut buffer) {
            // Type 4 is what the peer itself sends.
            if let Some(from) = from.filter(|from| from.pkttype() != 4)
                && let Some(device) = self.ends.get(&from.ifindex())
                && let Some(sent) = sent(device, &buffer[..length])
                && sent.is_of(port)
            {
                all.insert(sent);
            }
        }
        all
    }

    /// The host's program at the UDP port answers what has arrived.
    pub(crate) fn answer_datagrams(&self) {
        for socket in &self.host.udp {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
        for socket in self.peer.udp.iter().chain(&self.peer.datagrams).chain(&self.host.datagrams) {
            let mut buffer = [0; 64];
            let _ = socket.set_nonblocking(true);
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if socket.local_addr().is_ok_and(|own| own.port() == UDP) {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        }
    }
}

impl End {
    fn open(net: Net) -> Self {
        let raw = |family, protocol: i32| {
            net.within(move || {
                let domain = Domain::from(family);
                let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol))).unwrap();
                socket.set_nonblocking(true).unwrap();
                OwnedFd::from(socket)
            })
        };
        let (icmp, icmp6) = (raw(libc::AF_INET, libc::IPPROTO_ICMP), raw(libc::AF_INET6, libc::IPPROTO_ICMPV6));
        let both = ["0.0.0.0", "::"];
        let listeners = both.map(|any| {
            net.within(move || {
                let address: SocketAddr = SocketAddr::new(any.parse().unwrap(), OPEN);
                let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
                if address.is_ipv6() {
                    socket.set_only_v6(true).unwrap();
                }
                socket.bind(&address.into()).unwrap();
                socket.listen(128).unwrap();
                socket.set_nonblocking(true).unwrap();
                TcpListener::from(socket)
            })
        });
        // One socket an address, so that an answer has the address that was asked.
        let own: Vec<IpAddr> = net.within(|| {
            let all = nix::ifaddrs::getifaddrs().unwrap();
            let addresses = all.filter_map(|each| {
                let address = each.address?;
                let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
            });
            addresses.filter(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())).collect()
        });
        let udp = own.into_iter().map(|address| {
            net.within(move || {
                let socket = UdpSocket::bind(SocketAddr::new(address, UDP)).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            })
        });
        let udp = udp.collect();
        Self { icmp, icmp6, udp, listeners: listeners.into(), datagrams: vec![], net }
    }

    fn echo(&self, id: u16, sequence: u16, to: IpAddr) -> bool {
        let [id, sequence] = [id, sequence].map(u16::to_be_bytes);
        let icmp_type = if to.is_ipv4() { 8 } else { 128 };
        let mut packet = vec![icmp_type, 0, 0, 0, id[0], id[1], sequence[0], sequence[1], 0, 0, 0, 0, 0, 0, 0, 0];
        if to.is_ipv4() {
            let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            let check = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            packet[2..4].copy_from_slice(&check.to_be_bytes());
        }
        let fd = if to.is_ipv4() { &self.icmp } else { &self.icmp6 };
        let mut buffer = [0_u8; 2048];
        while recvfrom::<SockaddrStorage>(fd.as_raw_fd(), &mut buffer).is_ok() {}
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        sendto(fd.as_raw_fd(), &packet, &to, MsgFlags::empty()).is_ok()
    }

    /// How many packets of a kind reached a socket or the kernel: requests, or replies.
    pub(crate) fn delivered(&self, kind: Kind, ipv4: bool, replies: bool) -> u64 {
        let read = |file: &str| fs::read_to_string(self.net.proc(file)).unwrap();
        match (kind, ipv4) {
            (Kind::Echo { .. }, true) => snmp(&read("snmp"), "Icmp:", if replies { "InEchoReps" } else { "InEchos" }),
            (Kind::Echo { .. }, false) => {
                snmp6(&read("snmp6"), if replies { "Icmp6InEchoReplies" } else { "Icmp6InEchos" })
            }
            (Kind::Tcp(_), _) => snmp(&read("snmp"), "Tcp:", "InSegs"),
            (Kind::Udp, true) => {
                let text = read("snmp");
                snmp(&text, "Udp:", "InDatagrams") + snmp(&text, "Udp:", "NoPorts")
            }
            (Kind::Udp, false) => {
                let text = read("snmp6");
                snmp6(&text, "Udp6InDatagrams") + snmp6(&text, "Udp6NoPorts")
            }
        }
    }
}

fn snmp(text: &str, group: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter(|line| line.starts_with(group)).map(str::split_whitespace);
    let (names, mut values) = (lines.next().unwrap(), lines.next().unwrap());
    let index = names.clone().position(|each| each == name).unwrap();
    values.nth(index).unwrap().parse().unwrap()
}

fn snmp6(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A packet socket for all interfaces.
fn capture() -> OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll).unwrap()
}

/// What a frame is; `None` for what the kernel sends by itself.
fn sent(device: &str, bytes: &[u8]) -> Option<Sent> {
    let (source, destination, protocol, rest): (IpAddr, IpAddr, u8, &[u8]) = match bytes.first()? >> 4 {
        4 => {
            let header = usize::from(bytes[0] & 15) * 4;
            let address = |at: usize| <[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap();
            (address(12).into(), address(16).into(), bytes[9], bytes.get(header..)?)
        }
        6 => {
            let address = |at: usize| <[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap();
            (address(8).into(), address(24).into(), bytes[6], bytes.get(40..)?)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let what = match (protocol, source.is_ipv4()) {
        (1, true) => What::Icmp(*rest.first()?, *rest.get(1)?),
        (58, false) if matches!(rest.first()?, 1 | 128 | 129) => What::Icmp(*rest.first()?, *rest.get(1)?),
        (6, _) => What::Tcp(port(0)?, port(2)?, rest.get(13)? & 0x3f),
        (17, _) => What::Udp(port(0)?, port(2)?),
        _ => return None,
    };
    Some(Sent { device: device.to_owned(), source, destination, what })
}

/// A packet that leaves by an interface, as far as it is predicted; `None` if a part of it is not known.
pub(crate) fn predicted(device: &str, packet: &Packet) -> Option<Sent> {
    let what = match packet.transport {
        Transport::Echo { reply, .. } => match (packet.ipv4, reply) {
            (true, false) => What::Icmp(8, 0),
            (true, true) => What::Icmp(0, 0),
            (false, false) => What::Icmp(128, 0),
            (false, true) => What::Icmp(129, 0),
        },
        Transport::Icmp { icmp_type, code } => What::Icmp(icmp_type, code),
        Transport::Tcp { source, destination, flags } => What::Tcp(source?, destination?, flags),
        Transport::Udp { source, destination } => What::Udp(source?, destination?),
    };
    Some(Sent { device: device.to_owned(), source: packet.source?, destination: packet.destination?, what })
}

//! A packet capture: records when each echo request and its reply passed an interface, by the kernel's own timestamps.
//!
//! It uses the same tap and timestamps as tcpdump. tcpdump itself cannot be used: it switches to another user before it
//! starts, and the sandbox has only one. Parses Ethernet frames, IPv4 and ICMP echoes only.

#![expect(clippy::disallowed_methods, reason = "a benchmark that waits on a socket would disturb what it measures")]

use crate::plane::Namespace;
use anyhow::{Context, Result, anyhow};
use nix::sys::{
    socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg,
        setsockopt, socket, sockopt,
    },
    time::TimeSpec,
};
use std::{
    collections::BTreeMap,
    io::IoSliceMut,
    net::Ipv4Addr,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Receive buffer: holds packets that arrive while the reader is not scheduled.
const BUFFER_BYTES: usize = 64 << 20;
/// Bytes read of each frame: enough to identify the echo.
const FRAME_BYTES: usize = 64;
const FRAME_HEADER: usize = 14;
/// How long the reader sleeps when nothing is queued. It never blocks on the socket: the sender would then have to wake
/// it, between the tap's timestamp and the departure timestamp.
const NAP: Duration = Duration::from_millis(1);

/// A running capture.
#[derive(Debug)]
pub(super) struct Capture {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Vec<Echo>>,
}

/// A captured echo request or reply.
#[derive(Debug, Clone, Copy)]
struct Echo {
    at_ns: i64,
    request: bool,
    target: Ipv4Addr,
    identifier: u16,
    sequence: u16,
}

/// A captured request and the round-trip time to its first reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnWire {
    /// When the request passed, in nanoseconds since 1970.
    pub sent_ns: i64,
    /// Nanoseconds until its first reply passed; `None` if no reply was captured.
    pub rtt_ns: Option<i64>,
}

impl Capture {
    /// Starts to capture echoes on an interface.
    pub(super) fn start(namespace: &Namespace, interface: &'static str) -> Result<Self> {
        let socket =
            namespace.run(move || open(interface)).with_context(|| format!("cannot capture on {interface}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = thread::Builder::new().name("capture".into()).spawn(move || read(&socket, &stopped))?;
        Ok(Self { stop, reader })
    }

    /// Stops the capture and returns the requests of each target, in the order in which they left.
    pub(super) fn end(self) -> Result<BTreeMap<Ipv4Addr, Vec<OnWire>>> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(joined(&self.reader.join().map_err(|_| anyhow!("the reader of a capture panicked"))?))
    }
}

fn open(interface: &str) -> Result<OwnedFd> {
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES)?;
    }
    let address = nix::ifaddrs::getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address.and_then(|address| address.as_link_addr().copied()))
        .context("the kernel lists no hardware address of it")?;
    bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

/// Reads until `stop` is set and the socket is empty.
fn read(socket: &OwnedFd, stop: &AtomicBool) -> Vec<Echo> {
    let mut seen = Vec::new();
    let mut buffer = [0; FRAME_BYTES];
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT);
        let Ok(message) = message else {
            if stopping {
                return seen;
            }
            thread::sleep(NAP);
            continue;
        };
        let stamp = message.cmsgs().ok().and_then(|mut parts| {
            parts.find_map(|part| match part {
                ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                _ => None,
            })
        });
        let (bytes, Some(stamp)) = (message.bytes, stamp) else { continue };
        let at_ns = i64::try_from(stamp.as_nanos()).unwrap_or(i64::MAX);
        seen.extend(buffer.get(..bytes.min(FRAME_BYTES)).and_then(|frame| echo(frame, at_ns)));
    }
}

fn joined(echoes: &[Echo]) -> BTreeMap<Ipv4Addr, Vec<OnWire>> {
    let mut seen: BTreeMap<Ipv4Addr, Vec<OnWire>> = BTreeMap::new();
    // The sequence number has 16 bits and repeats; a reply belongs to the latest request that carried the number.
    let mut latest: BTreeMap<(Ipv4Addr, u16, u16), usize> = BTreeMap::new();
    for echo in echoes {
        let of_target = seen.entry(echo.target).or_default();
        let key = (echo.target, echo.identifier, echo.sequence);
        if echo.request {
            latest.insert(key, of_target.len());
            of_target.push(OnWire { sent_ns: echo.at_ns, rtt_ns: None });
        } else if let Some(request) = latest.get(&key).and_then(|at| of_target.get_mut(*at)) {
            request.rtt_ns.get_or_insert(echo.at_ns - request.sent_ns);
        }
    }
    seen
}

fn echo(frame: &[u8], at_ns: i64) -> Option<Echo> {
    let packet = frame.get(FRAME_HEADER..)?;
    let header = usize::from(packet.first()? & 15) * 4;
    let icmp = packet.get(header..)?;
    let request = match icmp.first()? {
        8 => true,
        0 => false,
        _ => return None,
    };
    let target = packet.get(if request { 16..20 } else { 12..16 })?;
    let half = |at: usize| Some(u16::from_be_bytes([*icmp.get(at)?, *icmp.get(at + 1)?]));
    Some(Echo {
        at_ns,
        request,
        target: Ipv4Addr::from(<[u8; 4]>::try_from(target).ok()?),
        identifier: half(4)?,
        sequence: half(6)?,
    })
}

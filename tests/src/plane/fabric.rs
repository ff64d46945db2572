//! A link between two routers: a thread that carries packets from one to the other, as the two lanes decide.
//!
//! Each end is a veth pair from the router's namespace into a namespace that contains nothing else, where a packet
//! socket reads and writes. Unlike a TUN device this needs no device file, so it works for any user. Both ends of both
//! pairs have the same hardware address and no ARP, so frames need no rewriting. Loss, delay and counters are in
//! `shape`.

#![expect(clippy::disallowed_methods, reason = "a run loop: it reads the clock for its lanes")]

use super::{
    interfaces::{self, CableEnd, NO_ARP, UP},
    netlink::Netlink,
    shape::{Lane, LinkCounters},
};
use crate::desired::Shape;
use anyhow::{Context, Result, anyhow};
use nix::{
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, ppoll},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        socket::{LinkAddr, MsgFlags, recvfrom, sendto},
        time::TimeSpec,
    },
};
use pingtong_evidence::Direction;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, RawFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

const MAC: [u8; 6] = [0x02, 0x70, 0x74, 0, 0, 1];
const ALL_PROTOCOLS: u16 = 3;
const IPV4_FRAME: [u8; 2] = [0x08, 0x00];
const FRAME_HEADER: usize = 14;
const OUTGOING: u8 = 4;
/// Packets taken from one end before the other end is read.
const TURN: usize = 64;
/// Receive buffer in bytes. The kernel limits it to `rmem_max`, which by default is half a second of 1000 packets/s.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Where one end of a link is attached.
#[derive(Debug, Clone)]
pub struct Port {
    /// The router's namespace, as an open file descriptor.
    pub namespace: RawFd,
    /// Name of the interface in that namespace.
    pub interface: String,
}

/// A running link.
#[derive(Debug)]
pub struct Fabric {
    lanes: Arc<Mutex<[Lane; 2]>>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

struct End {
    socket: Socket,
    address: LinkAddr,
}

impl Fabric {
    /// Attaches a link to the initiator's and the acceptor's router and starts to carry packets.
    ///
    /// # Errors
    /// Fails if the kernel refuses a namespace, an interface, a socket or the thread.
    pub fn plug(name: &str, ports: [Port; 2], seed: u64) -> Result<Self> {
        let lanes = Arc::new(Mutex::new([Lane::new(seed), Lane::new(seed ^ u64::MAX)]));
        let (wake, woken) = UnixStream::pair().context("cannot make a link's waker")?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (ready, readiness) = mpsc::channel();
        let inner_lanes = Arc::downgrade(&lanes);
        let thread = std::thread::Builder::new()
            .name(format!("link {name}"))
            .spawn(move || {
                let ends = ports.iter().map(plug_end).collect::<Result<Vec<End>>>();
                let ends = ends.and_then(|ends| <[End; 2]>::try_from(ends).map_err(|_| anyhow!("a link has two ends")));
                match ends {
                    Ok(ends) => {
                        let _ = ready.send(Ok(()));
                        drop(ready);
                        // Without this, a wake-up may be up to 50 µs late.
                        let _ = prctl::set_timerslack(1);
                        carry(&ends, &inner_lanes, &woken);
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            })
            .context("cannot start a link's thread")?;
        readiness
            .recv()
            .context("a link's thread ended")?
            .with_context(|| format!("cannot plug in the link {name}"))?;
        Ok(Self { lanes, wake, thread: Some(thread) })
    }

    /// Sets what the fabric does to packets of one direction from now on.
    pub fn set_shape(&self, direction: Direction, shape: Shape) {
        self.lanes()[lane_of(direction)].set_shape(shape);
        self.wake();
    }

    /// Sets what the cloud grants to both directions from now on.
    pub(super) fn set_grant(&self, carries: bool, granted_mbit: Option<u64>) {
        self.lanes().iter_mut().for_each(|lane| lane.set_grant(carries, granted_mbit));
        self.wake();
    }

    /// Counters of one direction since the link was attached.
    pub fn counters(&self, direction: Direction) -> LinkCounters {
        self.lanes()[lane_of(direction)].counters()
    }

    /// Wakes the thread. If the socket is full, a wake-up is already pending.
    fn wake(&self) {
        let _ = (&self.wake).write(&[1]);
    }

    fn lanes(&self) -> MutexGuard<'_, [Lane; 2]> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        // The thread holds only a weak reference to the lanes and ends when they are gone.
        self.lanes = Arc::new(Mutex::new([Lane::new(0), Lane::new(0)]));
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lane_of(direction: Direction) -> usize {
    match direction {
        Direction::Forward => 0,
        Direction::Return => 1,
    }
}

fn plug_end(port: &Port) -> Result<End> {
    const NEAR: &str = "f0";
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a namespace for a link's end")?;
    // The file is missing if the kernel has no IPv6; then there is nothing to disable.
    let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let mut netlink = Netlink::route()?;
    let near = CableEnd { name: NEAR, mac: Some(MAC), namespace: None };
    let far = CableEnd { name: &port.interface, mac: Some(MAC), namespace: Some(port.namespace) };
    netlink.request(&interfaces::cable(&near, &far)).context("cannot lay a link's cable")?;
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ALL_PROTOCOLS.to_be()))))
        .context("cannot open a packet socket")?;
    socket.set_nonblocking(true)?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    netlink.request(&interfaces::set_flags(NEAR, UP | NO_ARP, UP | NO_ARP))?;
    let address = getifaddrs()?
        .filter(|entry| entry.interface_name == NEAR)
        .find_map(|entry| entry.address.and_then(|address| address.as_link_addr().copied()))
        .context("the kernel lists no hardware address of a link's end")?;
    Ok(End { socket, address })
}

fn carry(ends: &[End; 2], lanes: &std::sync::Weak<Mutex<[Lane; 2]>>, mut wake: &UnixStream) {
    let origin = Instant::now();
    let clock = || u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut buffer = vec![0; 65_536 + FRAME_HEADER];
    let mut deadline: Option<u64> = None;
    loop {
        let mut polled = [
            PollFd::new(ends[0].socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(ends[1].socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(wake.as_fd(), PollFlags::POLLIN),
        ];
        let timeout = deadline.map(|at| TimeSpec::from_duration(Duration::from_nanos(at.saturating_sub(clock()))));
        let _ = ppoll(&mut polled, timeout, None);
        let _ = wake.read(&mut [0; 64]);
        let Some(lanes) = lanes.upgrade() else { return };
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for (lane, (from, to)) in lanes.iter_mut().zip([(&ends[0], &ends[1]), (&ends[1], &ends[0])]) {
            for _ in 0..TURN {
                let Some(length) = receive(from, &mut buffer) else { break };
                if let Some(packet) = packet_in(&buffer[..length]) {
                    lane.handle(clock(), packet);
                }
            }
            while let Some(packet) = lane.poll(clock()) {
                transmit(to, &packet);
            }
        }
        deadline = lanes.iter().filter_map(Lane::next_deadline).min();
    }
}

/// Receives a frame that came in over the cable; skips frames that another socket sent on it.
fn receive(end: &End, buffer: &mut [u8]) -> Option<usize> {
    loop {
        let (length, from) = recvfrom::<LinkAddr>(end.socket.as_raw_fd(), buffer).ok()?;
        if from.is_none_or(|from| from.pkttype() != OUTGOING) {
            return Some(length);
        }
    }
}

fn packet_in(frame: &[u8]) -> Option<&[u8]> {
    let (header, packet) = frame.split_at_checked(FRAME_HEADER)?;
    if header[12..14] != IPV4_FRAME {
        return None;
    }
    // Ethernet pads short frames; the packet's length is in its IP header.
    let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    packet.get(..length)
}

fn transmit(end: &End, packet: &[u8]) {
    let mut frame = Vec::with_capacity(FRAME_HEADER + packet.len());
    frame.extend_from_slice(&MAC);
    frame.extend_from_slice(&MAC);
    frame.extend_from_slice(&IPV4_FRAME);
    frame.extend_from_slice(packet);
    let _ = sendto(end.socket.as_raw_fd(), &frame, &end.address, MsgFlags::empty());
}

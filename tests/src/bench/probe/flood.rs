//! The kernel's own limit: one thread sends echo requests as fast as it can and reads nothing.
//!
//! A filter on the socket rejects every reply. The measurement therefore covers the path of the packets through the
//! kernel in both directions and none of a prober's work (`PROBING.md` §1). No engine that reads its replies is
//! faster.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use super::measure::cpu_of_thread;
use crate::plane::{Namespace, checksum};
use anyhow::{Context, Result};
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, SockaddrIn, sendmmsg, socket,
};
use socket2::{SockFilter, SockRef};
use std::{
    io::IoSlice,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsRawFd as _,
    time::Instant,
};

/// Messages per `sendmmsg` call.
const BATCH: usize = 64;
/// Bytes after the ICMP header, the same as in the programs that are compared.
const PAYLOAD: usize = 56;

/// Result of a flood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flood {
    /// Probes per second.
    pub rate: f64,
    /// Microseconds of processor time per probe.
    pub cpu_us: f64,
}

/// Sends `probes` requests to the targets in turn.
pub(super) fn flood(namespace: &Namespace, targets: Vec<Ipv4Addr>, probes: usize) -> Result<Flood> {
    namespace.run(move || {
        let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)
            .context("cannot open a raw socket")?;
        let nothing = [SockFilter::new(0x06, 0, 0, 0)];
        SockRef::from(&socket).attach_filter(&nothing).context("cannot filter replies away")?;
        let packets: Vec<[u8; 8 + PAYLOAD]> = (0..BATCH).map(packet).collect();
        let slices: Vec<[IoSlice<'_>; 1]> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
        let mut round = targets.iter().cycle();
        let (cpu, begun) = (cpu_of_thread()?, Instant::now());
        let mut sent = 0;
        while sent < probes {
            let batch = BATCH.min(probes - sent);
            let to: Vec<Option<SockaddrIn>> =
                round.by_ref().take(batch).map(|to| Some(SockaddrIn::from(SocketAddrV4::new(*to, 0)))).collect();
            let done = sendmmsg(socket.as_raw_fd(), &mut headers, &slices[..batch], &to, [], MsgFlags::empty())
                .context("the kernel refused the flood")?;
            sent += done.count();
        }
        let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_of_thread()? - cpu);
        #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
        let sent = sent as f64;
        Ok(Flood { rate: sent / seconds, cpu_us: cpu * 1e6 / sent })
    })
}

fn packet(number: usize) -> [u8; 8 + PAYLOAD] {
    let mut packet = [0xa5; 8 + PAYLOAD];
    let [high, low] = u16::try_from(number).unwrap_or(0).to_be_bytes();
    packet[..8].copy_from_slice(&[8, 0, 0, 0, 0x70, 0x74, high, low]);
    let sum = checksum(&packet).to_be_bytes();
    packet[2..4].copy_from_slice(&sum);
    packet
}

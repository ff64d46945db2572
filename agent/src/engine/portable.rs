//! The portable engine: surge-ping over an ICMP datagram socket, for hosts where raw sockets are not permitted.
//!
//! It sees replies only: no arrivals, no ICMP errors, times to about a millisecond. Three traps of the crate
//! (`PROBING.md` §4) are avoided here: an `Ok` counts only with ICMP type 0; an ICMP error that the crate returns
//! as `Ok` is passed on as an error; every probe has its own sequence number, since the crate matches replies only by
//! that and the address.

use super::{Handed, batch::set_option};
use nix::errno::Errno;
use pingtong_evidence::RoundId;
use pingtong_probe::SendProbe;
use std::{net::IpAddr, time::Duration};
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::task::JoinSet;

/// Maximum probes in flight: their replies fit twice into the default receive buffer, which holds 256.
pub(crate) const WINDOW: usize = 128;
/// Requested receive buffer in bytes; the kernel grants what this process may have.
const RECEIVE_BUFFER_BYTES: i32 = 1 << 20;

/// ICMP types of an echo reply.
const REPLY: u8 = 0;
const REPLY_V6: u8 = 129;

/// What became of one probe.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) round: RoundId,
    pub(crate) sequence: u32,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Answered(Duration),
    Error { from: IpAddr, icmp_type: u8, code: u8 },
    Refused(i32),
    Silent,
}

/// The engine that sends through surge-ping.
pub struct Portable {
    client: Client,
    client_v6: Result<Client, Errno>,
    next: u16,
    tasks: JoinSet<Outcome>,
}

impl std::fmt::Debug for Portable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Portable({} on their way)", self.tasks.len())
    }
}

impl Portable {
    /// Opens the sockets. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// The kernel's error if the IPv4 socket cannot be opened.
    pub fn open() -> std::io::Result<Self> {
        let client = Client::new(&Config::builder().build())?;
        roomy(&client);
        let client_v6 = Client::new(&Config::builder().kind(ICMP::V6).build()).map_err(|error| super::errno_of(&error));
        client_v6.iter().for_each(roomy);
        Ok(Self { client, client_v6, next: 0, tasks: JoinSet::new() })
    }

    /// `raw` or `datagram`: surge-ping falls back from one to the other on its own.
    pub fn socket_type(&self) -> &'static str {
        if self.client.get_socket().get_type() == socket2::Type::RAW { "raw" } else { "datagram" }
    }

    /// Whether it probes over IPv6; the reason if not.
    pub(super) fn ipv6(&self) -> Result<(), Errno> {
        self.client_v6.as_ref().map(drop).map_err(|errno| *errno)
    }

    pub(crate) fn send(&mut self, probe: SendProbe) -> Handed {
        let client = match (probe.target, &self.client_v6) {
            (IpAddr::V4(_), _) => self.client.clone(),
            (IpAddr::V6(_), Ok(client)) => client.clone(),
            (IpAddr::V6(_), Err(_)) => return Handed::NoRoom,
        };
        self.next = self.next.wrapping_add(1);
        let wire_sequence = PingSequence(self.next);
        self.tasks.spawn(async move {
            let mut pinger = client.pinger(probe.target, PingIdentifier(probe.identifier)).await;
            pinger.timeout(probe.timeout);
            let what = match pinger.ping(wire_sequence, &probe.payload).await {
                Ok((packet, rtt)) => classify(&packet, probe.target, rtt),
                Err(SurgeError::IOError(error)) => What::Refused(error.raw_os_error().unwrap_or_default()),
                Err(_) => What::Silent,
            };
            Outcome { round: probe.round, sequence: probe.sequence, what }
        });
        Handed::Taken
    }

    pub(crate) async fn next(&mut self) -> Option<Outcome> {
        loop {
            if let Ok(outcome) = self.tasks.join_next().await? {
                return Some(outcome);
            }
        }
    }

    pub(crate) fn try_next(&mut self) -> Option<Outcome> {
        loop {
            if let Ok(outcome) = self.tasks.try_join_next()? {
                return Some(outcome);
            }
        }
    }
}

/// Sends one echo request with surge-ping, as a second opinion, and returns the round-trip time.
///
/// # Errors
/// What came instead of a reply, as text.
pub async fn second_opinion(target: IpAddr, timeout: Duration) -> Result<Duration, String> {
    let kind = if target.is_ipv4() { ICMP::V4 } else { ICMP::V6 };
    let config = Config::builder().kind(kind).sock_type_hint(socket2::Type::RAW).build();
    let client = Client::new(&config).map_err(|error| error.to_string())?;
    let identifier = u16::try_from(std::process::id() & 0xffff).unwrap_or_default();
    let mut pinger = client.pinger(target, PingIdentifier(identifier)).await;
    pinger.timeout(timeout);
    match pinger.ping(PingSequence(1), &[0x5a; 56]).await {
        Ok((packet, rtt)) => match classify(&packet, target, rtt) {
            What::Answered(rtt) => Ok(rtt),
            What::Error { from, icmp_type, code } => Err(format!("ICMP {icmp_type}/{code} from {from}")),
            What::Refused(_) | What::Silent => Err(String::from("an answer that is no echo reply")),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn classify(packet: &IcmpPacket, target: IpAddr, rtt: Duration) -> What {
    let (from, icmp_type, code, reply) = match packet {
        IcmpPacket::V4(packet) => {
            (IpAddr::V4(packet.get_source()), packet.get_icmp_type().0, packet.get_icmp_code().0, REPLY)
        }
        IcmpPacket::V6(packet) => {
            (IpAddr::V6(packet.get_source()), packet.get_icmpv6_type().0, packet.get_icmpv6_code().0, REPLY_V6)
        }
    };
    match (icmp_type == reply, from == target) {
        (true, true) => What::Answered(rtt),
        (true, false) => What::Silent,
        (false, _) => What::Error { from, icmp_type, code },
    }
}

/// Raises the receive buffer, where replies wait for the crate's single task, as far as this process may.
fn roomy(client: &Client) {
    let fd = client.get_socket().get_native_sock();
    let set = |name| set_option(&fd, libc::SOL_SOCKET, name, &RECEIVE_BUFFER_BYTES.to_ne_bytes());
    if let Err(error) = set(libc::SO_RCVBUFFORCE).or_else(|_| set(libc::SO_RCVBUF)) {
        tracing::debug!(%error, "the receive buffer keeps its size");
    }
}

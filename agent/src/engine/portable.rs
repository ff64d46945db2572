//! The portable engine: surge-ping over an ICMP datagram socket, for hosts where raw sockets are not permitted.
//!
//! It sees replies and nothing else: no arrivals, no ICMP errors, times to about a millisecond. Three traps of the
//! crate (`probe-engine.md` §4) are closed here: an `Ok` counts only with ICMP type 0; an ICMP error that it hands over
//! as `Ok` is passed on as an error; every probe has a sequence number of its own, since that and the address are all
//! it matches by.

use super::Handed;
use pingtong_probe::SendProbe;
use std::{net::IpAddr, net::Ipv4Addr, time::Duration};
use surge_ping::{Client, Config, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::task::JoinSet;

/// Probes on their way: replies to so many fit the default receive buffer, which holds 256.
pub(crate) const WINDOW: usize = 200;

/// What became of one probe.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) round: u64,
    pub(crate) sequence: u32,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Answered(Duration),
    Error { from: Ipv4Addr, icmp_type: u8, code: u8 },
    Refused(i32),
    Silent,
}

/// The engine.
pub struct Portable {
    client: Client,
    next: u16,
    tasks: JoinSet<Outcome>,
}

impl std::fmt::Debug for Portable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Portable({} on their way)", self.tasks.len())
    }
}

impl Portable {
    /// Opens the socket; must be called inside a run time.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn open() -> std::io::Result<Self> {
        let client = Client::new(&Config::builder().build())?;
        Ok(Self { client, next: 0, tasks: JoinSet::new() })
    }

    /// `raw` or `datagram`: the crate falls back from one to the other by itself.
    pub fn socket_type(&self) -> &'static str {
        if self.client.get_socket().get_type() == socket2::Type::RAW { "raw" } else { "datagram" }
    }

    pub(crate) fn send(&mut self, probe: SendProbe) -> Handed {
        let client = self.client.clone();
        self.next = self.next.wrapping_add(1);
        let wire_sequence = PingSequence(self.next);
        self.tasks.spawn(async move {
            let mut pinger = client.pinger(probe.target.into(), PingIdentifier(probe.identifier)).await;
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

/// One echo by surge-ping, for a second opinion: the round-trip time, or what came instead, in words.
///
/// # Errors
/// What came instead of a reply.
pub async fn second_opinion(target: IpAddr, timeout: Duration) -> Result<Duration, String> {
    let IpAddr::V4(target) = target else { return Err(String::from("IPv6 is not probed")) };
    let config = Config::builder().sock_type_hint(socket2::Type::RAW).build();
    let client = Client::new(&config).map_err(|error| error.to_string())?;
    let identifier = u16::try_from(std::process::id() & 0xffff).unwrap_or_default();
    let mut pinger = client.pinger(target.into(), PingIdentifier(identifier)).await;
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

fn classify(packet: &IcmpPacket, target: Ipv4Addr, rtt: Duration) -> What {
    let IcmpPacket::V4(packet) = packet else { return What::Silent };
    match (packet.get_icmp_type().0, packet.get_source() == target) {
        (0, true) => What::Answered(rtt),
        (0, false) => What::Silent,
        (icmp_type, _) => What::Error { from: packet.get_source(), icmp_type, code: packet.get_icmp_code().0 },
    }
}

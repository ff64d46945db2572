//! Real packets: sends one request per flow and records where it and its reply were seen.
//!
//! Raw sockets in the instances' namespaces send. A packet socket in each namespace receives what its interface sees,
//! before the guest filters anything. Every request has its own identifier or port, so the state of no firewall helps
//! it. TCP sends a SYN to a closed port, and the RST is the reply; UDP is echoed. A packet that was not seen within the
//! quiet time is lost: the kernel delivers synchronously, and only links are separate threads.
#![expect(clippy::disallowed_methods, reason = "a shell of the lab: it waits for states with a deadline")]

use super::{draw::PORTS, ground::Ground, predict::Flow};
use anyhow::{Context, Result};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpNumber, Ipv4Header, TcpHeader, UdpHeader};
use pingtong_evidence::Protocol;
use pingtong_verdict::Cut;
use socket2::{Domain, Socket, Type};
use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read},
    net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

/// `ETH_P_ALL` in network byte order, which is needed to see outgoing frames too.
const ALL_FRAMES: i32 = 0x0300;
/// Number of requests sent before the sockets are read; a socket's buffer holds some hundreds.
const BATCH: usize = 8;
const FIRST_PORT: u16 = 20_000;

/// Where one request and its reply were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sighting {
    /// The sender's kernel accepted the request.
    pub(super) sent: bool,
    /// The request was on the target's interface.
    pub(super) arrived: bool,
    /// The reply was on the target's interface.
    pub(super) answered: bool,
    /// The reply was on the source's interface.
    pub(super) received: bool,
}

impl Sighting {
    /// The cut point, by the furthest sighting.
    pub(super) fn cut(self) -> Cut {
        match (self.sent, self.arrived, self.answered, self.received) {
            (_, _, _, true) => Cut::None,
            (_, _, true, false) => Cut::S5,
            (_, true, false, false) => Cut::S2,
            (true, false, false, false) => Cut::S1,
            (false, false, false, false) => Cut::S0,
        }
    }
}

/// Sockets of one instance.
struct Host {
    address: Ipv4Addr,
    seen: Socket,
    icmp: Socket,
    tcp: Socket,
    udp: Socket,
    /// Echo what arrives at the UDP ports.
    echoes: Vec<UdpSocket>,
}

/// Identifies a request and its reply: protocol, source, destination, and identifier or source port of the request.
type Key = (u8, Ipv4Addr, Ipv4Addr, u16);

/// Sockets of all instances of a topology.
pub(super) struct Wire {
    hosts: BTreeMap<String, Host>,
    next: u16,
}

impl Wire {
    /// Opens the sockets of all instances.
    ///
    /// # Errors
    /// Fails if a socket cannot be opened.
    pub(super) fn open(ground: &Ground) -> Result<Self> {
        let mut hosts = BTreeMap::new();
        for (vpc, instance) in ground.topology.instances() {
            let name = instance.full_name(vpc);
            let address: Ipv4Addr = instance.ip.get_ref().parse()?;
            let made = ground.namespace(&name)?.run(move || Host::open(address));
            hosts.insert(name.clone(), made.with_context(|| format!("sockets in {name}"))?);
        }
        Ok(Self { hosts, next: 0 })
    }

    /// Sends one request per flow and returns the sightings in the order of `flows`. Ends when every reply has been
    /// received or `quiet` has passed without a packet.
    ///
    /// # Errors
    /// Fails if a packet cannot be built.
    pub(super) fn try_all(&mut self, flows: &[Flow], quiet: Duration) -> Result<Vec<Sighting>> {
        let mut sightings = vec![Sighting::default(); flows.len()];
        let mut wanted: BTreeMap<Key, usize> = BTreeMap::new();
        self.look(&wanted, &mut sightings, flows);
        for (at, flow) in flows.iter().enumerate() {
            let (Some(source), IpAddr::V4(target)) = (self.hosts.get(&flow.from), flow.target) else {
                continue;
            };
            self.next = self.next.wrapping_add(1) % 40_000;
            let ident = FIRST_PORT + self.next;
            wanted.insert((number(flow.protocol), source.address, target, ident), at);
            sightings[at].sent = source.send(flow.protocol, target, flow.port.unwrap_or(0), ident)?;
            if at % BATCH == BATCH - 1 {
                self.look(&wanted, &mut sightings, flows);
            }
        }
        let mut last = Instant::now();
        while last.elapsed() < quiet && !sightings.iter().all(|sighting| sighting.received) {
            if self.look(&wanted, &mut sightings, flows) {
                last = Instant::now();
            } else {
                std::thread::sleep(Duration::from_micros(500));
            }
        }
        Ok(sightings)
    }

    /// Reads everything that the sockets hold. Returns whether any of it belongs to a request or reply that is wanted.
    fn look(&self, wanted: &BTreeMap<Key, usize>, sightings: &mut [Sighting], flows: &[Flow]) -> bool {
        let mut ours = false;
        let mut buffer = [0_u8; 2048];
        for (name, host) in &self.hosts {
            host.echo();
            loop {
                let length = match (&host.seen).read(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                let Some((key, is_reply)) = key_of(&buffer[..length]) else { continue };
                let Some(&at) = wanted.get(&key) else { continue };
                ours = true;
                let (flow, sighting) = (&flows[at], &mut sightings[at]);
                match is_reply {
                    false if *name == flow.to => sighting.arrived = true,
                    true if *name == flow.to => sighting.answered = true,
                    true if *name == flow.from => sighting.received = true,
                    _ => {}
                }
            }
            host.drain();
        }
        ours
    }
}

impl Host {
    fn open(address: Ipv4Addr) -> Result<Self> {
        let raw = |protocol: i32| -> Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol.into()))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let seen = Socket::new(Domain::PACKET, Type::DGRAM, Some(ALL_FRAMES.into()))?;
        seen.set_nonblocking(true)?;
        let mut echoes = vec![];
        for port in PORTS {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            socket.set_nonblocking(true)?;
            echoes.push(socket);
        }
        Ok(Self { address, seen, icmp: raw(1)?, tcp: raw(6)?, udp: raw(17)?, echoes })
    }

    fn send(&self, protocol: Protocol, target: Ipv4Addr, port: u16, ident: u16) -> Result<bool> {
        let (from, to) = (self.address.octets(), target.octets());
        let payload = *b"pingtong-lab";
        let (socket, bytes) = match protocol {
            Protocol::Icmp => {
                let kind = Icmpv4Type::EchoRequest(IcmpEchoHeader { id: ident, seq: 1 });
                let mut bytes = Icmpv4Header::with_checksum(kind, &payload).to_bytes().to_vec();
                bytes.extend(payload);
                (&self.icmp, bytes)
            }
            Protocol::Tcp => {
                let mut header = TcpHeader::new(ident, port, 1, 8192);
                header.syn = true;
                header.checksum = header.calc_checksum_ipv4_raw(from, to, &[])?;
                (&self.tcp, header.to_bytes().to_vec())
            }
            Protocol::Udp => {
                let mut header = UdpHeader::without_ipv4_checksum(ident, port, payload.len())?;
                header.checksum = header.calc_checksum_ipv4_raw(from, to, &payload)?;
                let mut bytes = header.to_bytes().to_vec();
                bytes.extend(payload);
                (&self.udp, bytes)
            }
        };
        Ok(socket.send_to(&bytes, &SocketAddrV4::new(target, 0).into()).is_ok())
    }

    /// Sends back what arrived at the UDP ports.
    fn echo(&self) {
        let mut buffer = [0_u8; 256];
        for socket in &self.echoes {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
    }

    /// Empties the raw sockets, which also receive; what they hold is not used.
    fn drain(&self) {
        let mut buffer = [0_u8; 256];
        for socket in [&self.icmp, &self.tcp, &self.udp] {
            while { socket }.read(&mut buffer).is_ok() {}
        }
    }
}

fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Icmp => 1,
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

/// The key of the request that a packet is or answers, and whether it is the reply.
fn key_of(packet: &[u8]) -> Option<(Key, bool)> {
    let (ip, rest) = Ipv4Header::from_slice(packet).ok()?;
    let (from, to) = (Ipv4Addr::from(ip.source), Ipv4Addr::from(ip.destination));
    let ported = |source: u16, destination: u16| {
        let reply = PORTS.contains(&source) && destination >= FIRST_PORT;
        if reply { ((ip.protocol.0, to, from, destination), true) } else { ((ip.protocol.0, from, to, source), false) }
    };
    match ip.protocol {
        IpNumber::ICMP => match Icmpv4Header::from_slice(rest).ok()?.0.icmp_type {
            Icmpv4Type::EchoRequest(echo) => Some(((1, from, to, echo.id), false)),
            Icmpv4Type::EchoReply(echo) => Some(((1, to, from, echo.id), true)),
            _ => None,
        },
        IpNumber::TCP => {
            let (header, _) = TcpHeader::from_slice(rest).ok()?;
            Some(ported(header.source_port, header.destination_port))
        }
        IpNumber::UDP => {
            let (header, _) = UdpHeader::from_slice(rest).ok()?;
            Some(ported(header.source_port, header.destination_port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_sighting_decides() {
        let seen = |sent, arrived, answered, received| Sighting { sent, arrived, answered, received }.cut();
        assert_eq!(seen(false, false, false, false), Cut::S0);
        assert_eq!(seen(true, false, false, false), Cut::S1);
        assert_eq!(seen(true, true, false, false), Cut::S2);
        assert_eq!(seen(true, true, true, false), Cut::S5);
        assert_eq!(seen(true, true, true, true), Cut::None);
    }

    #[test]
    fn a_reply_has_the_key_of_its_request() {
        let ends = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let packet = |from, to, udp: UdpHeader| {
            let mut bytes = Ipv4Header::new(8, 64, IpNumber::UDP, from, to).unwrap().to_bytes().to_vec();
            bytes.extend(udp.to_bytes());
            bytes
        };
        let request = packet(ends.0, ends.1, UdpHeader::without_ipv4_checksum(20_007, 443, 0).unwrap());
        let reply = packet(ends.1, ends.0, UdpHeader::without_ipv4_checksum(443, 20_007, 0).unwrap());
        let (key, is_reply) = key_of(&request).unwrap();
        assert!(!is_reply);
        assert_eq!(key_of(&reply), Some((key, true)));
        assert_eq!(key_of(&[]), None);
    }
}

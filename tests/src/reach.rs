//! Checks with real packets whether expectations hold: packets between the instances through the kernel, without any
//! part of the product.
//!
//! ICMP is checked in both directions with single echoes, each with its own identifier, so that the state of no
//! firewall helps it. TCP is checked with a connection to the port and UDP with datagrams to it, from the expectation's
//! source; a refusal also proves the path in both directions.
#![expect(clippy::disallowed_methods, reason = "a shell of the lab: it waits for states with a deadline and measures")]

use crate::estate::Estate;
use anyhow::{Context, Result};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Ipv4Header};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt,
    io::{ErrorKind, Read},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// Echoes sent per direction of a pair.
const ECHOES: u16 = 5;
/// Replies that a direction needs. Not all, because the scenario may have made the link lossy.
const REPLIES_MIN: u16 = 2;
/// Time limit for the replies to the echoes, and for a TCP connection.
const ECHO_WITHIN: Duration = Duration::from_millis(800);

/// Time limit for the first reply to datagrams.
const DATAGRAMS_WITHIN: Duration = Duration::from_secs(5);

/// A flow that does not reach its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    from: String,
    to: String,
    what: String,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}: {}", self.from, self.to, self.what)
    }
}

/// Checks every expectation of the topology, ICMP in both directions. Returns the flows that do not reach their target.
///
/// # Errors
/// Fails if a check could not be carried out, for example because an instance has no namespace.
pub async fn check(estate: &Estate) -> Result<Vec<Unreached>> {
    let mut flows: Vec<(String, String, String, Option<u16>)> = vec![];
    for expect in &estate.topology.expects {
        let port = expect
            .ports
            .as_ref()
            .and_then(|p| pingtong_evidence::PortRange::parse_slashed(p.get_ref()))
            .map(pingtong_evidence::PortRange::first);
        let members = |set: &str| estate.topology.members(set);
        for from in members(expect.from.get_ref()) {
            for to in members(expect.to.get_ref()).into_iter().filter(|to| *to != from) {
                let protocol = expect.protocol.get_ref().clone();
                flows.push((from.clone(), to.clone(), protocol.clone(), port));
                if protocol == "icmp" {
                    flows.push((to, from.clone(), protocol, port));
                }
            }
        }
    }
    flows.sort();
    flows.dedup();
    let mut checks = vec![];
    for (from, to, protocol, port) in flows {
        let namespace = estate.namespace(&from)?;
        let address: Ipv4Addr = estate.symbols.get(&format!("{to}.ip"))?.parse()?;
        checks.push(tokio::task::spawn_blocking(move || {
            let what = namespace.run(move || match (protocol.as_str(), port) {
                ("tcp", Some(port)) => connect(address, port),
                ("udp", Some(port)) => datagrams(address, port),
                ("icmp", _) => echoes(address),
                _ => Some(format!("the lab cannot check {protocol} with packets")),
            });
            what.map(|what| Unreached { from, to, what })
        }));
    }
    let mut unreached = vec![];
    for check in checks {
        unreached.extend(check.await.context("a reachability check ended early")?);
    }
    Ok(unreached)
}

fn connect(address: Ipv4Addr, port: u16) -> Option<String> {
    let target = SocketAddr::V4(SocketAddrV4::new(address, port));
    match TcpStream::connect_timeout(&target, ECHO_WITHIN) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        Err(error) => Some(format!("tcp {port}: {error}")),
    }
}

/// Sends datagrams until one is answered or refused. A kernel sends at most one port-unreachable message per second,
/// and other probes of the port need these too.
fn datagrams(address: Ipv4Addr, port: u16) -> Option<String> {
    let each = Duration::from_millis(100);
    let open = || -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((address, port))?;
        socket.set_read_timeout(Some(each))?;
        Ok(socket)
    };
    let socket = match open() {
        Ok(socket) => socket,
        Err(error) => return Some(format!("cannot open a socket: {error}")),
    };
    let deadline = Instant::now() + DATAGRAMS_WITHIN;
    while Instant::now() < deadline {
        let answered = socket.send(b"pingtong-lab").and_then(|_| socket.recv(&mut [0; 64]));
        match answered {
            Ok(_) => return None,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return None,
            Err(_) => {}
        }
    }
    Some(format!("udp {port}: neither an answer nor a refusal"))
}

/// Sends echoes. Returns `None` if enough replies came back, otherwise the reason.
fn echoes(address: Ipv4Addr) -> Option<String> {
    let socket = match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) {
        Ok(socket) => socket,
        Err(error) => return Some(format!("cannot open a raw socket: {error}")),
    };
    let target = SocketAddrV4::new(address, 0).into();
    let base = u16::from_be_bytes([address.octets()[3], 0x51]).wrapping_mul(251);
    let mut refused = None;
    for n in 0..ECHOES {
        if let Err(error) = socket.send_to(&request(base.wrapping_add(n * 257)), &target) {
            refused = Some(format!("cannot send: {error}"));
        }
    }
    let deadline = Instant::now() + ECHO_WITHIN;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < usize::from(ECHOES) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            break;
        }
        let mut buffer = [0_u8; 256];
        let Ok(length) = (&socket).read(&mut buffer) else { continue };
        if let Some((from, identifier)) = reply(&buffer[..length]) {
            let ours = (0..ECHOES).any(|n| identifier == base.wrapping_add(n * 257));
            if from == address && ours {
                seen.insert(identifier);
            }
        }
    }
    let enough = seen.len() >= usize::from(REPLIES_MIN);
    (!enough).then(|| refused.unwrap_or_else(|| format!("{} of {ECHOES} echoes answered", seen.len())))
}

/// An ICMP echo request with this identifier.
fn request(identifier: u16) -> Vec<u8> {
    let kind = Icmpv4Type::EchoRequest(IcmpEchoHeader { id: identifier, seq: 1 });
    let payload = *b"pingtong-lab";
    let mut bytes = Icmpv4Header::with_checksum(kind, &payload).to_bytes().to_vec();
    bytes.extend(payload);
    bytes
}

/// Sender and identifier of an echo reply, from a packet with its IP header.
fn reply(packet: &[u8]) -> Option<(Ipv4Addr, u16)> {
    let (ip, rest) = Ipv4Header::from_slice(packet).ok()?;
    let (icmp, _) = Icmpv4Header::from_slice(rest).ok()?;
    match icmp.icmp_type {
        Icmpv4Type::EchoReply(echo) => Some((Ipv4Addr::from(ip.source), echo.id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_echo_reply_is_a_reply() {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1];
        packet.extend(request(7));
        assert_eq!(reply(&packet), None);
        packet[20] = 0;
        assert_eq!(reply(&packet), Some((Ipv4Addr::new(10, 0, 0, 9), 7)));
        assert_eq!(reply(&[]), None);
    }
}

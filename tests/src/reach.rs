//! Whether expectations hold for real: the kernel's own packets between the instances, nothing of the product's.
//!
//! ICMP by single echoes, each with an identifier of its own so that no firewall's state helps; TCP by a connection to
//! the port and UDP by datagrams to it, where a refusal also proves the path; both directions always.
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

/// Echoes sent for one direction of one pair.
const ECHOES: u16 = 5;
/// Replies that a direction needs: a link that the scenario made lossy may lose some.
const REPLIES_MIN: u16 = 2;
/// How long an echo may take.
const ECHO_WITHIN: Duration = Duration::from_millis(800);

/// How long the first answer to datagrams may take.
const DATAGRAMS_WITHIN: Duration = Duration::from_secs(5);

/// A direction that does not hold.
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

/// Checks every expectation of the topology, both ways; gives what does not hold.
///
/// # Errors
/// That a check could not be made at all.
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

/// Port unreachables come once a second at most, and other probes of the port want theirs too.
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

/// None when enough echoes came back.
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

//! Echoes datagrams of other agents at ports without a service, so that UDP probes between agents get a reply.
//!
//! 1. A port is opened only if the plan expects probes there *and* the agent's own settings name it (`udp_echo`): a
//!    port held here cannot be opened by a service that starts later.
//! 2. Only a probe is echoed: its tag verifies, it comes from the address that the plan expects, and it carries the
//!    mark of the agent expected there. Anything else is dropped silently, so that without the key nobody can make two
//!    hosts talk to each other or have replies sent to a forged address.
//! 3. The echo is the probe, byte for byte: nothing is amplified.
//!
//! A port that a service already uses is left to the service.

use crate::ports::sockets::Watched;
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use pingtong_evidence::{PlanArrival, Protocol};
use pingtong_probe::{AgentHash, NonceKey, PAYLOAD_BYTES_MAX, Payload};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
};
use tokio::io::unix::AsyncFd;

/// Maximum echoes sent before other work gets its turn.
const ECHOES_MAX: usize = 64;
/// Maximum events read at a time.
const EVENTS_MAX: usize = 16;
/// Maximum ports opened: each holds a descriptor and a port of the host.
const PORTS_MAX: usize = 64;

type Place = (IpAddr, u16);

/// All ports at which probes are echoed.
#[derive(Debug)]
pub struct PortEcho {
    epoll: AsyncFd<Watched>,
    allowed: Vec<u16>,
    key: NonceKey,
    expected: Vec<(PlanArrival, AgentHash)>,
    open: BTreeMap<Place, UdpSocket>,
    /// Why there is no echo at some ports although both sides want it.
    failed: BTreeMap<Place, String>,
    /// Whether the last turn stopped before the end.
    more: bool,
}

impl PortEcho {
    /// Creates it without open ports; `allowed` are the ports of the agent's settings.
    ///
    /// # Errors
    /// Fails if the kernel has no epoll descriptor left.
    pub fn new(allowed: Vec<u16>) -> io::Result<Self> {
        let (expected, open, failed) = (vec![], BTreeMap::new(), BTreeMap::new());
        Ok(Self {
            epoll: Watched::register()?,
            allowed,
            key: NonceKey::from_bytes([0; 32]),
            expected,
            open,
            failed,
            more: false,
        })
    }

    /// Applies the plan: opens the new ports that both sides want, and closes the rest.
    pub fn plan(&mut self, key: NonceKey, arrivals: &[PlanArrival]) {
        let wanted = |arrival: &&PlanArrival| arrival.protocol == Protocol::Udp && self.allowed.contains(&arrival.port);
        let expected = arrivals.iter().filter(wanted).map(|arrival| (arrival.clone(), AgentHash::of(&arrival.agent)));
        self.expected = expected.collect();
        self.key = key;
        let expected = &self.expected;
        self.open.retain(|place, _| expected.iter().any(|(arrival, _)| (arrival.to, arrival.port) == *place));
        self.retry();
    }

    /// Opens ports that are wanted and not open: an address may be added to the host later, and a service may end.
    pub fn retry(&mut self) {
        self.failed.clear();
        for (arrival, _) in &self.expected {
            let place = (arrival.to, arrival.port);
            if self.open.contains_key(&place) {
                continue;
            }
            let opened = if self.open.len() < PORTS_MAX { open(place, &self.epoll) } else { Err(too_many()) };
            match opened {
                Ok(socket) => {
                    tracing::info!(address = %place.0, port = place.1, "probes of other agents are echoed at this UDP port");
                    self.open.insert(place, socket);
                }
                // A service uses the port and answers for itself.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    self.failed.insert(place, format!("no echo at UDP {}: {error}", SocketAddr::from(place)));
                }
            }
        }
    }

    /// Why there is no echo at some of the wanted ports, as text.
    pub fn failed(&self) -> Vec<String> {
        self.failed.values().cloned().collect()
    }

    /// Waits until a datagram has arrived.
    pub async fn ready(&self) {
        if self.more {
            return;
        }
        match self.epoll.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Echoes the datagrams that have arrived.
    pub fn answer(&mut self) {
        self.more = false;
        let mut left = ECHOES_MAX;
        let mut buffer = vec![0; PAYLOAD_BYTES_MAX];
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        while left > 0 {
            let Ok(count @ 1..) = self.epoll.get_ref().0.wait(&mut events, EpollTimeout::ZERO) else { return };
            for event in events.iter().take(count) {
                let told = self.open.iter().find(|(_, socket)| token(socket) == event.data());
                let Some((place, socket)) = told else { continue };
                while left > 0
                    && let Ok((bytes, from)) = socket.recv_from(&mut buffer)
                {
                    left -= 1;
                    let Some(payload) = buffer.get(..bytes).filter(|payload| self.is_expected(*place, from, payload))
                    else {
                        continue;
                    };
                    if let Err(error) = socket.send_to(payload, from) {
                        tracing::debug!(%error, %from, "an echo could not be sent");
                    }
                }
            }
        }
        self.more = true;
    }

    fn is_expected(&self, (to, port): Place, from: SocketAddr, payload: &[u8]) -> bool {
        let Some(probe) = Payload::parse(payload, &self.key) else { return false };
        self.expected.iter().any(|(arrival, hash)| {
            (arrival.to, arrival.port, arrival.from) == (to, port, from.ip()) && *hash == probe.agent
        })
    }
}

fn token(socket: &UdpSocket) -> u64 {
    u64::from(socket.as_raw_fd().unsigned_abs())
}

fn too_many() -> io::Error {
    io::Error::other(format!("more than {PORTS_MAX} ports; name fewer in \"udp_echo\""))
}

fn open(place: Place, epoll: &AsyncFd<Watched>) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::from(place))?;
    socket.set_nonblocking(true)?;
    epoll.get_ref().0.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, token(&socket)))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::AgentId;
    use std::{net::Ipv4Addr, time::Duration};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn key() -> NonceKey {
        NonceKey::from_bytes([7; 32])
    }

    fn probe(agent: &str, key: &NonceKey) -> Vec<u8> {
        let agent = AgentHash::of(&AgentId::parse(agent).unwrap());
        Payload { agent, round: (1 << 62).into(), sequence: 3 }.encode(key, 64)
    }

    fn expected(port: u16) -> PlanArrival {
        PlanArrival { agent: AgentId::parse("A").unwrap(), from: HERE, to: HERE, protocol: Protocol::Udp, port }
    }

    fn free_port() -> u16 {
        UdpSocket::bind((HERE, 0)).unwrap().local_addr().unwrap().port()
    }

    /// Sends a datagram and returns its echo, if any; the loopback delivers before `send` returns.
    fn ask(echo: &mut PortEcho, from: &UdpSocket, port: u16, payload: &[u8]) -> Option<Vec<u8>> {
        from.send_to(payload, (HERE, port)).unwrap();
        echo.answer();
        let mut buffer = [0; 256];
        from.recv(&mut buffer).ok().map(|bytes| buffer[..bytes].to_vec())
    }

    #[tokio::test]
    async fn only_probes_of_the_agent_that_the_plan_expects_are_echoed_and_byte_for_byte() {
        let port = free_port();
        let mut echo = PortEcho::new(vec![port]).unwrap();
        echo.plan(key(), &[expected(port)]);
        let from = UdpSocket::bind((HERE, 0)).unwrap();
        from.set_nonblocking(true).unwrap();
        let good = probe("A", &key());
        assert_eq!(ask(&mut echo, &from, port, &good), Some(good.clone()));
        assert_eq!(ask(&mut echo, &from, port, &probe("B", &key())), None, "another agent's");
        assert_eq!(ask(&mut echo, &from, port, &probe("A", &NonceKey::from_bytes([8; 32]))), None, "another key's");
        assert_eq!(ask(&mut echo, &from, port, b"hello"), None);
        let elsewhere = PlanArrival { from: [127, 0, 0, 2].into(), ..expected(port) };
        echo.plan(key(), &[elsewhere]);
        assert_eq!(ask(&mut echo, &from, port, &good), None, "from another address than the plan's");
        echo.plan(key(), &[]);
        assert!(UdpSocket::bind((HERE, port)).is_ok(), "a port that the plan gives up is free again");
    }

    #[tokio::test]
    async fn a_port_is_opened_only_when_both_the_plan_and_the_settings_name_it() {
        let (port, other) = (free_port(), free_port());
        let mut echo = PortEcho::new(vec![other]).unwrap();
        echo.plan(key(), &[expected(port)]);
        assert!(UdpSocket::bind((HERE, port)).is_ok() && UdpSocket::bind((HERE, other)).is_ok());
        // An expected TCP connection opens no port for echoes.
        echo.plan(key(), &[PlanArrival { protocol: Protocol::Tcp, ..expected(other) }]);
        let service = UdpSocket::bind((HERE, other)).unwrap();
        echo.plan(key(), &[expected(other)]);
        assert_eq!(echo.failed(), Vec::<String>::new(), "a service's own port is no failure");
        drop(service);
        echo.retry();
        assert!(UdpSocket::bind((HERE, other)).is_err(), "and is taken once it is free");
        let mut echo = PortEcho::new(vec![other]).unwrap();
        echo.plan(key(), &[PlanArrival { to: [192, 0, 2, 1].into(), ..expected(other) }]);
        assert!(echo.failed()[0].contains("192.0.2.1"), "{:?}", echo.failed());
    }

    #[tokio::test]
    async fn more_than_one_turn_takes_is_told_of_again() {
        let port = free_port();
        let mut echo = PortEcho::new(vec![port]).unwrap();
        echo.plan(key(), &[expected(port)]);
        let from = UdpSocket::bind((HERE, 0)).unwrap();
        let good = probe("A", &key());
        for _ in 0..=ECHOES_MAX {
            from.send_to(&good, (HERE, port)).unwrap();
        }
        for _ in 0..2 {
            tokio::time::timeout(Duration::from_secs(5), echo.ready()).await.unwrap();
            echo.answer();
        }
        from.set_nonblocking(true).unwrap();
        let mut buffer = [0; 256];
        let mut came = 0;
        while from.recv(&mut buffer).is_ok() {
            came += 1;
        }
        assert_eq!(came, ECHOES_MAX + 1);
    }
}

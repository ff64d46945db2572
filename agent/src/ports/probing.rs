//! Joins the sockets and the state machine of TCP and UDP probes, as the run loop and `check` drive them.

use crate::{clock::Clock, ports::sockets::PortSockets};
use pingtong_evidence::{AgentId, ProbeRound};
use pingtong_probe::{NonceKey, PortInput, PortOrder, PortOutput, PortProber, PortProberSettings};
use std::{io, time::Duration};

/// Maximum sockets open for probes at a time, unless the process may have fewer.
const OPEN_MAX: usize = 256;
/// Divisor: probes may hold one in this many of the process's descriptors.
const DESCRIPTORS_SHARE: u64 = 4;
/// Maximum outputs taken before the sockets are read again.
const OUTPUTS_MAX: usize = 64;

/// The sockets and the prober.
#[derive(Debug)]
pub struct PortProbing {
    clock: Clock,
    sockets: PortSockets,
    prober: PortProber,
}

impl PortProbing {
    /// Creates it without rounds.
    ///
    /// # Errors
    /// Fails if the kernel has no epoll descriptor left.
    pub fn new(clock: Clock, agent: AgentId, key: NonceKey, rate_pps_max: u32) -> io::Result<Self> {
        let settings = PortProberSettings { agent, key, rate_pps_max, open_max: open_max(), started: clock.now() };
        Ok(Self { clock, sockets: PortSockets::new()?, prober: PortProber::new(settings) })
    }

    /// Rounds in progress.
    pub fn rounds(&self) -> usize {
        self.prober.rounds()
    }

    /// Probes that were due and not sent.
    pub fn not_sent(&self) -> u64 {
        self.prober.not_sent()
    }

    /// Begins a round now.
    pub fn start(&mut self, order: PortOrder) {
        self.prober.handle(self.clock.now(), PortInput::Start(order));
    }

    /// Sets the plan's key.
    pub fn rekey(&mut self, key: NonceKey) {
        self.prober.handle(self.clock.now(), PortInput::Rekey(key));
    }

    /// Ends every round and returns them.
    pub fn finish(&mut self) -> Vec<ProbeRound> {
        self.read();
        self.prober.handle(self.clock.now(), PortInput::Finish);
        let mut rounds = vec![];
        while self.prober.rounds() > 0 {
            let more = self.pump();
            if more.is_empty() && self.prober.next_deadline() != Some(Duration::ZERO) {
                break;
            }
            rounds.extend(more);
        }
        rounds
    }

    /// Does what is due; returns the rounds that are over.
    pub fn pump(&mut self) -> Vec<ProbeRound> {
        self.read();
        let mut rounds = vec![];
        for _ in 0..OUTPUTS_MAX {
            match self.prober.poll(self.clock.now()) {
                Some(PortOutput::Send(probe)) => {
                    let became = self.sockets.begin(probe, &self.clock);
                    self.prober.handle(self.clock.now(), became);
                }
                Some(PortOutput::GiveUp { round, sequence }) => self.sockets.give_up(round, sequence),
                Some(PortOutput::Closed(round)) => rounds.push(round),
                None => break,
            }
        }
        rounds
    }

    /// When [`PortProbing::pump`] has something to do even if nothing arrives.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.prober.next_deadline()
    }

    /// Waits until there is something to read.
    pub(crate) async fn readable(&self) {
        self.sockets.ready().await;
    }

    /// Waits until [`PortProbing::pump`] has something to do. The future may be dropped at any time.
    pub async fn wait(&self) {
        let due = async {
            match self.next_deadline() {
                Some(deadline) if deadline <= self.clock.mono() => {}
                Some(deadline) => tokio::time::sleep_until(self.clock.instant(deadline)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.sockets.ready() => {}
            () = due => {}
        }
    }

    fn read(&mut self) {
        let now = self.clock.now();
        let prober = &mut self.prober;
        // Read to the end: a result that waits in a socket must not count as lost because its timeout passes meanwhile.
        while self.sockets.drain(&self.clock, |input| prober.handle(now, input)) {}
    }
}

fn open_max() -> usize {
    let may = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let share = may.map_or(OPEN_MAX, |(soft, _)| usize::try_from(soft / DESCRIPTORS_SHARE).unwrap_or(OPEN_MAX));
    share.clamp(1, OPEN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{PairId, Protocol};
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn order(protocol: Protocol, port: u16, probes: u32, timeout_ms: u64) -> PortOrder {
        let pair = PairId::parse("p").unwrap();
        let (spacing, timeout) = (Duration::from_millis(1), Duration::from_millis(timeout_ms));
        PortOrder { pair, target: HERE, protocol, port, probes, spacing, timeout, request: None }
    }

    fn probing() -> PortProbing {
        let agent = AgentId::parse("a").unwrap();
        PortProbing::new(Clock::start(), agent, NonceKey::from_bytes([7; 32]), 10_000).unwrap()
    }

    async fn run(order: PortOrder) -> ProbeRound {
        let mut probing = probing();
        probing.start(order);
        loop {
            if let Some(round) = probing.pump().pop() {
                return round;
            }
            probing.wait().await;
        }
    }

    /// A port that was free a moment ago.
    fn free_port() -> u16 {
        TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn a_listener_answers_and_nothing_lingers() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let round = run(order(Protocol::Tcp, listener.local_addr().unwrap().port(), 20, 2_000)).await;
        let ports = round.ports.clone().unwrap();
        assert_eq!((round.sent.len(), round.replied.len(), ports.closed.len(), ports.resent.len()), (20, 20, 0, 0));
        assert!(round.rtt.unwrap().kernel_timestamps);
        let distinct: std::collections::BTreeSet<u16> = ports.source_ports.iter().copied().collect();
        assert!(distinct.len() == 20 && !distinct.contains(&0), "{:?}", ports.source_ports);
        // Reset instead of closed in an orderly way: the far end sees the connection end at once.
        let (mut stream, _) = listener.accept().unwrap();
        let ended = std::io::Read::read(&mut stream, &mut [0]);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_port_without_listener_refuses_which_is_an_answer() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let round = run(order(protocol, free_port(), 4, 2_000)).await;
            let ports = round.ports.clone().unwrap();
            assert_eq!((round.sent.len(), round.replied.len(), ports.closed.len()), (4, 4, 4), "{protocol}");
            assert_eq!((round.icmp_errors.len(), round.send_errors.len()), (0, 0), "{protocol}");
        }
    }

    #[tokio::test]
    async fn a_datagram_that_is_answered_is_answered_and_one_that_is_taken_in_silence_is_silent() {
        let echo = UdpSocket::bind((HERE, 0)).unwrap();
        let port = echo.local_addr().unwrap().port();
        let silent = run(order(Protocol::Udp, port, 3, 50)).await;
        assert_eq!((silent.sent.len(), silent.replied.len()), (3, 0));
        let answers = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 64];
            for _ in 0..6 {
                let (length, from) = echo.recv_from(&mut buffer).unwrap();
                // The datagrams of the silent round have no socket left to receive an answer.
                let _ = echo.send_to(&buffer[..length], from);
            }
        });
        let round = run(order(Protocol::Udp, port, 3, 5_000)).await;
        answers.await.unwrap();
        assert_eq!((round.replied.len(), round.ports.unwrap().closed.len()), (3, 0));
    }

    /// A listener whose queue is full drops a SYN silently; once it has room, it answers the second one.
    #[tokio::test]
    async fn a_second_syn_is_told_from_the_first() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(HERE, 0).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let at = listener.local_addr().unwrap();
        let queued = TcpStream::connect(at).unwrap();
        let silent = run(order(Protocol::Tcp, at.port(), 1, 200)).await;
        assert_eq!((silent.sent.len(), silent.replied.len(), silent.icmp_errors.len()), (1, 0, 0));
        let mut probing = probing();
        probing.start(order(Protocol::Tcp, at.port(), 1, 10_000));
        assert!(probing.pump().is_empty());
        drop(listener.accept().unwrap());
        drop(queued);
        let round = loop {
            if let Some(round) = probing.pump().pop() {
                break round;
            }
            probing.wait().await;
        };
        let ports = round.ports.clone().unwrap();
        assert_eq!((round.sent.len(), round.replied.len(), ports.resent.len()), (1, 0, 1));
    }

    #[tokio::test]
    async fn cut_short_it_ends_every_round() {
        let mut probing = probing();
        probing.start(order(Protocol::Tcp, free_port(), 1_000, 1_000));
        let mut rounds = probing.pump();
        rounds.extend(probing.finish());
        assert_eq!((rounds.len(), probing.rounds()), (1, 0));
        assert!(rounds[0].sent.len() < 1_000);
    }
}

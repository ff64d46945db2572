//! The probe engine: how probes are sent and received. Raw sockets are exact, surge-ping is portable, or there is no
//! way.
//!
//! [`Engine`] takes the best that the process is permitted to use. It passes replies, errors, arrivals and drops to the
//! prober and the ledger of `pingtong_probe`. It does not know what is probed, or what a result means.

mod batch;
mod ebpf;
mod filter;
mod pickup;
pub(crate) mod portable;
mod reading;
mod ring;
mod sending;
mod shortcoming;
mod sockets;

pub use portable::{Portable, second_opinion};
pub use sending::{Handed, Outgoing};
pub use shortcoming::{NoSockets, Shortcoming, words_of};
use sockets::PAUSE;
pub use sockets::{Event, Sockets, Stamps};

use crate::{Lang, clock::Clock};
use nix::errno::Errno;
use pingtong_evidence::{ProbeEngine, WhyUnknown};
use pingtong_probe::{
    ArrivalLedger, Input, Observers, Prober, SendProbe, Sighting, Unsent, WhyUnsent, echo_request_to,
};
use portable::{Outcome, What};
use std::{os::fd::OwnedFd, task::Poll, time::Duration};
use tokio::{io::Interest, net::UdpSocket};

/// Packets read from one socket before the prober gets its turn. Together with the pause between two reads of a stream,
/// this bounds the work that a flood can cause: the kernel drops the rest, and the drops are reported.
const DRAIN_MAX: usize = 512;
/// Minimum window, in packets, for batched, low-priority reads; with less room they would overflow the receive queue.
const LEISURE_WINDOW_MIN: usize = 2_048;
/// Maximum number of reads at the end.
const LAST_DRAINS_MAX: usize = 64;

/// The next step for a host without raw sockets.
pub const CAPABILITY_ADVICE: &str = "setcap cap_net_raw,cap_net_admin+ep /usr/bin/pingtong-agent";

/// The engine in use.
#[derive(Debug)]
pub enum Engine {
    /// Raw sockets.
    Raw(Box<RawEngine>),
    /// surge-ping.
    Portable(Box<Portable>),
    /// Neither is permitted.
    None(NoSockets),
}

/// The raw sockets inside a Tokio runtime.
#[derive(Debug)]
pub struct RawEngine {
    /// The sockets that Tokio watches. Empty during batched, low-priority reads: watching would wake the process for
    /// each packet.
    watched: Vec<UdpSocket>,
    sockets: Sockets,
    more: bool,
    /// When the sockets were last read.
    read_at: Duration,
    /// Whether the receive queue has room for the packets that arrive between two batched reads.
    roomy: bool,
}

impl Engine {
    /// Uses the sockets that were opened while the process had the capability, or falls back to surge-ping.
    pub fn start(sockets: Result<Sockets, Errno>) -> Self {
        let refused = match sockets {
            Ok(sockets) => match RawEngine::new(sockets) {
                Ok(raw) => return Self::Raw(Box::new(raw)),
                Err(error) => errno_of(&error),
            },
            Err(errno) => errno,
        };
        match Portable::open() {
            Ok(portable) => Self::Portable(Box::new(portable)),
            Err(error) => Self::None(NoSockets::new(refused, &error)),
        }
    }

    /// The engine's name in reports.
    pub fn kind(&self) -> ProbeEngine {
        match self {
            Self::Raw(_) => ProbeEngine::Raw,
            Self::Portable(_) => ProbeEngine::Portable,
            Self::None(_) => ProbeEngine::None,
        }
    }

    /// How exact its times are; `None` if it does not use the kernel's sockets directly.
    pub fn stamps(&self) -> Option<Stamps> {
        match self {
            Self::Raw(raw) => Some(raw.sockets.stamps()),
            Self::Portable(_) | Self::None(_) => None,
        }
    }

    /// Where it is less than exact; empty if it is exact.
    pub fn shortcomings(&self) -> Vec<Shortcoming> {
        match self {
            Self::Raw(raw) => {
                let unseen = raw.sockets.tap.as_ref().err().copied().map(Shortcoming::NoPacketSocket);
                unseen.into_iter().chain(Shortcoming::of_stamps(raw.sockets.stamps())).collect()
            }
            Self::Portable(portable) => vec![Shortcoming::Portable(portable.socket_type())],
            Self::None(why) => vec![Shortcoming::NoSockets(why.clone())],
        }
    }

    /// The shortcomings in one text; `None` if there is none.
    pub fn degraded(&self, lang: Lang) -> Option<String> {
        words_of(&self.shortcomings(), lang)
    }

    /// Whether ICMPv6 can be probed.
    ///
    /// # Errors
    /// The refusal, if it cannot.
    pub fn ipv6(&self) -> Result<(), Errno> {
        match self {
            Self::Raw(raw) => raw.sockets.ipv6(),
            Self::Portable(portable) => portable.ipv6(),
            Self::None(why) => Err(why.raw),
        }
    }

    /// Which sockets observe arrivals.
    pub fn observers(&self) -> Observers {
        let refused =
            |what: &str| WhyUnknown::NotPermitted { what: what.to_owned(), closes_with: CAPABILITY_ADVICE.to_owned() };
        match self {
            Self::Raw(raw) => Observers {
                wire: raw.sockets.tap.as_ref().map(|_| ()).map_err(|_| refused("a packet socket")),
                raw: Ok(()),
            },
            Self::Portable(_) | Self::None(_) => {
                Observers { wire: Err(refused("a packet socket")), raw: Err(refused("a raw ICMP socket")) }
            }
        }
    }

    /// Maximum probes in flight.
    pub fn window(&self) -> usize {
        match self {
            Self::Raw(raw) => raw.sockets.window(),
            Self::Portable(_) => portable::WINDOW,
            Self::None(_) => 1,
        }
    }

    /// Sends probes, and reports the outcome of each by its index in `probes`.
    pub fn send(&mut self, probes: &[SendProbe], became: &mut impl FnMut(usize, Handed)) {
        match self {
            Self::Raw(raw) => raw.send(probes, became),
            Self::Portable(portable) => {
                for (index, probe) in probes.iter().enumerate() {
                    became(index, portable.send(probe.clone()));
                }
            }
            Self::None(_) => (0..probes.len()).for_each(|index| became(index, Handed::NoRoom)),
        }
    }

    /// When to read the sockets next, `every` after the last read at the latest, for a caller that polls instead of
    /// waiting. `None` if the engine cannot be polled.
    pub fn next_look(&self, every: Duration) -> Option<Duration> {
        match self {
            Self::Raw(raw) if raw.may_tarry() => Some(raw.next_look(every)),
            Self::Raw(_) | Self::Portable(_) | Self::None(_) => None,
        }
    }

    /// Waits until there is something to read. With `leisure`, waits forever if [`Engine::next_look`] returns a time.
    pub async fn ready(&mut self, leisure: bool, clock: &Clock, prober: &mut Prober) {
        match self {
            Self::Raw(raw) if leisure && raw.may_tarry() => {
                raw.watched.clear();
                std::future::pending::<()>().await;
            }
            Self::Raw(raw) => raw.ready().await,
            Self::Portable(portable) => match portable.next().await {
                Some(outcome) => take_outcome(clock, prober, &outcome),
                None => std::future::pending().await,
            },
            Self::None(_) => std::future::pending().await,
        }
    }

    /// Reads everything that is queued, at the end of a run.
    pub fn drain_last(&mut self, clock: &Clock, prober: &mut Prober, ledger: &mut ArrivalLedger) {
        for _ in 0..LAST_DRAINS_MAX {
            self.drain(clock, prober, ledger);
            if !matches!(self, Self::Raw(raw) if raw.more) {
                break;
            }
        }
    }

    /// Reads what is queued, and passes it to the prober and the ledger.
    pub fn drain(&mut self, clock: &Clock, prober: &mut Prober, ledger: &mut ArrivalLedger) {
        match self {
            Self::Raw(raw) => {
                let now = clock.now();
                raw.read_at = now.mono;
                raw.more = raw.sockets.drain(clock, DRAIN_MAX, |event| match event {
                    Event::Icmp { packet, at, stamped } => {
                        prober.handle(now, Input::Heard { packet, at, stamped });
                        ledger.handle(now, Sighting::Raw { packet });
                    }
                    Event::Wire { packet, interface, outgoing, at } => {
                        prober.handle(now, Input::OnWire { packet, outgoing, at });
                        ledger.handle(now, Sighting::Wire { packet, interface, outgoing });
                    }
                    Event::Drops(drops) => {
                        prober.handle(now, Input::OwnDrops(drops));
                        ledger.handle(now, Sighting::OwnDrops(drops));
                    }
                });
            }
            Self::Portable(portable) => {
                while let Some(outcome) = portable.try_next() {
                    take_outcome(clock, prober, &outcome);
                }
            }
            Self::None(_) => {}
        }
    }
}

impl RawEngine {
    fn new(sockets: Sockets) -> std::io::Result<Self> {
        let roomy = sockets.window() >= LEISURE_WINDOW_MIN;
        let mut raw = Self { watched: vec![], sockets, more: false, read_at: Duration::ZERO, roomy };
        raw.watch()?;
        Ok(raw)
    }

    fn watch(&mut self) -> std::io::Result<()> {
        // Tokio watches any socket that is passed as a UDP socket; `Sockets` still reads it.
        let watch = |fd: &OwnedFd| UdpSocket::from_std(std::net::UdpSocket::from(fd.try_clone()?));
        self.watched = self.sockets.readable().into_iter().map(watch).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Whether packets may stay unread for a while: the kernel must stamp their arrival and have room for them.
    fn may_tarry(&self) -> bool {
        self.roomy && self.sockets.stamps() != Stamps::None
    }

    fn next_look(&self, every: Duration) -> Duration {
        self.read_at + if self.sockets.crowded || self.more { PAUSE } else { every }
    }

    fn send(&mut self, probes: &[SendProbe], became: &mut impl FnMut(usize, Handed)) {
        let packet_of =
            |probe: &SendProbe| echo_request_to(probe.target, probe.identifier, probe.wire_sequence, &probe.payload);
        let packets: Vec<_> = probes.iter().map(packet_of).collect();
        let outgoing = |(probe, packet): (&SendProbe, _)| Outgoing {
            to: probe.target,
            packet,
            dont_fragment: probe.dont_fragment,
            hop_limit: None,
        };
        let outgoing: Vec<_> = probes.iter().zip(packets.iter().map(Vec::as_slice)).map(outgoing).collect();
        self.sockets.send_batch(&outgoing, became);
    }

    async fn ready(&mut self) {
        if self.sockets.busy || self.more {
            // Waking up for each packet of a stream would cost more than reading.
            return tokio::time::sleep(PAUSE).await;
        }
        if self.watched.is_empty() && self.watch().is_err() {
            // There is no descriptor left to watch with.
            return tokio::time::sleep(PAUSE).await;
        }
        // The following drain reads all sockets to their end, or notes that it did not.
        std::future::poll_fn(|context| {
            let mut ready = false;
            for socket in &self.watched {
                while socket.poll_recv_ready(context).is_ready() {
                    ready = true;
                    forget_readiness(socket);
                }
            }
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// The number of a refusal; unknown if it did not come from the kernel.
fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// Clears the readiness, so that the next wait is for packets that arrive after the following drain.
fn forget_readiness(socket: &UdpSocket) {
    drop(socket.try_io(Interest::READABLE, || Err::<(), _>(std::io::ErrorKind::WouldBlock.into())));
}

fn take_outcome(clock: &Clock, prober: &mut Prober, outcome: &Outcome) {
    let (round, sequence) = (outcome.round, outcome.sequence);
    let input = match outcome.what {
        What::Answered(rtt) => Input::Vouched { round, sequence, rtt },
        What::Error { from, icmp_type, code } => Input::VouchedError { round, from, icmp_type, code },
        What::Refused(errno) => Input::Unsent(Unsent { round, sequence, why: WhyUnsent::Refused(errno) }),
        What::Silent => return,
    };
    prober.handle(clock.now(), input);
}

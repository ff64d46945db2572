//! How probes leave and come back: exactly through raw sockets, portably through surge-ping, or not at all.

mod batch;
mod departures;
mod filter;
mod portable;
mod reading;
mod sending;
mod sockets;

pub use portable::{Portable, second_opinion};
pub use sending::{Handed, Outgoing};
pub use sockets::{Event, Sockets, Stamps};

use crate::clock::Clock;
use nix::errno::Errno;
use pingtong_evidence::{ProbeEngine, WhyUnknown};
use pingtong_probe::{ArrivalLedger, Input, Observers, Prober, SendProbe, Sighting, echo_request};
use portable::{Outcome, What};
use std::os::fd::OwnedFd;
use tokio::{io::Interest, net::UdpSocket};

/// Packets read from one socket before the prober gets its turn.
const DRAIN_MAX: usize = 256;

/// The next step for a host without raw sockets.
pub const CAPABILITY_ADVICE: &str = "setcap cap_net_raw,cap_net_admin+ep /usr/bin/pingtong-agent";

/// An engine at work.
#[derive(Debug)]
pub enum Engine {
    /// Raw sockets.
    Raw(Box<RawEngine>),
    /// surge-ping.
    Portable(Box<Portable>),
    /// Neither is permitted; the words say why.
    None(String),
}

/// Raw sockets under a run time.
#[derive(Debug)]
pub struct RawEngine {
    icmp: UdpSocket,
    tap: Option<UdpSocket>,
    sockets: Sockets,
    more: bool,
}

impl Engine {
    /// Takes the sockets that were opened while the capability was there, or falls back.
    pub fn start(sockets: Result<Sockets, Errno>) -> Self {
        let refused = match sockets {
            Ok(sockets) => match RawEngine::new(sockets) {
                Ok(raw) => return Self::Raw(Box::new(raw)),
                Err(error) => error.to_string(),
            },
            Err(errno) => errno.desc().to_owned(),
        };
        match Portable::open() {
            Ok(portable) => Self::Portable(Box::new(portable)),
            Err(error) => Self::None(format!(
                "raw socket: {refused}; datagram socket: {}; allow one with \"{CAPABILITY_ADVICE}\" or \"sysctl -w net.ipv4.ping_group_range='0 2147483647'\"",
                first_sentence(&error.to_string()),
            )),
        }
    }

    /// What it is, as reports call it.
    pub fn kind(&self) -> ProbeEngine {
        match self {
            Self::Raw(_) => ProbeEngine::Raw,
            Self::Portable(_) => ProbeEngine::Portable,
            Self::None(_) => ProbeEngine::None,
        }
    }

    /// What its times are worth; none where the kernel's sockets are not ours.
    pub fn stamps(&self) -> Option<Stamps> {
        match self {
            Self::Raw(raw) => Some(raw.sockets.stamps()),
            Self::Portable(_) | Self::None(_) => None,
        }
    }

    /// Why it is less than exact, in words with the next step; none when it is exact.
    pub fn degraded(&self) -> Option<String> {
        match self {
            Self::Raw(raw) => raw.sockets.tap.as_ref().err().map(|errno| {
                format!("no packet socket ({}): arrivals that the guest refuses stay unseen; allow it with \"{CAPABILITY_ADVICE}\"", errno.desc())
            }),
            Self::Portable(portable) => Some(format!(
                "raw sockets are not permitted, probing through surge-ping on a {} socket: no arrivals, no ICMP errors, times to about 1 ms; allow them with \"{CAPABILITY_ADVICE}\"",
                portable.socket_type()
            )),
            Self::None(why) => Some(format!("no probes: {why}")),
        }
    }

    /// Which sockets see arrivals.
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

    /// Probes that may be on their way at a time.
    pub fn window(&self) -> usize {
        match self {
            Self::Raw(raw) => raw.sockets.window(),
            Self::Portable(_) => portable::WINDOW,
            Self::None(_) => 1,
        }
    }

    /// Hands one probe over.
    pub fn send(&mut self, probe: SendProbe) -> Handed {
        match self {
            Self::Raw(raw) => raw.send(&probe),
            Self::Portable(portable) => portable.send(probe),
            Self::None(_) => Handed::NoRoom,
        }
    }

    /// Waits until there is something to read.
    pub async fn ready(&mut self, clock: &Clock, prober: &mut Prober) {
        match self {
            Self::Raw(raw) => raw.ready().await,
            Self::Portable(portable) => match portable.next().await {
                Some(outcome) => take_outcome(clock, prober, &outcome),
                None => std::future::pending().await,
            },
            Self::None(_) => std::future::pending().await,
        }
    }

    /// Reads what is there into the machines.
    pub fn drain(&mut self, clock: &Clock, prober: &mut Prober, ledger: &mut ArrivalLedger) {
        match self {
            Self::Raw(raw) => {
                raw.more = raw.sockets.drain(clock, DRAIN_MAX, |event| {
                    let now = clock.now();
                    match event {
                        Event::Left { .. } => {}
                        Event::Icmp { packet, at, stamped } => {
                            prober.handle(now, Input::Heard { packet, at, stamped });
                            ledger.handle(now, Sighting::Raw { packet });
                        }
                        Event::Wire { packet, interface, outgoing } => {
                            if !outgoing {
                                prober.handle(now, Input::OnWire { packet });
                            }
                            ledger.handle(now, Sighting::Wire { packet, interface, outgoing });
                        }
                        Event::Drops(drops) => {
                            prober.handle(now, Input::OwnDrops(drops));
                            ledger.handle(now, Sighting::OwnDrops(drops));
                        }
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
    fn new(mut sockets: Sockets) -> std::io::Result<Self> {
        sockets.stamp_departures(false);
        // The run time watches any socket that it is given as a datagram socket; reading stays with `Sockets`.
        let watch = |fd: &OwnedFd| UdpSocket::from_std(std::net::UdpSocket::from(fd.try_clone()?));
        let icmp = watch(&sockets.icmp.fd)?;
        let tap = sockets.tap.as_ref().ok().map(|tap| watch(&tap.fd)).transpose()?;
        Ok(Self { icmp, tap, sockets, more: false })
    }

    fn send(&mut self, probe: &SendProbe) -> Handed {
        let packet = echo_request(probe.identifier, probe.wire_sequence, &probe.payload);
        let probe = Outgoing {
            to: probe.target.into(),
            packet: &packet,
            dont_fragment: probe.dont_fragment,
            hop_limit: None,
            token: 0,
        };
        let mut handed = Handed::NoRoom;
        self.sockets.send_batch(&[probe], &mut |_, became| handed = became);
        handed
    }

    async fn ready(&mut self) {
        if self.more {
            return;
        }
        // The drain that follows reads both sockets to their end, or notes that it did not.
        let icmp = async {
            if self.icmp.readable().await.is_ok() {
                forget_readiness(&self.icmp);
            }
        };
        let tap = async {
            match &self.tap {
                Some(tap) => {
                    if tap.readable().await.is_ok() {
                        forget_readiness(tap);
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = icmp => {}
            () = tap => {}
        }
    }
}

/// So that the next wait is for packets that come after the drain which follows.
fn forget_readiness(socket: &UdpSocket) {
    drop(socket.try_io(Interest::READABLE, || Err::<(), _>(std::io::ErrorKind::WouldBlock.into())));
}

fn take_outcome(clock: &Clock, prober: &mut Prober, outcome: &Outcome) {
    let (round, sequence) = (outcome.round, outcome.sequence);
    let input = match outcome.what {
        What::Answered(rtt) => Input::Vouched { round, sequence, rtt },
        What::Error { from, icmp_type, code } => Input::VouchedError { round, from, icmp_type, code },
        What::Refused(errno) => Input::Refused { round, sequence, errno },
        What::Silent => return,
    };
    prober.handle(clock.now(), input);
}

/// surge-ping adds advice of its own to the kernel's word; ours follows.
fn first_sentence(text: &str) -> &str {
    text.split(['.', '\n']).next().unwrap_or_default()
}

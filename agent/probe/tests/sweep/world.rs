//! A sweep, its virtual clock, and the packets that it sent.

use pingtong_probe::{AgentHash, EchoKind, Handover, Heard, NonceKey, Sweep, SweepProbe, SweepSettings, parse_ipv4};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

pub(crate) fn address(target: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + u32::try_from(target).unwrap())
}

/// Settings for this many targets, `count` probes each, one every 100 ms, with a time-out of one second.
pub(crate) fn order(targets: usize, count: u64) -> SweepSettings {
    SweepSettings {
        targets: (0..targets).map(|target| IpAddr::V4(address(target))).collect(),
        count: Some(count),
        period: ms(100),
        rate_pps: 1_000_000,
        timeout: ms(1_000),
        window: 20_000,
        payload_bytes: 56,
        agent: AgentHash(77),
        identifier: 0x4242,
        run: 9,
        seed: 1,
        key: NonceKey::from_bytes([5; 32]),
        stamps_departures: false,
        keeps_fates: false,
    }
}

/// A probe as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) to: Ipv4Addr,
    pub(crate) at: Duration,
    pub(crate) icmp: Vec<u8>,
}

impl Sent {
    pub(crate) fn identifier(&self) -> u16 {
        u16::from_be_bytes([self.icmp[4], self.icmp[5]])
    }

    pub(crate) fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.icmp[6], self.icmp[7]])
    }
}

pub(crate) struct World {
    pub(crate) sweep: Sweep,
    pub(crate) now: Duration,
    buffer: Vec<u8>,
}

impl World {
    pub(crate) fn new(order: SweepSettings) -> Self {
        let sweep = Sweep::new(order);
        let buffer = vec![0; sweep.packet_bytes()];
        Self { sweep, now: ms(5_000), buffer }
    }

    /// Returns the next probe if one is due; the kernel's decision on it is not reported yet.
    pub(crate) fn poll(&mut self) -> Option<Sent> {
        let SweepProbe { number, to } = self.sweep.poll(self.now, &mut self.buffer, true)?;
        let IpAddr::V4(to) = to else { panic!("{to}") };
        Some(Sent { number, to, at: self.now, icmp: self.buffer.clone() })
    }

    /// Sends all probes that are due; the kernel accepts them.
    pub(crate) fn send(&mut self) -> Vec<Sent> {
        let mut sent = vec![];
        while let Some(probe) = self.poll() {
            self.sweep.handed(self.now, probe.number, Handover::Taken);
            sent.push(probe);
        }
        sent
    }

    /// Delivers the genuine answer to a probe.
    pub(crate) fn answer(&mut self, probe: &Sent, at: Duration) {
        self.reply(probe.to, probe.identifier(), &probe.icmp[8..], at);
    }

    /// Reports that the probe was seen leaving an interface.
    pub(crate) fn leave(&mut self, probe: &Sent, at: Duration) {
        let packet = Heard::Echo {
            kind: EchoKind::Request,
            from: Ipv4Addr::new(10, 255, 0, 1).into(),
            to: probe.to.into(),
            identifier: probe.identifier(),
            sequence: probe.sequence(),
            payload: &probe.icmp[8..],
        };
        self.sweep.seen_leaving(at, &packet);
    }

    pub(crate) fn come(&mut self, probe: &Sent, at: Duration) {
        let packet = Heard::Echo {
            kind: EchoKind::Reply,
            from: probe.to.into(),
            to: Ipv4Addr::new(10, 255, 0, 1).into(),
            identifier: probe.identifier(),
            sequence: probe.sequence(),
            payload: &probe.icmp[8..],
        };
        self.sweep.seen_coming(at, &packet);
    }

    pub(crate) fn reply(&mut self, from: Ipv4Addr, identifier: u16, payload: &[u8], at: Duration) {
        let packet = Heard::Echo {
            kind: EchoKind::Reply,
            from: from.into(),
            to: Ipv4Addr::new(10, 255, 0, 1).into(),
            identifier,
            sequence: 0,
            payload,
        };
        self.sweep.heard(at, &packet);
    }

    /// Delivers an ICMP error that quotes a probe.
    pub(crate) fn error(&mut self, probe: &Sent, from: Ipv4Addr, icmp_type: u8, code: u8) {
        // Some senders quote only what they must, others the whole packet.
        let quoted: &[u8] = if probe.number.is_multiple_of(2) { &[] } else { &probe.icmp[8..] };
        self.error_quoting(probe, quoted, from, icmp_type, code);
    }

    pub(crate) fn error_quoting(&mut self, probe: &Sent, quoted: &[u8], from: Ipv4Addr, icmp_type: u8, code: u8) {
        let packet = Heard::Error {
            from: from.into(),
            icmp_type,
            code,
            quoted_to: probe.to.into(),
            identifier: probe.identifier(),
            sequence: probe.sequence(),
            quoted_payload: quoted,
        };
        self.sweep.heard(self.now, &packet);
    }

    /// Goes from deadline to deadline until everything is decided; `respond` returns the delays after which answers to
    /// a probe arrive.
    pub(crate) fn run(&mut self, mut respond: impl FnMut(&Sent) -> Vec<Duration>) {
        let mut coming: Vec<(Duration, Sent)> = vec![];
        for _ in 0..2_000_000 {
            for probe in self.send() {
                for delay in respond(&probe) {
                    coming.push((probe.at + delay, probe.clone()));
                }
            }
            let now = self.now;
            let arrived: Vec<(Duration, Sent)> = coming.extract_if(.., |(at, _)| *at <= now).collect();
            for (at, probe) in arrived {
                self.answer(&probe, at);
            }
            self.sweep.drained(now);
            if self.sweep.is_done() && coming.is_empty() {
                return;
            }
            let next = self.sweep.next_deadline(now).into_iter().chain(coming.iter().map(|(at, _)| *at)).min();
            self.now = next.unwrap_or(now).max(now + Duration::from_nanos(1));
        }
        panic!("the sweep does not end");
    }

    /// Lets the time-outs of all probes in flight pass, and reads everything.
    pub(crate) fn wait(&mut self) {
        self.now += ms(1_100);
        self.sweep.drained(self.now);
    }
}

/// Whether the receiver parses a probe's packet as an echo request.
pub(crate) fn as_received(icmp: &[u8]) -> bool {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet[2..4].copy_from_slice(&u16::try_from(20 + icmp.len()).unwrap().to_be_bytes());
    packet.extend(icmp);
    matches!(parse_ipv4(&packet), Some(Heard::Echo { kind: EchoKind::Request, .. }))
}

//! The loop over raw sockets: send what is due, read what came, give up what is overdue, wait.
//!
//! One thread does all. Where the kernel stamps what comes, it is not woken by packets while it has probes to send soon:
//! it sleeps to the next tick and reads then, since a wake-up costs more than a probe.

#![expect(clippy::disallowed_methods, reason = "sleeping to the next tick is what pacing is")]

use super::session::Session;
use crate::engine::{Event, Handed, Outgoing, Sockets, Stamps};
use pingtong_probe::{Handover, SweepProbe, TICK};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// Probes handed over before the sockets are read again.
const BATCH: usize = 64;
/// Packets read before probes get their turn.
const DRAIN_MAX: usize = 1_024;
/// Longest wait; a signal is noticed after it.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Waits up to this are slept through.
const NAP_MAX: Duration = Duration::from_millis(2);
/// Answers still to come beyond which they are read in ticks and not one by one.
const MANY: u64 = 64;

/// Runs to the end.
///
/// # Errors
/// When waiting for packets or writing samples fails.
pub(super) fn run(session: &mut Session, sockets: &mut Sockets, ttl: Option<u8>) -> io::Result<()> {
    let mut batch = Batch::new(session.sweep.packet_bytes(), ttl);
    loop {
        session.tend(session.clock.mono())?;
        if !session.interrupted {
            batch.send(session, sockets);
        }
        let since = session.clock.mono();
        if read(session, sockets) {
            continue;
        }
        session.sweep.drained(since);
        if session.is_over() {
            session.sweep.stop();
            return Ok(());
        }
        wait(session, sockets)?;
    }
}

/// Packets that are written again and again.
struct Batch {
    packets: Vec<Box<[u8]>>,
    probes: [SweepProbe; BATCH],
    written: usize,
    ttl: Option<u8>,
}

impl Batch {
    fn new(packet_bytes: usize, ttl: Option<u8>) -> Self {
        let nobody = SweepProbe { number: 0, to: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let packets = (0..BATCH).map(|_| vec![0; packet_bytes].into_boxed_slice()).collect();
        Self { packets, probes: [nobody; BATCH], written: 0, ttl }
    }

    fn send(&mut self, session: &mut Session, sockets: &mut Sockets) {
        let now = session.clock.mono();
        let mut count = 0;
        while count < BATCH {
            let fresh = count >= self.written;
            let Some(probe) = session.sweep.poll(now, &mut self.packets[count], fresh) else { break };
            self.probes[count] = probe;
            count += 1;
        }
        self.written = self.written.max(count);
        if count == 0 {
            return;
        }
        let (packets, probes, hop_limit) = (&self.packets, &self.probes, self.ttl);
        let outgoing: [Outgoing<'_>; BATCH] = std::array::from_fn(|at| Outgoing {
            to: probes[at].to,
            packet: &packets[at],
            dont_fragment: false,
            hop_limit,
            token: probes[at].number,
        });
        let mut taken = false;
        sockets.send_batch(&outgoing[..count], &mut |at, handed| {
            let what = match handed {
                Handed::Taken => Handover::Taken,
                Handed::Refused(errno) => Handover::Refused(errno),
                Handed::NoRoom => Handover::NoRoom,
            };
            taken |= what == Handover::Taken;
            session.sweep.handed(now, probes[at].number, what);
        });
        if taken {
            session.first_sent.get_or_insert(now);
            session.last_sent = Some(session.clock.mono());
        }
    }
}

/// True when there is more.
fn read(session: &mut Session, sockets: &mut Sockets) -> bool {
    let Session { clock, sweep, observer, .. } = session;
    sockets.drain(clock, DRAIN_MAX, |event| match event {
        Event::Left { token, at } => sweep.left(token, at),
        Event::Icmp { packet, at, .. } => {
            sweep.heard(at, &packet);
            if let Some(observer) = observer {
                observer.accepted(&packet);
            }
        }
        Event::Wire { packet, outgoing, .. } => {
            if let Some(observer) = observer {
                observer.on_wire(&packet, outgoing);
            }
        }
        Event::Drops(packets) => {
            sweep.own_drops(packets);
            if let Some(observer) = observer {
                observer.own_drops += packets;
            }
        }
    })
}

fn wait(session: &mut Session, sockets: &Sockets) -> io::Result<()> {
    let now = session.clock.mono();
    let deadline = session.sweep.next_deadline(now);
    let until = deadline.map_or(WAIT_MAX, |deadline| deadline.saturating_sub(now)).min(WAIT_MAX);
    if until.is_zero() {
        return Ok(());
    }
    let stamped = sockets.stamps() != Stamps::None;
    let in_ticks = session.sweep.is_flat_out() && session.sweep.total().open > MANY;
    if stamped && (until <= NAP_MAX || in_ticks) {
        std::thread::sleep(if in_ticks { until.min(TICK) } else { until });
        return Ok(());
    }
    sockets.ready_within(until)
}

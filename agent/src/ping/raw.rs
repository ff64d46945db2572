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
/// Probes of a small batch.
const FEW: usize = 8;
/// Packets read before probes get their turn.
const DRAIN_MAX: usize = 1_024;
/// Longest wait; a signal is noticed after it.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Waits up to this are slept through.
const NAP_MAX: Duration = Duration::from_millis(3);
/// Between naps answers are read so often, or once so many probes left: a stamped answer can wait, and each reading costs
/// several calls.
const READ_PERIOD: Duration = Duration::from_millis(16);
const READ_AFTER: usize = 192;
/// The same where each probe is seen leaving and coming, so that what is to be read stays in the cache.
const READ_AFTER_STAMPED: usize = 64;
/// Answers still to come beyond which they are read in ticks and not one by one.
const MANY: u64 = 64;

/// Runs to the end.
///
/// # Errors
/// When waiting for packets or writing samples fails.
pub(super) fn run(session: &mut Session, sockets: &mut Sockets, ttl: Option<u8>) -> io::Result<()> {
    let mut batch = Batch::new(session.sweep.packet_bytes(), ttl);
    let (mut read_at, mut unread) = (Duration::ZERO, 0);
    let read_after = if sockets.stamps() == Stamps::TxAndRx { READ_AFTER_STAMPED } else { READ_AFTER };
    loop {
        if !session.interrupted {
            unread += batch.send(session, sockets);
        }
        let now = session.clock.mono();
        if now >= read_at || unread >= read_after || nap(session, sockets, now).is_none() {
            session.tend(now)?;
            let since = session.clock.mono();
            (read_at, unread) = (since + READ_PERIOD, 0);
            if read(session, sockets) {
                continue;
            }
            session.sweep.drained(since);
            if session.is_over() {
                session.sweep.stop();
                return Ok(());
            }
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

    /// Hands over what is due and says how much that was.
    fn send(&mut self, session: &mut Session, sockets: &mut Sockets) -> usize {
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
            return 0;
        }
        let taken = if count <= FEW {
            self.hand_over::<FEW>(count, now, session, sockets)
        } else {
            self.hand_over::<BATCH>(count, now, session, sockets)
        };
        if taken {
            session.first_sent.get_or_insert(now);
            session.last_sent = Some(session.clock.mono());
        }
        count
    }

    /// Whether any was taken. `N` bounds the room that is laid out, which costs more than few probes themselves.
    fn hand_over<const N: usize>(
        &self,
        count: usize,
        now: Duration,
        session: &mut Session,
        sockets: &mut Sockets,
    ) -> bool {
        let (packets, probes) = (&self.packets, &self.probes);
        let outgoing: [Outgoing<'_>; N] = std::array::from_fn(|at| Outgoing {
            to: probes[at].to,
            packet: &packets[at],
            dont_fragment: false,
            hop_limit: self.ttl,
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
        taken
    }
}

/// True when there is more.
fn read(session: &mut Session, sockets: &mut Sockets) -> bool {
    let Session { clock, sweep, observer, .. } = session;
    sockets.drain(clock, DRAIN_MAX, |event| match event {
        Event::Icmp { packet, at, .. } => {
            sweep.heard(at, &packet);
            if let Some(observer) = observer {
                observer.accepted(&packet);
            }
        }
        Event::Wire { packet, outgoing, at, .. } => {
            match at {
                Some(at) if outgoing => sweep.seen_leaving(at, &packet),
                Some(at) => sweep.seen_coming(at, &packet),
                None => {}
            }
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

/// How long to sleep when there is something to do so soon that answers can wait for it.
fn nap(session: &mut Session, sockets: &Sockets, now: Duration) -> Option<Duration> {
    let until = session.sweep.next_deadline(now)?.checked_sub(now)?;
    (sockets.stamps() != Stamps::None && !until.is_zero() && until <= NAP_MAX).then_some(until)
}

fn wait(session: &mut Session, sockets: &Sockets) -> io::Result<()> {
    let now = session.clock.mono();
    if let Some(nap) = nap(session, sockets, now) {
        std::thread::sleep(nap);
        return Ok(());
    }
    let deadline = session.sweep.next_deadline(now);
    let until = deadline.map_or(WAIT_MAX, |deadline| deadline.saturating_sub(now)).min(WAIT_MAX);
    if until.is_zero() {
        return Ok(());
    }
    if session.sweep.is_flat_out() && session.sweep.total().open > MANY && sockets.stamps() != Stamps::None {
        std::thread::sleep(until.min(TICK));
        return Ok(());
    }
    sockets.ready_within(until)
}

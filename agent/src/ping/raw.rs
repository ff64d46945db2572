//! The loop of `ping` over raw sockets: sends what is due, reads what arrived, gives up what is overdue, waits.
//!
//! One thread does everything. If the kernel stamps arrivals, packets do not wake it while it has probes to send soon:
//! it sleeps until the next tick and reads then, since a wake-up costs more than a probe.

#![expect(clippy::disallowed_methods, reason = "sleeping to the next tick is what pacing is")]

use super::session::Session;
use crate::engine::{Event, Handed, Outgoing, Sockets, Stamps};
use pingtong_probe::{Handover, SweepProbe, TICK};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// Maximum probes sent before the sockets are read again.
const BATCH: usize = 64;
/// Probes of a small batch.
const FEW: usize = 8;
/// Maximum packets read before probes get their turn.
const DRAIN_MAX: usize = 1_024;
/// Longest wait; signals are noticed after it.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Waits up to this long are spent asleep, without watching the sockets.
const NAP_MAX: Duration = Duration::from_millis(3);
/// Between naps, replies are read at this interval, or after this many probes were sent: a stamped reply can wait, and
/// each read costs several system calls.
const READ_PERIOD: Duration = Duration::from_millis(16);
const READ_AFTER: usize = 192;
/// The same if each probe is also seen leaving and its reply arriving, so that what is to be read stays in the cache.
const READ_AFTER_STAMPED: usize = 64;
/// If more replies than this are outstanding, they are read in ticks and not one by one.
const MANY: u64 = 64;

/// Runs to the end.
///
/// # Errors
/// Fails if packets cannot be waited for, or samples cannot be written.
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

/// Packets that are rewritten for every batch.
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

    /// Sends what is due; returns how many probes that was.
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

    /// Sends a batch; returns whether any probe was taken. `N` bounds the arrays that are built, which cost more than a
    /// few probes.
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

/// Reads the sockets once; true if there is more.
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

/// How long to sleep, if a probe is due so soon that replies can wait for it.
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

//! The loop of `ping` over surge-ping, for hosts without raw sockets: one task per probe, times to about a millisecond,
//! no late replies, no duplicates, no ICMP errors.

use super::session::Session;
use crate::engine::{
    Handed, Portable,
    portable::{Outcome, What},
};
use pingtong_probe::{Handover, SendProbe, Sweep};
use std::{io, net::IpAddr, time::Duration};

/// Longest wait; signals are noticed after it.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Bytes of an ICMP header.
const HEADER: usize = 8;

/// Runs to the end.
///
/// # Errors
/// Fails if samples cannot be written.
pub(super) async fn run(
    session: &mut Session,
    portable: &mut Portable,
    identifier: u16,
    timeout: Duration,
) -> io::Result<()> {
    let mut packet = vec![0; session.sweep.packet_bytes()];
    loop {
        let now = session.clock.mono();
        session.tend(now)?;
        while !session.interrupted
            && let Some(probe) = session.sweep.poll(now, &mut packet, true)
        {
            let handed = send(portable, probe.to, probe.number, identifier, timeout, &packet[HEADER..]);
            session.sweep.handed(now, probe.number, handed);
            session.first_sent.get_or_insert(now);
            session.last_sent = Some(now);
        }
        let since = session.clock.mono();
        while let Some(outcome) = portable.try_next() {
            take(&mut session.sweep, &outcome);
        }
        session.sweep.drained(since);
        if session.is_over() {
            session.sweep.stop();
            return Ok(());
        }
        let now = session.clock.mono();
        let deadline = session.sweep.next_deadline(now).unwrap_or(now + WAIT_MAX).min(now + WAIT_MAX);
        let slept = tokio::time::sleep_until(session.clock.instant(deadline));
        tokio::select! {
            () = slept => {}
            Some(outcome) = portable.next() => take(&mut session.sweep, &outcome),
        }
    }
}

fn take(sweep: &mut Sweep, outcome: &Outcome) {
    let number = outcome.round.bits() << 32 | u64::from(outcome.sequence);
    match outcome.what {
        What::Answered(rtt) => sweep.vouched(number, rtt),
        What::Error { from, icmp_type, code } => sweep.vouched_error(number, from, icmp_type, code),
        What::Refused(errno) => sweep.refused_after_all(number, errno),
        What::Silent => {}
    }
}

fn send(
    portable: &mut Portable,
    to: IpAddr,
    number: u64,
    identifier: u16,
    timeout: Duration,
    payload: &[u8],
) -> Handover {
    let handed = portable.send(SendProbe {
        round: (number >> 32).into(),
        sequence: u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default(),
        target: to,
        identifier,
        wire_sequence: 0,
        timeout,
        payload: payload.to_vec(),
        dont_fragment: false,
    });
    match handed {
        // There is no socket of that address family, and none will come.
        Handed::NoRoom => Handover::Refused(nix::errno::Errno::EAFNOSUPPORT as i32),
        Handed::Refused(errno) => Handover::Refused(errno),
        Handed::Taken => Handover::Taken,
    }
}

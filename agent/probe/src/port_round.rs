//! One round of TCP or UDP probes towards one port: the outcome of each probe.
//!
//! A probe is decided once: answered, refused by the target (which proves the path), rejected by an ICMP error,
//! answered only after the kernel retransmitted the SYN (a loss), refused by the sender's own kernel, not sent, or
//! silent. Unlike an echo probe, each probe has its own socket, so whatever arrives there belongs to this probe only.

use crate::{Now, rtt};
use pingtong_evidence::{
    IcmpError, Known, Nanos, PairId, PortFates, ProbeRound, Protocol, RequestTag, RoundKey, RoundPurpose, SendErrors,
    SequenceSet, Timestamp,
};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Maximum number of ICMP error senders distinguished; a hostile network can invent any number of them.
const SENDERS_MAX: usize = 64;
/// How late a timer may wake the prober without delaying the probes that follow: timers of the run time have a
/// resolution of one millisecond. A longer delay is made up gradually.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortFate {
    /// In flight, sent at this time.
    Open(Duration),
    Silent,
    Answered(Nanos),
    Closed(Nanos),
    Late,
    Resent,
    Rejected,
    Refused(i32),
    NotSent,
}

#[derive(Debug)]
pub(crate) struct PortRound {
    pub(crate) key: RoundKey,
    pub(crate) pair: PairId,
    pub(crate) target: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) request: Option<RequestTag>,
    pub(crate) payload_bytes: usize,
    pub(crate) probes: u32,
    pub(crate) spacing: Duration,
    pub(crate) timeout: Duration,
    pub(crate) first_due: Duration,
    /// When the last probe should have been sent; at most [`LATE_MAX`] before it was.
    pub(crate) last_start: Option<Duration>,
    pub(crate) started_at: Timestamp,
    pub(crate) fates: Vec<PortFate>,
    pub(crate) source_ports: Vec<u16>,
    pub(crate) kernel_times: bool,
    pub(crate) rejections: BTreeMap<(IpAddr, u8, u8), u64>,
}

impl PortRound {
    pub(crate) fn next_sequence(&self) -> Option<u32> {
        let next = u32::try_from(self.fates.len()).unwrap_or(u32::MAX);
        (next < self.probes).then_some(next)
    }

    /// When the next probe is due; `None` if all probes have been handled.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let sequence = self.next_sequence()?;
        Some(self.first_due.saturating_add(self.spacing.saturating_mul(sequence)))
    }

    /// When the next probe may be sent. A delay is made up gradually, because the spacing is what the link's budget
    /// allows.
    pub(crate) fn next_start(&self) -> Option<Duration> {
        let due = self.next_due()?;
        Some(self.last_start.map_or(due, |last| due.max(last.saturating_add(self.spacing * 3 / 4))))
    }

    /// The next probe is sent now.
    pub(crate) fn started(&mut self, now: Duration) {
        self.last_start = self.next_start().map(|start| start.max(now.saturating_sub(LATE_MAX)));
        self.push(PortFate::Open(now));
    }

    pub(crate) fn push(&mut self, fate: PortFate) {
        self.fates.push(fate);
        self.source_ports.push(0);
    }

    pub(crate) fn open(&self) -> usize {
        self.fates.iter().filter(|fate| matches!(fate, PortFate::Open(_))).count()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.next_sequence().is_none() && self.open() == 0
    }

    /// The open probe whose time-out ends first, and when.
    pub(crate) fn next_expiry(&self) -> Option<(Duration, u32)> {
        let open = (0u32..).zip(&self.fates).filter_map(|(sequence, fate)| match fate {
            PortFate::Open(at) => Some((at.saturating_add(self.timeout), sequence)),
            _ => None,
        });
        open.min()
    }

    /// The fate of a probe that is still in flight.
    pub(crate) fn open_mut(&mut self, sequence: u32) -> Option<&mut PortFate> {
        let fate = self.fates.get_mut(usize::try_from(sequence).ok()?)?;
        matches!(fate, PortFate::Open(_)).then_some(fate)
    }

    pub(crate) fn begun(&mut self, sequence: u32, at: Duration, source_port: u16) {
        if let Some(fate) = self.open_mut(sequence) {
            *fate = PortFate::Open(at);
        }
        let place = usize::try_from(sequence).ok().and_then(|at| self.source_ports.get_mut(at));
        if let Some(place) = place {
            *place = source_port;
        }
    }

    pub(crate) fn reject(&mut self, from: IpAddr, icmp_type: u8, code: u8) {
        let key = (from, icmp_type, code);
        if self.rejections.len() < SENDERS_MAX || self.rejections.contains_key(&key) {
            *self.rejections.entry(key).or_default() += 1;
        }
    }

    fn numbers(&self, wanted: fn(PortFate) -> bool) -> SequenceSet {
        (0u32..).zip(&self.fates).filter(|(_, fate)| wanted(**fate)).map(|(sequence, _)| sequence).collect()
    }

    pub(crate) fn close(mut self, now: Now) -> ProbeRound {
        let mut refused: BTreeMap<i32, SequenceSet> = BTreeMap::new();
        let mut samples = vec![];
        for (sequence, fate) in (0u32..).zip(&self.fates) {
            match fate {
                PortFate::Refused(errno) => {
                    refused.entry(*errno).or_default().insert(sequence);
                }
                PortFate::Answered(took) | PortFate::Closed(took) => samples.push(*took),
                _ => {}
            }
        }
        ProbeRound {
            sent: self.numbers(|fate| !matches!(fate, PortFate::Refused(_) | PortFate::NotSent)),
            replied: self.numbers(|fate| matches!(fate, PortFate::Answered(_) | PortFate::Closed(_))),
            late: self.numbers(|fate| fate == PortFate::Late),
            departed: Known::default(),
            replied_on_wire: Known::default(),
            rtt: rtt::summarise(&samples, self.kernel_times),
            ports: Some(PortFates {
                port: self.port,
                closed: self.numbers(|fate| matches!(fate, PortFate::Closed(_))),
                resent: self.numbers(|fate| fate == PortFate::Resent),
                source_ports: std::mem::take(&mut self.source_ports),
            }),
            key: self.key,
            pair: self.pair,
            target: self.target,
            protocol: self.protocol,
            request: self.request,
            started_at: self.started_at,
            ended_at: now.wall,
            sending_ms: None,
            held_ms: None,
            payload_bytes: u32::try_from(self.payload_bytes).unwrap_or(u32::MAX),
            purpose: RoundPurpose::Connectivity,
            planned: self.probes,
            send_errors: refused.into_iter().map(|(errno, probes)| SendErrors { errno, probes }).collect(),
            duplicates: 0,
            reordered: 0,
            strangers: vec![],
            icmp_errors: self
                .rejections
                .into_iter()
                .map(|((from, icmp_type, code), count)| IcmpError { from, icmp_type, code, count })
                .collect(),
            own_drops: 0,
        }
    }
}

//! One round towards one target: the outcome of each probe.
//!
//! A probe is decided once: answered in time, answered late, refused by the sender's own kernel, not sent at all, or
//! unanswered. ICMP errors decide nothing: their senders limit the rate, so the errors describe the series of probes,
//! and a reply may still come.

use crate::{BucketKey, Now, rtt};
use pingtong_evidence::{
    IcmpError, Known, Nanos, PairId, ProbeRound, Protocol, RequestTag, RoundKey, RoundPurpose, RttSummary, SendErrors,
    SequenceSet, StrangerReply, Timestamp, WhyUnknown,
};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Maximum number of senders of ICMP errors and of foreign replies kept per round; a hostile network can invent any
/// number of them.
const SENDERS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// In flight.
    Open(Departure),
    /// Its time-out passed.
    Expired(Departure),
    Answered(Nanos),
    Late,
    Refused(i32),
    NotSent,
}

/// Send time of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Departure {
    at: Duration,
    /// Whether the kernel reported the time.
    stamped: bool,
}

#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) key: RoundKey,
    pub(crate) pair: PairId,
    pub(crate) target: IpAddr,
    pub(crate) identifier: u16,
    pub(crate) request: Option<RequestTag>,
    pub(crate) payload_bytes: usize,
    pub(crate) purpose: RoundPurpose,
    pub(crate) bucket: Option<BucketKey>,
    pub(crate) probes: u32,
    pub(crate) spacing: Duration,
    pub(crate) timeout: Duration,
    pub(crate) first_due: Duration,
    pub(crate) started_at: Timestamp,
    /// No probe is due before this time: its bucket held the round back until then.
    held_until: Duration,
    first_sent: Option<Duration>,
    fates: Vec<Fate>,
    departed: SequenceSet,
    replied_on_wire: SequenceSet,
    unanswered: u32,
    last_sent: Duration,
    highest_answered: Option<u32>,
    duplicates: u64,
    reordered: u64,
    own_drops: u64,
    all_stamped: bool,
    all_departures_stamped: bool,
    strangers: BTreeMap<IpAddr, u64>,
    errors: BTreeMap<(IpAddr, u8, u8), u64>,
}

impl Round {
    #[expect(clippy::too_many_arguments, reason = "the one place that builds a round, all parts named by their types")]
    pub(crate) fn new(
        key: RoundKey,
        pair: PairId,
        target: IpAddr,
        identifier: u16,
        request: Option<RequestTag>,
        payload_bytes: usize,
        purpose: RoundPurpose,
        probes: u32,
        spacing: Duration,
        timeout: Duration,
        now: Now,
    ) -> Self {
        Self {
            key,
            pair,
            target,
            identifier,
            request,
            payload_bytes,
            purpose,
            bucket: None,
            probes,
            spacing,
            timeout,
            first_due: now.mono,
            started_at: now.wall,
            held_until: Duration::ZERO,
            first_sent: None,
            fates: Vec::new(),
            departed: SequenceSet::new(),
            replied_on_wire: SequenceSet::new(),
            unanswered: 0,
            last_sent: now.mono,
            highest_answered: None,
            duplicates: 0,
            reordered: 0,
            own_drops: 0,
            all_stamped: true,
            all_departures_stamped: true,
            strangers: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    /// The next probe to handle; `None` if all have been handled.
    pub(crate) fn next_sequence(&self) -> Option<u32> {
        let next = u32::try_from(self.fates.len()).unwrap_or(u32::MAX);
        (next < self.probes).then_some(next)
    }

    pub(crate) fn due(&self, sequence: u32) -> Duration {
        self.first_due.saturating_add(self.spacing.saturating_mul(sequence)).max(self.held_until)
    }

    pub(crate) fn hold_until(&mut self, at: Duration) {
        self.held_until = at;
    }

    /// When this round next needs attention: a probe to send, or its end.
    pub(crate) fn next_action(&self) -> Duration {
        match self.next_sequence() {
            Some(sequence) => self.due(sequence),
            None if self.unanswered == 0 => Duration::ZERO,
            None => self.last_sent.saturating_add(self.timeout),
        }
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.request.is_some()
    }

    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.next_sequence().is_none() && self.next_action() <= now
    }

    pub(crate) fn send(&mut self, now: Duration) {
        self.fates.push(Fate::Open(Departure { at: now, stamped: false }));
        self.unanswered += 1;
        self.first_sent.get_or_insert(now);
        self.last_sent = now;
    }

    pub(crate) fn skip(&mut self) {
        self.fates.push(Fate::NotSent);
    }

    /// Corrects the send time of a probe that is not answered yet. If it is seen leaving several interfaces, the first
    /// counts.
    pub(crate) fn stamp(&mut self, sequence: u32, at: Duration, stamped: bool) {
        if let Some(Fate::Open(departure) | Fate::Expired(departure)) = self.fate_mut(sequence)
            && !departure.stamped
        {
            *departure = Departure { at, stamped };
        }
    }

    /// Records that the probe was never sent. Returns true if it was still open.
    pub(crate) fn take_back(&mut self, sequence: u32, fate: Fate) -> bool {
        let Some(open @ (Fate::Open(_) | Fate::Expired(_))) = self.fate_mut(sequence) else { return false };
        let was_open = matches!(open, Fate::Open(_));
        *open = fate;
        self.unanswered -= 1;
        was_open
    }

    /// Records that the probe's time-out passed. Returns true if it was still open.
    pub(crate) fn expire(&mut self, sequence: u32) -> bool {
        let Some(fate) = self.fate_mut(sequence) else { return false };
        let Fate::Open(departure) = *fate else { return false };
        *fate = Fate::Expired(departure);
        true
    }

    /// Records a reply with our tag from the right address. Returns true if the probe was still open.
    pub(crate) fn answer(&mut self, sequence: u32, received: Duration, stamped: bool) -> bool {
        let timeout = self.timeout;
        let Some(fate) = self.fate_mut(sequence) else { return false };
        let before = *fate;
        let (Fate::Open(departure) | Fate::Expired(departure)) = before else {
            self.duplicates += 1;
            return false;
        };
        let took = received.saturating_sub(departure.at);
        // Judged by the arrival time of the packet, not by the time at which it was read.
        let in_time = took <= timeout;
        *fate = if in_time { Fate::Answered(took.into()) } else { Fate::Late };
        self.unanswered -= 1;
        if in_time {
            self.all_stamped &= stamped;
            self.all_departures_stamped &= departure.stamped;
        }
        match self.highest_answered {
            Some(highest) if highest > sequence => self.reordered += 1,
            _ => self.highest_answered = Some(sequence),
        }
        matches!(before, Fate::Open(_))
    }

    /// Records a reply whose round-trip time another engine measured with a user-space clock.
    pub(crate) fn answer_after(&mut self, sequence: u32, rtt: Duration) -> bool {
        let Some(&mut (Fate::Open(departure) | Fate::Expired(departure))) = self.fate_mut(sequence) else {
            self.duplicates += 1;
            return false;
        };
        self.answer(sequence, departure.at.saturating_add(rtt), false)
    }

    /// Records that a probe was seen leaving an interface of this host.
    pub(crate) fn depart(&mut self, sequence: u32) {
        if sequence < self.probes {
            self.departed.insert(sequence);
        }
    }

    /// Records that the reply to a probe reached an interface of this host. Later stages decide the fate of the probe.
    pub(crate) fn reply_on_wire(&mut self, sequence: u32) {
        if sequence < self.probes {
            self.replied_on_wire.insert(sequence);
        }
    }

    pub(crate) fn stranger(&mut self, from: IpAddr) {
        count(&mut self.strangers, from);
    }

    pub(crate) fn error(&mut self, from: IpAddr, icmp_type: u8, code: u8) {
        count(&mut self.errors, (from, icmp_type, code));
    }

    pub(crate) fn own_drops(&mut self, drops: u64) {
        self.own_drops += drops;
    }

    /// Number of open probes, for the window.
    pub(crate) fn open(&self) -> usize {
        self.fates.iter().filter(|fate| matches!(fate, Fate::Open(_))).count()
    }

    pub(crate) fn close(self, now: Now, wire: &Result<(), WhyUnknown>) -> ProbeRound {
        let with = |wanted: fn(&Fate) -> bool| -> SequenceSet {
            (0u32..).zip(&self.fates).filter(|(_, fate)| wanted(fate)).map(|(sequence, _)| sequence).collect()
        };
        let mut refused: BTreeMap<i32, SequenceSet> = BTreeMap::new();
        for (sequence, fate) in (0u32..).zip(&self.fates) {
            if let Fate::Refused(errno) = fate {
                refused.entry(*errno).or_default().insert(sequence);
            }
        }
        let samples: Vec<Nanos> = self
            .fates
            .iter()
            .filter_map(|fate| if let Fate::Answered(rtt) = fate { Some(*rtt) } else { None })
            .collect();
        ProbeRound {
            sent: with(|fate| !matches!(fate, Fate::Refused(_) | Fate::NotSent)),
            replied: with(|fate| matches!(fate, Fate::Answered(_))),
            late: with(|fate| matches!(fate, Fate::Late)),
            departed: if_observed(self.departed, wire),
            replied_on_wire: if_observed(self.replied_on_wire, wire),
            rtt: rtt::summarise(&samples, self.all_stamped)
                .map(|rtt| RttSummary { kernel_departures: self.all_departures_stamped, ..rtt }),
            key: self.key,
            pair: self.pair,
            target: self.target,
            protocol: Protocol::Icmp,
            request: self.request,
            started_at: self.started_at,
            ended_at: now.wall,
            sending_ms: self.first_sent.map(|first| millis(self.last_sent.saturating_sub(first))),
            held_ms: self.first_sent.map(|first| millis(first.saturating_sub(self.first_due))),
            payload_bytes: u32::try_from(self.payload_bytes).unwrap_or(u32::MAX),
            purpose: self.purpose,
            planned: self.probes,
            send_errors: refused.into_iter().map(|(errno, probes)| SendErrors { errno, probes }).collect(),
            duplicates: self.duplicates,
            reordered: self.reordered,
            strangers: self.strangers.into_iter().map(|(from, count)| StrangerReply { from, count }).collect(),
            icmp_errors: self
                .errors
                .into_iter()
                .map(|((from, icmp_type, code), count)| IcmpError { from, icmp_type, code, count })
                .collect(),
            own_drops: self.own_drops,
            ports: None,
        }
    }

    fn fate_mut(&mut self, sequence: u32) -> Option<&mut Fate> {
        self.fates.get_mut(usize::try_from(sequence).ok()?)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn if_observed(seen: SequenceSet, wire: &Result<(), WhyUnknown>) -> Known<SequenceSet> {
    match wire {
        Ok(()) => Known::Known(seen),
        Err(why) => Known::Unknown(why.clone()),
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    if counts.len() < SENDERS_MAX || counts.contains_key(&key) {
        *counts.entry(key).or_default() += 1;
    }
}

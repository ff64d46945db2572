//! Hop-limit walk (traceroute): who answers a probe with a given hop limit.
//!
//! Its results are evidence, never proof: routers rate-limit their answers or do not answer, overlays hide their
//! routers, and the return path may differ. Decides when each probe is sent and what an answer means: a time exceeded
//! identifies a router; a reply or an unreachable ends the walk at that hop. A hop without an answer is silent, which
//! says nothing about the hops after it.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Type of "time exceeded" in ICMP and in ICMPv6.
const TIME_EXCEEDED: u8 = 11;
const TIME_EXCEEDED_V6: u8 = 3;
/// Maximum number of senders distinguished at one hop; a hostile network can invent any number of them.
const SENDERS_MAX: usize = 16;

/// Settings of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopOrder {
    /// Destination address of the probes.
    pub target: IpAddr,
    /// Maximum hop limit.
    pub hops_max: u8,
    /// Probes per hop limit.
    pub probes: u8,
    /// Time between two probes.
    pub spacing: Duration,
    /// Time after which a probe counts as unanswered.
    pub timeout: Duration,
}

/// One probe to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopProbe {
    /// Number of the probe, which its answer carries.
    pub sequence: u16,
    /// Hop limit of the packet: the number of routers that may forward it, plus one.
    pub hop_limit: u8,
}

/// Answers of one kind from one sender at one hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HopAnswer {
    /// Sender of the answers.
    pub from: IpAddr,
    /// ICMP type: 0 echo reply, 3 unreachable, 11 time exceeded. From an IPv6 sender: 0 echo reply, 1 unreachable, 3
    /// time exceeded.
    pub icmp_type: u8,
    /// ICMP code.
    pub code: u8,
    /// Number of such answers.
    pub count: u32,
    /// The shortest time to an answer.
    pub took_min: Duration,
}

/// Results for one hop limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Hop limit of the probes.
    pub hop_limit: u8,
    /// Probes that the kernel accepted.
    pub sent: u32,
    /// The answers, by sender and kind.
    pub answers: Vec<HopAnswer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sent(Duration),
    Answered,
    Refused,
}

/// State of one walk. The caller sends its probes and reports refusals and answers.
#[derive(Debug)]
pub struct HopWalk {
    order: HopOrder,
    began: Duration,
    fates: Vec<Fate>,
    answers: BTreeMap<(u8, IpAddr, u8, u8), (u32, Duration)>,
    /// The smallest hop limit at which the walk ended.
    end: Option<u8>,
    last_sent: Duration,
}

impl HopWalk {
    /// A walk that starts at `now`.
    pub fn new(order: HopOrder, now: Duration) -> Self {
        let order = HopOrder { hops_max: order.hops_max.max(1), probes: order.probes.max(1), ..order };
        Self { order, began: now, fates: vec![], answers: BTreeMap::new(), end: None, last_sent: now }
    }

    fn hop_of(&self, sequence: u16) -> u8 {
        u8::try_from(sequence / u16::from(self.order.probes) + 1).unwrap_or(u8::MAX)
    }

    fn next_sequence(&self) -> Option<u16> {
        let next = u16::try_from(self.fates.len()).ok()?;
        (self.hop_of(next) <= self.end.unwrap_or(self.order.hops_max)).then_some(next)
    }

    /// Returns the next probe, if it is due.
    pub fn poll(&mut self, now: Duration) -> Option<HopProbe> {
        let sequence = self.next_sequence()?;
        if self.due(sequence) > now {
            return None;
        }
        self.fates.push(Fate::Sent(now));
        self.last_sent = now;
        Some(HopProbe { sequence, hop_limit: self.hop_of(sequence) })
    }

    fn due(&self, sequence: u16) -> Duration {
        self.began.saturating_add(self.order.spacing.saturating_mul(sequence.into()))
    }

    /// Records that the kernel refused a probe.
    pub fn refused(&mut self, sequence: u16) {
        if let Some(fate) = self.fates.get_mut(usize::from(sequence)) {
            *fate = Fate::Refused;
        }
    }

    /// Records an answer to a probe; type and code are 0 for an echo reply.
    pub fn answered(&mut self, sequence: u16, from: IpAddr, (icmp_type, code): (u8, u8), at: Duration) {
        let hop = self.hop_of(sequence);
        let Some(fate) = self.fates.get_mut(usize::from(sequence)) else { return };
        let Fate::Sent(sent) = *fate else { return };
        if icmp_type == 0 && from != self.order.target {
            return;
        }
        *fate = Fate::Answered;
        let key = (hop, from, icmp_type, code);
        let senders = self.answers.keys().filter(|(at, ..)| *at == hop).count();
        if senders < SENDERS_MAX || self.answers.contains_key(&key) {
            let (count, least) = self.answers.entry(key).or_insert((0, Duration::MAX));
            *count += 1;
            *least = (*least).min(at.saturating_sub(sent));
        }
        if icmp_type != if from.is_ipv4() { TIME_EXCEEDED } else { TIME_EXCEEDED_V6 } {
            self.end = Some(self.end.map_or(hop, |end| end.min(hop)));
        }
    }

    /// Whether there is nothing more to send or to wait for.
    pub fn is_over(&self, now: Duration) -> bool {
        self.next_sequence().is_none() && self.waits_until() <= now
    }

    /// When to poll next.
    pub fn next_deadline(&self) -> Duration {
        self.next_sequence().map_or_else(|| self.waits_until(), |sequence| self.due(sequence))
    }

    fn waits_until(&self) -> Duration {
        let end = self.end.unwrap_or(self.order.hops_max);
        let open = (0u16..).zip(&self.fates).any(|(n, fate)| matches!(fate, Fate::Sent(_)) && self.hop_of(n) <= end);
        if open { self.last_sent.saturating_add(self.order.timeout) } else { Duration::ZERO }
    }

    /// Results up to the end of the walk.
    pub fn hops(&self) -> Vec<Hop> {
        let end = self.end.unwrap_or(self.order.hops_max);
        let hop = |hop_limit: u8| {
            let fates = (0u16..).zip(&self.fates).filter(|(n, _)| self.hop_of(*n) == hop_limit);
            let sent = fates.filter(|(_, fate)| **fate != Fate::Refused).count();
            let answers = self.answers.iter().filter(|((at, ..), _)| *at == hop_limit);
            Hop {
                hop_limit,
                sent: u32::try_from(sent).unwrap_or(u32::MAX),
                answers: answers
                    .map(|(&(_, from, icmp_type, code), &(count, took_min))| HopAnswer {
                        from,
                        icmp_type,
                        code,
                        count,
                        took_min,
                    })
                    .collect(),
            }
        };
        (1..=end).map(hop).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn order() -> HopOrder {
        HopOrder { target: ip("10.9.1.2"), hops_max: 8, probes: 3, spacing: 10 * MS, timeout: 500 * MS }
    }

    /// Runs a walk to its end; returns it, its duration and the number of probes. `answers` says what comes back for a
    /// probe, after five milliseconds.
    fn walk(answers: impl Fn(HopProbe) -> Option<(IpAddr, (u8, u8))>) -> (HopWalk, Duration, usize) {
        let (mut walk, mut now, mut sent) = (HopWalk::new(order(), Duration::ZERO), Duration::ZERO, 0);
        let mut coming: BTreeMap<Duration, (u16, IpAddr, (u8, u8))> = BTreeMap::new();
        for _ in 0..10_000 {
            if let Some((at, (sequence, from, what))) = coming.first_key_value().map(|(at, what)| (*at, *what))
                && at <= now
            {
                coming.remove(&at);
                walk.answered(sequence, from, what, at);
            } else if let Some(probe) = walk.poll(now) {
                sent += 1;
                if let Some((from, what)) = answers(probe) {
                    coming.insert(now + 5 * MS, (probe.sequence, from, what));
                }
            } else if walk.is_over(now) {
                return (walk, now, sent);
            } else {
                let next = coming.keys().next().copied().unwrap_or(Duration::MAX).min(walk.next_deadline());
                now = next.max(now + Duration::from_nanos(1));
            }
        }
        panic!("the walk does not end");
    }

    #[test]
    fn routers_are_named_by_hop_and_the_target_ends_the_walk() {
        let (walk, took, sent) = walk(|probe| match probe.hop_limit {
            1 => Some((ip("10.9.0.254"), (11, 0))),
            2 => None,
            _ => Some((ip("10.9.1.2"), (0, 0))),
        });
        let hops = walk.hops();
        assert_eq!(hops.len(), 3);
        assert_eq!((hops[0].answers[0].from, hops[0].answers[0].icmp_type), (ip("10.9.0.254"), 11));
        assert_eq!((hops[0].answers[0].count, hops[0].answers[0].took_min), (3, 5 * MS));
        assert_eq!((hops[1].sent, hops[1].answers.len()), (3, 0), "a silent hop is a silent hop");
        assert_eq!((hops[2].answers[0].from, hops[2].answers[0].icmp_type), (ip("10.9.1.2"), 0));
        assert!(sent <= 10, "{sent} probes: none goes beyond the end but those that were on their way");
        assert!(took < 700 * MS, "{took:?}");
    }

    #[test]
    fn an_unreachable_ends_it_and_a_strangers_reply_does_not() {
        let (walk, ..) = self::walk(|probe| match probe.hop_limit {
            1 => Some((ip("10.9.0.254"), (11, 0))),
            2 => Some((ip("10.9.9.9"), (0, 0))),
            _ => Some((ip("10.9.0.254"), (3, 13))),
        });
        let hops = walk.hops();
        assert_eq!((hops.len(), hops[1].answers.len()), (3, 0));
        assert_eq!((hops[2].answers[0].icmp_type, hops[2].answers[0].code), (3, 13));
    }

    #[test]
    fn silence_all_the_way_ends_after_the_last_time_out() {
        let (walk, took, sent) = self::walk(|_| None);
        assert_eq!((walk.hops().len(), sent), (8, 24));
        assert_eq!(took, 23 * 10 * MS + 500 * MS);
        let mut refused = HopWalk::new(order(), Duration::ZERO);
        while let Some(probe) = refused.poll(Duration::from_secs(1)) {
            refused.refused(probe.sequence);
        }
        assert!(refused.is_over(Duration::from_secs(1)));
        assert!(refused.hops().iter().all(|hop| hop.sent == 0));
    }

    #[test]
    fn a_router_of_ipv6_hands_the_walk_on() {
        let mut walk = HopWalk::new(HopOrder { target: ip("fd00::2"), hops_max: 3, ..order() }, Duration::ZERO);
        let first = walk.poll(Duration::ZERO).unwrap();
        walk.answered(first.sequence, ip("fd00::1"), (3, 0), MS);
        assert_eq!(walk.hops().len(), 3);
        let second = walk.poll(Duration::from_secs(1)).unwrap();
        walk.answered(second.sequence, ip("fd00::1"), (1, 0), MS);
        assert_eq!(walk.hops().len(), 1, "an unreachable ends it");
    }

    #[test]
    fn one_answer_counts_once() {
        let mut walk = HopWalk::new(order(), Duration::ZERO);
        let probe = walk.poll(Duration::ZERO).unwrap();
        walk.answered(probe.sequence, ip("10.9.0.254"), (11, 0), MS);
        walk.answered(probe.sequence, ip("10.9.0.254"), (11, 0), 2 * MS);
        walk.answered(999, ip("10.9.0.254"), (11, 0), 2 * MS);
        assert_eq!(walk.hops()[0].answers[0].count, 1);
    }
}

//! What the wire showed: sets of sequence numbers from both ends, joined round by round into packet counts and a cut
//! point.
//!
//! The stages *sent, arrived, accepted, answered, received* split a round trip packet by packet without synchronised
//! clocks. What a later stage saw, every earlier stage must have seen. If an observer dropped packets itself, a packet
//! missing from its report proves nothing (`PROBING.md` §5). Does not know the cloud configuration.

mod counted;
mod edge;
mod rounds;

use crate::{
    verdict::{Cut, DirectionReport, LoadReport, Loss},
    wilson::LossRate,
};
pub(crate) use counted::Counted;
use edge::Edge;
use pingtong_evidence::{
    AgentId, Direction, HostFacts, LoadRefusal, Pair, ProbeRound, RttSummary, SequenceSet, Timestamp,
};
pub(crate) use rounds::{observe, observe_pair};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// errno of a packet that the sender's own packet filter refuses.
pub(crate) const EPERM: i32 = 1;

/// Minimum number of lost packets for a loss rate to be evidence.
pub(crate) const LOST_MIN: u64 = 3;
/// Minimum loss rate to be evidence: less is normal for any wide-area path.
pub(crate) const LOSS_RATE_MIN: f64 = 0.003;

/// Observed round trips of a pair, by the direction of their requests.
pub(crate) type Seen = BTreeMap<Direction, Observed>;

/// Packets that entered a stage (`of`) and those that passed it, in rounds in which both ends were observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Leg {
    pub(crate) of: u64,
    pub(crate) passed: u64,
}

impl Leg {
    pub(crate) fn of(of: &SequenceSet, passed: &SequenceSet) -> Self {
        let mut leg = Self::default();
        leg.add(of, passed);
        leg
    }

    fn add(&mut self, of: &SequenceSet, passed: &SequenceSet) {
        self.of += of.len();
        self.passed += of.intersection(passed).len();
    }

    pub(crate) fn lost(self) -> u64 {
        self.of.saturating_sub(self.passed)
    }

    fn rate(self) -> Option<LossRate> {
        LossRate::new(self.lost(), self.of)
    }
}

/// Counts of the round trips that one side began, over all its plain rounds, and of its size searches and loads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    pub(crate) rounds: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) errors: BTreeMap<i32, u64>,
    pub(crate) strangers: BTreeMap<IpAddr, u64>,
    /// Replies to rounds of which the far agent reported something (`witnessed`) or, although it watches, nothing at
    /// all (`unwitnessed`).
    witnessed: u64,
    unwitnessed: u64,
    /// Those of the unwitnessed whose arrival the far agent would have reported by now.
    unseen: u64,
    /// A change in the middle of the rounds; the counts are those after it.
    pub(crate) edge: Option<Change>,
    /// What the far kernel's own counters say of the requests that the far agent did not report.
    pub(crate) counted: Counted,
    pub(crate) complaints: BTreeMap<IpAddr, u64>,
    /// Number of replies by which the target itself refused a port: the path works in both directions.
    pub(crate) closed: u64,
    /// Probes that were answered only after the kernel resent the SYN.
    pub(crate) resent: u64,
    /// Whether missing answers to UDP probes prove nothing, because a listener need not answer them.
    pub(crate) mute: bool,
    pub(crate) own_drops: u64,
    /// Handed to the kernel to seen leaving the sender's interface; `None` if no packet socket looked.
    pub(crate) departure: Option<Leg>,
    /// Seen leaving the sender (or handed to its kernel, if that was not observed) to seen on the target's interface;
    /// `None` if the far end was not observed.
    pub(crate) request: Option<Leg>,
    /// Seen on the target's interface to accepted by its IP stack.
    pub(crate) accept: Option<Leg>,
    /// Accepted (or seen on the interface) to answered, by any interface.
    pub(crate) answer: Option<Leg>,
    /// Answered through the interface on which the request arrived, to back at the sender: on the sender's interface if
    /// that is observed, else received by the prober.
    pub(crate) reply: Option<Leg>,
    /// The same of the rounds whose replies the sender's interface was not observed for.
    reply_unseen: Option<Leg>,
    /// Back on the sender's interface to received by the prober; `None` if the interface was not observed.
    pub(crate) home: Option<Leg>,
    /// Answers that left by another interface, by the name of that interface.
    pub(crate) elsewhere: BTreeMap<String, u64>,
    pub(crate) rtt: Option<RttSummary>,
    pub(crate) latest: Option<Timestamp>,
    pub(crate) first: Option<Timestamp>,
    pub(crate) cut: Option<Cut>,
    /// Results of packets with the don't-fragment bit set, by their size in bytes with all headers.
    pub(crate) sizes: BTreeMap<u32, SizeSeen>,
    /// Steps of loads, by the offered rate in bits per second.
    pub(crate) loads: BTreeMap<u64, LoadReport>,
    /// Why the sender sends no load although one was requested.
    pub(crate) load_refused: Option<LoadRefusal>,
    /// Requests of each round, which is a separate flow, that reached the far interface; only rounds that were observed
    /// there.
    pub(crate) flows: Vec<FlowSeen>,
    /// Replies of each round, which is a separate flow, that reached the sender's interface; only rounds that were observed
    /// there.
    pub(crate) answered_flows: Vec<Leg>,
}

/// Minimum number of probes after an edge for them to show a state.
const AFTER_MIN: u64 = 8;

/// A change in the middle of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) edge: Edge,
    /// Probes of the round before and after the edge, and how many of them were answered.
    pub(crate) before: Leg,
    pub(crate) after: Leg,
}

impl Change {
    fn new(edge: Edge, round: &ProbeRound) -> Self {
        let part = edge::after(round, edge);
        let leg = |round: &ProbeRound| {
            let answered = round.replied.union(&round.late).intersection(&round.sent).len();
            Leg { of: round.sent.len(), passed: answered }
        };
        let (whole, after) = (leg(round), leg(&part));
        Self { edge, before: Leg { of: whole.of - after.of, passed: whole.passed - after.passed }, after }
    }
}

/// The change that these rounds of one flow of the pair met, if they met one.
pub(crate) fn change_in(
    pair: &Pair,
    flow: Direction,
    rounds: &[&ProbeRound],
    facts: &BTreeMap<AgentId, HostFacts>,
) -> Option<Change> {
    let plain = rounds.iter().copied().filter(|round| belongs(round, pair, flow) && round.is_plain());
    let (round, edge) = edge::latest(plain)?;
    (!edge::is_rated(pair, facts)).then(|| Change::new(edge, round))
}

/// The requests of one flow: its times, and packets sent and arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowSeen {
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) leg: Leg,
}

/// Counts of packets of one size with the don't-fragment bit set.
#[derive(Debug, Clone, Default)]
pub(crate) struct SizeSeen {
    pub(crate) sent: u64,
    pub(crate) replied: u64,
    /// Of those sent, seen at the far interface; `None` if it was not observed.
    pub(crate) arrived: Option<u64>,
    /// Senders of "fragmentation needed": these messages inform the sender's kernel of the size that passes.
    pub(crate) told_by: BTreeSet<IpAddr>,
}

impl Observed {
    /// Whether the counts may be used: if the prober dropped packets itself, loss may be its own.
    pub(crate) fn valid(&self) -> bool {
        self.rounds > 0
            && (self.sent > 0 || !self.errors.is_empty())
            && (self.own_drops == 0 || self.received >= self.sent)
            && !self.mute
            && self.edge.is_none_or(|change| change.after.of >= AFTER_MIN)
    }

    pub(crate) fn alive(&self) -> bool {
        self.received > 0
    }

    pub(crate) fn dead(&self) -> bool {
        self.valid() && self.received == 0
    }

    /// Whether all replies belong to probes that the watching far end never saw. It may not have reported yet, so this
    /// alone proves nothing; with [`Counted::Agrees`] the far kernel did not see them either.
    pub(crate) fn unwitnessed(&self) -> bool {
        self.unwitnessed > 0 && self.witnessed == 0
    }

    /// Whether all replies belong to probes that the watching far end surely did not see.
    pub(crate) fn unseen(&self) -> bool {
        self.unseen > 0 && self.witnessed == 0
    }

    /// These observations, if the replies came from another host that has the target's address: an echo reply carries
    /// the payload of any request, nonce included.
    pub(crate) fn answered_by_stranger(&self, target: IpAddr) -> Self {
        let nothing = Some(Leg { of: self.sent, passed: 0 });
        let mut seen = Self { received: 0, rtt: None, request: nothing, ..self.clone() };
        (seen.accept, seen.answer, seen.reply, seen.home) = (None, None, None, None);
        *seen.strangers.entry(target).or_default() += self.received;
        seen.cut = Some(seen.find_cut());
        seen
    }

    /// These observations, if all answers are refusals by the packet filter of the target: no request passed it.
    pub(crate) fn refused_by_filter(&self) -> Self {
        // Refusals are limited in their rate: only those that came show that their request arrived.
        let arrived = Some(Leg { of: self.received, passed: self.received });
        let refused = Some(Leg { of: self.received, passed: 0 });
        let (answer, reply, home) = (refused, None, None);
        let seen = Self { received: 0, closed: 0, rtt: None, request: arrived, accept: refused, ..self.clone() };
        Self { answer, reply, home, cut: Some(Cut::S2), ..seen }
    }

    /// Whether requests are known to have reached the far interface.
    pub(crate) fn arrives(&self) -> bool {
        self.alive() || self.request.is_some_and(|leg| leg.passed > 0)
    }

    pub(crate) fn accepted(&self) -> bool {
        self.alive() || self.accept.is_some_and(|leg| leg.passed > 0)
    }

    pub(crate) fn answered(&self) -> bool {
        self.alive() || self.answer.is_some_and(|leg| leg.passed > 0)
    }

    pub(crate) fn lossy(&self) -> bool {
        self.valid() && self.alive() && self.received < self.sent
    }

    /// Requests that the sender made, to those that left its interface; those that its kernel refuses to send count as kept.
    /// `None` if no packet socket looked.
    pub(crate) fn leaving(&self) -> Option<Leg> {
        let refused = self.errors.get(&EPERM).copied().unwrap_or_default();
        let seen = self.departure.or((refused > 0).then_some(Leg { of: self.sent, passed: self.sent }))?;
        Some(Leg { of: seen.of + refused, passed: seen.passed })
    }

    /// Whether there is certain loss that cannot be located because the far end was not observed.
    pub(crate) fn has_unsplit_loss(&self) -> bool {
        let lost = self.sent.saturating_sub(self.received);
        self.lossy() && self.request.is_none() && lost >= LOST_MIN && lost * 1000 >= self.sent * 3
    }

    fn find_cut(&self) -> Cut {
        if !self.valid() {
            return Cut::Unknown;
        }
        if self.alive() {
            return Cut::None;
        }
        if self.sent == 0 {
            return Cut::S0;
        }
        if self.home.is_some_and(|leg| leg.of > 0) {
            return Cut::S6;
        }
        if self.departure.is_some_and(|leg| leg.of > 0 && leg.passed == 0) {
            return Cut::S0;
        }
        let Some(request) = self.request else { return Cut::Unanswered };
        if request.passed == 0 {
            return Cut::S1;
        }
        if self.accept.is_some_and(|leg| leg.passed == 0) && !self.answered() {
            return Cut::S2;
        }
        match self.answer {
            Some(leg) if leg.passed == 0 => Cut::S3,
            Some(_) if self.reply.is_none_or(|leg| leg.of == 0) && !self.elsewhere.is_empty() => Cut::S4,
            Some(_) => Cut::S5,
            None => Cut::Unanswered,
        }
    }

    /// The same with another cut point, where facts place it more exactly than packets do.
    pub(crate) fn cut_at(&self, cut: Cut) -> Self {
        Self { cut: Some(cut), ..self.clone() }
    }

    /// These observations, if a rule of the far guest certainly refuses the datagrams: missing answers then do prove
    /// something.
    pub(crate) fn refused_by_guest(&self) -> Self {
        if !self.mute {
            return self.clone();
        }
        let heard = Self { mute: false, ..self.clone() };
        let arrived = heard.request.is_some_and(|leg| leg.passed > 0);
        let cut = if arrived { Cut::S2 } else { heard.find_cut() };
        Self { cut: Some(cut), ..heard }
    }

    /// These observations, if a rule of the far guest certainly keeps the requests out and what the guest accepts was
    /// not observed.
    pub(crate) fn kept_out(self) -> Self {
        let cut = if self.cut == Some(Cut::S3) && self.accept.is_none() { Some(Cut::S2) } else { self.cut };
        Self { cut, ..self }
    }

    pub(crate) fn report(&self, predicted: Cut) -> DirectionReport {
        DirectionReport {
            sent: self.sent,
            arrived: self.request.map(|leg| leg.passed),
            answered: self.answer.map(|leg| leg.passed),
            received: self.received,
            send_errors: self.errors.values().sum(),
            loss: Loss {
                round_trip: if self.valid() {
                    LossRate::new(self.sent.saturating_sub(self.received), self.sent)
                } else {
                    None
                },
                request: self.request.and_then(Leg::rate),
                host: self.answer.and_then(Leg::rate),
                reply: self.reply.and_then(Leg::rate),
            },
            cut: self.cut.unwrap_or(Cut::Unknown),
            predicted,
            rtt: self.rtt,
            loads: self.loads.values().copied().collect(),
            load_refused: self.load_refused.clone(),
        }
    }
}

/// Whether a round belongs to a flow of the pair.
fn belongs(round: &ProbeRound, pair: &Pair, flow: Direction) -> bool {
    let (from, to) = (pair.endpoint(flow.source()), pair.endpoint(flow.destination()));
    round.pair == pair.id
        && round.protocol == pair.protocol
        && round.target == to.address
        && from.agent.as_ref().is_none_or(|agent| *agent == round.key.agent)
}

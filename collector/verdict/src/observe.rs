//! What the wire showed: sets of sequence numbers from both ends, joined round by round into packet counts and a cut
//! point.
//!
//! The stages *sent, arrived, accepted, answered, received* split a round trip packet by packet without synchronised
//! clocks. What a later stage saw, every earlier stage must have seen. If an observer dropped packets itself, a packet
//! missing from its report proves nothing (`PROBING.md` §5). Does not know the cloud configuration.

use crate::{
    question::Question,
    verdict::{Cut, DirectionReport, LoadReport, Loss},
    wilson::LossRate,
};
use pingtong_evidence::{
    AgentId, ArrivalRound, Container, Direction, HostFacts, IcmpError, InterfaceFact, Known, LoadRefusal, Pair,
    ProbeEngine, ProbeRound, Protocol, RoundPurpose, RouteOutcome, RttSummary, SequenceSet, Timestamp, WatchedPort,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

/// Time within which an agent reports what it saw arrive: its ledger reports a part after 250 ms without packets.
const REPORTED_AFTER_MS: u128 = 300;

/// Time before and after a load within which other packets may have been lost because of it: a queue drains, and clocks
/// differ.
const LOAD_LINGERS: Duration = Duration::from_secs(1);

/// Bytes of the IP and ICMP headers before a probe's payload, in IPv4 and in IPv6.
const HEADER_BYTES: u32 = 28;
const HEADER_V6_BYTES: u32 = 48;
/// ICMP type and code of "fragmentation needed and don't-fragment set", and the type of ICMPv6's "packet too big".
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
const PACKET_TOO_BIG: u8 = 2;
/// ICMP type of a redirect, which is advice and not an error.
const REDIRECT: u8 = 5;

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
    }

    pub(crate) fn alive(&self) -> bool {
        self.received > 0
    }

    pub(crate) fn dead(&self) -> bool {
        self.valid() && self.received == 0
    }

    /// Whether all replies belong to probes that the watching far end never saw. It may not have reported yet, so this
    /// alone proves nothing.
    pub(crate) fn unwitnessed(&self) -> bool {
        self.unwitnessed > 0 && self.witnessed == 0
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

fn known_union<'a>(parts: impl Iterator<Item = &'a Known<SequenceSet>>) -> Option<SequenceSet> {
    parts
        .filter_map(Known::known)
        .fold(None, |all: Option<SequenceSet>, part| Some(all.map_or_else(|| part.clone(), |all| all.union(part))))
}

/// Whether no report of arrivals from the far agent means that nothing of this pair arrived. `sender` are the facts of
/// the host that begins the round trips.
fn watches(pair: &Pair, flow: Direction, facts: Option<&HostFacts>, sender: Option<&HostFacts>) -> bool {
    let (from, to) = (pair.endpoint(flow.source()).address, pair.endpoint(flow.destination()).address);
    facts.is_some_and(|facts| {
        let sees = match pair.protocol {
            Protocol::Icmp => facts.engine == ProbeEngine::Raw,
            Protocol::Udp => facts.observes.contains(&Protocol::Udp),
            // TCP connections are matched by their addresses, so those with a translated source address are missed.
            Protocol::Tcp => {
                let looks = |port| facts.watched_ports.contains(&WatchedPort { from, to, port });
                pair.port.is_some_and(looks) && sender.is_some_and(|sender| holds(sender, from))
            }
        };
        sees && !elsewhere(facts, to)
    })
}

/// Whether an address is configured on an interface of the host, so that it is not translated on the way out of the
/// host.
fn holds(facts: &HostFacts, address: IpAddr) -> bool {
    let mut cards = facts.interfaces.known().into_iter().flatten();
    cards.any(|card| card.addresses.iter().any(|(held, _)| *held == address))
}

/// Whether the observer runs in a container that does not have the address: it sees nothing of the packets to it.
fn elsewhere(facts: &HostFacts, address: IpAddr) -> bool {
    let holds = |all: &Vec<InterfaceFact>| all.iter().any(|i| i.addresses.iter().any(|(held, _)| *held == address));
    facts.container.known() == Some(&Container::Yes) && facts.interfaces.known().is_some_and(|all| !holds(all))
}

/// The observed round trips of one direction of the pair.
pub(crate) fn observe(question: &Question<'_>, flow: Direction, facts: &BTreeMap<AgentId, HostFacts>) -> Observed {
    observe_pair(question, question.pair, flow, facts)
}

/// The same for any pair that the question has evidence of.
pub(crate) fn observe_pair(
    question: &Question<'_>,
    pair: &Pair,
    flow: Direction,
    facts: &BTreeMap<AgentId, HostFacts>,
) -> Observed {
    let mut seen = Observed::default();
    let observer = pair.endpoint(flow.destination()).agent.as_ref();
    let silent = observer.is_none_or(|agent| question.silent.contains(&agent));
    let sender = pair.endpoint(flow.source()).agent.as_ref().and_then(|agent| facts.get(agent));
    let watching = !silent && watches(pair, flow, observer.and_then(|agent| facts.get(agent)), sender);
    let answers_itself = sender.is_some_and(|facts| holds_target(facts, pair.endpoint(flow.destination()).address));
    let spoke = observer.and_then(|agent| last_word(question, agent));
    for round in question.probes.iter().filter(|round| belongs(round, pair, flow)) {
        let parts: Vec<&ArrivalRound> = question
            .arrivals
            .iter()
            .copied()
            .filter(|part| part.key == round.key && Some(&part.observer) == observer)
            .filter(|part| part.to == round.target)
            .collect();
        let round = if answers_itself { &without_replies(round) } else { round };
        if let RoundPurpose::Load { bits_per_s: offered } = round.purpose {
            add_load(&mut seen, offered, round, &parts, spoke);
        } else if round.purpose == RoundPurpose::PathSize {
            add_size(&mut seen, round, &parts, watching);
        } else if !spoilt(question, round) {
            add_round(&mut seen, round, &parts, watching, spoke);
        }
    }
    let own = pair.endpoint(flow.source()).agent.as_ref();
    let refused =
        question.healths.iter().filter(|health| Some(&health.agent) == own && pair.protocol == Protocol::Icmp);
    seen.load_refused = refused.max_by_key(|health| health.at).and_then(|health| health.health.load_refused.clone());
    let never_came = seen.request.is_some_and(|leg| leg.of > 0 && leg.passed == 0);
    let silent = pair.protocol == Protocol::Udp && seen.sent > 0 && !seen.answered();
    seen.mute = silent && seen.complaints.is_empty() && !never_came;
    seen.cut = Some(seen.find_cut());
    seen
}

/// Whether the target's address is local to the sender's own kernel: it then answers itself, and its replies prove
/// nothing.
fn holds_target(facts: &HostFacts, target: IpAddr) -> bool {
    facts.routes.iter().any(|route| route.to == target && route.outcome.known() == Some(&RouteOutcome::Own))
}

fn without_replies(round: &ProbeRound) -> ProbeRound {
    let none = SequenceSet::new();
    ProbeRound { replied: none.clone(), late: none.clone(), replied_on_wire: Known::Known(none), ..round.clone() }
}

/// When an agent last reported anything, by its own clock. Reports come in order.
fn last_word(question: &Question<'_>, agent: &AgentId) -> Option<Timestamp> {
    let healths = question.healths.iter().filter(|health| health.agent == *agent).map(|health| health.at);
    let hosts = question.hosts.iter().filter(|facts| facts.agent == *agent).map(|facts| facts.at);
    let rounds = question.probes.iter().filter(|round| round.key.agent == *agent).map(|round| round.ended_at);
    let parts = question.arrivals.iter().filter(|part| part.observer == *agent).map(|part| part.last_at);
    healths.chain(hosts).chain(rounds).chain(parts).max()
}

/// Probes of a round whose absence is proven by the observer's reports. Probes that were sent before it watched, or
/// that would have arrived after the last one it reported, cannot count as missing. Only durations are compared, so the
/// two clocks may differ.
fn attributable(round: &ProbeRound, parts: &[&ArrivalRound], spoke: Option<Timestamp>) -> SequenceSet {
    let seen = |part: &&ArrivalRound| {
        [&part.on_wire, &part.accepted, &part.replied]
            .into_iter()
            .filter_map(Known::known)
            .fold(SequenceSet::new(), |all, set| all.union(set))
    };
    let all = parts.iter().map(seen).fold(SequenceSet::new(), |all, set| all.union(&set));
    let ends = |set: &SequenceSet| Some((set.ranges().first()?.0, set.ranges().last()?.1));
    let (Some((first, last)), Some((sent_first, sent_last))) = (ends(&all), ends(&round.sent)) else {
        return round.sent.clone();
    };
    let took_ms = round.ended_at.since(round.started_at).as_millis();
    let from_start = parts
        .iter()
        .min_by_key(|part| part.first_at)
        .and_then(|part| part.watching_ms)
        .is_some_and(|watching| u128::from(watching) >= took_ms);
    let missing_ms =
        took_ms.saturating_mul(u128::from(sent_last.saturating_sub(last))) / u128::from(round.planned.max(1));
    let to_end = parts.iter().map(|part| part.last_at).max().zip(spoke).is_some_and(|(last_at, spoke)| {
        spoke >= last_at && spoke.since(last_at).as_millis() >= missing_ms + REPORTED_AFTER_MS
    });
    let from = if from_start { sent_first } else { first };
    let to = if to_end { sent_last } else { last };
    round.sent.intersection(&(from..=to).collect())
}

fn belongs(round: &ProbeRound, pair: &Pair, flow: Direction) -> bool {
    let (from, to) = (pair.endpoint(flow.source()), pair.endpoint(flow.destination()));
    round.pair == pair.id
        && round.protocol == pair.protocol
        && round.target == to.address
        && from.agent.as_ref().is_none_or(|agent| *agent == round.key.agent)
}

/// Whether a round lost some of its packets while a load was on its link: the load may have displaced them. A round
/// that is answered completely was not affected, and one without any answer died of another cause.
fn spoilt(question: &Question<'_>, round: &ProbeRound) -> bool {
    let received = round.replied.union(&round.late);
    let partly = !received.is_empty() && round.sent.missing_from(&received) > 0;
    let beside = |load: &&ProbeRound| {
        load.purpose.is_load()
            && load.started_at <= round.ended_at.plus(LOAD_LINGERS)
            && round.started_at <= load.ended_at.plus(LOAD_LINGERS)
    };
    partly && question.probes.iter().any(beside)
}

/// Adds a step of a load: what each direction carried of it. The reports of an end that dropped packets itself prove
/// nothing.
fn add_load(seen: &mut Observed, offered: u64, round: &ProbeRound, parts: &[&ArrivalRound], spoke: Option<Timestamp>) {
    if round.own_drops > 0 {
        return;
    }
    let received = round.replied.union(&round.late).intersection(&round.sent);
    let whole = attributable(round, parts, spoke) == round.sent && parts.iter().all(|part| part.own_drops == 0);
    let told =
        |part: Option<SequenceSet>| part.filter(|_| whole).map(|set| set.union(&received).intersection(&round.sent));
    let answered = told(known_union(parts.iter().map(|part| &part.replied)));
    let arrived = told(known_union(parts.iter().map(|part| &part.on_wire)));
    let step = seen.loads.entry(offered).or_insert(LoadReport { offered_bits_per_s: offered, ..LoadReport::default() });
    step.sent += round.sent.len();
    step.arrived = arrived.map(|set| step.arrived.unwrap_or_default() + set.len());
    step.answered = answered.map(|set| step.answered.unwrap_or_default() + set.len());
    step.received += received.len();
    step.not_sent += u64::from(round.planned).saturating_sub(round.sent.len());
}

fn is_about_size(error: &IcmpError) -> bool {
    if error.from.is_ipv4() {
        (error.icmp_type, error.code) == FRAGMENTATION_NEEDED
    } else {
        error.icmp_type == PACKET_TOO_BIG
    }
}

/// Adds a round of packets with the don't-fragment bit set. If the prober dropped packets itself, the round proves
/// nothing about sizes.
fn add_size(seen: &mut Observed, round: &ProbeRound, parts: &[&ArrivalRound], watching: bool) {
    if round.own_drops > 0 {
        return;
    }
    let received = round.replied.union(&round.late).intersection(&round.sent);
    let headers = if round.target.is_ipv4() { HEADER_BYTES } else { HEADER_V6_BYTES };
    let sized = seen.sizes.entry(round.payload_bytes.saturating_add(headers)).or_default();
    sized.sent += round.sent.len();
    sized.replied += received.len();
    let told = round.icmp_errors.iter().filter(|error| is_about_size(error));
    sized.told_by.extend(told.map(|error| error.from));
    let on_wire = known_union(parts.iter().map(|part| &part.on_wire));
    let silence = parts.is_empty() && watching && received.is_empty();
    if let Some(on_wire) = on_wire.or_else(|| silence.then(SequenceSet::new)) {
        *sized.arrived.get_or_insert_default() += on_wire.union(&received).intersection(&round.sent).len();
    }
}

fn add_round(
    seen: &mut Observed,
    round: &ProbeRound,
    parts: &[&ArrivalRound],
    watching: bool,
    spoke: Option<Timestamp>,
) {
    let received = round.replied.union(&round.late).intersection(&round.sent);
    // Hosts limit the rate of port-unreachable messages: missing ones are not loss.
    let limited = round.protocol == Protocol::Udp && round.ports.as_ref().is_some_and(|ports| !ports.closed.is_empty());
    seen.rounds += 1;
    seen.sent += if limited { received.len() } else { round.sent.len() };
    if let Some(ports) = &round.ports {
        seen.closed += ports.closed.len();
        seen.resent += ports.resent.len();
    }
    seen.received += received.len();
    seen.own_drops += round.own_drops;
    match (parts.is_empty(), watching) {
        (false, _) => seen.witnessed += received.len(),
        (true, true) => seen.unwitnessed += received.len(),
        (true, false) => {}
    }
    for error in &round.send_errors {
        *seen.errors.entry(error.errno).or_default() += error.probes.len();
    }
    for stranger in &round.strangers {
        *seen.strangers.entry(stranger.from).or_default() += stranger.count;
    }
    let complaint =
        |error: &&IcmpError| !(is_about_size(error) || (error.from.is_ipv4() && error.icmp_type == REDIRECT));
    for error in round.icmp_errors.iter().filter(complaint) {
        *seen.complaints.entry(error.from).or_default() += error.count;
    }
    seen.first = Some(seen.first.map_or(round.started_at, |at| at.min(round.started_at)));
    if seen.latest.is_none_or(|at| at <= round.ended_at) {
        seen.latest = Some(round.ended_at);
        seen.rtt = round.rtt.or(seen.rtt);
    }
    let unreliable = parts.iter().any(|part| part.own_drops > 0);
    let read = |part: Option<SequenceSet>, any: bool| match part {
        Some(set) => Some(set),
        // An observer that reports nothing about probes that were answered has not reported yet.
        None if watching && !any && received.is_empty() => Some(SequenceSet::new()),
        None => None,
    };
    let any = !parts.is_empty();
    let on_wire = read(known_union(parts.iter().map(|p| &p.on_wire)), any);
    // The raw socket that shows what a guest accepted receives echoes only.
    let accepted = if round.ports.is_none() { read(known_union(parts.iter().map(|p| &p.accepted)), any) } else { None };
    let replied = read(known_union(parts.iter().map(|p| &p.replied)), any);
    let mut elsewhere = SequenceSet::new();
    for (interface, set) in parts.iter().flat_map(|part| &part.replied_elsewhere) {
        elsewhere = elsewhere.union(set);
        *seen.elsewhere.entry(interface.clone()).or_default() += set.len();
    }
    // What a later stage saw has passed the earlier ones.
    let left = replied.as_ref().map(|set| set.union(&received));
    let answered = left.as_ref().map(|set| set.union(&elsewhere));
    let accepted = accepted.map(|set| answered.as_ref().map_or_else(|| set.union(&received), |later| set.union(later)));
    let arrived = on_wire.map(|set| {
        let set = accepted.as_ref().map_or_else(|| set.clone(), |later| set.union(later));
        set.union(&received)
    });
    let drops = unreliable || round.own_drops > 0;
    let mut proven = attributable(round, parts, spoke);
    if let Some(ports) = &round.ports {
        // Resent probes are left out: their first SYN or its answer was lost, and what arrived may be the second.
        proven = proven.ranges().iter().flat_map(|(a, b)| *a..=*b).filter(|n| !ports.resent.contains(*n)).collect();
    }
    let count = |leg: &mut Option<Leg>, of: &SequenceSet, passed: &SequenceSet| {
        let of = of.intersection(&proven);
        // An observer that dropped packets proves presence only.
        if !drops || of.missing_from(passed) == 0 {
            leg.get_or_insert_default().add(&of, passed);
        }
    };
    // What arrived has left, whatever the packet socket missed.
    let left_sender = round.departed.known().map(|set| {
        let arrived = arrived.clone().unwrap_or_default();
        set.union(&received).union(&arrived).intersection(&round.sent)
    });
    if let Some(left_sender) = left_sender.as_ref().filter(|_| round.own_drops == 0) {
        seen.departure.get_or_insert_default().add(&round.sent, left_sender);
    }
    let sent = left_sender.as_ref().unwrap_or(&round.sent);
    let home = round.replied_on_wire.known().map(|set| set.union(&received).intersection(&round.sent));
    if let Some(arrived) = &arrived {
        if !drops && round.ports.is_none() {
            let mut leg = Leg::default();
            leg.add(&sent.intersection(&proven), arrived);
            seen.flows.push(FlowSeen { began: round.started_at, ended: round.ended_at, leg });
        }
        count(&mut seen.request, sent, arrived);
        if let Some(accepted) = &accepted {
            count(&mut seen.accept, arrived, accepted);
        }
        if let Some(answered) = answered.as_ref().filter(|_| !limited) {
            count(&mut seen.answer, accepted.as_ref().unwrap_or(arrived), answered);
        }
        if let Some(left) = &left {
            count(&mut seen.reply, left, home.as_ref().unwrap_or(&received));
        }
    }
    if let Some(home) = &home
        && round.own_drops == 0
    {
        seen.home.get_or_insert_default().add(home, &received);
    }
}

//! Joins the rounds of the sender with what the far agent reported of them.

use super::{
    Change, Counted, FlowSeen, Leg, Observed, belongs,
    counted::{self, Clocks},
    edge,
};
use crate::{question::Question, verdict::LoadReport};
use pingtong_evidence::{
    AgentId, ArrivalRound, Container, Direction, HostFacts, IcmpError, InterfaceFact, Known, Pair, ProbeEngine,
    ProbeRound, Protocol, RoundPurpose, RouteOutcome, SequenceSet, Timestamp, WatchedPort,
};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

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
    let observer = pair.endpoint(flow.destination()).agent.as_ref();
    let silent = observer.is_none_or(|agent| question.silent.contains(&agent));
    let sender = pair.endpoint(flow.source()).agent.as_ref().and_then(|agent| facts.get(agent));
    let clocks = Clocks::of(sender, observer.and_then(|agent| facts.get(agent)));
    let counted = counted::of(question, pair, flow, facts);
    // An observer whose kernel counted what it did not report has missed it, or its reports were lost.
    let is_sound = !silent && counted != Counted::Contradicts;
    let watching = is_sound && watches(pair, flow, observer.and_then(|agent| facts.get(agent)), sender);
    let answers_itself = sender.is_some_and(|facts| holds_target(facts, pair.endpoint(flow.destination()).address));
    let spoke = observer.and_then(|agent| last_word(question, agent));
    let mut seen = Observed { counted, ..Observed::default() };
    let rounds: Vec<&ProbeRound> = question.probes.iter().copied().filter(|r| belongs(r, pair, flow)).collect();
    let plain = rounds.iter().filter(|round| round.is_plain() && !spoilt(question, round));
    let edge = edge::latest(plain.copied()).filter(|_| !edge::is_rated(pair, facts));
    for round in rounds {
        // What was before an edge says nothing about the present.
        let part = match edge {
            Some((of, edge)) if of.key == round.key => {
                seen.edge = Some(Change::new(edge, round));
                Some(edge::after(round, edge))
            }
            Some((_, edge)) if round.is_plain() && round.ended_at <= edge.at => continue,
            _ => None,
        };
        let round = part.as_ref().unwrap_or(round);
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
            if parts.is_empty() && watching && spoke.is_some_and(|at| clocks.is_after(at, round)) {
                seen.unseen += round.replied.union(&round.late).len();
            }
        }
    }
    // What a guest refuses of its replies is not lost on the way: rounds that show which of them came count first.
    seen.reply = seen.reply.or(seen.reply_unseen);
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
            let leg = Leg::of(&sent.intersection(&proven), arrived);
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
            match &home {
                Some(home) => {
                    count(&mut seen.reply, left, home);
                    if !drops {
                        seen.answered_flows.push(Leg::of(&left.intersection(&proven), home));
                    }
                }
                None => count(&mut seen.reply_unseen, left, &received),
            }
        }
    }
    if let Some(home) = &home
        && round.own_drops == 0
    {
        seen.home.get_or_insert_default().add(home, &received);
    }
}

//! Turns one question into one verdict: walk, observe, correlate, repair, render.
//!
//! Total and deterministic: any evidence yields a verdict, and the order of the evidence does not matter. The state is
//! what valid observations show: broken if a flow is dead, healthy or degraded if every flow is alive, undecided
//! otherwise.

use crate::{
    code::CauseCode,
    correlate::{self, Correlated},
    finding::{Finding, Held, Stops, Walk},
    gaps::{gaps, outdated, undecided},
    guest::Guest,
    guest_filter::{Asked, Filter, Packets},
    lang::Lang,
    model::Model,
    observe::{Counted, Observed, Seen, observe},
    onset::onset,
    quality::{host_load, means::Means, own_load, usual},
    question::Question,
    repair::Task,
    settling::{Settling, earlier_edges, edges, settled, settling},
    steps::Checklist,
    verdict::{Cause, Changed, Cut, Directions, State, Suspect, Verdict},
    walk::{flows, walk},
};
use pingtong_evidence::{AgentId, Direction, FirewallVerdict, HostFacts, Pair, SCHEMA, Side, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Causes that deliver packets to another host than the peer, which may have the peer's address.
const LEAD_ELSEWHERE: [CauseCode; 5] = [
    CauseCode::CidrOverlap,
    CauseCode::RouteShadowed,
    CauseCode::RouteWrongNextHop,
    CauseCode::RouteNotTransitive,
    CauseCode::RouteLoop,
];

/// Returns the verdict in English.
pub fn diagnose(question: &Question<'_>) -> Verdict {
    diagnose_in(question, Lang::En)
}

/// Everything that is concluded before it is rendered.
struct Judged<'q> {
    question: &'q Question<'q>,
    peers: Vec<Pair>,
    model: Model,
    walk: Walk,
    facts: BTreeMap<AgentId, HostFacts>,
    seen: Seen,
    correlated: Correlated,
    settling: Option<Settling>,
    /// What would be blamed if no change were settling.
    open: Vec<Held>,
    /// What changed in the middle of the probes.
    edges: Vec<Changed>,
}

impl<'q> Judged<'q> {
    fn new(question: &'q Question<'q>) -> Self {
        let pair = question.pair;
        let peers: Vec<Pair> = question.peers.iter().copied().cloned().collect();
        let model = question.model();
        let facts = newest_facts(question);
        let walk = walk(&model, pair, &peers);
        let observed: Seen = Direction::BOTH.into_iter().map(|flow| (flow, observe(question, flow, &facts))).collect();
        let seen = without_refusals(pair, &facts, &observed);
        let seen = without_strangers(&model, pair, &walk, &facts, &seen);
        let guests = guests(&model, pair, &facts, &seen);
        let seen = placed(pair, &guests, &seen);
        let flows = Direction::BOTH.into_iter();
        let changes = flows.filter_map(|flow| Some((flow, usual::change(question, flow)?))).collect();
        let excesses = own_load::excesses(question, &model);
        let (changes, excesses) = (&changes, &excesses);
        let means = Means { model: &model, question, facts: &facts, seen: &seen, changes, excesses };
        let mut correlated = correlate::correlate(pair, &walk, guests.found, &guests.contained, &means, &seen);
        let edges = edges(question, &facts, &seen);
        let settling = settling(question, &seen, &edges);
        let may_explain = |held: &Held| settling.as_ref().is_some_and(|it| it.may_explain(&model, &held.finding));
        let (open, held) = std::mem::take(&mut correlated.held).into_iter().partition(may_explain);
        correlated.held = held;
        Self { question, peers, model, walk, facts, seen, correlated, settling, open, edges }
    }

    /// Calls `with` with the input of the repair search.
    fn repair<T>(&self, with: impl FnOnce(&Task<'_>) -> T) -> T {
        let refuted: BTreeSet<_> = self.correlated.refuted.iter().map(Finding::key).collect();
        let configured: BTreeSet<_> = self.walk.findings.iter().map(Finding::key).collect();
        let held = self.correlated.held.iter().map(|held| held.finding.clone());
        let others: Vec<Finding> = held.filter(|finding| !configured.contains(&finding.key())).collect();
        let (model, pair) = (&self.model, self.question.pair);
        with(&Task { model, pair, peers: &self.peers, others: &others, refuted: &refuted })
    }
}

/// Returns the size of the smallest set of configuration repairs, found by trying every subset of the candidates;
/// `None` if there are more than `most` candidates (or more than 16) or if no subset restores the pair. It is the
/// reference for the repairs of a verdict and costs up to 2^`most` walks.
pub fn smallest_repair_set(question: &Question<'_>, most: usize) -> Option<usize> {
    Judged::new(question).repair(|task| task.smallest_by_brute_force(most))
}

/// Whether the judged probes met a change in their middle: a further round of probes shows what holds now.
pub fn is_changing(question: &Question<'_>) -> bool {
    let facts = newest_facts(question);
    Direction::BOTH.into_iter().any(|flow| observe(question, flow, &facts).edge.is_some())
}

/// Returns the verdict in the given language.
pub fn diagnose_in(question: &Question<'_>, lang: Lang) -> Verdict {
    let judged = Judged::new(question);
    let Judged { model, walk, facts, seen, correlated, settling, open, .. } = &judged;
    let pair = question.pair;
    let mut gaps = gaps(question, model, walk, facts, settling.as_ref().map(|settling| &settling.text));
    gaps.extend(correlated.outdated.iter().map(|side| outdated(model, *side)));
    let state = state(pair, seen, correlated);
    let is_certain = correlated.is_certain && walk.blinds.is_empty() && settling.is_none();
    let repairs = judged.repair(|task| task.solve(state == State::Healthy, is_certain, lang));
    let causes: Vec<Cause> = correlated.held.iter().map(|held| cause(held, lang)).collect();
    let mut suspects = suspects(correlated, state, lang);
    suspects.extend(open.iter().filter(|_| state != State::Healthy).map(|held| Suspect {
        codes: vec![held.finding.code],
        side: Some(held.finding.side),
        object: Some(held.finding.object.clone()),
        decided_by: settled().get(lang),
    }));
    if state == State::Undecided && gaps.is_empty() && suspects.is_empty() {
        gaps.extend(undecided(pair, seen));
    }
    let predicted = |flow| predict(pair, walk, flow);
    let checklist = Checklist { model, pair, walk, correlated, seen };
    let mut verdict = Verdict {
        schema: SCHEMA,
        pair: pair.clone(),
        state,
        directions: Directions {
            forward: report(seen, Direction::Forward, predicted(Direction::Forward)),
            back: report(seen, Direction::Return, predicted(Direction::Return)),
        },
        steps: checklist.steps(lang),
        causes,
        suspects,
        repairs,
        gaps: gaps.into_iter().map(|gap| gap.note(lang)).collect(),
        probing: question.probing,
        onset: None,
        next_step: None,
        changed: earlier_edges(question, facts).into_iter().chain(judged.edges.clone()).collect(),
        determining_since: None,
        asked_at: question.asked_at,
        evidence_at: latest(question, seen),
    };
    if state == State::Broken && !question.earlier.is_empty() {
        verdict.onset = onset(question, &judged.peers, lang);
    }
    verdict.next_step = checklist.next_step(&verdict, lang);
    verdict
}

fn newest_facts(question: &Question<'_>) -> BTreeMap<AgentId, HostFacts> {
    question.hosts.iter().map(|facts| (facts.agent.clone(), (*facts).clone())).collect()
}

/// Returns the round trips without refusals by which the packet filter of the target, not its socket, surely answers.
fn without_refusals(pair: &Pair, facts: &BTreeMap<AgentId, HostFacts>, observed: &Seen) -> Seen {
    let mut seen = observed.clone();
    for flow in flows(pair) {
        let side = flow.destination();
        let agent = pair.endpoint(side).agent.as_ref();
        let filter = agent.and_then(|agent| facts.get(agent)).and_then(Filter::of);
        let refuses = || {
            let rules = filter.map(|filter| filter.refusing(&Packets::of(pair, side), Asked::Requests, false));
            rules.is_some_and(|rules| rules.iter().any(|rule| rule.verdict == FirewallVerdict::Reject))
        };
        if let Some(observed) = observed.get(&flow)
            && observed.closed > 0
            && observed.closed >= observed.received
            && refuses()
        {
            seen.insert(flow, observed.refused_by_filter());
        }
    }
    seen
}

/// Returns the round trips without replies that another host sent. These are replies to requests that the far end's
/// agent has not seen, if the far kernel has not counted them either, if the configuration sends requests elsewhere, or if
/// the replies to the other side's requests, which travel in the same direction as these requests, do not get through.
fn without_strangers(
    model: &Model,
    pair: &Pair,
    walk: &Walk,
    facts: &BTreeMap<AgentId, HostFacts>,
    observed: &Seen,
) -> Seen {
    let mut seen = observed.clone();
    for flow in flows(pair) {
        let astray = walk.findings.iter().any(|f| LEAD_ELSEWHERE.contains(&f.code) && f.stops.request(flow));
        let torn = seen.get(&flow.reverse()).is_some_and(|other| other.cut == Some(Cut::S5));
        let agent = pair.endpoint(flow.source()).agent.as_ref();
        let nothing = Observed::default();
        let sender = Guest {
            model,
            pair,
            side: flow.source(),
            facts: agent.and_then(|agent| facts.get(agent)),
            inbound: &nothing,
            outbound: &nothing,
        };
        let target = pair.endpoint(flow.destination()).address;
        let elsewhere = |observed: &Observed| {
            astray || torn || sender.diverts() || (observed.unseen() && observed.counted == Counted::Agrees)
        };
        let foreign = seen.get(&flow).filter(|observed| observed.unwitnessed() && elsewhere(observed));
        if let Some(own) = foreign.map(|observed| observed.answered_by_stranger(target)) {
            seen.insert(flow, own);
        }
    }
    seen
}

/// Conclusions from the host facts of both guests.
struct Guests {
    found: Vec<Finding>,
    /// Findings for agents that run in containers, by side.
    contained: BTreeMap<Side, Finding>,
    /// Cut points that host facts locate more exactly than the packets do.
    cuts: Vec<(Direction, Cut)>,
}

fn guests(model: &Model, pair: &Pair, facts: &BTreeMap<AgentId, HostFacts>, seen: &Seen) -> Guests {
    let mut guests = Guests { found: vec![], contained: BTreeMap::new(), cuts: vec![] };
    let nothing = Observed::default();
    for side in Side::BOTH {
        let agent = pair.endpoint(side).agent.as_ref();
        let guest = Guest {
            model,
            pair,
            side,
            facts: agent.and_then(|agent| facts.get(agent)),
            inbound: seen.get(&side.opposite().sends()).unwrap_or(&nothing),
            outbound: seen.get(&side.sends()).unwrap_or(&nothing),
        };
        let mine = guest.findings();
        guests.contained.extend(guest.container().map(|finding| (side, finding)));
        if guest.outbound.cut == Some(Cut::S1) && guest.swallows() {
            guests.cuts.push((side.sends(), Cut::S0));
        }
        // The kernel makes a reply that it routes elsewhere. Without a neighbour there, the reply never becomes a
        // visible packet.
        if guest.inbound.cut == Some(Cut::S3) && mine.iter().any(|f| f.code == CauseCode::GuestRouteOverlap) {
            guests.cuts.push((side.opposite().sends(), Cut::S4));
        }
        let refuses = mine.iter().any(|f| f.stops == Stops::Arrivals(side));
        // If replies were looked for at the interface, the cut point is already where they were last seen.
        if guest.outbound.cut == Some(Cut::S5) && refuses && guest.outbound.home.is_none() {
            guests.cuts.push((side.sends(), Cut::S6));
        }
        guests.found.extend(mine);
    }
    guests
}

/// Returns the round trips with the cut points that the host facts determine.
fn placed(pair: &Pair, guests: &Guests, seen: &Seen) -> Seen {
    let mut placed = seen.clone();
    for finding in guests.found.iter().filter(|finding| finding.code == CauseCode::GuestFirewall) {
        for flow in flows(pair).into_iter().filter(|flow| finding.stops.round_trip(*flow)) {
            let Some(observed) = placed.get(&flow) else { continue };
            let refused = observed.refused_by_guest();
            let side = flow.destination();
            let kept_out = [Stops::Arrivals(side), Stops::ArrivingRequests(side)].contains(&finding.stops);
            placed.insert(flow, if kept_out { refused.kept_out() } else { refused });
        }
    }
    for (flow, cut) in &guests.cuts {
        let moved = placed.get(flow).map(|observed| observed.cut_at(*cut));
        placed.extend(moved.map(|observed| (*flow, observed)));
    }
    placed
}

fn report(seen: &Seen, flow: Direction, predicted: Cut) -> crate::verdict::DirectionReport {
    seen.get(&flow).map_or_else(|| Observed::default().report(predicted), |seen| seen.report(predicted))
}

/// Returns where round trips of one flow of the pair must die according to the configuration alone: the `predicted`
/// value of a verdict, without evaluating observations or searching for repairs.
pub fn predicted(question: &Question<'_>, flow: Direction) -> Cut {
    let peers: Vec<Pair> = question.peers.iter().copied().cloned().collect();
    predict(question.pair, &walk(&question.model(), question.pair, &peers), flow)
}

fn predict(pair: &Pair, walk: &Walk, flow: Direction) -> Cut {
    if !flows(pair).contains(&flow) {
        return Cut::Unknown;
    }
    if walk.findings.iter().any(|f| f.stops.request(flow)) {
        return Cut::S1;
    }
    let hidden = |what: fn(crate::finding::Stops, Direction) -> bool| {
        walk.blinds.iter().any(|blind| blind.stops.iter().any(|stops| what(*stops, flow)))
    };
    if hidden(crate::finding::Stops::request) {
        return Cut::Unknown;
    }
    if walk.findings.iter().any(|f| f.stops.reply(flow)) {
        return Cut::S5;
    }
    if hidden(crate::finding::Stops::reply) { Cut::Unknown } else { Cut::None }
}

fn state(pair: &Pair, seen: &Seen, correlated: &Correlated) -> State {
    let observed: Vec<&Observed> = flows(pair).iter().filter_map(|flow| seen.get(flow)).collect();
    if observed.iter().any(|seen| seen.dead()) {
        return State::Broken;
    }
    // A flow without valid probes leaves the pair undecided.
    let probed: Vec<&&Observed> = observed.iter().filter(|seen| seen.rounds > 0).collect();
    if probed.is_empty() || !probed.iter().all(|seen| seen.valid()) {
        return State::Undecided;
    }
    let quality = [
        CauseCode::LossInFabric,
        CauseCode::EcmpLegDead,
        CauseCode::GuestRateLimit,
        CauseCode::HostOverload,
        CauseCode::BandwidthSaturated,
        CauseCode::LatencyShift,
        CauseCode::MtuBlackHole,
    ];
    let impaired = correlated.impaired || correlated.held.iter().any(|held| quality.contains(&held.finding.code));
    let unsplit = observed.iter().any(|seen| seen.has_unsplit_loss());
    if impaired
        || (unsplit && !correlated.overloaded)
        || observed.iter().any(|seen| host_load::dies_inside(seen).is_some())
    {
        State::Degraded
    } else if correlated.overloaded || observed.iter().any(|seen| seen.unseen()) {
        State::Undecided
    } else if probed.len() < observed.len() {
        // As in the tutorial: a ping in one direction proves nothing about the other.
        State::Undecided
    } else {
        State::Healthy
    }
}

fn cause(held: &Held, lang: Lang) -> Cause {
    let Finding { code, side, direction, object, evidence, .. } = &held.finding;
    let mut cause = Cause {
        code: *code,
        step: code.step(*side),
        side: *side,
        direction: *direction,
        object: object.clone(),
        certainty: held.certainty,
        evidence: evidence.iter().map(|note| note.evidence(lang)).collect(),
        explain: String::new(),
    };
    // Both directions may contribute the same observation; it is listed once.
    let mut said = BTreeSet::new();
    cause.evidence.retain(|evidence| said.insert((evidence.text.clone(), evidence.object.clone())));
    let why = evidence.first().map(|note| note.text.get(lang)).unwrap_or_default();
    let sentence = cause.sentence(lang);
    cause.explain = match lang {
        Lang::En => format!("{sentence}: {why}"),
        Lang::Zh => format!("{sentence}：{why}"),
    };
    cause
}

fn suspects(correlated: &Correlated, state: State, lang: Lang) -> Vec<Suspect> {
    if state == State::Healthy {
        return vec![];
    }
    let mut merged: BTreeMap<(Option<Side>, String), BTreeSet<CauseCode>> = BTreeMap::new();
    for doubt in &correlated.doubts {
        merged.entry((doubt.side, doubt.decided_by.get(lang))).or_default().extend(&doubt.codes);
    }
    merged
        .into_iter()
        .map(|((side, decided_by), codes)| Suspect {
            codes: codes.into_iter().collect(),
            side,
            object: None,
            decided_by,
        })
        .collect()
}

fn latest(question: &Question<'_>, seen: &Seen) -> Option<Timestamp> {
    let probes = seen.values().filter_map(|seen| seen.latest);
    let snapshots = question.snapshots().map(|s| s.finished_at);
    let hosts = question.hosts.iter().map(|h| h.at);
    probes.chain(snapshots).chain(hosts).max()
}

//! One question, one verdict: walk, observe, correlate, repair, and say it.
//!
//! Total and deterministic: any evidence gives a verdict, and its order does not matter. The state is what valid
//! observations show: broken when a flow is dead, healthy or degraded when every flow is alive, undecided otherwise.

use crate::{
    change::changes,
    code::CauseCode,
    correlate::{self, Correlated, Held, Seen},
    finding::{Blind, Finding, Stops, Walk},
    guest::Guest,
    host_load,
    lang::{Both, Lang, both},
    model::Model,
    observe::{Observed, observe},
    onset::onset,
    own_load,
    quality::Means,
    question::Question,
    repair::Task,
    steps::Checklist,
    usual,
    verdict::{Cause, Cut, Directions, GapNote, State, Suspect, Verdict},
    walk::{blind_because, flows, walk},
};
use pingtong_evidence::{
    AgentId, Direction, GapCode, HostFacts, LinkKind, Pair, ProbeEngine, SCHEMA, Side, Snapshot, Timestamp, WhyUnknown,
};
use std::collections::{BTreeMap, BTreeSet};

/// Difference of two clocks from which times of two hosts must not be compared, in milliseconds.
const CLOCK_OFFSET_MS_MAX: i64 = 1_000;
/// Age of a snapshot from which it says little about now, in milliseconds: five missed periods of a minute and one spare.
const SNAPSHOT_AGE_MS_MAX: u128 = 600_000;

/// Causes by which packets get to others than the peer, who may have its address.
const LEAD_ELSEWHERE: [CauseCode; 5] = [
    CauseCode::CidrOverlap,
    CauseCode::RouteShadowed,
    CauseCode::RouteWrongNextHop,
    CauseCode::RouteNotTransitive,
    CauseCode::RouteLoop,
];

/// The verdict in English.
pub fn diagnose(question: &Question) -> Verdict {
    diagnose_in(question, Lang::En)
}

/// All that is concluded before it is put into words.
struct Judged<'q> {
    /// But for the snapshots, which are borrowed.
    question: Question,
    snapshots: Vec<&'q Snapshot>,
    peers: Vec<Pair>,
    model: Model,
    walk: Walk,
    facts: BTreeMap<AgentId, HostFacts>,
    seen: Seen,
    correlated: Correlated,
}

impl<'q> Judged<'q> {
    fn new(question: &'q Question) -> Self {
        let peers: Vec<Pair> = question.peers.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let (question, snapshots) = sorted(question);
        let pair = question.pair.clone();
        let facts = newest_facts(&question);
        let mut model = Model::new(&pair.link, snapshots.iter().copied());
        model.elsewhere.clone_from(&question.elsewhere);
        let walk = walk(&model, &pair, &peers);
        let mut seen: Seen = Direction::BOTH.into_iter().map(|flow| (flow, observe(&question, flow, &facts))).collect();
        unmask(&pair, &walk, &mut seen);
        let (guests, contained) = guests(&model, &pair, &facts, &mut seen);
        let flows = Direction::BOTH.into_iter();
        let changes = flows.filter_map(|flow| Some((flow, usual::change(&question, flow)?))).collect();
        let excesses = own_load::excesses(&question, &model);
        let (changes, excesses) = (&changes, &excesses);
        let means = Means { model: &model, question: &question, facts: &facts, seen: &seen, changes, excesses };
        let correlated = correlate::correlate(&pair, &walk, guests, &contained, &means, &seen);
        Self { question, snapshots, peers, model, walk, facts, seen, correlated }
    }

    /// Calls `with` with what the search for repairs works on.
    fn repair<T>(&self, with: impl FnOnce(&Task<'_>) -> T) -> T {
        let refuted: BTreeSet<_> = self.correlated.refuted.iter().map(Finding::key).collect();
        let configured: BTreeSet<_> = self.walk.findings.iter().map(Finding::key).collect();
        let held = self.correlated.held.iter().map(|held| held.finding.clone());
        let others: Vec<Finding> = held.filter(|finding| !configured.contains(&finding.key())).collect();
        let (model, pair) = (&self.model, &self.question.pair);
        with(&Task { model, pair, peers: &self.peers, others: &others, refuted: &refuted })
    }
}

/// The size of the smallest set of configuration repairs by trying every subset of the candidates; none when there are more
/// than `most` of these or no subset restores the pair. The yardstick for the repairs of a verdict; costs 2^`most` walks.
pub fn smallest_repair_set(question: &Question, most: usize) -> Option<usize> {
    Judged::new(question).repair(|task| task.smallest_by_brute_force(most))
}

/// The verdict in the language of choice.
pub fn diagnose_in(question: &Question, lang: Lang) -> Verdict {
    let judged = Judged::new(question);
    let Judged { question, snapshots, model, walk, facts, seen, correlated, .. } = &judged;
    let pair = &question.pair;
    let unsettled = settling(question, snapshots, seen);
    let mut gaps = gaps(question, model, walk, facts, unsettled.as_ref());
    gaps.extend(correlated.outdated.iter().map(|side| outdated(model, *side)));
    let state = if unsettled.is_some() { State::Undecided } else { state(pair, seen, correlated) };
    let repairs = judged.repair(|task| task.solve(state == State::Healthy, !walk.blinds.is_empty(), lang));
    let causes: Vec<Cause> = correlated.held.iter().map(|held| cause(held, lang)).collect();
    let suspects = suspects(correlated, state, lang);
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
        asked_at: question.asked_at,
        evidence_at: latest(question, snapshots, seen),
    };
    if state == State::Broken && !question.earlier.is_empty() {
        verdict.onset = onset(question, snapshots, &judged.peers, lang);
    }
    verdict.next_step = checklist.next_step(&verdict, lang);
    verdict
}

/// The same evidence in one order, without repetitions.
fn sorted(whole: &Question) -> (Question, Vec<&Snapshot>) {
    // Snapshots are by far the most of it, and are only looked at.
    let mut question = Question {
        pair: whole.pair.clone(),
        peers: whole.peers.clone(),
        elsewhere: whole.elsewhere.clone(),
        snapshots: vec![],
        probes: whole.probes.clone(),
        earlier: whole.earlier.clone(),
        arrivals: whole.arrivals.clone(),
        hosts: whole.hosts.clone(),
        silent: whole.silent.clone(),
        probing: whole.probing,
        healths: whole.healths.clone(),
        asked_at: whole.asked_at,
        settle_ms: whole.settle_ms,
    };
    let mut snapshots: Vec<&Snapshot> = whole.snapshots.iter().collect();
    question.elsewhere.sort();
    question.elsewhere.dedup();
    for rounds in [&mut question.probes, &mut question.earlier] {
        rounds.sort();
        rounds.dedup();
    }
    sort_by_key(&mut question.arrivals, |part| {
        (part.key.clone(), part.observer.clone(), part.first_at, part.last_at, part.interface.clone())
    });
    question.arrivals.dedup();
    sort_by_key(&mut snapshots, |s| (s.taken_at, s.finished_at, s.account.clone(), s.region.clone()));
    sort_by_key(&mut question.hosts, |facts| (facts.at, facts.agent.clone()));
    question.silent.sort();
    question.silent.dedup();
    sort_by_key(&mut question.healths, |health| (health.at, health.agent.clone()));
    (question, snapshots)
}

/// Sorts by a key. What ties and yet differs is told apart by all it says, which is dear and so left for the last.
fn sort_by_key<T: PartialEq + std::fmt::Debug, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    items.sort_by(|a, b| {
        key(a)
            .cmp(&key(b))
            .then_with(|| if a == b { std::cmp::Ordering::Equal } else { format!("{a:?}").cmp(&format!("{b:?}")) })
    });
}

fn newest_facts(question: &Question) -> BTreeMap<AgentId, HostFacts> {
    question.hosts.iter().map(|facts| (facts.agent.clone(), facts.clone())).collect()
}

/// Replies that the far end's agent knows nothing of are a stranger's where the configuration sends requests elsewhere,
/// or where what passes one way for these requests does not pass for the replies to the other side's.
fn unmask(pair: &Pair, walk: &Walk, seen: &mut Seen) {
    for flow in flows(pair) {
        let astray = walk.findings.iter().any(|f| LEAD_ELSEWHERE.contains(&f.code) && f.stops.request(flow));
        let torn = seen.get(&flow.reverse()).is_some_and(|other| other.cut == Some(Cut::S5));
        let target = pair.endpoint(flow.destination()).address;
        if let Some(observed) = seen.get_mut(&flow).filter(|observed| observed.unwitnessed() && (astray || torn)) {
            *observed = observed.answered_by_stranger(target);
        }
    }
}

/// What the guests' facts explain, and which agents live in containers.
fn guests(
    model: &Model,
    pair: &Pair,
    facts: &BTreeMap<AgentId, HostFacts>,
    seen: &mut Seen,
) -> (Vec<Finding>, BTreeMap<Side, Finding>) {
    let (mut found, mut contained) = (vec![], BTreeMap::new());
    let mut cuts: Vec<(Direction, Cut)> = vec![];
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
        let mine = guest.judge();
        contained.extend(guest.container().map(|finding| (side, finding)));
        if guest.outbound.cut == Some(Cut::S1) && guest.swallows() {
            cuts.push((side.sends(), Cut::S0));
        }
        // What the kernel sends elsewhere it has made: without a neighbour there it never becomes a packet to be seen.
        if guest.inbound.cut == Some(Cut::S3) && mine.iter().any(|f| f.code == CauseCode::GuestRouteOverlap) {
            cuts.push((side.opposite().sends(), Cut::S4));
        }
        let refuses = mine.iter().any(|f| f.stops == Stops::Arrivals(side));
        // Where replies were looked for at the interface, the cut is where they were last seen.
        if guest.outbound.cut == Some(Cut::S5) && refuses && guest.outbound.home.is_none() {
            cuts.push((side.sends(), Cut::S6));
        }
        found.extend(mine);
    }
    for finding in found.iter().filter(|finding| finding.code == CauseCode::GuestFirewall) {
        for flow in flows(pair).into_iter().filter(|flow| finding.stops.round_trip(*flow)) {
            let observed = seen.entry(flow).and_modify(Observed::refused_by_guest);
            if finding.stops == Stops::Arrivals(flow.destination()) {
                observed.and_modify(Observed::kept_out);
            }
        }
    }
    for (flow, cut) in cuts {
        if let Some(observed) = seen.get_mut(&flow) {
            observed.cut = Some(cut);
        }
    }
    (found, contained)
}

fn report(seen: &Seen, flow: Direction, predicted: Cut) -> crate::verdict::DirectionReport {
    seen.get(&flow).map_or_else(|| Observed::default().report(predicted), |seen| seen.report(predicted))
}

/// Where round trips of one flow of the pair must die, as the configuration alone says: what a verdict gives as
/// `predicted`, without looking at observations or for repairs.
pub fn predicted(question: &Question, flow: Direction) -> Cut {
    let (pair, mut model) = (&question.pair, Model::new(&question.pair.link, &question.snapshots));
    model.elsewhere.clone_from(&question.elsewhere);
    predict(pair, &walk(&model, pair, &question.peers), flow)
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
    // A flow whose probes do not count leaves the pair open.
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
    let unsplit = observed.iter().any(|seen| unsplit_loss(seen));
    if impaired
        || (unsplit && !correlated.overloaded)
        || observed.iter().any(|seen| host_load::dies_inside(seen).is_some())
    {
        State::Degraded
    } else if correlated.overloaded {
        State::Undecided
    } else if probed.len() < observed.len() {
        // The tutorial's own trap: a ping one way proves nothing about the other.
        State::Undecided
    } else {
        State::Healthy
    }
}

/// Loss that is certain and that nobody could split by where it happened.
fn unsplit_loss(seen: &Observed) -> bool {
    let lost = seen.sent.saturating_sub(seen.received);
    seen.lossy() && seen.request.is_none() && lost >= 3 && lost * 1000 >= seen.sent * 3
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
    // Both directions may bring the same observation; it is said once.
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

/// A gap in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct GapText {
    code: GapCode,
    side: Option<Side>,
    what: Both,
    closes_with: Both,
}

impl GapText {
    fn note(&self, lang: Lang) -> GapNote {
        GapNote { code: self.code, what: self.what.get(lang), closes_with: self.closes_with.get(lang), side: self.side }
    }
}

fn gaps(
    question: &Question,
    model: &Model,
    walk: &Walk,
    facts: &BTreeMap<AgentId, HostFacts>,
    changed: Option<&Both>,
) -> BTreeSet<GapText> {
    let mut gaps: BTreeSet<GapText> = walk
        .blinds
        .iter()
        .map(|Blind { gap, side, what, closes_with, .. }| GapText {
            code: *gap,
            side: Some(*side),
            what: what.clone(),
            closes_with: closes_with.clone(),
        })
        .collect();
    gaps.extend(refused(model, &gaps));
    let mut add = |code, side, what: Both, closes_with: Both| {
        gaps.insert(GapText { code, side, what, closes_with });
    };
    if let Some(changed) = changed {
        let closes_with = Both::new("a verdict on probes sent after the change has settled", "变更生效稳定后再次验证");
        add(GapCode::ConfigStale, None, changed.clone(), closes_with);
    }
    for side in Side::BOTH {
        let endpoint = question.pair.endpoint(side);
        let address = endpoint.address;
        let agent = endpoint.agent.as_ref();
        if let Some(age) = model.snapshot(side).map(|s| question.asked_at.since(s.finished_at)) {
            let (account, seconds) = (&model.link.side(side).account, age.as_secs());
            if age.as_millis() > SNAPSHOT_AGE_MS_MAX {
                add(
                    GapCode::ConfigStale,
                    Some(side),
                    both!(
                        "the configuration of account {account} is {seconds} s old",
                        "账号 {account} 的配置是 {seconds} 秒前的"
                    ),
                    Both::new("a fresh snapshot", "重新采集配置快照"),
                );
            }
        }
        let heard = |agent: &AgentId| {
            !question.silent.contains(agent)
                && (facts.contains_key(agent)
                    || question.probes.iter().any(|round| round.key.agent == *agent)
                    || question.arrivals.iter().any(|part| part.observer == *agent)
                    || question.healths.iter().any(|health| health.agent == *agent))
        };
        // Where none was ever enrolled, nobody is silent: that end's flow is not measured, which the state says.
        if let Some(name) = agent.filter(|agent| !heard(agent)) {
            let object =
                endpoint.instance.as_ref().map_or_else(|| address.to_string(), |id| format!("{id} ({address})"));
            add(
                GapCode::AgentSilent,
                Some(side),
                both!("no report from the agent {name} on {object}", "{object} 上的 agent {name} 没有报告"),
                Both::new(
                    "a running agent there that reaches the collector",
                    "在该实例上运行 agent 并保证其能连到收集端",
                ),
            );
        }
        let Some(facts) = agent.and_then(|agent| facts.get(agent)) else { continue };
        if facts.engine == ProbeEngine::None {
            add(
                GapCode::ProbeNotPermitted,
                Some(side),
                both!("the agent on {address} may not send probes", "{address} 上的 agent 无权发送探测包"),
                Both::new(
                    "CAP_NET_RAW for the agent: setcap cap_net_raw+ep on its program",
                    "授予 agent CAP_NET_RAW：对其程序执行 setcap cap_net_raw+ep",
                ),
            );
        }
        if let Some(clock) = facts.clock.known()
            && clock.offset_ms.saturating_abs() > CLOCK_OFFSET_MS_MAX.saturating_add(clock.error_ms.saturating_abs())
        {
            let offset = clock.offset_ms;
            add(
                GapCode::ClockSkew,
                Some(side),
                both!("the clock on {address} differs by {offset} ms", "{address} 的时钟相差 {offset} 毫秒"),
                Both::new("time synchronisation (chrony) on that host", "在该主机上启用时间同步（chrony）"),
            );
        }
    }
    gaps
}

/// The configuration was read before packets died that it does not explain.
fn outdated(model: &Model, side: Side) -> GapText {
    let account = &model.link.side(side).account;
    GapText {
        code: GapCode::ConfigStale,
        side: Some(side),
        what: both!(
            "the configuration of account {account} was read before these packets died",
            "账号 {account} 的配置是在这些报文丢失之前读取的"
        ),
        closes_with: Both::new("a fresh snapshot", "重新采集配置快照"),
    }
}

/// Parts of the path's configuration that an account refuses to show, though other evidence may have answered in their
/// stead: what could not be looked at is told even where nothing is left open.
fn refused(model: &Model, told: &BTreeSet<GapText>) -> Vec<GapText> {
    let mut found = vec![];
    for side in Side::BOTH {
        let Some(snapshot) = model.snapshot(side) else { continue };
        let parts = [
            (snapshot.vpcs.why_unknown(), ("the VPCs", "专有网络")),
            (snapshot.vswitches.why_unknown(), ("the vSwitches", "交换机")),
            (snapshot.route_tables.why_unknown(), ("the route tables", "路由表")),
            (connections_unread(model, snapshot), ("the connections", "连接")),
            (snapshot.network_acls.why_unknown(), ("the network ACLs", "网络ACL")),
            (snapshot.security_groups.why_unknown(), ("the security groups", "安全组")),
            (snapshot.prefix_lists.why_unknown(), ("the prefix lists", "前缀列表")),
            (snapshot.instances.why_unknown(), ("the instances", "实例")),
            (snapshot.enis.why_unknown(), ("the network interfaces", "弹性网卡")),
            (snapshot.link_metrics.why_unknown(), ("the metrics of router interfaces", "路由器接口的监控指标")),
            (snapshot.changes.why_unknown(), ("who changed what", "操作记录")),
        ];
        for (why, what) in parts {
            let Some(why @ WhyUnknown::Denied { .. }) = why else { continue };
            let Blind { gap, what, closes_with, .. } = blind_because(model, side, 0, Some(why), what, vec![], vec![]);
            if !told.iter().any(|have| have.side == Some(side) && have.closes_with == closes_with) {
                found.push(GapText { code: gap, side: Some(side), what, closes_with });
            }
        }
    }
    found
}

fn connections_unread<'a>(model: &Model, snapshot: &'a Snapshot) -> Option<&'a WhyUnknown> {
    match model.link.kind {
        LinkKind::RouterInterface => snapshot.router_interfaces.why_unknown(),
        LinkKind::VpcPeering => snapshot.vpc_peerings.why_unknown(),
        LinkKind::TransitRouter => {
            let lists = [
                snapshot.transit_attachments.why_unknown(),
                snapshot.transit_peerings.why_unknown(),
                snapshot.transit_route_tables.why_unknown(),
            ];
            let tables = snapshot.transit_route_tables.known().into_iter().flatten();
            let parts = tables
                .flat_map(|t| [t.associations.why_unknown(), t.propagations.why_unknown(), t.routes.why_unknown()]);
            let mut unread = lists.into_iter().chain(parts).flatten();
            unread.find(|why| matches!(why, WhyUnknown::Denied { .. }))
        }
    }
}

/// Whether the configuration may have changed so shortly before or during the probes that they prove nothing.
fn settling(question: &Question, snapshots: &[&Snapshot], seen: &Seen) -> Option<Both> {
    if question.settle_ms == 0 {
        return None;
    }
    let first = seen.values().filter_map(|seen| seen.first).min()?.as_millis();
    let last = seen.values().filter_map(|seen| seen.latest).max()?.as_millis();
    let from = first.saturating_sub(i64::try_from(question.settle_ms).unwrap_or(i64::MAX));
    let mut previous: BTreeMap<(&str, &str), &Snapshot> = BTreeMap::new();
    let mut found = None;
    for &snapshot in snapshots {
        let key = (snapshot.account.as_str(), snapshot.region.as_str());
        if let Some(before) = previous.insert(key, snapshot) {
            // The change lies somewhere between the two readings.
            let overlaps = snapshot.finished_at.as_millis() >= from && before.taken_at.as_millis() <= last;
            if overlaps && !changes(before, snapshot).is_empty() {
                let (account, seconds) = (&snapshot.account, question.settle_ms / 1000);
                found = Some(both!(
                    "the configuration of account {account} changed within {seconds} s of the probes",
                    "账号 {account} 的配置在探测前后 {seconds} 秒内有变更"
                ));
            }
        }
    }
    found
}

fn latest(question: &Question, snapshots: &[&Snapshot], seen: &Seen) -> Option<Timestamp> {
    let probes = seen.values().filter_map(|seen| seen.latest);
    let snapshots = snapshots.iter().map(|s| s.finished_at);
    let hosts = question.hosts.iter().map(|h| h.at);
    probes.chain(snapshots).chain(hosts).max()
}
